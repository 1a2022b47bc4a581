//! A closure that is told of every change.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use futures_core::Stream;
use futures_util::future::poll_fn;
use nah_core::View;
use tokio::sync::watch;

use crate::{Event, Subscription, subscription::Backlog};

/// How many events a handler is given before others have their turn.
const TURN: usize = 64;

/// A handler's place at its informer. Dropping it changes nothing: the handler stays for as long as the informer.
#[derive(Clone)]
pub struct HandlerRegistration {
    backlog: Arc<Backlog>,
    state: watch::Receiver<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    synced: bool,
    ended: bool,
}

impl HandlerRegistration {
    /// The kind is synced, and the handler has returned from every initial add.
    ///
    /// An add from which it panicked counts as told.
    pub fn has_synced(&self) -> bool {
        self.state.borrow().synced
    }

    /// Waits until [`has_synced`](Self::has_synced); at once where the handler has ended before it came so far.
    pub async fn wait_for_sync(&self) {
        let _ = self.state.clone().wait_for(|state| state.synced || state.ended).await;
    }

    /// Ends the handler and discards what it has not been told. A call in progress ends after this returns.
    ///
    /// Where the handler or the informer has ended already, nothing happens.
    #[doc(alias = "RemoveEventHandler")]
    pub fn remove(self) {
        self.backlog.close();
    }

    /// As [`remove`](Self::remove), and waits until the handler has returned and is dropped. Must not be awaited from
    /// inside the handler's own task.
    #[doc(alias = "ShutDownEventHandler")]
    pub async fn remove_and_wait(self) {
        self.backlog.close();
        // An error means that the task is gone, and the handler with it.
        let _ = self.state.clone().wait_for(|state| state.ended).await;
    }
}

impl fmt::Debug for HandlerRegistration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerRegistration").field("state", &*self.state.borrow()).finish_non_exhaustive()
    }
}

/// A handler's registration, and the task that calls it.
pub(crate) fn attach<V: View>(
    subscription: Subscription<V>,
    handler: impl FnMut(Event<V>) + Send + 'static,
) -> (HandlerRegistration, impl Future<Output = ()> + Send + 'static) {
    let (told, state) = watch::channel(State::default());
    let registration = HandlerRegistration { backlog: subscription.backlog().clone(), state };
    (registration, run(subscription, handler, told))
}

async fn run<V: View>(
    subscription: Subscription<V>,
    mut handler: impl FnMut(Event<V>) + Send + 'static,
    told: watch::Sender<State>,
) {
    let backlog = subscription.backlog().clone();
    let mut events = pin!(subscription);
    let mut turn = 0;
    loop {
        let next = poll_fn(|context| {
            // Here the handler has returned from everything that was yielded before.
            if backlog.has_synced() {
                told.send_if_modified(|state| !std::mem::replace(&mut state.synced, true));
            }
            events.as_mut().poll_next(context)
        });
        let Some(event) = next.await else { break };
        call(&mut handler, event);
        turn = (turn + 1) % TURN;
        if turn == 0 {
            yield_now().await;
        }
    }
    drop(handler);
    told.send_modify(|state| state.ended = true);
}

fn call<V: View>(handler: &mut impl FnMut(Event<V>), event: Result<Event<V>, nah_core::DecodeError>) {
    let event = match event {
        Ok(event) => event,
        Err(error) => {
            tracing::warn!(%error, "handler is not told of an object that does not decode");
            return;
        }
    };
    // The handler's own state is all that a panic can leave broken, and it keeps being called by its own choice.
    if catch_unwind(AssertUnwindSafe(|| handler(event))).is_err() {
        tracing::error!("event handler panicked");
    }
}

/// Lets others on this thread have their turn.
pub(crate) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests;
