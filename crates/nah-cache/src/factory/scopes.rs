//! Where the reflectors of a kind run: everywhere, or in each of some namespaces.

use std::{
    any::Any,
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use futures_util::FutureExt;
use nah_core::panics;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Kind, Shared};
use crate::{
    Applied, CacheError, ScopeState,
    reflector::{Backoff, Reflector},
    status::refreshed,
};

/// The reflectors of a kind.
#[derive(Default)]
pub(super) struct Scopes {
    running: HashMap<Option<Arc<str>>, Run>,
    /// Scopes whose task still has to take its objects out.
    leaving: HashMap<Option<Arc<str>>, CancellationToken>,
}

struct Run {
    leave: CancellationToken,
    /// Whether the objects of the scope are known to have ended when it leaves.
    ended: Arc<AtomicBool>,
    /// Cancelled by the task itself, as its last deed.
    gone: CancellationToken,
}

// === impl Shared ===

impl Shared {
    /// Asks until the server serves the kind, then begins its reflectors.
    pub(super) async fn discover(self: Arc<Self>, kind: Arc<Kind>) {
        let ended = kind.ended.clone();
        let discovery = async {
            let (started, mut backoff) = (Instant::now(), Backoff::default());
            let mut refreshes = kind.health.refreshes();
            loop {
                match self.mapper.lookup(&kind.gvk).await {
                    Ok(mapping) => break mapping.namespaced,
                    Err(error) => {
                        tracing::warn!(kind = %kind.gvk.kind, %error, "cannot map kind to resource");
                        let state = match error {
                            CacheError::UnknownKind { .. } => ScopeState::Unserved,
                            _ => ScopeState::Waiting,
                        };
                        kind.health.failed(&None, state, error.to_string());
                    }
                }
                tokio::select! {
                    biased;
                    () = refreshed(&mut refreshes) => self.mapper.ask_again(&kind.gvk),
                    () = sleep(backoff.failed(started.elapsed(), fastrand::f64())) => {}
                }
            }
        };
        let Some(namespaced) = ended.run_until_cancelled(discovery).await else { return };
        kind.health.forget(&None);
        self.settle(kind, namespaced).await;
    }

    /// Whether the kind has moved: its definition went away and came back with another scope. Then the reflectors that
    /// are wanted now begin, once those that are not have ended.
    pub(crate) fn has_moved(self: &Arc<Self>, kind: &Arc<Kind>, namespaced: bool) -> bool {
        if kind.health.is_namespaced() == Some(namespaced) || self.stand(kind, namespaced).is_empty() {
            return false;
        }
        // Refused only when the factory is stopped, here and below, and then there is nothing to do.
        _ = self.tasks.submit(self.clone().settle(kind.clone(), namespaced).boxed());
        true
    }

    async fn settle(self: Arc<Self>, kind: Arc<Kind>, namespaced: bool) {
        loop {
            let leaving = self.stand(&kind, namespaced);
            if leaving.is_empty() {
                return;
            }
            for gone in leaving {
                gone.cancelled().await;
            }
        }
    }

    /// Begins the reflectors of a kind where it lives. Where others are still there it has them leave instead, and
    /// answers what to wait for.
    fn stand(self: &Arc<Self>, kind: &Arc<Kind>, namespaced: bool) -> Vec<CancellationToken> {
        let namespaces = self.namespaces.lock();
        let mut scopes = kind.scopes.lock();
        let configured = match self.follows(kind) {
            true => namespaces.clone(),
            false => kind.selectors.namespaces.clone(),
        };
        let all: Vec<Option<Arc<str>>> = match (namespaced, kind.selectors.selected_namespace()) {
            (false, _) => vec![None],
            (true, Some(namespace)) => vec![Some(namespace.into())],
            (true, None) if configured.is_empty() => vec![None],
            (true, None) => configured.iter().map(|namespace| Some(namespace.as_str().into())).collect(),
        };
        let others: Vec<_> = scopes.running.keys().filter(|scope| !all.contains(scope)).cloned().collect();
        others.into_iter().for_each(|scope| scopes.leave(scope, true));
        let leaving =
            scopes.leaving.iter().filter(|(scope, gone)| !all.contains(scope) && !gone.is_cancelled());
        let leaving: Vec<_> = leaving.map(|(_, gone)| gone.clone()).collect();
        if !leaving.is_empty() {
            return leaving;
        }
        kind.health.set_namespaced(namespaced);
        // All before the first begins: a kind is synced when every scope it has is.
        for scope in &all {
            kind.store.add_scope(scope.as_deref());
            kind.health.add(scope);
        }
        for scope in all {
            _ = self.reflect(kind, &mut scopes, scope);
        }
        leaving
    }

