//! First lists from a watch cache that lags: they may be older than what this client knows.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::{Client, client::Body};
use kube_core::params::{DeleteParams, Patch, PatchParams};
use nah_cache::{CacheFactory, CacheFactoryExt, CacheOptions, ListOptions, informers};
use nah_client::{CachedClient, ReaderExt, WriterExt};
use nah_core::{DynamicObject, GroupVersionKind, Kind};
use nah_testing::{ApiServer, Fault};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{World, config_map, data, edited, held, key};

/// The lists of single paths as they were: answered to whoever asks for nothing newer.
#[derive(Clone, Default)]
struct Frozen(Arc<Mutex<HashMap<String, Snapshot>>>);

/// A version and the body of its list.
type Snapshot = (u64, Vec<u8>);

impl Frozen {
    async fn freeze(&self, client: &Client, path: &str) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let body = client.send(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
        let list: Value = serde_json::from_slice(&body).unwrap();
        let version = list["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        self.0.lock().unwrap().insert(path.into(), (version, body.to_vec()));
    }

    fn answer(&self, request: &Request<Body>) -> Option<Response<Body>> {
        let query: HashMap<&str, &str> =
            request.uri().query()?.split('&').filter_map(|pair| pair.split_once('=')).collect();
        if query.contains_key("sendInitialEvents") {
            let mut response = Response::new(Body::from(b"unknown option".to_vec()));
            *response.status_mut() = StatusCode::BAD_REQUEST;
            return Some(response);
        }
        let at: u64 = query.get("resourceVersion").filter(|_| !query.contains_key("watch"))?.parse().ok()?;
        let frozen = self.0.lock().unwrap();
        let (version, body) = frozen.get(request.uri().path())?;
        (at <= *version).then(|| Response::new(Body::from(body.clone())))
    }
}

fn lagging(server: ApiServer) -> (World, Frozen) {
    let (frozen, real) = (Frozen::default(), server.client());
    let layer = frozen.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (answer, real) = (layer.answer(&request), real.clone());
        async move {
            match answer {
                Some(answer) => Ok(answer),
                None => real.send(request).await,
            }
        }
    });
    let client = Client::new(service, "default");
    let (informers, driver) = informers(client.clone(), CacheOptions::default());
    tokio::spawn(driver.run());
    let client = CachedClient::new(client, informers.clone());
    (World { server, informers, client }, frozen)
}

const MAPS: &str = "/api/v1/configmaps";

/// Nothing that comes after the frozen list gets through.
async fn freeze(world: &World, frozen: &Frozen, path: &str) {
    frozen.freeze(&world.server.client(), path).await;
    world.server.hold_watches("");
}

#[tokio::test(start_paused = true)]
async fn what_was_removed_before_there_was_a_cache_stays_so() // F47, Q4
{
    let (world, frozen) = lagging(ApiServer::new());
    world.client.create(&held("a")).await.unwrap();
    world.client.delete_by_key::<ConfigMap>(key("a")).await.unwrap();
    let terminating = world.client.get_live::<ConfigMap>(key("a")).await.unwrap();
    freeze(&world, &frozen, MAPS).await;
    let mut free = ConfigMap::clone(&terminating);
    free.metadata.finalizers = None;
    world.client.update(&free).await.unwrap();
    assert!(world.client.get::<ConfigMap>(key("a")).await.unwrap_err().is_not_found());
}

#[tokio::test(start_paused = true)]
async fn an_informer_that_others_begin_forgets_no_tombstone() // F47, Q4
{
    let (world, frozen) = lagging(ApiServer::new());
    world.client.create(&held("a")).await.unwrap();
    world.client.delete_by_key::<ConfigMap>(key("a")).await.unwrap();
    let terminating = world.client.get_live::<ConfigMap>(key("a")).await.unwrap();
    freeze(&world, &frozen, MAPS).await;
    let mut free = ConfigMap::clone(&terminating);
    free.metadata.finalizers = None;
    world.client.update(&free).await.unwrap();
    let informer = world.informers.informer::<ConfigMap>().unwrap();
    informer.wait_for_sync().await.unwrap();
    assert!(informer.get(&key("a")).unwrap().is_some(), "the cache lags");
    assert!(world.client.get::<ConfigMap>(key("a")).await.unwrap_err().is_not_found());
}

