//! What is written, and read again at once.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use http::Method;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{
    ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use nah_backend::{KubeBackend, client::Effect, core::ObjectMeta, prelude::*};
use serde_json::json;

use crate::{
    fixtures::{CustomKind, eventually, pod},
    scenario::scenarios,
    world::World,
};

scenarios! {
    a_created_object_is_read_at_once => "F40, F47, Q1, Q5" (Loose),
    an_updated_object_is_read_at_once => "F40, F47, Q5" (Loose),
    a_patched_object_is_read_at_once => "F35, F40" (Loose),
    a_deleted_object_is_not_read_again => "F45, Q4, Q5" (Loose),
    a_delete_that_a_finalizer_holds_up_is_no_absence => "F33, Q2" (Loose),
    removing_the_last_finalizer_ends_the_object => "F45, F33" (Loose),
    an_object_that_is_created_again_is_another_one => "F46, B9" (Loose),
    an_update_of_an_old_version_conflicts_and_changes_nothing => "F31, F44" (Loose),
    a_create_of_a_taken_name_says_so => "F30, F44" (Loose),
    what_has_a_version_is_not_created => "F30" (Loose),
    an_update_needs_no_version_but_something_to_replace => "F31" (Loose),
    a_delete_says_what_it_did_not_find_and_what_it_was_not_meant_for => "F33" (Loose),
    a_generated_name_is_in_what_comes_back => "F30, F29" (Loose),
    modify_sends_the_difference_and_nothing_where_there_is_none => "F35" (Loose),
    modify_edits_again_what_somebody_else_has_changed => "F35" (Loose),
    a_status_is_modified_by_its_own_door => "F32, F38" (Loose),
    a_dry_run_is_read_by_nobody => "F37, Q9" (Loose),
    a_collection_is_deleted_with_one_request => "F33, F34, Q9" (Loose),
    a_write_of_an_unwatched_kind_needs_no_cache => "F29" (Loose),
    a_dynamic_object_is_written_and_read_at_once => "F48, Q33" (Loose),
    a_write_whose_answer_is_lost_is_looked_up => "F44" (Faulty),
}

fn map(world: &World, name: &str, value: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.into()),
            namespace: Some(world.namespace.clone()),
            labels: Some([("value".to_owned(), value.to_owned())].into()),
            ..ObjectMeta::default()
        },
        data: Some([("k".to_owned(), value.to_owned())].into()),
        ..ConfigMap::default()
    }
}

/// A backend that has synced ConfigMaps, and indexes them by `data.k`.
async fn synced(world: &World) -> Result<KubeBackend> {
    let backend = world.backend();
    backend.index_path::<ConfigMap>("data.k")?;
    backend.start().await?;
    Ok(backend)
}

/// The names that the index, the label and the whole list have for a value.
async fn found(backend: &KubeBackend, value: &str) -> Result<[Vec<String>; 3]> {
    let names = async |options: ListOptions| -> Result<Vec<String>> {
        Ok(backend.list::<ConfigMap>(options).await?.decoded().map(|map| map.name_any()).collect())
    };
    Ok([
        names(ListOptions::default().matching_field("data.k", value)).await?,
        names(ListOptions::default().matching_labels([("value", value)])).await?,
        names(ListOptions::default()).await?,
    ])
}

async fn a_created_object_is_read_at_once(world: &World) -> Result<()> {
    let backend = synced(world).await?;
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        let created = backend.create(&map(world, name, name)).await?;
        let read = backend.get::<ConfigMap>((world.namespace.as_str(), name)).await?;
        ensure!(read.uid() == created.uid(), "{name} is another one");
        let [by_index, by_label, all] = found(&backend, name).await?;
        ensure!(by_index == [name] && by_label == [name] && all.contains(&name.to_owned()));
    }
    Ok(())
}

