//! A value that is waited on; whoever waited first is woken first.

use std::sync::Arc;

use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};
use tokio::sync::Notify;

/// The side that changes the value. As tokio's `watch`, but for the order of the waking, which is drawn at random there
/// and would make each run of a seed another one.
#[derive(Debug)]
pub(crate) struct Signal<T>(Arc<Inner<T>>);

/// A side that waits.
#[derive(Debug)]
pub(crate) struct Listener<T> {
    inner: Arc<Inner<T>>,
    seen: u64,
}

/// The value will not change any more.
#[derive(Debug)]
pub(crate) struct Ended;

#[derive(Debug)]
struct Inner<T> {
    state: Mutex<State<T>>,
    changed: Notify,
}

#[derive(Debug)]
struct State<T> {
    value: T,
    changes: u64,
    ended: bool,
}

impl<T> Signal<T> {
    pub(crate) fn new(value: T) -> Self {
        let state = Mutex::new(State { value, changes: 0, ended: false });
        Self(Arc::new(Inner { state, changed: Notify::new() }))
    }

    pub(crate) fn borrow(&self) -> MappedMutexGuard<'_, T> {
        MutexGuard::map(self.0.state.lock(), |state| &mut state.value)
    }

    pub(crate) fn send_modify(&self, modify: impl FnOnce(&mut T)) {
        {
            let mut state = self.0.state.lock();
            modify(&mut state.value);
            state.changes += 1;
        }
        self.0.changed.notify_waiters();
    }

    /// Sees every change from now on.
    pub(crate) fn subscribe(&self) -> Listener<T> {
        Listener { inner: self.0.clone(), seen: self.0.state.lock().changes }
    }
}

impl<T> Drop for Signal<T> {
    fn drop(&mut self) {
        self.0.state.lock().ended = true;
        self.0.changed.notify_waiters();
    }
}

impl<T> Listener<T> {
    pub(crate) fn borrow(&self) -> MappedMutexGuard<'_, T> {
        MutexGuard::map(self.inner.state.lock(), |state| &mut state.value)
    }

    /// Whatever has changed by now has been seen.
    pub(crate) fn mark_unchanged(&mut self) {
        self.seen = self.inner.state.lock().changes;
    }

    /// Waits for a change that was not seen.
    pub(crate) async fn changed(&mut self) -> Result<(), Ended> {
        let seen = self.seen;
        self.wait(|state| state.changes != seen).await
    }

    /// Waits until the value is as wanted.
    pub(crate) async fn wait_for(&mut self, wanted: impl Fn(&T) -> bool) -> Result<(), Ended> {
        self.wait(|state| wanted(&state.value)).await
    }

    async fn wait(&mut self, done: impl Fn(&State<T>) -> bool) -> Result<(), Ended> {
        loop {
            let mut changed = std::pin::pin!(self.inner.changed.notified());
            // From before the look, so that no change falls between the look and the wait.
            changed.as_mut().enable();
            {
                let state = self.inner.state.lock();
                if done(&state) {
                    self.seen = state.changes;
                    return Ok(());
                }
                if state.ended {
                    return Err(Ended);
                }
            }
            changed.await;
        }
    }
}

impl<T> Clone for Listener<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), seen: self.seen }
    }
}
