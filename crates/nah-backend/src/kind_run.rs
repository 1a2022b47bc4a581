//! One kind's loop: the only place where "an object changed" and "a deadline passed" become one change.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::StreamExt as _;
use nah_cache::{CacheError, Event, Informer, ListOptions, Subscription};
use nah_client::{CachedClient, OptionalExt as _, ReaderExt as _};
use nah_core::{Causes, GroupVersionKind, Object, ObjectKey};
use nah_trigger::{Claim, Lane, Queue, QueueHandle, QueueOptions, queue};
use nah_watch::{CallbackId, Callbacks, Change, Meant, Report};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    kube_backend::Inner,
    lifecycle::{Phase, inside},
    work::Work,
};

/// One kind with callbacks: who is told, what is queued, and how many run at once.
pub(crate) struct KindRun {
    pub(crate) callbacks: Callbacks,
    pub(crate) queue: QueueHandle<ObjectKey, Work>,
    pub(crate) informer: Informer,
    keys: Mutex<Option<Queue<ObjectKey, Work>>>,
    workers: Arc<Semaphore>,
    launched: AtomicBool,
    closed: CancellationToken,
}

/// What the loop of a kind borrows from the backend; not the backend itself, which would never be dropped.
#[derive(Clone)]
struct Loop {
    kind: Arc<KindRun>,
    reads: CachedClient,
    phase: watch::Receiver<Phase>,
    runs: TaskTracker,
    cut: CancellationToken,
    slots: Arc<Semaphore>,
}

impl KindRun {
    pub(crate) fn new(informer: Informer, workers: usize) -> Arc<Self> {
        let (queue, keys) = queue(QueueOptions::default());
        Arc::new(Self {
            callbacks: Callbacks::new(Arc::new(informer.gvk().clone())),
            queue,
            informer,
            keys: Mutex::new(Some(keys)),
            workers: Arc::new(Semaphore::new(workers.min(Semaphore::MAX_PERMITS))),
            launched: AtomicBool::new(false),
            closed: CancellationToken::new(),
        })
    }

    /// Starts the loop; false where it runs already.
    pub(crate) fn launch(self: &Arc<Self>, backend: &Inner) -> bool {
        let lifecycle = &backend.lifecycle;
        let Some(runtime) = lifecycle.runtime() else { return false };
        if self.launched.swap(true, Ordering::AcqRel) {
            return false;
        }
        let Some(keys) = self.keys.lock().take() else { return false };
        // Before the loop first runs, so that a callback registered after this call is either in the snapshot's audience
        // or gets a replay.
        let Ok(changes) = self.informer.subscribe() else { return false };
        let this = Loop {
            kind: self.clone(),
            reads: backend.reads.clone(),
            phase: lifecycle.watch(),
            runs: lifecycle.runs.clone(),
            cut: lifecycle.cut.clone(),
            slots: lifecycle.slots.clone(),
        };
        lifecycle.tasks.spawn_on(feed(self.clone(), changes), runtime);
        lifecycle.tasks.spawn_on(this.dispatch(keys), runtime);
        true
    }

    /// Shows a late callback, and it alone, what is there.
    pub(crate) fn replay(&self, to: CallbackId) {
        // Not synced: the snapshot that is still to come goes to every callback, this one included.
        let Ok(known) = self.informer.list(&ListOptions::default()) else { return };
        for object in known.handles() {
            let work = Work { causes: Causes::REPLAY, meant: Meant::Only([to].into()), last_known: None };
            self.queue.add(object.key().clone(), work, Lane::Background);
        }
    }

    /// Runs that are still asked for: due, delayed, or to be retried.
    pub(crate) fn keys_left(&self) -> usize {
        let stats = self.queue.stats();
        stats.ready + stats.delayed
    }

    /// Ends the loop and drops every callback.
    pub(crate) fn close(&self) {
        self.closed.cancel();
        self.queue.close();
        self.callbacks.close();
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
        self.queue.add(key, Work { last_known, ..Work::because(causes) }, lane);
    }
}

