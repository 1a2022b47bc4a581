//! The callbacks of one kind.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use futures_util::task::AtomicWaker;
use nah_core::{GroupVersionKind, ObjectKey};
use parking_lot::Mutex;
use slab::Slab;

use crate::{Callback, CallbackOptions, Registration, WatchError, guard, held::Held};

/// The callbacks of one kind, in the order of their registration. A handle; clones share everything.
///
/// Callbacks come and go at any time, also while they run: a run goes over the list as it was when the run began, so
/// that it neither skips nor doubles one, and leaves out whoever went away before his turn. No lock is held while a
/// callback runs.
///
/// A callback that panics fails alone. So that such a failure can tell its place, the first registration puts a
/// panic hook in front of the process's own, which is still called.
#[derive(Clone)]
pub struct Callbacks(pub(crate) Arc<Shared>);

/// Names a callback among all of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallbackId(u64);

pub(crate) struct Shared {
    pub(crate) gvk: Arc<GroupVersionKind>,
    state: Mutex<State>,
}

struct State {
    closed: bool,
    /// Replaced, never changed: a run keeps the one that it began with.
    entries: Arc<[Arc<Entry>]>,
    runs: Slab<(Arc<Entry>, ObjectKey)>,
}

/// A callback in its place.
pub(crate) struct Entry {
    pub(crate) id: CallbackId,
    pub(crate) name: Arc<str>,
    pub(crate) callback: Held,
    pub(crate) options: CallbackOptions,
    /// Set under the lock, so that no call begins once it is.
    removed: AtomicBool,
    running: AtomicUsize,
    /// Whoever took the callback away and waits for its last run. A registration is used up by that, so it is one.
    waiting: AtomicWaker,
}

/// A call in progress.
pub(crate) struct Running<'a> {
    shared: &'a Shared,
    entry: &'a Entry,
    at: usize,
}

impl Callbacks {
    /// A kind without callbacks.
    pub fn new(gvk: Arc<GroupVersionKind>) -> Self {
        let state = State { closed: false, entries: Arc::new([]), runs: Slab::new() };
        Self(Arc::new(Shared { gvk, state: Mutex::new(state) }))
    }

    /// The kind.
    pub fn gvk(&self) -> &Arc<GroupVersionKind> {
        &self.0.gvk
    }

    /// Registers a callback behind the others. Runs that have begun do not call it.
    ///
    /// # Errors
    /// [`WatchError::DuplicateName`] where the kind has a callback of that name, [`WatchError::Stopped`] after
    /// [`close`](Self::close).
    pub fn add(&self, name: &str, callback: Arc<dyn Callback>) -> Result<Registration, WatchError> {
        guard::learn_places();
        let entry = Arc::new(Entry {
            id: CallbackId::next(),
            name: name.into(),
            options: callback.options(),
            callback: Held::new(callback),
            removed: AtomicBool::new(false),
            running: AtomicUsize::new(0),
            waiting: AtomicWaker::new(),
        });
        let mut state = self.0.state.lock();
        if state.closed {
            return Err(WatchError::Stopped);
        }
        if state.entries.iter().any(|known| *known.name == *name) {
            let (gvk, name) = (GroupVersionKind::clone(&self.0.gvk), name.to_owned());
            return Err(WatchError::DuplicateName { gvk, name });
        }
        state.entries = state.entries.iter().cloned().chain([entry.clone()]).collect();
        drop(state);
        Ok(Registration::new(Arc::downgrade(&self.0), &entry))
    }

    /// Counts the callbacks.
    pub fn len(&self) -> usize {
        // Without a snapshot, which could be the last to hold a callback: whoever asks may have a lock of his own.
        self.0.state.lock().entries.len()
    }

    /// Whether there is no callback.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names of the callbacks, in their order.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.snapshot().iter().map(|entry| entry.name.clone()).collect()
    }

    /// The callbacks running now (names and keys), for a shutdown that cuts them off.
    pub fn running(&self) -> Vec<(Arc<str>, ObjectKey)> {
        let state = self.0.state.lock();
        state.runs.iter().map(|(_, (entry, key))| (entry.name.clone(), key.clone())).collect()
    }

    /// Drops every callback; [`add`](Self::add) answers `Stopped` from now on.
    ///
    /// A call in progress goes on, and is the last of its run.
    pub fn close(&self) {
        let mut state = self.0.state.lock();
        state.closed = true;
        let entries = std::mem::replace(&mut state.entries, Arc::new([]));
        for entry in entries.iter() {
            entry.removed.store(true, Ordering::Relaxed);
        }
        // What callbacks hold may call us when it is dropped.
        drop(state);
        drop(entries);
    }

    pub(crate) fn snapshot(&self) -> Arc<[Arc<Entry>]> {
        self.0.state.lock().entries.clone()
    }
}

impl fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callbacks").field("kind", &self.0.gvk.kind).field("names", &self.names()).finish()
    }
}

impl CallbackId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl Shared {
    /// Notes that `entry` is called for `key`; none if it was taken away.
    pub(crate) fn begin<'a>(&'a self, entry: &'a Arc<Entry>, key: &ObjectKey) -> Option<Running<'a>> {
        let mut state = self.state.lock();
        if entry.removed.load(Ordering::Relaxed) {
            return None;
        }
        entry.running.fetch_add(1, Ordering::Relaxed);
        let at = state.runs.insert((entry.clone(), key.clone()));
        Some(Running { shared: self, entry, at })
    }

    /// Takes `entry` out of the list. No call of it begins after this. Whoever asks has the entry, so that what it holds is
    /// dropped there, and not under the lock.
    pub(crate) fn remove(&self, entry: &Arc<Entry>) {
        let mut state = self.state.lock();
        entry.removed.store(true, Ordering::Relaxed);
        state.entries = state.entries.iter().filter(|known| known.id != entry.id).cloned().collect();
    }
}

impl Entry {
    /// Waits until no call of it is in progress. For the one who has removed it.
    pub(crate) async fn finished(&self) {
        std::future::poll_fn(|cx| {
            self.waiting.register(cx.waker());
            match self.running.load(Ordering::Acquire) {
                0 => std::task::Poll::Ready(()),
                _ => std::task::Poll::Pending,
            }
        })
        .await;
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // Not the last that has the entry: the run which called it goes over a list with it.
        self.shared.state.lock().runs.try_remove(self.at);
        if self.entry.running.fetch_sub(1, Ordering::Release) == 1 {
            self.entry.waiting.wake();
        }
    }
}
