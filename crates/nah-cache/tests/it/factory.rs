//! One informer a kind, begun, ended and begun again.

use std::time::Duration;

use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Node};
use nah_cache::{
    CacheError, CacheFactory, CacheFactoryExt, CacheOptions, Event, Extract, FieldIndexer, FieldIndexerExt,
    List, ListOptions, ScopeState, informers,
};
use nah_core::{GroupVersionKind, Kind};
use serde_json::{Value, json};

use crate::script::{Lines, Reply, Script, config_map, object, settle};

fn widget() -> GroupVersionKind {
    GroupVersionKind::gvk("example.com", "v1", "Widget")
}

#[tokio::test(start_paused = true)]
async fn asks_nothing_before_the_driver_is_polled() // G1, C24
{
    let script = Script::new();
    let (factory, driver) = informers(script.client(), CacheOptions::default());
    let informer = factory.informer::<ConfigMap>().unwrap();
    factory.index_path::<ConfigMap>("data.version").unwrap();
    informer.add_event_handler(|_| {}).unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(script.seen().is_empty());
    // Nor after it was stopped before.
    factory.stop();
    driver.run().await;
    assert!(script.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_list_and_one_watch_serve_everybody() // C29, Q45
{
    let script = Script::new();
    script.list(Reply::list("10", &[config_map("a", 1)]));
    let _lines = script.watching();
    let factory = script.factory(CacheOptions::default());
    let informers: Vec<_> = (0..50)
        .map(|_| {
            let factory = factory.clone();
            tokio::spawn(async move { factory.informer::<ConfigMap>().unwrap() })
        })
        .collect();
    for informer in informers {
        let informer = informer.await.unwrap();
        informer.add_event_handler(|_| {}).unwrap();
        informer.wait_for_sync().await.unwrap();
    }
    let dynamic = factory.informer_for_kind(&ConfigMap::kind_of()).unwrap();
    assert_eq!(dynamic.list(&ListOptions::default()).unwrap().len(), 1);
    settle().await;
    assert_eq!((script.lists().len(), script.watches().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_informer_is_there_at_once_and_unsynced() // G13
{
    let script = Script::new();
    let factory = script.factory(CacheOptions::default());
    assert!(factory.existing(&ConfigMap::kind_of()).is_none());
    let informer = factory.informer::<ConfigMap>().unwrap();
    assert!(!informer.has_synced());
    assert!(factory.existing(&ConfigMap::kind_of()).is_some());
    let error = informer.list(&ListOptions::default()).unwrap_err();
    assert!(matches!(error, CacheError::NotSynced { .. }), "{error}");
    let sync = tokio::time::timeout(Duration::from_secs(5), informer.wait_for_sync());
    assert!(sync.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn stop_ends_everything_at_once_in_the_midst_of_requests() // C24
{
    let script = Script::new();
    script.list(Reply::list("10", &[config_map("a", 1)]));
    let lines = script.watching();
    script.list_at("/api/v1/nodes", Reply::Hang);
    let (factory, driver) = informers(script.client(), CacheOptions::default());
    let running = tokio::spawn(driver.run());
    let informer = factory.informer::<ConfigMap>().unwrap();
    let hanging = factory.informer::<Node>().unwrap();
    let (told, mut heard) = futures::channel::mpsc::unbounded();
    informer.add_event_handler(move |_| _ = told.unbounded_send(())).unwrap();
    informer.wait_for_sync().await.unwrap();
    settle().await;
    let waiting = tokio::spawn(hanging.wait_for_sync());
    let before = tokio::time::Instant::now();
    factory.stop();
    running.await.unwrap();
    settle().await;
    assert_eq!(tokio::time::Instant::now(), before);
    assert!(lines.is_closed());
    assert!(matches!(waiting.await.unwrap(), Err(CacheError::Stopped)));
    // The handler was dropped, and its end of the channel with it.
    assert_eq!(heard.next().now_or_never(), Some(Some(())));
    assert_eq!(heard.next().now_or_never(), Some(None));
    let asked = script.seen().len();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(script.seen().len(), asked);
}

#[tokio::test(start_paused = true)]
async fn tasks_that_were_spawned_end_with_stop() // C24
{
    let script = Script::new();
    let (factory, mut driver) = informers(script.client(), CacheOptions::default());
    factory.informer::<ConfigMap>().unwrap();
    let mut tasks = vec![tokio::spawn(driver.next().await.unwrap())];
    // The kind's reflector follows once its resource is known.
    tasks.push(tokio::spawn(driver.next().await.unwrap()));
    settle().await;
    factory.stop();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(driver.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn every_call_after_stop_says_so() // C24
{
    let script = Script::new();
    let factory = script.factory(CacheOptions::default().namespaces(["a"]));
    let informer = factory.informer::<ConfigMap>().unwrap();
    factory.stop();
    factory.stop();
    let stopped = |result: Result<(), CacheError>| matches!(result, Err(CacheError::Stopped));
    assert!(stopped(factory.informer::<ConfigMap>().map(drop)));
    assert!(stopped(factory.informer::<Node>().map(drop)));
    assert!(stopped(factory.add_index(&ConfigMap::kind_of(), "x", Extract::Path("data.x".into()))));
    assert!(stopped(factory.add_namespace("b")));
    assert!(stopped(informer.subscribe().map(drop)));
    assert!(stopped(informer.add_event_handler(|_| {}).map(drop)));
    assert!(stopped(informer.wait_for_sync().await));
    assert!(factory.existing(&ConfigMap::kind_of()).is_none());
    assert!(factory.status().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_kind_ends_and_begins_afresh() // G18
{
    let script = Script::new();
    script.list(Reply::list("10", &[config_map("a", 1)]));
    let lines = script.watching();
    let factory = script.factory(CacheOptions::default());
    let first = factory.informer::<ConfigMap>().unwrap();
    first.wait_for_sync().await.unwrap();
    settle().await;
    factory.remove_kind(&ConfigMap::kind_of());
    settle().await;
    assert!(lines.is_closed());
    assert!(matches!(first.list(&ListOptions::default()), Err(CacheError::Stopped)));
    script.list(Reply::list("20", &[config_map("b", 15)]));
    let _lines = script.watching();
    let second = factory.informer::<ConfigMap>().unwrap();
    second.wait_for_sync().await.unwrap();
    assert!(second.get(&("n", "b").into()).unwrap().is_some());
    assert_eq!(factory.status().len(), 1);
}

// === namespaces ===

fn at(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps")
}

#[tokio::test(start_paused = true)]
async fn namespaces_come_and_go() // C28
{
    let script = Script::new();
    script.list_at(&at("a"), Reply::list("10", &[object("a", "x", "ax", 1)]));
    script.list_at(&at("b"), Reply::list("20", &[object("b", "y", "by", 2)]));
    let factory = script.factory(CacheOptions::default().namespaces(["a"]));
    let informer = factory.informer::<ConfigMap>().unwrap();
    informer.wait_for_sync().await.unwrap();
    let keys = || -> Vec<String> {
        let list = informer.list(&ListOptions::default()).unwrap();
        list.handles().map(|object| object.key().to_string()).collect()
    };
    assert_eq!(keys(), ["a/x"]);
    let outside = informer.list(&ListOptions::default().in_namespace("b"));
    assert!(matches!(outside, Err(CacheError::OutsideScope { .. })));

    factory.add_namespace("b").unwrap();
    factory.add_namespace("b").unwrap();
    informer.wait_for_sync().await.unwrap();
    assert_eq!(keys(), ["a/x", "b/y"]);

    factory.remove_namespace("a");
    settle().await;
    assert_eq!(keys(), ["b/y"]);
    // The last one stays: no namespace would mean all of them.
    factory.remove_namespace("b");
    settle().await;
    assert_eq!(keys(), ["b/y"]);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_comes_back_is_listed_again() // C28
{
    let script = Script::new();
    for namespace in ["a", "b"] {
        script.list_at(&at(namespace), Reply::list("10", &[object(namespace, "x", namespace, 1)]));
    }
    let factory = script.factory(CacheOptions::default().namespaces(["a", "b"]));
    let informer = factory.informer::<ConfigMap>().unwrap();
    informer.wait_for_sync().await.unwrap();
    script.list_at(&at("a"), Reply::list("20", &[object("a", "y", "ay", 15)]));
    factory.remove_namespace("a");
    factory.add_namespace("a").unwrap();
    settle().await;
    let list = informer.list(&ListOptions::default()).unwrap();
    assert_eq!(list.handles().map(|object| object.key().to_string()).collect::<Vec<_>>(), ["a/y", "b/x"]);
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_comes_later_knows_the_namespaces_of_then() // C28
{
    let script = Script::new();
    let factory = script.factory(CacheOptions::default().namespaces(["a"]));
    factory.add_namespace("b").unwrap();
    factory.remove_namespace("a");
    script.list_at(&at("b"), Reply::list("20", &[object("b", "y", "by", 2)]));
    factory.informer::<ConfigMap>().unwrap().wait_for_sync().await.unwrap();
    assert_eq!(script.lists().len(), 1);
}

// === kinds that are not there ===

#[tokio::test(start_paused = true)]
async fn a_kind_comes_alive_when_its_crd_does() // F50, G14, Q20, Q33
{
    let script = Script::new();
    script.list(Reply::list("10", &[]));
    let factory = script.factory(CacheOptions::default());
    let missing = factory.informer_for_kind(&widget()).unwrap();
    let other = factory.informer::<ConfigMap>().unwrap();
    other.wait_for_sync().await.unwrap();
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(!missing.has_synced());
    let error = missing.status().last_error.unwrap();
    assert_eq!(error, "server does not serve Widget in example.com/v1");
    assert_eq!((missing.status().state, other.status().state), (ScopeState::Unserved, ScopeState::Watching));
    script.serve("example.com/v1", "Widget", "widgets", true);
    script.list_at("/apis/example.com/v1/widgets", Reply::list("11", &[config_map("w", 5)]));
    missing.wait_for_sync().await.unwrap();
    assert_eq!(missing.list(&ListOptions::default()).unwrap().len(), 1);
    assert_eq!(missing.status().last_error, None);
}

#[tokio::test(start_paused = true)]
async fn what_was_known_stays_while_a_crd_is_away() // G14, C16, Q20
{
    let script = Script::new();
    script.serve("example.com/v1", "Widget", "widgets", true);
    let path = "/apis/example.com/v1/widgets";
    script.list_at(path, Reply::list("10", &[config_map("w", 5)]));
    let (lines, reply) = Reply::stream();
    script.watch_at(path, reply);
    let factory = script.factory(CacheOptions::default());
    let informer = factory.informer_for_kind(&widget()).unwrap();
    informer.wait_for_sync().await.unwrap();
    settle().await;

    script.deny("Widget");
    (0..2).for_each(|_| script.list_at(path, Reply::Text(404, "404 page not found")));
    script.watch_at(path, Reply::Text(404, "404 page not found"));
    drop(lines);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(informer.list(&ListOptions::default()).unwrap().len(), 1);
    let status = informer.status();
    assert!(status.last_error.unwrap().contains("does not serve Widget"));
    assert_eq!((status.state, status.scopes[0].state), (ScopeState::Unserved, ScopeState::Unserved));
    assert!(status.synced);

    // Under another plural, to show that discovery was asked again.
    script.serve("example.com/v1", "Widget", "widgetses", true);
    script.list_at("/apis/example.com/v1/widgetses", Reply::list("30", &[config_map("v", 25)]));
    tokio::time::sleep(Duration::from_secs(70)).await;
    let list = informer.list(&ListOptions::default()).unwrap();
    assert_eq!(list.handles().map(|object| object.key().name().to_owned()).collect::<Vec<_>>(), ["v"]);
    assert_eq!(informer.status().state, ScopeState::Watching);
}

/// A cluster-scoped or a namespaced object of a custom kind.
fn widget_at(namespace: Option<&str>, name: &str, version: u64) -> Value {
    json!({ "metadata": { "namespace": namespace, "name": name, "uid": name,
                          "resourceVersion": version.to_string() } })
}

/// Ends the watch of a kind whose definition is gone, at this path.
async fn the_definition_goes(script: &Script, path: &str, lines: Lines) {
    script.deny("Widget");
    (0..3).for_each(|_| script.list_at(path, Reply::Text(404, "404 page not found")));
    script.watch_at(path, Reply::Text(404, "404 page not found"));
    drop(lines);
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_comes_back_with_namespaces_is_cached_in_those_alone() // F50, G14, Q34
{
    let script = Script::new();
    script.serve("example.com/v1", "Widget", "widgets", false);
    let path = "/apis/example.com/v1/widgets";
    script.list_at(path, Reply::list("10", &[widget_at(None, "w", 5)]));
    let (lines, reply) = Reply::stream();
    script.watch_at(path, reply);
    let factory = script.factory(CacheOptions::default().namespaces(["n", "m"]));
    let informer = factory.informer_for_kind(&widget()).unwrap();
    let mut told = informer.subscribe().unwrap();
    informer.wait_for_sync().await.unwrap();
    assert_eq!(informer.is_namespaced(), Some(false));
    settle().await;
    while told.next().now_or_never().is_some() {}
    the_definition_goes(&script, path, lines).await;

    script.serve("example.com/v1", "Widget", "widgets", true);
    for (namespace, name) in [("n", "v"), ("m", "u")] {
        let path = format!("/apis/example.com/v1/namespaces/{namespace}/widgets");
        script.list_at(&path, Reply::list("30", &[widget_at(Some(namespace), name, 25)]));
        script.watch_at(&path, Reply::Hang);
    }
    tokio::time::sleep(Duration::from_secs(70)).await;
    let keys = |list: &List| list.handles().map(|object| object.key().to_string()).collect::<Vec<_>>();
    assert_eq!(keys(&informer.list(&ListOptions::default()).unwrap()), ["m/u", "n/v"]);
    assert_eq!(informer.is_namespaced(), Some(true));
    assert!(informer.has_synced());
    assert!(matches!(informer.get(&("x", "w").into()), Err(CacheError::OutsideScope { .. })));
    let scopes: Vec<_> = informer.status().scopes.into_iter().map(|scope| scope.namespace).collect();
    assert_eq!(scopes, [Some("m".to_owned()), Some("n".to_owned())]);
    // What the definition took along was told of.
    let mut ends = Vec::new();
    while let Some(Some(event)) = told.next().now_or_never() {
        if let Event::Deleted { key, .. } = event.unwrap() {
            ends.push(key.to_string());
        }
    }
    assert_eq!(ends, ["w"]);
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_comes_back_without_namespaces_is_cached_once() // F50, G14, Q34
{
    let script = Script::new();
    script.serve("example.com/v1", "Widget", "widgets", true);
    let path = |namespace: &str| format!("/apis/example.com/v1/namespaces/{namespace}/widgets");
    let factory = script.factory(CacheOptions::default().namespaces(["m", "n"]));
    script.list_at(&path("m"), Reply::list("10", &[widget_at(Some("m"), "u", 4)]));
    script.watch_at(&path("m"), Reply::Hang);
    script.list_at(&path("n"), Reply::list("10", &[widget_at(Some("n"), "v", 5)]));
    let (lines, reply) = Reply::stream();
    script.watch_at(&path("n"), reply);
    let informer = factory.informer_for_kind(&widget()).unwrap();
    informer.wait_for_sync().await.unwrap();
    settle().await;
    the_definition_goes(&script, &path("n"), lines).await;

    script.serve("example.com/v1", "Widget", "widgets", false);
    let whole = "/apis/example.com/v1/widgets";
    script.list_at(whole, Reply::list("30", &[widget_at(None, "w", 25)]));
    script.watch_at(whole, Reply::Hang);
    tokio::time::sleep(Duration::from_secs(70)).await;
    let list = informer.list(&ListOptions::default()).unwrap();
    assert_eq!(list.handles().map(|object| object.key().to_string()).collect::<Vec<_>>(), ["w"]);
    assert_eq!(informer.is_namespaced(), Some(false));
    assert_eq!(script.lists().iter().filter(|seen| seen.path == whole).count(), 1);
    assert_eq!(informer.status().scopes.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_asks_for_a_missing_kind_at_once() // G14, Q20
{
    let script = Script::new();
    let factory = script.factory(CacheOptions::default());
    let informer = factory.informer_for_kind(&widget()).unwrap();
    tokio::time::sleep(Duration::from_secs(300)).await;
    // A moment after the server was asked anyway, so that a miss is still remembered.
    let asked = script.seen().len();
    while script.seen().len() == asked {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    script.serve("example.com/v1", "Widget", "widgets", true);
    script.list_at("/apis/example.com/v1/widgets", Reply::list("11", &[]));
    informer.refresh();
    settle().await;
    assert!(informer.has_synced());
}
