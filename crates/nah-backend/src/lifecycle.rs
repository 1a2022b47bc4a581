//! preload, start, pause, shutdown: when informers run, when callbacks do, and how both end.

use std::{
    future::Future,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_core::future::BoxFuture;
use futures_util::{StreamExt as _, future::join_all};
use nah_cache::{Driver, InformerStatus};
use nah_core::{BoxError, GroupVersionKind, panics::quietly};
use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

use crate::{Shutdown, StartError, kube_backend::Inner, slots::Slots};

/// How long a run that is cut off has to reach its next await, and be dropped there.
const LAST_WORD: Duration = Duration::from_secs(5);

/// How far a backend has come. Ordered: whoever waits for a phase waits for it or a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Nothing has been asked of the server.
    New,
    /// Informers run, callbacks do not.
    Preloaded,
    /// Both run.
    Started,
    /// No key is handed out any more.
    Stopping,
    /// Nothing runs.
    Stopped,
}

/// What the phases of one backend are made of.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    phase: watch::Sender<Phase>,
    /// Counted while the phase is locked, so that a start that a pause came after does not undo it.
    pauses: AtomicU64,
    runtime: OnceLock<Handle>,
    /// Informers, handlers, the loops of kinds.
    pub(crate) tasks: TaskTracker,
    /// Runs of callbacks, and loops that may begin one. Closed from the start: its wait is for what is there.
    pub(crate) runs: TaskTracker,
    /// Ends the runs that are still going.
    pub(crate) cut: CancellationToken,
    /// Shutdowns that were called for from inside callbacks.
    signalled: TaskTracker,
    /// What the end leaves behind, as far as that is known.
    left: Mutex<Shutdown>,
    /// Callbacks of all kinds that may run at once.
    pub(crate) slots: Arc<Slots>,
}

/// Spawns what a shutdown waits for, on the runtime that the backend was first preloaded on.
pub(crate) struct Spawns<'a> {
    tasks: TaskTrackerToken,
    runtime: &'a Handle,
}

tokio::task_local! {
    /// Set while a callback runs, to the slots of its backend: what would wait for it must not.
    static INSIDE: Arc<Slots>;
}

impl Lifecycle {
    pub(crate) fn new(callbacks_at_once: usize) -> Self {
        let (runs, signalled) = (TaskTracker::new(), TaskTracker::new());
        runs.close();
        signalled.close();
        Self {
            phase: watch::Sender::new(Phase::New),
            pauses: AtomicU64::new(0),
            runtime: OnceLock::new(),
            tasks: TaskTracker::new(),
            runs,
            cut: CancellationToken::new(),
            signalled,
            left: Mutex::default(),
            slots: Slots::new(callbacks_at_once),
        }
    }

    /// Marks `run` as the inside of a callback.
    pub(crate) async fn inside<F: Future>(slots: &Arc<Slots>, run: F) -> F::Output {
        INSIDE.scope(slots.clone(), run).await
    }

    /// Whether a callback of this backend asks.
    fn is_inside(&self) -> bool {
        INSIDE.try_with(|slots| Arc::ptr_eq(slots, &self.slots)).unwrap_or(false)
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// A way to spawn what a shutdown waits for; none before the first preload, and where a shutdown has begun.
    pub(crate) fn spawns(&self) -> Option<Spawns<'_>> {
        let runtime = self.runtime.get()?;
        // Taken before the look at the phase: a shutdown that comes after it waits for what is spawned.
        let tasks = self.tasks.token();
        (self.phase() < Phase::Stopping).then_some(Spawns { tasks, runtime })
    }

    /// The backend was dropped without a shutdown: nobody can wait any more, so everything ends now.
    pub(crate) fn abandon(&self) {
        self.phase.send_replace(Phase::Stopped);
        self.cut.cancel();
    }

    /// Leaves the beginning behind; an error where the backend is going down already.
    fn preloaded(&self) -> Result<(), StartError> {
        self.phase.send_if_modified(|phase| {
            let may = *phase == Phase::New;
            *phase = (*phase).max(Phase::Preloaded);
            may
        });
        if self.phase() >= Phase::Stopping { Err(StartError::Stopped) } else { Ok(()) }
    }

