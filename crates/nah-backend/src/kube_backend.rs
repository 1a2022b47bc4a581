//! The backend of a cluster: every trait, delegated to the layer that serves it.

use std::{
    any::TypeId,
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_core::{future::BoxFuture, stream::BoxStream};
use kube_client::{Client, Config};
use kube_core::WatchEvent;
use kube_runtime::events::{Recorder, Reporter};
use nah_cache::{
    CacheError, CacheFactory, Driver, Extract, FieldIndexer, Found, Informer, InformerFactory,
    InformerStatus, List, ListOptions, RestMapper, informers,
};
use nah_client::{CachedClient, LiveWatch, Reader, Result, Write, Writer, Written};
use nah_core::{
    BoxError, Causes, DynamicObject, GroupVersionKind, Object, ObjectKey, Payload, panics::quietly,
};
use nah_trigger::{Closed, QueueStats, Trigger, TriggerError};
use nah_watch::{Callback, Links, Registration, WatchError, Watcher};
use parking_lot::Mutex;

use crate::{
    Backend, Builder, Shutdown, StartError,
    builder::Options,
    kind_run::KindRun,
    kinds::Kinds,
    lifecycle::{Lifecycle, Phase},
    wire::Wire,
    work::Work,
};

/// The backend of a cluster. A handle: clones share everything.
///
/// A callback that holds one keeps it alive until [`shutdown`](Backend::shutdown), which drops every callback, handler
/// and extractor; [`downgrade`](Self::downgrade) is for those who cannot wait. Dropping the last handle without a
/// shutdown ends the background work at once, running callbacks included.
#[derive(Clone)]
pub struct KubeBackend(pub(crate) Arc<Inner>);

/// A handle that does not keep the backend alive.
#[derive(Clone, Debug)]
pub struct WeakBackend(Weak<Inner>);

pub(crate) struct Inner {
    pub(crate) wire: Wire,
    pub(crate) informers: InformerFactory,
    pub(crate) driver: Mutex<Option<Driver>>,
    pub(crate) reads: CachedClient,
    pub(crate) kinds: Mutex<Kinds>,
    pub(crate) options: Options,
    pub(crate) lifecycle: Lifecycle,
}

impl WeakBackend {
    /// The backend, unless it has been shut down or dropped.
    pub fn upgrade(&self) -> Option<KubeBackend> {
        let inner = self.0.upgrade()?;
        (inner.lifecycle.phase() < Phase::Stopped).then_some(KubeBackend(inner))
    }
}

impl KubeBackend {
    /// A backend from a config, with retry rules of our own: kube's default layer repeats failed writes up to fifteen
    /// times, ours only what the server said it has not done; and with connections that are probed, as
    /// [`connect`](nah_cache::connect) says. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// Those of building a client: a certificate or a credential that cannot be read.
    #[doc(alias = "NewRuntimeWithConfig")]
    #[doc(alias = "NewRuntime")]
    pub fn builder(config: Config) -> std::result::Result<Builder, kube_client::Error> {
        let (client, connections) = nah_cache::connect_counted(config)?;
        Ok(Builder::new(client, Some(Arc::new(connections))))
    }

    /// A backend from a client as it is, its layers and its retries included. Whether TCP probes its connections is
    /// the client's affair: without that, a connection that died unnoticed is given up by the cache's timeouts. So is when
    /// its connections close: a shutdown drops every handle of the backend's, and waits for none of them.
    pub fn with_client(client: Client) -> Builder {
        Builder::new(client, None)
    }

    pub(crate) fn new(builder: Builder) -> Self {
        let Builder { client, connections, cache, options } = builder;
        let (informers, driver) = informers(client.clone(), cache);
        let reads = CachedClient::new(client.clone(), informers.clone()).unwatched(options.unwatched);
        reads.hold();
        Self(Arc::new(Inner {
            lifecycle: Lifecycle::new(options.callbacks_at_once),
            driver: Mutex::new(Some(driver)),
            kinds: Mutex::default(),
            wire: Wire::new(client, connections),
            informers,
            reads,
            options,
        }))
    }

    /// Kind to resource and scope, by discovery.
    #[doc(alias = "RESTMapper")]
    pub fn rest_mapper(&self) -> Arc<dyn RestMapper> {
        self.0.informers.rest_mapper()
    }

    /// The client underneath, for what is not ours: logs, exec, port-forward. The handle is the caller's own: a shutdown
    /// does not wait for it, and it works on. One that is asked for after a shutdown answers every request with
    /// [`CacheError::Stopped`].
    ///
    /// # Panics
    /// After a shutdown, outside a tokio runtime.
    pub fn client(&self) -> Client {
        self.0.wire.lend()
    }

    /// Waits until the cache itself holds this state of `object`; see
    /// [`CachedClient::wait_until_observed`](nah_client::CachedClient::wait_until_observed).
    ///
    /// # Errors
    /// As that says.
    pub async fn wait_until_observed<O: Payload>(&self, object: &O) -> Result<()> {
        self.0.reads.wait_until_observed(object).await
    }

    /// A recorder of Kubernetes events in the name of `controller`.
    pub fn recorder(&self, controller: &str) -> Recorder {
        Recorder::new(self.client(), Reporter { controller: controller.into(), instance: None })
    }

    /// A handle that does not keep the backend alive.
    pub fn downgrade(&self) -> WeakBackend {
        WeakBackend(Arc::downgrade(&self.0))
    }

    /// Widens the scope of a running backend by a namespace, for tenants that come and go.
    ///
    /// # Errors
    /// [`CacheError::Stopped`] after a shutdown.
    pub fn add_namespace(&self, namespace: &str) -> Result<()> {
        Ok(self.0.informers.add_namespace(namespace)?)
    }

    /// Narrows the scope: the namespace's objects leave the cache.
    pub fn remove_namespace(&self, namespace: &str) {
        self.0.informers.remove_namespace(namespace);
    }

    /// Ends a kind: its watch, its store, its queue and its callbacks. A later use starts it afresh.
    pub fn remove_kind(&self, gvk: &GroupVersionKind) {
        let mut kinds = self.0.kinds.lock();
        let removed = kinds.known.remove(gvk);
        if let Some(kind) = &removed {
            kinds.leave(kind);
        }
        // Under the lock, so that nobody adds a callback to a kind that is half gone.
        let informer = self.0.informers.detach_kind(gvk);
        drop(kinds);
        if let Some(kind) = removed {
            kind.close();
        }
        drop(informer);
    }

    /// How the queue of a kind with callbacks is doing.
    pub fn queue_stats(&self, gvk: &GroupVersionKind) -> Option<QueueStats> {
        let kind = self.0.kinds.lock().known.get(gvk).cloned()?;
        Some(kind.queue.stats())
    }
}

impl Inner {
    fn trigger(&self, gvk: &GroupVersionKind, key: &ObjectKey, delay: Duration) -> TriggerResult<()> {
        let kind = self.kind_to_trigger(gvk, key)?;
        let links = if delay.is_zero() { Links::current() } else { Links::current_or_gone() };
        let work = Work::because(Causes::TRIGGER).linked(links);
        // The kind, or the backend, ended meanwhile.
        kind.queue.add_after(key.clone(), work, delay).map_err(|Closed| self.nobody(gvk))
    }

    /// Why nobody would be called back: a kind has no callbacks either once the backend ends.
    fn nobody(&self, gvk: &GroupVersionKind) -> TriggerError {
        match self.lifecycle.phase() {
            phase if phase >= Phase::Stopping => TriggerError::Stopped,
            _ => TriggerError::NoCallback { gvk: gvk.clone() },
        }
    }

    fn cancel(&self, gvk: &GroupVersionKind, key: &ObjectKey) -> TriggerResult<bool> {
        Ok(self.kind_to_trigger(gvk, key)?.queue.cancel(key))
    }

    /// The kind that `key` is of, if a callback would be told.
    fn kind_to_trigger(&self, gvk: &GroupVersionKind, key: &ObjectKey) -> TriggerResult<Arc<KindRun>> {
        if self.lifecycle.phase() >= Phase::Stopping {
            return Err(TriggerError::Stopped);
        }
        key.check().map_err(|source| TriggerError::Key { gvk: gvk.clone(), source })?;
        let kind = self.kinds.lock().known.get(gvk).filter(|kind| !kind.callbacks.is_empty()).cloned();
        let kind = kind.ok_or_else(|| self.nobody(gvk))?;
        if kind.place_of(key).as_ref() != Some(key) {
            return Err(TriggerError::OutsideScope { gvk: gvk.clone(), key: key.clone() });
        }
        Ok(kind)
    }

    fn add_callback(
        &self,
        gvk: &GroupVersionKind,
        name: &str,
        callback: Arc<dyn Callback>,
    ) -> std::result::Result<Registration, WatchError> {
        let (kind, registration) = loop {
            let kind = self.kind(gvk)?;
            match kind.callbacks.add(name, callback.clone()) {
                // The kind was removed meanwhile; the next one is another.
                Err(WatchError::Stopped) => {}
                registration => break (kind, registration?),
            }
        };
        let shown = kind.is_launched() || self.lifecycle.phase() == Phase::Started && !kind.launch(self);
        if shown {
            kind.replay(registration.id(), &self.lifecycle);
        }
        Ok(registration)
    }

    /// The kind, begun by whoever asks first.
    fn kind(&self, gvk: &GroupVersionKind) -> std::result::Result<Arc<KindRun>, WatchError> {
        let mut kinds = self.kinds.lock();
        // Under the lock: a shutdown sets the phase first and then closes what is in the map.
        if self.lifecycle.phase() >= Phase::Stopping {
            return Err(WatchError::Stopped);
        }
        if let Some(kind) = kinds.known.get(gvk) {
            return Ok(kind.clone());
        }
        let informer = self.informers.informer_for_kind(gvk).map_err(|_| WatchError::Stopped)?;
        let options = self.options.kinds.get(gvk).cloned().unwrap_or_default();
        let workers = options.workers.unwrap_or(self.options.workers);
        let before = kinds.leaving.remove(gvk);
        let kind = KindRun::new(informer, workers, options, before);
        kinds.known.insert(gvk.clone(), kind.clone());
        Ok(kind)
    }
}

type TriggerResult<T> = std::result::Result<T, TriggerError>;

impl Drop for Inner {
    fn drop(&mut self) {
        self.lifecycle.abandon();
        for kind in self.kinds.get_mut().known.values() {
            kind.close();
        }
        self.reads.stop();
        quietly(|| self.informers.stop());
    }
}

/// Triggers without keeping the backend alive.
struct WeakTrigger(Weak<Inner>);

impl WeakTrigger {
    fn inner(&self) -> TriggerResult<Arc<Inner>> {
        self.0.upgrade().ok_or(TriggerError::Stopped)
    }
}

impl Trigger for WeakTrigger {
    fn trigger_for_kind(
        &self,
        gvk: &GroupVersionKind,
        key: &ObjectKey,
        delay: Duration,
    ) -> TriggerResult<()> {
        self.inner()?.trigger(gvk, key, delay)
    }

    fn cancel_for_kind(&self, gvk: &GroupVersionKind, key: &ObjectKey) -> TriggerResult<bool> {
        self.inner()?.cancel(gvk, key)
    }
}

// === impl KubeBackend ===

impl Trigger for KubeBackend {
    fn trigger_for_kind(
        &self,
        gvk: &GroupVersionKind,
        key: &ObjectKey,
        delay: Duration,
    ) -> TriggerResult<()> {
        self.0.trigger(gvk, key, delay)
    }

    fn cancel_for_kind(&self, gvk: &GroupVersionKind, key: &ObjectKey) -> TriggerResult<bool> {
        self.0.cancel(gvk, key)
    }
}

impl Watcher for KubeBackend {
    fn add_callback(
        &self,
        gvk: &GroupVersionKind,
        name: &str,
        callback: Arc<dyn Callback>,
    ) -> std::result::Result<Registration, WatchError> {
        self.0.add_callback(gvk, name, callback)
    }
}

impl CacheFactory for KubeBackend {
    fn informer_for_kind(&self, gvk: &GroupVersionKind) -> std::result::Result<Informer, CacheError> {
        self.0.informers.informer_for_kind(gvk)
    }
}

impl FieldIndexer for KubeBackend {
    fn add_index(
        &self,
        gvk: &GroupVersionKind,
        field: &str,
        extract: Extract,
    ) -> std::result::Result<(), CacheError> {
        self.0.informers.add_index(gvk, field, extract)
    }
}

impl Reader for KubeBackend {
    fn lookup(&self, gvk: &GroupVersionKind, key: &ObjectKey) -> Result<Option<Object>> {
        self.0.reads.lookup(gvk, key)
    }

    fn find(&self, gvk: &GroupVersionKind, key: &ObjectKey, form: TypeId) -> Result<Option<Found>> {
        self.0.reads.find(gvk, key, form)
    }

    fn select(&self, gvk: &GroupVersionKind, options: &ListOptions) -> Result<List> {
        self.0.reads.select(gvk, options)
    }

    fn ready(&self, gvk: &GroupVersionKind) -> BoxFuture<'_, Result<()>> {
        self.0.reads.ready(gvk)
    }

    fn fetch(&self, gvk: &GroupVersionKind, key: &ObjectKey) -> BoxFuture<'_, Result<Option<Object>>> {
        self.0.reads.fetch(gvk, key)
    }

    fn fetch_metadata(
        &self,
        gvk: &GroupVersionKind,
        key: &ObjectKey,
    ) -> BoxFuture<'_, Result<Option<Object>>> {
        self.0.reads.fetch_metadata(gvk, key)
    }

    fn fetch_subresource(
        &self,
        gvk: &GroupVersionKind,
        key: &ObjectKey,
        subresource: &str,
    ) -> BoxFuture<'_, Result<Option<Object>>> {
        self.0.reads.fetch_subresource(gvk, key, subresource)
    }

    fn fetch_list(&self, gvk: &GroupVersionKind, options: ListOptions) -> BoxFuture<'_, Result<List>> {
        self.0.reads.fetch_list(gvk, options)
    }
}

