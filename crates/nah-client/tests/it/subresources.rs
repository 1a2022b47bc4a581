//! Parts of objects, with bodies of their own.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use k8s_openapi::api::{
    apps::v1::Deployment,
    autoscaling::v1::Scale,
    core::v1::{ConfigMap, Pod},
};
use kube_core::params::{Patch, PatchParams, PostParams};
use nah_cache::{List, ListOptions};
use nah_client::{Error, Reader, ReaderExt, Result, WriterExt, Written};
use nah_core::{GroupVersionKind, Kind, Object, ObjectKey};
use serde_json::json;

use crate::{World, config_map, key};

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
async fn a_scale_is_a_kind_of_its_own() // F38, Q9
{
    let world = World::new();
    world.client.create(&deployment()).await.unwrap();
    world.blind::<Deployment>().await;
    let patch = Patch::Merge(json!({ "spec": { "replicas": 5 } }));
    let written = world
        .client
        .patch_for_kind(&Deployment::kind_of(), &key("web"), Some("scale"), &patch, &PatchParams::default())
        .await
        .unwrap();
    let scale = written.decode::<Scale>().unwrap();
    assert_eq!(scale.spec.as_ref().unwrap().replicas, Some(5));
    assert!(written.decode::<Deployment>().is_err(), "a Scale parses as a Deployment; it is none");
    // The answer does not show the Deployment: the read asks the server.
    assert!(matches!(world.client.lookup(&Deployment::kind_of(), &key("web")), Err(Error::Unsure { .. })));
    let found = world.client.get::<Deployment>(("default", "web")).await.unwrap();
    assert_eq!(found.spec.replicas, Some(5));
}

#[tokio::test(start_paused = true)]
async fn a_scale_can_be_replaced() // F38
{
    let world = World::new();
    world.client.create(&deployment()).await.unwrap();
    let body = json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": { "name": "web", "namespace": "default" }, "spec": { "replicas": 7 },
    });
    world
        .client
        .update_subresource::<Deployment>(("default", "web"), "scale", &body, &PostParams::default())
        .await
        .unwrap();
    let found = world.client.get::<Deployment>(("default", "web")).await.unwrap();
    assert_eq!(found.spec.replicas, Some(7));
}

#[tokio::test(start_paused = true)]
async fn a_scale_is_read_from_the_server() // F38
{
    let world = World::new();
    world.client.create(&deployment()).await.unwrap();
    world.blind::<Deployment>().await;
    let scale = world.client.get_subresource::<Deployment, Scale>(("default", "web"), "scale").await.unwrap();
    assert_eq!(scale.spec.as_ref().unwrap().replicas, Some(1));
    // A reader that is shared reads no less.
    let shared: Arc<dyn Reader> = Arc::new(world.client.clone());
    let scale = shared.get_subresource::<Deployment, Scale>(("default", "web"), "scale").await.unwrap();
    assert_eq!(scale.spec.as_ref().unwrap().replicas, Some(1));
    let missing = world.client.get_subresource::<Deployment, Scale>(("default", "nothing"), "scale").await;
    assert!(missing.unwrap_err().is_not_found());
    // That it is a Scale is known by what it says, not by what was asked for.
    let other = world.client.get_subresource::<Deployment, Deployment>(("default", "web"), "scale").await;
    assert!(matches!(other.unwrap_err(), Error::Cache(_) | Error::Decode(_)));
    let unknown = world.client.get_subresource::<ConfigMap, Scale>(("", "a"), "scale").await.unwrap_err();
    assert!(!unknown.is_not_found(), "{unknown}");
}

#[tokio::test(start_paused = true)]
async fn a_reader_of_ones_own_has_no_subresources_unless_it_says_so() {
    struct Bare;
    impl Reader for Bare {
        fn lookup(&self, _: &GroupVersionKind, _: &ObjectKey) -> Result<Option<Object>> {
            Ok(None)
        }
        fn select(&self, _: &GroupVersionKind, _: &ListOptions) -> Result<List> {
            Ok(List::from_objects(Vec::new()))
        }
        fn ready(&self, _: &GroupVersionKind) -> BoxFuture<'_, Result<()>> {
            Box::pin(async { Ok(()) })
        }
        fn fetch(&self, _: &GroupVersionKind, _: &ObjectKey) -> BoxFuture<'_, Result<Option<Object>>> {
            Box::pin(async { Ok(None) })
        }
        fn fetch_list(&self, _: &GroupVersionKind, _: ListOptions) -> BoxFuture<'_, Result<List>> {
            Box::pin(async { Ok(List::from_objects(Vec::new())) })
        }
    }
    let error = Bare.get_subresource::<Deployment, Scale>(("default", "web"), "scale").await.unwrap_err();
    assert!(error.to_string().contains("reads no subresources"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_eviction_answers_without_an_object() // F38
{
    let world = World::new();
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": "p", "namespace": "default" }, "spec": { "containers": [{ "name": "c", "image": "i" }] },
    }))
    .unwrap();
    world.client.create(&pod).await.unwrap();
    world.blind::<Pod>().await;
    let body = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": "p", "namespace": "default" },
    });
    let written = world
        .client
        .create_subresource::<Pod>(("default", "p"), "eviction", &body, &PostParams::default())
        .await
        .unwrap();
    assert!(matches!(written, Written::Status(_)), "{written:?}");
    assert!(matches!(written.decode::<Pod>().unwrap_err(), Error::NoObject));
    // No node has it, so it is gone at once; nobody here was told.
    assert!(world.client.get::<Pod>(("default", "p")).await.unwrap_err().is_not_found());
}

#[tokio::test(start_paused = true)]
async fn a_kind_without_a_status_has_none_to_update() // F32
{
    let world = World::new();
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    assert!(world.client.update_status(&*created).await.unwrap_err().is_not_found());
    // That says nothing about the object.
    assert!(world.data("a").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_status_can_be_patched() // F32
{
    let world = World::new();
    world.client.create(&deployment()).await.unwrap();
    world.blind::<Deployment>().await;
    let patch = Patch::Merge(json!({ "status": { "replicas": 2 }, "spec": { "replicas": 9 } }));
    world
        .client
        .patch_status::<Deployment>(("default", "web"), &patch, &PatchParams::default())
        .await
        .unwrap();
    let found = world.client.get::<Deployment>(("default", "web")).await.unwrap();
    assert_eq!(found.status.as_ref().unwrap().replicas, Some(2));
    assert_eq!(found.spec.replicas, Some(1));
}

#[tokio::test(start_paused = true)]
async fn an_update_leaves_the_status_alone() // F32
{
    let world = World::new();
    let created = world.client.create(&deployment()).await.unwrap();
    let mut changed = Deployment::clone(&created);
    changed.spec.replicas = Some(3);
    changed.status.get_or_insert_default().replicas = Some(8);
    let updated = world.client.update(&changed).await.unwrap();
    assert_eq!(updated.spec.replicas, Some(3));
    assert_ne!(updated.status.as_ref().and_then(|status| status.replicas), Some(8));
    assert_ne!(updated.metadata.resource_version, created.metadata.resource_version);
}
