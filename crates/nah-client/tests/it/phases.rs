//! Held, released, stopped; and kinds that nobody watches.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use nah_cache::{CacheError, CacheFactoryExt, ListOptions};
use nah_client::{
    CachedClient, Error, LiveWatch, OptionalExt, Reader, ReaderExt, Unwatched, Writer, WriterExt,
};
use nah_core::Kind;
use nah_testing::Fault;

use crate::{World, config_map, key};

#[test]
fn every_trait_is_dyn_compatible() {
    fn check(_: Option<(&dyn Reader, &dyn Writer, &dyn LiveWatch)>) {}
    check(None);
}

#[tokio::test(start_paused = true)]
async fn sugar_works_on_trait_objects() {
    let world = World::new();
    let (reader, writer): (&dyn Reader, &dyn Writer) = (&world.client, &world.client);
    writer.create(&config_map("a", "1")).await.unwrap();
    assert!(reader.get::<ConfigMap>(("default", "a")).await.is_ok());
}

#[test]
fn every_future_is_send() {
    fn check<T: Send>(_: impl FnOnce(&'static CachedClient, &'static ConfigMap) -> T) {}
    let key = || ("a", "b");
    check(|client, map| client.create(map));
    check(|client, map| client.update_status(map));
    check(|client, map| client.apply(map, "me"));
    check(|client, map| client.delete(map));
    check(move |client, _| client.get::<ConfigMap>(key()));
    check(move |client, _| client.get_live::<ConfigMap>(key()));
    check(|client, _| client.list::<ConfigMap>(ListOptions::default()));
    check(|client, _| client.delete_all_of::<ConfigMap>(ListOptions::default()));
    check(move |client, _| nah_client::ReadWriteExt::modify::<ConfigMap>(client, key(), |_| {}));
}