    /// Begins the reflector of one scope, after one of the same scope has gone.
    pub(super) fn reflect(
        self: &Arc<Self>,
        kind: &Arc<Kind>,
        scopes: &mut Scopes,
        scope: Option<Arc<str>>,
    ) -> Result<(), CacheError> {
        if scopes.running.contains_key(&scope) {
            return Ok(());
        }
        let before = scopes.leaving.remove(&scope);
        let (leave, gone, over) =
            (kind.ended.child_token(), CancellationToken::new(), Arc::new(AtomicBool::new(false)));
        let run = Run { leave: leave.clone(), ended: over.clone(), gone: gone.clone() };
        let gone = gone.drop_guard();
        scopes.running.insert(scope.clone(), run);
        if before.is_none() {
            kind.store.add_scope(scope.as_deref());
        }
        let (shared, kind) = (self.clone(), kind.clone());
        let task = async move {
            let _gone = gone;
            if let Some(before) = before {
                before.cancelled().await;
                kind.store.add_scope(scope.as_deref());
            }
            // On the heap: whatever is awaited by value has its room twice.
            leave.run_until_cancelled(Box::pin(shared.clone().reflect_on(&kind, &scope))).await;
            if kind.ended.is_cancelled() {
                return;
            }
            // The scope was removed. By its own task, so that nothing of it can arrive afterwards.
            if let Some(seen) = kind.store.newest() {
                shared.raise_floor(&kind.gvk, &seen);
            }
            let scope = scope.as_deref();
            let told = |applied: &Applied<'_>| {
                if let Some(observer) = shared.observer() {
                    observer.applied(&kind.informer, scope, applied);
                }
            };
            // A definition takes its objects along.
            if over.load(Relaxed)
                && let Some(version) = kind.store.observed_in(scope)
            {
                let commit = kind.store.commit(scope, Vec::new(), 0, version.clone());
                // On the heap, here and below: most tasks never come here.
                let removed = Box::pin(commit).await;
                told(&Applied::List { removed: &removed, version: &version, backwards: false });
            }
            Box::pin(kind.store.leave(scope)).await;
            kind.health.forget(&scope.map(Arc::from));
            told(&Applied::Left);
        };
        self.tasks.submit(task.boxed())
    }

    /// Lists and watches a scope. A reflector runs what others have written: the layers of the client, an observer,
    /// whoever listens to what is logged. One that panics is followed by another, which takes everything anew.
    async fn reflect_on(self: Arc<Self>, kind: &Arc<Kind>, scope: &Option<Arc<str>>) {
        let (started, mut backoff) = (Instant::now(), Backoff::default());
        for recovers in std::iter::once(false).chain(std::iter::repeat(true)) {
            backoff.well(started.elapsed());
            let mut reflector = Reflector::new(self.clone(), kind.clone(), scope.clone());
            let Err(panic) = AssertUnwindSafe(reflector.run(recovers)).catch_unwind().await else { return };
            let error = format!("panicked: {}", message(&*panic));
            tracing::error!(kind = %kind.gvk.kind, scope = scope.as_deref(), error, "cannot list or watch");
            kind.health.failed(scope, ScopeState::Panicked, error);
            sleep(backoff.failed(started.elapsed(), fastrand::f64())).await;
        }
    }
}

// === impl Scopes ===

impl Scopes {
    /// Has the reflector of a scope end, which then takes its objects out: as ended, where nothing can be there any
    /// more, else without a word.
    pub(super) fn leave(&mut self, scope: Option<Arc<str>>, ended: bool) {
        if let Some(run) = self.running.remove(&scope) {
            run.ended.store(ended, Relaxed);
            run.leave.cancel();
            self.leaving.retain(|_, gone| !gone.is_cancelled());
            self.leaving.insert(scope, run.gone);
        }
    }
}

/// What a panic says.
pub(super) fn message(panic: &(dyn Any + Send)) -> &str {
    panics::message(panic).unwrap_or("without a message")
}
