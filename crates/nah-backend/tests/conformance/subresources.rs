//! Parts of objects, with bodies of their own, and metadata alone.

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use k8s_openapi::api::{
    apps::v1::Deployment,
    authentication::v1::TokenRequest,
    autoscaling::v1::Scale,
    core::v1::{ConfigMap, Pod, PodStatus, ServiceAccount},
};
use kube::{
    ResourceExt,
    api::{Patch, PatchParams, PostParams, WatchEvent},
    core::PartialObjectMeta,
};
use nah_backend::{
    KubeBackend, LiveWatch,
    client::{Error, Written},
    core::{Kind, ObjectKey, ObjectMeta},
    prelude::*,
};
use serde_json::{Value, json};

use crate::{
    fixtures::{deployment, pod},
    scenario::scenarios,
    world::World,
};

scenarios! {
    a_status_is_read_updated_patched_and_applied_by_its_own_door => "F32, F36, F38, Q9" (Loose),
    a_scale_is_read_updated_patched_and_applied_with_a_body_of_its_own => "F36, F38, Q9" (Faulty),
    an_eviction_has_a_body_of_its_own_and_ends_the_pod => "F38, Q9" (Loose),
    a_binding_assigns_a_pod_once => "F38, Q9" (Loose),
    a_token_is_issued_for_a_service_account => "F38, Q9" (Loose),
    a_part_that_is_not_there_is_told_from_an_object_that_is_not => "F32, F38, F48" (Loose),
    metadata_alone_is_read_listed_and_watched => "F26, F27, F39, Q8" (Loose),
    metadata_alone_replaces_nothing => "F48, Q8" (Loose),
}

/// A backend that has synced a kind.
async fn synced<K: Kind>(world: &World) -> Result<KubeBackend> {
    let backend = world.backend();
    backend.informer::<K>()?;
    backend.start().await?;
    Ok(backend)
}

async fn a_status_is_read_updated_patched_and_applied_by_its_own_door(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    world.behind_create("pods", pod("a", None)).await?;
    let backend = synced::<Pod>(world).await?;
    let phase = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default();
    let read = backend.get_subresource::<Pod, Pod>((ns, "a"), "status").await?;
    ensure!(phase(&read) == "Pending");

    let mut changed = Pod::clone(&read);
    changed.status.get_or_insert_default().phase = Some("Running".into());
    changed.labels_mut().insert("not".into(), "status".into());
    backend.update_status(&changed).await?;
    let found = backend.get::<Pod>((ns, "a")).await?;
    ensure!(phase(&found) == "Running");

    let merge = Patch::Merge(json!({ "status": { "phase": "Succeeded" } }));
    backend.patch_status::<Pod>((ns, "a"), &merge, &PatchParams::default()).await?;
    let found = backend.get::<Pod>((ns, "a")).await?;
    ensure!(phase(&found) == "Succeeded");

    let wanted = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a", "namespace": ns },
                         "status": { "message": "said" } });
    let wanted = Patch::Apply(wanted);
    let key = ObjectKey::new(Some(ns), "a");
    let params = PatchParams::apply("one");
    backend.patch_for_kind(&Pod::kind_of(), &key, Some("status"), &wanted, &params).await?;
    let found = backend.get::<Pod>((ns, "a")).await?;
    let status = found.status.clone().context("a status")?;
    ensure!(status.message.as_deref() == Some("said") && phase(&found) == "Succeeded");

    // A status is applied with the object around it.
    let mut whole = Pod::clone(&found);
    whole.metadata =
        ObjectMeta { name: Some("a".into()), namespace: Some(ns.into()), ..ObjectMeta::default() };
    whole.status = Some(PodStatus { message: Some("other".into()), ..PodStatus::default() });
    let refused = backend.apply_status(&whole, &PatchParams::apply("two")).await;
    ensure!(refused.as_ref().is_err_and(Error::is_conflict), "{refused:?}");
    backend.apply_status(&whole, &PatchParams::apply("two").force()).await?;
    let found = backend.get::<Pod>((ns, "a")).await?;
    ensure!(found.status.as_ref().and_then(|status| status.message.as_deref()) == Some("other"));
    Ok(())
}

