//! Reads from the cache, writes to the API server, and sees its own writes.
#![allow(dead_code, unused_variables, missing_docs, clippy::all, missing_debug_implementations, clippy::todo)]

use futures_core::{future::BoxFuture, stream::BoxStream};
use kube_core::{
    Status,
    params::{DeleteParams, Patch, PatchParams, PostParams},
};
use nah_cache::{CacheError, List, ListOptions};
use nah_core::*;
use serde::Serialize;
use std::{fmt::Debug, future::Future, marker::PhantomData, pin::Pin, sync::Arc, task};

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server's answer, or the same words from the cache (404, reason `NotFound`).
    #[error("{} {key}: {status}", gvk.kind)]
    Api { gvk: GroupVersionKind, key: String, status: Box<Status> },
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error("backend is not started")]
    NotStarted,
    #[error(transparent)]
    Object(#[from] BadObject),
    /// Of a read; of a write it happened after the server had done it.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("{effect:?}: {source}")]
    Transport { effect: Effect, source: BoxError },
    /// A metadata-only object sent as a whole one would empty its spec.
    #[error("a metadata-only object cannot replace a whole one; patch it")]
    MetadataOnly,
}
/// What a failed write did to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    None,
    Applied,
    Unknown,
}
impl Error {
    pub fn not_found(gvk: &GroupVersionKind, key: &ObjectKey) -> Self {
        let status = Status::failure("not found", "NotFound").with_code(404).boxed();
        Self::Api { gvk: gvk.clone(), key: key.to_string(), status }
    }
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::Api { status, .. } => Some(status),
            _ => None,
        }
    }
    pub fn is_not_found(&self) -> bool {
        self.status().is_some_and(Status::is_not_found)
    }
    pub fn is_conflict(&self) -> bool {
        self.status().is_some_and(Status::is_conflict)
    }
    pub fn is_already_exists(&self) -> bool {
        self.status().is_some_and(Status::is_already_exists)
    }
    pub fn effect(&self) -> Effect {
        match self {
            Self::Decode(_) => Effect::Applied,
            Self::Transport { effect, .. } => *effect,
            _ => Effect::None,
        }
    }
}
pub type Result<T> = std::result::Result<T, Error>;
pub trait OptionalExt<T> {
    /// `NotFound` as `None`.
    fn optional(self) -> Result<Option<T>>;
}
impl<T> OptionalExt<T> for Result<T> {
    fn optional(self) -> Result<Option<T>> {
        self.map(Some).or_else(|error| if error.is_not_found() { Ok(None) } else { Err(error) })
    }
}

/// Reads: from the cache and the overlay at once, or live.
pub trait Reader: Send + Sync {
    /// What is known now. Never waits; `NotSynced` where nothing is known yet.
    fn lookup(&self, gvk: &GroupVersionKind, key: &ObjectKey) -> Result<Option<Object>>;
    fn select(&self, gvk: &GroupVersionKind, options: &ListOptions) -> Result<List>;
    /// Starts the kind if it must and waits until `lookup` has an answer.
    fn ready(&self, gvk: &GroupVersionKind) -> BoxFuture<'_, Result<()>>;
    /// From the server; what it saw is remembered as a write of ours would be.
    fn fetch(&self, gvk: &GroupVersionKind, key: &ObjectKey) -> BoxFuture<'_, Result<Option<Object>>>;
    fn fetch_list(&self, gvk: &GroupVersionKind, options: ListOptions) -> BoxFuture<'_, Result<List>>;
}
/// One live watch request, as it comes (Go's `WithWatch`).
pub trait LiveWatch: Send + Sync {
    fn watch(
        &self,
        gvk: &GroupVersionKind,
        options: ListOptions,
    ) -> BoxStream<'static, Result<kube_core::WatchEvent<DynamicObject>>>;
}
pub trait ReaderExt: Reader {
    fn get<K: Kind>(&self, key: impl Into<ObjectKey>) -> Get<'_, Self, K> {
        Get::new(self, K::kind_of(), key.into())
    }
    fn get_for_kind(&self, gvk: &GroupVersionKind, key: impl Into<ObjectKey>) -> Get<'_, Self, Object> {
        Get::new(self, gvk.clone().into(), key.into())
    }
    fn list<K: Kind>(&self, options: ListOptions) -> Select<'_, Self, K> {
        Select { reader: self, gvk: K::kind_of(), options, waiting: None, view: PhantomData }
    }
    fn list_for_kind(&self, gvk: &GroupVersionKind, options: ListOptions) -> Select<'_, Self, Object> {
        Select { reader: self, gvk: gvk.clone().into(), options, waiting: None, view: PhantomData }
    }
    fn get_live<K: Kind>(
        &self,
        key: impl Into<ObjectKey>,
    ) -> impl Future<Output = Result<Arc<K>>> + Send + '_ {
        let (gvk, key) = (K::kind_of(), key.into());
        let fetched = self.fetch(&gvk, &key);
        async move {
            let object = fetched.await?.ok_or_else(|| Error::not_found(&gvk, &key))?;
            Ok(object.decode()?)
        }
    }
}
impl<T: Reader + ?Sized> ReaderExt for T {}

