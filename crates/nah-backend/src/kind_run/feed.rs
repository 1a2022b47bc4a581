//! What fills the queue of a kind: its events, replays for late callbacks, and a second look at everything.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _};
use nah_cache::{Event, Subscription};
use nah_core::{Causes, ObjectKey, panics::quietly};
use nah_trigger::Lane;
use nah_watch::{CallbackId, Links};
use tokio::{sync::watch, time::sleep};

use super::KindRun;
use crate::{
    lifecycle::{Lifecycle, Phase},
    work::Work,
};

impl KindRun {
    /// Shows a late callback, and it alone, what is there. Not under the caller, who may have other things to do than to
    /// walk through a large kind.
    pub(crate) fn replay(self: &Arc<Self>, to: CallbackId, lifecycle: &Lifecycle) {
        if let Some(spawns) = lifecycle.spawns() {
            spawns.spawn(replay(self.clone(), to));
        }
    }

    /// The keys of what is there by now.
    fn known(&self) -> impl Iterator<Item = ObjectKey> + Send + use<> {
        let mut known = self.informer.subscribe().ok();
        let events = std::iter::from_fn(move || known.as_mut()?.next().now_or_never()?);
        events.filter_map(|event| match event {
            Ok(Event::Added { object, .. }) => Some(object.key().clone()),
            _ => None,
        })
    }

    /// Offers a key of which nothing is new.
    fn look_at(&self, key: ObjectKey, work: Work) {
        // A queue that is closed belongs to a kind that has ended, and nobody is to be told any more.
        let _ = self.queue.add(key, work, Lane::Background);
    }

    fn take_in(&self, event: Event) {
        let (key, causes, lane, last_known) = match event {
            Event::Added { object, initial: true, .. } => {
                (object.key().clone(), Causes::INITIAL, Lane::Background, None)
            }
            Event::Added { object, .. } => (object.key().clone(), Causes::EVENT, Lane::Fresh, None),
            Event::Updated { new, .. } => (new.key().clone(), Causes::EVENT, Lane::Fresh, None),
            Event::Deleted { key, last, .. } => (key, Causes::EVENT, Lane::Fresh, Some(last)),
            _ => return,
        };
        let span = || tracing::debug_span!("event", kind = %self.informer.gvk().kind, %key);
        // Whoever listens to spans may panic, and the kind would hear of nothing more.
        let links = quietly(|| span().in_scope(Links::current)).unwrap_or_default();
        let _ = self.queue.add(key, Work { last_known, links, ..Work::because(causes) }, lane);
    }
}

/// Offers every object that is there to one callback. What is not there yet will be told to all, this one included.
async fn replay(kind: Arc<KindRun>, to: CallbackId) {
    for key in kind.known() {
        kind.look_at(key, Work::replay(to));
        tokio::task::coop::consume_budget().await;
    }
}

/// Offers every object that is there again, each time a period has passed while callbacks may run. Asks the server
/// nothing.
pub(super) async fn resync(kind: Arc<KindRun>, period: Duration, phase: watch::Receiver<Phase>) {
    loop {
        tokio::select! {
            biased;
            () = kind.closed.cancelled() => return,
            () = sleep(period) => {}
        }
        if *phase.borrow() != Phase::Started {
            continue;
        }
        for key in kind.known() {
            kind.look_at(key, Work::because(Causes::RESYNC));
            tokio::task::coop::consume_budget().await;
        }
    }
}

/// Turns the events of a kind into keys. Never waits for a callback, so the informer is never held up.
pub(super) async fn feed(kind: Arc<KindRun>, mut changes: Subscription) {
    loop {
        let event = tokio::select! {
            biased;
            () = kind.closed.cancelled() => return,
            event = changes.next() => event,
        };
        match event {
            Some(Ok(event)) => kind.take_in(event),
            Some(Err(error)) => tracing::warn!(%error, "change not understood"),
            None => return,
        }
        // A first snapshot can be long, and is never waited for.
        tokio::task::coop::consume_budget().await;
    }
}