async fn an_updated_object_is_read_at_once(world: &World) -> Result<()> {
    let backend = synced(world).await?;
    let mut current = ConfigMap::clone(&*backend.create(&map(world, "a", "0")).await?);
    for round in 1..=8 {
        let value = round.to_string();
        current.data = Some([("k".to_owned(), value.clone())].into());
        current.labels_mut().insert("value".into(), value.clone());
        current = ConfigMap::clone(&*backend.update(&current).await?);
        let read = backend.get::<ConfigMap>((world.namespace.as_str(), "a")).await?;
        ensure!(read.resource_version() == current.resource_version());
        let [by_index, by_label, _] = found(&backend, &value).await?;
        ensure!(by_index == ["a"] && by_label == ["a"], "round {round}");
        let [by_index, by_label, _] = found(&backend, &(round - 1).to_string()).await?;
        ensure!(by_index.is_empty() && by_label.is_empty(), "round {round} still finds the one before");
    }
    Ok(())
}

async fn a_patched_object_is_read_at_once(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let backend = synced(world).await?;
    backend.create(&map(world, "a", "0")).await?;
    let patch = Patch::Merge(json!({ "data": { "more": "1" } }));
    let patched = backend.patch::<ConfigMap>((ns, "a"), &patch, &PatchParams::default()).await?;
    let read = backend.get::<ConfigMap>((ns, "a")).await?;
    ensure!(read.resource_version() == patched.resource_version());
    let data: BTreeMap<String, String> = read.data.clone().unwrap_or_default();
    ensure!(data.get("more").is_some_and(|value| value == "1") && data.contains_key("k"), "{data:?}");
    Ok(())
}

async fn a_deleted_object_is_not_read_again(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let backend = synced(world).await?;
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        let created = backend.create(&map(world, name, name)).await?;
        backend.delete(&*created).await?;
        ensure!(
            backend.get::<ConfigMap>((ns, name)).await.is_err_and(|error| error.is_not_found()),
            "{name}"
        );
        ensure!(found(&backend, name).await?.iter().all(|names| !names.contains(&name.to_owned())), "{name}");
    }
    let again = backend.delete_by_key::<ConfigMap>((ns, "a")).await;
    ensure!(again.is_err_and(|error| error.is_not_found()));
    Ok(())
}

async fn a_delete_that_a_finalizer_holds_up_is_no_absence(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let backend = synced(world).await?;
    let mut held = map(world, "a", "0");
    held.finalizers_mut().push("example.com/hold".into());
    let created = backend.create(&held).await?;
    backend.delete(&*created).await?;
    let read = backend.get::<ConfigMap>((ns, "a")).await?;
    ensure!(read.metadata.deletion_timestamp.is_some() && read.uid() == created.uid());
    backend.delete(&*created).await?;
    ensure!(backend.get::<ConfigMap>((ns, "a")).await.is_ok(), "a second delete made it vanish");
    Ok(())
}

async fn removing_the_last_finalizer_ends_the_object(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let backend = synced(world).await?;
    let mut held = map(world, "a", "0");
    held.finalizers_mut().push("example.com/hold".into());
    let created = backend.create(&held).await?;
    backend.delete(&*created).await?;
    let mut read = ConfigMap::clone(&*backend.get::<ConfigMap>((ns, "a")).await?);
    read.finalizers_mut().clear();
    backend.update(&read).await?;
    ensure!(backend.get::<ConfigMap>((ns, "a")).await.is_err_and(|error| error.is_not_found()));
    ensure!(found(&backend, "0").await?.iter().all(Vec::is_empty));
    Ok(())
}

async fn an_object_that_is_created_again_is_another_one(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let backend = synced(world).await?;
    let mut last = None;
    for round in 0..6 {
        let created = backend.create(&map(world, "a", &round.to_string())).await?;
        let read = backend.get::<ConfigMap>((ns, "a")).await?;
        ensure!(read.uid() == created.uid() && read.uid() != last, "round {round}");
        last = created.uid();
        backend.delete(&*created).await?;
    }
    ensure!(backend.get::<ConfigMap>((ns, "a")).await.is_err_and(|error| error.is_not_found()));
    Ok(())
}

