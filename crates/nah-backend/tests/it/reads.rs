//! Reads through the facade: one watch a kind, whatever is read and by whom.

use std::{collections::HashMap, time::Duration};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::{
    ResourceExt as _,
    core::{PartialObjectMeta, WatchEvent},
};
use nah_backend::{
    KubeBackend, Unwatched, client,
    core::{DynamicObject, Payload as _},
    prelude::*,
};
use nah_testing::ApiServer;
use serde_json::json;
use tokio::{sync::mpsc::unbounded_channel, time::sleep};

use crate::ground::{ground, map, map_with, next, pod, record, silent};

#[tokio::test(start_paused = true)]
async fn typed_dynamic_and_metadata_only_share_one_list_and_watch() // C29, F26, Q45
{
    let (server, backend) = ground();
    backend.create(&map_with("a", "1")).await.unwrap();
    record(&backend, "c");
    backend.owns::<Pod, ConfigMap>().unwrap();
    backend.index_path::<ConfigMap>("data.k").unwrap();
    backend.start().await.unwrap();
    let gvk = ConfigMap::kind_of();
    let typed = backend.get::<ConfigMap>(("default", "a")).await.unwrap();
    let handle = backend.get_for_kind(&gvk, ("default", "a")).await.unwrap();
    let dynamic = handle.decode::<DynamicObject>().unwrap();
    let partial = handle.decode::<PartialObjectMeta<ConfigMap>>().unwrap();
    assert_eq!(dynamic.data["data"]["k"], "1");
    assert_eq!(partial.metadata.uid, typed.metadata.uid);
    assert_eq!(handle.dynamic().unwrap().gvk().unwrap(), *gvk);
    let (lists, watches) =
        (server.journal().count("list", "configmaps"), server.journal().count("watch", "configmaps"));
    assert!(lists <= 1 && watches == 1, "{lists} lists, {watches} watches");
}

#[tokio::test(start_paused = true)]
async fn by_namespace_by_label_and_by_index_agree_with_the_server() // F9, F10, F12, F13
{
    let (_server, backend) = ground();
    backend.start().await.unwrap();
    let by_key = backend.index_path::<ConfigMap>("data.k").unwrap();
    for (namespace, name, app, value) in [
        ("default", "a", "web", "1"),
        ("default", "b", "web", "2"),
        ("kube-system", "c", "web", "1"),
        ("kube-system", "d", "db", "1"),
    ] {
        let object: ConfigMap = serde_json::from_value(json!({
            "metadata": { "name": name, "namespace": namespace, "labels": { "app": app } }, "data": { "k": value },
        }))
        .unwrap();
        backend.create(&object).await.unwrap();
    }
    let names = async |options: ListOptions| {
        let list = backend.list::<ConfigMap>(options).await.unwrap();
        list.handles().map(|object| object.key().name().to_owned()).collect::<Vec<_>>()
    };
    let all = ListOptions::default;
    assert_eq!(names(all()).await, ["a", "b", "c", "d"]);
    assert_eq!(names(all().in_namespace("default")).await, ["a", "b"]);
    assert_eq!(names(all().matching_labels([("app", "web")])).await, ["a", "b", "c"]);
    assert_eq!(names(all().by(&by_key, "1")).await, ["a", "c", "d"]);
    let narrow = all().by(&by_key, "1").matching_labels([("app", "web")]).in_namespace("kube-system");
    assert_eq!(names(narrow).await, ["c"]);
    assert_eq!(names(all().limit(3)).await.len(), 3);
    sleep(Duration::from_secs(1)).await; // what the overlay answered the cache now answers
    assert_eq!(names(all().by(&by_key, "1")).await, ["a", "c", "d"]);
}

