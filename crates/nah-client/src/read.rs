//! Reads in progress, and what one can ask a reader for.

use std::{
    any::TypeId,
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::future::BoxFuture;
use futures_util::{FutureExt as _, TryFutureExt as _};
use nah_cache::{CacheError, Found, List, ListOptions};
use nah_core::{GroupVersionKind, Kind, Object, ObjectKey, View};

use crate::{Error, Reader, Result};

/// Typed reads, and reads of kinds known at run time only.
///
/// `get` and `list` read what is cached and written; the `_live` forms ask the server. What is read is shared: clone
/// it before you change it.
pub trait ReaderExt: Reader {
    /// The object at `key`; [`Error::is_not_found`] where there is none, [`OptionalExt`](crate::OptionalExt) makes
    /// that a `None`. `K` may be a metadata-only form (`PartialObjectMeta<Pod>`): it reads the same cache.
    ///
    /// Ready at its first poll once the kind is synced; a kind that nobody watches yet is watched from now on.
    #[doc(alias = "Get")]
    fn get<K: Kind>(&self, key: impl Into<ObjectKey>) -> Get<'_, Self, K> {
        Get::new(self, K::kind_of(), key.into(), K::metadata_api())
    }

    /// As [`get`](Self::get), of a kind known at run time.
    #[doc(alias = "Get")]
    fn get_for_kind(&self, gvk: &GroupVersionKind, key: impl Into<ObjectKey>) -> Get<'_, Self, Object> {
        Get::new(self, gvk.clone().into(), key.into(), false)
    }

    /// The objects that `options` select, sorted by key, of one moment.
    #[doc(alias = "List")]
    fn list<K: Kind>(&self, options: ListOptions) -> Select<'_, Self, K> {
        Select::new(self, K::kind_of(), of_form::<K>(options))
    }

    /// As [`list`](Self::list), of a kind known at run time.
    #[doc(alias = "List")]
    fn list_for_kind(&self, gvk: &GroupVersionKind, options: ListOptions) -> Select<'_, Self, Object> {
        Select::new(self, gvk.clone().into(), options)
    }

    /// The object at `key` as the server has it. What it saw is remembered: a cached read that follows shows it or
    /// something newer. A metadata-only form asks the server for metadata alone.
    #[doc(alias = "GetAPIReader")]
    #[doc(alias = "Uncached")]
    fn get_live<K: Kind>(&self, key: impl Into<ObjectKey>) -> impl Future<Output = Result<Arc<K>>> + Send {
        let key = key.into();
        async move { Ok(live(self, &K::kind_of(), &key, K::metadata_api()).await?.decode()?) }
    }

    /// As [`get_live`](Self::get_live), of a kind known at run time.
    fn get_live_for_kind(
        &self,
        gvk: &GroupVersionKind,
        key: impl Into<ObjectKey>,
    ) -> impl Future<Output = Result<Object>> + Send {
        let (gvk, key) = (gvk.clone(), key.into());
        async move { live(self, &gvk, &key, false).await }
    }

    /// A part of the object at `key` as the server has it, which has a form of its own or is the object once more: the
    /// `Scale` of a Deployment is `get_subresource::<Deployment, Scale>(key, "scale")`. No cached read shows it.
    ///
    /// # Errors
    /// [`Error::is_not_found`] where there is no such object, and where its kind has no such part.
    #[doc(alias = "SubResource")]
    fn get_subresource<K: Kind, S: Kind>(
        &self,
        key: impl Into<ObjectKey>,
        subresource: &str,
    ) -> impl Future<Output = Result<Arc<S>>> + Send {
        let (key, gvk) = (key.into(), K::kind_of());
        let found = self.fetch_subresource(&gvk, &key, subresource);
        async move { Ok(found.await?.ok_or_else(|| Error::not_found(&gvk, &key))?.decode()?) }
    }

    /// The objects that `options` select as the server has them, sorted by key. Fields are the server's
    /// (`metadata.name`, `status.phase`), not the indexes of the cache. A metadata-only form asks for metadata alone.
    fn list_live<K: Kind>(
        &self,
        options: ListOptions,
    ) -> impl Future<Output = Result<List<K>>> + Send + use<'_, Self, K> {
        let live = self.list_live_for_kind(&K::kind_of(), of_form::<K>(options));
        async move { Ok(live.await?.typed()) }
    }

    /// As [`list_live`](Self::list_live), of a kind known at run time.
    fn list_live_for_kind(
        &self,
        gvk: &GroupVersionKind,
        options: ListOptions,
    ) -> impl Future<Output = Result<List>> + Send + use<'_, Self> {
        self.fetch_list(gvk, options)
    }
}

impl<T: Reader + ?Sized> ReaderExt for T {}

/// With the form that `K` shows: a metadata-only one asks for no more.
fn of_form<K: Kind>(options: ListOptions) -> ListOptions {
    if K::metadata_api() { options.metadata_only() } else { options }
}

/// From the server, the whole object or its metadata alone.
fn fetch<'a, R: Reader + ?Sized>(
    reader: &'a R,
    gvk: &GroupVersionKind,
    key: &ObjectKey,
    metadata: bool,
) -> BoxFuture<'a, Result<Option<Object>>> {
    match metadata {
        true => reader.fetch_metadata(gvk, key),
        false => reader.fetch(gvk, key),
    }
}

