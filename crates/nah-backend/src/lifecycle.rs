//! preload, start, pause, shutdown: when informers run, when callbacks do, and how both end.

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, future::join_all};
use nah_cache::{Driver, InformerStatus};
use nah_core::{GroupVersionKind, ObjectKey};
use tokio::{
    runtime::Handle,
    sync::{Mutex, OnceCell, Semaphore, watch},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Shutdown, StartError, kube_backend::Inner};

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
    /// Held through every change of phase, so that a start and a pause do not cross.
    turn: Mutex<()>,
    runtime: OnceCell<Handle>,
    /// Informers, handlers, the loops of kinds.
    pub(crate) tasks: TaskTracker,
    /// Runs of callbacks.
    pub(crate) runs: TaskTracker,
    /// Ends the runs that are still going.
    pub(crate) cut: CancellationToken,
    /// Callbacks of all kinds that may run at once.
    pub(crate) slots: Arc<Semaphore>,
}

tokio::task_local! {
    /// Set while a callback runs: what would wait for it must not.
    static INSIDE: ();
}

/// Marks `run` as the inside of a callback.
pub(crate) async fn inside<F: Future>(run: F) -> F::Output {
    INSIDE.scope((), run).await
}

fn is_inside() -> bool {
    INSIDE.try_with(|()| ()).is_ok()
}

impl Lifecycle {
    pub(crate) fn new(callbacks_at_once: usize) -> Self {
        Self {
            phase: watch::Sender::new(Phase::New),
            turn: Mutex::default(),
            runtime: OnceCell::new(),
            tasks: TaskTracker::new(),
            runs: TaskTracker::new(),
            cut: CancellationToken::new(),
            slots: Arc::new(Semaphore::new(callbacks_at_once.min(Semaphore::MAX_PERMITS))),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// The runtime that the backend was first preloaded on.
    pub(crate) fn runtime(&self) -> Option<&Handle> {
        self.runtime.get()
    }

    /// The backend was dropped without a shutdown: nobody can wait any more, so everything ends now.
    pub(crate) fn abandon(&self) {
        self.phase.send_replace(Phase::Stopped);
        self.cut.cancel();
    }

    /// Moves on unless the backend is going down already.
    fn advance(&self, to: Phase) -> Result<(), StartError> {
        let moved = self.phase.send_if_modified(|phase| {
            let may = *phase < Phase::Stopping;
            if may {
                *phase = to;
            }
            may
        });
        if moved { Ok(()) } else { Err(StartError::Stopped) }
    }
}

// === impl Inner ===

impl Inner {
    pub(crate) async fn preload(&self) -> Result<(), StartError> {
        let _turn = self.lifecycle.turn.lock().await;
        if self.lifecycle.phase() == Phase::Started {
            return self.synced().await;
        }
        self.sync().await
    }

    pub(crate) async fn start(&self) -> Result<(), StartError> {
        let _turn = self.lifecycle.turn.lock().await;
        if self.lifecycle.phase() == Phase::Started {
            return Ok(());
        }
        self.sync().await?;
        self.lifecycle.advance(Phase::Started)?;
        // After the phase: a kind registered in between sees it and launches itself.
        let kinds: Vec<_> = self.kinds.lock().values().cloned().collect();
        for kind in kinds {
            kind.launch(self);
        }
        Ok(())
    }

    pub(crate) async fn pause(&self) {
        if is_inside() {
            // Its own run is one of those that a pause waits for.
            self.lifecycle.phase.send_if_modified(started_to_preloaded);
            return;
        }
        let _turn = self.lifecycle.turn.lock().await;
        if self.lifecycle.phase.send_if_modified(started_to_preloaded) {
            self.lifecycle.runs.close();
            self.lifecycle.runs.wait().await;
            self.lifecycle.runs.reopen();
        }
    }

    pub(crate) async fn shutdown(self: Arc<Self>, grace: Duration) -> Shutdown {
        let first = self.lifecycle.phase.send_if_modified(|phase| {
            let may = *phase < Phase::Stopping;
            *phase = (*phase).max(Phase::Stopping);
            may
        });
        if is_inside() {
            if first {
                // Not tracked: it waits for everything that is.
                tokio::spawn(async move { self.wind_down(grace).await });
            }
            return Shutdown::default();
        }
        if first {
            return self.wind_down(grace).await;
        }
        let mut phase = self.lifecycle.watch();
        let _ = phase.wait_for(|phase| *phase == Phase::Stopped).await;
        Shutdown::default()
    }

    /// Starts the informers, if that has not been done, and waits for the first sync of every kind.
    async fn sync(&self) -> Result<(), StartError> {
        if self.lifecycle.phase() == Phase::New {
            self.lifecycle.advance(Phase::Preloaded)?;
            let runtime = self.lifecycle.runtime.get_or_init(|| async { Handle::current() }).await;
            if let Some(driver) = self.driver.lock().take() {
                let tasks = self.lifecycle.tasks.clone();
                self.lifecycle.tasks.spawn_on(drive(driver, tasks, runtime.clone()), runtime);
            }
            self.reads.release();
        }
        self.synced().await
    }

    /// Waits until every kind that is not optional is synced, those included that are registered meanwhile.
    async fn synced(&self) -> Result<(), StartError> {
        let mut phase = self.lifecycle.watch();
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
            _ = phase.wait_for(|phase| *phase >= Phase::Stopping) => Err(StartError::Stopped),
            done = timeout(self.options.sync_timeout, all) => done.map_err(|_| StartError::NotSynced(self.unsynced())),
        }
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
    async fn wind_down(&self, grace: Duration) -> Shutdown {
        let _turn = self.lifecycle.turn.lock().await;
        self.lifecycle.runs.close();
        let mut cut_off = Vec::new();
        if timeout(grace, self.lifecycle.runs.wait()).await.is_err() {
            cut_off = self.running();
            self.lifecycle.cut.cancel();
            self.lifecycle.runs.wait().await;
        }
        let kinds: Vec<_> = std::mem::take(&mut *self.kinds.lock()).into_values().collect();
        let keys_left = kinds.iter().map(|kind| kind.keys_left()).sum();
        kinds.iter().for_each(|kind| kind.close());
        drop(kinds);
        self.reads.stop();
        self.informers.stop();
        self.lifecycle.tasks.close();
        self.lifecycle.tasks.wait().await;
        self.lifecycle.phase.send_replace(Phase::Stopped);
        Shutdown { cut_off, keys_left }
    }

    fn running(&self) -> Vec<(String, GroupVersionKind, ObjectKey)> {
        let kinds = self.kinds.lock();
        let of_kind = |(gvk, kind): (&GroupVersionKind, &Arc<crate::kind_run::KindRun>)| {
            let gvk = gvk.clone();
            kind.callbacks.running().into_iter().map(move |(name, key)| (name.to_string(), gvk.clone(), key))
        };
        kinds.iter().flat_map(of_kind).collect()
    }
}

fn started_to_preloaded(phase: &mut Phase) -> bool {
    let may = *phase == Phase::Started;
    if may {
        *phase = Phase::Preloaded;
    }
    may
}

/// Gives every informer and handler a task of its own.
async fn drive(mut driver: Driver, tasks: TaskTracker, runtime: Handle) {
    while let Some(task) = driver.next().await {
        tasks.spawn_on(task, &runtime);
    }
}
