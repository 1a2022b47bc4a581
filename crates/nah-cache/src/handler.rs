//! A closure that is told of every change.

mod options;

use std::{
    fmt,
    pin::{Pin, pin},
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;
use futures_util::future::{Either, poll_fn};
use nah_core::{View, panics::quietly};
use tokio::{
    sync::watch,
    time::{Instant, Sleep, sleep_until},
};

use crate::{Event, SubscriberStatus, Subscription, store::Store, subscription::Backlog};
pub use options::HandlerOptions;

/// How many events a handler is given before others have their turn.
const TURN: usize = 64;

/// A handler's place at its informer. Dropping it changes nothing: the handler stays for as long as the informer.
#[derive(Clone)]
pub struct HandlerRegistration {
    backlog: Arc<Backlog>,
    store: Weak<Store>,
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

    /// Shows the handler every object a second time, as [`Subscription::resync`] does. Nothing once it has ended.
    pub fn resync(&self) {
        if let Some(store) = self.store.upgrade() {
            store.look_again(&self.backlog);
        }
    }

    /// How the handler keeps up.
    pub fn status(&self) -> SubscriberStatus {
        self.backlog.status()
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
    options: HandlerOptions,
    handler: impl FnMut(Event<V>) + Send + 'static,
) -> (HandlerRegistration, impl Future<Output = ()> + Send + 'static) {
    let HandlerOptions { name, resync, passes } = options;
    let (told, state) = watch::channel(State::default());
    let backlog = subscription.backlog().clone();
    let registration =
        HandlerRegistration { backlog: backlog.clone(), store: Arc::downgrade(subscription.store()), state };
    if let Some(name) = name {
        backlog.meter.name(name);
    }
    let looks = resync.map(|period| Looks {
        period,
        next: Box::pin(sleep_until(soon(period))),
        store: subscription.store().clone(),
        backlog: backlog.clone(),
    });
    let events = match passes {
        None => Either::Left(subscription),
        Some(mut passes) => {
            let backlog = backlog.clone();
            Either::Right(subscription.filtered(move |object| {
                let passed = quietly(|| passes(object));
                passed.unwrap_or_else(|| {
                    tracing::error!(object = ?object, "filter of an event handler panicked");
                    backlog.meter.panicked();
                    false
                })
            }))
        }
    };
    (registration, run(events, backlog, looks, handler, told))
}

/// When a handler is shown everything a second time.
struct Looks {
    period: Duration,
    next: Pin<Box<Sleep>>,
    store: Arc<Store>,
    backlog: Arc<Backlog>,
}

impl Looks {
    fn poll(&mut self, context: &mut Context<'_>) {
        while self.next.as_mut().poll(context).is_ready() {
            self.store.look_again(&self.backlog);
            self.next.as_mut().reset(soon(self.period));
        }
    }
}

/// A little before the period is over, so that handlers which began together do not go on together.
fn soon(period: Duration) -> Instant {
    Instant::now() + period.mul_f64(1.0 - fastrand::f64() / 10.0)
}

async fn run<V: View>(
    events: impl Stream<Item = Result<Event<V>, nah_core::DecodeError>>,
    backlog: Arc<Backlog>,
    mut looks: Option<Looks>,
    mut handler: impl FnMut(Event<V>) + Send + 'static,
    told: watch::Sender<State>,
) {
    {
        let mut events = pin!(events);
        let mut turn = 0;
        loop {
            let next = poll_fn(|context| {
                // Here the handler has returned from everything that was yielded before.
                if backlog.has_synced() {
                    told.send_if_modified(|state| !std::mem::replace(&mut state.synced, true));
                }
                if let Some(looks) = &mut looks {
                    looks.poll(context);
                }
                events.as_mut().poll_next(context)
            });
            let Some(event) = next.await else { break };
            call(&backlog, &mut handler, event);
            turn = (turn + 1) % TURN;
            if turn == 0 {
                yield_now().await;
            }
        }
    }
    drop((handler, looks));
    told.send_modify(|state| state.ended = true);
}

fn call<V: View>(
    backlog: &Backlog,
    handler: &mut impl FnMut(Event<V>),
    event: Result<Event<V>, nah_core::DecodeError>,
) {
    let event = match event {
        Ok(event) => event,
        Err(error) => {
            backlog.meter.spared();
            tracing::warn!(%error, "handler is not told of an object that does not decode");
            return;
        }
    };
    backlog.meter.calling(true);
    // The handler's own state is all that a panic can leave broken, and it keeps being called by its own choice.
    if quietly(|| handler(event)).is_none() {
        backlog.meter.panicked();
        tracing::error!("event handler panicked");
    }
    backlog.meter.calling(false);
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