#[tokio::test(start_paused = true)]
async fn what_a_live_read_saw_before_there_was_a_cache_is_remembered() // F40
{
    let (world, frozen) = lagging(ApiServer::new());
    let mut map = serde_json::to_value(config_map("a", "1")).unwrap();
    (map["apiVersion"], map["kind"]) = ("v1".into(), "ConfigMap".into());
    world.server.create(&map).unwrap();
    freeze(&world, &frozen, MAPS).await;
    map["data"]["value"] = "2".into();
    world.server.update(&map).unwrap();
    let live = world.client.get_live::<ConfigMap>(key("a")).await.unwrap();
    assert_eq!(data(&live).as_deref(), Some("2"));
    assert_eq!(world.data("a").await.as_deref(), Some("2"));
}

#[tokio::test(start_paused = true)]
async fn what_a_live_list_saw_before_there_was_a_cache_is_remembered() // F27, F40
{
    let (world, frozen) = lagging(ApiServer::new());
    let mut map = serde_json::to_value(config_map("a", "1")).unwrap();
    (map["apiVersion"], map["kind"]) = ("v1".into(), "ConfigMap".into());
    world.server.create(&map).unwrap();
    freeze(&world, &frozen, MAPS).await;
    // What it does not show counts as well: the list is of a version that has no such object.
    world.server.delete("v1", "ConfigMap", "default", "a").unwrap();
    let list = world.client.list_live::<ConfigMap>(ListOptions::default()).await.unwrap();
    assert!(list.handles().all(|object| object.key().name() != "a"));
    assert!(world.client.get::<ConfigMap>(key("a")).await.unwrap_err().is_not_found());
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_cached_again_does_not_go_back() // F47, G18
{
    let (world, frozen) = lagging(ApiServer::new());
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    world.informers.informer::<ConfigMap>().unwrap().wait_for_sync().await.unwrap();
    frozen.freeze(&world.server.client(), MAPS).await;
    world.client.delete(&*created).await.unwrap();
    let mut other = serde_json::to_value(config_map("b", "1")).unwrap();
    (other["apiVersion"], other["kind"]) = ("v1".into(), "ConfigMap".into());
    world.server.create(&other).unwrap();
    world.catch_up::<ConfigMap>().await;
    assert!(world.client.get::<ConfigMap>(key("a")).await.unwrap_err().is_not_found());
    world.server.hold_watches("");
    world.informers.remove_kind(&ConfigMap::kind_of());
    assert!(world.client.get::<ConfigMap>(key("a")).await.unwrap_err().is_not_found());
}

fn widget(version: &str) -> GroupVersionKind {
    GroupVersionKind::gvk("example.com", version, "Widget")
}

/// A server with Widgets in two versions.
fn widgets() -> ApiServer {
    let server = ApiServer::new();
    let version = |name: &str, storage: bool| {
        json!({
            "name": name, "served": true, "storage": storage,
            "schema": { "openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true,
            } },
        })
    };
    server
        .create(&json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": "widgets.example.com" },
            "spec": {
                "group": "example.com", "scope": "Namespaced",
                "names": { "plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList" },
                "versions": [version("v1", true), version("v2", false)],
            },
        }))
        .unwrap();
    server
}

async fn create_widget(world: &World) {
    let object: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "example.com/v1", "kind": "Widget",
        "metadata": { "name": "a", "namespace": "default" }, "spec": { "size": 1 },
    }))
    .unwrap();
    world.client.create(&object).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_write_in_one_version_is_seen_by_a_first_list_in_another() // F40
{
    let (world, frozen) = lagging(widgets());
    create_widget(&world).await;
    freeze(&world, &frozen, "/apis/example.com/v2/widgets").await;
    let patch = Patch::Merge(json!({ "spec": { "size": 2 } }));
    let params = PatchParams::default();
    world.client.patch_for_kind(&widget("v1"), &key("a"), None, &patch, &params).await.unwrap();
    let found = world.client.get_for_kind(&widget("v2"), ("default", "a")).await.unwrap();
    assert_eq!(found.dynamic().unwrap().data["spec"]["size"], 2);
    assert!(world.informers.informer_for_kind(&widget("v2")).unwrap().has_synced());
}