#[tokio::test(start_paused = true)]
async fn of_what_is_absent_are_not_found_and_name_it() // F2
{
    let (_server, backend) = ground();
    backend.start().await.unwrap();
    let error = backend.get::<Secret>(("default", "none")).await.unwrap_err();
    assert!(error.is_not_found());
    assert!(error.to_string().contains("Secret") && error.to_string().contains("default/none"), "{error}");
    assert!(backend.list::<Secret>(ListOptions::default()).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn of_a_kind_that_is_not_watched_follow_the_policy() // F7, Q48
{
    let server = ApiServer::new();
    let live = KubeBackend::with_client(server.client()).unwatched(Unwatched::Live).build();
    live.start().await.unwrap();
    live.create(&map("a")).await.unwrap();
    live.get::<ConfigMap>(("default", "a")).await.unwrap();
    assert_eq!(server.journal().count("get", "configmaps"), 1);
    assert_eq!(server.journal().count("watch", "configmaps"), 0);

    let strict = KubeBackend::with_client(server.client()).unwatched(Unwatched::Error).build();
    strict.start().await.unwrap();
    let error = strict.get::<ConfigMap>(("default", "a")).await.unwrap_err();
    assert!(!error.is_not_found() && error.to_string().contains("ConfigMap"), "{error}");
    assert_eq!(server.journal().count("watch", "configmaps"), 0);
}

#[tokio::test(start_paused = true)]
async fn live_watches_come_from_the_server_as_they_are() // F39
{
    let (server, backend) = ground();
    backend.start().await.unwrap();
    let mut events = backend.watch(&ConfigMap::kind_of(), ListOptions::default().in_namespace("default"));
    server
        .create(&json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a", "namespace": "default" } }))
        .unwrap();
    let Some(Ok(WatchEvent::Added(added))) = events.next().await else { panic!("no event") };
    assert_eq!(added.name_any(), "a");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_kind_is_an_error_that_names_it() // F50
{
    let (_server, backend) = ground();
    backend.start().await.unwrap();
    let gvk = GroupVersionKind::gvk("example.com", "v1", "Nothing");
    let error = backend.rest_mapper().mapping(&gvk).await.unwrap_err();
    assert!(error.to_string().contains("Nothing"), "{error}");
    let error = backend.fetch(&gvk, &("default", "a").into()).await.unwrap_err();
    assert!(!error.is_not_found() && error.to_string().contains("Nothing"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_namespace_of_a_cluster_scoped_kind_is_ignored() // F4, F24, Q43
{
    let (_server, backend) = ground();
    backend.start().await.unwrap();
    use k8s_openapi::api::core::v1::Namespace;
    assert_eq!(backend.get::<Namespace>(("ignored", "default")).await.unwrap().name_any(), "default");
    let all = backend.list::<Namespace>(ListOptions::default()).await.unwrap().len();
    let within =
        backend.list::<Namespace>(ListOptions::default().in_namespace("ignored")).await.unwrap().len();
    assert_eq!(all, within);
}

#[tokio::test(start_paused = true)]
async fn are_confined_to_the_namespaces_of_the_cache_which_come_and_go() // F25, C27, C28
{
    let server = ApiServer::new();
    let backend = KubeBackend::with_client(server.client()).namespaces(["default"]).build();
    let (_callback, mut told) = record(&backend, "c");
    backend.start().await.unwrap();
    let elsewhere: ConfigMap =
        serde_json::from_value(json!({ "metadata": { "name": "x", "namespace": "kube-system" } })).unwrap();
    backend.create(&elsewhere).await.unwrap();
    let error = backend.get::<ConfigMap>(("kube-system", "x")).await.unwrap_err();
    assert!(!error.is_not_found() && error.to_string().contains("kube-system"), "{error}");

    backend.add_namespace("kube-system").unwrap();
    assert_eq!(next(&mut told).await.name, "x");
    backend.get::<ConfigMap>(("kube-system", "x")).await.unwrap();
    backend.remove_namespace("kube-system");
    sleep(Duration::from_secs(1)).await;
    let error = backend.get::<ConfigMap>(("kube-system", "x")).await.unwrap_err();
    assert!(!error.is_not_found(), "{error}");
    // The object lives on: a callback that was told "gone" would clean up behind it.
    silent(&mut told, Duration::from_secs(3600)).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_gap_deletions_are_told_and_what_did_not_change_is_not() // B7, B8, B27, C11, C14, Q51
{
    let (server, backend) = ground();
    for name in ["stays", "goes", "changes"] {
        backend.create(&map(name)).await.unwrap();
    }
    let (tell, mut told) = unbounded_channel();
    backend
        .informer::<ConfigMap>()
        .unwrap()
        .add_event_handler(move |event| {
            let _ = tell.send(match event {
                nah_backend::cache::Event::Added { object, .. } => ("added", object.name_any()),
                nah_backend::cache::Event::Updated { new, .. } => ("updated", new.name_any()),
                nah_backend::cache::Event::Deleted { key, tombstone, .. } => {
                    (if tombstone { "tombstone" } else { "deleted" }, key.name().into())
                }
                _ => return,
            });
        })
        .unwrap();
    backend.start().await.unwrap();
    let mut seen = HashMap::new();
    for _ in 0..3 {
        let (what, name) = told.recv().await.unwrap();
        seen.insert(name, what);
    }
    assert!(seen.values().all(|what| *what == "added"));

    server.inject(nah_testing::Fault::refuse().always());
    server.restart();
    server.delete("v1", "ConfigMap", "default", "goes").unwrap();
    let mut changed = server.get("v1", "ConfigMap", "default", "changes").unwrap();
    changed["data"] = json!({ "k": "2" });
    server.update(&changed).unwrap();
    server.compact();
    sleep(Duration::from_secs(10)).await;
    server.clear_faults();
    let told = [told.recv().await.unwrap(), told.recv().await.unwrap()];
    assert_eq!(told, [("tombstone", "goes".into()), ("updated", "changes".into())]);
}

#[tokio::test(start_paused = true)]
async fn answer_what_is_known_while_the_server_cannot_be_reached() // C16
{
    let (server, backend) = ground();
    backend.create(&pod("p")).await.unwrap();
    backend.informer::<Pod>().unwrap();
    backend.start().await.unwrap();
    server.inject(nah_testing::Fault::refuse().always());
    server.restart();
    sleep(Duration::from_secs(600)).await;
    assert_eq!(backend.get::<Pod>(("default", "p")).await.unwrap().name_any(), "p");
    let error = backend.get_live::<Pod>(("default", "p")).await.unwrap_err();
    assert!(!error.is_not_found(), "an error is never an absence");
    let effect = backend.create(&pod("q")).await.unwrap_err().effect();
    assert_eq!(effect, client::Effect::None);
}
