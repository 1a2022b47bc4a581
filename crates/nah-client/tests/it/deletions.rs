//! What this client knows to be gone is not shown, while the informer hears of nothing.

use k8s_openapi::api::core::v1::{ConfigMap, Pod, ServiceAccount};
use kube_core::params::{DeleteParams, Preconditions};
use nah_cache::ListOptions;
use nah_client::{OptionalExt, ReaderExt, Verb, Write, Writer, WriterExt, Written};
use nah_core::Kind;
use serde_json::json;

use crate::{World, config_map, held, key, labelled};

#[tokio::test(start_paused = true)]
async fn a_get_after_delete_shows_nothing() // F44, F45, Q4
{
    let world = World::new();
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    assert!(world.data("a").await.is_some());
    world.client.delete(&*created).await.unwrap();
    assert!(world.client.get::<ConfigMap>(("default", "a")).await.unwrap_err().is_not_found());
    assert!(!world.names(ListOptions::default()).await.contains(&"a".into()));
}

#[tokio::test(start_paused = true)]
async fn a_delete_answered_by_the_object_is_one_too() // F45
{
    let world = World::new();
    let account: ServiceAccount =
        serde_json::from_value(json!({ "metadata": { "name": "robot", "namespace": "default" } })).unwrap();
    world.client.create(&account).await.unwrap();
    world.blind::<ServiceAccount>().await;
    let write = Write::at(Verb::Delete, &ServiceAccount::kind_of(), &key("robot"));
    let written = world.client.write(write).await.unwrap();
    assert!(matches!(&written, Written::Gone { last: Some(_), uid: Some(_) }), "{written:?}");
    let found = world.client.get::<ServiceAccount>(("default", "robot")).await.optional().unwrap();
    assert!(found.is_none());
}

#[tokio::test(start_paused = true)]
async fn removing_the_last_finalizer_is_a_deletion() // F33, Q2
{
    let world = World::new();
    let created = world.client.create(&held("a")).await.unwrap();
    world.client.delete(&*created).await.unwrap();
    world.blind::<ConfigMap>().await;
    let mut map = ConfigMap::clone(&*world.client.get::<ConfigMap>(("default", "a")).await.unwrap());
    map.metadata.finalizers = None;
    let last = world.client.update(&map).await.unwrap();
    assert!(last.metadata.deletion_timestamp.is_some());
    assert_eq!(world.data("a").await, None);
    assert!(!world.names(ListOptions::default()).await.contains(&"a".into()));
    world.catch_up::<ConfigMap>().await;
    assert_eq!(world.data("a").await, None);
}