async fn a_scale_is_read_updated_patched_and_applied_with_a_body_of_its_own(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let deployments = format!("/apis/apps/v1/namespaces/{ns}/deployments");
    world.behind(http::Method::POST, &deployments, Some(deployment("a", 0))).await?.expect(201)?;
    let backend = synced::<Deployment>(world).await?;
    let key = ObjectKey::new(Some(ns), "a");
    let scale = backend.get_subresource::<Deployment, Scale>((ns, "a"), "scale").await?;
    ensure!(scale.spec.as_ref().context("a spec")?.replicas.unwrap_or_default() == 0);
    let replicas =
        async || -> Result<Option<i32>> { Ok(backend.get::<Deployment>((ns, "a")).await?.spec.replicas) };

    let mut changed = Scale::clone(&scale);
    changed.spec.get_or_insert_default().replicas = Some(1);
    // The controllers may have written meanwhile.
    changed.metadata.resource_version = None;
    let params = PostParams::default();
    let written = backend.update_subresource::<Deployment>((ns, "a"), "scale", &changed, &params).await?;
    ensure!(written.decode::<Scale>()?.uid() == scale.uid());
    ensure!(replicas().await? == Some(1));

    let merge = Patch::Merge(json!({ "spec": { "replicas": 2 } }));
    let params = PatchParams::default();
    backend.patch_for_kind(&Deployment::kind_of(), &key, Some("scale"), &merge, &params).await?;
    ensure!(replicas().await? == Some(2));

    let wanted = Patch::Apply(json!({ "apiVersion": "autoscaling/v1", "kind": "Scale",
                                      "metadata": { "name": "a", "namespace": ns }, "spec": { "replicas": 3 } }));
    let params = PatchParams::apply("one").force();
    backend.patch_for_kind(&Deployment::kind_of(), &key, Some("scale"), &wanted, &params).await?;
    ensure!(replicas().await? == Some(3));
    Ok(())
}

async fn an_eviction_has_a_body_of_its_own_and_ends_the_pod(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    world.behind_create("pods", pod("a", None)).await?;
    let backend = synced::<Pod>(world).await?;
    let body = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": "a", "namespace": ns } });
    let written =
        backend.create_subresource::<Pod>((ns, "a"), "eviction", &body, &PostParams::default()).await?;
    ensure!(matches!(written, Written::Status(_)), "{written:?}");
    // No node has it, so it is gone at once.
    let found = backend.get::<Pod>((ns, "a")).await;
    ensure!(found.as_ref().is_err_and(Error::is_not_found), "{found:?}");
    Ok(())
}

fn binding(name: &str, node: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Binding", "metadata": { "name": name, "annotations": { "by": "us" } },
            "target": { "apiVersion": "v1", "kind": "Node", "name": node } })
}

