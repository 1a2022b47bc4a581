//! The documented interface over every layer of nah.
#![allow(dead_code, unused_variables, missing_docs, clippy::all, missing_debug_implementations, clippy::todo)]

use futures_core::{future::BoxFuture, stream::BoxStream};
use nah_cache::*;
use nah_client::{Error, LiveWatch, Reader, Result, Write, Writer, WriterExt, Written};
use nah_core::*;
use nah_trigger::*;
use nah_watch::*;
use std::{future::Future, sync::Arc, time::Duration};
pub use {
    nah_cache as cache, nah_client as client, nah_core as core, nah_trigger as trigger, nah_watch as watch,
};

/// Everything; dyn-compatible.
pub trait Backend:
    Trigger + Watcher + CacheFactory + FieldIndexer + Reader + Writer + LiveWatch + 'static
{
    /// Syncs every known kind; reads work, no callback runs.
    fn preload(&self) -> BoxFuture<'_, std::result::Result<(), StartError>>;
    fn start(&self) -> BoxFuture<'_, std::result::Result<(), StartError>>;
    /// Back to preloaded: running callbacks end, keys stay queued. For a leader that is none any more.
    fn pause(&self) -> BoxFuture<'_, ()>;
    /// Callbacks end first, for `grace` at most; then handlers; then informers.
    fn shutdown(&self, grace: Duration) -> BoxFuture<'_, Shutdown>;
    fn status(&self) -> Vec<InformerStatus>;
}
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    #[error("{} kinds are not synced", .0.len())]
    NotSynced(Vec<InformerStatus>),
    #[error("backend has stopped")]
    Stopped,
}
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Shutdown {
    /// Runs that had to be cut off: callback, kind, key.
    pub cut_off: Vec<(String, GroupVersionKind, ObjectKey)>,
    pub keys_left: usize,
}
pub trait BackendExt: Backend {
    /// Every change of a `Child` triggers the `Owner` that its controller reference names.
    fn owns<Owner: Kind, Child: Kind>(&self) -> std::result::Result<HandlerRegistration, CacheError> {
        todo!()
    }
    /// Every change of a `Source` triggers the `Target`s that `map` names.
    fn triggers<Source: Kind, Target: Kind, Keys: IntoIterator<Item = ObjectKey>>(
        &self,
        map: impl Fn(&Event) -> Keys + Send + Sync + 'static,
    ) -> std::result::Result<HandlerRegistration, CacheError> {
        todo!()
    }
    /// Waits on the cache, by kube-runtime's own conditions.
    fn wait_for<K: Kind>(
        &self,
        key: impl Into<ObjectKey>,
        condition: impl kube_runtime::wait::Condition<K> + Send,
    ) -> impl Future<Output = Result<Option<Arc<K>>>> + Send {
        async { todo!() }
    }
}
impl<T: Backend + ?Sized> BackendExt for T {}
impl<T: Backend + ?Sized> Backend for Arc<T> {
    fn preload(&self) -> BoxFuture<'_, std::result::Result<(), StartError>> {
        (**self).preload()
    }
    fn start(&self) -> BoxFuture<'_, std::result::Result<(), StartError>> {
        (**self).start()
    }
    fn pause(&self) -> BoxFuture<'_, ()> {
        (**self).pause()
    }
    fn shutdown(&self, grace: Duration) -> BoxFuture<'_, Shutdown> {
        (**self).shutdown(grace)
    }
    fn status(&self) -> Vec<InformerStatus> {
        (**self).status()
    }
}

/// A finalizer of ours on an object, a step at a time.
pub struct Finalizer(&'static str);
pub enum Step {
    /// It was just added: the change that this makes will call again.
    Added,
    /// It is there, and the object lives.
    Present,
    /// The object is going: clean up, then `Finalizer::remove`.
    Cleanup,
    /// The object is going and is no longer ours to hold.
    Released,
}
impl Finalizer {
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }
    pub async fn step<K: Kind, B: Reader + Writer + ?Sized>(&self, backend: &B, object: &K) -> Result<Step> {
        let ours = object.meta().finalizers.iter().flatten().any(|name| name == self.0);
        Ok(match (ours, object.meta().deletion_timestamp.is_some()) {
            (true, true) => Step::Cleanup,
            (true, false) => Step::Present,
            (false, true) => Step::Released,
            (false, false) => {
                let mut object = object.clone();
                object.meta_mut().finalizers.get_or_insert_default().push(self.0.into());
                backend.update(&object).await?;
                Step::Added
            }
        })
    }
    pub async fn remove<K: Kind, B: Reader + Writer + ?Sized>(&self, backend: &B, object: &K) -> Result<()> {
        todo!()
    }
}

