//! Shared informers: list, watch, store, index.
#![allow(dead_code, unused_variables, missing_docs, clippy::all, missing_debug_implementations, clippy::todo)]

mod driver;
mod factory;
mod observer;
mod options;
mod reflector;
mod rest_mapper;
mod status;
mod store;

pub use driver::Driver;
pub use factory::{InformerFactory, informers};
pub use observer::{Applied, Observer};
pub use options::{CacheOptions, KindCacheOptions, Timeouts};
pub use rest_mapper::{Mapping, RestMapper};
pub use status::InformerStatus;

use futures_core::Stream;
use kube_core::Selector;
use nah_core::*;
use std::{
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    #[error("backend has stopped")]
    Stopped,
    /// The kind has not been listed yet; `last_error` says why if it was tried.
    #[error("{} is not synced yet", gvk.kind)]
    NotSynced { gvk: GroupVersionKind, last_error: Option<String> },
    #[error("{} has no index {index:?}", gvk.kind)]
    NoIndex { gvk: GroupVersionKind, index: String },
    #[error("indexer conflict: {} has an index {index:?} already", gvk.kind)]
    IndexConflict { gvk: GroupVersionKind, index: String },
    #[error("namespace {namespace:?} is outside the cache of {}", gvk.kind)]
    OutsideScope { gvk: GroupVersionKind, namespace: String },
    #[error("bad selector: {0}")]
    Selector(String),
    /// The server does not serve this kind in this version (yet).
    #[error("server does not serve {} in {}", gvk.kind, gvk.api_version())]
    UnknownKind { gvk: GroupVersionKind },
    /// The server did not say which kinds it serves.
    #[error("cannot discover {}: {source}", gvk.kind)]
    Discovery { gvk: GroupVersionKind, source: std::sync::Arc<dyn std::error::Error + Send + Sync> },
}

/// What to select. By value: it is small, and a future can keep it.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    namespace: Option<String>,
    labels: Selector,
    fields: Vec<(String, String)>,
}
impl ListOptions {
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }
    pub fn matching_labels<K: Into<String>, V: Into<String>>(
        self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self
    }
    /// A parsed selector (`LabelSelector` and expressions convert); a malformed text fails where it is parsed.
    pub fn matching(self, labels: Selector) -> Self {
        Self { labels, ..self }
    }
    pub fn matching_field(mut self, field: impl Into<String>, value: impl Into<String>) -> Self {
        self.fields.push((field.into(), value.into()));
        self
    }
    /// As `matching_field`, by the index itself: no name to misspell, no other kind to ask.
    pub fn by<K>(self, index: &Index<K>, value: impl Into<String>) -> Self {
        self.matching_field(&*index.0, value)
    }
    pub fn owned_by(self, owner_uid: &str) -> Self {
        self
    }
    pub fn limit(self, n: usize) -> Self {
        self
    }
}

/// A consistent snapshot, sorted by key, shared with the store: taking one costs the same for ten and a million.
#[derive(Clone, Debug)]
pub struct List<V = Object>(Arc<[Object]>, PhantomData<fn() -> V>);
impl<V: View> List<V> {
    pub fn from_objects(mut objects: Vec<Object>) -> Self {
        objects.sort_by(|a, b| a.key().cmp(b.key()));
        Self(objects.into(), PhantomData)
    }
    pub fn len(&self) -> usize {
        self.0.len()
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Where a watch may begin to miss nothing of what follows this list; none over several scopes.
    pub fn resource_version(&self) -> Option<&ResourceVersion> {
        None
    }
    pub fn typed<W: View>(self) -> List<W> {
        List(self.0, PhantomData)
    }
    /// What decodes; what does not is left out here, and reported once a version by the cache. For those who would
    /// rather miss one bad object than stand still: one `?` over `iter` blinds a reader to a whole kind.
    pub fn decoded(&self) -> impl Iterator<Item = V::Handle> + '_ {
        self.iter().flatten()
    }
    pub fn handles(&self) -> impl ExactSizeIterator<Item = &Object> + '_ {
        self.0.iter()
    }
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Result<V::Handle, DecodeError>> + '_ {
        self.0.iter().map(V::view)
    }
}
impl<V: View> IntoIterator for List<V> {
    type Item = Result<V::Handle, DecodeError>;
    type IntoIter = IntoIter<V>;
    fn into_iter(self) -> IntoIter<V> {
        IntoIter(self, 0)
    }
}
pub struct IntoIter<V>(List<V>, usize);
impl<V: View> Iterator for IntoIter<V> {
    type Item = Result<V::Handle, DecodeError>;
    fn next(&mut self) -> Option<Self::Item> {
        let object = self.0.0.get(self.1)?;
        self.1 += 1;
        Some(V::view(object))
    }
}

