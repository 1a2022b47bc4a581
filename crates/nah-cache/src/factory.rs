//! One informer a kind.

mod scopes;

use std::{
    cmp::Ordering,
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use futures_util::FutureExt;
use nah_core::{GroupVersionKind, KindMap, ResourceVersion, panics::caught};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use scopes::{Scopes, message};

use crate::{
    CacheError, CacheFactory, CacheOptions, Driver, Extract, FieldIndexer, Informer, InformerStatus,
    Observer, RestMapper,
    driver::{Tasks, tasks},
    options::Scope,
    rest_mapper::Discovery,
    status::Health,
    store::{Common, Store},
};

/// One informer a kind, however many use it. Cloneable; all clones are one factory.
#[derive(Clone)]
pub struct InformerFactory(Arc<Shared>);

/// A factory over `client`, and the driver that does its work.
///
/// No request is made before the driver is polled, whatever is asked of the factory. `client` is taken as it is: one
/// whose retries are kube's default hides for minutes that a server is busy. [`connect`](crate::connect) makes one that
/// has none, and notices dead connections sooner.
pub fn informers(client: kube_client::Client, options: CacheOptions) -> (InformerFactory, Driver) {
    let (tasks, driver) = tasks();
    let (common, upkeep) = Common::new(options.hot_bytes);
    // The driver is there, so it takes its first task.
    _ = tasks.submit(upkeep.run().boxed());
    let shared = Shared {
        mapper: Arc::new(Discovery::new(client)),
        lists: Arc::new(Semaphore::new(options.concurrent_lists.max(1))),
        namespaces: Mutex::new(options.namespaces.clone()),
        streaming: AtomicBool::new(true),
        observer: OnceLock::new(),
        kinds: Mutex::default(),
        floors: Mutex::default(),
        common,
        options,
        tasks,
    };
    (InformerFactory(Arc::new(shared)), driver)
}

/// A kind that its factory knows no more; it ends when this is dropped.
#[must_use = "the kind ends when this is dropped"]
pub struct DetachedKind(Option<Arc<Kind>>);

/// What the reflectors of all kinds share.
pub(crate) struct Shared {
    pub(crate) options: CacheOptions,
    pub(crate) mapper: Arc<Discovery>,
    /// Lists being taken in, over all kinds.
    pub(crate) lists: Arc<Semaphore>,
    /// What the stores of all kinds share.
    common: Arc<Common>,
    tasks: Tasks,
    namespaces: Mutex<Vec<String>>,
    /// The server may know WatchList.
    streaming: AtomicBool,
    observer: OnceLock<Arc<dyn Observer>>,
    kinds: Mutex<KindMap<Arc<Kind>>>,
    /// By group and kind: the versions of a kind share their objects.
    floors: Mutex<HashMap<(String, String), ResourceVersion>>,
}

/// One kind that somebody asked for.
pub(crate) struct Kind {
    pub(crate) gvk: Arc<GroupVersionKind>,
    pub(crate) store: Arc<Store>,
    pub(crate) health: Arc<Health>,
    pub(crate) selectors: Arc<Scope>,
    pub(crate) page_size: Option<u32>,
    pub(crate) informer: Informer,
    /// Ends every task of the kind.
    ended: CancellationToken,
    scopes: Mutex<Scopes>,
}

impl CacheFactory for InformerFactory {
    fn informer_for_kind(&self, gvk: &GroupVersionKind) -> Result<Informer, CacheError> {
        Ok(self.kind(gvk)?.informer.clone())
    }
}

impl FieldIndexer for InformerFactory {
    fn add_index(&self, gvk: &GroupVersionKind, field: &str, extract: Extract) -> Result<(), CacheError> {
        self.kind(gvk)?.informer.add_index(field, extract)
    }
}

impl InformerFactory {
    /// The mapper of kinds to resources that the reflectors use.
    pub fn rest_mapper(&self) -> Arc<dyn RestMapper> {
        self.0.mapper.clone()
    }

    /// Has `observer` told of everything that is applied to any store. At most one, before the first informer.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        if self.0.observer.set(observer).is_err() {
            tracing::warn!("a second observer of the cache is ignored");
        }
    }

    /// The informer of `gvk` if somebody asked for it.
    pub fn existing(&self, gvk: &GroupVersionKind) -> Option<Informer> {
        self.0.kinds.lock().get(gvk).map(|kind| kind.informer.clone())
    }

    /// Whether objects of the kind, in whatever version of its group, are kept without what a transform drops.
    pub fn trims(&self, gvk: &GroupVersionKind) -> bool {
        let mut kinds = self.0.options.kinds.iter();
        kinds.any(|(other, options)| family(other) == family(gvk) && options.transform.is_some())
    }

    /// Whether the cache asks for the metadata of this kind alone.
    pub fn keeps_metadata_only(&self, gvk: &GroupVersionKind) -> bool {
        self.0.options.kinds.get(gvk).is_some_and(|options| options.metadata_only)
    }

    /// The first list of this kind, in whatever version of its group, asks for `version` or a newer one (the highest
    /// that was written or seen here).
    pub fn raise_floor(&self, gvk: &GroupVersionKind, version: &ResourceVersion) {
        self.0.raise_floor(gvk, version);
    }

    /// Caches one namespace more, of every kind that lives in namespaces and has none of its own. Nothing to do where
    /// all namespaces are cached.
    ///
    /// # Errors
    /// [`CacheError::Stopped`] after `stop`.
    pub fn add_namespace(&self, namespace: &str) -> Result<(), CacheError> {
        if self.0.tasks.is_stopped() {
            return Err(CacheError::Stopped);
        }
        {
            let mut namespaces = self.0.namespaces.lock();
            if namespaces.is_empty() || namespaces.iter().any(|known| known == namespace) {
                return Ok(());
            }
            namespaces.push(namespace.to_owned());
        }
        // A kind that is not among these yet will see the namespace when it is discovered.
        self.kinds().iter().filter(|kind| self.0.follows(kind)).try_for_each(|kind| {
            let mut scopes = kind.scopes.lock();
            match kind.health.is_namespaced() {
                Some(true) => self.0.reflect(kind, &mut scopes, Some(namespace.into())),
                _ => Ok(()),
            }
        })
    }

    /// Caches one namespace less. Its objects leave the cache once the driver is polled; subscribers are told nothing,
    /// since what leaves the cache is not gone.
    ///
    /// The last namespace cannot be removed: no namespace means all of them.
    pub fn remove_namespace(&self, namespace: &str) {
        {
            let mut namespaces = self.0.namespaces.lock();
            if namespaces.len() < 2 {
                return;
            }
            namespaces.retain(|known| known != namespace);
        }
        for kind in self.kinds().iter().filter(|kind| self.0.follows(kind)) {
            let mut scopes = kind.scopes.lock();
            scopes.leave(Some(namespace.into()), false);
        }
    }

    /// Ends the kind: its watch, its store, its subscriptions. A later use begins afresh.
    pub fn remove_kind(&self, gvk: &GroupVersionKind) {
        drop(self.detach_kind(gvk));
    }

    /// As [`remove_kind`](Self::remove_kind), but what it ended ends when the answer is dropped, which runs code of
    /// others (that of what handlers and extractors hold): for callers with a lock.
    pub fn detach_kind(&self, gvk: &GroupVersionKind) -> DetachedKind {
        let removed = self.0.kinds.lock().remove(gvk);
        // Whoever read it must not be shown older states once it is back.
        if let Some(seen) = removed.as_ref().and_then(|kind| kind.store.newest()) {
            self.raise_floor(gvk, &seen);
        }
        DetachedKind(removed)
    }

    /// The namespaces of which `gvk` is cached, if it lives in namespaces at all; none is all of them.
    pub fn namespaces(&self, gvk: &GroupVersionKind) -> Vec<String> {
        let scope = self.0.options.scope(gvk, &self.0.namespaces.lock());
        match scope.selected_namespace() {
            Some(namespace) => vec![namespace.to_owned()],
            None => scope.namespaces,
        }
    }

    /// The health of every kind, sorted by group, version and kind.
    pub fn status(&self) -> Vec<InformerStatus> {
        let mut all: Vec<_> = self.kinds().iter().map(|kind| kind.informer.status()).collect();
        all.sort_by(|a, b| {
            let name = |status: &InformerStatus| {
                (status.gvk.group.clone(), status.gvk.version.clone(), status.gvk.kind.clone())
            };
            name(a).cmp(&name(b))
        });
        all
    }

    /// Ends everything; afterwards every call answers `Stopped`, and no handler or extractor is held.
    pub fn stop(&self) {
        self.0.tasks.stop();
        let kinds = std::mem::take(&mut *self.0.kinds.lock());
        for kind in kinds.values() {
            // What extractors hold is dropped here, and may panic; the others have to end all the same.
            let _ = caught(
                || kind.end(),
                |panic| {
                    tracing::error!(kind = %kind.gvk.kind, error = message(panic), "an extractor panicked when it was dropped");
                },
            );
        }
        self.0.mapper.disconnect();
    }

    fn kinds(&self) -> Vec<Arc<Kind>> {
        let mut kinds: Vec<_> = self.0.kinds.lock().values().cloned().collect();
        // In some order that is the same each time, so that what a seed has made happen once happens again.
        let name = |kind: &Arc<Kind>| [&kind.gvk.group, &kind.gvk.version, &kind.gvk.kind].map(String::clone);
        kinds.sort_by_cached_key(name);
        kinds
    }

    /// The kind, begun by whoever asks first.
    fn kind(&self, gvk: &GroupVersionKind) -> Result<Arc<Kind>, CacheError> {
        let mut kinds = self.0.kinds.lock();
        // Under the lock: `stop` empties the map after it has stopped the tasks.
        if self.0.tasks.is_stopped() {
            return Err(CacheError::Stopped);
        }
        if let Some(kind) = kinds.get(gvk) {
            return Ok(kind.clone());
        }
        let kind = self.0.make(gvk);
        self.0.tasks.submit(self.0.clone().discover(kind.clone()).boxed())?;
        kinds.insert(gvk.clone(), kind.clone());
        Ok(kind)
    }
}