/// A read in progress; a warm one is ready at the first poll. It borrows the reader alone, not what the key was
/// made of.
#[must_use = "futures do nothing unless awaited"]
pub struct Get<'a, R: ?Sized, V> {
    reader: &'a R,
    gvk: Arc<GroupVersionKind>,
    key: ObjectKey,
    waiting: Option<BoxFuture<'a, Result<()>>>,
    view: PhantomData<fn() -> V>,
}
impl<'a, R: ?Sized, V> Get<'a, R, V> {
    fn new(reader: &'a R, gvk: Arc<GroupVersionKind>, key: ObjectKey) -> Self {
        Self { reader, gvk, key, waiting: None, view: PhantomData }
    }
}
impl<R: Reader + ?Sized, V: View> Future for Get<'_, R, V> {
    type Output = Result<V::Handle>;
    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> task::Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            if let Some(waiting) = &mut this.waiting {
                std::task::ready!(waiting.as_mut().poll(cx))?;
                this.waiting = None;
            }
            match this.reader.lookup(&this.gvk, &this.key) {
                Err(Error::Cache(CacheError::NotSynced { .. })) => {
                    this.waiting = Some(this.reader.ready(&this.gvk));
                }
                answer => {
                    let found = answer?.ok_or_else(|| Error::not_found(&this.gvk, &this.key))?;
                    return task::Poll::Ready(Ok(V::view(&found)?));
                }
            }
        }
    }
}
#[must_use = "futures do nothing unless awaited"]
pub struct Select<'a, R: ?Sized, V> {
    reader: &'a R,
    gvk: Arc<GroupVersionKind>,
    options: ListOptions,
    waiting: Option<BoxFuture<'a, Result<()>>>,
    view: PhantomData<fn() -> V>,
}
impl<R: Reader + ?Sized, V: View> Future for Select<'_, R, V> {
    type Output = Result<List<V>>;
    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> task::Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            if let Some(waiting) = &mut this.waiting {
                std::task::ready!(waiting.as_mut().poll(cx))?;
                this.waiting = None;
            }
            match this.reader.select(&this.gvk, &this.options) {
                Err(Error::Cache(CacheError::NotSynced { .. })) => {
                    this.waiting = Some(this.reader.ready(&this.gvk));
                }
                answer => return task::Poll::Ready(Ok(answer?.typed())),
            }
        }
    }
}

