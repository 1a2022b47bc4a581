//! What is known of the health of an informer.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use nah_core::{GroupVersionKind, ObjectKey, ResourceVersion};
use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};

/// The health of an informer, for people and probes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InformerStatus {
    /// The kind.
    pub gvk: GroupVersionKind,
    /// The namespace, where the informer has exactly one.
    pub namespace: Option<String>,
    /// The kind has been listed completely once.
    pub synced: bool,
    /// The version up to which the cache has seen the server; none over several namespaces.
    pub observed: Option<ResourceVersion>,
    /// How long ago the server was heard last; of several namespaces the one that was silent for the longest.
    pub last_heard: Option<Duration>,
    /// What went wrong last and has not come right since.
    #[doc(alias = "SetWatchErrorHandler")]
    #[doc(alias = "SetWatchErrorHandlerWithContext")]
    pub last_error: Option<String>,
    /// How many objects are held.
    pub objects: usize,
    /// How many objects have a state that could not be read; their last good one is held, if there was any.
    pub quarantined: usize,
    /// Encoded objects, in bytes.
    pub bytes: usize,
    /// Decoded objects of all kinds together, in bytes (estimated).
    pub hot_bytes: usize,
    /// How often an extractor of an index failed or panicked; the object then has no values in that index.
    pub index_failures: u64,
}

/// What the reflectors of one kind report, shared with its informer. Beside the [`Store`](crate::store::Store), which
/// knows objects and versions, this knows errors, silence and quarantine.
#[derive(Debug)]
pub(crate) struct Health {
    scopes: Mutex<BTreeMap<Option<Arc<str>>, ScopeHealth>>,
    refreshes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct ScopeHealth {
    last_heard: Option<Instant>,
    last_error: Option<String>,
    quarantined: HashMap<ObjectKey, String>,
}

impl Default for Health {
    fn default() -> Self {
        Self { scopes: Mutex::default(), refreshes: watch::Sender::new(0) }
    }
}

impl Health {
    /// What went wrong last and has not come right since, over all scopes.
    pub(crate) fn last_error(&self) -> Option<String> {
        self.scopes.lock().values().find_map(|scope| scope.last_error.clone())
    }

    /// How long ago the server was last heard by the scope that has been silent for the longest.
    pub(crate) fn last_heard(&self) -> Option<Duration> {
        let scopes = self.scopes.lock();
        let heard: Option<Vec<_>> = scopes.values().map(|scope| scope.last_heard).collect();
        heard?.into_iter().min().map(|heard| heard.elapsed())
    }

    /// How many objects are quarantined.
    pub(crate) fn quarantined(&self) -> usize {
        self.scopes.lock().values().map(|scope| scope.quarantined.len()).sum()
    }

    /// The objects that are quarantined, each with what is wrong with it.
    pub(crate) fn quarantine(&self) -> Vec<(ObjectKey, String)> {
        let scopes = self.scopes.lock();
        let all = scopes.values().flat_map(|scope| &scope.quarantined);
        let mut all: Vec<_> = all.map(|(key, error)| (key.clone(), error.clone())).collect();
        all.sort();
        all
    }

    pub(crate) fn is_spoiled(&self, scope: &Option<Arc<str>>) -> bool {
        self.scopes.lock().get(scope).is_some_and(|health| !health.quarantined.is_empty())
    }

    /// Asks every scope to list again and take every object anew.
    pub(crate) fn refresh(&self) {
        self.refreshes.send_modify(|count| *count += 1);
    }

    /// Sees every refresh from now on.
    pub(crate) fn refreshes(&self) -> watch::Receiver<u64> {
        self.refreshes.subscribe()
    }

    pub(crate) fn heard(&self, scope: &Option<Arc<str>>) {
        self.with(scope, |health| health.last_heard = Some(Instant::now()));
    }

    pub(crate) fn failed(&self, scope: &Option<Arc<str>>, error: String) {
        self.with(scope, |health| health.last_error = Some(error));
    }

    pub(crate) fn well(&self, scope: &Option<Arc<str>>) {
        self.with(scope, |health| health.last_error = None);
    }

    /// A complete list says which objects are bad; all others are good.
    pub(crate) fn listed(&self, scope: &Option<Arc<str>>, bad: HashMap<ObjectKey, String>) {
        self.with(scope, |health| health.quarantined = bad);
    }

    pub(crate) fn spoiled(&self, scope: &Option<Arc<str>>, key: ObjectKey, error: String) {
        self.with(scope, |health| _ = health.quarantined.insert(key, error));
    }

    pub(crate) fn healed(&self, scope: &Option<Arc<str>>, key: &ObjectKey) {
        self.with(scope, |health| _ = health.quarantined.remove(key));
    }

    /// Expects to hear of a scope.
    pub(crate) fn add(&self, scope: &Option<Arc<str>>) {
        self.with(scope, |_| {});
    }

    pub(crate) fn forget(&self, scope: &Option<Arc<str>>) {
        self.scopes.lock().remove(scope);
    }

    fn with(&self, scope: &Option<Arc<str>>, change: impl FnOnce(&mut ScopeHealth)) {
        let mut scopes = self.scopes.lock();
        match scopes.get_mut(scope) {
            Some(health) => change(health),
            None => change(scopes.entry(scope.clone()).or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tells_the_silence_of_the_most_silent_scope() {
        let (a, b) = (Some("a".into()), Some("b".into()));
        let health = Health::default();
        assert_eq!(health.last_heard(), None);
        health.heard(&a);
        health.add(&b);
        assert_eq!(health.last_heard(), None);
        tokio::time::advance(Duration::from_secs(5)).await;
        health.heard(&b);
        assert_eq!(health.last_heard(), Some(Duration::from_secs(5)));
        health.forget(&a);
        assert_eq!(health.last_heard(), Some(Duration::ZERO));
    }

    #[test]
    fn keeps_an_error_until_it_has_come_right() {
        let (a, b) = (Some("a".into()), Some("b".into()));
        let health = Health::default();
        health.failed(&a, "forbidden".into());
        health.well(&b);
        assert_eq!(health.last_error().as_deref(), Some("forbidden"));
        health.well(&a);
        assert_eq!(health.last_error(), None);
    }
}
