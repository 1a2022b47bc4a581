//! Writes whose result is not known: `get` asks the server, and nothing false is shown.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use nah_cache::{CacheFactoryExt, ListOptions};
use nah_client::{Effect, Error, Reader, ReaderExt, WriterExt, retry_on_conflict};
use nah_core::Kind;
use nah_testing::{Corruption, Fault};

use crate::{World, config_map, data, edited, key, truth};

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_after_the_write_is_unknown() // F40
{
    let world = World::new();
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    world.server.inject(Fault::drop_answer().on("update").of("configmaps"));
    let error = world.client.update(&edited(&created, "2")).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown);
    assert_eq!(truth(&world.server, "a").as_deref(), Some("2"), "it happened");
    assert!(matches!(world.client.lookup(&ConfigMap::kind_of(), &key("a")), Err(Error::Unsure { .. })));
    assert_eq!(world.data("a").await.as_deref(), Some("2"));
    // That read has settled it: no second request.
    let reads = world.server.journal().count("get", "configmaps");
    assert_eq!(world.data("a").await.as_deref(), Some("2"));
    assert_eq!(world.server.journal().count("get", "configmaps"), reads);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_before_the_write_is_unknown_too() {
    let world = World::new();
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    world.server.inject(Fault::refuse().on("update").of("configmaps"));
    let error = world.client.update(&edited(&created, "2")).await.unwrap_err();
    assert_ne!(error.effect(), Effect::Applied);
    assert_eq!(world.data("a").await.as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_dropped_leaves_the_result_open() {
    let world = World::new();
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    world.server.inject(Fault::delay_answer(Duration::from_secs(60)).on("update").of("configmaps"));
    let (client, changed) = (world.client.clone(), edited(&created, "2"));
    let dropped = tokio::time::timeout(Duration::from_secs(1), client.update(&changed)).await;
    assert!(dropped.is_err());
    assert_eq!(truth(&world.server, "a").as_deref(), Some("2"));
    assert_eq!(world.data("a").await.as_deref(), Some("2"));
}

#[tokio::test(start_paused = true)]
async fn a_future_that_was_never_polled_leaves_nothing() {
    let world = World::new();
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    let changed = edited(&created, "2");
    drop(world.client.update(&changed));
    let reads = world.server.journal().count("get", "configmaps");
    assert_eq!(world.data("a").await.as_deref(), Some("1"));
    assert_eq!(world.server.journal().count("get", "configmaps"), reads);
}

#[tokio::test(start_paused = true)]
async fn a_delete_whose_answer_is_lost_is_looked_up() {
    let world = World::new();
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    world.server.inject(Fault::drop_answer().on("delete").of("configmaps"));
    assert_eq!(world.client.delete(&*created).await.unwrap_err().effect(), Effect::Unknown);
    assert!(world.client.get::<ConfigMap>(("default", "a")).await.unwrap_err().is_not_found());
    // Settled, for lists too.
    assert!(!world.names(ListOptions::default()).await.contains(&"a".into()));
}

#[tokio::test(start_paused = true)]
async fn a_server_error_on_a_write_is_unknown() {
    let world = World::new();
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    for code in [500, 503, 504] {
        world.server.inject(Fault::answer(code).on("update").of("configmaps"));
        let error = world.client.update(&edited(&created, "2")).await.unwrap_err();
        assert_eq!(error.effect(), Effect::Unknown, "{code}");
        assert!(matches!(world.client.lookup(&ConfigMap::kind_of(), &key("a")), Err(Error::Unsure { .. })));
    }
    assert_eq!(world.data("a").await.as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn a_conflict_makes_the_next_get_read_live() // E11, F31
{
    let world = World::new();
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    let mut theirs = serde_json::to_value(&*created).unwrap();
    theirs["data"]["value"] = "theirs".into();
    world.server.update(&theirs).unwrap();
    assert!(world.client.update(&edited(&created, "2")).await.unwrap_err().is_conflict());
    // A loop of get, edit and update makes progress at once, though the cache stands still.
    let fresh = world.client.get::<ConfigMap>(("default", "a")).await.unwrap();
    assert_eq!(crate::data(&fresh).as_deref(), Some("theirs"));
    world.client.update(&edited(&fresh, "2")).await.unwrap();
    assert_eq!(world.data("a").await.as_deref(), Some("2"));
}

#[tokio::test(start_paused = true)]
async fn a_read_and_a_write_are_tried_again_after_a_conflict() // F31
{
    let world = World::new();
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    let attempts = std::cell::Cell::new(0);
    let attempt = async || {
        attempts.set(attempts.get() + 1);
        let map = world.client.get::<ConfigMap>(("default", "a")).await?;
        if attempts.get() < 3 {
            let mut theirs = serde_json::to_value(&*map).unwrap();
            theirs["data"]["value"] = format!("theirs {}", attempts.get()).into();
            world.server.update(&theirs).unwrap();
        }
        world.client.update(&edited(&map, "ours")).await
    };
    retry_on_conflict(attempt).await.unwrap();
    assert_eq!(attempts.get(), 3);
    // Nobody waits for ever: the last conflict is returned, and any other error at once.
    attempts.set(0);
    let stale = async || {
        attempts.set(attempts.get() + 1);
        world.client.update(&*created).await
    };
    assert!(retry_on_conflict(stale).await.unwrap_err().is_conflict());
    assert_eq!(attempts.get(), 5);
    let missing = async || world.client.get::<ConfigMap>(("default", "x")).await;
    assert!(retry_on_conflict(missing).await.unwrap_err().is_not_found());
}

#[tokio::test(start_paused = true)]
async fn a_list_names_what_it_is_unsure_of() // F47
{
    let world = World::new();
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    world.client.create(&config_map("b", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    world.server.inject(Fault::drop_answer().on("update").of("configmaps"));
    world.client.update(&edited(&created, "2")).await.unwrap_err();
    let list = world.client.list::<ConfigMap>(ListOptions::default()).await.unwrap();
    assert_eq!(list.unsure(), [key("a")]);
    assert_eq!(list.len(), 2);
    let elsewhere = ListOptions::default().in_namespace("elsewhere");
    assert!(world.client.list::<ConfigMap>(elsewhere).await.unwrap().unsure().is_empty());
    world.data("a").await;
    assert!(world.client.list::<ConfigMap>(ListOptions::default()).await.unwrap().unsure().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_object_that_exists_already_is_found() // F30
{
    let world = World::new();
    world.blind::<ConfigMap>().await;
    let theirs = nah_testing_value("a", "theirs");
    world.server.create(&theirs).unwrap();
    assert_eq!(world.data("a").await, None, "the cache has not heard of it");
    assert!(world.client.create(&config_map("a", "1")).await.unwrap_err().is_already_exists());
    assert_eq!(world.data("a").await.as_deref(), Some("theirs"));
}

fn nah_testing_value(name: &str, value: &str) -> serde_json::Value {
    let mut object = serde_json::to_value(config_map(name, value)).unwrap();
    (object["apiVersion"], object["kind"]) = ("v1".into(), "ConfigMap".into());
    object
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_decode_tells_that_it_happened() {
    let world = World::new();
    world.blind::<ConfigMap>().await;
    world.server.inject(Fault::corrupt(Corruption::Truncated).on("create").of("configmaps"));
    let error = world.client.create(&config_map("a", "1")).await.unwrap_err();
    assert!(matches!(error, Error::Decode(_) | Error::Transport { .. }), "{error:?}");
    assert_eq!(error.effect(), Effect::Applied);
    assert_eq!(world.data("a").await.as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_off_tells_that_it_happened() {
    let world = World::new();
    world.blind::<ConfigMap>().await;
    world.server.inject(Fault::cut_after_bytes(20).on("create").of("configmaps"));
    let error = world.client.create(&config_map("a", "1")).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Applied, "{error:?}");
    assert_eq!(world.data("a").await.as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn a_deletion_of_many_that_fails_leaves_all_of_them_open() {
    let world = World::new();
    for name in ["a", "b"] {
        world.client.create(&config_map(name, "1")).await.unwrap();
    }
    world.blind::<ConfigMap>().await;
    world.server.inject(Fault::drop_answer().on("deletecollection").of("configmaps"));
    let all = ListOptions::default().in_namespace("default");
    let error = world.client.delete_all_of::<ConfigMap>(all).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown);
    for name in ["a", "b"] {
        assert_eq!(world.data(name).await, None, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_live_read_that_fails_is_no_absence() // F2
{
    let world = World::new();
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    world.server.inject(Fault::drop_answer().on("update").of("configmaps"));
    assert!(world.client.update(&edited(&created, "2")).await.is_err());
    world.server.inject(Fault::answer(403).on("get").of("configmaps"));
    let error = world.client.get::<ConfigMap>(("default", "a")).await.unwrap_err();
    assert!(error.is_forbidden() && !error.is_not_found());
    assert_eq!(world.data("a").await.as_deref(), Some("2"));
}

#[tokio::test(start_paused = true)]
async fn a_state_that_the_cache_could_not_read_does_not_hide_the_write() // F40, C19
{
    let world = World::new();
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    world.client.update(&edited(&created, "2")).await.unwrap();
    let fault = Fault::corrupt_object("a", Corruption::WrongType("metadata.labels".into()));
    world.server.inject(fault.on("watch").of("configmaps").always());
    world.server.cut_watches("configmaps");
    world.client.create(&config_map("b", "1")).await.unwrap();
    world.catch_up::<ConfigMap>().await;
    let informer = world.informers.informer::<ConfigMap>().unwrap();
    assert_eq!(informer.quarantined().len(), 1);
    assert_eq!(data(&informer.get(&key("a")).unwrap().unwrap()).as_deref(), Some("1"), "the last good state");
    assert_eq!(world.data("a").await.as_deref(), Some("2"));
    assert_eq!(world.data("a").await.as_deref(), Some("2"));
}

#[tokio::test(start_paused = true)]
async fn a_deletion_of_many_that_failed_may_have_deleted_some() // F40
{
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    world.server.delete("v1", "ConfigMap", "default", "a").unwrap();
    // As a webhook denies the second of two.
    world.server.inject(Fault::answer(403).on("deletecollection"));
    let all = ListOptions::default().in_namespace("default");
    world.client.delete_all_of::<ConfigMap>(all).await.unwrap_err();
    assert_eq!(world.data("a").await, None);
}
