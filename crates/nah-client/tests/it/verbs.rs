//! Each verb answers with what the server stored.

use k8s_openapi::api::core::v1::ConfigMap;
use kube_core::params::{Patch, PatchParams};
use nah_cache::ListOptions;
use nah_client::{ReaderExt, Verb, Write, Writer, WriterExt, Written};
use nah_core::{DynamicObject, Kind};
use serde_json::json;

use crate::{World, config_map, edited, key, truth};

#[tokio::test(start_paused = true)]
async fn a_create_answers_with_name_uid_and_version() // F29
{
    let world = World::new();
    let sent = config_map("a", "1");
    let created = world.client.create(&sent).await.unwrap();
    let meta = &created.metadata;
    assert!(meta.uid.is_some() && meta.resource_version.is_some() && meta.creation_timestamp.is_some());
    assert!(sent.metadata.uid.is_none(), "what was passed in is not touched");
}

#[tokio::test(start_paused = true)]
async fn an_update_without_a_version_replaces_whatever_is_there() // F31
{
    let world = World::new();
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    world.client.update(&edited(&created, "2")).await.unwrap();
    let updated = world.client.update(&config_map("a", "3")).await.unwrap();
    assert_eq!(updated.metadata.uid, created.metadata.uid);
    assert_eq!(truth(&world.server, "a").as_deref(), Some("3"));
}

#[tokio::test(start_paused = true)]
async fn an_update_that_changes_nothing_keeps_the_version() {
    let world = World::new();
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    let same = world.client.update(&*created).await.unwrap();
    assert_eq!(same.metadata.resource_version, created.metadata.resource_version);
}

#[tokio::test(start_paused = true)]
async fn a_patch_with_a_stale_version_is_a_conflict() // F35
{
    let world = World::new();
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    world.client.update(&edited(&created, "2")).await.unwrap();
    let version = created.metadata.resource_version.clone();
    let patch = Patch::Merge(json!({ "metadata": { "resourceVersion": version }, "data": { "value": "3" } }));
    let patched = world.client.patch::<ConfigMap>(("default", "a"), &patch, &PatchParams::default()).await;
    assert!(patched.unwrap_err().is_conflict());
    assert_eq!(world.data("a").await.as_deref(), Some("2"));
}

#[tokio::test(start_paused = true)]
async fn a_json_patch_edits_step_by_step() // F35
{
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    let body = br#"[{"op":"add","path":"/data/more","value":"x"},{"op":"remove","path":"/data/value"}]"#;
    let write = Write::at(Verb::JsonPatch, &ConfigMap::kind_of(), &key("a")).body(body.to_vec());
    let written = world.client.write(write).await.unwrap();
    let map = written.decode::<ConfigMap>().unwrap();
    assert_eq!(map.data.as_ref().unwrap().keys().collect::<Vec<_>>(), ["more"]);
    assert!(!written.is_gone());
}

#[tokio::test(start_paused = true)]
async fn a_delete_says_who_is_gone() {
    let world = World::new();
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    let written =
        world.client.write(Write::at(Verb::Delete, &ConfigMap::kind_of(), &key("a"))).await.unwrap();
    let Written::Gone { uid, last: None } = written else { panic!("{written:?}") };
    assert_eq!(uid, created.metadata.uid);
}

#[tokio::test(start_paused = true)]
async fn a_dynamic_object_is_read_edited_and_written_back() // F26, F31
{
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    let handle = world.client.get_for_kind(&ConfigMap::kind_of(), ("default", "a")).await.unwrap();
    let mut object = DynamicObject::clone(&*handle.dynamic().unwrap());
    object.data["data"]["value"] = "2".into();
    world.client.update(&object).await.unwrap();
    assert_eq!(world.data("a").await.as_deref(), Some("2"));
    world.client.delete(&object).await.unwrap();
    assert_eq!(world.data("a").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_of_many_without_a_selection_takes_the_namespace() // F34
{
    let world = World::new();
    for name in ["a", "b"] {
        world.client.create(&config_map(name, "1")).await.unwrap();
    }
    world.client.delete_all_of::<ConfigMap>(ListOptions::default().in_namespace("default")).await.unwrap();
    assert_eq!((truth(&world.server, "a"), truth(&world.server, "b")), (None, None));
    let nowhere = world.client.delete_all_of::<ConfigMap>(ListOptions::default()).await.unwrap_err();
    assert_eq!(nowhere.status().unwrap().code, 400);
}
