//! Every write is seen by the read that follows, while the informer hears of nothing.

use std::any::TypeId;

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Namespace},
};
use kube_core::params::{Patch, PatchParams, PostParams};
use nah_cache::{CacheError, CacheFactoryExt, Found, ListOptions};
use nah_client::{Error, Reader, ReaderExt, Verb, Write, Writer, WriterExt};
use nah_core::Kind;
use serde_json::json;

use crate::{World, config_map, edited, held, key, labelled};

#[tokio::test(start_paused = true)]
async fn a_get_after_create_shows_the_object() // F40, Q1
{
    let world = World::new();
    world.blind::<ConfigMap>().await;
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    let found = world.client.get::<ConfigMap>(("default", "a")).await.unwrap();
    assert_eq!(*found, *created);
    // The cache itself has nothing yet.
    assert!(world.informers.informer::<ConfigMap>().unwrap().get(&key("a")).unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_get_of_another_name_shows_nothing() // Q1
{
    let world = World::new();
    world.blind::<ConfigMap>().await;
    world.client.create(&config_map("a", "1")).await.unwrap();
    assert!(world.client.get::<ConfigMap>(("default", "b")).await.unwrap_err().is_not_found());
}

#[tokio::test(start_paused = true)]
async fn a_get_after_update_shows_the_update() // F40
{
    let world = World::new();
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    let updated = world.client.update(&edited(&created, "2")).await.unwrap();
    assert_eq!(world.data("a").await.as_deref(), Some("2"));
    world.client.update(&edited(&updated, "3")).await.unwrap();
    assert_eq!(world.data("a").await.as_deref(), Some("3"));
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_is_at_hand_and_hides_no_write() // F40
{
    let world = World::new();
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    let find = || world.client.find(&ConfigMap::kind_of(), &key("a"), TypeId::of::<ConfigMap>());
    world.client.get::<ConfigMap>(key("a")).await.unwrap();
    world.client.wait_until_observed(&*created).await.unwrap();
    for _ in 0..2 {
        world.client.get::<ConfigMap>(key("a")).await.unwrap();
    }
    assert!(matches!(find(), Ok(Some(Found::Form(_)))), "it was decoded before");
    world.blind::<ConfigMap>().await;
    world.client.update(&edited(&created, "2")).await.unwrap();
    assert!(matches!(find(), Ok(Some(Found::Object(_)))), "the cache is behind");
    assert_eq!(world.data("a").await.as_deref(), Some("2"));
    world.client.hold();
    assert!(matches!(find(), Err(Error::NotStarted)));
    world.client.stop();
    assert!(matches!(find(), Err(Error::Cache(CacheError::Stopped))));
}

#[tokio::test(start_paused = true)]
async fn a_get_after_patch_shows_the_patch() // F40, F35
{
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    let patch = json!({ "data": { "value": "2" } });
    world
        .client
        .patch::<ConfigMap>(("default", "a"), &Patch::Merge(&patch), &PatchParams::default())
        .await
        .unwrap();
    assert_eq!(world.data("a").await.as_deref(), Some("2"));
    let body = br#"[{"op":"replace","path":"/data/value","value":"3"}]"#;
    let write = Write::at(Verb::JsonPatch, &ConfigMap::kind_of(), &key("a")).body(body.to_vec());
    world.client.write(write).await.unwrap();
    assert_eq!(world.data("a").await.as_deref(), Some("3"));
}

#[tokio::test(start_paused = true)]
async fn a_list_after_create_shows_the_object() // F47, Q5
{
    let world = World::new();
    for name in ["a", "c"] {
        world.client.create(&config_map(name, "1")).await.unwrap();
    }
    world.blind::<ConfigMap>().await;
    let before = world.names(ListOptions::default()).await;
    world.client.create(&config_map("b", "1")).await.unwrap();
    let mut expected = before;
    expected.push("b".into());
    expected.sort();
    let mut names = world.names(ListOptions::default()).await;
    names.sort();
    assert_eq!(names, expected);
    assert!(world.names(ListOptions::default().in_namespace("default")).await.contains(&"b".into()));
}

#[tokio::test(start_paused = true)]
async fn a_list_after_update_shows_the_update_in_its_place() // F47, Q5
{
    let world = World::new();
    for name in ["a", "b", "c"] {
        world.client.create(&config_map(name, "1")).await.unwrap();
    }
    world.blind::<ConfigMap>().await;
    let b = world.client.get::<ConfigMap>(("default", "b")).await.unwrap();
    world.client.update(&edited(&b, "2")).await.unwrap();
    let list = world.client.list::<ConfigMap>(ListOptions::default().in_namespace("default")).await.unwrap();
    let values: Vec<_> = list.decoded().filter(|map| data_of(map).is_some()).collect();
    let of =
        |name: &str| values.iter().find(|map| map.metadata.name.as_deref() == Some(name)).unwrap().clone();
    assert_eq!((data_of(&of("a")), data_of(&of("b")), data_of(&of("c"))), (Some("1"), Some("2"), Some("1")));
}

fn data_of(map: &ConfigMap) -> Option<&str> {
    map.data.as_ref()?.get("value").map(String::as_str)
}

#[tokio::test(start_paused = true)]
async fn a_generated_name_is_found() // F30
{
    let world = World::new();
    world.blind::<ConfigMap>().await;
    let mut map = config_map("x", "1");
    (map.metadata.name, map.metadata.generate_name) = (None, Some("gen-".into()));
    let created = world.client.create(&map).await.unwrap();
    let name = created.metadata.name.clone().unwrap();
    assert!(name.starts_with("gen-") && name.len() > 4, "{name}");
    assert_eq!(world.data(&name).await.as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn a_status_update_is_seen_whole() // F32, F40
{
    let world = World::new();
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": { "name": "web", "namespace": "default" },
        "spec": { "replicas": 1, "selector": { "matchLabels": { "a": "b" } },
            "template": { "metadata": { "labels": { "a": "b" } }, "spec": { "containers": [{ "name": "c", "image": "i" }] } } },
    }))
    .unwrap();
    let created = world.client.create(&deployment).await.unwrap();
    world.blind::<Deployment>().await;
    let mut changed = Deployment::clone(&created);
    changed.status.get_or_insert_default().replicas = Some(3);
    changed.spec.replicas = Some(9);
    world.client.update_status(&changed).await.unwrap();
    let found = world.client.get::<Deployment>(("default", "web")).await.unwrap();
    assert_eq!(found.status.as_ref().unwrap().replicas, Some(3));
    assert_eq!(found.spec.replicas, Some(1), "the spec is not the status");
}

#[tokio::test(start_paused = true)]
async fn the_cache_takes_over_once_it_has_caught_up() // F41, F43
{
    let world = World::new();
    world.blind::<ConfigMap>().await;
    world.client.create(&config_map("a", "1")).await.unwrap();
    // Somebody else changes it; nobody here has heard of that.
    let theirs = serde_json::to_value(config_map("a", "theirs")).unwrap();
    let mut theirs = theirs;
    (theirs["apiVersion"], theirs["kind"]) = ("v1".into(), "ConfigMap".into());
    world.server.update(&theirs).unwrap();
    assert_eq!(world.data("a").await.as_deref(), Some("1"));
    world.catch_up::<ConfigMap>().await;
    assert_eq!(world.data("a").await.as_deref(), Some("theirs"));
}

#[tokio::test(start_paused = true)]
async fn an_object_that_others_delete_does_not_come_back() // Q2
{
    let world = World::new();
    world.blind::<ConfigMap>().await;
    world.client.create(&config_map("a", "1")).await.unwrap();
    world.server.delete("v1", "ConfigMap", "default", "a").unwrap();
    assert!(world.data("a").await.is_some());
    world.catch_up::<ConfigMap>().await;
    assert_eq!(world.data("a").await, None);
    assert!(!world.names(ListOptions::default()).await.contains(&"a".into()));
}

#[tokio::test(start_paused = true)]
async fn what_was_read_does_not_change_with_the_callers_copy() // F1, F40
{
    let world = World::new();
    world.blind::<ConfigMap>().await;
    let mut map = config_map("a", "1");
    world.client.create(&map).await.unwrap();
    map.data = None;
    assert_eq!(world.data("a").await.as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_changes_nothing_here_and_there() // F37, Q9
{
    let world = World::new();
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    let dry = PostParams { dry_run: true, field_manager: None };
    world.client.create_with(&config_map("b", "1"), &dry).await.unwrap();
    let answer = world.client.update_with(&edited(&created, "2"), &dry).await.unwrap();
    assert_eq!(crate::data(&answer).as_deref(), Some("2"));
    let dry = kube_core::params::DeleteParams::default().dry_run();
    world.client.delete_with(&*created, &dry).await.unwrap();
    assert_eq!(world.data("a").await.as_deref(), Some("1"));
    assert_eq!(world.data("b").await, None);
    assert_eq!(crate::truth(&world.server, "a").as_deref(), Some("1"));
    assert_eq!(world.names(ListOptions::default().matching_field("metadata.name", "b")).await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_scoped_object_is_found_whatever_namespace_the_key_names() // F4, F24, Q43
{
    let world = World::new();
    world.blind::<Namespace>().await;
    let metadata = json!({ "name": "red", "namespace": "of a careless writer" });
    let space: Namespace = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
    world.client.create(&space).await.unwrap();
    for key in [nah_core::ObjectKey::cluster("red"), nah_core::ObjectKey::from(("any", "red"))] {
        assert!(world.client.get::<Namespace>(&key).await.is_ok(), "{key}");
        assert!(world.client.get_live::<Namespace>(&key).await.is_ok(), "{key}");
    }
    let listed = world.client.list::<Namespace>(ListOptions::default().in_namespace("any")).await.unwrap();
    assert!(listed.handles().any(|object| object.key().name() == "red"));
}

#[tokio::test(start_paused = true)]
async fn every_clone_sees_the_writes_of_the_others() {
    let world = World::new();
    world.blind::<ConfigMap>().await;
    let other = world.client.clone();
    other.create(&config_map("a", "1")).await.unwrap();
    assert_eq!(world.data("a").await.as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn a_write_before_the_informer_is_seen_after_its_first_list() // F40
{
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    assert_eq!(world.data("a").await.as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn a_write_during_the_first_list_is_seen_after_it() {
    let world = World::new();
    let slow = std::time::Duration::from_secs(5);
    world.server.inject(nah_testing::Fault::delay_answer(slow).on("list").of("configmaps"));
    world.server.inject(nah_testing::Fault::delay_answer(slow).on("watch").of("configmaps"));
    let informer = world.informers.informer::<ConfigMap>().unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    world.server.hold_watches("");
    world.client.create(&config_map("a", "1")).await.unwrap();
    world.server.release_watches("");
    informer.wait_for_sync().await.unwrap();
    assert_eq!(world.data("a").await.as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn a_terminating_object_is_shown_as_such() // F33, F45
{
    let world = World::new();
    let created = world.client.create(&held("a")).await.unwrap();
    world.blind::<ConfigMap>().await;
    world.client.delete(&*created).await.unwrap();
    let found = world.client.get::<ConfigMap>(("default", "a")).await.unwrap();
    assert!(found.metadata.deletion_timestamp.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_selection_takes_in_what_a_write_puts_there() // F47, Q5
{
    let world = World::new();
    world.client.create(&labelled("a", "web")).await.unwrap();
    let b = world.client.create(&labelled("b", "db")).await.unwrap();
    world.blind::<ConfigMap>().await;
    let web = || ListOptions::default().matching_labels([("app", "web")]);
    assert_eq!(world.names(web()).await, ["a"]);
    let mut moved = ConfigMap::clone(&b);
    moved.metadata.labels.as_mut().unwrap().insert("app".into(), "web".into());
    world.client.update(&moved).await.unwrap();
    assert_eq!(world.names(web()).await, ["a", "b"]);
    assert!(world.names(ListOptions::default().matching_labels([("app", "db")])).await.is_empty());
}
