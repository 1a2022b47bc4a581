//! One kind's loop: the only place where "an object changed" and "a deadline passed" become one change.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt as _};
use nah_cache::{CacheError, Event, Informer, RestMapper, Subscription};
use nah_client::{CachedClient, OptionalExt as _, Reader as _, ReaderExt as _};
use nah_core::{Causes, GroupVersionKind, Object, ObjectKey};
use nah_trigger::{Claim, Lane, Queue, QueueHandle, QueueOptions, queue};
use nah_watch::{CallbackId, Callbacks, Change, Links, Report};
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    kube_backend::Inner,
    lifecycle::{Lifecycle, Phase},
    work::Work,
};

/// One kind with callbacks: who is told, what is queued, and how many run at once.
pub(crate) struct KindRun {
    pub(crate) callbacks: Callbacks,
    pub(crate) queue: QueueHandle<ObjectKey, Work>,
    pub(crate) informer: Informer,
    /// Its runs, and those of a kind of this name that was removed before them.
    pub(crate) runs: TaskTracker,
    mapper: Arc<dyn RestMapper>,
    namespaced: OnceLock<bool>,
    keys: Mutex<Option<Queue<ObjectKey, Work>>>,
    workers: Arc<Semaphore>,
    resync: Option<Duration>,
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
    /// A kind whose first run waits for those that are still under way `before` it.
    pub(crate) fn new(
        informer: Informer,
        mapper: Arc<dyn RestMapper>,
        workers: usize,
<<<<<<< HEAD
        options: QueueOptions<ObjectKey>,
=======
        resync: Option<Duration>,
>>>>>>> 07a3431 (backend: resync, causes with their ages; a shutdown leaves blocked callbacks behind and names those of removed kinds; tests by subject)
        before: Option<TaskTracker>,
    ) -> Arc<Self> {
        let (queue, keys) = queue(options);
        let runs = before.unwrap_or_default();
        runs.close();
        Arc::new(Self {
            callbacks: Callbacks::new(Arc::new(informer.gvk().clone())),
            queue,
            informer,
            runs,
            mapper,
            namespaced: OnceLock::new(),
            keys: Mutex::new(Some(keys)),
            workers: Arc::new(Semaphore::new(workers.clamp(1, Semaphore::MAX_PERMITS))),
            resync,
            launched: AtomicBool::new(false),
            closed: CancellationToken::new(),
        })
    }

    pub(crate) fn is_launched(&self) -> bool {
        self.launched.load(Ordering::Acquire)
    }

    /// Starts the loop; false where it runs already.
    pub(crate) fn launch(self: &Arc<Self>, backend: &Inner) -> bool {
        let lifecycle = &backend.lifecycle;
        let Some(runtime) = lifecycle.runtime() else { return false };
        // Taken before the look at the phase: a shutdown that comes after it waits for what is spawned here.
        let _token = lifecycle.tasks.token();
        if lifecycle.phase() >= Phase::Stopping {
            return false;
        }
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
        if let Some(period) = self.resync {
            lifecycle.tasks.spawn_on(resync(self.clone(), period, lifecycle.watch()), runtime);
        }
        lifecycle.tasks.spawn_on(this.dispatch(keys), runtime);
        true
    }

    /// Shows a late callback, and it alone, what is there.
    pub(crate) fn replay(&self, to: CallbackId) {
        // What is not there yet will be told to every callback, this one included.
        let Ok(mut known) = self.informer.subscribe() else { return };
        while let Some(Some(event)) = known.next().now_or_never() {
            let Ok(Event::Added { object, .. }) = event else { continue };
<<<<<<< HEAD
            let work = Work { causes: Causes::REPLAY, meant: Meant::only(to), last_known: None };
            // A queue that is closed belongs to a kind that has ended, and nobody is to be told any more.
            let _ = self.queue.add(object.key().clone(), work, Lane::Background);
=======
            self.queue.add(object.key().clone(), Work::replay(to), Lane::Background);
>>>>>>> 07a3431 (backend: resync, causes with their ages; a shutdown leaves blocked callbacks behind and names those of removed kinds; tests by subject)
        }
    }

    /// Where an object of `key` stands, as far as that is known by now: without a namespace, where its kind lives in
    /// none. None where the cache has no such place.
    pub(crate) fn place_of(&self, key: &ObjectKey) -> Option<ObjectKey> {
        match self.is_namespaced() {
            Some(false) => Some(ObjectKey::cluster(key.name())),
            Some(true) if key.namespace().is_none() => None,
            _ => self.informer.covers(key.namespace()).then(|| key.clone()),
        }
    }