async fn a_binding_assigns_a_pod_once(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    world.behind_create("pods", pod("a", None)).await?;
    let backend = synced::<Pod>(world).await?;
    let params = PostParams::default();
    let bind = |name: &'static str, body: Value| {
        let (backend, params) = (backend.clone(), params.clone());
        async move { backend.create_subresource::<Pod>((ns, name), "binding", &body, &params).await }
    };

    let mut other = binding("a", "n");
    other["metadata"]["uid"] = json!("somebody-else");
    let refused = bind("a", other).await;
    ensure!(refused.as_ref().is_err_and(Error::is_conflict), "{refused:?}");
    let refused = bind("a", binding("b", "n")).await;
    ensure!(matches!(&refused, Err(Error::Api { status, .. }) if status.code == 400), "{refused:?}");
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    backend.create_subresource::<Pod>((ns, "a"), "binding", &binding("a", "n"), &dry).await?;
    let found = backend.get::<Pod>((ns, "a")).await?;
    ensure!(found.spec.as_ref().context("a spec")?.node_name.is_none());

    let written = bind("a", binding("a", "n")).await?;
    ensure!(matches!(written, Written::Status(_)), "{written:?}");
    let found = backend.get::<Pod>((ns, "a")).await?;
    ensure!(found.spec.as_ref().context("a spec")?.node_name.as_deref() == Some("n"));
    let conditions = found.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    ensure!(
        conditions.iter().any(|condition| condition.type_ == "PodScheduled" && condition.status == "True"),
        "{conditions:?}"
    );
    ensure!(found.annotations().get("by").is_some_and(|by| by == "us"), "{:?}", found.annotations());

    let refused = bind("a", binding("a", "m")).await;
    ensure!(refused.as_ref().is_err_and(Error::is_conflict), "{refused:?}");
    let refused = bind("zz", binding("zz", "n")).await;
    ensure!(refused.as_ref().is_err_and(Error::is_not_found), "{refused:?}");
    let found = backend.get::<Pod>((ns, "a")).await?;
    ensure!(found.spec.as_ref().context("a spec")?.node_name.as_deref() == Some("n"));
    Ok(())
}

async fn a_token_is_issued_for_a_service_account(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let made = world.behind_create("serviceaccounts", json!({ "metadata": { "name": "a" } })).await?;
    world.behind_create("pods", pod("p", None)).await?;
    let backend = synced::<ServiceAccount>(world).await?;
    let params = PostParams::default();
    let ask = |name: &'static str, spec: Value| {
        let (backend, params) = (backend.clone(), params.clone());
        let body = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec });
        async move { backend.create_subresource::<ServiceAccount>((ns, name), "token", &body, &params).await }
    };

    let written = ask("a", json!({ "audiences": ["us"], "expirationSeconds": 600 })).await?;
    let answer = written.decode::<TokenRequest>()?;
    ensure!(answer.metadata.uid == Some(made.uid()?));
    let spec = answer.spec.clone().context("a spec")?;
    ensure!(
        spec.audiences.is_some_and(|audiences| audiences == ["us"]) && spec.expiration_seconds == Some(600)
    );
    let status = answer.status.clone().context("a status")?;
    let token = status.token.context("a token")?;
    ensure!(token.split('.').count() == 3, "no token has three parts");
    let made_at = answer.metadata.creation_timestamp.clone().context("a time")?;
    let expires = status.expiration_timestamp.context("an end")?;
    ensure!(expires.0.as_second() - made_at.0.as_second() == 600);
    ensure!(!format!("{written:?}").contains(&token), "a token in what is shown");
    let written = ask("a", json!({})).await?;
    let spec = written.decode::<TokenRequest>()?.spec.clone().context("a spec")?;
    ensure!(spec.expiration_seconds == Some(3600));

    let refused = ask("a", json!({ "expirationSeconds": 60 })).await;
    ensure!(refused.as_ref().is_err_and(Error::is_invalid), "{refused:?}");
    for (name, spec) in [
        ("zz", json!({})),
        ("a", json!({ "boundObjectRef": { "apiVersion": "v1", "kind": "Pod", "name": "zz" } })),
    ] {
        let refused = ask(name, spec).await;
        ensure!(refused.as_ref().is_err_and(Error::is_not_found), "{refused:?}");
    }
    let other = json!({ "boundObjectRef": { "apiVersion": "v1", "kind": "Pod", "name": "p" } });
    let refused = ask("a", other).await;
    ensure!(matches!(&refused, Err(Error::Api { status, .. }) if status.code == 400), "{refused:?}");
    // What was not found was not the account.
    ensure!(backend.get::<ServiceAccount>((ns, "a")).await?.uid() == Some(made.uid()?));
    Ok(())
}

