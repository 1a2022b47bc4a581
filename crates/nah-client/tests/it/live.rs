//! Reads and watches that go to the server.

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_core::WatchEvent;
use nah_cache::{CacheError, ListOptions};
use nah_client::{Error, LiveWatch, OptionalExt, ReaderExt, WriterExt};
use nah_core::Kind;
use nah_testing::Fault;

use crate::{World, config_map, labelled};

fn value(name: &str, value: &str) -> serde_json::Value {
    let mut object = serde_json::to_value(config_map(name, value)).unwrap();
    (object["apiVersion"], object["kind"]) = ("v1".into(), "ConfigMap".into());
    object
}

#[tokio::test(start_paused = true)]
async fn a_live_get_sees_what_the_cache_has_not_seen() // F27
{
    let world = World::new();
    world.blind::<ConfigMap>().await;
    world.server.create(&value("a", "1")).unwrap();
    assert_eq!(world.data("a").await, None);
    assert!(world.client.get_live::<ConfigMap>(("default", "a")).await.is_ok());
    // And what it saw a cached read does not take back.
    assert_eq!(world.data("a").await.as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn a_live_get_that_finds_nothing_is_remembered() // F2
{
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    world.server.delete("v1", "ConfigMap", "default", "a").unwrap();
    assert!(world.data("a").await.is_some());
    assert!(world.client.get_live::<ConfigMap>(("default", "a")).await.optional().unwrap().is_none());
    assert_eq!(world.data("a").await, None);
    assert!(!world.names(ListOptions::default()).await.contains(&"a".into()));
}

#[tokio::test(start_paused = true)]
async fn a_live_list_is_sorted_selected_and_limited() {
    let world = World::new();
    for name in ["c", "a", "b"] {
        world.client.create(&labelled(name, "web")).await.unwrap();
    }
    world.client.create(&labelled("d", "db")).await.unwrap();
    let web = || ListOptions::default().in_namespace("default").matching_labels([("app", "web")]);
    let names = async |options: ListOptions| {
        let list = world.client.list_live::<ConfigMap>(options).await.unwrap();
        assert!(list.resource_version().is_some());
        list.handles().map(|object| object.key().name().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(web()).await, ["a", "b", "c"]);
    assert_eq!(names(web().limit(2)).await, ["a", "b"]);
    assert_eq!(names(ListOptions::default().matching_field("metadata.name", "d")).await, ["d"]);
    assert!(names(web().owned_by("nobody")).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_live_read_refuses_what_the_api_cannot_select() // F15
{
    let world = World::new();
    let any =
        || ListOptions::default().in_namespace("default").matching_field_in("metadata.name", ["a", "b"]);
    let error = world.client.list_live::<ConfigMap>(any()).await.unwrap_err();
    assert_eq!(error.status().unwrap().code, 400, "{error}");
    assert_eq!(world.server.journal().count("list", "configmaps"), 0);
    let one = any().matching_field_in("metadata.name", ["a"]);
    assert_eq!(one.field_selector().as_deref(), Some("metadata.name=a"));
}

#[tokio::test(start_paused = true)]
async fn a_live_read_starts_no_informer() // F27
{
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    world.client.get_live::<ConfigMap>(("default", "a")).await.unwrap();
    assert!(world.informers.existing(&ConfigMap::kind_of()).is_none());
    assert_eq!(world.server.journal().count("watch", "configmaps"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_live_watch_tells_of_what_happens() // F39
{
    let world = World::new();
    world.client.create(&labelled("a", "web")).await.unwrap();
    let web = ListOptions::default().in_namespace("default").matching_labels([("app", "web")]).limit(1);
    let mut events = world.client.watch(&ConfigMap::kind_of(), web);
    let Some(Ok(WatchEvent::Added(first))) = events.next().await else { panic!("no initial event") };
    assert_eq!(first.metadata.name.as_deref(), Some("a"));
    world.client.create(&labelled("x", "db")).await.unwrap();
    let b = world.client.create(&labelled("b", "web")).await.unwrap();
    world.client.delete(&*b).await.unwrap();
    let mut told = Vec::new();
    while told.len() < 2 {
        match events.next().await.unwrap().unwrap() {
            WatchEvent::Added(object) => told.push(format!("added {}", object.metadata.name.unwrap())),
            WatchEvent::Deleted(object) => told.push(format!("deleted {}", object.metadata.name.unwrap())),
            WatchEvent::Bookmark(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(told, ["added b", "deleted b"]);
    assert!(world.informers.existing(&ConfigMap::kind_of()).is_none(), "nothing of it enters the cache");
}

#[tokio::test(start_paused = true)]
async fn a_live_watch_begins_after_the_version_it_is_given() // F39
{
    let world = World::new();
    let first = world.client.create(&config_map("a", "1")).await.unwrap();
    world.client.create(&config_map("b", "1")).await.unwrap();
    let after = first.metadata.resource_version.as_deref().unwrap();
    let options = ListOptions::default().in_namespace("default").after(after);
    let mut events = world.client.watch(&ConfigMap::kind_of(), options);
    let Some(Ok(WatchEvent::Added(next))) = events.next().await else { panic!("no event") };
    assert_eq!(next.metadata.name.as_deref(), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn a_live_watch_ends_with_the_server() // F39
{
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    world.server.inject(Fault::end_after_events(1).of("configmaps"));
    let events = world.client.watch(&ConfigMap::kind_of(), ListOptions::default().in_namespace("default"));
    assert_eq!(events.collect::<Vec<_>>().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_event_is_an_error() // F39
{
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    world.server.inject(Fault::error_event(0, 410).of("configmaps"));
    let mut events = world.client.watch(&ConfigMap::kind_of(), ListOptions::default());
    let error = events.next().await.unwrap().unwrap_err();
    assert_eq!(error.status().unwrap().code, 410);
}

#[tokio::test(start_paused = true)]
async fn a_live_watch_that_is_refused_says_why() {
    let world = World::new();
    world.server.inject(Fault::answer(403).on("watch").of("configmaps"));
    let mut events = world.client.watch(&ConfigMap::kind_of(), ListOptions::default());
    assert!(events.next().await.unwrap().unwrap_err().is_forbidden());
    assert!(events.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_live_watch_ends_when_the_client_stops() {
    let world = World::new();
    let mut events = world.client.watch(&ConfigMap::kind_of(), ListOptions::default().in_namespace("none"));
    let client = world.client.clone();
    let stop = async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        client.stop();
    };
    let (ended, ()) = futures::join!(events.next(), stop);
    assert!(ended.is_none());
    let mut events = world.client.watch(&ConfigMap::kind_of(), ListOptions::default());
    assert!(matches!(events.next().await, Some(Err(Error::Cache(CacheError::Stopped)))));
}

#[tokio::test(start_paused = true)]
async fn an_older_live_answer_does_not_hide_a_newer_write() // F41, F46
{
    let world = World::new();
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    world.server.inject(Fault::delay_answer(std::time::Duration::from_secs(5)).on("get").of("configmaps"));
    let client = world.client.clone();
    let slow = tokio::spawn(async move { client.get_live::<ConfigMap>(("default", "a")).await });
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    world.client.update(&crate::edited(&created, "2")).await.unwrap();
    assert_eq!(crate::data(&slow.await.unwrap().unwrap()).as_deref(), Some("1"));
    assert_eq!(world.data("a").await.as_deref(), Some("2"));
}
