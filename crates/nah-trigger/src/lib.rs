//! Delayed requeue of object keys.
//!
//! [`queue`] gives a pair: a [`QueueHandle`] that anyone asks for keys with, now or after a delay, and a [`Queue`], the
//! stream that its one consumer takes them from. Keys and causes are the user's own types; nothing here knows
//! Kubernetes but the two traits by which an operator's backend is asked, [`Trigger`] and [`TriggerExt`].
//!
//! What the queue promises of a key:
//! - Requests merge: a key asked for ten times before its turn is handed out once, in the order of the first request.
//! - It is never handed out while a [`Claim`] of it is held; any number of requests meanwhile make one more run.
//! - Of several delays the earliest counts, and fires once. A delay and an immediate request do not touch each other.
//! - A failure brings it back after a wait of its own, by a [`RetryPolicy`] such as [`Backoff`]; a success forgets that,
//!   but never a delay asked for.
//! - It does not wait for all the keys of another tenant: [`Classes`] of keys, if there are any, take turns.
//! - When nothing is left of it, nothing is kept of it.
//!
//! ```
//! use futures::StreamExt;
//! use nah_trigger::{Lane, QueueOptions, queue};
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let (handle, mut keys) = queue::<&str, ()>(QueueOptions::default());
//! handle.add_after("later", (), Duration::from_secs(60)).unwrap();
//! handle.add("now", (), Lane::Fresh).unwrap();
//! handle.add("now", (), Lane::Fresh).unwrap();
//!
//! let claim = keys.next().await.unwrap();
//! assert_eq!(*claim.key(), "now");
//! claim.done();
//!
//! let claim = keys.next().await.unwrap();
//! assert_eq!(*claim.key(), "later");
//! assert!(claim.retry() <= Duration::from_millis(500));
//! # }
//! ```

mod backoff;
mod claim;
mod classes;
mod durations;
mod error;
mod handle;
mod ledger;
mod list;
mod options;
mod pending;
mod policies;
mod policy;
mod queue;
mod ready;
mod retries;
mod stats;
mod sync;
mod tick;
mod token_bucket;
mod wheel;

use std::{hash::Hash, sync::Arc, time::Duration};

use nah_core::{Causes, GroupVersionKind, Kind, ObjectKey};

pub use backoff::Backoff;
pub use claim::Claim;
pub use classes::Classes;
pub use durations::Durations;
pub use error::{Closed, TriggerError};
pub use handle::QueueHandle;
pub use options::QueueOptions;
pub use pending::Pending;
pub use policies::{FastSlow, Fixed, LongestOf};
pub use policy::{Failed, RetryPolicy};
pub use queue::Queue;
pub use ready::Lane;
pub use stats::QueueStats;
pub use token_bucket::TokenBucket;

/// Asks for a callback of a key, now or after a delay.
///
/// Never blocks, and can be called from any thread, also from inside a callback for the key that it works on.
pub trait Trigger: Send + Sync {
    /// Asks for the callbacks of `key` after `delay`, counted from this call; zero is now.
    ///
    /// Of several delays that wait for a key the earliest counts, and fires once.
    ///
    /// # Errors
    /// A [`TriggerError`] where the request could never become a callback.
    #[doc(alias = "Trigger")]
    fn trigger_for_kind(
        &self,
        gvk: &GroupVersionKind,
        key: &ObjectKey,
        delay: Duration,
    ) -> Result<(), TriggerError>;

    /// Takes back the delay that waits for `key` and says whether there was one; what is already due still runs.
    ///
    /// # Errors
    /// As [`trigger_for_kind`](Self::trigger_for_kind).
    fn cancel_for_kind(&self, gvk: &GroupVersionKind, key: &ObjectKey) -> Result<bool, TriggerError>;
}

/// [`Trigger`] for kinds that the compiler knows.
pub trait TriggerExt: Trigger {
    /// Asks for the callbacks of the `K` at `key` after `delay`.
    ///
    /// # Errors
    /// As [`Trigger::trigger_for_kind`].
    fn trigger<K: Kind>(&self, key: impl Into<ObjectKey>, delay: Duration) -> Result<(), TriggerError> {
        self.trigger_for_kind(&K::kind_of(), &key.into(), delay)
    }

    /// Takes back the delay that waits for the `K` at `key`.
    ///
    /// # Errors
    /// As [`Trigger::trigger_for_kind`].
    fn cancel<K: Kind>(&self, key: impl Into<ObjectKey>) -> Result<bool, TriggerError> {
        self.cancel_for_kind(&K::kind_of(), &key.into())
    }
}

/// What a key is asked for, of which two can become one.
///
/// `merge` is called with the queue locked, as `Hash`, `Eq` and `Clone` of the key are: it must be short and must not
/// call the queue, which would wait for itself; with debug assertions it panics instead and says so. Where a method
/// panics, the cause stays as it then is, and the key keeps its turn.
pub trait Merge {
    /// Takes in what a newer request for the same key carries.
    fn merge(&mut self, newer: Self);

    /// Notes that the run for this failed and that it comes back as a retry.
    fn retried(&mut self) {}
}

/// A queue of keys, and the handle to fill it.
///
/// Works on any thread, with or without a runtime; the stream needs tokio's timer from the first delay on. What of `K` and
/// `C` runs while the queue is locked, and what it must not do, is told at [`Merge`].
pub fn queue<K: Clone + Eq + Hash + Send, C: Merge + Send>(
    options: QueueOptions<K>,
) -> (QueueHandle<K, C>, Queue<K, C>) {
    let handle = QueueHandle::new(options);
    let queue = Queue::new(&handle);
    (handle, queue)
}

impl<T: Trigger + ?Sized> TriggerExt for T {}

impl<T: Trigger + ?Sized> Trigger for Arc<T> {
    fn trigger_for_kind(
        &self,
        gvk: &GroupVersionKind,
        key: &ObjectKey,
        delay: Duration,
    ) -> Result<(), TriggerError> {
        (**self).trigger_for_kind(gvk, key, delay)
    }

    fn cancel_for_kind(&self, gvk: &GroupVersionKind, key: &ObjectKey) -> Result<bool, TriggerError> {
        (**self).cancel_for_kind(gvk, key)
    }
}

impl Merge for () {
    fn merge(&mut self, (): ()) {}
}

impl Merge for Causes {
    fn merge(&mut self, newer: Self) {
        *self |= newer;
    }

    fn retried(&mut self) {
        *self |= Self::RETRY;
    }
}
