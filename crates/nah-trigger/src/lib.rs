//! Delayed requeue of object keys.
#![allow(dead_code, unused_variables, missing_docs, clippy::all, missing_debug_implementations, clippy::todo)]

use futures_core::Stream;
use nah_core::*;
use std::{
    hash::Hash,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TriggerError {
    #[error("backend has stopped")]
    Stopped,
    #[error("no callback is registered for {}", gvk.kind)]
    NoCallback { gvk: GroupVersionKind },
    /// The cache would show nothing, and a callback would take that for a deletion.
    #[error("{key} lies outside the namespaces cached for {}", gvk.kind)]
    OutsideScope { gvk: GroupVersionKind, key: ObjectKey },
}
pub trait Trigger: Send + Sync {
    fn trigger_for_kind(
        &self,
        gvk: &GroupVersionKind,
        key: &ObjectKey,
        delay: Duration,
    ) -> Result<(), TriggerError>;
    /// Takes back the pending deadline of a key; what is already due still runs.
    fn cancel_for_kind(&self, gvk: &GroupVersionKind, key: &ObjectKey) -> Result<bool, TriggerError>;
}
pub trait TriggerExt: Trigger {
    fn trigger<K: Kind>(&self, key: impl Into<ObjectKey>, delay: Duration) -> Result<(), TriggerError> {
        self.trigger_for_kind(&K::kind_of(), &key.into(), delay)
    }
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

// The queue itself: of any key, and any cause that merges, so that it serves a loop of the user's own. The
// backend's cause carries the causes, the callbacks meant (all, or a late one alone) and the last known object.
pub trait Merge {
    fn merge(&mut self, newer: Self);
}
impl Merge for () {
    fn merge(&mut self, (): ()) {}
}
impl Merge for Causes {
    fn merge(&mut self, newer: Self) {
        *self = *self | newer;
    }
}
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct QueueOptions {
    pub backoff: Backoff,
    /// Of this many keys handed out, at least one comes from the background lane, if it has any.
    pub background_share: u32,
}
impl Default for QueueOptions {
    fn default() -> Self {
        Self { backoff: Backoff::default(), background_share: 8 }
    }
}
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Backoff {
    pub first: Duration,
    pub most: Duration,
    /// Share of each delay that is drawn at random, so that keys which failed together do not retry together.
    pub jitter: f32,
}
impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(500), most: Duration::from_secs(900), jitter: 0.1 }
    }
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    Fresh,
    Background,
}
pub fn queue<K: Clone + Eq + Hash + Send, C: Merge + Send>(
    options: QueueOptions,
) -> (QueueHandle<K, C>, Queue<K, C>) {
    todo!()
}
/// Cloneable; never blocks.
pub struct QueueHandle<K, C>(PhantomData<fn(K, C)>);
impl<K, C> Clone for QueueHandle<K, C> {
    fn clone(&self) -> Self {
        todo!()
    }
}
impl<K, C> QueueHandle<K, C> {
    pub fn add(&self, key: K, cause: C, lane: Lane) {}
    pub fn add_after(&self, key: K, cause: C, delay: Duration) {}
    pub fn cancel(&self, key: &K) -> bool {
        todo!()
    }
    /// Ends the stream once what is ready has been handed out; `len` counts what is not.
    pub fn close(&self) {}
    pub fn len(&self) -> usize {
        todo!()
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    pub fn stats(&self) -> QueueStats {
        todo!()
    }
}
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct QueueStats {
    pub ready: usize,
    pub delayed: usize,
    pub running: usize,
    pub oldest: Option<Duration>,
    pub retries: u64,
}
/// The one consumer. Yields a key only when asked, and never one whose claim is still held.
pub struct Queue<K, C>(PhantomData<fn() -> (K, C)>);
impl<K, C> Stream for Queue<K, C> {
    type Item = Claim<K, C>;
    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        todo!()
    }
}
/// A key being worked on. Dropped without a verdict (a panic, a cancelled future) it counts as failed.
#[must_use]
pub struct Claim<K, C>(K, C);
impl<K, C> Claim<K, C> {
    pub fn key(&self) -> &K {
        &self.0
    }
    pub fn cause(&self) -> &C {
        &self.1
    }
    /// Failures in a row so far.
    pub fn failures(&self) -> u32 {
        0
    }
    pub fn waited(&self) -> Duration {
        todo!()
    }
    /// Succeeded: forgets the failures and a pending retry, keeps a pending trigger.
    pub fn done(self) {}
    /// Failed: comes back after its backoff, which it returns. Where a retry was already pending (an event
    /// brought the key early) that deadline stands and the failure is not counted.
    pub fn retry(self) -> Duration {
        todo!()
    }
    /// Not worked on (shutdown): back to the head of its lane.
    pub fn release(self) {}
}