    /// Lets callbacks run, unless the backend is going down or was paused since there were `pauses`.
    fn started(&self, pauses: u64) -> Result<(), StartError> {
        let mut started = Ok(());
        self.phase.send_if_modified(|phase| {
            started = self.not_overtaken(*phase, Some(pauses));
            let may = started.is_ok() && *phase < Phase::Started;
            if may {
                *phase = Phase::Started;
            }
            may
        });
        started
    }

    /// No key is handed out from now on; whoever is starting gives up.
    fn paused(&self) {
        self.phase.send_modify(|phase| {
            self.pauses.fetch_add(1, Ordering::Relaxed);
            if *phase == Phase::Started {
                *phase = Phase::Preloaded;
            }
        });
    }

    fn pauses(&self) -> u64 {
        self.pauses.load(Ordering::Relaxed)
    }

    /// Whether whoever began in `phase` or before it, with so many pauses behind him, may go on.
    fn not_overtaken(&self, phase: Phase, pauses: Option<u64>) -> Result<(), StartError> {
        match pauses {
            _ if phase >= Phase::Stopping => Err(StartError::Stopped),
            Some(pauses) if pauses != self.pauses() => Err(StartError::Paused),
            _ => Ok(()),
        }
    }
}

// === impl Spawns ===

impl Spawns<'_> {
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.task_tracker().spawn_on(task, self.runtime);
    }
}

// === impl Inner ===

impl Inner {
    pub(crate) async fn preload(&self) -> Result<(), StartError> {
        self.begin()?;
        self.synced(None).await
    }

    pub(crate) async fn start(&self) -> Result<(), StartError> {
        self.start_unless_paused(self.lifecycle.pauses()).await
    }

    /// Starts, unless there was a pause since there were `pauses`.
    async fn start_unless_paused(&self, pauses: u64) -> Result<(), StartError> {
        if self.lifecycle.phase() == Phase::Started {
            return Ok(());
        }
        self.begin()?;
        self.synced(Some(pauses)).await?;
        self.lifecycle.started(pauses)?;
        // After the phase: a kind registered in between sees it and launches itself.
        let kinds: Vec<_> = self.kinds.lock().known.values().cloned().collect();
        for kind in kinds {
            kind.launch(self);
        }
        Ok(())
    }

    pub(crate) async fn start_when(
        &self,
        gate: BoxFuture<'_, Result<(), BoxError>>,
    ) -> Result<(), StartError> {
        let pauses = self.lifecycle.pauses();
        self.begin()?;
        let gate = async {
            tokio::select! {
                biased;
                error = self.overtaken(Some(pauses)) => Err(error),
                open = gate => open.map_err(StartError::Gate),
            }
        };
        futures_util::future::try_join(gate, self.synced(Some(pauses))).await?;
        self.start_unless_paused(pauses).await
    }

    pub(crate) async fn pause(&self) {
        self.lifecycle.paused();
        if self.lifecycle.is_inside() {
            // Its own run is one of those that a pause waits for.
            return;
        }
        let mut phase = self.lifecycle.watch();
        tokio::select! {
            biased;
            () = self.lifecycle.runs.wait() => {}
            // Started again: what runs now is no longer what was to end.
            _ = phase.wait_for(|phase| *phase == Phase::Started) => {}
        }
    }

    pub(crate) async fn shutdown(self: Arc<Self>, grace: Duration) -> Shutdown {
        self.lifecycle.phase.send_if_modified(|phase| {
            let may = *phase < Phase::Stopping;
            *phase = (*phase).max(Phase::Stopping);
            may
        });
        // Also by those who come later: the first may have been dropped, or have more time than they have.
        if self.lifecycle.is_inside() {
            // Not among the tasks: it waits for those.
            let signalled = self.lifecycle.signalled.clone();
            signalled.spawn(async move { self.wind_down(grace).await });
            return Shutdown::default();
        }
        self.wind_down(grace).await;
        self.lifecycle.signalled.wait().await;
        self.lifecycle.left.lock().clone()
    }

    /// Starts the informers, if that has not been done.
    fn begin(&self) -> Result<(), StartError> {
        // Before anything changes: it panics outside a runtime.
        let runtime = self.lifecycle.runtime.get_or_init(Handle::current);
        // Held throughout, so that whoever finds the beginning made finds it complete.
        let mut driver = self.driver.lock();
        self.lifecycle.preloaded()?;
        if let Some(driver) = driver.take() {
            let tasks = self.lifecycle.tasks.clone();
            self.lifecycle.tasks.spawn_on(drive(driver, tasks, runtime.clone()), runtime);
            self.reads.release();
        }
        Ok(())
    }