/// Turns the events of a kind into keys. Never waits for a callback, so the informer is never held up.
async fn feed(kind: Arc<KindRun>, mut changes: Subscription) {
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
    }
}

impl Loop {
    /// Hands out keys while the backend is started: first a worker, then a key, so that a key that waits for a worker
    /// is still in the queue, where newer causes merge into it.
    async fn dispatch(mut self, mut keys: Queue<ObjectKey, Work>) {
        while self.started().await {
            let Ok(worker) = self.kind.workers.clone().acquire_owned().await else { break };
            let claim = tokio::select! {
                biased;
                _ = self.phase.wait_for(|phase| *phase != Phase::Started) => continue,
                claim = keys.next() => claim,
            };
            let Some(claim) = claim else { break };
            self.runs.spawn(self.clone().run(claim, worker));
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

    /// Works on one key.
    async fn run(mut self, claim: Claim<ObjectKey, Work>, _worker: OwnedSemaphorePermit) {
        let cut = self.cut.clone();
        let Some(_slot) = self.slot().await else { return claim.release() };
        let report = tokio::select! {
            biased;
            () = cut.cancelled() => return claim.release(),
            report = inside(self.call_back(&claim)) => report,
        };
        match report {
            Ok(report) => self.conclude(claim, &report),
            // Its namespace has left the cache: what became of the object is not known, so nobody is told anything.
            Err(nah_client::Error::Cache(CacheError::OutsideScope { .. })) => claim.done(),
            Err(nah_client::Error::Cache(CacheError::Stopped)) => claim.release(),
            // An error is no absence: nobody was called, and the key comes back.
            Err(error) => {
                tracing::warn!(kind = %self.kind.informer.gvk().kind, key = %claim.key(), %error, "cannot read");
                claim.retry();
            }
        }
    }

    /// A slot among the callbacks of all kinds; none where the backend is not started any more.
    async fn slot(&mut self) -> Option<OwnedSemaphorePermit> {
        let slots = self.slots.clone();
        tokio::select! {
            biased;
            _ = self.phase.wait_for(|phase| *phase != Phase::Started) => None,
            slot = slots.acquire_owned() => slot.ok(),
        }
    }

    async fn call_back(&self, claim: &Claim<ObjectKey, Work>) -> nah_client::Result<Report> {
        let (gvk, key, work) = (self.kind.informer.gvk(), claim.key(), claim.cause());
        // Through the overlay: at least as new as the event that caused this run, and as our own writes.
        let object = self.reads.get_for_kind(gvk, key).await.optional()?;
        let mut change = Change::new(Arc::new(gvk.clone()), key.clone(), object);
        change.causes = work.causes;
        change.failures = claim.failures();
        change.waited = claim.waited();
        change.last_known = work.last_known.clone().filter(|last| !is_same(last, change.object.as_ref()));
        change.certain = change.object.is_some() || self.kind.informer.is_whole();
        Ok(self.kind.callbacks.run(change, &work.meant).await)
    }

    fn conclude(&self, claim: Claim<ObjectKey, Work>, report: &Report) {
        let (gvk, key) = (self.kind.informer.gvk(), claim.key().clone());
        for failure in &report.failures {
            log(gvk, &key, failure);
        }
        if report.wants_retry() {
            let delay = claim.retry();
            tracing::debug!(kind = %gvk.kind, %key, ?delay, "will retry");
        } else {
            claim.done();
        }
        let again = || Work::because(Causes::TRIGGER);
        match report.requeue_after {
            Some(delay) if delay.is_zero() => self.kind.queue.add(key, again(), Lane::Fresh),
            Some(delay) => self.kind.queue.add_after(key, again(), delay),
            None => {}
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

impl fmt::Debug for KindRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KindRun").field("gvk", self.informer.gvk()).finish_non_exhaustive()
    }
}
