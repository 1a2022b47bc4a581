//! What lies outside the cache's scope.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::core::v1::ConfigMap;
use nah_cache::{CacheError, CacheOptions, ListOptions};
use nah_client::{Error, ReaderExt, WriterExt};
use nah_testing::{ApiServer, Fault};
use serde_json::json;

use crate::{World, config_map, key, labelled};

fn in_namespace(name: &str, namespace: &str) -> ConfigMap {
    let mut map = config_map(name, "1");
    map.metadata.namespace = Some(namespace.into());
    map
}

fn spaces() -> ApiServer {
    let server = ApiServer::new();
    for name in ["red", "blue", "green"] {
        server
            .create(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } }))
            .unwrap();
    }
    server
}

#[tokio::test(start_paused = true)]
async fn a_read_outside_the_namespaces_is_an_error() // F25
{
    let world = World::with(spaces(), CacheOptions::default().namespaces(["red", "blue"]));
    world.client.list::<ConfigMap>(ListOptions::default()).await.unwrap();
    let error = world.client.get::<ConfigMap>(("green", "a")).await.unwrap_err();
    assert!(
        matches!(&error, Error::Cache(CacheError::OutsideScope { namespace, .. }) if namespace == "green")
    );
    assert!(!error.is_not_found());
    let listed = world.client.list::<ConfigMap>(ListOptions::default().in_namespace("green")).await;
    assert!(matches!(listed.unwrap_err(), Error::Cache(CacheError::OutsideScope { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_write_outside_the_namespaces_never_enters() // Q11
{
    let world = World::with(spaces(), CacheOptions::default().namespaces(["red", "blue"]));
    world.blind::<ConfigMap>().await;
    world.client.create(&in_namespace("a", "green")).await.unwrap();
    assert!(matches!(
        world.client.get::<ConfigMap>(("green", "a")).await.unwrap_err(),
        Error::Cache(CacheError::OutsideScope { .. })
    ));
    assert!(!world.names(ListOptions::default()).await.contains(&"a".into()));
}

#[tokio::test(start_paused = true)]
async fn each_namespace_shows_its_own_writes() // F40
{
    let world = World::with(spaces(), CacheOptions::default().namespaces(["red", "blue"]));
    world.blind::<ConfigMap>().await;
    for namespace in ["red", "blue"] {
        world.client.create(&in_namespace("a", namespace)).await.unwrap();
        assert!(world.client.get::<ConfigMap>((namespace, "a")).await.is_ok());
        assert_eq!(world.names(ListOptions::default().in_namespace(namespace)).await, ["a"]);
    }
    assert_eq!(world.names(ListOptions::default()).await, ["a", "a"]);
}

fn web() -> CacheOptions {
    let labels: kube_core::Selector = kube_core::Expression::Equal("app".into(), "web".into()).into();
    CacheOptions::default().labels(labels)
}

#[tokio::test(start_paused = true)]
async fn a_write_outside_the_selector_is_not_shown() // Q11
{
    let world = World::with(ApiServer::new(), web());
    world.blind::<ConfigMap>().await;
    world.client.create(&labelled("a", "web")).await.unwrap();
    world.client.create(&labelled("b", "db")).await.unwrap();
    assert!(world.data("a").await.is_some());
    assert_eq!(world.data("b").await, None);
    assert_eq!(world.names(ListOptions::default()).await, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_leaves_the_selector_is_absent_at_once() // Q11
{
    let world = World::with(ApiServer::new(), web());
    let created = world.client.create(&labelled("a", "web")).await.unwrap();
    world.blind::<ConfigMap>().await;
    let relabel = |app: &str| {
        let mut map = ConfigMap::clone(&created);
        map.metadata.resource_version = None;
        map.metadata.labels = Some(BTreeMap::from([("app".into(), app.into())]));
        map
    };
    world.client.update(&relabel("db")).await.unwrap();
    assert_eq!(world.data("a").await, None);
    assert!(world.names(ListOptions::default()).await.is_empty());
    world.client.update(&relabel("web")).await.unwrap();
    assert!(world.data("a").await.is_some());
    world.catch_up::<ConfigMap>().await;
    assert!(world.data("a").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_none_is_named() {
    let world = World::new();
    world.blind::<ConfigMap>().await;
    for text in ["", "/a", "a/", "a/b/c"] {
        let bad = nah_core::ObjectKey::new(None, text);
        let error = world.client.get::<ConfigMap>(&bad).await.unwrap_err();
        assert!(matches!(&error, Error::Key { key, .. } if key == text), "{text:?}: {error}");
        assert!(matches!(world.client.get_live::<ConfigMap>(&bad).await.unwrap_err(), Error::Key { .. }));
    }
    assert!(world.client.get::<ConfigMap>(key("a")).await.unwrap_err().is_not_found());
}

#[tokio::test(start_paused = true)]
async fn a_doubt_shows_nothing_outside_the_selector() // Q11
{
    let world = World::with(ApiServer::new(), web());
    world.blind::<ConfigMap>().await;
    world.server.inject(Fault::drop_answer().on("create").of("configmaps"));
    world.client.create(&labelled("a", "db")).await.unwrap_err();
    assert_eq!(world.data("a").await, None);
    assert!(world.client.get_live::<ConfigMap>(key("a")).await.is_ok(), "it is there");
}

#[tokio::test(start_paused = true)]
async fn what_was_written_leaves_with_its_namespace() // C28, Q11
{
    let world = World::with(spaces(), CacheOptions::default().namespaces(["red", "blue"]));
    world.blind::<ConfigMap>().await;
    world.client.create(&in_namespace("a", "red")).await.unwrap();
    let gone = world.client.create(&in_namespace("b", "blue")).await.unwrap();
    assert_eq!(world.names(ListOptions::default()).await, ["b", "a"]);
    world.informers.remove_namespace("blue");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.names(ListOptions::default()).await, ["a"]);
    // And comes back as the server has it.
    world.client.delete(&*gone).await.unwrap();
    world.server.release_watches("");
    world.informers.add_namespace("blue").unwrap();
    assert_eq!(world.names(ListOptions::default()).await, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_limit_counts_what_the_list_shows() // F10
{
    let world = World::new();
    for name in ["a", "b", "c", "d", "e"] {
        world.client.create(&labelled(name, "web")).await.unwrap();
    }
    world.blind::<ConfigMap>().await;
    world.client.delete_by_key::<ConfigMap>(key("a")).await.unwrap();
    world.client.update(&labelled("b", "db")).await.unwrap();
    world.client.create(&labelled("bb", "web")).await.unwrap();
    let options = ListOptions::default().in_namespace("default").matching_labels([("app", "web")]);
    for (limit, names) in
        [(1, &["bb"][..]), (2, &["bb", "c"]), (3, &["bb", "c", "d"]), (9, &["bb", "c", "d", "e"])]
    {
        assert_eq!(world.names(options.clone().limit(limit)).await, names);
    }
}