async fn an_update_of_an_old_version_conflicts_and_changes_nothing(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let backend = synced(world).await?;
    let created = backend.create(&map(world, "a", "0")).await?;
    let path = world.path("configmaps/a");
    world.behind(Method::PATCH, &path, Some(json!({ "data": { "k": "1" } }))).await?.expect(200)?;
    let mut stale = ConfigMap::clone(&created);
    stale.data = Some([("k".to_owned(), "2".to_owned())].into());
    let error = backend.update(&stale).await.err().map(|error| (error.is_conflict(), error.effect()));
    ensure!(error == Some((true, Effect::None)), "{error:?}");
    let read = backend.get::<ConfigMap>((ns, "a")).await?;
    ensure!(
        read.data.as_ref().is_some_and(|data| data["k"] == "1"),
        "after a conflict {:?} is read",
        read.data
    );
    Ok(())
}

async fn a_create_of_a_taken_name_says_so(world: &World) -> Result<()> {
    let backend = synced(world).await?;
    backend.create(&map(world, "a", "0")).await?;
    let error = backend.create(&map(world, "a", "1")).await.err();
    ensure!(error.as_ref().is_some_and(|error| error.is_already_exists()), "{error:?}");
    ensure!(error.is_some_and(|error| error.effect() == Effect::None && !error.is_conflict()));
    Ok(())
}

async fn a_generated_name_is_in_what_comes_back(world: &World) -> Result<()> {
    let backend = synced(world).await?;
    let mut unnamed = map(world, "a", "0");
    unnamed.metadata.name = None;
    unnamed.metadata.generate_name = Some("site-".into());
    let created = backend.create(&unnamed).await?;
    ensure!(created.name_any().starts_with("site-"));
    let read = backend.get::<ConfigMap>((world.namespace.as_str(), created.name_any().as_str())).await?;
    ensure!(read.uid() == created.uid());
    ensure!(found(&backend, "0").await?.iter().all(|names| names.len() == 1));
    Ok(())
}

async fn modify_sends_the_difference_and_nothing_where_there_is_none(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let backend = synced(world).await?;
    let created = backend.create(&map(world, "a", "0")).await?;
    let before = world.story.count("PATCH", "/configmaps/a");
    let same = backend.modify::<ConfigMap>((ns, "a"), |_| {}).await?;
    ensure!(same.resource_version() == created.resource_version());
    ensure!(world.story.count("PATCH", "/configmaps/a") == before, "{}", world.story.text());
    let edit = |map: &mut ConfigMap| drop(map.data.get_or_insert_default().insert("more".into(), "1".into()));
    let changed = backend.modify::<ConfigMap>((ns, "a"), edit).await?;
    ensure!(changed.data.as_ref().is_some_and(|data| data["k"] == "0" && data["more"] == "1"));
    ensure!(world.story.count("PATCH", "/configmaps/a") == before + 1, "{}", world.story.text());
    ensure!(world.story.count("PUT", "/configmaps/a") == 0, "{}", world.story.text());
    ensure!(backend.get::<ConfigMap>((ns, "a")).await?.resource_version() == changed.resource_version());
    Ok(())
}

async fn modify_edits_again_what_somebody_else_has_changed(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let backend = synced(world).await?;
    backend.create(&map(world, "a", "0")).await?;
    // What the cache shows is held up, so that the first attempt is made on an old version.
    world.proxy.hold();
    let path = world.path("configmaps/a");
    world.behind(Method::PATCH, &path, Some(json!({ "data": { "theirs": "1" } }))).await?.expect(200)?;
    let edit = |map: &mut ConfigMap| drop(map.data.get_or_insert_default().insert("ours".into(), "1".into()));
    let modified = {
        let modifying = backend.modify::<ConfigMap>((ns, "a"), edit);
        let releasing = async {
            tokio::task::yield_now().await;
            world.proxy.release();
        };
        futures::join!(modifying, releasing).0?
    };
    let data = modified.data.clone().unwrap_or_default();
    ensure!(["k", "ours", "theirs"].iter().all(|key| data.contains_key(*key)), "{data:?}");
    Ok(())
}

