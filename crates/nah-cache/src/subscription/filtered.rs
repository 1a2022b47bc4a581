//! The changes of those objects that pass a filter.

use std::{
    collections::HashSet,
    fmt,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use nah_core::{DecodeError, Object, ObjectKey, View};
use pin_project::pin_project;

use super::Subscription;
use crate::Event;

/// A subscription to the objects that pass a filter: one that begins to pass is `Added`, one that ceases to is
/// `Deleted`.
///
/// Which objects passed is remembered, so that a filter which changes its mind still tells every end once.
#[pin_project]
#[must_use = "a stream does nothing unless it is polled"]
pub struct Filtered<V, F> {
    #[pin]
    events: Subscription<Object>,
    passes: F,
    passed: HashSet<ObjectKey>,
    view: PhantomData<fn() -> V>,
}

impl<V, F> Filtered<V, F> {
    pub(crate) fn new(events: Subscription<Object>, passes: F) -> Self {
        Self { events, passes, passed: HashSet::new(), view: PhantomData }
    }

    /// As [`Subscription::resync`]; each object is asked whether it passes again.
    pub fn resync(&self) {
        self.events.resync();
    }

    /// As [`Subscription::has_synced`].
    pub fn has_synced(&self) -> bool {
        self.events.has_synced()
    }
}

impl<V: View, F: FnMut(&Object) -> bool> Stream for Filtered<V, F> {
    type Item = Result<Event<V>, DecodeError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        loop {
            let event = match ready!(this.events.as_mut().poll_next(context)) {
                Some(Ok(event)) => event,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            };
            if let Some(event) = filter(event, this.passes, this.passed) {
                return Poll::Ready(Some(event.typed()));
            }
        }
    }
}

/// What an event is to those who see only what passes.
fn filter(
    event: Event,
    passes: &mut impl FnMut(&Object) -> bool,
    passed: &mut HashSet<ObjectKey>,
) -> Option<Event> {
    let (before, now) = match &event {
        Event::Deleted { key, .. } => (passed.remove(key), false),
        Event::Added { object, .. } => (false, passes(object)),
        Event::Updated { new, .. } => (passed.contains(new.key()), passes(new)),
    };
    match (before, now, event) {
        (false, false, _) => None,
        (false, true, Event::Updated { new: object, .. }) => {
            passed.insert(object.key().clone());
            Some(Event::Added { object, initial: false })
        }
        (true, false, Event::Updated { old: last, new }) => {
            passed.remove(new.key());
            Some(Event::Deleted { key: new.key().clone(), last, tombstone: true })
        }
        (_, _, event) => {
            if now {
                passed.insert(event.key().clone());
            }
            Some(event)
        }
    }
}

impl<V, F> fmt::Debug for Filtered<V, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Filtered").field(&self.events).finish()
    }
}
