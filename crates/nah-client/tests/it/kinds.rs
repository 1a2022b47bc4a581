//! Typed, dynamic and metadata-only reads and writes of one store.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube_core::params::{Patch, PatchParams};
use nah_cache::ListOptions;
use nah_client::{CachedClient, Error, OptionalExt, ReaderExt, WriterExt};
use nah_core::{DynamicObject, GroupVersionKind, Kind, PartialObjectMeta, Payload};
use serde_json::json;

use crate::{World, config_map};

#[tokio::test(start_paused = true)]
async fn every_form_reads_the_same_write() // F26, Q8
{
    let world = World::new();
    world.blind::<ConfigMap>().await;
    world.client.create(&config_map("a", "1")).await.unwrap();
    let typed = world.client.get::<ConfigMap>(("default", "a")).await.unwrap();
    let metadata = world.client.get::<PartialObjectMeta<ConfigMap>>(("default", "a")).await.unwrap();
    let handle = world.client.get_for_kind(&ConfigMap::kind_of(), ("default", "a")).await.unwrap();
    let dynamic = handle.dynamic().unwrap();
    assert_eq!(typed.metadata.uid, metadata.metadata.uid);
    assert_eq!(typed.metadata.uid, dynamic.metadata.uid);
    assert_eq!(dynamic.data["data"]["value"], "1");
    let lists = world.server.journal().count("list", "configmaps")
        + world.server.journal().count("watch", "configmaps");
    assert!(lists <= 2, "one list and one watch, not {lists}");
}

