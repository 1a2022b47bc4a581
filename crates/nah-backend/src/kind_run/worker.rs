//! What empties the queue of a kind: keys are handed out, callbacks run, and the verdict goes back.

use std::sync::Arc;

use futures_util::StreamExt as _;
use nah_cache::CacheError;
use nah_client::{CachedClient, OptionalExt as _, Reader as _, ReaderExt as _};
use nah_core::{Causes, GroupVersionKind, Object, ObjectKey};
use nah_trigger::{Claim, Lane, Queue};
use nah_watch::{Change, Links, Report};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::KindRun;
use crate::{
    lifecycle::{Lifecycle, Phase},
    quiet::quietly,
    work::Work,
};

/// What the loop of a kind borrows from the backend; not the backend itself, which would never be dropped.
#[derive(Clone)]
pub(super) struct Loop {
    pub(super) kind: Arc<KindRun>,
    pub(super) reads: CachedClient,
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) runs: TaskTracker,
    pub(super) cut: CancellationToken,
    pub(super) slots: Arc<Semaphore>,
}

impl Loop {
    /// Hands out keys while the backend is started: a key last, after a worker of its kind and a slot among the callbacks
    /// of all kinds, so that a key that waits is still in the queue, where newer causes merge into it and lift it. A slot is
    /// asked for only where there is a key, so that a kind with nothing to do takes none from others.
    pub(super) async fn dispatch(mut self, mut keys: Queue<ObjectKey, Work>) {
        let mut ready = false;
        while self.started().await {
            let Ok(worker) = self.kind.workers.clone().acquire_owned().await else { break };
            // Before the look at the phase, so that whoever changes it and then waits for the runs misses none.
            let _taking = self.runs.token();
            let (kind, slots) = (self.kind.clone(), self.slots.clone());
            let claim = async {
                if !ready {
                    kind.ready().await;
                    ready = true;
                }
                if !keys.ready().await {
                    return None;
                }
                let slot = slots.acquire_owned().await.ok()?;
                keys.next().await.map(|claim| (claim, slot))
            };
            let claim = tokio::select! {
                biased;
                _ = self.phase.wait_for(|phase| *phase != Phase::Started) => continue,
                () = self.kind.closed.cancelled() => break,
                claim = claim => claim,
            };
            let Some((claim, slot)) = claim else { break };
            let run = self.kind.runs.track_future(self.clone().run(claim, [worker, slot]));
            self.runs.spawn(run);
        }
        // A queue without its consumer forgets its keys, and a shutdown counts them first.
        self.kind.closed.cancelled().await;
    }

    /// Waits until callbacks may run; false where they never will again.
    async fn started(&mut self) -> bool {
        let closed = self.kind.closed.clone();
        tokio::select! {
            biased;
            () = closed.cancelled() => false,
            phase = self.phase.wait_for(|phase| *phase >= Phase::Started) => {
                phase.is_ok_and(|phase| *phase == Phase::Started)
            }
        }
    }

    /// Works on one key, in its place among those of its kind and among all.
    async fn run(mut self, claim: Claim<ObjectKey, Work>, _places: [OwnedSemaphorePermit; 2]) {
        let cut = self.cut.clone();
        let Some(claim) = self.in_place(claim) else { return };
        let object = match self.read(claim.key()).await {
            Some(Ok(object)) => object,
            Some(Err(error)) => return self.unread(claim, &error),
            None => return claim.release(),
        };
        let change = self.change(&claim, object);
        let report = tokio::select! {
            biased;
            () = cut.cancelled() => return claim.release(),
            report = Lifecycle::inside(&self.slots, self.kind.callbacks.run(change, &claim.cause().meant)) => report,
        };
        self.conclude(claim, &report);
    }

