//! Reads and writes of metadata alone, which ask the server for no more.

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use kube_core::{
    WatchEvent,
    params::{Patch, PatchParams},
};
use nah_cache::{CacheOptions, KindCacheOptions, ListOptions};
use nah_client::{CachedClient, LiveWatch, OptionalExt, ReadWriteExt, ReaderExt, Unwatched, WriterExt};
use nah_core::{Kind, ObjectKey, PartialObjectMeta, Payload};
use nah_testing::ApiServer;
use serde_json::json;

use crate::{World, config_map, held};

type Meta = PartialObjectMeta<ConfigMap>;

/// What was asked for, by the last request of this verb.
fn accepted(world: &World, verb: &str) -> String {
    world.server.journal().filter(|request| request.verb == verb).pop().unwrap().accept
}

fn asks_for_metadata(world: &World, verb: &str) -> bool {
    accepted(world, verb).starts_with("application/json;as=PartialObjectMetadata")
}

fn label(value: &str) -> Patch<serde_json::Value> {
    Patch::Merge(json!({ "metadata": { "labels": { "x": value } } }))
}

/// A cache that keeps the metadata of ConfigMaps alone.
fn slim() -> World {
    let kinds = [((*ConfigMap::kind_of()).clone(), KindCacheOptions::default().metadata_only())];
    let mut options = CacheOptions::default();
    options.kinds = kinds.into();
    World::with(ApiServer::new(), options)
}

#[tokio::test(start_paused = true)]
async fn a_live_get_of_metadata_asks_for_no_more() // F27
{
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    let found = world.client.get_live::<Meta>(("default", "a")).await.unwrap();
    assert_eq!(found.metadata.name.as_deref(), Some("a"));
    assert!(asks_for_metadata(&world, "get"));
    assert!(world.client.get_live::<Meta>(("default", "b")).await.optional().unwrap().is_none());
    // Whoever wants more gets more, and nothing of it is mistaken for the whole.
    assert_eq!(world.data("a").await.as_deref(), Some("1"));
    world.client.get_live::<ConfigMap>(("default", "a")).await.unwrap();
    assert_eq!(accepted(&world, "get"), "application/json");
}

