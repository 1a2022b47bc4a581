//! Informers over an API server.

use std::sync::{Arc, mpsc};

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use nah_cache::{
    CacheError, CacheFactory, CacheFactoryExt, CacheOptions, Event, FieldIndexerExt, InformerFactory,
    ListOptions, informers,
};
use nah_core::{DynamicObject, Object, ObjectKey, ResourceVersion};
use nah_testing::ApiServer;
use serde_json::{Value, json};

fn factory(server: &ApiServer, options: CacheOptions) -> InformerFactory {
    let (factory, driver) = informers(server.client(), options);
    tokio::spawn(driver.run());
    factory
}

fn pod(namespace: &str, name: &str, node: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": {"app": name}},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i"}]}})
}

fn config(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "default", "name": name},
        "data": {"v": value}})
}

fn version(object: &Value) -> ResourceVersion {
    object["metadata"]["resourceVersion"].as_str().expect("a version").into()
}

fn names(list: &nah_cache::List<impl nah_core::View>) -> Vec<String> {
    list.handles().map(|object| object.key().to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn one_list_and_one_watch_serve_every_reader() // G13, Q45
{
    let server = ApiServer::new();
    server.create(&config("a", "1")).expect("created");
    let factory = factory(&server, CacheOptions::default());
    let typed = factory.informer::<ConfigMap>().expect("running");
    let dynamic = factory.informer_for_kind(typed.gvk()).expect("running").typed::<DynamicObject>();
    let _subscription = typed.subscribe().expect("running");
    dynamic.wait_for_sync().await.expect("synced");
    let key = ObjectKey::from(("default", "a"));
    assert!(typed.get(&key).expect("a ConfigMap").is_some());
    assert_eq!(dynamic.get(&key).expect("an object").expect("there").data["data"]["v"], "1");
    let journal = server.journal();
    assert!(journal.count("list", "configmaps") <= 1, "{journal:?}");
    assert_eq!(journal.count("watch", "configmaps"), 1, "{journal:?}");
}

#[tokio::test(start_paused = true)]
async fn reads_follow_the_server() // B6, F8
{
    let server = ApiServer::new();
    let factory = factory(&server, CacheOptions::default());
    let configs = factory.informer::<ConfigMap>().expect("running");
    configs.wait_for_sync().await.expect("synced");
    let key = ObjectKey::from(("default", "a"));
    assert!(configs.get(&key).expect("synced").is_none());
    let created = server.create(&config("a", "1")).expect("created");
    configs.wait_until_observed(&version(&created)).await.expect("observed");
    assert_eq!(configs.get(&key).expect("synced").expect("there").data.as_ref().expect("data")["v"], "1");
    let updated = server.update(&config("a", "2")).expect("updated");
    configs.wait_until_observed(&version(&updated)).await.expect("observed");
    assert_eq!(configs.get(&key).expect("synced").expect("there").data.as_ref().expect("data")["v"], "2");
    assert_eq!(configs.observed(None), Some(version(&updated)));
}

#[tokio::test(start_paused = true)]
async fn a_subscription_follows_the_server() // B1, B2, B4
{
    let server = ApiServer::new();
    server.create(&config("a", "1")).expect("created");
    let factory = factory(&server, CacheOptions::default());
    let configs = factory.informer::<ConfigMap>().expect("running");
    let mut events = configs.subscribe().expect("running");
    let value =
        |config: &ConfigMap| config.data.as_ref().and_then(|data| data.get("v").cloned()).unwrap_or_default();
    match events.next().await {
        Some(Ok(Event::Added { object, initial: true, .. })) => assert_eq!(value(&object), "1"),
        other => panic!("{other:?}"),
    }
    server.update(&config("a", "2")).expect("updated");
    match events.next().await {
        Some(Ok(Event::Updated { old, new, .. })) => {
            assert_eq!(
                (value(&old.decode::<ConfigMap>().expect("a ConfigMap")), value(&new)),
                ("1".into(), "2".into())
            );
        }
        other => panic!("{other:?}"),
    }
    server.delete("v1", "ConfigMap", "default", "a").expect("deleted");
    match events.next().await {
        Some(Ok(Event::Deleted { key, last, tombstone: false, .. })) => {
            assert_eq!(key, ObjectKey::from(("default", "a")));
            assert_eq!(value(&last.decode::<ConfigMap>().expect("a ConfigMap")), "2");
        }
        other => panic!("{other:?}"),
    }
    factory.stop();
    assert!(events.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn handlers_and_indexes_come_and_go_while_it_runs() // B13, F17, G17
{
    let server = ApiServer::new();
    for (name, node) in [("a", "n1"), ("b", "n2")] {
        server.create(&pod("default", name, node)).expect("created");
    }
    let factory = factory(&server, CacheOptions::default());
    let pods = factory.informer::<Pod>().expect("running");
    pods.wait_for_sync().await.expect("synced");
    let by_node = factory.index_path::<Pod>("spec.nodeName").expect("a new index");
    let by_image = factory.index_field::<Pod, _>("image", |pod| {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        containers.filter_map(|container| container.image.clone()).collect::<Vec<_>>()
    });
    let by_image = by_image.expect("a new index");
    let all = ListOptions::default;
    assert_eq!(names(&pods.list(&all().by(&by_node, "n1")).expect("an index")), ["default/a"]);
    assert_eq!(pods.list(&all().by(&by_image, "i")).expect("an index").len(), 2);
    assert_eq!(
        names(&pods.list(&all().by(&by_image, "i").matching_labels([("app", "b")])).expect("it")),
        ["default/b"]
    );

    let (told, heard) = mpsc::channel();
    let handler = move |event: Event<Pod>| {
        if let Event::Added { object, initial, .. } = event {
            told.send((object.metadata.name.clone().unwrap_or_default(), initial)).expect("the test reads");
        }
    };
    let registration = pods.add_event_handler(handler).expect("running");
    registration.wait_for_sync().await;
    assert_eq!(heard.try_iter().collect::<Vec<_>>(), [("a".into(), true), ("b".into(), true)]);
    registration.remove_and_wait().await;
    let created = server.create(&pod("default", "c", "n1")).expect("created");
    pods.wait_until_observed(&version(&created)).await.expect("observed");
    assert_eq!(names(&pods.list(&all().by(&by_node, "n1")).expect("an index")), ["default/a", "default/c"]);
    assert_eq!(heard.try_iter().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_index_may_be_asked_for_before_the_kind_is_known() // F17, G13
{
    let server = ApiServer::new();
    server.create(&pod("default", "a", "n1")).expect("created");
    let factory = factory(&server, CacheOptions::default());
    let by_node = factory.index_path::<Pod>("spec.nodeName").expect("a new index");
    assert!(matches!(factory.index_path::<Pod>("spec.nodeName"), Err(CacheError::IndexConflict { .. })));
    let pods = factory.informer::<Pod>().expect("running");
    assert!(matches!(
        pods.list(&ListOptions::default().by(&by_node, "n1")),
        Err(CacheError::NotSynced { .. })
    ));
    pods.wait_for_sync().await.expect("synced");
    assert_eq!(pods.list(&ListOptions::default().by(&by_node, "n1")).expect("whole").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_namespace_of_a_cluster_scoped_kind_is_ignored_by_a_namespaced_cache() // F4, F24, C28
{
    let server = ApiServer::new();
    server.create(&json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})).expect("created");
    let factory = factory(&server, CacheOptions::default().namespaces(["default"]));
    let nodes = factory.informer::<Node>().expect("running");
    nodes.wait_for_sync().await.expect("synced");
    assert!(nodes.get(&("default", "n1").into()).expect("synced").is_some());
    assert_eq!(nodes.list(&ListOptions::default().in_namespace("elsewhere")).expect("synced").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn managed_fields_are_not_kept() // B28
{
    let server = ApiServer::new();
    let created = server.create(&config("a", "1")).expect("created");
    assert!(created["metadata"]["managedFields"].is_array(), "the server keeps some");
    let factory = factory(&server, CacheOptions::default());
    let configs = factory.informer::<ConfigMap>().expect("running");
    configs.wait_for_sync().await.expect("synced");
    let held = configs.typed::<Object>().get(&("default", "a").into()).expect("synced").expect("there");
    assert_eq!(held.metadata().expect("metadata").managed_fields, None);
    let mut expected = created.clone();
    expected["metadata"].as_object_mut().expect("an object").remove("managedFields");
    assert_eq!(serde_json::from_slice::<Value>(&held.json().expect("JSON")).expect("JSON"), expected);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_factory_holds_nothing() // E29, B20
{
    let server = ApiServer::new();
    server.create(&config("a", "1")).expect("created");
    let factory = factory(&server, CacheOptions::default());
    let held = Arc::new(());
    let (by_handler, by_extractor) = (held.clone(), held.clone());
    let extract = move |_: &ConfigMap| {
        let _ = &by_extractor;
        Vec::<String>::new()
    };
    factory.index_field::<ConfigMap, _>("x", extract).expect("a new index");
    let configs = factory.informer::<ConfigMap>().expect("running");
    let registration = configs.add_event_handler(move |_| _ = &by_handler).expect("running");
    registration.wait_for_sync().await;
    assert_eq!(Arc::strong_count(&held), 3);
    factory.stop();
    registration.remove_and_wait().await;
    assert_eq!(Arc::strong_count(&held), 1);
    assert!(matches!(configs.get(&("default", "a").into()), Err(CacheError::Stopped)));
    assert!(matches!(configs.subscribe().map(drop), Err(CacheError::Stopped)));
    assert!(matches!(factory.informer::<Pod>().map(drop), Err(CacheError::Stopped)));
}