    /// The claim, if an object can stand at its key. What was asked before it was known where the kind lives may not.
    fn in_place(&self, claim: Claim<ObjectKey, Work>) -> Option<Claim<ObjectKey, Work>> {
        let place = self.kind.place_of(claim.key());
        if place.as_ref() == Some(claim.key()) {
            return Some(claim);
        }
        let (kind, key) = (&self.kind.informer.gvk().kind, claim.key());
        match place {
            Some(place) => drop(self.kind.queue.add(place, claim.cause().clone(), Lane::Fresh)),
            // Nothing is known of such an object, and nobody is told that it is gone.
            None => tracing::warn!(%kind, %key, "key lies outside the cache, nobody is told of it"),
        }
        claim.done();
        None
    }

    /// Reads through the overlay: at least as new as the event that caused this run, and as our own writes. None
    /// where the backend is not started any more.
    async fn read(&mut self, key: &ObjectKey) -> Option<nah_client::Result<Option<Object>>> {
        let gvk = self.kind.informer.gvk();
        match self.reads.lookup(gvk, key) {
            // Only the server knows.
            Err(nah_client::Error::Unsure { .. }) => {}
            known => return Some(known),
        }
        tokio::select! {
            biased;
            _ = self.phase.wait_for(|phase| *phase != Phase::Started) => None,
            read = self.reads.get_for_kind(gvk, key) => Some(read.optional()),
        }
    }

    /// Concludes a run that called nobody, because an error is no absence.
    fn unread(&self, claim: Claim<ObjectKey, Work>, error: &nah_client::Error) {
        match error {
            // Its namespace has left the cache: what became of the object is not known, so nobody is told anything.
            nah_client::Error::Cache(CacheError::OutsideScope { .. }) => claim.done(),
            nah_client::Error::Cache(CacheError::Stopped) => claim.release(),
            error => {
                tracing::warn!(kind = %self.kind.informer.gvk().kind, key = %claim.key(), %error, "cannot read");
                claim.retry();
            }
        }
    }

    fn change(&self, claim: &Claim<ObjectKey, Work>, object: Option<Object>) -> Change {
        let work = claim.cause();
        let mut change = Change::new(self.kind.callbacks.gvk().clone(), claim.key().clone(), object);
        change.causes = work.since.causes();
        change.asked = work.since.asked();
        change.links = work.links.clone();
        change.failures = claim.failures();
        change.waited = claim.waited();
        change.last_known = work.last_known.clone().filter(|last| !is_same(last, change.object.as_ref()));
        change.certain = change.object.is_some() || self.kind.informer.is_whole();
        change
    }

    fn conclude(&self, mut claim: Claim<ObjectKey, Work>, report: &Report) {
        let (gvk, key) = (self.kind.informer.gvk(), claim.key().clone());
        for failure in &report.failures {
            if quietly(|| log(gvk, &key, failure)).is_none() {
                quietly(
                    || tracing::warn!(kind = %gvk.kind, %key, handler = %failure.name, "callback failed"),
                );
            }
        }
        if let Some(retry) = report.retry(&claim.cause().meant) {
            let work = claim.cause_mut();
            work.meant = retry;
            // They have led to a run by now, and need not stay open for its retries.
            work.links = Links::default();
            let delay = claim.retry();
            tracing::debug!(kind = %gvk.kind, %key, ?delay, "will retry");
        } else {
            claim.done();
        }
        if let Some(delay) = report.requeue_after {
            let _ = self.kind.queue.add_after(key, Work::because(Causes::TRIGGER), delay);
        }
    }
}

/// Whether the object that stands there now is the very one that was last known.
fn is_same(last: &Object, now: Option<&Object>) -> bool {
    now.is_some_and(|now| now.uid() == last.uid())
}

/// A conflict cures itself at the next run, on a newer object: nothing to wake anybody for.
fn log(gvk: &GroupVersionKind, key: &ObjectKey, failure: &nah_watch::CallbackFailure) {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&*failure.source);
    while let Some(error) = cause {
        if error.downcast_ref::<nah_client::Error>().is_some_and(nah_client::Error::is_conflict) {
            tracing::debug!(kind = %gvk.kind, %key, error = %failure, "conflict");
            return;
        }
        cause = error.source();
    }
    tracing::warn!(kind = %gvk.kind, %key, error = %failure, "callback failed");
}