#[tokio::test(start_paused = true)]
async fn a_dynamic_write_is_seen_by_a_typed_read() // F48, Q8
{
    let world = World::new();
    world.blind::<ConfigMap>().await;
    let object: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "a", "namespace": "default" }, "data": { "value": "1" },
    }))
    .unwrap();
    let created = world.client.create(&object).await.unwrap();
    assert_eq!(created.gvk().unwrap(), *ConfigMap::kind_of());
    assert_eq!(world.data("a").await.as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn a_metadata_only_patch_is_seen_by_a_typed_read() // F48, Q8
{
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    let patch = json!({ "metadata": { "labels": { "x": "y" } } });
    let patched = world
        .client
        .patch::<PartialObjectMeta<ConfigMap>>(
            ("default", "a"),
            &Patch::Merge(&patch),
            &PatchParams::default(),
        )
        .await
        .unwrap();
    assert_eq!(patched.metadata.labels.as_ref().unwrap()["x"], "y");
    let typed = world.client.get::<ConfigMap>(("default", "a")).await.unwrap();
    assert_eq!(typed.metadata.labels, patched.metadata.labels);
    assert_eq!(crate::data(&typed).as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn a_metadata_only_object_replaces_nothing() {
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    let metadata = world.client.get::<PartialObjectMeta<ConfigMap>>(("default", "a")).await.unwrap();
    assert!(matches!(world.client.update(&*metadata).await.unwrap_err(), Error::MetadataOnly));
    assert!(matches!(world.client.create(&*metadata).await.unwrap_err(), Error::MetadataOnly));
    assert!(matches!(world.client.update_status(&*metadata).await.unwrap_err(), Error::MetadataOnly));
    assert_eq!(world.data("a").await.as_deref(), Some("1"));
    world.client.delete(&*metadata).await.unwrap();
    assert_eq!(world.data("a").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_no_config_map() {
    let world = World::new();
    let secret: Secret =
        serde_json::from_value(json!({ "metadata": { "name": "s", "namespace": "default" } })).unwrap();
    world.client.create(&secret).await.unwrap();
    let handle = world.client.get_for_kind(&Secret::kind_of(), ("default", "s")).await.unwrap();
    let error = Error::from(handle.decode::<ConfigMap>().unwrap_err());
    assert!(!error.is_not_found() && error.to_string().contains("default/s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_not_served_is_no_absence() // F50
{
    let world = World::new();
    let unknown = GroupVersionKind::gvk("example.com", "v1", "Nothing");
    for error in [
        world.client.get_for_kind(&unknown, ("default", "a")).await.optional().unwrap_err(),
        world.client.list_for_kind(&unknown, ListOptions::default()).await.unwrap_err(),
        world.client.get_live_for_kind(&unknown, ("default", "a")).await.optional().unwrap_err(),
        world
            .client
            .delete_for_kind(&unknown, &crate::key("a"), &Default::default())
            .await
            .optional()
            .unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(matches!(error, Error::Cache(nah_cache::CacheError::UnknownKind { .. })), "{text}");
        assert!(text.contains("Nothing"), "{text}");
    }
}

fn definition(plural: &str, scope: &str) -> serde_json::Value {
    let schema =
        json!({ "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } });
    json!({ "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("{plural}.example.com") },
            "spec": { "group": "example.com", "scope": scope,
                      "names": { "plural": plural, "singular": "widget", "kind": "Widget",
                                 "listKind": "WidgetList" },
                      "versions": [{ "name": "v1", "served": true, "storage": true, "schema": schema }] } })
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_comes_back_elsewhere_is_found_there() // F50, Q34
{
    let world = World::new();
    world.server.create(&definition("widgets", "Namespaced")).unwrap();
    let widget: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "example.com/v1", "kind": "Widget",
        "metadata": { "name": "a", "namespace": "default" }, "spec": { "size": 1 },
    }))
    .unwrap();
    let gvk = widget.gvk().unwrap().clone();
    world.client.create(&widget).await.unwrap();
    world
        .server
        .delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "widgets.example.com")
        .unwrap();
    world.server.create(&definition("gadgets", "Cluster")).unwrap();
    // One answer says that nothing is served where it was. It is no absence, and the next request goes elsewhere.
    let error = world.client.get_live_for_kind(&gvk, ("default", "a")).await.optional().unwrap_err();
    assert!(matches!(error, Error::Cache(nah_cache::CacheError::UnknownKind { .. })), "{error}");
    let journal = world.server.journal();
    journal.clear();
    let created = world.client.create(&widget).await.unwrap();
    assert_eq!(created.key().unwrap().to_string(), "a");
    let asked: Vec<_> = journal.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(asked, ["/apis/example.com/v1", "/apis/example.com/v1/gadgets"]);

    // Whoever is told first: who writes, or who reads a part.
    for (plural, reads) in [("things", false), ("wares", true)] {
        for name in ["gadgets", "things"] {
            let name = format!("{name}.example.com");
            drop(world.server.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", &name));
        }
        world.server.create(&definition(plural, "Namespaced")).unwrap();
        // Nobody asks for the same more than once a second.
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        let error = match reads {
            true => {
                nah_client::Reader::fetch_subresource(&world.client, &gvk, &("default", "a").into(), "status")
                    .await
                    .map(drop)
            }
            false => world.client.create(&widget).await.map(drop),
        };
        let error = error.unwrap_err();
        let unknown = matches!(error, Error::Cache(nah_cache::CacheError::UnknownKind { .. }));
        assert_eq!(unknown, reads, "{error}");
        journal.clear();
        world.client.create(&widget).await.unwrap();
        let paths: Vec<_> = journal.requests().into_iter().map(|request| request.path).collect();
        let path = format!("/apis/example.com/v1/namespaces/default/{plural}");
        assert_eq!(paths, ["/apis/example.com/v1", &path]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_path_that_serves_nothing_is_no_storm_of_discovery() // Q34
{
    let World { server, informers, .. } = World::new();
    let service = tower::service_fn(|_: http::Request<kube_client::client::Body>| async {
        let nothing = http_body_util::Full::new(bytes::Bytes::from("404 page not found"));
        http::Response::builder().status(404).body(nothing)
    });
    let client = CachedClient::new(kube_client::Client::new(service, "default"), informers);
    let journal = server.journal();
    for _ in 0..100 {
        let error = client.get_live::<ConfigMap>(("default", "a")).await.optional().unwrap_err();
        assert!(matches!(error, Error::Cache(nah_cache::CacheError::UnknownKind { .. })), "{error}");
    }
    let discoveries = journal.filter(|request| request.resource.is_empty());
    // All of it, and then a look whether the kind has moved.
    assert_eq!(discoveries.len(), 3, "{discoveries:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dynamic_object_without_a_kind_is_refused() // F49
{
    let world = World::new();
    let object: DynamicObject = serde_json::from_value(json!({ "metadata": { "name": "a" } })).unwrap();
    assert!(matches!(world.client.create(&object).await.unwrap_err(), Error::Object(_)));
}

#[tokio::test(start_paused = true)]
async fn listed_objects_know_their_kind() // F5, F28
{
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    for list in [
        world.client.list_for_kind(&ConfigMap::kind_of(), ListOptions::default()).await.unwrap(),
        world.client.list_live_for_kind(&ConfigMap::kind_of(), ListOptions::default()).await.unwrap(),
    ] {
        let object = list.handles().find(|object| object.key().name() == "a").unwrap().clone();
        let types = object.dynamic().unwrap().types.clone().unwrap();
        assert_eq!((&*types.api_version, &*types.kind), ("v1", "ConfigMap"));
    }
}
