//! What the server decides of each verb and option, asked for through the client.

use anyhow::{Context, Result, ensure};
use http::Method;
use k8s_openapi::api::{
    apps::v1::Deployment,
    autoscaling::v1::Scale,
    core::v1::{ConfigMap, Pod},
};
use kube::{
    ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams, ValidationDirective},
};
use nah_backend::{
    KubeBackend,
    client::{Effect, Error, Verb, Write, Writer, Written, merge_from, merge_from_locked},
    core::{DynamicObject, Kind, ObjectKey},
    prelude::*,
};
use serde_json::{Value, json};

use crate::{
    fixtures::{CustomKind, deployment, pod},
    scenario::scenarios,
    world::World,
};

scenarios! {
    a_patch_of_each_type_does_what_its_type_says => "F35" (Loose),
    a_dry_run_of_every_verb_is_answered_and_forgotten => "F37, Q9" (Faulty),
    a_kind_that_needs_a_version_is_not_replaced_without => "F31" (Loose),
    a_deletion_waits_as_long_as_it_is_told => "F33" (Loose),
    what_a_deleted_object_owns_is_let_go_or_waited_for => "F33" (Loose),
    a_collection_is_what_namespace_labels_and_fields_select => "F34" (Loose),
    a_field_that_a_kind_does_not_know_is_dropped_or_refused => "F35" (Loose),
    who_writes_is_who_the_write_names => "F36" (Loose),
    an_edit_keeps_what_its_type_does_not_know => "F35" (Loose),
}

fn map(world: &World, name: &str, data: Value) -> Result<ConfigMap> {
    let metadata = json!({ "name": name, "namespace": world.namespace });
    Ok(serde_json::from_value(json!({ "metadata": metadata, "data": data }))?)
}

async fn synced<K: Kind>(world: &World) -> Result<KubeBackend> {
    let backend = world.backend();
    backend.informer::<K>()?;
    backend.start().await?;
    Ok(backend)
}

async fn a_patch_of_each_type_does_what_its_type_says(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let backend = synced::<ConfigMap>(world).await?;
    let created = backend.create(&map(world, "a", json!({ "x": "1", "y": "1" }))?).await?;
    let params = PatchParams::default();
    let read = async || -> Result<Value> {
        let found = backend.get::<ConfigMap>((ns, "a")).await?;
        Ok(json!(found.data))
    };
    backend
        .patch::<ConfigMap>((ns, "a"), &Patch::Merge(json!({ "data": { "x": null, "z": "1" } })), &params)
        .await?;
    ensure!(read().await? == json!({ "y": "1", "z": "1" }));
    let strategic = Patch::Strategic(json!({ "data": { "y": null } }));
    backend.patch::<ConfigMap>((ns, "a"), &strategic, &params).await?;
    ensure!(read().await? == json!({ "z": "1" }));

    // Step by step, and nothing of it where one step fails.
    let key = ObjectKey::from((ns, "a"));
    let steps =
        |steps: Value| Write::at(Verb::JsonPatch, &ConfigMap::kind_of(), &key).body(steps.to_string().into());
    let patch = json!([{ "op": "test", "path": "/data/z", "value": "1" }, { "op": "add", "path": "/data/w", "value": "1" }]);
    let written = backend.write(steps(patch)).await?;
    ensure!(written.decode::<ConfigMap>()?.data.as_ref().is_some_and(|data| data.len() == 2));
    ensure!(read().await? == json!({ "w": "1", "z": "1" }));
    let patch =
        json!([{ "op": "remove", "path": "/data/z" }, { "op": "test", "path": "/data/w", "value": "2" }]);
    let refused = backend.write(steps(patch)).await;
    ensure!(
        refused.as_ref().is_err_and(|error| error.is_invalid() && error.effect() == Effect::None),
        "{refused:?}"
    );
    ensure!(read().await? == json!({ "w": "1", "z": "1" }));

    // What makes one state of another, and the same only of the version that it was made for.
    let before = backend.get::<ConfigMap>((ns, "a")).await?;
    let mut after = ConfigMap::clone(&before);
    after.data = Some([("w".to_owned(), "2".to_owned())].into());
    let (free, locked) = (merge_from(&*before, &after)?, merge_from_locked(&*before, &after)?);
    let patched = backend.patch::<ConfigMap>((ns, "a"), &free, &params).await?;
    ensure!(patched.data == after.data && patched.uid() == created.uid());
    let late = backend.patch::<ConfigMap>((ns, "a"), &locked, &params).await;
    ensure!(
        late.as_ref().is_err_and(|error| error.is_conflict() && error.effect() == Effect::None),
        "{late:?}"
    );
    ensure!(read().await? == json!({ "w": "2" }));
    let missing = backend.patch::<ConfigMap>((ns, "zz"), &free, &params).await;
    ensure!(missing.as_ref().is_err_and(Error::is_not_found), "{missing:?}");
    Ok(())
}

