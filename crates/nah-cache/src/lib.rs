//! Shared informers: list, watch, store, index.
//!
//! One list and one watch a kind serve every reader, whatever it reads: typed, dynamic or metadata alone. Reads are
//! snapshots that copy nothing, changes are streams that any number of tasks follow at their own pace, and a query by
//! an index costs what its answer is long. Nothing here spawns: [`informers`] returns a factory and the [`Driver`]
//! that yields its work.
//!
//! ```
//! use k8s_openapi::api::core::v1::Pod;
//! use nah_cache::{CacheFactoryExt, CacheOptions, FieldIndexerExt, ListOptions, informers};
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = nah_testing::ApiServer::new();
//! server.create(&json!({
//!     "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "default"},
//!     "spec": {"nodeName": "node-1", "containers": [{"name": "web", "image": "web:1"}]},
//! }))?;
//!
//! let (factory, driver) = informers(server.client(), CacheOptions::default());
//! tokio::spawn(driver.run());
//!
//! let by_node = factory.index_path::<Pod>("spec.nodeName")?;
//! let pods = factory.informer::<Pod>()?;
//! pods.wait_for_sync().await?;
//!
//! let on_node = pods.list(&ListOptions::default().by(&by_node, "node-1"))?;
//! let names: Vec<_> = on_node.handles().map(|pod| pod.key().to_string()).collect();
//! assert_eq!(names, ["default/web"]);
//!
//! let pod = pods.get(&("default", "web").into())?.expect("it was created");
//! assert_eq!(pod.spec.as_ref().map(|spec| spec.containers.len()), Some(1));
//! # factory.stop();
//! # Ok(())
//! # }
//! ```

mod connect;
mod connections;
mod driver;
mod error;
mod event;
mod factory;
mod found;
mod handler;
mod index;
mod informer;
mod list;
mod memory;
mod observer;
mod options;
mod reflector;
mod rest_mapper;
mod selector;
mod status;
mod store;
mod subscription;

use std::{marker::PhantomData, sync::Arc};

use nah_core::{GroupVersionKind, Kind, Object};
use serde::de::DeserializeOwned;

pub use connect::{connect, connect_counted};
pub use connections::Connections;
pub use driver::Driver;
pub use error::CacheError;
pub use event::Event;
pub use factory::{DetachedKind, InformerFactory, informers};
pub use found::Found;
pub use handler::{HandlerOptions, HandlerRegistration};
pub use index::{Explanation, Extract, Index, IndexStatus};
pub use informer::Informer;
pub use list::{IntoIter, List, ListOptions, Overlaid};
pub use memory::KindMemory;
pub use observer::{Applied, Observer};
pub use options::{CacheOptions, KindCacheOptions, Timeouts, Transform};
pub use rest_mapper::{Mapping, RestMapper};
pub use status::{InformerStatus, ListCause, ScopeState, ScopeStatus};
pub use store::admit;
pub use subscription::{Filtered, SubscriberStatus, Subscription};

#[cfg(fuzzing)]
#[doc(hidden)]
pub use reflector::fuzz;

/// Gives out informers: one a kind, shared by everyone who asks.
pub trait CacheFactory: Send + Sync {
    /// The informer of `gvk`, begun by whoever asks first. Does not wait for its first list.
    ///
    /// # Errors
    /// [`CacheError::Stopped`].
    #[doc(alias = "GetInformerForKind")]
    fn informer_for_kind(&self, gvk: &GroupVersionKind) -> Result<Informer, CacheError>;
}