    /// Waits until every kind that is not optional is synced, those included that are registered meanwhile; with
    /// `pauses`, as long as there are no more of them.
    async fn synced(&self, pauses: Option<u64>) -> Result<(), StartError> {
        let all = async {
            loop {
                let waiting: Vec<_> = self.unsynced().into_iter().map(|status| status.gvk).collect();
                if waiting.is_empty() {
                    return;
                }
                join_all(waiting.iter().map(|gvk| self.kind_synced(gvk))).await;
            }
        };
        tokio::select! {
            biased;
            error = self.overtaken(pauses) => Err(error),
            done = timeout(self.options.sync_timeout, all) => done.map_err(|_| StartError::NotSynced(self.unsynced())),
        }
    }

    /// Waits until whoever began with so many `pauses` behind him may not go on, and says why.
    async fn overtaken(&self, pauses: Option<u64>) -> StartError {
        let mut error = StartError::Stopped;
        let overtaken = |phase: &Phase| match self.lifecycle.not_overtaken(*phase, pauses) {
            Ok(()) => false,
            Err(why) => {
                error = why;
                true
            }
        };
        // Whatever ends the wait, the backend has stopped or what is told is why.
        let _ = self.lifecycle.watch().wait_for(overtaken).await;
        error
    }

    /// Returns as well when the kind was removed: the loop around looks again.
    async fn kind_synced(&self, gvk: &GroupVersionKind) {
        if let Some(informer) = self.informers.existing(gvk) {
            let _ = informer.wait_for_sync().await;
        }
        // A kind that ends again and again must not keep this loop from yielding.
        tokio::task::yield_now().await;
    }

    fn unsynced(&self) -> Vec<InformerStatus> {
        let optional =
            |gvk: &GroupVersionKind| self.options.kinds.get(gvk).is_some_and(|options| options.optional);
        let mut waiting = self.informers.status();
        waiting.retain(|status| !status.synced && !optional(&status.gvk));
        waiting
    }

    /// Callbacks, then handlers and informers, then everything they held.
    async fn wind_down(&self, grace: Duration) {
        let Lifecycle { runs, tasks, cut, left, .. } = &self.lifecycle;
        let ended = tokio::select! {
            biased;
            () = runs.wait() => true,
            // By somebody who had less time to give.
            () = cut.cancelled() => false,
            () = sleep(grace) => false,
        };
        if !ended {
            self.cut_off();
            if timeout(LAST_WORD, runs.wait()).await.is_err() {
                let blocked = self.kinds.lock().running();
                tracing::error!(?blocked, "callbacks hold their threads and cannot be cut off");
                // Another shutdown may have taken the kinds by now, and named what they ran.
                let mut left = left.lock();
                if left.blocked.is_empty() {
                    left.blocked = blocked;
                }
            }
        }
        // What was never driven still holds handlers.
        let driver = self.driver.lock().take();
        quietly(|| drop(driver));
        let kinds = std::mem::take(&mut *self.kinds.lock());
        let keys_left = kinds.known.values().map(|kind| kind.close()).sum::<usize>();
        left.lock().keys_left += keys_left;
        drop(kinds);
        self.reads.stop();
        quietly(|| self.informers.stop());
        tasks.close();
        if timeout(LAST_WORD, tasks.wait()).await.is_err() {
            // A thread that is held can hold up tasks that had their turn there.
            tracing::error!(tasks = tasks.len(), "tasks are held up by blocked callbacks or handlers");
            left.lock().tasks_left = tasks.len();
        }
        self.wire.cut().await;
        self.lifecycle.phase.send_replace(Phase::Stopped);
    }

    /// Ends the runs that are still going, by their names.
    fn cut_off(&self) {
        let mut left = self.lifecycle.left.lock();
        if !self.lifecycle.cut.is_cancelled() {
            left.cut_off = self.kinds.lock().running();
            // Wakes them, and runs none.
            self.lifecycle.cut.cancel();
        }
    }
}

/// Gives every informer and handler a task of its own.
async fn drive(mut driver: Driver, tasks: TaskTracker, runtime: Handle) {
    while let Some(task) = driver.next().await {
        tasks.spawn_on(task, &runtime);
    }
}