async fn a_part_that_is_not_there_is_told_from_an_object_that_is_not(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    world.behind_create("configmaps", json!({ "metadata": { "name": "a" } })).await?;
    world.behind_create("pods", pod("p", None)).await?;
    let backend = synced::<ConfigMap>(world).await?;
    let params = PostParams::default();
    let missing = backend.get_subresource::<ConfigMap, ConfigMap>((ns, "a"), "status").await;
    ensure!(missing.as_ref().is_err_and(Error::is_not_found), "{missing:?}");
    let missing = backend.get_subresource::<Pod, Pod>((ns, "zz"), "status").await;
    ensure!(missing.as_ref().is_err_and(Error::is_not_found), "{missing:?}");
    let missing = backend.update_status(&*backend.get::<ConfigMap>((ns, "a")).await?).await;
    ensure!(missing.as_ref().is_err_and(Error::is_not_found), "{missing:?}");
    // What can only be created cannot be read.
    for part in ["binding", "eviction"] {
        let refused = backend.get_subresource::<Pod, Pod>((ns, "p"), part).await;
        ensure!(matches!(&refused, Err(Error::Api { status, .. }) if status.code == 405), "{refused:?}");
    }
    let refused =
        backend.create_subresource::<ConfigMap>((ns, "a"), "binding", &binding("a", "n"), &params).await;
    ensure!(refused.as_ref().is_err_and(Error::is_not_found), "{refused:?}");
    // Nothing of that says that the object is gone.
    ensure!(backend.get::<ConfigMap>((ns, "a")).await.is_ok());
    Ok(())
}

async fn metadata_alone_is_read_listed_and_watched(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    world.behind_create("configmaps", json!({ "metadata": { "name": "a" }, "data": { "k": "v" } })).await?;
    let backend = synced::<ConfigMap>(world).await?;
    type Meta = PartialObjectMeta<ConfigMap>;
    ensure!(backend.get::<Meta>((ns, "a")).await?.name_any() == "a");
    ensure!(backend.list::<Meta>(ListOptions::default()).await?.len() == 1);
    let live = backend.get_live::<Meta>((ns, "a")).await?;
    ensure!(live.types.as_ref().is_some_and(|types| types.kind == "PartialObjectMetadata"), "{live:?}");
    let options = || ListOptions::default().in_namespace(ns).metadata_only();
    let list = backend.list_live_for_kind(&ConfigMap::kind_of(), options()).await?;
    ensure!(list.handles().any(|object| object.key().name() == "a" && object.head().metadata_only));

    let mut events = backend.watch(&ConfigMap::kind_of(), options().matching_labels([("x", "y")]));
    // The stream is open once it is polled.
    let labelled =
        async { world.behind_patch("configmaps/a", json!({ "metadata": { "labels": { "x": "y" } } })).await };
    let first = async {
        loop {
            match events.next().await {
                // A real server may begin with one.
                Some(Ok(WatchEvent::Bookmark(_))) => {}
                event => break event,
            }
        }
    };
    let (event, labelled) = futures::join!(first, labelled);
    labelled?;
    let Some(Ok(WatchEvent::Added(object))) = event else { anyhow::bail!("{event:?}") };
    ensure!(object.types.as_ref().is_some_and(|types| types.kind == "PartialObjectMetadata"), "{object:?}");
    ensure!(object.name_any() == "a" && object.data.get("data").is_none());
    Ok(())
}

async fn metadata_alone_replaces_nothing(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    world.behind_create("configmaps", json!({ "metadata": { "name": "a" }, "data": { "k": "v" } })).await?;
    let backend = synced::<ConfigMap>(world).await?;
    let metadata = backend.get::<PartialObjectMeta<ConfigMap>>((ns, "a")).await?;
    let before = world.story.text();
    for refused in [backend.create(&*metadata).await, backend.update(&*metadata).await] {
        ensure!(matches!(refused, Err(Error::MetadataOnly)), "{refused:?}");
    }
    ensure!(world.story.text() == before, "something was asked:\n{}", world.story.text());
    ensure!(
        backend.get_live::<ConfigMap>((ns, "a")).await?.data.as_ref().is_some_and(|data| data["k"] == "v")
    );
    Ok(())
}
