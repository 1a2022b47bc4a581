//! What errors say, and keep to themselves.

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use nah_cache::{CacheError, CacheOptions, ListOptions};
use nah_client::{Effect, Error, OptionalExt, Reader, ReaderExt, Verb, Write, WriterExt};
use nah_core::{GroupVersionKind, Kind, ObjectKey};
use nah_testing::{ApiServer, Fault};
use serde_json::json;

use crate::{World, config_map, edited, key};

#[test]
fn not_found_has_the_words_of_the_server() // F2
{
    let error = Error::not_found(&ConfigMap::kind_of(), &key("a"));
    assert!(error.is_not_found() && !error.is_conflict() && !error.is_already_exists());
    let status = error.status().unwrap();
    assert_eq!((status.code, &*status.reason), (404, "NotFound"));
    assert_eq!(status.details.as_ref().unwrap().name, "a");
    assert_eq!(error.effect(), Effect::None);
    assert_eq!(Err::<(), _>(error).optional().unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn an_error_names_kind_and_key() {
    let world = World::new();
    let error = world.client.get::<ConfigMap>(("default", "a")).await.unwrap_err().to_string();
    assert!(error.contains("ConfigMap") && error.contains("default/a"), "{error}");
    let error = world.client.delete_by_key::<ConfigMap>(("default", "a")).await.unwrap_err().to_string();
    assert!(error.contains("ConfigMap") && error.contains("default/a"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn each_refusal_is_told_from_the_others() // F30, F31
{
    let world = World::new();
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    let again = world.client.create(&config_map("a", "1")).await.unwrap_err();
    assert!(again.is_already_exists() && !again.is_conflict());
    world.client.update(&edited(&created, "2")).await.unwrap();
    let stale = world.client.update(&edited(&created, "3")).await.unwrap_err();
    assert!(stale.is_conflict() && !stale.is_already_exists());
    let missing = world.client.update(&config_map("b", "1")).await.unwrap_err();
    assert!(missing.is_not_found());
    for error in [again, stale, missing] {
        assert_eq!(error.effect(), Effect::None);
    }
}

#[tokio::test(start_paused = true)]
async fn each_reason_for_no_answer_is_told_from_the_others_and_from_an_absence() // F2, F6, F14, F25, F49, Q37
{
    let world = World::with(ApiServer::new(), CacheOptions::default().namespaces(["default"]));
    let client = &world.client;
    let (maps, pods) = (ConfigMap::kind_of(), Pod::kind_of());
    let nothing = GroupVersionKind::gvk("example.com", "v1", "Nothing");
    let by_node = ListOptions::default().matching_field("spec.nodeName", "n1");
    client.get::<ConfigMap>(("default", "a")).await.optional().unwrap();
    client.list::<Pod>(ListOptions::default()).await.unwrap();
    let mut table = vec![
        ("not found", client.get::<ConfigMap>(("default", "a")).await.map(drop), "default/a"),
        ("not synced", client.lookup(&Secret::kind_of(), &key("a")).map(drop), "Secret"),
        ("no scope", client.lookup(&maps, &("other", "a").into()).map(drop), "\"other\""),
        (
            "no scope",
            client.select(&maps, &ListOptions::default().in_namespace("other")).map(drop),
            "ConfigMap",
        ),
        ("no index", client.select(&pods, &by_node).map(drop), "spec.nodeName"),
        ("no kind", client.ready(&nothing).await, "Nothing"),
        ("no kind", client.get_live_for_kind(&nothing, ("default", "a")).await.map(drop), "example.com/v1"),
        ("bad key", client.lookup(&maps, &("default", "").into()).map(drop), "ConfigMap"),
    ];
    client.hold();
    table.push(("not started", client.lookup(&maps, &key("a")).map(drop), "not started"));
    client.stop();
    table.push(("stopped", client.lookup(&maps, &key("a")).map(drop), "stopped"));
    for (wanted, answer, names) in table {
        let error = answer.unwrap_err();
        let reason = match &error {
            Error::NotStarted => "not started",
            Error::Key { .. } => "bad key",
            Error::Cache(CacheError::NotSynced { .. }) => "not synced",
            Error::Cache(CacheError::OutsideScope { .. }) => "no scope",
            Error::Cache(CacheError::NoIndex { .. }) => "no index",
            Error::Cache(CacheError::UnknownKind { .. }) => "no kind",
            Error::Cache(CacheError::Stopped) => "stopped",
            error if error.is_not_found() => "not found",
            _ => "another",
        };
        assert_eq!(reason, wanted, "{error}");
        assert_eq!(error.is_not_found(), wanted == "not found", "{error}");
        assert!(error.to_string().contains(names), "{error} does not name {names}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_with_a_version_is_refused() // F30
{
    let world = World::new();
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    world.client.delete(&*created).await.unwrap();
    let error = world.client.create(&*created).await.unwrap_err();
    assert!(error.to_string().contains("resourceVersion"), "{error}");
    assert_eq!(world.data("a").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_write_without_a_namespace_or_a_name_is_not_sent() {
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    world.server.journal().clear();
    let mut nowhere = config_map("a", "1");
    nowhere.metadata.namespace = None;
    assert_eq!(world.client.create(&nowhere).await.unwrap_err().status().unwrap().code, 400);
    let mut unnamed = config_map("a", "1");
    unnamed.metadata.name = None;
    assert!(matches!(world.client.update(&unnamed).await.unwrap_err(), Error::Object(_)));
    let error = world.client.get_live::<ConfigMap>(ObjectKey::cluster("a")).await.unwrap_err();
    assert_eq!(error.status().unwrap().code, 400);
    assert!(world.server.journal().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_proxys_404_is_no_absence() {
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    world.server.inject(Fault::answer(404).on("get").of("configmaps"));
    assert!(world.client.get_live::<ConfigMap>(("default", "a")).await.optional().is_err());
    assert!(world.data("a").await.is_some());
}

#[test]
fn a_write_shows_no_body() {
    let secret: Secret = serde_json::from_value(json!({
        "metadata": { "name": "s", "namespace": "default" }, "stringData": { "password": "hunter2" },
    }))
    .unwrap();
    let write = Write::new(Verb::Create, &secret, None).unwrap();
    assert!(String::from_utf8_lossy(&write.body).contains("hunter2"));
    assert_eq!(format!("{write:?}"), "Create Secret default/s");
    let write = Write::new(Verb::Update, &secret, Some("status")).unwrap();
    assert_eq!(format!("{write:?}"), "Update Secret default/s status");
}

#[tokio::test(start_paused = true)]
async fn an_answer_shows_no_content() {
    let world = World::new();
    let write = Write::new(Verb::Create, &config_map("a", "hunter2"), None).unwrap();
    let written = nah_client::Writer::write(&world.client, write).await.unwrap();
    assert!(!format!("{written:?}").contains("hunter2"));
}
