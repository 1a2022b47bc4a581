//! What is known of the health of an informer.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    time::Duration,
};

use nah_core::{GroupVersionKind, ObjectKey, ResourceVersion};
use parking_lot::Mutex;
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::Instant,
};

use crate::{IndexStatus, SubscriberStatus};

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
    /// What it is doing; over several namespaces the worst of theirs.
    pub state: ScopeState,
    /// The same of each namespace that is listed and watched, or of all of them as one; empty before the driver is
    /// polled.
    pub scopes: Vec<ScopeStatus>,
    /// The version up to which the cache has seen the server; none over several namespaces.
    pub observed: Option<ResourceVersion>,
    /// A version of the server is no number, so versions have no order here: reads show what the cache holds, and our
    /// own writes only once the watch has brought them.
    pub unordered: bool,
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
    /// Indexes, owners included, in bytes.
    pub index_bytes: usize,
    /// How often an extractor of an index failed or panicked; the object then has no values in that index.
    pub index_failures: u64,
    /// How often the kind's transform failed, panicked, or changed which object it was given; the object is then kept
    /// as it came.
    pub transform_failures: u64,
    /// Each index that was added.
    pub indexes: Vec<IndexStatus>,
    /// Each handler and each subscription, in the order in which they came.
    pub subscribers: Vec<SubscriberStatus>,
}

/// How the list and watch of one scope of a kind is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ScopeStatus {
    /// The namespace; none is all of them, or the cluster.
    pub namespace: Option<String>,
    /// What it is doing.
    pub state: ScopeState,
    /// The version up to which the server was seen.
    pub observed: Option<ResourceVersion>,
    /// What went wrong last and has not come right since.
    pub last_error: Option<String>,
    /// How long ago the server was heard last.
    pub last_heard: Option<Duration>,
    /// How many lists were completed, and why they were begun.
    pub lists: BTreeMap<ListCause, u64>,
    /// How many objects have a state that could not be read.
    pub quarantined: usize,
}

impl ScopeStatus {
    /// How many lists were completed after the first one.
    pub fn relists(&self) -> u64 {
        self.lists.values().sum::<u64>().saturating_sub(1)
    }
}

/// What the list and watch of a scope is doing. The later ones are worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ScopeState {
    /// The cache follows the server.
    Watching,
    /// A list is under way.
    Listing,
    /// Nothing has been asked yet.
    #[default]
    Begun,
    /// Something went wrong; it is tried again soon.
    Waiting,
    /// The server does not serve the kind in this version. What was known of it stays, for another version of the kind
    /// may still have it, until a complete list says otherwise.
    Unserved,
    /// A panic, in a layer of the client or in an observer; it begins afresh soon.
    Panicked,
}

/// Why a scope was listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ListCause {
    /// Nothing was known yet.
    First,
    /// The version to watch from was too old.
    Expired,
    /// The watch failed in a way that leaves open what was missed.
    Failed,
    /// The watch told of something that could not be read.
    Unreadable,
    /// The server's history went backwards: a backup was restored.
    Backwards,
    /// Somebody asked for it.
    Refresh,
    /// There was a panic.
    Panicked,
}

/// What the reflectors of one kind report, shared with its informer. Beside the [`Store`](crate::store::Store), which
/// knows objects and versions, this knows errors, silence and quarantine.
#[derive(Debug)]
pub(crate) struct Health {
    /// Apart from their map, which has room for several where most kinds have one.
    scopes: Mutex<BTreeMap<Option<Arc<str>>, Box<ScopeHealth>>>,
    refreshes: broadcast::Sender<()>,
    /// 1 for namespaces, 0 for the cluster scope, and what is neither as long as discovery has not said.
    namespaced: AtomicU8,
}

#[derive(Debug, Default)]
struct ScopeHealth {
    last_heard: Option<Instant>,
    last_error: Option<String>,
    quarantined: HashMap<ObjectKey, String>,
    state: ScopeState,
    lists: BTreeMap<ListCause, u64>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            scopes: Mutex::default(),
            refreshes: broadcast::Sender::new(1),
            namespaced: AtomicU8::new(u8::MAX),
        }
    }
}

impl Health {
    /// Whether the kind lives in namespaces; none as long as discovery has not said.
    pub(crate) fn is_namespaced(&self) -> Option<bool> {
        match self.namespaced.load(Relaxed) {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(crate) fn set_namespaced(&self, namespaced: bool) {
        self.namespaced.store(namespaced.into(), Relaxed);
    }

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

    /// How each scope is; `observed` knows how far it has come.
    pub(crate) fn scopes(
        &self,
        observed: impl Fn(Option<&str>) -> Option<ResourceVersion>,
    ) -> Vec<ScopeStatus> {
        let scopes = self.scopes.lock();
        let status = |namespace: &Option<Arc<str>>, health: &ScopeHealth| ScopeStatus {
            namespace: namespace.as_deref().map(str::to_owned),
            state: health.state,
            observed: observed(namespace.as_deref()),
            last_error: health.last_error.clone(),
            last_heard: health.last_heard.map(|heard| heard.elapsed()),
            lists: health.lists.clone(),
            quarantined: health.quarantined.len(),
        };
        scopes.iter().map(|(namespace, health)| status(namespace, health)).collect()
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
        // That nobody is there to hear it is no failure.
        _ = self.refreshes.send(());
    }

    /// Sees every refresh from now on.
    pub(crate) fn refreshes(&self) -> broadcast::Receiver<()> {
        self.refreshes.subscribe()
    }

    pub(crate) fn heard(&self, scope: &Option<Arc<str>>) {
        self.with(scope, |health| health.last_heard = Some(Instant::now()));
    }

    /// `state` is what follows from it.
    pub(crate) fn failed(&self, scope: &Option<Arc<str>>, state: ScopeState, error: String) {
        self.with(scope, |health| {
            health.last_error = Some(error);
            health.turn(state);
        });
    }

    pub(crate) fn turn(&self, scope: &Option<Arc<str>>, state: ScopeState) {
        self.with(scope, |health| health.turn(state));
    }

    pub(crate) fn well(&self, scope: &Option<Arc<str>>) {
        self.with(scope, |health| health.last_error = None);
    }

    /// A complete list says which objects are bad; all others are good.
    pub(crate) fn listed(&self, scope: &Option<Arc<str>>, cause: ListCause, bad: HashMap<ObjectKey, String>) {
        self.with(scope, |health| {
            (health.quarantined, health.state) = (bad, ScopeState::Watching);
            *health.lists.entry(cause).or_default() += 1;
        });
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

/// Waits for a refresh; for ever where none can come any more.
pub(crate) async fn refreshed(refreshes: &mut broadcast::Receiver<()>) {
    if let Err(RecvError::Closed) = refreshes.recv().await {
        std::future::pending::<()>().await;
    }
    // Several by now are as good as one.
    *refreshes = refreshes.resubscribe();
}

impl ScopeHealth {
    /// Of a kind that is not served only a complete list says that it is, and of a panic only that it is over.
    fn turn(&mut self, state: ScopeState) {
        self.state = match self.state {
            ScopeState::Unserved | ScopeState::Panicked => self.state.max(state),
            _ => state,
        };
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
        health.failed(&a, ScopeState::Waiting, "forbidden".into());
        health.well(&b);
        assert_eq!(health.last_error().as_deref(), Some("forbidden"));
        health.well(&a);
        assert_eq!(health.last_error(), None);
    }
}
