//! Writes as differences.

use std::collections::BTreeMap;

use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use nah_client::{ReadWriteExt, ReaderExt, WriterExt};
use nah_testing::Fault;
use serde_json::{Value, json};

use crate::{World, config_map, truth};

fn set(map: &mut ConfigMap, value: &str) {
    map.data = Some(BTreeMap::from([("value".into(), value.into())]));
}

#[tokio::test(start_paused = true)]
async fn sends_only_the_difference_with_the_version_read() // F35
{
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    let changed = world.client.modify::<ConfigMap>(("default", "a"), |map| set(map, "2")).await.unwrap();
    assert_eq!(crate::data(&changed).as_deref(), Some("2"));
    assert_eq!(world.data("a").await.as_deref(), Some("2"));
    let patches = world.server.journal().filter(|request| request.verb == "patch");
    assert_eq!(patches.len(), 1);
    assert_eq!(patches[0].content_type, "application/json-patch+json");
}

#[tokio::test(start_paused = true)]
async fn sends_nothing_where_nothing_changed() {
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    world.server.journal().clear();
    let same = world.client.modify::<ConfigMap>(("default", "a"), |map| set(map, "1")).await.unwrap();
    assert_eq!(crate::data(&same).as_deref(), Some("1"));
    assert!(world.server.journal().is_empty(), "{:?}", world.server.journal().requests());
}

#[tokio::test(start_paused = true)]
async fn edits_again_what_others_have_changed() // E11
{
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    let mut theirs = world.server.get("v1", "ConfigMap", "default", "a").unwrap();
    theirs["data"]["theirs"] = "kept".into();
    world.server.update(&theirs).unwrap();
    let mut seen = Vec::new();
    let edit = |map: &mut ConfigMap| {
        seen.push(map.data.as_ref().unwrap().len());
        map.data.get_or_insert_default().insert("ours".into(), "too".into());
    };
    let changed = world.client.modify::<ConfigMap>(("default", "a"), edit).await.unwrap();
    assert_eq!(seen, [1, 2], "once on what the cache had, once on what the server has");
    assert_eq!(changed.data.as_ref().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn gives_up_on_an_object_that_others_keep_changing() {
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    let server = world.server.clone();
    let mut n = 0;
    let edit = |map: &mut ConfigMap| {
        n += 1;
        let mut theirs = server.get("v1", "ConfigMap", "default", "a").unwrap();
        theirs["data"]["n"] = n.to_string().into();
        server.update(&theirs).unwrap();
        set(map, "2");
    };
    let error = world.client.modify::<ConfigMap>(("default", "a"), edit).await.unwrap_err();
    assert!(error.is_conflict() || error.is_invalid(), "{error}");
    assert_eq!(n, 8);
}

#[tokio::test(start_paused = true)]
async fn an_invalid_edit_is_an_error_at_once() {
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    world.server.inject(Fault::answer(422).on("patch").of("configmaps").times(100));
    let mut n = 0;
    let edit = |map: &mut ConfigMap| {
        n += 1;
        set(map, "2");
    };
    let error = world.client.modify::<ConfigMap>(("default", "a"), edit).await.unwrap_err();
    assert!(error.is_invalid(), "{error:?}");
    assert_eq!(n, 1);
}

#[tokio::test(start_paused = true)]
async fn a_missing_object_is_not_found() {
    let world = World::new();
    let error = world.client.modify::<ConfigMap>(("default", "a"), |map| set(map, "2")).await.unwrap_err();
    assert!(error.is_not_found());
}

#[tokio::test(start_paused = true)]
async fn what_the_type_here_does_not_know_stays() {
    /// A ConfigMap as an older program knows it.
    #[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
    struct Old {
        metadata: nah_core::ObjectMeta,
        #[serde(default)]
        data: BTreeMap<String, String>,
    }
    impl kube_core::Resource for Old {
        type DynamicType = ();
        type Scope = k8s_openapi::NamespaceResourceScope;
        fn kind(_: &()) -> std::borrow::Cow<'_, str> {
            "ConfigMap".into()
        }
        fn group(_: &()) -> std::borrow::Cow<'_, str> {
            "".into()
        }
        fn version(_: &()) -> std::borrow::Cow<'_, str> {
            "v1".into()
        }
        fn plural(_: &()) -> std::borrow::Cow<'_, str> {
            "configmaps".into()
        }
        fn meta(&self) -> &nah_core::ObjectMeta {
            &self.metadata
        }
        fn meta_mut(&mut self) -> &mut nah_core::ObjectMeta {
            &mut self.metadata
        }
    }
    let world = World::new();
    let mut map = config_map("a", "1");
    map.binary_data = Some(BTreeMap::from([("blob".into(), k8s_openapi::ByteString(vec![1, 2, 3]))]));
    world.client.create(&map).await.unwrap();
    let edit = |map: &mut Old| drop(map.data.insert("value".into(), "2".into()));
    world.client.modify::<Old>(("default", "a"), edit).await.unwrap();
    assert_eq!(truth(&world.server, "a").as_deref(), Some("2"));
    let found = world.client.get::<ConfigMap>(("default", "a")).await.unwrap();
    assert_eq!(found.binary_data, map.binary_data);
}

fn deployment() -> Deployment {
    serde_json::from_value(json!({
        "metadata": { "name": "web", "namespace": "default" },
        "spec": { "replicas": 1, "selector": { "matchLabels": { "a": "b" } },
            "template": { "metadata": { "labels": { "a": "b" } },
                "spec": { "containers": [{ "name": "c", "image": "i" }] } } },
    }))
    .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_status_is_modified_alone() // F32
{
    let world = World::new();
    world.client.create(&deployment()).await.unwrap();
    world.blind::<Deployment>().await;
    let edit = |deployment: &mut Deployment| {
        deployment.status.get_or_insert_default().replicas = Some(3);
        deployment.spec.replicas = Some(9);
    };
    let changed = world.client.modify_status::<Deployment>(("default", "web"), edit).await.unwrap();
    assert_eq!(changed.status.as_ref().unwrap().replicas, Some(3));
    assert_eq!(changed.spec.replicas, Some(1));
    // Only the spec differs now, and that is none of its business.
    world.server.journal().clear();
    let edit = |deployment: &mut Deployment| deployment.spec.replicas = Some(9);
    world.client.modify_status::<Deployment>(("default", "web"), edit).await.unwrap();
    assert!(world.server.journal().is_empty());
}

#[tokio::test(start_paused = true)]
async fn metadata_alone_can_be_modified() // F26
{
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    let edit = |map: &mut nah_core::PartialObjectMeta<ConfigMap>| {
        map.metadata.annotations.get_or_insert_default().insert("seen".into(), "yes".into());
    };
    world.client.modify(("default", "a"), edit).await.unwrap();
    let stored: Value = world.server.get("v1", "ConfigMap", "default", "a").unwrap();
    assert_eq!(
        (&stored["metadata"]["annotations"]["seen"], &stored["data"]["value"]),
        (&json!("yes"), &json!("1"))
    );
}

#[tokio::test(start_paused = true)]
async fn taking_the_last_finalizer_off_ends_the_object() // F33
{
    let world = World::new();
    let created = world.client.create(&crate::held("a")).await.unwrap();
    world.client.delete(&*created).await.unwrap();
    world.blind::<ConfigMap>().await;
    let edit = |map: &mut ConfigMap| map.metadata.finalizers = None;
    let last = world.client.modify::<ConfigMap>(("default", "a"), edit).await.unwrap();
    assert_eq!(last.metadata.uid, created.metadata.uid);
    assert_eq!(world.data("a").await, None);
}