async fn a_dry_run_of_every_verb_is_answered_and_forgotten(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let path = format!("/apis/apps/v1/namespaces/{ns}/deployments");
    world.behind(Method::POST, &path, Some(deployment("d", 0))).await?.expect(201)?;
    let backend = synced::<Deployment>(world).await?;
    let stands = async || -> Result<Value> {
        let found = world.behind(Method::GET, &format!("{path}/d"), None).await?.expect(200)?;
        Ok(json!([found.at("/spec"), found.at("/metadata/labels"), found.at("/metadata/deletionTimestamp")]))
    };
    let before = stands().await?;
    let (post, patch) =
        (PostParams { dry_run: true, ..PostParams::default() }, PatchParams::default().dry_run());
    let current = backend.get::<Deployment>((ns, "d")).await?;
    let mut grown = Deployment::clone(&current);
    // Controllers write, too.
    grown.metadata.resource_version = None;
    grown.spec.replicas = Some(7);
    let answer = backend.update_with(&grown, &post).await?;
    ensure!(answer.spec.replicas == Some(7), "it is answered as if");
    backend.update_status_with(&grown, &post).await?;
    let labels = Patch::Merge(json!({ "metadata": { "labels": { "dry": "run" } } }));
    let answer = backend.patch::<Deployment>((ns, "d"), &labels, &patch).await?;
    ensure!(answer.labels().contains_key("dry"));
    let mut applied = Deployment::default();
    applied.metadata.name = Some("d".into());
    applied.metadata.namespace = Some(ns.into());
    applied.labels_mut().insert("dry".into(), "run".into());
    let typed = json!({ "apiVersion": "apps/v1", "kind": "Deployment",
                        "metadata": { "name": "d", "namespace": ns, "labels": { "dry": "run" } } });
    let object: DynamicObject = serde_json::from_value(typed)?;
    let answer = backend.apply_with(&object, &PatchParams::apply("one").dry_run()).await?;
    ensure!(answer.labels().contains_key("dry"));
    let mut scale = Scale::clone(&*backend.get_subresource::<Deployment, Scale>((ns, "d"), "scale").await?);
    scale.metadata.resource_version = None;
    scale.spec.get_or_insert_default().replicas = Some(9);
    backend.update_subresource::<Deployment>((ns, "d"), "scale", &scale, &post).await?;
    backend.delete_with(&*current, &DeleteParams::default().dry_run()).await?;
    let all = ListOptions::default().in_namespace(ns);
    backend.delete_all_of_for_kind(&Deployment::kind_of(), all, &DeleteParams::default().dry_run()).await?;

    ensure!(stands().await? == before, "{} was {before}", stands().await?);
    let gets = world.story.count("GET", "/deployments/d");
    let found = backend.get::<Deployment>((ns, "d")).await?;
    ensure!(found.spec.replicas == Some(0) && found.labels().is_empty());
    ensure!(
        world.story.count("GET", "/deployments/d") == gets,
        "nothing was doubted:\n{}",
        world.story.text()
    );
    Ok(())
}

async fn a_kind_that_needs_a_version_is_not_replaced_without(world: &World) -> Result<()> {
    let kind = CustomKind::define(world, "versioned").await?;
    let backend = world.backend();
    backend.start().await?;
    let mut object = kind.object("a", json!({ "size": 1 }));
    object["metadata"]["namespace"] = json!(world.namespace);
    let object: DynamicObject = serde_json::from_value(object)?;
    let created = backend.create(&object).await?;
    let refused = backend.update(&object).await;
    ensure!(
        refused.as_ref().is_err_and(|error| error.is_invalid() && error.effect() == Effect::None),
        "{refused:?}"
    );
    let mut grown = DynamicObject::clone(&created);
    grown.data["spec"]["size"] = json!(2);
    backend.update(&grown).await?;
    let late = backend.update(&grown).await;
    ensure!(late.as_ref().is_err_and(Error::is_conflict), "{late:?}");
    Ok(())
}