/// A write of size 2 in the first version that the server has taken, and whose answer is on its way; lists in the second
/// version are from before it.
async fn write_under_way(
    world: &World,
    frozen: &Frozen,
) -> JoinHandle<nah_client::Result<nah_client::Written>> {
    create_widget(world).await;
    freeze(world, frozen, "/apis/example.com/v2/widgets").await;
    world.server.inject(Fault::delay_answer(Duration::from_secs(5)).on("patch"));
    let client = world.client.clone();
    let write = tokio::spawn(async move {
        let patch = Patch::Merge(json!({ "spec": { "size": 2 } }));
        client.patch_for_kind(&widget("v1"), &key("a"), None, &patch, &PatchParams::default()).await
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    write
}

async fn size_in_the_other_version(world: &World) -> Value {
    let found = world.client.get_for_kind(&widget("v2"), ("default", "a")).await.unwrap();
    found.dynamic().unwrap().data["spec"]["size"].clone()
}

#[tokio::test(start_paused = true)]
async fn a_version_first_read_while_a_write_is_under_way_shows_the_write() // F40
{
    let (world, frozen) = lagging(widgets());
    let write = write_under_way(&world, &frozen).await;
    let size = async || size_in_the_other_version(&world).await;
    assert_eq!(size().await, 1, "nobody has said yet that it is written");
    write.await.unwrap().unwrap();
    assert_eq!(size().await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_version_first_read_while_a_write_is_under_way_doubts_it_if_nobody_waits_for_its_end() // F40, F44
{
    let (world, frozen) = lagging(widgets());
    let write = write_under_way(&world, &frozen).await;
    let size = async || size_in_the_other_version(&world).await;
    assert_eq!(size().await, 1);
    write.abort();
    assert!(write.await.unwrap_err().is_cancelled());
    assert_eq!(size().await, 2, "nobody knows, so the server is asked");
}

#[tokio::test(start_paused = true)]
async fn a_version_first_read_while_many_are_removed_shows_none_of_them() // F34, F45
{
    let (world, frozen) = lagging(widgets());
    create_widget(&world).await;
    freeze(&world, &frozen, "/apis/example.com/v2/widgets").await;
    world.server.inject(Fault::delay_answer(Duration::from_secs(5)).on("deletecollection"));
    let client = world.client.clone();
    let write = tokio::spawn(async move {
        let all = ListOptions::default().in_namespace("default");
        client.delete_all_of_for_kind(&widget("v1"), all, &DeleteParams::default()).await
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let found = async || world.client.get_for_kind(&widget("v2"), ("default", "a")).await;
    assert!(found().await.is_ok(), "nobody has said yet that it is gone");
    write.await.unwrap().unwrap();
    assert!(found().await.unwrap_err().is_not_found());
}

#[tokio::test(start_paused = true)]
async fn what_was_removed_in_one_version_stays_so_in_another() // F45, Q4
{
    let (world, frozen) = lagging(widgets());
    create_widget(&world).await;
    freeze(&world, &frozen, "/apis/example.com/v2/widgets").await;
    world.client.delete_for_kind(&widget("v1"), &key("a"), &DeleteParams::default()).await.unwrap();
    let found = world.client.get_for_kind(&widget("v2"), ("default", "a")).await;
    assert!(found.unwrap_err().is_not_found());
}

#[tokio::test(start_paused = true)]
async fn a_first_list_is_not_older_than_the_last_write() // C1, F40
{
    let (world, frozen) = lagging(ApiServer::new());
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    freeze(&world, &frozen, MAPS).await;
    world.client.update(&edited(&created, "2")).await.unwrap();
    assert_eq!(world.data("a").await.as_deref(), Some("2"));
}
