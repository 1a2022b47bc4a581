//! The client against the embedded API server, on a paused clock.
#![allow(clippy::unwrap_used, clippy::panic)] // Helpers are tests, too.

mod bounds;
mod deletions;
mod errors;
mod kept_lists;
mod kinds;
mod lagging;
mod live;
mod metadata;
mod modify;
mod options;
mod own_writes;
mod phases;
mod races;
mod requests;
mod retries;
mod scope;
mod selections;
mod storm;
mod subresources;
mod trimmed;
mod unknown;
mod verbs;

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::core::v1::ConfigMap;
use nah_cache::{CacheFactory, CacheFactoryExt, CacheOptions, InformerFactory, ListOptions, informers};
use nah_client::{CachedClient, ReaderExt};
use nah_core::{Kind, ObjectKey, ObjectMeta};
use nah_testing::ApiServer;

/// A server, a cache and a client of it. The driver of the cache runs.
struct World {
    server: ApiServer,
    informers: InformerFactory,
    client: CachedClient,
}

impl World {
    fn new() -> Self {
        Self::with(ApiServer::new(), CacheOptions::default())
    }

    fn with(server: ApiServer, options: CacheOptions) -> Self {
        let (informers, driver) = informers(server.client(), options);
        tokio::spawn(driver.run());
        let client = CachedClient::new(server.client(), informers.clone());
        Self { server, informers, client }
    }

    /// The kind is synced, and from then on its informer hears of nothing until `catch_up`.
    async fn blind<K: Kind>(&self) {
        self.informers.informer::<K>().unwrap().wait_for_sync().await.unwrap();
        self.server.hold_watches("");
    }

    /// The informer hears of everything.
    async fn catch_up<K: Kind>(&self) {
        self.server.release_watches("");
        let version = self.server.version().into();
        let informer = self.informers.informer_for_kind(&K::kind_of()).unwrap();
        // A write to something else moves the collection's version only with a bookmark.
        let observed = informer.wait_until_observed(&version);
        drop(tokio::time::timeout(std::time::Duration::from_secs(120), observed).await);
    }

    async fn data(&self, name: &str) -> Option<String> {
        data(&*self.client.get::<ConfigMap>(("default", name)).await.ok()?)
    }

    async fn names(&self, options: ListOptions) -> Vec<String> {
        let list = self.client.list::<ConfigMap>(options).await.unwrap();
        list.handles().map(|object| object.key().name().to_owned()).collect()
    }
}

fn data(map: &ConfigMap) -> Option<String> {
    map.data.as_ref()?.get("value").cloned()
}

fn config_map(name: &str, value: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            namespace: Some("default".into()),
            name: Some(name.into()),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([("value".into(), value.into())])),
        ..ConfigMap::default()
    }
}

fn labelled(name: &str, label: &str) -> ConfigMap {
    let mut map = config_map(name, label);
    map.metadata.labels = Some(BTreeMap::from([("app".into(), label.into())]));
    map
}

fn held(name: &str) -> ConfigMap {
    let mut map = config_map(name, "held");
    map.metadata.finalizers = Some(vec!["example.com/f".into()]);
    map
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::from(("default", name))
}

/// What the server has of a ConfigMap.
fn truth(server: &ApiServer, name: &str) -> Option<String> {
    let object = server.get("v1", "ConfigMap", "default", name).ok()?;
    object["data"]["value"].as_str().map(str::to_owned)
}

fn edited(map: &Arc<ConfigMap>, value: &str) -> ConfigMap {
    let mut map = ConfigMap::clone(map);
    map.data = Some(BTreeMap::from([("value".into(), value.into())]));
    map
}
