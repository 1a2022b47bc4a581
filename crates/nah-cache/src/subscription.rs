//! A snapshot, then everything after it.

mod backlog;
mod filtered;
mod meter;
mod walk;

use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_core::Stream;
use nah_core::{DecodeError, Object, View};

use crate::{CacheError, Event, store::Store};
pub(crate) use backlog::{Backlog, Change};
pub use filtered::Filtered;
pub use meter::SubscriberStatus;

/// What is in the cache as `Added` events, then everything that changes after it: no gap, no double.
///
/// Begins at any time, any number of times; dropping it ends it. It ends when the informer stops. A reader that lags
/// holds up nobody: what it has not seen yet is merged by key, so that its backlog is bounded by what it knows plus
/// what there is, and the final state of every key reaches it. An object that does not read as `V` is an `Err`, after
/// which the stream goes on.
pub struct Subscription<V = Object> {
    place: Place,
    view: PhantomData<fn() -> V>,
}

/// A place among a store's subscribers, given back when dropped.
struct Place {
    backlog: Arc<Backlog>,
    store: Arc<Store>,
}

impl<V: View> Subscription<V> {
    pub(crate) fn new(store: Arc<Store>) -> Result<Self, CacheError> {
        Ok(Self { place: Place { backlog: store.subscribe()?, store }, view: PhantomData })
    }

    /// The same subscription, read as `W` from here on.
    pub fn typed<W: View>(self) -> Subscription<W> {
        Subscription { place: self.place, view: PhantomData }
    }

    /// Only the objects that pass: one that begins to is `Added`, one that ceases to is `Deleted`. Asks before
    /// anything is decoded.
    #[doc(alias = "FilteringResourceEventHandler")]
    pub fn filtered<F: FnMut(&Object) -> bool>(self, passes: F) -> Filtered<V, F> {
        Filtered::new(self.typed(), passes)
    }

    /// The same subscription under a name, by which `status()` tells it from others. The first name stands.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        self.place.backlog.meter.name(name.into());
        self
    }

    /// Has every object that this subscriber knows come a second time, as [`Event::Updated`] whose `old` is its `new`.
    ///
    /// Asks the server for nothing. An object that changes before its turn comes as that change only, so that nothing
    /// older follows something newer; changes and second looks take turns. Does nothing while the objects are still
    /// coming for the first time, or for the second.
    #[doc(alias = "Resync")]
    pub fn resync(&self) {
        self.place.store.look_again(&self.place.backlog);
    }

    /// How the subscriber keeps up.
    pub fn status(&self) -> SubscriberStatus {
        self.place.backlog.status()
    }

    /// Whether the kind is synced and everything that was there at first has been yielded.
    ///
    /// A task that waits on the stream is woken when that comes about without an event, too.
    pub fn has_synced(&self) -> bool {
        self.place.backlog.has_synced()
    }

    pub(crate) fn backlog(&self) -> &Arc<Backlog> {
        &self.place.backlog
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.place.store
    }
}

impl<V: View> Stream for Subscription<V> {
    type Item = Result<Event<V>, DecodeError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Decoding happens here, under no lock, at the reader's expense.
        self.place.backlog.poll(context).map(|event| event.map(Event::typed))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.store.unsubscribe(&self.backlog);
    }
}

impl<V: View> fmt::Debug for Subscription<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut subscription = f.debug_struct("Subscription");
        subscription.field("kind", &self.place.store.gvk().kind).field("has_synced", &self.has_synced());
        subscription.finish_non_exhaustive()
    }
}
