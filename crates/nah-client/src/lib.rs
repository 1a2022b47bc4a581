//! Reads from the cache, writes to the API server, and sees its own writes.
//!
//! A [`Reader`] answers from what informers have cached and from what this client has written since, or live. A
//! [`Writer`] sends each write to the server at once. [`CachedClient`] is both, and between its two halves keeps what
//! the cache has not seen yet: a read after a write shows that write, without waiting and without a timer.
//!
//! Ask for no more than you use: `&(impl Reader + Writer + ?Sized)`. A test then passes a fake.
//!
//! ```
//! use k8s_openapi::api::core::v1::ConfigMap;
//! use nah_cache::{CacheOptions, ListOptions, informers};
//! use nah_client::{CachedClient, OptionalExt, ReadWriteExt, ReaderExt, WriterExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = nah_testing::ApiServer::new();
//! # let client = server.client();
//! let (informers, driver) = informers(client.clone(), CacheOptions::default());
//! tokio::spawn(driver.run());
//! let client = CachedClient::new(client, informers);
//!
//! let map: ConfigMap =
//!     serde_json::from_value(serde_json::json!({"metadata": {"name": "sky", "namespace": "default"}}))?;
//! client.create(&map).await?;
//! client
//!     .modify::<ConfigMap>(("default", "sky"), |map| {
//!         map.data.get_or_insert_default().insert("colour".into(), "blue".into());
//!     })
//!     .await?;
//!
//! // Whatever the cache has seen by now, these show it.
//! let sky = client.get::<ConfigMap>(("default", "sky")).await?;
//! assert_eq!(sky.data.as_ref().map(|data| &*data["colour"]), Some("blue"));
//! client.delete(&*sky).await?;
//! assert!(client.get::<ConfigMap>(("default", "sky")).await.optional()?.is_none());
//! let left = client.list::<ConfigMap>(ListOptions::default().in_namespace("default")).await?;
//! assert!(left.handles().all(|object| object.key().name() != "sky"));
//! # Ok(())
//! # }
//! ```

mod cached_client;
mod conflict;
mod error;
mod merge_from;
mod modify;
mod overlay;
mod overlays;
mod read;
mod request;
mod retry;
mod write;
mod writes;

use std::{any::TypeId, sync::Arc};

use futures_core::{future::BoxFuture, stream::BoxStream};
use kube_core::WatchEvent;
use nah_cache::{Found, List, ListOptions};
use nah_core::{DynamicObject, GroupVersionKind, Object, ObjectKey};

pub use cached_client::{CachedClient, Unwatched};
pub use conflict::retry_on_conflict;
pub use error::{Effect, Error, OptionalExt, Result};
pub use merge_from::{merge_from, merge_from_locked};
pub use modify::ReadWriteExt;
pub use read::{Get, ReaderExt, Select};
pub use write::{Verb, Write, Written};
pub use writes::WriterExt;

/// Reads: from the cache and the overlay at once, or live.
pub trait Reader: Send + Sync {
    /// What is known now. Never waits.
    ///
    /// # Errors
    /// `NotSynced` where nothing is known yet, [`Error::Unsure`] where only the server knows; `get` deals with both.
    fn lookup(&self, gvk: &GroupVersionKind, key: &ObjectKey) -> Result<Option<Object>>;

    /// As [`lookup`](Self::lookup), decoded as the type of this id where it was decoded before: `get` finds an object
    /// that is read again in one step. A reader that says nothing else looks it up.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup).
    fn find(&self, gvk: &GroupVersionKind, key: &ObjectKey, form: TypeId) -> Result<Option<Found>> {
        _ = form;
        Ok(self.lookup(gvk, key)?.map(Found::Object))
    }

    /// What is known now of all that `options` select. Never waits.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup), and `NoIndex` for a field that has no index.
    fn select(&self, gvk: &GroupVersionKind, options: &ListOptions) -> Result<List>;

    /// Starts the kind if it must and waits until `lookup` has an answer.
    fn ready(&self, gvk: &GroupVersionKind) -> BoxFuture<'_, Result<()>>;