#[tokio::test(start_paused = true)]
async fn removing_the_last_finalizer_by_patch_is_one_too() // F33
{
    let world = World::new();
    let created = world.client.create(&held("a")).await.unwrap();
    world.client.delete(&*created).await.unwrap();
    world.blind::<ConfigMap>().await;
    let write = Write::at(Verb::MergePatch, &ConfigMap::kind_of(), &key("a"))
        .body(br#"{"metadata":{"finalizers":null}}"#.to_vec());
    assert!(world.client.write(write).await.unwrap().is_gone());
    assert_eq!(world.data("a").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_delete_of_an_object_with_finalizers_is_none() // F33
{
    let world = World::new();
    let created = world.client.create(&held("a")).await.unwrap();
    world.blind::<ConfigMap>().await;
    for _ in 0..2 {
        world.client.delete(&*created).await.unwrap();
        assert!(world.client.get::<ConfigMap>(("default", "a")).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_made_anew_shows_after_a_delete() // F46
{
    let world = World::new();
    let first = world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    world.client.delete(&*first).await.unwrap();
    let second = world.client.create(&config_map("a", "2")).await.unwrap();
    assert_ne!(first.metadata.uid, second.metadata.uid);
    assert_eq!(world.data("a").await.as_deref(), Some("2"));
    world.client.delete(&*second).await.unwrap();
    assert_eq!(world.data("a").await, None);
    world.catch_up::<ConfigMap>().await;
    assert_eq!(world.data("a").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_finds_nothing_says_so_and_is_remembered() // F33, F44, Q2
{
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    world.server.delete("v1", "ConfigMap", "default", "a").unwrap();
    assert!(world.data("a").await.is_some(), "nobody here knows yet");
    let error = world.client.delete_by_key::<ConfigMap>(("default", "a")).await.unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(world.data("a").await, None);
}

#[tokio::test(start_paused = true)]
async fn an_update_that_finds_nothing_is_remembered() // F31, F44
{
    let world = World::new();
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    world.server.delete("v1", "ConfigMap", "default", "a").unwrap();
    assert!(world.client.update(&*created).await.unwrap_err().is_not_found());
    assert_eq!(world.data("a").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_missing_namespace_says_nothing_about_the_object() {
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    let mut map = config_map("a", "1");
    map.metadata.namespace = Some("none".into());
    assert!(world.client.create(&map).await.unwrap_err().is_not_found());
    assert!(world.data("a").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_precondition_that_does_not_hold_is_a_conflict() // F33
{
    let world = World::new();
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    let wrong = |uid: Option<&str>, version: Option<&str>| {
        let preconditions =
            Preconditions { uid: uid.map(Into::into), resource_version: version.map(Into::into) };
        DeleteParams::default().preconditions(preconditions)
    };
    for params in [wrong(Some("other"), None), wrong(None, Some("1"))] {
        assert!(world.client.delete_with(&*created, &params).await.unwrap_err().is_conflict());
    }
    assert!(world.data("a").await.is_some());
    let right = wrong(created.metadata.uid.as_deref(), created.metadata.resource_version.as_deref());
    world.client.delete_with(&*created, &right).await.unwrap();
    assert_eq!(world.data("a").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_pod_has_its_grace_period() // F33
{
    let world = World::new();
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": "p", "namespace": "default" },
        "spec": { "nodeName": "n1", "containers": [{ "name": "c", "image": "i" }] },
    }))
    .unwrap();
    let created = world.client.create(&pod).await.unwrap();
    world.blind::<Pod>().await;
    world.client.delete(&*created).await.unwrap();
    let found = world.client.get::<Pod>(("default", "p")).await.unwrap();
    assert!(found.metadata.deletion_timestamp.is_some());
    world.client.delete_with(&*created, &DeleteParams::default().grace_period(0)).await.unwrap();
    assert!(world.client.get::<Pod>(("default", "p")).await.unwrap_err().is_not_found());
}

#[tokio::test(start_paused = true)]
async fn a_deletion_of_many_hides_those_that_are_gone() // F34, Q9
{
    let world = World::new();
    for name in ["a", "b"] {
        world.client.create(&labelled(name, "web")).await.unwrap();
    }
    world.client.create(&labelled("other", "db")).await.unwrap();
    let mut kept = held("kept");
    kept.metadata.labels = labelled("kept", "web").metadata.labels;
    world.client.create(&kept).await.unwrap();
    world.blind::<ConfigMap>().await;
    let web = ListOptions::default().in_namespace("default").matching_labels([("app", "web")]);
    world.client.delete_all_of::<ConfigMap>(web).await.unwrap();
    for name in ["a", "b"] {
        assert_eq!(world.data(name).await, None, "{name}");
    }
    assert!(world.data("other").await.is_some());
    // It has a finalizer: the answer does not show what became of it, so the read asked the server.
    let found = world.client.get::<ConfigMap>(("default", "kept")).await.unwrap();
    assert!(found.metadata.deletion_timestamp.is_some());
    assert_eq!(world.server.journal().count("deletecollection", "configmaps"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_of_many_refuses_what_the_server_cannot_select() {
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    let limited = ListOptions::default().in_namespace("default").limit(1);
    let owned = ListOptions::default().in_namespace("default").owned_by("u");
    let any = ListOptions::default().in_namespace("default").matching_field_in("metadata.name", ["a", "b"]);
    for options in [limited, owned, any] {
        let error = world.client.delete_all_of::<ConfigMap>(options).await.unwrap_err();
        assert_eq!(error.status().unwrap().code, 400);
    }
    assert!(world.data("a").await.is_some());
}