    fn is_namespaced(&self) -> Option<bool> {
        if let Some(known) = self.namespaced.get() {
            return Some(*known);
        }
        // Discovery knows it once the kind is synced; before, a mapping that is polled may ask the server.
        if !self.informer.has_synced() {
            return None;
        }
        let mapping = self.mapper.mapping(self.informer.gvk()).now_or_never()?.ok()?;
        Some(*self.namespaced.get_or_init(|| mapping.namespaced))
    }

    /// Runs that are still asked for: due, delayed, or to be retried.
    pub(crate) fn keys_left(&self) -> usize {
        let stats = self.queue.stats();
        stats.ready + stats.delayed
    }

    /// Waits until keys can be worked on: the kind is synced, and nobody works on keys of one that was here before.
    async fn ready(&self) {
        self.runs.wait().await;
        // Ends as well where the kind is removed, and then there are no keys.
        let _ = self.informer.wait_for_sync().await;
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
<<<<<<< HEAD
        let _ = self.queue.add(key, Work { last_known, ..Work::because(causes) }, lane);
=======
        let span = tracing::debug_span!("event", kind = %self.informer.gvk().kind, %key);
        let links = span.in_scope(Links::current);
        self.queue.add(key, Work { last_known, links, ..Work::because(causes) }, lane);
    }
}

/// Offers every object that is there again, each time a period has passed while callbacks may run. Asks the server
/// nothing.
async fn resync(kind: Arc<KindRun>, period: Duration, phase: watch::Receiver<Phase>) {
    loop {
        tokio::select! {
            biased;
            () = kind.closed.cancelled() => return,
            () = sleep(period) => {}
        }
        if *phase.borrow() != Phase::Started {
            continue;
        }
        let Ok(mut known) = kind.informer.subscribe() else { return };
        while let Some(Some(event)) = known.next().now_or_never() {
            if let Ok(Event::Added { object, .. }) = event {
                kind.queue.add(object.key().clone(), Work::because(Causes::RESYNC), Lane::Background);
            }
            tokio::task::coop::consume_budget().await;
        }
>>>>>>> 07a3431 (backend: resync, causes with their ages; a shutdown leaves blocked callbacks behind and names those of removed kinds; tests by subject)
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
        // A first snapshot can be long, and is never waited for.
        tokio::task::coop::consume_budget().await;
    }
}

impl Loop {
    /// Hands out keys while the backend is started: first a worker, then a key, so that a key that waits for a worker
    /// is still in the queue, where newer causes merge into it.
    async fn dispatch(mut self, mut keys: Queue<ObjectKey, Work>) {
        let mut ready = false;
        while self.started().await {
            let Ok(worker) = self.kind.workers.clone().acquire_owned().await else { break };
            // Before the look at the phase, so that whoever changes it and then waits for the runs misses none.
            let _taking = self.runs.token();
            let kind = self.kind.clone();
            let claim = async {
                if !ready {
                    kind.ready().await;
                    ready = true;
                }
                keys.next().await
            };
            let claim = tokio::select! {
                biased;
                _ = self.phase.wait_for(|phase| *phase != Phase::Started) => continue,
                () = self.kind.closed.cancelled() => break,
                claim = claim => claim,
            };
            let Some(claim) = claim else { break };
            let run = self.kind.runs.track_future(self.clone().run(claim, worker));
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

    /// Works on one key.
    async fn run(mut self, claim: Claim<ObjectKey, Work>, _worker: OwnedSemaphorePermit) {
        let cut = self.cut.clone();
        let Some(_slot) = self.slot().await else { return claim.release() };
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

    /// A slot among the callbacks of all kinds; none where the backend is not started any more.
    async fn slot(&mut self) -> Option<OwnedSemaphorePermit> {
        let slots = self.slots.clone();
        tokio::select! {
            biased;
            _ = self.phase.wait_for(|phase| *phase != Phase::Started) => None,
            slot = slots.acquire_owned() => slot.ok(),
        }
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
            log(gvk, &key, failure);
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

impl fmt::Debug for KindRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KindRun").field("gvk", self.informer.gvk()).finish_non_exhaustive()
    }
}