/// A change of the store. What is new is decoded; what was before is a handle.
#[derive(Clone)]
#[non_exhaustive]
pub enum Event<V: View = Object> {
    #[non_exhaustive]
    Added { object: V::Handle, initial: bool },
    #[non_exhaustive]
    Updated { old: Object, new: V::Handle },
    /// `last` is the final state, or with `tombstone` only the last one seen.
    #[non_exhaustive]
    Deleted { key: ObjectKey, last: Object, tombstone: bool },
}

pub trait CacheFactory: Send + Sync {
    #[doc(alias = "GetInformerForKind")]
    fn informer_for_kind(&self, gvk: &GroupVersionKind) -> Result<Informer, CacheError>;
}
pub trait CacheFactoryExt: CacheFactory {
    fn informer<K: Kind>(&self) -> Result<Informer<K>, CacheError> {
        Ok(self.informer_for_kind(&K::kind_of())?.typed())
    }
}
impl<T: CacheFactory + ?Sized> CacheFactoryExt for T {}
impl<T: CacheFactory + ?Sized> CacheFactory for Arc<T> {
    fn informer_for_kind(&self, gvk: &GroupVersionKind) -> Result<Informer, CacheError> {
        (**self).informer_for_kind(gvk)
    }
}

/// The shared informer of a kind, read as `V`. Cloneable; the fastest way to read a kind often.
#[derive(Clone)]
pub struct Informer<V = Object>(Arc<GroupVersionKind>, PhantomData<fn() -> V>);
impl Informer {
    /// The informer of a kind whose parts the factory has made.
    pub(crate) fn new(store: Arc<store::Store>, health: Arc<status::Health>, tasks: driver::Tasks) -> Self {
        todo!()
    }
}
impl<V: View> Informer<V> {
    pub fn typed<W: View>(self) -> Informer<W> {
        Informer(self.0, PhantomData)
    }
    pub fn gvk(&self) -> &GroupVersionKind {
        &self.0
    }
    pub fn get(&self, key: &ObjectKey) -> Result<Option<V::Handle>, DecodeError> {
        todo!()
    }
    pub fn list(&self, options: &ListOptions) -> Result<List<V>, CacheError> {
        todo!()
    }
    /// A snapshot as `Added` events, then everything after it. Dropping it unsubscribes.
    pub fn subscribe(&self) -> Result<Subscription<V>, CacheError> {
        todo!()
    }
    /// A handler on a task of its own (the driver's, or the backend's). It must not block its thread: what
    /// waits belongs in a subscription.
    pub fn add_event_handler(
        &self,
        handler: impl FnMut(Event<V>) + Send + 'static,
    ) -> Result<HandlerRegistration, CacheError> {
        todo!()
    }
    pub fn has_synced(&self) -> bool {
        todo!()
    }
    pub fn wait_for_sync(&self) -> impl Future<Output = Result<(), CacheError>> + Send + use<V> {
        async { todo!() }
    }
    /// Everything written up to `version` is in the cache.
    pub fn wait_until_observed(
        &self,
        version: &ResourceVersion,
    ) -> impl Future<Output = Result<(), CacheError>> + Send + use<V> {
        async { todo!() }
    }
    /// Lists again and takes every object anew, the ones with an unchanged version too.
    pub fn refresh(&self) {}
    pub fn status(&self) -> InformerStatus {
        todo!()
    }
}
pub struct Subscription<V = Object>(PhantomData<fn() -> V>);
impl<V: View> Stream for Subscription<V> {
    type Item = Result<Event<V>, DecodeError>;
    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        todo!()
    }
}
/// Dropping it changes nothing.
pub struct HandlerRegistration;
impl HandlerRegistration {
    /// The handler has returned from every initial add.
    pub fn has_synced(&self) -> bool {
        todo!()
    }
    pub fn remove(self) {}
}

