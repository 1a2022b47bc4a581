//! The fake answers as the API server would, as far as a callback can tell.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube_core::params::{DeleteParams, Patch, PatchParams, Preconditions};
use nah_cache::ListOptions;
use nah_client::{Error, OptionalExt, ReadWriteExt, Reader, ReaderExt, Verb, Writer, WriterExt};
use nah_core::{Kind, ObjectKey};
use nah_testing::Fake;
use serde_json::json;

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({ "metadata": { "name": name, "namespace": "n" }, "data": { "k": "1" } }))
        .unwrap()
}

fn edited(map: &Arc<ConfigMap>, value: &str) -> ConfigMap {
    let mut map = ConfigMap::clone(map);
    map.data.get_or_insert_default().insert("k".into(), value.into());
    map
}

#[tokio::test]
async fn creates_as_the_server_does() // F29, F30
{
    let fake = Fake::new();
    let created = fake.create(&map("a")).await.unwrap();
    assert!(created.metadata.uid.is_some() && created.metadata.resource_version.is_some());
    assert!(fake.create(&map("a")).await.unwrap_err().is_already_exists());
    assert_eq!(fake.create(&*created).await.unwrap_err().status().unwrap().code, 400);
    let mut generated = map("a");
    (generated.metadata.name, generated.metadata.generate_name) = (None, Some("g-".into()));
    let (first, second) = (fake.create(&generated).await.unwrap(), fake.create(&generated).await.unwrap());
    assert_ne!(first.metadata.name, second.metadata.name);
}

#[tokio::test]
async fn updates_with_an_optimistic_lock() // F31
{
    let fake = Fake::new().with(map("a")).unwrap();
    let found = fake.get::<ConfigMap>(("n", "a")).await.unwrap();
    let updated = fake.update(&edited(&found, "2")).await.unwrap();
    assert_ne!(updated.metadata.resource_version, found.metadata.resource_version);
    assert_eq!(updated.metadata.uid, found.metadata.uid);
    assert!(fake.update(&edited(&found, "3")).await.unwrap_err().is_conflict());
    assert!(fake.update(&map("b")).await.unwrap_err().is_not_found());
    let same = fake.update(&*updated).await.unwrap();
    assert_eq!(same.metadata.resource_version, updated.metadata.resource_version);
}

#[tokio::test]
async fn patches_and_modifies() // F35
{
    let fake = Fake::new().with(map("a")).unwrap();
    let patch = Patch::Merge(json!({ "data": { "k": null, "l": "2" } }));
    let patched = fake.patch::<ConfigMap>(("n", "a"), &patch, &PatchParams::default()).await.unwrap();
    assert_eq!(patched.data.as_ref().unwrap().keys().collect::<Vec<_>>(), ["l"]);
    let edit = |map: &mut ConfigMap| drop(map.data.get_or_insert_default().insert("m".into(), "3".into()));
    fake.modify::<ConfigMap>(("n", "a"), edit).await.unwrap();
    fake.modify::<ConfigMap>(("n", "a"), edit).await.unwrap();
    let verbs: Vec<_> = fake.take_writes().iter().map(|write| write.verb).collect();
    assert_eq!(verbs, [Verb::MergePatch, Verb::JsonPatch]);
    let applied = fake.apply(&map("b"), "me").await.unwrap();
    assert_eq!(applied.metadata.name.as_deref(), Some("b"));
}