/// The same, of an object that is there.
pub(crate) async fn live<R: Reader + ?Sized>(
    reader: &R,
    gvk: &GroupVersionKind,
    key: &ObjectKey,
    metadata: bool,
) -> Result<Object> {
    fetch(reader, gvk, key, metadata).await?.ok_or_else(|| Error::not_found(gvk, key))
}

/// A read of one object in progress; a warm one is ready at the first poll. It borrows the reader alone, not what
/// the key was made of.
#[must_use = "futures do nothing unless awaited"]
pub struct Get<'a, R: ?Sized, V> {
    reader: &'a R,
    gvk: Arc<GroupVersionKind>,
    key: ObjectKey,
    metadata: bool,
    waiting: Waiting<'a, Option<Found>>,
    view: PhantomData<fn() -> V>,
}

/// A list in progress; a warm one is ready at the first poll.
#[must_use = "futures do nothing unless awaited"]
pub struct Select<'a, R: ?Sized, V> {
    reader: &'a R,
    gvk: Arc<GroupVersionKind>,
    options: ListOptions,
    waiting: Waiting<'a, List>,
    view: PhantomData<fn() -> V>,
}

enum Waiting<'a, T> {
    /// For nothing yet, or any more; how often the cache was waited for.
    No(u32),
    /// For the cache.
    Ready(u32, BoxFuture<'a, Result<()>>),
    /// For the server.
    Live(BoxFuture<'a, Result<T>>),
}

// === impl Get ===

impl<'a, R: ?Sized, V> Get<'a, R, V> {
    fn new(reader: &'a R, gvk: Arc<GroupVersionKind>, key: ObjectKey, metadata: bool) -> Self {
        Self { reader, gvk, key, metadata, waiting: Waiting::No(0), view: PhantomData }
    }
}

impl<R: Reader + ?Sized, V: View> Future for Get<'_, R, V> {
    type Output = Result<V::Handle>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { reader, gvk, key, metadata, waiting, .. } = self.get_mut();
        let find = || reader.find(gvk, key, TypeId::of::<V>());
        let live = || {
            let fetched = fetch(*reader, gvk, key, *metadata);
            fetched.map_ok(|fetched| fetched.map(Found::Object)).boxed()
        };
        let found = ready!(waiting.poll(cx, find, || reader.ready(gvk), live))?;
        let found = found.and_then(Found::view::<V>).ok_or_else(|| Error::not_found(gvk, key))?;
        Poll::Ready(Ok(found?))
    }
}

impl<R: ?Sized, V> fmt::Debug for Get<'_, R, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Get {} {}", self.gvk.kind, self.key)
    }
}

// === impl Select ===

impl<'a, R: ?Sized, V> Select<'a, R, V> {
    fn new(reader: &'a R, gvk: Arc<GroupVersionKind>, options: ListOptions) -> Self {
        Self { reader, gvk, options, waiting: Waiting::No(0), view: PhantomData }
    }
}

impl<R: Reader + ?Sized, V: View> Future for Select<'_, R, V> {
    type Output = Result<List<V>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { reader, gvk, options, waiting, .. } = self.get_mut();
        let select = || reader.select(gvk, options);
        let live = || reader.fetch_list(gvk, options.clone());
        let found = ready!(waiting.poll(cx, select, || reader.ready(gvk), live))?;
        Poll::Ready(Ok(found.typed()))
    }
}

impl<R: ?Sized, V> fmt::Debug for Select<'_, R, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Select {} {:?}", self.gvk.kind, self.options)
    }
}

// === impl Waiting ===

impl<'a, T> Waiting<'a, T> {
    /// Asks the cache; waits for it while it is not synced; asks the server where only that knows.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        cached: impl Fn() -> Result<T>,
        synced: impl Fn() -> BoxFuture<'a, Result<()>>,
        live: impl Fn() -> BoxFuture<'a, Result<T>>,
    ) -> Poll<Result<T>> {
        loop {
            *self = match self {
                Self::Live(answer) => {
                    let live = ready!(answer.as_mut().poll(cx))?;
                    // What it saw is remembered. What the cache would never hold, or a newer write hides, is not shown.
                    return Poll::Ready(cached().or(Ok(live)));
                }
                Self::Ready(times, synced) => {
                    ready!(synced.as_mut().poll(cx))?;
                    Self::No(*times)
                }
                Self::No(times) => match cached() {
                    Err(Error::Cache(CacheError::NotSynced { .. })) => {
                        Self::Ready(*times + 1, patient(synced(), *times))
                    }
                    Err(Error::Unsure { .. }) => Self::Live(live()),
                    answer => return Poll::Ready(answer),
                },
            };
        }
    }
}

/// Waits for the cache; the second time for a moment more, because a reader may call itself ready too soon, and a loop
/// that never waits would take the thread from whoever makes it so.
fn patient(synced: BoxFuture<'_, Result<()>>, times: u32) -> BoxFuture<'_, Result<()>> {
    if times == 0 {
        return synced;
    }
    Box::pin(async move {
        tokio::time::sleep(Duration::from_millis(1 << times.min(7))).await;
        synced.await
    })
}
