//! Lists and selections over what is cached and written.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use k8s_openapi::api::core::v1::ConfigMap;
use nah_cache::{CacheError, FieldIndexerExt, ListOptions};
use nah_client::{Error, ReadWriteExt, ReaderExt, WriterExt};

use crate::{World, config_map, labelled};

#[tokio::test(start_paused = true)]
async fn an_index_is_asked_of_what_is_written() // F12, F16, F47, Q5
{
    let world = World::new();
    let by_value = world.informers.index_path::<ConfigMap>("data.value").unwrap();
    world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    let of = |value: &str| ListOptions::default().by(&by_value, value);
    assert_eq!(world.names(of("1")).await, ["a"]);
    world.client.create(&config_map("b", "1")).await.unwrap();
    assert_eq!(world.names(of("1")).await, ["a", "b"]);
    let edit = |map: &mut ConfigMap| map.data = config_map("a", "2").data;
    world.client.modify(("default", "a"), edit).await.unwrap();
    assert_eq!(world.names(of("1")).await, ["b"]);
    assert_eq!(world.names(of("2")).await, ["a"]);
    world.client.delete_by_key::<ConfigMap>(("default", "b")).await.unwrap();
    assert!(world.names(of("1")).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_index_by_a_function_is_asked_too() // F12, F47
{
    let world = World::new();
    let index = |map: &ConfigMap| map.data.iter().flatten().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    let by_key = world.informers.index_field("data-keys", index).unwrap();
    world.blind::<ConfigMap>().await;
    world.client.create(&config_map("a", "1")).await.unwrap();
    assert_eq!(world.names(ListOptions::default().by(&by_key, "value")).await, ["a"]);
    assert!(world.names(ListOptions::default().by(&by_key, "other")).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_list_of_a_quiet_moment_is_not_merged_again() // F47, Q5
{
    let world = World::new();
    world.client.create(&config_map("old", "1")).await.unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let index = {
        let calls = calls.clone();
        move |map: &ConfigMap| {
            calls.fetch_add(1, Relaxed);
            map.data.iter().flatten().map(|(key, _)| key.clone()).collect::<Vec<_>>()
        }
    };
    let by_key = world.informers.index_field("data-keys", index).unwrap();
    world.blind::<ConfigMap>().await;
    for n in 0..20 {
        world.client.create(&config_map(&format!("m{n:02}"), "1")).await.unwrap();
    }
    let keyed = || ListOptions::default().by(&by_key, "value");
    let asked = || calls.swap(0, Relaxed);
    asked();
    assert_eq!(world.names(keyed()).await.len(), 21);
    assert_eq!(asked(), 20);
    for _ in 0..10 {
        assert_eq!(world.names(keyed()).await.len(), 21);
    }
    assert_eq!(asked(), 0, "nothing has happened");
    // Of another selection nothing is known.
    assert_eq!(world.names(keyed().limit(3)).await, ["m00", "m01", "m02"]);
    assert!(asked() > 0);

    // A write of our own, one of somebody else, and the cache that catches up.
    world.client.delete_by_key::<ConfigMap>(("default", "m00")).await.unwrap();
    assert_eq!(world.names(keyed()).await.len(), 20);
    assert_eq!(world.names(keyed().limit(3)).await, ["m01", "m02", "m03"]);
    world.server.delete("v1", "ConfigMap", "default", "m01").unwrap();
    assert_eq!(world.names(keyed().limit(3)).await, ["m01", "m02", "m03"]);
    world.catch_up::<ConfigMap>().await;
    assert_eq!(world.names(keyed().limit(3)).await, ["m02", "m03", "m04"]);
    assert_eq!(world.names(keyed()).await.len(), 19);
}

#[tokio::test(start_paused = true)]
async fn a_field_without_an_index_is_an_error_that_names_it() // F14, Q39
{
    let world = World::new();
    world.blind::<ConfigMap>().await;
    for written in [false, true] {
        if written {
            world.client.create(&config_map("a", "1")).await.unwrap();
        }
        let options = ListOptions::default().matching_field("spec.none", "x");
        let error = world.client.list::<ConfigMap>(options).await.unwrap_err();
        assert!(
            matches!(&error, Error::Cache(CacheError::NoIndex { index, .. }) if index == "spec.none"),
            "{error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_counts_what_is_written() // F22
{
    let world = World::new();
    for name in ["b", "d"] {
        world.client.create(&labelled(name, "x")).await.unwrap();
    }
    world.blind::<ConfigMap>().await;
    for name in ["a", "c"] {
        world.client.create(&labelled(name, "x")).await.unwrap();
    }
    let x = || ListOptions::default().matching_labels([("app", "x")]);
    assert_eq!(world.names(x().limit(3)).await, ["a", "b", "c"]);
    assert_eq!(world.names(x().limit(0)).await.len(), 4);
    world.client.delete_by_key::<ConfigMap>(("default", "a")).await.unwrap();
    assert_eq!(world.names(x().limit(3)).await, ["b", "c", "d"]);
}

#[tokio::test(start_paused = true)]
async fn a_list_has_a_version_and_an_order() // F9, F23, Q42
{
    let world = World::new();
    world.blind::<ConfigMap>().await;
    for name in ["c", "a", "b"] {
        world.client.create(&labelled(name, "x")).await.unwrap();
    }
    let x = ListOptions::default().matching_labels([("app", "x")]);
    let list = world.client.list::<ConfigMap>(x).await.unwrap();
    let names: Vec<_> = list.handles().map(|object| object.key().name()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert!(list.resource_version().and_then(|version| version.number()).is_some());
}

#[tokio::test(start_paused = true)]
async fn no_match_is_an_empty_list() // F9
{
    let world = World::new();
    assert!(world.names(ListOptions::default().matching_labels([("app", "none")])).await.is_empty());
    assert!(world.names(ListOptions::default().in_namespace("nowhere")).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn by_name_and_namespace_needs_no_index() // F21, Q38
{
    let world = World::new();
    world.blind::<ConfigMap>().await;
    world.client.create(&config_map("a", "1")).await.unwrap();
    world.client.create(&config_map("b", "1")).await.unwrap();
    let options = ListOptions::default().matching_field("metadata.name", "a");
    assert_eq!(world.names(options.clone()).await, ["a"]);
    assert_eq!(world.names(options.matching_field("metadata.namespace", "default")).await, ["a"]);
}