impl LiveWatch for KubeBackend {
    fn watch(
        &self,
        gvk: &GroupVersionKind,
        options: ListOptions,
    ) -> BoxStream<'static, Result<WatchEvent<DynamicObject>>> {
        self.0.reads.watch(gvk, options)
    }
}

impl Writer for KubeBackend {
    fn write(&self, write: Write) -> BoxFuture<'_, Result<Written>> {
        self.0.reads.write(write)
    }
}

impl Backend for KubeBackend {
    fn preload(&self) -> BoxFuture<'_, std::result::Result<(), StartError>> {
        Box::pin(self.0.preload())
    }

    fn start(&self) -> BoxFuture<'_, std::result::Result<(), StartError>> {
        Box::pin(self.0.start())
    }

    fn start_when<'a>(
        &'a self,
        gate: BoxFuture<'a, std::result::Result<(), BoxError>>,
    ) -> BoxFuture<'a, std::result::Result<(), StartError>> {
        Box::pin(self.0.start_when(gate))
    }

    fn pause(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.0.pause())
    }

    fn shutdown(&self, grace: Duration) -> BoxFuture<'_, Shutdown> {
        Box::pin(self.0.clone().shutdown(grace))
    }

    fn status(&self) -> Vec<InformerStatus> {
        self.0.informers.status()
    }

    fn trigger_handle(&self) -> Arc<dyn Trigger> {
        Arc::new(WeakTrigger(Arc::downgrade(&self.0)))
    }
}

impl fmt::Debug for KubeBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubeBackend").field("phase", &self.0.lifecycle.phase()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("phase", &self.lifecycle.phase()).finish_non_exhaustive()
    }
}
