//! Selectors and namespaces.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use nah_cache::{CacheFactoryExt, CacheOptions, KindCacheOptions, ListOptions};
use nah_core::Kind;

use super::{Watching, names};
use crate::script::{Reply, Script, config_map, object, settle};

#[tokio::test(start_paused = true)]
async fn sends_selectors_with_every_list_and_watch() // C25, C26
{
    let labels: kube::core::Selector = [("app", "web")].into_iter().collect();
    let kind = KindCacheOptions::default().labels(labels).fields("metadata.name!=x");
    let options = CacheOptions::default().kind((*ConfigMap::kind_of()).clone(), kind);
    let Watching { script, informer, lines, .. } = Watching::with(options).await;
    for seen in script.lists().iter().chain(&script.watches()) {
        assert_eq!(seen.query["labelSelector"], "app=web");
        assert_eq!(seen.query["fieldSelector"], "metadata.name!=x");
    }
    // What leaves the selector is DELETED on the wire.
    lines.event("DELETED", config_map("a", 11));
    settle().await;
    assert_eq!(names(&informer), ["b@2"]);
}

#[tokio::test(start_paused = true)]
async fn a_kind_treated_otherwise_pages_its_lists() // C2
{
    let kind = KindCacheOptions::default().page_size(7);
    let options = CacheOptions::default().kind((*ConfigMap::kind_of()).clone(), kind);
    let watching = Watching::with(options).await;
    assert_eq!(watching.script.lists()[0].query["limit"], "7");
}

#[tokio::test(start_paused = true)]
async fn lists_and_watches_each_namespace_once() // C27, C28, G16, Q32
{
    let script = Script::new();
    let mut watches = Vec::new();
    for namespace in ["a", "b"] {
        let path = format!("/api/v1/namespaces/{namespace}/configmaps");
        script.list_at(&path, Reply::list("10", &[object(namespace, "x", namespace, 1)]));
        let (lines, reply) = Reply::stream();
        script.watch_at(&path, reply);
        watches.push(lines);
    }
    let factory = script.factory(CacheOptions::default().namespaces(["a", "b"]));
    let informer = factory.informer::<ConfigMap>().unwrap();
    informer.wait_for_sync().await.unwrap();
    settle().await;
    watches[0].event("DELETED", object("a", "x", "a", 11));
    watches[1].event("ADDED", object("b", "y", "y", 12));
    settle().await;
    let list = informer.list(&ListOptions::default()).unwrap();
    assert_eq!(list.handles().map(|object| object.key().to_string()).collect::<Vec<_>>(), ["b/x", "b/y"]);
    assert_eq!((script.lists().len(), script.watches().len()), (2, 2));
    assert_eq!(informer.observed(Some("a")), Some(11.into()));
    assert_eq!(informer.observed(Some("b")), Some(12.into()));
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_is_forbidden_holds_only_itself_up() // C6, C28
{
    let script = Script::new();
    script.list_at("/api/v1/namespaces/a/configmaps", Reply::list("10", &[object("a", "x", "x", 1)]));
    script.list_at("/api/v1/namespaces/b/configmaps", Reply::status(403, "Forbidden"));
    let factory = script.factory(CacheOptions::default().namespaces(["a", "b"]));
    let informer = factory.informer::<ConfigMap>().unwrap();
    settle().await;
    assert!(!informer.has_synced());
    assert!(informer.status().last_error.unwrap().contains("403"));
    assert_eq!(informer.list(&ListOptions::default().in_namespace("a")).unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_object_of_another_namespace_neither_enters_nor_removes_anything() // C19, C28
{
    let script = Script::new();
    let path = "/api/v1/namespaces/a/configmaps";
    script.list_at(path, Reply::list("10", &[object("a", "x", "x", 1)]));
    let (lines, reply) = Reply::stream();
    script.watch_at(path, reply);
    let factory = script.factory(CacheOptions::default().namespaces(["a"]));
    let informer = factory.informer::<ConfigMap>().unwrap();
    informer.wait_for_sync().await.unwrap();
    settle().await;
    lines.event("ADDED", object("b", "y", "y", 11));
    lines.event("ADDED", object("a", "z", "z", 12));
    settle().await;
    assert_eq!(names(&informer), ["x@1", "z@12"]);
    script.list_at(path, Reply::list("20", &[object("b", "y", "y", 11)]));
    lines.error(410, "Expired");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(names(&informer), ["x@1", "z@12"]);
    assert_eq!(informer.status().last_error.as_deref(), Some("list has b/y, which is of another namespace"));
}

#[tokio::test(start_paused = true)]
async fn lists_a_cluster_scoped_kind_whole_whatever_the_namespaces() // C27
{
    let script = Script::new();
    script.list_at("/api/v1/nodes", Reply::list("10", &[]));
    let factory = script.factory(CacheOptions::default().namespaces(["a", "b"]));
    let informer = factory.informer::<k8s_openapi::api::core::v1::Node>().unwrap();
    informer.wait_for_sync().await.unwrap();
    assert_eq!(script.lists().iter().map(|seen| &*seen.path).collect::<Vec<_>>(), ["/api/v1/nodes"]);
}

#[tokio::test(start_paused = true)]
async fn a_field_selector_of_a_namespace_takes_the_namespaces_url() // C27
{
    let script = Script::new();
    script.list_at("/api/v1/namespaces/a/configmaps", Reply::list("10", &[object("a", "x", "x", 1)]));
    let kind = KindCacheOptions::default().fields("metadata.namespace=a");
    let factory = script.factory(CacheOptions::default().kind((*ConfigMap::kind_of()).clone(), kind));
    let informer = factory.informer::<ConfigMap>().unwrap();
    informer.wait_for_sync().await.unwrap();
    assert_eq!(names(&informer), ["x@1"]);
}