#[tokio::test(start_paused = true)]
async fn a_held_client_is_not_started() // F6
{
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    world.client.hold();
    let error = world.client.get::<ConfigMap>(("default", "a")).await.unwrap_err();
    assert!(matches!(error, Error::NotStarted) && !error.is_not_found());
    assert!(matches!(
        world.client.list::<ConfigMap>(ListOptions::default()).await.unwrap_err(),
        Error::NotStarted
    ));
    // The kind asked for is loaded all the same, and writes and live reads go.
    assert!(world.informers.existing(&ConfigMap::kind_of()).is_some());
    assert!(world.client.get_live::<ConfigMap>(("default", "a")).await.is_ok());
    world.client.create(&config_map("b", "1")).await.unwrap();
    world.client.release();
    assert_eq!(world.data("b").await.as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn who_waits_goes_on_after_the_release() {
    let world = World::new();
    world.client.hold();
    let client = world.client.clone();
    let waiting = tokio::spawn(async move { client.ready(&ConfigMap::kind_of()).await });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!waiting.is_finished());
    world.client.release();
    waiting.await.unwrap().unwrap();
    assert!(world.client.lookup(&ConfigMap::kind_of(), &key("a")).unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stopped_client_answers_stopped_to_everything() {
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    world.client.stop();
    world.client.release();
    let stopped = |error: Error| assert!(matches!(error, Error::Cache(CacheError::Stopped)), "{error:?}");
    stopped(world.client.get::<ConfigMap>(("default", "a")).await.unwrap_err());
    stopped(world.client.list::<ConfigMap>(ListOptions::default()).await.unwrap_err());
    stopped(world.client.get_live::<ConfigMap>(("default", "a")).await.unwrap_err());
    stopped(world.client.list_live::<ConfigMap>(ListOptions::default()).await.unwrap_err());
    stopped(world.client.create(&config_map("b", "1")).await.unwrap_err());
    stopped(world.client.ready(&ConfigMap::kind_of()).await.unwrap_err());
}

#[tokio::test(start_paused = true)]
async fn a_read_that_waits_ends_when_the_client_stops() {
    let world = World::new();
    world.server.inject(Fault::hang().on("list").of("configmaps").always());
    world.server.inject(Fault::hang().on("watch").of("configmaps").always());
    let client = world.client.clone();
    let waiting = tokio::spawn(async move { client.get::<ConfigMap>(("default", "a")).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.client.stop();
    assert!(matches!(waiting.await.unwrap().unwrap_err(), Error::Cache(CacheError::Stopped)));
}

#[tokio::test(start_paused = true)]
async fn a_read_after_the_cache_stops_answers_stopped() {
    let world = World::new();
    world.blind::<ConfigMap>().await;
    world.data("a").await;
    world.informers.stop();
    let error = world.client.get::<ConfigMap>(("default", "a")).await.unwrap_err();
    assert!(matches!(error, Error::Cache(CacheError::Stopped)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn the_first_read_of_a_kind_starts_it_and_waits() // F7
{
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    let error = world.client.lookup(&ConfigMap::kind_of(), &key("a")).unwrap_err();
    assert!(matches!(error, Error::Cache(CacheError::NotSynced { .. })), "{error:?}");
    assert_eq!(world.data("a").await.as_deref(), Some("1"));
    assert!(world.client.lookup(&ConfigMap::kind_of(), &key("a")).unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_sync_can_have_a_deadline() // F7
{
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    world.server.inject(Fault::hang().on("list").of("configmaps"));
    world.server.inject(Fault::hang().on("watch").of("configmaps"));
    let before = tokio::time::Instant::now();
    let read = world.client.get::<ConfigMap>(("default", "a"));
    assert!(tokio::time::timeout(Duration::from_secs(3), read).await.is_err());
    let ready = world.client.ready(&ConfigMap::kind_of());
    assert!(tokio::time::timeout(Duration::from_secs(2), ready).await.is_err());
    assert_eq!(before.elapsed(), Duration::from_secs(5), "no earlier and no later");
    // The kind goes on syncing for whoever comes next.
    assert_eq!(world.data("a").await.as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn the_cache_itself_can_be_waited_for() // F43
{
    let world = World::new();
    world.informers.informer::<ConfigMap>().unwrap().wait_for_sync().await.unwrap();
    world.blind::<ConfigMap>().await;
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    let informer = world.informers.informer::<ConfigMap>().unwrap();
    let client = world.client.clone();
    let map = created.clone();
    let waiting = tokio::spawn(async move { client.wait_until_observed(&*map).await });
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!waiting.is_finished() && informer.get(&key("a")).unwrap().is_none());
    world.server.release_watches("");
    waiting.await.unwrap().unwrap();
    assert_eq!(informer.get(&key("a")).unwrap().unwrap().metadata.uid, created.metadata.uid);
    let unstored = world.client.wait_until_observed(&config_map("b", "1")).await.unwrap_err();
    assert_eq!(unstored.status().unwrap().code, 400);
}

#[tokio::test(start_paused = true)]
async fn a_warm_read_asks_nobody() // F8
{
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    world.data("a").await;
    world.server.journal().clear();
    let mut read = std::pin::pin!(world.client.get::<ConfigMap>(("default", "a")));
    assert!(futures::poll!(read.as_mut()).is_ready(), "ready at the first poll");
    world.names(ListOptions::default()).await;
    assert!(world.server.journal().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_nobody_watches_can_be_read_live() {
    let world = World::new();
    let client = world.client.clone().unwatched(Unwatched::Live);
    client.create(&config_map("a", "1")).await.unwrap();
    assert!(client.get::<ConfigMap>(("default", "a")).await.is_ok());
    assert!(client.get::<ConfigMap>(("default", "b")).await.optional().unwrap().is_none());
    let listed = client.list::<ConfigMap>(ListOptions::default().in_namespace("default")).await.unwrap();
    assert!(!listed.is_empty());
    assert!(world.informers.existing(&ConfigMap::kind_of()).is_none());
    // Once it is watched, it is read from the cache.
    world.informers.informer::<ConfigMap>().unwrap().wait_for_sync().await.unwrap();
    let reads = world.server.journal().count("get", "configmaps");
    assert!(client.get::<ConfigMap>(("default", "a")).await.is_ok());
    assert_eq!(world.server.journal().count("get", "configmaps"), reads);
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_nobody_watches_can_be_an_error() {
    let world = World::new();
    let client = world.client.clone().unwatched(Unwatched::Error);
    for error in [
        client.get::<Secret>(("default", "a")).await.unwrap_err(),
        client.list::<Secret>(ListOptions::default()).await.unwrap_err(),
        client.ready(&Secret::kind_of()).await.unwrap_err(),
    ] {
        assert!(matches!(&error, Error::Unwatched(gvk) if gvk.kind == "Secret"), "{error:?}");
    }
    assert!(world.informers.existing(&Secret::kind_of()).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_was_removed_can_be_read_again() {
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    assert!(world.data("a").await.is_some());
    world.informers.remove_kind(&ConfigMap::kind_of());
    world.client.create(&config_map("b", "1")).await.unwrap();
    assert_eq!(world.data("b").await.as_deref(), Some("1"));
    world.server.hold_watches("");
    world.client.create(&config_map("c", "1")).await.unwrap();
    assert_eq!(world.data("c").await.as_deref(), Some("1"));
}