async fn a_deletion_waits_as_long_as_it_is_told(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    world.behind_create("pods", pod("p", Some("nowhere"))).await?;
    let backend = synced::<Pod>(world).await?;
    let current = backend.get::<Pod>((ns, "p")).await?;
    backend.delete_with(&*current, &DeleteParams::default().grace_period(17)).await?;
    let found = backend.get::<Pod>((ns, "p")).await?;
    ensure!(found.metadata.deletion_grace_period_seconds == Some(17), "{:?}", found.metadata);
    backend.delete_with(&*current, &DeleteParams::default().grace_period(0)).await?;
    let found = backend.get::<Pod>((ns, "p")).await;
    ensure!(found.as_ref().is_err_and(Error::is_not_found), "{found:?}");
    Ok(())
}

async fn what_a_deleted_object_owns_is_let_go_or_waited_for(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let backend = synced::<ConfigMap>(world).await?;
    for (name, params, finalizer) in
        [("a", DeleteParams::orphan(), "orphan"), ("b", DeleteParams::foreground(), "foregroundDeletion")]
    {
        backend.create(&map(world, name, json!({}))?).await?;
        let key = ObjectKey::from((ns, name));
        let written =
            backend.write(Write::at(Verb::Delete, &ConfigMap::kind_of(), &key).delete(&params)).await?;
        let Written::Object(object) = &written else { anyhow::bail!("{name}: {written:?}") };
        ensure!(object.decode::<ConfigMap>()?.finalizers() == [finalizer], "{written:?}");
    }
    backend.create(&map(world, "c", json!({}))?).await?;
    let key = ObjectKey::from((ns, "c"));
    let params = DeleteParams::background();
    let written = backend.write(Write::at(Verb::Delete, &ConfigMap::kind_of(), &key).delete(&params)).await?;
    ensure!(written.is_gone(), "{written:?}");
    Ok(())
}

async fn a_collection_is_what_namespace_labels_and_fields_select(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let backend = synced::<ConfigMap>(world).await?;
    for (name, tier) in [("a", "web"), ("b", "web"), ("c", "db")] {
        let mut one = map(world, name, json!({}))?;
        one.labels_mut().insert("tier".into(), tier.into());
        backend.create(&one).await?;
    }
    let web = || ListOptions::default().in_namespace(ns).matching_labels([("tier", "web")]);
    backend.delete_all_of::<ConfigMap>(web().matching_field("metadata.name", "b")).await?;
    let left =
        world.behind(Method::GET, &world.path("configmaps?labelSelector=tier"), None).await?.expect(200)?;
    let names: Vec<_> =
        left.at("/items").as_array().context("no list")?.iter().map(|it| &it["metadata"]["name"]).collect();
    ensure!(names == ["a", "c"], "{names:?}");
    let unknown = backend.delete_all_of::<ConfigMap>(web().matching_field("data.k", "b")).await;
    ensure!(matches!(&unknown, Err(Error::Api { status, .. }) if status.code == 400), "{unknown:?}");
    for name in ["a", "c"] {
        ensure!(backend.get::<ConfigMap>((ns, name)).await.is_ok(), "{name}");
    }
    Ok(())
}

