//! What reads and writes hold at most: guards of what the benches measure, in numbers that no slow machine changes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use http::{Method, Request, Response};
use k8s_openapi::{NamespaceResourceScope, api::core::v1::ConfigMap};
use kube_client::{Client, client::Body};
use kube_core::{
    Resource,
    params::{Patch, PatchParams},
};
use nah_cache::{CacheFactoryExt, CacheOptions, KindCacheOptions, ListOptions, informers};
use nah_client::{CachedClient, Error, Reader, ReaderExt, WriterExt};
use nah_core::{Kind, ObjectKey, ObjectMeta};
use nah_testing::ApiServer;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use tower::{BoxError, service_fn};

/// How many decoded ConfigMaps there are, and how many there have been at once.
static LIVE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

/// A ConfigMap that is counted.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Counted(ConfigMap);

impl Counted {
    fn new(map: ConfigMap) -> Self {
        MOST.fetch_max(LIVE.fetch_add(1, Relaxed) + 1, Relaxed);
        Self(map)
    }
}

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        ConfigMap::deserialize(reader).map(Self::new)
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        Self::new(self.0.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Relaxed);
    }
}

impl Resource for Counted {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;
    fn kind(&(): &()) -> std::borrow::Cow<'_, str> {
        "ConfigMap".into()
    }
    fn group(&(): &()) -> std::borrow::Cow<'_, str> {
        "".into()
    }
    fn version(&(): &()) -> std::borrow::Cow<'_, str> {
        "v1".into()
    }
    fn plural(&(): &()) -> std::borrow::Cow<'_, str> {
        "configmaps".into()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.0.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.0.metadata
    }
}

fn start(client: Client, options: CacheOptions) -> CachedClient {
    let (factory, driver) = informers(client.clone(), options);
    let cached = CachedClient::new(client, factory.clone());
    tokio::spawn(driver.run());
    factory.informer::<ConfigMap>().unwrap();
    cached
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_walked_holds_five_mebibytes_decoded_at_the_most() {
    const MAPS: usize = 600;
    let (server, mut size) = (ApiServer::new(), 0);
    for n in 0..MAPS {
        let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "k": "v".repeat(4 << 10) },
                          "metadata": { "name": format!("m{n}"), "namespace": "default" } });
        size = server.create(&map).unwrap().to_string().len();
    }
    // What is seen once passes through a small part of the hot set.
    let client = start(server.client(), CacheOptions::default().hot_bytes(64 << 20));
    let list = client.list::<Counted>(ListOptions::default()).await.unwrap();
    assert_eq!(list.into_iter().filter(|map| map.is_ok()).count(), MAPS);
    let most = MOST.load(Relaxed);
    // A decoded Pod is some eight times its JSON.
    assert!(most > 0 && most * size * 8 <= 5 << 20, "{most} of {size} bytes at once");

    // Of a kind that is never hot nothing outlives its reader, however often it is read.
    let never = KindCacheOptions::default().never_hot();
    let client = start(server.client(), CacheOptions::default().kind((*ConfigMap::kind_of()).clone(), never));
    let before = LIVE.load(Relaxed);
    for _ in 0..3 {
        let map = client.get::<Counted>(("default", "m7")).await.unwrap();
        assert_eq!(LIVE.load(Relaxed), before + 1);
        drop(map);
        assert_eq!(LIVE.load(Relaxed), before);
    }
}

/// Answers every patch with what it made of the object, and lets no watch say so.
fn patched(server: &ApiServer) -> Client {
    let (inner, version) = (server.client(), Arc::new(AtomicUsize::new(1_000_000)));
    let service = service_fn(move |request: Request<Body>| {
        let (inner, version) = (inner.clone(), version.clone());
        async move {
            if request.method() != Method::PATCH {
                return inner.send(request).await.map_err(BoxError::from);
            }
            let name = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
            let map = json!({ "apiVersion": "v1", "kind": "ConfigMap",
                              "metadata": { "name": name, "namespace": "default", "uid": name,
                                            "resourceVersion": version.fetch_add(1, Relaxed).to_string() } });
            Ok(Response::new(Body::from(map.to_string().into_bytes())))
        }
    });
    Client::new(service, "default")
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_writes_that_no_watch_confirms_are_what_is_kept() // Q6
{
    const KEPT: usize = 10_000;
    const WRITES: usize = 10_600;
    let server = ApiServer::new();
    let client = start(patched(&server), CacheOptions::default());
    client.ready(&ConfigMap::kind_of()).await.unwrap();
    let patch = Patch::Merge(json!({ "data": { "k": "v" } }));
    for n in 0..WRITES {
        let key = ObjectKey::from(("default", format!("m{n}").as_str()));
        client.patch::<ConfigMap>(key, &patch, &PatchParams::default()).await.unwrap();
    }
    // The same one over and over takes one place.
    for _ in 0..500 {
        client.patch::<ConfigMap>(("default", "again"), &patch, &PatchParams::default()).await.unwrap();
    }
    let mut counts = [0; 2];
    for n in 0..WRITES {
        match client.lookup(&ConfigMap::kind_of(), &("default", format!("m{n}").as_str()).into()) {
            Ok(Some(_)) => counts[0] += 1,
            Err(Error::Unsure { .. }) => counts[1] += 1,
            other => panic!("{other:?}"),
        }
    }
    let [shown, unsure] = counts;
    assert_eq!(shown, KEPT - 1, "beside the one that was written again");
    assert_eq!(unsure, WRITES - shown, "the oldest are asked for, none is wrong");
}