impl Shared {
    pub(crate) fn observer(&self) -> Option<&Arc<dyn Observer>> {
        self.observer.get()
    }

    pub(crate) fn floor(&self, gvk: &GroupVersionKind) -> Option<ResourceVersion> {
        self.floors.lock().get(&family(gvk)).cloned()
    }

    fn raise_floor(&self, gvk: &GroupVersionKind, version: &ResourceVersion) {
        let mut floors = self.floors.lock();
        match floors.entry(family(gvk)) {
            Entry::Occupied(mut floor) if version.compare(floor.get()).is_some_and(Ordering::is_gt) => {
                floor.insert(version.clone());
            }
            Entry::Occupied(_) => {}
            // What is no number cannot be asked for as a bound.
            Entry::Vacant(floor) if version.number().is_some() => _ = floor.insert(version.clone()),
            Entry::Vacant(_) => {}
        }
    }

    pub(crate) fn may_stream(&self) -> bool {
        self.streaming.load(Relaxed)
    }

    pub(crate) fn forbid_streaming(&self) {
        self.streaming.store(false, Relaxed);
    }

    fn make(&self, gvk: &GroupVersionKind) -> Arc<Kind> {
        let shared = Arc::new(gvk.clone());
        let selectors = Arc::new(self.options.scope(gvk, &self.namespaces.lock()));
        let options = self.options.kinds.get(gvk).cloned().unwrap_or_default();
        let store = Store::new(shared.clone(), selectors.clone(), &options, self.common.clone());
        let store = Arc::new(store);
        let health = Arc::new(Health::default());
        Arc::new(Kind {
            informer: Informer::new(store.clone(), health.clone(), self.tasks.clone()),
            page_size: options.page_size,
            ended: self.tasks.token(),
            scopes: Mutex::default(),
            gvk: shared,
            selectors,
            store,
            health,
        })
    }

    /// Whether the kind's namespaces are the factory's.
    fn follows(&self, kind: &Kind) -> bool {
        let own = self.options.kinds.get(&*kind.gvk).is_some_and(|options| options.namespaces.is_some());
        !own && kind.selectors.selected_namespace().is_none()
    }
}

/// What all versions of a kind have in common.
fn family(gvk: &GroupVersionKind) -> (String, String) {
    (gvk.group.clone(), gvk.kind.clone())
}

impl Kind {
    fn end(&self) {
        self.ended.cancel();
        self.store.close();
    }
}

impl Drop for DetachedKind {
    fn drop(&mut self) {
        if let Some(kind) = self.0.take() {
            kind.end();
        }
    }
}

impl fmt::Debug for DetachedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DetachedKind").field(&self.0.as_ref().map(|kind| &kind.gvk.kind)).finish()
    }
}

impl fmt::Debug for InformerFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InformerFactory").finish_non_exhaustive()
    }
}