async fn a_status_is_modified_by_its_own_door(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    world.behind_create("pods", pod("a", None)).await?;
    let backend = world.backend();
    backend.informer::<Pod>()?;
    backend.start().await?;
    let edit = |pod: &mut Pod| {
        pod.status.get_or_insert_default().phase = Some("Running".into());
        pod.labels_mut().insert("not".into(), "status".into());
    };
    let modified = backend.modify_status::<Pod>((ns, "a"), edit).await?;
    ensure!(modified.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running"));
    ensure!(modified.labels().is_empty(), "a status write changed the labels");
    let read = backend.get::<Pod>((ns, "a")).await?;
    ensure!(read.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running"));
    ensure!(world.story.count("PATCH", "/pods/a/status") == 1, "{}", world.story.text());
    Ok(())
}

async fn a_dry_run_is_read_by_nobody(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let backend = synced(world).await?;
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let answer = backend.create_with(&map(world, "a", "0"), &params).await?;
    ensure!(answer.name_any() == "a");
    ensure!(backend.get::<ConfigMap>((ns, "a")).await.is_err_and(|error| error.is_not_found()));
    ensure!(found(&backend, "0").await?.iter().all(Vec::is_empty));
    Ok(())
}

async fn a_collection_is_deleted_with_one_request(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let backend = synced(world).await?;
    for name in ["a", "b"] {
        backend.create(&map(world, name, "0")).await?;
    }
    backend.create(&map(world, "c", "1")).await?;
    let mut held = map(world, "d", "0");
    held.metadata.finalizers = Some(vec!["example.com/hold".into()]);
    backend.create(&held).await?;
    let chosen = ListOptions::default().in_namespace(ns).matching_labels([("value", "0")]);
    backend.delete_all_of::<ConfigMap>(chosen).await?;
    for name in ["a", "b"] {
        ensure!(
            backend.get::<ConfigMap>((ns, name)).await.is_err_and(|error| error.is_not_found()),
            "{name}"
        );
    }
    ensure!(backend.get::<ConfigMap>((ns, "c")).await.is_ok());
    ensure!(
        backend.get::<ConfigMap>((ns, "d")).await?.metadata.deletion_timestamp.is_some(),
        "it is held up"
    );
    eventually("the list shows it too", async || {
        Ok(backend.list::<ConfigMap>(ListOptions::default()).await?.len() == 2)
    })
    .await?;
    ensure!(world.story.count("DELETE", "/configmaps") == 1, "{}", world.story.text());
    world.behind_patch("configmaps/d", json!({ "metadata": { "finalizers": null } })).await?;
    Ok(())
}

async fn a_write_of_an_unwatched_kind_needs_no_cache(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let backend = world.backend();
    backend.start().await?;
    let created = backend.create(&map(world, "a", "0")).await?;
    ensure!(created.uid().is_some());
    backend.delete_by_key::<ConfigMap>((ns, "a")).await?;
    ensure!(world.story.count("WATCH", "/configmaps") == 0, "{}", world.story.text());
    world.behind(Method::GET, &world.path("configmaps/a"), None).await?.expect(404)?;
    Ok(())
}

async fn a_dynamic_object_is_written_and_read_at_once(world: &World) -> Result<()> {
    let kind = CustomKind::define(world, "written").await?;
    let gvk = GroupVersionKind::gvk(&kind.group, "v1", "Widget");
    let backend = world.backend();
    backend.informer_for_kind(&gvk)?;
    backend.start().await?;
    let mut object = kind.object("a", json!({ "size": 1 }));
    object["metadata"]["namespace"] = json!(world.namespace);
    let object: nah_backend::core::DynamicObject = serde_json::from_value(object)?;
    let created = backend.create(&object).await?;
    let key = (world.namespace.as_str(), "a");
    ensure!(backend.get_for_kind(&gvk, key).await?.uid().map(|uid| uid.to_string()) == created.uid());
    let mut grown = nah_backend::core::DynamicObject::clone(&created);
    grown.data["spec"]["size"] = json!(2);
    backend.update(&grown).await?;
    ensure!(backend.get_for_kind(&gvk, key).await?.dynamic()?.data["spec"]["size"] == 2);
    backend.delete_for_kind(&gvk, &key.into(), &Default::default()).await?;
    ensure!(backend.get_for_kind(&gvk, key).await.is_err_and(|error| error.is_not_found()));
    // A watch of a kind that is being taken away may end in more ways than one.
    world.close().await;
    kind.remove(world).await
}

async fn a_write_whose_answer_is_lost_is_looked_up(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let backend = synced(world).await?;
    backend.create(&map(world, "a", "0")).await?;
    // The request reaches the server or not; the answer never comes.
    world.proxy.delay(std::time::Duration::from_millis(300));
    let patch = Patch::Merge(json!({ "data": { "k": "1" } }));
    let params = PatchParams::default();
    let error = {
        let patching = backend.patch::<ConfigMap>((ns, "a"), &patch, &params);
        let cutting = async {
            eventually("the server has it", async || {
                let found = world.behind(Method::GET, &world.path("configmaps/a"), None).await?;
                Ok(found.at("/data/k") == "1")
            })
            .await?;
            world.proxy.cut().await;
            anyhow::Ok(())
        };
        let (patched, cut) = futures::join!(patching, cutting);
        cut?;
        patched.err()
    };
    world.proxy.delay(std::time::Duration::ZERO);
    ensure!(error.as_ref().is_some_and(|error| error.effect() == Effect::Unknown), "{error:?}");
    let read = backend.get::<ConfigMap>((ns, "a")).await?;
    ensure!(read.data.as_ref().is_some_and(|data| data["k"] == "1"), "{:?} is read", read.data);
    Ok(())
}

async fn what_has_a_version_is_not_created(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let backend = synced(world).await?;
    let mut versioned = map(world, "a", "0");
    versioned.metadata.resource_version = Some("5".into());
    let refused = backend.create(&versioned).await;
    ensure!(refused.as_ref().is_err_and(|error| !error.is_already_exists()), "{refused:?}");
    ensure!(backend.get::<ConfigMap>((ns, "a")).await.is_err_and(|error| error.is_not_found()));
    world.behind(Method::GET, &world.path("configmaps/a"), None).await?.expect(404)?;
    Ok(())
}

async fn an_update_needs_no_version_but_something_to_replace(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let backend = synced(world).await?;
    let missing = backend.update(&map(world, "a", "0")).await;
    ensure!(missing.as_ref().is_err_and(|error| error.is_not_found()), "{missing:?}");
    let created = backend.create(&map(world, "a", "0")).await?;
    let replaced = backend.update(&map(world, "a", "1")).await?;
    ensure!(replaced.uid() == created.uid() && replaced.resource_version() != created.resource_version());
    let found = backend.get::<ConfigMap>((ns, "a")).await?;
    ensure!(found.data.as_ref().is_some_and(|data| data["k"] == "1"));
    Ok(())
}

async fn a_delete_says_what_it_did_not_find_and_what_it_was_not_meant_for(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let backend = synced(world).await?;
    let missing = backend.delete_by_key::<ConfigMap>((ns, "a")).await;
    ensure!(missing.as_ref().is_err_and(|error| error.is_not_found()), "{missing:?}");
    let first = backend.create(&map(world, "a", "0")).await?;
    let second = backend.update(&map(world, "a", "1")).await?;
    let stale = [
        Preconditions { uid: Some("somebody-else".into()), ..Preconditions::default() },
        Preconditions { resource_version: first.resource_version(), ..Preconditions::default() },
    ];
    for preconditions in stale {
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        let refused = backend.delete_with(&*second, &params).await;
        ensure!(refused.as_ref().is_err_and(|error| error.is_conflict()), "{refused:?}");
        ensure!(backend.get::<ConfigMap>((ns, "a")).await.is_ok(), "it was not meant");
    }
    let meant = Preconditions { uid: second.uid(), resource_version: second.resource_version() };
    let params = DeleteParams { preconditions: Some(meant), ..DeleteParams::default() };
    backend.delete_with(&*second, &params).await?;
    ensure!(backend.get::<ConfigMap>((ns, "a")).await.is_err_and(|error| error.is_not_found()));
    Ok(())
}