#[tokio::test(start_paused = true)]
async fn what_a_live_read_of_metadata_saw_no_cached_read_takes_back() // F40, Q8
{
    for many in [false, true] {
        let world = World::new();
        let created = world.client.create(&config_map("a", "1")).await.unwrap();
        world.blind::<ConfigMap>().await;
        let mut changed = serde_json::to_value(crate::edited(&created, "2")).unwrap();
        (changed["apiVersion"], changed["kind"]) = ("v1".into(), "ConfigMap".into());
        world.server.update(&changed).unwrap();
        assert_eq!(world.data("a").await.as_deref(), Some("1"), "the cache has not heard of it");
        match many {
            true => drop(world.client.list_live::<Meta>(ListOptions::default()).await.unwrap()),
            false => drop(world.client.get_live::<Meta>(("default", "a")).await.unwrap()),
        }
        assert_eq!(world.data("a").await.as_deref(), Some("2"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_live_list_of_metadata_asks_for_no_more() // F27
{
    let world = World::new();
    for name in ["a", "b", "c"] {
        world.client.create(&config_map(name, "1")).await.unwrap();
    }
    let in_pages = ListOptions::default().in_namespace("default").limit(2);
    let list = world.client.list_live::<Meta>(in_pages).await.unwrap();
    let names: Vec<_> = list.iter().map(|meta| meta.unwrap().metadata.name.clone().unwrap()).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(list.handles().all(|object| object.gvk() == &*ConfigMap::kind_of()));
    assert!(list.typed::<ConfigMap>().iter().all(|map| map.is_err()), "a ConfigMap without its data");
    assert!(accepted(&world, "list").contains("as=PartialObjectMetadataList;"));
}

#[tokio::test(start_paused = true)]
async fn a_live_watch_of_metadata_asks_for_no_more() // F39
{
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    let options = ListOptions::default().in_namespace("default").metadata_only();
    let mut events = world.client.watch(&ConfigMap::kind_of(), options);
    let Some(Ok(WatchEvent::Added(object))) = events.next().await else { panic!("no event") };
    assert_eq!(object.metadata.name.as_deref(), Some("a"));
    assert!(object.data.get("data").is_none());
    assert!(asks_for_metadata(&world, "watch"));
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_read_live_is_read_as_metadata_too() {
    let world = World::new();
    let client = world.client.clone().unwatched(Unwatched::Live);
    client.create(&config_map("a", "1")).await.unwrap();
    assert!(client.get::<Meta>(("default", "a")).await.is_ok());
    assert!(asks_for_metadata(&world, "get"));
    assert_eq!(client.list::<Meta>(ListOptions::default().in_namespace("default")).await.unwrap().len(), 1);
    assert!(asks_for_metadata(&world, "list"));
}

#[tokio::test(start_paused = true)]
async fn a_write_of_metadata_is_answered_by_it_where_nobody_caches_the_whole() {
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    let params = PatchParams::default();
    let patched = world.client.patch::<Meta>(("default", "a"), &label("1"), &params).await.unwrap();
    assert_eq!(patched.metadata.labels.as_ref().unwrap()["x"], "1");
    assert_eq!(patched.gvk().unwrap(), *ConfigMap::kind_of());
    assert!(asks_for_metadata(&world, "patch"));
    world.client.delete(&*patched).await.unwrap();
    assert!(asks_for_metadata(&world, "delete"));
}

#[tokio::test(start_paused = true)]
async fn a_write_of_metadata_is_answered_by_the_whole_where_that_is_cached() // F48, Q8
{
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    world
        .client
        .modify::<Meta>(("default", "a"), |meta| {
            meta.metadata.labels.get_or_insert_default().insert("x".into(), "1".into());
        })
        .await
        .unwrap();
    assert_eq!(accepted(&world, "patch"), "application/json");
    let read = world.client.get::<ConfigMap>(("default", "a")).await.unwrap();
    assert_eq!(read.metadata.labels.as_ref().unwrap()["x"], "1");
    assert_eq!(world.server.journal().count("get", "configmaps"), 0, "the answer was enough");
}

#[tokio::test(start_paused = true)]
async fn a_cache_of_metadata_reads_its_own_writes_without_asking() // F48, Q8
{
    let world = slim();
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    world.client.patch::<Meta>(("default", "a"), &label("2"), &PatchParams::default()).await.unwrap();
    assert!(asks_for_metadata(&world, "patch"));
    let read = world.client.get::<Meta>(("default", "a")).await.unwrap();
    assert_eq!(read.metadata.labels.as_ref().unwrap()["x"], "2");
    let listed =
        world.client.list::<Meta>(ListOptions::default().matching_labels([("x", "2")])).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(world.server.journal().count("get", "configmaps"), 0);
    world.client.delete(&*created).await.unwrap();
    assert!(world.client.get::<Meta>(("default", "a")).await.optional().unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_shows_metadata_is_one_if_nothing_holds_it_up() // F45, Q4
{
    let world = World::new();
    let client: &CachedClient = &world.client;
    let account: ServiceAccount =
        serde_json::from_value(json!({ "metadata": { "name": "s", "namespace": "default" } })).unwrap();
    client.create(&account).await.unwrap();
    client.create(&held("h")).await.unwrap();
    let space: Namespace = serde_json::from_value(json!({ "metadata": { "name": "n" } })).unwrap();
    client.create(&space).await.unwrap();
    client.delete_by_key::<PartialObjectMeta<ServiceAccount>>(("default", "s")).await.unwrap();
    client.delete_by_key::<Meta>(("default", "h")).await.unwrap();
    client.delete_by_key::<PartialObjectMeta<Namespace>>(ObjectKey::cluster("n")).await.unwrap();
    assert!(asks_for_metadata(&world, "delete"));
    assert!(client.get::<ServiceAccount>(("default", "s")).await.optional().unwrap().is_none());
    assert!(client.get::<ConfigMap>(("default", "h")).await.unwrap().metadata.deletion_timestamp.is_some());
    // The finalizers of its spec hold it up, which its metadata do not show.
    assert!(
        client.get::<Namespace>(ObjectKey::cluster("n")).await.unwrap().metadata.deletion_timestamp.is_some()
    );
}