    /// From the server; what it saw is remembered as a write of ours would be.
    ///
    /// # Errors
    /// Whatever keeps the server from saying whether the object is there. `None` is its word that it is not.
    #[doc(alias = "UncachedGet")]
    fn fetch(&self, gvk: &GroupVersionKind, key: &ObjectKey) -> BoxFuture<'_, Result<Option<Object>>>;

    /// As [`fetch`](Self::fetch), of the metadata alone, if the reader can ask for less than the whole.
    fn fetch_metadata(
        &self,
        gvk: &GroupVersionKind,
        key: &ObjectKey,
    ) -> BoxFuture<'_, Result<Option<Object>>> {
        self.fetch(gvk, key)
    }

    /// From the server: a part of the object that has a form of its own, such as a `Scale`. Nothing of it is
    /// remembered. A reader that says nothing else has none.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch), and that of a kind without such a part.
    fn fetch_subresource(
        &self,
        gvk: &GroupVersionKind,
        key: &ObjectKey,
        subresource: &str,
    ) -> BoxFuture<'_, Result<Option<Object>>> {
        let error = Error::bad_request(gvk, key.as_str(), "this reader reads no subresources");
        _ = subresource;
        Box::pin(async { Err(error) })
    }

    /// From the server: all that `options` select, sorted by key.
    #[doc(alias = "UncachedList")]
    fn fetch_list(&self, gvk: &GroupVersionKind, options: ListOptions) -> BoxFuture<'_, Result<List>>;
}

/// Writes: each to the server, at once.
pub trait Writer: Send + Sync {
    /// Sends one write, and answers with what came of it.
    ///
    /// # Errors
    /// [`Error::effect`] tells what an error did to the server. A future that is dropped leaves that open, as a broken
    /// connection does.
    fn write(&self, write: Write) -> BoxFuture<'_, Result<Written>>;
}

/// One live watch request, as it comes (Go's `WithWatch`).
#[doc(alias = "WithWatch")]
#[doc(alias = "Watch")]
pub trait LiveWatch: Send + Sync {
    /// The events of one request, bookmarks among them, until the server ends it. It is not resumed, and nothing of it
    /// enters the cache. An ERROR event is an error. It begins after the version of the options, if they name one, or
    /// with what is there. Limit and owner of the options are ignored.
    fn watch(
        &self,
        gvk: &GroupVersionKind,
        options: ListOptions,
    ) -> BoxStream<'static, Result<WatchEvent<DynamicObject>>>;
}

impl<T: Reader + ?Sized> Reader for Arc<T> {
    fn lookup(&self, gvk: &GroupVersionKind, key: &ObjectKey) -> Result<Option<Object>> {
        (**self).lookup(gvk, key)
    }

    fn find(&self, gvk: &GroupVersionKind, key: &ObjectKey, form: TypeId) -> Result<Option<Found>> {
        (**self).find(gvk, key, form)
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

    fn fetch_metadata(
        &self,
        gvk: &GroupVersionKind,
        key: &ObjectKey,
    ) -> BoxFuture<'_, Result<Option<Object>>> {
        (**self).fetch_metadata(gvk, key)
    }

    fn fetch_subresource(
        &self,
        gvk: &GroupVersionKind,
        key: &ObjectKey,
        subresource: &str,
    ) -> BoxFuture<'_, Result<Option<Object>>> {
        (**self).fetch_subresource(gvk, key, subresource)
    }

    fn fetch_list(&self, gvk: &GroupVersionKind, options: ListOptions) -> BoxFuture<'_, Result<List>> {
        (**self).fetch_list(gvk, options)
    }
}

impl<T: Writer + ?Sized> Writer for Arc<T> {
    fn write(&self, write: Write) -> BoxFuture<'_, Result<Written>> {
        (**self).write(write)
    }
}

impl<T: LiveWatch + ?Sized> LiveWatch for Arc<T> {
    fn watch(
        &self,
        gvk: &GroupVersionKind,
        options: ListOptions,
    ) -> BoxStream<'static, Result<WatchEvent<DynamicObject>>> {
        (**self).watch(gvk, options)
    }
}
