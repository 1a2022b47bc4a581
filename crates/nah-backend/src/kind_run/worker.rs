//! What empties the queue of a kind: keys are handed out, callbacks run, and the verdict goes back.

use std::{
    pin::{Pin, pin},
    sync::Arc,
};

use nah_cache::CacheError;
use nah_client::{CachedClient, OptionalExt as _, Reader as _, ReaderExt as _};
use nah_core::{Causes, GroupVersionKind, Object, ObjectKey, panics::quietly};
use nah_trigger::{Claim, Lane, Queue};
use nah_watch::{Change, Links, Report};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFuture},
    task::TaskTracker,
};

use super::KindRun;
use crate::{
    lifecycle::{Lifecycle, Phase},
    slots::Slots,
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
    pub(super) slots: Arc<Slots>,
}

/// What became of a key that was worked on.
enum Verdict {
    Ran(Report),
    /// The backend ends, or is paused: it was not worked on, or not to the end.
    Cut,
    /// Nobody was called.
    Unread(nah_client::Error),
    /// It was asked for before it was known where the kind lives: no object can stand at it, but at this one, if at any.
    Elsewhere(Option<ObjectKey>),
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
            let slot = async {
                if !ready {
                    kind.ready().await;
                    ready = true;
                }
                if keys.ready().await { slots.take().await } else { None }
            };
            let slot = tokio::select! {
                biased;
                _ = self.phase.wait_for(|phase| *phase != Phase::Started) => continue,
                () = self.kind.closed.cancelled() => break,
                slot = slot => slot,
            };
            let Some(slot) = slot else { break };
            // None where a run that was at its end has taken it.
            let Some(claim) = self.kind.queue.try_next() else { continue };
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

    /// Works on one key after the other, in a place among those of its kind and among all, as long as there are any.
    async fn run(self, mut claim: Claim<ObjectKey, Work>, _places: [OwnedSemaphorePermit; 2]) {
        let mut cut = pin!(self.cut.cancelled());
        loop {
            let verdict = self.work_on(&claim, cut.as_mut()).await;
            self.conclude(claim, verdict);
            tokio::task::coop::consume_budget().await;
            match self.next() {
                Some(next) => claim = next,
                None => return,
            }
        }
    }

    /// Another key for a run that is done with one: none where somebody waits for its place, or callbacks may not run any
    /// more.
    fn next(&self) -> Option<Claim<ObjectKey, Work>> {
        let may = *self.phase.borrow() == Phase::Started && !self.kind.closed.is_cancelled();
        if may && !self.slots.are_wanted() { self.kind.queue.try_next() } else { None }
    }

    async fn work_on(
        &self,
        claim: &Claim<ObjectKey, Work>,
        cut: Pin<&mut WaitForCancellationFuture<'_>>,
    ) -> Verdict {
        let gvk = self.kind.informer.gvk();
        // Through the overlay: at least as new as the event that caused this run, and as our own writes.
        let known = self.reads.lookup(gvk, claim.key());
        // What stands at the key is found there.
        if !matches!(&known, Ok(Some(object)) if object.key() == claim.key()) {
            let place = self.kind.place_of(claim.key());
            if place.as_ref() != Some(claim.key()) {
                return Verdict::Elsewhere(place);
            }
        }
        let known = match known {
            // Only the server knows.
            Err(nah_client::Error::Unsure { .. }) => Box::pin(self.read_live(gvk, claim.key())).await,
            known => Some(known),
        };
        let object = match known {
            Some(Ok(object)) => object,
            Some(Err(error)) => return Verdict::Unread(error),
            None => return Verdict::Cut,
        };
        // In its place from the start: what wraps a future moves it, and this one is large.
        let run = pin!(self.kind.callbacks.run(self.change(claim, object), &claim.cause().meant));
        tokio::select! {
            biased;
            () = cut => Verdict::Cut,
            report = Lifecycle::inside(&self.slots, run) => Verdict::Ran(report),
        }
    }

    /// Reads from the server; none where the backend is not started any more.
    async fn read_live(
        &self,
        gvk: &GroupVersionKind,
        key: &ObjectKey,
    ) -> Option<nah_client::Result<Option<Object>>> {
        let mut phase = self.phase.clone();
        tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase != Phase::Started) => None,
            read = self.reads.get_for_kind(gvk, key) => Some(read.optional()),
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

    fn conclude(&self, claim: Claim<ObjectKey, Work>, verdict: Verdict) {
        let kind = &self.kind.informer.gvk().kind;
        match verdict {
            Verdict::Ran(report) => self.conclude_run(claim, &report),
            Verdict::Cut | Verdict::Unread(nah_client::Error::Cache(CacheError::Stopped)) => claim.release(),
            // An error is no absence. Where the namespace has left the cache since the look at its place, the retry will
            // find no such place.
            Verdict::Unread(error) => {
                tracing::warn!(%kind, key = %claim.key(), %error, "cannot read");
                claim.retry();
            }
            Verdict::Elsewhere(Some(place)) => {
                let _ = self.kind.queue.add(place, claim.cause().clone(), Lane::Fresh);
                claim.done();
            }
            // Nothing is known of such an object, be it that its namespace has left the cache: nobody is told that it is
            // gone.
            Verdict::Elsewhere(None) => {
                tracing::warn!(%kind, key = %claim.key(), "key lies outside the cache, nobody is told of it");
                claim.done();
            }
        }
    }

    fn conclude_run(&self, mut claim: Claim<ObjectKey, Work>, report: &Report) {
        let gvk = self.kind.informer.gvk();
        for failure in &report.failures {
            let key = claim.key();
            if quietly(|| log(gvk, key, failure)).is_none() {
                quietly(
                    || tracing::warn!(kind = %gvk.kind, %key, handler = %failure.name, "callback failed"),
                );
            }
        }
        let requeue = report.requeue_after.map(|delay| (claim.key().clone(), delay));
        if let Some(retry) = report.retry(&claim.cause().meant) {
            let work = claim.cause_mut();
            work.meant = retry;
            // They have led to a run by now, and need not stay open for its retries.
            work.links = Links::default();
            let key = claim.key().clone();
            let delay = claim.retry();
            tracing::debug!(kind = %gvk.kind, %key, ?delay, "will retry");
        } else {
            claim.done();
        }
        if let Some((key, delay)) = requeue {
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