/// An index of `K`.
#[derive(Clone, Debug)]
pub struct Index<K>(Arc<str>, PhantomData<fn() -> K>);
#[derive(Clone)]
#[non_exhaustive]
pub enum Extract {
    /// A field by its path, read from the encoded object: no decode at all.
    Path(String),
    Object(Arc<dyn Fn(&Object) -> Result<Vec<String>, DecodeError> + Send + Sync>),
}
pub trait FieldIndexer: Send + Sync {
    /// Returns at once. On a filled cache the index is built beside the readers, and reads by it wait until it is
    /// whole (`NotSynced` from `select`); a million decodes do not happen inside this call.
    fn add_index(&self, gvk: &GroupVersionKind, field: &str, extract: Extract) -> Result<(), CacheError>;
}
pub trait FieldIndexerExt: FieldIndexer {
    /// Decodes every object of the kind as it arrives; for a plain field `index_path` is five times cheaper.
    fn index_field<K: Kind, V: IntoIterator<Item: Into<String>>>(
        &self,
        field: &str,
        extract: impl Fn(&K) -> V + Send + Sync + 'static,
    ) -> Result<Index<K>, CacheError> {
        let values =
            move |object: &Object| Ok(extract(&*object.decode::<K>()?).into_iter().map(Into::into).collect());
        self.add_index(&K::kind_of(), field, Extract::Object(Arc::new(values)))?;
        Ok(Index(field.into(), PhantomData))
    }
    /// An index named by the path it reads: `spec.nodeName`.
    fn index_path<K: Kind>(&self, path: &str) -> Result<Index<K>, CacheError> {
        self.add_index(&K::kind_of(), path, Extract::Path(path.into()))?;
        Ok(Index(path.into(), PhantomData))
    }
}
impl<T: FieldIndexer + ?Sized> FieldIndexerExt for T {}
impl<T: FieldIndexer + ?Sized> FieldIndexer for Arc<T> {
    fn add_index(&self, gvk: &GroupVersionKind, field: &str, extract: Extract) -> Result<(), CacheError> {
        (**self).add_index(gvk, field, extract)
    }
}

impl<V: View> Informer<V> {
    /// The version up to which the cache has seen the scope of `namespace`; moves only after the store applied it.
    pub fn observed(&self, namespace: Option<&str>) -> Option<ResourceVersion> {
        todo!()
    }
    /// Whether `object` would be in the answer of `list(options)`: evaluates namespace, labels, fields (by the
    /// extractors of the indexes). For objects that the cache has not seen yet.
    pub fn matches(&self, object: &Object, options: &ListOptions) -> Result<bool, CacheError> {
        todo!()
    }
    /// Whether the cache holds objects of this namespace (cluster scope: none) and these labels.
    pub fn in_scope(&self, object: &Object) -> bool {
        todo!()
    }
}
/// An object of `gvk` as the cache would keep it: head read, managedFields dropped. Other crates use it for what a
/// write answered.
pub fn admit(gvk: &Arc<GroupVersionKind>, json: bytes::Bytes) -> Result<Object, DecodeError> {
    todo!()
}