async fn a_field_that_a_kind_does_not_know_is_dropped_or_refused(world: &World) -> Result<()> {
    let kind = CustomKind::define(world, "strict").await?;
    let backend = world.backend();
    backend.start().await?;
    let mut object = kind.object("a", json!({ "size": 1, "what": 1 }));
    object["metadata"]["namespace"] = json!(world.namespace);
    let object: DynamicObject = serde_json::from_value(object)?;
    let mut strict = Write::new(Verb::Create, &object, None)?;
    strict.field_validation = Some("Strict".into());
    let refused = backend.write(strict.clone()).await;
    ensure!(matches!(&refused, Err(Error::Api { status, .. }) if status.code == 400), "{refused:?}");
    ensure!(refused.is_err_and(|error| error.to_string().contains("unknown field \"spec.what\"")));
    strict.field_validation = Some("Ignore".into());
    let written = backend.write(strict).await?;
    let written = written.object().context("an object")?.dynamic()?;
    ensure!(written.data["spec"] == json!({ "size": 1 }), "{}", written.data);

    let gvk = written.types.clone().context("types")?;
    let gvk = GroupVersionKind::try_from(gvk)?;
    let key = ObjectKey::from((world.namespace.as_str(), "a"));
    let patch = Patch::Merge(json!({ "spec": { "size": 2, "what": 1 } }));
    let strict =
        PatchParams { field_validation: Some(ValidationDirective::Strict), ..PatchParams::default() };
    let refused = backend.patch_for_kind(&gvk, &key, None, &patch, &strict).await;
    ensure!(refused.as_ref().is_err_and(Error::is_invalid), "{refused:?}");
    ensure!(refused.is_err_and(|error| {
        error.to_string().contains("strict decoding error: unknown field \"spec.what\"")
    }));
    let written = backend.patch_for_kind(&gvk, &key, None, &patch, &PatchParams::default()).await?;
    ensure!(written.object().context("an object")?.dynamic()?.data["spec"] == json!({ "size": 2 }));
    Ok(())
}

async fn who_writes_is_who_the_write_names(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let backend = synced::<ConfigMap>(world).await?;
    let named = |name: &str| Some(name.to_owned());
    let post = |name: &str| PostParams { field_manager: named(name), ..PostParams::default() };
    let created = backend.create_with(&map(world, "a", json!({ "x": "1" }))?, &post("maker")).await?;
    let mut changed = ConfigMap::clone(&created);
    changed.metadata.managed_fields = None;
    changed.data.get_or_insert_default().insert("y".into(), "1".into());
    backend.update_with(&changed, &post("changer")).await?;
    let params = PatchParams { field_manager: named("patcher"), ..PatchParams::default() };
    backend.patch::<ConfigMap>((ns, "a"), &Patch::Merge(json!({ "data": { "z": "1" } })), &params).await?;
    let found = world.behind(Method::GET, &world.path("configmaps/a"), None).await?.expect(200)?;
    let mut owners: Vec<_> = found
        .at("/metadata/managedFields")
        .as_array()
        .context("nobody")?
        .iter()
        .map(|entry| (entry["manager"].as_str().unwrap_or_default(), entry["fieldsV1"]["f:data"].to_string()))
        .collect();
    owners.sort_unstable();
    let expected =
        [("changer", r#"{"f:y":{}}"#), ("maker", r#"{".":{},"f:x":{}}"#), ("patcher", r#"{"f:z":{}}"#)];
    ensure!(owners == expected.map(|(name, fields)| (name, fields.to_owned())), "{owners:?}");
    Ok(())
}

/// A Widget as an older program knows it.
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize, schemars::JsonSchema, kube::CustomResource)]
#[kube(group = "edited.example.com", version = "v1", kind = "Widget", namespaced)]
struct WidgetSpec {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

async fn an_edit_keeps_what_its_type_does_not_know(world: &World) -> Result<()> {
    let kind = CustomKind::define(world, "edited").await?;
    let path = kind.path(world);
    let object = kind.object("a", json!({ "size": 7, "note": "old" }));
    world.behind(Method::POST, &path, Some(object)).await?.expect(201)?;
    world
        .behind(Method::PATCH, &format!("{path}/a/status"), Some(json!({ "status": { "free": [1] } })))
        .await?;
    let backend = synced::<Widget>(world).await?;
    let key = || (world.namespace.as_str(), "a");
    backend.modify::<Widget>(key(), |widget| widget.spec.note = Some("new".into())).await?;
    let found = world.behind(Method::GET, &format!("{path}/a"), None).await?.expect(200)?;
    let found =
        found.with("/spec", json!({ "size": 7, "note": "new" }))?.with("/status", json!({ "free": [1] }))?;
    // An update from a typed value would have lost it.
    let mut typed: Widget = serde_json::from_value(found.body.clone())?;
    typed.spec.note = None;
    backend.update(&typed).await?;
    let found = world.behind(Method::GET, &format!("{path}/a"), None).await?.expect(200)?;
    found.with("/spec", json!({}))?;
    Ok(())
}