/// One write. What a fake records and a layer wraps (dry run, audit, rate). Its `Debug` leaves the body out.
#[derive(Clone)]
#[non_exhaustive]
pub struct Write {
    pub verb: Verb,
    pub gvk: GroupVersionKind,
    pub namespace: Option<String>,
    /// None for `create` with `generateName` and for `delete_all_of`.
    pub name: Option<String>,
    pub subresource: Option<String>,
    pub body: Vec<u8>,
    pub dry_run: bool,
    pub field_manager: Option<String>,
}
impl Debug for Write {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {} {:?} {:?}", self.verb, self.gvk.kind, self.namespace, self.name)
    }
}
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Verb {
    Create,
    Update,
    MergePatch,
    JsonPatch,
    StrategicPatch,
    Apply { force: bool },
    Delete,
    DeleteAll,
}
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Written {
    Object(Object),
    /// The server has removed the object, and its uid with it.
    Gone {
        uid: Option<String>,
    },
}
pub trait Writer: Send + Sync {
    fn write(&self, write: Write) -> BoxFuture<'_, Result<Written>>;
}
impl Write {
    pub fn new<O: Payload>(verb: Verb, object: &O, subresource: Option<&str>) -> Result<Self> {
        if O::metadata_api() && matches!(verb, Verb::Create | Verb::Update) {
            return Err(Error::MetadataOnly);
        }
        Ok(Self {
            verb,
            gvk: object.gvk().map_err(BadObject::from)?,
            namespace: object.meta().namespace.clone(),
            name: object.meta().name.clone(),
            subresource: subresource.map(Into::into),
            body: serde_json::to_vec(object)
                .map_err(|e| Error::Transport { effect: Effect::None, source: e.into() })?,
            dry_run: false,
            field_manager: None,
        })
    }
}
impl Written {
    pub fn decode<O: Payload>(&self) -> Result<Arc<O>> {
        match self {
            Self::Object(object) => Ok(object.decode()?),
            Self::Gone { .. } => todo!("the last state"),
        }
    }
}
/// `create(&o)` is `create_with(&o, &PostParams::default())`, and so on; kube's own params.
pub trait WriterExt: Writer {
    fn create<O: Payload>(&self, object: &O) -> impl Future<Output = Result<Arc<O>>> + Send {
        let write = Write::new(Verb::Create, object, None);
        async move { self.write(write?).await?.decode() }
    }
    fn create_with<O: Payload>(
        &self,
        object: &O,
        params: &PostParams,
    ) -> impl Future<Output = Result<Arc<O>>> + Send {
        async { todo!() }
    }
    fn update<O: Payload>(&self, object: &O) -> impl Future<Output = Result<Arc<O>>> + Send {
        let write = Write::new(Verb::Update, object, None);
        async move { self.write(write?).await?.decode() }
    }
    fn update_status<O: Payload>(&self, object: &O) -> impl Future<Output = Result<Arc<O>>> + Send {
        let write = Write::new(Verb::Update, object, Some("status"));
        async move { self.write(write?).await?.decode() }
    }
    fn apply<O: Payload>(&self, object: &O, manager: &str) -> impl Future<Output = Result<Arc<O>>> + Send {
        async { todo!() }
    }
    fn patch<K: Kind>(
        &self,
        key: impl Into<ObjectKey>,
        patch: &Patch<impl Serialize + Debug + Sync>,
        params: &PatchParams,
    ) -> impl Future<Output = Result<Arc<K>>> + Send {
        async { todo!() }
    }
    fn delete<O: Payload>(&self, object: &O) -> impl Future<Output = Result<()>> + Send {
        let write = Write::new(Verb::Delete, object, None);
        async move { self.write(write?).await.map(drop) }
    }
    fn delete_by_key<K: Kind>(&self, key: impl Into<ObjectKey>) -> impl Future<Output = Result<()>> + Send {
        async { todo!() }
    }
    fn delete_for_kind(
        &self,
        gvk: &GroupVersionKind,
        key: &ObjectKey,
        params: &DeleteParams,
    ) -> impl Future<Output = Result<()>> + Send {
        async { todo!() }
    }
    fn delete_all_of<K: Kind>(&self, options: ListOptions) -> impl Future<Output = Result<()>> + Send {
        async { todo!() }
    }
}
impl<T: Writer + ?Sized> WriterExt for T {}
pub trait ReadWriteExt: Reader + Writer {
    /// Reads, edits and sends only the difference, with the version it was read at; on a conflict reads live
    /// and edits again. Fields that `K` does not know, and fields a transform took away, stay as they are.
    fn modify<K: Kind>(
        &self,
        key: impl Into<ObjectKey>,
        edit: impl FnMut(&mut K) + Send,
    ) -> impl Future<Output = Result<Arc<K>>> + Send {
        async { todo!() }
    }
    fn modify_status<K: Kind>(
        &self,
        key: impl Into<ObjectKey>,
        edit: impl FnMut(&mut K) + Send,
    ) -> impl Future<Output = Result<Arc<K>>> + Send {
        async { todo!() }
    }
}
impl<T: Reader + Writer + ?Sized> ReadWriteExt for T {}
impl<T: Reader + ?Sized> Reader for Arc<T> {
    fn lookup(&self, gvk: &GroupVersionKind, key: &ObjectKey) -> Result<Option<Object>> {
        (**self).lookup(gvk, key)
    }
    fn select(&self, gvk: &GroupVersionKind, options: &ListOptions) -> Result<List> {
        (**self).select(gvk, options)
    }
    fn ready(&self, gvk: &GroupVersionKind) -> BoxFuture<'_, Result<()>> {
        (**self).ready(gvk)
    }
    fn fetch(&self, gvk: &GroupVersionKind, key: &ObjectKey) -> BoxFuture<'_, Result<Option<Object>>> {
        (**self).fetch(gvk, key)
    }
    fn fetch_list(&self, gvk: &GroupVersionKind, options: ListOptions) -> BoxFuture<'_, Result<List>> {
        (**self).fetch_list(gvk, options)
    }
}
impl<T: LiveWatch + ?Sized> LiveWatch for Arc<T> {
    fn watch(
        &self,
        gvk: &GroupVersionKind,
        options: ListOptions,
    ) -> BoxStream<'static, Result<kube_core::WatchEvent<DynamicObject>>> {
        (**self).watch(gvk, options)
    }
}
impl<T: Writer + ?Sized> Writer for Arc<T> {
    fn write(&self, write: Write) -> BoxFuture<'_, Result<Written>> {
        (**self).write(write)
    }
}

/// Reads through the cache and the overlay, writes through kube-client. A handle; clones share everything.
#[derive(Clone)]
pub struct CachedClient(Arc<()>);
/// What a cached read of a kind that nobody watches does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unwatched {
    /// Starts its informer and waits for the first sync.
    #[default]
    Start,
    /// Asks the server.
    Live,
    /// Fails.
    Error,
}
impl CachedClient {
    /// Registers itself as the factory's observer. Reads are answered at once; a facade that starts later calls `hold`.
    pub fn new(client: kube_client::Client, informers: nah_cache::InformerFactory) -> Self {
        todo!()
    }
    pub fn unwatched(self, policy: Unwatched) -> Self {
        self
    }
    /// Cached reads answer `NotStarted` from now on (the informer of the kind is created all the same).
    pub fn hold(&self) {}
    /// Cached reads are answered again; those that wait go on.
    pub fn release(&self) {}
    /// Everything answers `Stopped` from now on.
    pub fn stop(&self) {}
}