#[tokio::test]
async fn holds_an_object_until_its_finalizers_are_gone() // F33
{
    let mut held = map("a");
    held.metadata.finalizers = Some(vec!["f".into()]);
    let fake = Fake::new().with(held).unwrap();
    fake.delete_by_key::<ConfigMap>(("n", "a")).await.unwrap();
    let found = fake.get::<ConfigMap>(("n", "a")).await.unwrap();
    assert!(found.metadata.deletion_timestamp.is_some());
    let edit = |map: &mut ConfigMap| map.metadata.finalizers = None;
    fake.modify::<ConfigMap>(("n", "a"), edit).await.unwrap();
    assert!(fake.get::<ConfigMap>(("n", "a")).await.optional().unwrap().is_none());
    assert!(fake.delete_by_key::<ConfigMap>(("n", "a")).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn heeds_preconditions_and_dry_runs() // F33, F37
{
    let fake = Fake::new().with(map("a")).unwrap();
    let wrong = Preconditions { uid: Some("other".into()), resource_version: None };
    let params = DeleteParams::default().preconditions(wrong);
    assert!(fake.delete_with(&map("a"), &params).await.unwrap_err().is_conflict());
    fake.delete_with(&map("a"), &DeleteParams::default().dry_run()).await.unwrap();
    assert!(fake.get::<ConfigMap>(("n", "a")).await.is_ok());
}

#[tokio::test]
async fn keeps_status_and_spec_apart() // F32
{
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": "p", "namespace": "n" }, "spec": { "containers": [] }, "status": { "phase": "Pending" },
    }))
    .unwrap();
    let fake = Fake::new().with(pod).unwrap();
    let edit = |pod: &mut Pod| {
        pod.status.get_or_insert_default().phase = Some("Running".into());
        pod.metadata.labels.get_or_insert_default().insert("a".into(), "b".into());
    };
    let pod = fake.modify_status::<Pod>(("n", "p"), edit).await.unwrap();
    assert_eq!(
        (pod.status.as_ref().unwrap().phase.as_deref(), &pod.metadata.labels),
        (Some("Running"), &None)
    );
    let edit = |pod: &mut Pod| pod.status.get_or_insert_default().phase = Some("Failed".into());
    let pod = fake.modify::<Pod>(("n", "p"), edit).await.unwrap();
    assert_eq!(pod.status.as_ref().unwrap().phase.as_deref(), Some("Running"));
}

#[tokio::test]
async fn selects_by_namespace_labels_fields_and_indexes() // F10, F12
{
    let mut red = map("red");
    red.metadata.labels = Some([("colour".to_owned(), "red".to_owned())].into());
    let fake =
        Fake::new().with(red).unwrap().with(map("blue")).unwrap().with_index::<ConfigMap>("first", |map| {
            map.metadata.name.iter().map(|name| name[..1].to_owned()).collect()
        });
    let names = async |options: ListOptions| {
        let list = fake.list::<ConfigMap>(options).await.unwrap();
        list.handles().map(|object| object.key().name().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(ListOptions::default().in_namespace("n")).await, ["blue", "red"]);
    assert_eq!(names(ListOptions::default().matching_labels([("colour", "red")])).await, ["red"]);
    assert_eq!(names(ListOptions::default().matching_field("metadata.name", "blue")).await, ["blue"]);
    assert_eq!(names(ListOptions::default().matching_field("first", "r")).await, ["red"]);
    let any = ListOptions::default().matching_field_in("metadata.name", ["blue", "none"]);
    assert_eq!(names(any).await, ["blue"]);
    assert_eq!(names(ListOptions::default().limit(1)).await, ["blue"]);
    assert!(names(ListOptions::default().in_namespace("m")).await.is_empty());
    fake.delete_all_of::<ConfigMap>(
        ListOptions::default().in_namespace("n").matching_labels([("colour", "red")]),
    )
    .await
    .unwrap();
    assert_eq!(names(ListOptions::default()).await, ["blue"]);
}

#[tokio::test]
async fn records_what_was_refused_too() {
    let fake = Fake::new();
    fake.refuse(|write| {
        (write.verb == Verb::Create).then(|| Error::not_found(&write.gvk, &ObjectKey::cluster("n")))
    });
    assert!(fake.create(&map("a")).await.unwrap_err().is_not_found());
    assert_eq!(fake.writes().len(), 1);
    assert!(fake.get::<ConfigMap>(("n", "a")).await.optional().unwrap().is_none());
}

#[tokio::test]
async fn stands_in_as_a_trait_object() {
    let fake = Fake::new();
    let (reader, writer): (Arc<dyn Reader>, Arc<dyn Writer>) = (Arc::new(fake.clone()), Arc::new(fake));
    writer.create(&map("a")).await.unwrap();
    assert!(reader.get_for_kind(&ConfigMap::kind_of(), ("n", "a")).await.is_ok());
}