/// What every [`CacheFactory`] can do for kinds that the compiler knows.
pub trait CacheFactoryExt: CacheFactory {
    /// The informer of `K`.
    ///
    /// # Errors
    /// [`CacheError::Stopped`].
    #[doc(alias = "GetInformer")]
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

/// Indexes kinds by their fields.
pub trait FieldIndexer: Send + Sync {
    /// Indexes `gvk` by what `extract` takes from each object, under the name `field`.
    ///
    /// Returns soon. Of a filled cache the first thousand objects are indexed before it returns; beyond that a
    /// task indexes the rest beside the readers, and a read by the index is [`CacheError::NotSynced`] until it is
    /// whole, for which `wait_for_sync` waits. `metadata.name` and `metadata.namespace` are built in: to index them
    /// by their own path changes nothing.
    ///
    /// # Errors
    /// [`CacheError::IndexConflict`] where the kind has an index of that name, [`CacheError::Path`] for a path that
    /// does not parse, [`CacheError::Stopped`].
    #[doc(alias = "AddIndexers")]
    fn add_index(&self, gvk: &GroupVersionKind, field: &str, extract: Extract) -> Result<(), CacheError>;
}

/// What every [`FieldIndexer`] can do for kinds that the compiler knows.
pub trait FieldIndexerExt: FieldIndexer {
    /// An index of `K` by what `extract` takes from each object.
    ///
    /// Decodes every object of the kind as it arrives; for a plain field
    /// [`index_path`](Self::index_path) is five times cheaper.
    ///
    /// # Errors
    /// As [`add_index`](FieldIndexer::add_index).
    #[doc(alias = "IndexField")]
    fn index_field<K: Kind, V: IntoIterator<Item: Into<String>>>(
        &self,
        field: &str,
        extract: impl Fn(&K) -> V + Send + Sync + 'static,
    ) -> Result<Index<K>, CacheError> {
        let values = move |object: &Object| {
            let object = object.decode::<K>()?;
            Ok(extract(&object).into_iter().map(Into::into).collect())
        };
        self.add_index(&K::kind_of(), field, Extract::Object(Arc::new(values)))?;
        Ok(Index(field.into(), PhantomData))
    }

    /// An index of `K` by what `extract` takes from a few fields of each object: those that `T` names.
    ///
    /// Reads these from the encoded object and skips the rest: cheaper than a whole object, dearer than a path.
    ///
    /// # Errors
    /// As [`add_index`](FieldIndexer::add_index).
    fn index_projection<K: Kind, T: DeserializeOwned, V: IntoIterator<Item: Into<String>>>(
        &self,
        field: &str,
        extract: impl Fn(T) -> V + Send + Sync + 'static,
    ) -> Result<Index<K>, CacheError> {
        let values =
            move |object: &Object| Ok(extract(object.project::<T>()?).into_iter().map(Into::into).collect());
        self.add_index(&K::kind_of(), field, Extract::Object(Arc::new(values)))?;
        Ok(Index(field.into(), PhantomData))
    }

    /// An index of `K` by what `extract` takes from each handle: its key, labels, owners, or whatever it decodes.
    ///
    /// # Errors
    /// As [`add_index`](FieldIndexer::add_index).
    fn index_handle<K: Kind, V: IntoIterator<Item: Into<String>>>(
        &self,
        field: &str,
        extract: impl Fn(&Object) -> V + Send + Sync + 'static,
    ) -> Result<Index<K>, CacheError> {
        let values = move |object: &Object| Ok(extract(object).into_iter().map(Into::into).collect());
        self.add_index(&K::kind_of(), field, Extract::Object(Arc::new(values)))?;
        Ok(Index(field.into(), PhantomData))
    }

    /// An index of `K` by one label, which label selectors use: `app=web`, `app in (web, api)`, `app`.
    ///
    /// To ask for one that is there gives that one.
    ///
    /// # Errors
    /// As [`add_index`](FieldIndexer::add_index).
    fn index_label<K: Kind>(&self, label: &str) -> Result<Index<K>, CacheError> {
        let field = Extract::label_field(label);
        self.add_index(&K::kind_of(), &field, Extract::Label(label.into()))?;
        Ok(Index(field.into(), PhantomData))
    }

    /// An index of `K` by all labels, which label selectors use, whatever label they ask for. Its values are pairs
    /// such as `app=web`.
    ///
    /// To ask for one that is there gives that one.
    ///
    /// # Errors
    /// As [`add_index`](FieldIndexer::add_index).
    fn index_labels<K: Kind>(&self) -> Result<Index<K>, CacheError> {
        self.add_index(&K::kind_of(), Extract::LABELS, Extract::Labels)?;
        Ok(Index(Extract::LABELS.into(), PhantomData))
    }

    /// An index named by the path it reads: `spec.nodeName`.
    ///
    /// # Errors
    /// As [`add_index`](FieldIndexer::add_index).
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