/// The backend of a cluster. A handle: clones share everything. A callback that holds one keeps it alive until
/// `shutdown`, which drops every callback, handler and extractor; `downgrade` is for those who cannot wait.
#[derive(Clone)]
pub struct KubeBackend(Arc<()>);
#[derive(Clone)]
pub struct WeakBackend(std::sync::Weak<()>);
impl WeakBackend {
    pub fn upgrade(&self) -> Option<KubeBackend> {
        todo!()
    }
}
impl KubeBackend {
    /// From a config: our own retry rules (kube's default repeats writes fifteen times).
    pub fn builder(config: kube_client::Config) -> Builder {
        todo!()
    }
    /// From a client as it is, its layers and its retries included.
    pub fn with_client(client: kube_client::Client) -> Builder {
        todo!()
    }
    pub fn rest_mapper(&self) -> Arc<dyn RestMapper> {
        todo!()
    }
    /// For what is not ours: logs, exec, port-forward.
    pub fn client(&self) -> kube_client::Client {
        todo!()
    }
    pub fn recorder(&self, controller: &str) -> kube_runtime::events::Recorder {
        todo!()
    }
    pub fn downgrade(&self) -> WeakBackend {
        todo!()
    }
    /// Widens and narrows the scope of a running backend, for tenants that come and go.
    pub fn add_namespace(&self, namespace: &str) -> Result<()> {
        todo!()
    }
    pub fn remove_namespace(&self, namespace: &str) {}
    /// Ends a kind: its watch, its store, its queue.
    pub fn remove_kind(&self, gvk: &GroupVersionKind) {}
}
pub struct Builder(CacheOptions);
impl Builder {
    pub fn namespaces<N: Into<String>>(self, namespaces: impl IntoIterator<Item = N>) -> Self {
        self
    }
    pub fn kind<K: Kind>(self, options: KindOptions) -> Self {
        self
    }
    pub fn sync_timeout(self, timeout: Duration) -> Self {
        self
    }
    pub fn unwatched(self, policy: Unwatched) -> Self {
        self
    }
    pub fn build(self) -> KubeBackend {
        todo!()
    }
}
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct KindOptions {
    pub workers: Option<usize>,
    pub optional: bool,
}
/// What a cached read of a kind that nobody watches does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unwatched {
    #[default]
    Start,
    Live,
    Error,
}
impl Trigger for KubeBackend {
    fn trigger_for_kind(
        &self,
        _: &GroupVersionKind,
        _: &ObjectKey,
        _: Duration,
    ) -> std::result::Result<(), TriggerError> {
        todo!()
    }
    fn cancel_for_kind(
        &self,
        _: &GroupVersionKind,
        _: &ObjectKey,
    ) -> std::result::Result<bool, TriggerError> {
        todo!()
    }
}
impl Watcher for KubeBackend {
    fn add_callback(
        &self,
        _: &GroupVersionKind,
        _: &str,
        _: Arc<dyn Callback>,
    ) -> std::result::Result<Registration, WatchError> {
        todo!()
    }
}
impl CacheFactory for KubeBackend {
    fn informer_for_kind(&self, _: &GroupVersionKind) -> std::result::Result<Informer, CacheError> {
        todo!()
    }
}
impl FieldIndexer for KubeBackend {
    fn add_index(&self, _: &GroupVersionKind, _: &str, _: Extract) -> std::result::Result<(), CacheError> {
        todo!()
    }
}
impl Reader for KubeBackend {
    fn lookup(&self, _: &GroupVersionKind, _: &ObjectKey) -> Result<Option<Object>> {
        todo!()
    }
    fn select(&self, _: &GroupVersionKind, _: &ListOptions) -> Result<List> {
        todo!()
    }
    fn ready(&self, _: &GroupVersionKind) -> BoxFuture<'_, Result<()>> {
        todo!()
    }
    fn fetch(&self, _: &GroupVersionKind, _: &ObjectKey) -> BoxFuture<'_, Result<Option<Object>>> {
        todo!()
    }
    fn fetch_list(&self, _: &GroupVersionKind, _: ListOptions) -> BoxFuture<'_, Result<List>> {
        todo!()
    }
}
impl LiveWatch for KubeBackend {
    fn watch(
        &self,
        _: &GroupVersionKind,
        _: ListOptions,
    ) -> BoxStream<'static, Result<kube_core::WatchEvent<DynamicObject>>> {
        todo!()
    }
}
impl Writer for KubeBackend {
    fn write(&self, _: Write) -> BoxFuture<'_, Result<Written>> {
        todo!()
    }
}
impl Backend for KubeBackend {
    fn preload(&self) -> BoxFuture<'_, std::result::Result<(), StartError>> {
        todo!()
    }
    fn start(&self) -> BoxFuture<'_, std::result::Result<(), StartError>> {
        todo!()
    }
    fn pause(&self) -> BoxFuture<'_, ()> {
        todo!()
    }
    fn shutdown(&self, _: Duration) -> BoxFuture<'_, Shutdown> {
        todo!()
    }
    fn status(&self) -> Vec<InformerStatus> {
        todo!()
    }
}
fn dyn_compatible(
    _: &dyn Backend,
    _: &dyn LiveWatch,
    _: &dyn Callback,
    _: &dyn Body,
    _: &dyn RestMapper,
    _: Error,
) {
}

/// The traits whose methods one calls, and the four words one writes; nothing that shadows `kube::Client` or `Event`.
pub mod prelude {
    pub use crate::{Backend, BackendExt as _};
    pub use nah_cache::{
        CacheFactory as _, CacheFactoryExt as _, FieldIndexer as _, FieldIndexerExt as _, ListOptions,
    };
    pub use nah_client::{
        OptionalExt as _, ReadWriteExt as _, Reader as _, ReaderExt as _, Writer as _, WriterExt as _,
    };
    pub use nah_core::{GroupVersionKind, Kind, Object, ObjectKey, Payload as _};
    pub use nah_trigger::{Trigger as _, TriggerExt as _};
    pub use nah_watch::{Change, Watcher as _, WatcherExt as _};
}
