//! One backend for a whole operator: every layer of nah behind the documented interface.
//!
//! A [`Backend`] reads from shared informers ([`Reader`], [`CacheFactory`], [`FieldIndexer`]), writes to the API
//! server ([`Writer`]), asks for a key to be looked at ([`Trigger`]) and calls back when it is time ([`Watcher`]).
//! [`KubeBackend`] is the one of a cluster. Each layer is a crate of its own and stands here as a module.
//!
//! ```
//! use k8s_openapi::api::core::v1::ConfigMap;
//! use nah_backend::{KubeBackend, prelude::*};
//! use nah_testing::ApiServer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let server = ApiServer::new(); // in this process; on a cluster: kube::Client::try_default().await?
//! let backend = KubeBackend::with_client(server.client()).build();
//!
//! let (seen, mut all) = tokio::sync::mpsc::unbounded_channel();
//! backend.watcher("print", move |change: Change<ConfigMap>| {
//!     let seen = seen.clone();
//!     async move {
//!         seen.send(change.key)?;
//!         Ok(())
//!     }
//! })?;
//! backend.start().await?;
//!
//! let map: ConfigMap = serde_json::from_value(serde_json::json!({
//!     "metadata": { "name": "greeting", "namespace": "default" }, "data": { "hello": "world" }
//! }))?;
//! backend.create(&map).await?;
//! let read = backend.get::<ConfigMap>(("default", "greeting")).await?; // at once: own writes are visible
//! assert_eq!(read.data.as_ref().map(|data| data.len()), Some(1));
//! assert_eq!(all.recv().await, Some(("default", "greeting").into()));
//!
//! backend.shutdown(std::time::Duration::from_secs(10)).await;
//! # Ok(())
//! # }
//! ```

mod backend;
mod builder;
mod error;
mod finalizer;
mod kind_run;
mod kinds;
mod kube_backend;
mod lifecycle;
mod owner_reference;
mod ownership;
mod rights;
mod since;
mod slots;
mod wire;
mod work;

pub use backend::{Backend, BackendExt};
pub use builder::{Builder, KindOptions};
pub use error::{Shutdown, StartError};
pub use finalizer::{Finalizer, Step};
pub use kube_backend::{KubeBackend, WeakBackend};
pub use nah_cache::{CacheFactory, FieldIndexer};
pub use nah_client::{LiveWatch, Reader, Unwatched, Writer};
pub use nah_trigger::Trigger;
pub use nah_watch::Watcher;
pub use owner_reference::{BadOwner, set_controller_reference, set_owner_reference};
pub use rights::{Manifests, RequiredRules, Rights};
pub use {
    nah_cache as cache, nah_client as client, nah_core as core, nah_trigger as trigger, nah_watch as watch,
};

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/from-kube-rs.md")]
struct FromKubeRs;

/// The traits whose methods one calls, and the words one writes; nothing that shadows `kube::Client` or `Event`.
pub mod prelude {
    pub use crate::{Backend, BackendExt as _};
    pub use nah_cache::{
        CacheFactory as _, CacheFactoryExt as _, FieldIndexer as _, FieldIndexerExt as _, ListOptions,
    };
    pub use nah_client::{
        LiveWatch as _, OptionalExt as _, ReadWriteExt as _, Reader as _, ReaderExt as _, Writer as _,
        WriterExt as _,
    };
    pub use nah_core::{GroupVersionKind, Kind, Object, ObjectKey, Payload as _};
    pub use nah_trigger::{Trigger as _, TriggerExt as _};
    pub use nah_watch::{Change, Watcher as _, WatcherExt as _};
}
