//! One kind's loop: the only place where "an object changed" and "a deadline passed" become one change.

mod feed;
mod worker;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use nah_cache::Informer;
use nah_core::ObjectKey;
use nah_trigger::{Queue, QueueHandle, queue};
use nah_watch::Callbacks;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::worker::Loop;
use crate::{KindOptions, builder::SHORTEST_RESYNC, kube_backend::Inner, work::Work};

/// One kind with callbacks: who is told, what is queued, and how many run at once.
pub(crate) struct KindRun {
    pub(crate) callbacks: Callbacks,
    pub(crate) queue: QueueHandle<ObjectKey, Work>,
    pub(crate) informer: Informer,
    /// Its runs, and those of a kind of this name that was removed before them.
    pub(crate) runs: TaskTracker,
    keys: Mutex<Option<Queue<ObjectKey, Work>>>,
    workers: Arc<Semaphore>,
    resync: Option<Duration>,
    launched: AtomicBool,
    closed: CancellationToken,
}

impl KindRun {
    /// A kind whose first run waits for those that are still under way `before` it.
    pub(crate) fn new(
        informer: Informer,
        workers: usize,
        options: KindOptions,
        before: Option<TaskTracker>,
    ) -> Arc<Self> {
        let (queue, keys) = queue(options.queue);
        let runs = before.unwrap_or_default();
        runs.close();
        Arc::new(Self {
            callbacks: Callbacks::new(Arc::new(informer.gvk().clone())),
            queue,
            informer,
            runs,
            keys: Mutex::new(Some(keys)),
            workers: Arc::new(Semaphore::new(workers.clamp(1, Semaphore::MAX_PERMITS))),
            resync: options.resync.map(|period| period.max(SHORTEST_RESYNC)),
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
        let Some(spawns) = lifecycle.spawns() else { return false };
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
        spawns.spawn(feed::feed(self.clone(), changes));
        if let Some(period) = self.resync {
            spawns.spawn(feed::resync(self.clone(), period, lifecycle.watch()));
        }
        spawns.spawn(this.dispatch(keys));
        true
    }

    /// Where an object of `key` stands, as far as that is known by now: without a namespace, where its kind lives in
    /// none. None where the cache has no such place.
    pub(crate) fn place_of(&self, key: &ObjectKey) -> Option<ObjectKey> {
        match self.informer.is_namespaced() {
            Some(false) => Some(ObjectKey::cluster(key.name())),
            Some(true) if key.namespace().is_none() => None,
            _ => self.informer.covers(key.namespace()).then(|| key.clone()),
        }
    }

    /// Waits until keys can be worked on: the kind is synced, and nobody works on keys of one that was here before.
    async fn ready(&self) {
        self.runs.wait().await;
        // Ends as well where the kind is removed, and then there are no keys.
        let _ = self.informer.wait_for_sync().await;
    }

    /// Ends the loop and drops every callback. Says how many runs are still asked for: due, delayed, or to be retried.
    pub(crate) fn close(&self) -> usize {
        self.queue.close();
        // Counted once nobody can ask for more, and before the loop drops what waits.
        let stats = self.queue.stats();
        self.closed.cancel();
        self.callbacks.close();
        stats.ready + stats.again + usize::try_from(stats.dropped).unwrap_or(usize::MAX)
    }
}

impl fmt::Debug for KindRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KindRun").field("gvk", self.informer.gvk()).finish_non_exhaustive()
    }
}
