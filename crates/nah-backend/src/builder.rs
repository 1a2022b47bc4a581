//! How a backend is set up.

use std::{collections::HashMap, sync::Arc, time::Duration};

use kube_client::Client;
use kube_core::Selector;
use nah_cache::{CacheOptions, Connections};
use nah_client::Unwatched;
use nah_core::{GroupVersionKind, Kind, ObjectKey};
use nah_trigger::QueueOptions;

use crate::KubeBackend;

/// More often is a load, not a second look.
pub(crate) const SHORTEST_RESYNC: Duration = Duration::from_secs(1);

/// How a backend is set up. Every setting has a default.
///
/// It holds the client, as do its clones and every backend that it has built. One that is kept keeps the connections
/// open after the shutdown of its backend, which then does not wait for them to close: somebody may still build another
/// backend with it. Whoever wants them closed drops it.
#[derive(Clone)]
#[must_use = "a builder does nothing until it is built"]
pub struct Builder {
    pub(crate) client: Client,
    /// Those of the client, where it is the backend's own.
    pub(crate) connections: Option<Arc<Connections>>,
    pub(crate) cache: CacheOptions,
    pub(crate) options: Options,
}

/// The settings of a backend that are not its cache's.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) kinds: HashMap<GroupVersionKind, KindOptions>,
    pub(crate) workers: usize,
    pub(crate) callbacks_at_once: usize,
    pub(crate) sync_timeout: Duration,
    pub(crate) unwatched: Unwatched,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kinds: HashMap::new(),
            workers: 10,
            callbacks_at_once: 1_000,
            // controller-runtime's CacheSyncTimeout.
            sync_timeout: Duration::from_secs(120),
            unwatched: Unwatched::default(),
        }
    }
}

/// The settings of one kind.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct KindOptions {
    /// Callbacks of this kind that run at once; none is the backend's default.
    pub workers: Option<usize>,
    /// Whether a start waits for this kind.
    pub optional: bool,
    /// How its keys are queued.
    pub queue: QueueOptions<ObjectKey>,
    /// How often callbacks are shown every object again; none is never.
    pub resync: Option<Duration>,
}

impl KindOptions {
    /// Runs at most this many keys of the kind at once, one at the least.
    #[must_use]
    #[doc(alias = "GVKThreadiness")]
    pub fn workers(self, workers: usize) -> Self {
        Self { workers: Some(workers.max(1)), ..self }
    }

    /// Starts without waiting for this kind: its CRD may come later, or never.
    #[must_use]
    pub fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    /// Queues keys of the kind in another way: other waits after failures, or classes of keys that take turns, so that
    /// a namespace with many objects does not make those of another wait.
    ///
    /// ```
    /// use nah_backend::{KindOptions, trigger::{Classes, QueueOptions}};
    ///
    /// let fair = KindOptions::default().queue(QueueOptions::default().with_classes(Classes::by_namespace()));
    /// # drop(fair);
    /// ```
    #[must_use]
    #[doc(alias = "GVKQueueSplitters")]
    pub fn queue(self, queue: QueueOptions<ObjectKey>) -> Self {
        Self { queue, ..self }
    }

    /// Shows the callbacks of the kind every object again, each time this period has passed: with the cause `RESYNC`,
    /// behind everything newer, and without a request to the server. A second at the least. For what can go wrong
    /// outside the cluster, where no watch tells of it.
    #[must_use]
    #[doc(alias = "SyncPeriod")]
    #[doc(alias = "ResyncPeriod")]
    pub fn resync(self, period: Duration) -> Self {
        Self { resync: Some(period), ..self }
    }
}

impl Builder {
    pub(crate) fn new(client: Client, connections: Option<Arc<Connections>>) -> Self {
        Self { client, connections, cache: CacheOptions::default(), options: Options::default() }
    }

    /// Caches these namespaces only, each with a list and watch of its own. Default: all. Kinds without namespaces
    /// are cached whole all the same.
    #[doc(alias = "NewRuntimeForNamespace")]
    #[doc(alias = "Namespace")]
    pub fn namespaces<N: Into<String>>(self, namespaces: impl IntoIterator<Item = N>) -> Self {
        Self { cache: self.cache.namespaces(namespaces), ..self }
    }

    /// Caches only what matches, of every kind. A cache with a selector cannot tell an object that was deleted from
    /// one that left the selector: such changes are marked `certain: false`.
    #[doc(alias = "LabelSelector")]
    pub fn labels(self, labels: Selector) -> Self {
        Self { cache: self.cache.labels(labels), ..self }
    }

    /// Sets up the cache in every detail. Replaces what `namespaces` and `labels` set before.
    #[doc(alias = "ByObject")]
    pub fn cache(self, cache: CacheOptions) -> Self {
        Self { cache, ..self }
    }

    /// Settings of one kind.
    pub fn kind<K: Kind>(self, options: KindOptions) -> Self {
        self.kind_for(&K::kind_of(), options)
    }

    /// Settings of one kind that is known at run time.
    pub fn kind_for(mut self, gvk: &GroupVersionKind, options: KindOptions) -> Self {
        self.options.kinds.insert(gvk.clone(), options);
        self
    }

    /// Callbacks a kind that run at once where the kind does not say otherwise. Default: 10.
    #[doc(alias = "DefaultThreadiness")]
    #[doc(alias = "NAH_THREADINESS")]
    pub fn workers(mut self, workers: usize) -> Self {
        self.options.workers = workers.max(1);
        self
    }

    /// Callbacks of all kinds together that run at once. Default: 1,000.
    pub fn callbacks_at_once(mut self, callbacks: usize) -> Self {
        self.options.callbacks_at_once = callbacks.max(1);
        self
    }

    /// How long `preload` and `start` wait for the first sync of every kind. Default: two minutes.
    pub fn sync_timeout(mut self, timeout: Duration) -> Self {
        self.options.sync_timeout = timeout;
        self
    }

    /// What a cached read of a kind that nobody watches does. Default: starts its informer and waits.
    #[doc(alias = "ReaderFailOnMissingInformer")]
    pub fn unwatched(mut self, policy: Unwatched) -> Self {
        self.options.unwatched = policy;
        self
    }

    /// The backend. Nothing is asked of the server before `preload` or `start`.
    pub fn build(self) -> KubeBackend {
        KubeBackend::new(self)
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("options", &self.options).finish_non_exhaustive()
    }
}
