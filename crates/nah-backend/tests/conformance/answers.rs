//! What an API server answers, in the cases where a client or a fake would guess wrong.

use anyhow::{Context, Result, ensure};
use http::Method;
use serde_json::{Value, json};

use crate::{
    fixtures::{CustomKind, deployment, eventually, pod},
    scenario::scenarios,
    world::{World, version},
};

scenarios! {
    a_created_object_comes_back_with_uid_version_and_time => "",
    a_deleted_object_is_answered_with_a_status => "",
    a_delete_with_a_finalizer_answers_the_living_object => "",
    a_second_delete_with_a_finalizer_changes_nothing => "",
    a_put_without_the_last_finalizer_ends_the_object_at_a_version_that_it_does_not_show => "",
    a_patch_without_the_last_finalizer_ends_the_object => "",
    a_deleted_service_account_comes_back_as_it_was => "",
    a_deleted_service_comes_back_as_it_was => "",
    a_deleted_namespace_lives_on_by_its_spec => "",
    a_deleted_pod_on_a_node_lives_for_its_grace => "",
    a_deleted_pod_without_a_node_is_gone_at_once => "",
    a_deleted_collection_is_answered_as_it_was_before => "",
    a_subresource_that_does_not_exist_says_nothing_of_the_object => "",
    a_put_of_what_is_not_there_names_it => "",
    an_unknown_kind_is_answered_in_plain_text => "",
    a_create_in_a_namespace_that_is_not_there_names_the_namespace => "",
    a_scale_answers_a_scale_with_the_uid_of_its_parent => "",
    a_patch_can_be_answered_by_metadata_alone => "",
    a_patch_that_changes_nothing_keeps_the_version_and_makes_no_event => "",
    initial_events_come_sorted_by_key_and_end_with_a_bookmark => "",
    leaving_a_selector_and_being_deleted_look_the_same_to_a_watch => "",
    a_watch_tells_a_deletion_with_its_own_version => "",
    a_create_of_what_is_there_already_exists => "",
    a_create_with_a_version_is_refused => "",
    a_name_is_generated => "",
    a_put_with_an_old_version_conflicts => "",
    a_put_without_a_version_is_unconditional => "",
    a_delete_with_a_wrong_uid_conflicts => "",
    a_delete_of_what_is_not_there_names_it => "",
    of_a_deletion_with_a_body_the_parameters_mean_nothing => "",
    a_dry_run_changes_nothing => "",
    a_status_is_written_by_its_own_door => "",
    only_a_change_of_the_spec_counts_as_a_generation => "",
    a_list_comes_in_pages_of_one_moment => "",
    a_list_tells_no_kind_on_its_items => "",
    labels_are_selected_by_every_operator => "",
    a_watch_from_a_version_brings_what_came_after_it => "",
    an_old_version_is_gone_after_a_compaction => "" (Alone),
    a_custom_kind_is_served_once_it_is_defined_and_no_longer_when_it_is_gone => "",
    a_custom_object_is_held_to_its_schema => "",
    metadata_is_listed_and_watched_alone => "",
}

async fn a_created_object_comes_back_with_uid_version_and_time(world: &World) -> Result<()> {
    let created = world.config_map("a").await?;
    ensure!(created.version()? > 0 && !created.uid()?.is_empty());
    ensure!(created.at("/metadata/creationTimestamp").as_str().is_some_and(|time| time.ends_with('Z')));
    ensure!(created.at("/metadata/managedFields/0/operation") == "Update");
    created.with("/kind", json!("ConfigMap"))?.with("/metadata/generation", Value::Null)?;
    Ok(())
}

async fn a_deleted_object_is_answered_with_a_status(world: &World) -> Result<()> {
    let created = world.config_map("a").await?;
    let deleted = world.delete(&world.path("configmaps/a"), None).await?.expect(200)?;
    let details = json!({ "name": "a", "kind": "configmaps", "uid": created.uid()? });
    deleted.with("/kind", json!("Status"))?.with("/status", json!("Success"))?.with("/details", details)?;
    world.get(&world.path("configmaps/a")).await?.expect(404)?;
    Ok(())
}

async fn a_delete_with_a_finalizer_answers_the_living_object(world: &World) -> Result<()> {
    let created = world.held_config_map("a").await?;
    let deleted = world.delete(&world.path("configmaps/a"), None).await?.expect(200)?;
    ensure!(deleted.version()? > created.version()?);
    ensure!(deleted.at("/metadata/deletionTimestamp").is_string());
    let deleted =
        deleted.with("/kind", json!("ConfigMap"))?.with("/metadata/deletionGracePeriodSeconds", json!(0))?;
    deleted.with("/metadata/finalizers", json!(["example.com/hold"]))?;
    world.get(&world.path("configmaps/a")).await?.expect(200)?;
    Ok(())
}

async fn a_second_delete_with_a_finalizer_changes_nothing(world: &World) -> Result<()> {
    world.held_config_map("a").await?;
    let first = world.delete(&world.path("configmaps/a"), None).await?.expect(200)?;
    let second = world.delete(&world.path("configmaps/a"), None).await?.expect(200)?;
    ensure!(first.body == second.body, "{} is not {}", second.text, first.text);
    Ok(())
}

async fn a_put_without_the_last_finalizer_ends_the_object_at_a_version_that_it_does_not_show(
    world: &World,
) -> Result<()> {
    world.held_config_map("a").await?;
    let deleted = world.delete(&world.path("configmaps/a"), None).await?.expect(200)?;
    let mut body = deleted.body.clone();
    body["metadata"]["finalizers"] = json!([]);
    let answer = world.put(&world.path("configmaps/a"), body).await?.expect(200)?;
    ensure!(answer.version()? == deleted.version()?, "the answer shows {}", answer.text);
    ensure!(answer.at("/metadata/deletionTimestamp").is_string());
    answer
        .with("/metadata/deletionGracePeriodSeconds", json!(0))?
        .with("/metadata/finalizers", Value::Null)?;
    world.get(&world.path("configmaps/a")).await?.expect(404)?;
    let list = world.get(&world.path("configmaps")).await?.expect(200)?;
    ensure!(list.version()? > deleted.version()?, "the deletion has no version of its own");
    Ok(())
}

async fn a_patch_without_the_last_finalizer_ends_the_object(world: &World) -> Result<()> {
    world.held_config_map("a").await?;
    let deleted = world.delete(&world.path("configmaps/a"), None).await?.expect(200)?;
    let patch = json!({ "metadata": { "finalizers": null } });
    let answer = world.patch(&world.path("configmaps/a"), patch).await?.expect(200)?;
    ensure!(answer.version()? == deleted.version()?, "the answer shows {}", answer.text);
    ensure!(answer.at("/metadata/deletionTimestamp").is_string());
    answer.with("/metadata/finalizers", Value::Null)?;
    world.get(&world.path("configmaps/a")).await?.expect(404)?;
    Ok(())
}

async fn a_deleted_service_account_comes_back_as_it_was(world: &World) -> Result<()> {
    deleted_as_it_was(world, "serviceaccounts", json!({ "metadata": { "name": "a" } })).await
}

async fn a_deleted_service_comes_back_as_it_was(world: &World) -> Result<()> {
    let spec = json!({ "ports": [{ "port": 80 }], "clusterIP": "None" });
    deleted_as_it_was(world, "services", json!({ "metadata": { "name": "a" }, "spec": spec })).await
}

/// The storage of some kinds answers with the object itself, and nothing in it says that it is gone.
async fn deleted_as_it_was(world: &World, collection: &str, body: Value) -> Result<()> {
    let created = world.post(&world.path(collection), body).await?.expect(201)?;
    let path = world.path(&format!("{collection}/a"));
    let deleted = world.delete(&path, None).await?.expect(200)?;
    ensure!(deleted.uid()? == created.uid()?);
    deleted.with("/metadata/deletionTimestamp", Value::Null)?;
    world.get(&path).await?.expect(404)?;
    Ok(())
}

async fn a_deleted_namespace_lives_on_by_its_spec(world: &World) -> Result<()> {
    let name = format!("{}-2", world.namespace);
    let path = format!("/api/v1/namespaces/{name}");
    let created =
        world.post("/api/v1/namespaces", json!({ "metadata": { "name": name } })).await?.expect(201)?;
    created.with("/spec/finalizers", json!(["kubernetes"]))?.with("/status/phase", json!("Active"))?;
    let deleted = world.delete(&path, None).await?.expect(200)?;
    ensure!(deleted.at("/metadata/deletionTimestamp").is_string());
    let deleted =
        deleted.with("/metadata/finalizers", Value::Null)?.with("/status/phase", json!("Terminating"))?;
    let deleted = deleted.with("/metadata/deletionGracePeriodSeconds", Value::Null)?;
    deleted.with("/spec/finalizers", json!(["kubernetes"]))?;
    Ok(())
}

async fn a_deleted_pod_on_a_node_lives_for_its_grace(world: &World) -> Result<()> {
    world.post(&world.path("pods"), pod("a", Some("node-1"))).await?.expect(201)?;
    let path = world.path("pods/a");
    let first = world.delete(&path, None).await?.expect(200)?;
    ensure!(first.at("/metadata/deletionTimestamp").is_string());
    let first = first.with("/metadata/deletionGracePeriodSeconds", json!(30))?;
    let second = world.delete(&path, None).await?.expect(200)?;
    ensure!(second.version()? == first.version()?, "a second delete changed {}", second.text);
    let options = json!({ "kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0 });
    let last = world.delete(&path, Some(options)).await?.expect(200)?;
    ensure!(last.version()? > first.version()?);
    last.with("/metadata/deletionGracePeriodSeconds", json!(0))?;
    world.get(&path).await?.expect(404)?;
    Ok(())
}

async fn a_deleted_pod_without_a_node_is_gone_at_once(world: &World) -> Result<()> {
    let created = world.post(&world.path("pods"), pod("a", None)).await?.expect(201)?;
    let deleted = world.delete(&world.path("pods/a"), None).await?.expect(200)?;
    ensure!(deleted.version()? > created.version()?);
    ensure!(deleted.at("/metadata/deletionTimestamp").is_string());
    deleted.with("/metadata/deletionGracePeriodSeconds", json!(0))?;
    world.get(&world.path("pods/a")).await?.expect(404)?;
    Ok(())
}

async fn a_deleted_collection_is_answered_as_it_was_before(world: &World) -> Result<()> {
    let first = world.config_map("a").await?;
    let second = world.held_config_map("b").await?;
    let answer = world.delete(&world.path("configmaps"), None).await?.expect(200)?;
    let answer = answer.with("/kind", json!("ConfigMapList"))?;
    let found = answer.at("/items").as_array().context("no items")?;
    let versions = found.iter().map(version).collect::<Result<Vec<_>>>()?;
    ensure!(versions == [first.version()?, second.version()?], "{}", answer.text);
    ensure!(found.iter().all(|item| item["metadata"]["deletionTimestamp"].is_null()));
    world.get(&world.path("configmaps/a")).await?.expect(404)?;
    let left = world.get(&world.path("configmaps/b")).await?.expect(200)?;
    ensure!(left.version()? > second.version()? && left.at("/metadata/deletionTimestamp").is_string());
    Ok(())
}

async fn a_subresource_that_does_not_exist_says_nothing_of_the_object(world: &World) -> Result<()> {
    let created = world.config_map("a").await?;
    let answer = world.put(&world.path("configmaps/a/status"), created.body).await?.expect(404)?;
    answer.with("/reason", json!("NotFound"))?.with("/details", json!({}))?;
    world.get(&world.path("configmaps/a")).await?.expect(200)?;
    Ok(())
}

async fn a_put_of_what_is_not_there_names_it(world: &World) -> Result<()> {
    let body = json!({ "metadata": { "name": "zz" } });
    let answer = world.put(&world.path("configmaps/zz"), body).await?.expect(404)?;
    answer
        .with("/reason", json!("NotFound"))?
        .with("/details", json!({ "name": "zz", "kind": "configmaps" }))?;
    Ok(())
}

async fn an_unknown_kind_is_answered_in_plain_text(world: &World) -> Result<()> {
    let path = format!("/apis/nowhere.example.com/v1/namespaces/{}/things/a", world.namespace);
    let answer = world.get(&path).await?.expect(404)?;
    ensure!(answer.body.is_null() && answer.content.starts_with("text/plain"), "{answer:?}");
    ensure!(answer.text.trim() == "404 page not found", "{answer:?}");
    Ok(())
}

async fn a_create_in_a_namespace_that_is_not_there_names_the_namespace(world: &World) -> Result<()> {
    let body = json!({ "metadata": { "name": "a" } });
    let answer = world.post("/api/v1/namespaces/none/configmaps", body).await?.expect(404)?;
    answer.with("/details", json!({ "name": "none", "kind": "namespaces" }))?;
    Ok(())
}

async fn a_scale_answers_a_scale_with_the_uid_of_its_parent(world: &World) -> Result<()> {
    let deployments = format!("/apis/apps/v1/namespaces/{}/deployments", world.namespace);
    let created = world.post(&deployments, deployment("a", 0)).await?.expect(201)?;
    let patch = json!({ "spec": { "replicas": 1 } });
    let scaled = world.patch(&format!("{deployments}/a/scale"), patch).await?.expect(200)?;
    let scaled = scaled.with("/kind", json!("Scale"))?.with("/metadata/uid", json!(created.uid()?))?;
    ensure!(scaled.version()? > created.version()?);
    let whole =
        world.get(&format!("{deployments}/a")).await?.expect(200)?.with("/spec/replicas", json!(1))?;
    ensure!(whole.version()? >= scaled.version()?);
    Ok(())
}

/// The form that holds nothing but metadata.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

async fn a_patch_can_be_answered_by_metadata_alone(world: &World) -> Result<()> {
    let created = world.config_map("a").await?;
    let patch = json!({ "metadata": { "labels": { "a": "b" } } });
    let answer = world.patch_as(&world.path("configmaps/a"), patch, METADATA).await?.expect(200)?;
    ensure!(answer.version()? > created.version()?);
    let answer = answer.with("/kind", json!("PartialObjectMetadata"))?.with("/data", Value::Null)?;
    answer.with("/metadata/labels", json!({ "a": "b" }))?;
    Ok(())
}

async fn a_patch_that_changes_nothing_keeps_the_version_and_makes_no_event(world: &World) -> Result<()> {
    let path = world.path("configmaps/a");
    let created = world.config_map("a").await?;
    let patch = json!({ "metadata": { "labels": { "a": "b" } } });
    let first = world.patch(&path, patch.clone()).await?.expect(200)?;
    let second = world.patch(&path, patch).await?.expect(200)?;
    ensure!(first.version()? == second.version()?, "{} became {}", first.text, second.text);
    let last = world.patch(&path, json!({ "data": { "k": "w" } })).await?.expect(200)?;
    let mut events = world.watch(&watch(world, "configmaps", created.version()?)).await?;
    for expected in [&first, &last] {
        let (kind, object) = events.change().await?;
        ensure!(kind == "MODIFIED" && version(&object)? == expected.version()?, "{kind} {object}");
    }
    Ok(())
}

async fn initial_events_come_sorted_by_key_and_end_with_a_bookmark(world: &World) -> Result<()> {
    for name in ["c", "b", "a"] {
        world.config_map(name).await?;
    }
    let last =
        world.patch(&world.path("configmaps/c"), json!({ "data": { "k": "w" } })).await?.expect(200)?;
    let parameters =
        "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut events = world.watch(&format!("{}?{parameters}", world.path("configmaps"))).await?;
    let mut names = Vec::new();
    let bookmark = loop {
        let (kind, object) = events.next().await?;
        if kind == "BOOKMARK" {
            break object;
        }
        ensure!(kind == "ADDED", "{kind} {object}");
        names.push(object["metadata"]["name"].as_str().unwrap_or_default().to_owned());
    };
    ensure!(names == ["a", "b", "c"], "{names:?}");
    ensure!(bookmark["metadata"]["annotations"]["k8s.io/initial-events-end"] == "true", "{bookmark}");
    ensure!(version(&bookmark)? >= last.version()?);
    world.config_map("d").await?;
    let (kind, object) = events.change().await?;
    ensure!(kind == "ADDED" && object["metadata"]["name"] == "d");
    Ok(())
}

async fn leaving_a_selector_and_being_deleted_look_the_same_to_a_watch(world: &World) -> Result<()> {
    let labelled = |name: &str| json!({ "metadata": { "name": name, "labels": { "tier": "web" } } });
    let created = world.post(&world.path("configmaps"), labelled("a")).await?.expect(201)?;
    let from = format!("{}&labelSelector=tier%3Dweb", watch(world, "configmaps", created.version()?));
    let mut events = world.watch(&from).await?;
    let patch = json!({ "metadata": { "labels": { "tier": "db" } } });
    let left = world.patch(&world.path("configmaps/a"), patch).await?.expect(200)?;
    let (kind, object) = events.change().await?;
    ensure!(kind == "DELETED" && version(&object)? == left.version()?, "{kind} {object}");
    ensure!(object["metadata"]["labels"]["tier"] == "web", "the object as it was is shown: {object}");

    let patch = json!({ "metadata": { "labels": { "tier": "web" } } });
    let back = world.patch(&world.path("configmaps/a"), patch).await?.expect(200)?;
    let (kind, object) = events.change().await?;
    ensure!(kind == "ADDED" && version(&object)? == back.version()?, "{kind} {object}");

    world.delete(&world.path("configmaps/a"), None).await?.expect(200)?;
    let (kind, object) = events.change().await?;
    ensure!(kind == "DELETED" && version(&object)? > back.version()?, "{kind} {object}");
    ensure!(
        object["metadata"]["labels"]["tier"] == "web" && object["metadata"]["deletionTimestamp"].is_null()
    );
    Ok(())
}

async fn a_watch_tells_a_deletion_with_its_own_version(world: &World) -> Result<()> {
    let created = world.config_map("a").await?;
    world.delete(&world.path("configmaps/a"), None).await?.expect(200)?;
    let again = world.config_map("a").await?;
    let mut events = world.watch(&watch(world, "configmaps", created.version()?)).await?;
    let (kind, object) = events.change().await?;
    ensure!(kind == "DELETED" && object["metadata"]["uid"] == created.uid()?, "{kind} {object}");
    ensure!(version(&object)? > created.version()? && version(&object)? < again.version()?, "{object}");
    let (kind, object) = events.change().await?;
    ensure!(kind == "ADDED" && object["metadata"]["uid"] == again.uid()?, "{kind} {object}");
    ensure!(again.uid()? != created.uid()?);
    Ok(())
}

async fn a_create_of_what_is_there_already_exists(world: &World) -> Result<()> {
    world.config_map("a").await?;
    let body = json!({ "metadata": { "name": "a" } });
    let answer = world.post(&world.path("configmaps"), body).await?.expect(409)?;
    answer
        .with("/reason", json!("AlreadyExists"))?
        .with("/details", json!({ "name": "a", "kind": "configmaps" }))?;
    Ok(())
}

async fn a_create_with_a_version_is_refused(world: &World) -> Result<()> {
    let body = json!({ "metadata": { "name": "a", "resourceVersion": "1" } });
    let answer = world.post(&world.path("configmaps"), body).await?;
    ensure!(answer.code >= 400, "{}", answer.text);
    world.get(&world.path("configmaps/a")).await?.expect(404)?;
    Ok(())
}

async fn a_name_is_generated(world: &World) -> Result<()> {
    let body = || json!({ "metadata": { "generateName": "site-" } });
    let first = world.post(&world.path("configmaps"), body()).await?.expect(201)?;
    let second = world.post(&world.path("configmaps"), body()).await?.expect(201)?;
    let name = first.at("/metadata/name").as_str().context("no name")?;
    ensure!(name.starts_with("site-") && name.len() == "site-".len() + 5, "{name}");
    ensure!(first.at("/metadata/name") != second.at("/metadata/name"));
    Ok(())
}

async fn a_put_with_an_old_version_conflicts(world: &World) -> Result<()> {
    let created = world.config_map("a").await?;
    world.patch(&world.path("configmaps/a"), json!({ "data": { "k": "w" } })).await?.expect(200)?;
    let answer = world.put(&world.path("configmaps/a"), created.body).await?.expect(409)?;
    answer
        .with("/reason", json!("Conflict"))?
        .with("/details", json!({ "name": "a", "kind": "configmaps" }))?;
    Ok(())
}

async fn a_put_without_a_version_is_unconditional(world: &World) -> Result<()> {
    let created = world.config_map("a").await?;
    let body = json!({ "metadata": { "name": "a" }, "data": { "n": "1" } });
    let answer = world.put(&world.path("configmaps/a"), body).await?.expect(200)?;
    ensure!(answer.uid()? == created.uid()? && answer.version()? > created.version()?);
    answer.with("/data", json!({ "n": "1" }))?;
    Ok(())
}

async fn a_delete_with_a_wrong_uid_conflicts(world: &World) -> Result<()> {
    world.config_map("a").await?;
    let options =
        json!({ "kind": "DeleteOptions", "apiVersion": "v1", "preconditions": { "uid": "another" } });
    let answer = world.delete(&world.path("configmaps/a"), Some(options)).await?.expect(409)?;
    answer.with("/reason", json!("Conflict"))?;
    world.get(&world.path("configmaps/a")).await?.expect(200)?;
    Ok(())
}

async fn a_delete_of_what_is_not_there_names_it(world: &World) -> Result<()> {
    let answer = world.delete(&world.path("configmaps/zz"), None).await?.expect(404)?;
    answer.with("/details", json!({ "name": "zz", "kind": "configmaps" }))?;
    Ok(())
}

async fn a_dry_run_changes_nothing(world: &World) -> Result<()> {
    let created = world.config_map("a").await?;
    let path = world.path("configmaps/a?dryRun=All");
    world
        .patch(&path, json!({ "data": { "k": "w" } }))
        .await?
        .expect(200)?
        .with("/data", json!({ "k": "w" }))?;
    world.delete(&path, None).await?.expect(200)?;
    let body = json!({ "metadata": { "name": "b" } });
    world.post(&world.path("configmaps?dryRun=All"), body).await?.expect(201)?;
    let found = world.get(&world.path("configmaps/a")).await?.expect(200)?;
    ensure!(found.body == created.body, "{} became {}", created.text, found.text);
    world.get(&world.path("configmaps/b")).await?.expect(404)?;
    Ok(())
}

async fn of_a_deletion_with_a_body_the_parameters_mean_nothing(world: &World) -> Result<()> {
    let options = json!({ "apiVersion": "v1", "kind": "DeleteOptions" });
    let dry = json!({ "apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"] });
    let path = world.path("configmaps/a");
    for parameters in ["dryRun=All", "propagationPolicy=Orphan"] {
        world.config_map("a").await?;
        world.delete(&path, Some(dry.clone())).await?.expect(200)?;
        world.get(&path).await?.expect(200)?;
        world.delete(&format!("{path}?{parameters}"), Some(options.clone())).await?.expect(200)?;
        world.get(&path).await?.expect(404)?;
    }
    world.config_map("a").await?;
    world.delete(&world.path("configmaps?dryRun=All"), Some(options)).await?.expect(200)?;
    world.get(&path).await?.expect(404)?;
    Ok(())
}

async fn a_status_is_written_by_its_own_door(world: &World) -> Result<()> {
    let created = world.post(&world.path("pods"), pod("a", None)).await?.expect(201)?;
    let mut body = created.body.clone();
    body["metadata"]["labels"] = json!({ "a": "b" });
    body["status"] = json!({ "phase": "Running" });
    let answer = world.put(&world.path("pods/a"), body.clone()).await?.expect(200)?;
    let answer =
        answer.with("/status/phase", json!("Pending"))?.with("/metadata/labels", json!({ "a": "b" }))?;
    body["metadata"]["resourceVersion"] = answer.at("/metadata/resourceVersion").clone();
    body["spec"]["containers"][0]["image"] = json!("another");
    let answer = world.put(&world.path("pods/a/status"), body).await?.expect(200)?;
    answer
        .with("/status/phase", json!("Running"))?
        .with("/spec/containers/0/image", json!("example.com/a"))?;
    Ok(())
}

async fn only_a_change_of_the_spec_counts_as_a_generation(world: &World) -> Result<()> {
    let deployments = format!("/apis/apps/v1/namespaces/{}/deployments", world.namespace);
    // Paused, so that no controller writes in between.
    let mut body = deployment("a", 0);
    body["spec"]["paused"] = json!(true);
    let created = world.post(&deployments, body).await?.expect(201)?;
    created.with("/metadata/generation", json!(1))?;
    let path = format!("{deployments}/a");
    let patch = json!({ "metadata": { "labels": { "a": "b" } } });
    world.patch(&path, patch).await?.expect(200)?.with("/metadata/generation", json!(1))?;
    let patch = json!({ "spec": { "minReadySeconds": 7 } });
    world.patch(&path, patch).await?.expect(200)?.with("/metadata/generation", json!(2))?;
    Ok(())
}

async fn a_list_comes_in_pages_of_one_moment(world: &World) -> Result<()> {
    for name in ["a", "b", "c"] {
        world.post(&world.path("secrets"), json!({ "metadata": { "name": name } })).await?.expect(201)?;
    }
    let first = world.get(&world.path("secrets?limit=2")).await?.expect(200)?;
    let first = first.with("/metadata/remainingItemCount", json!(1))?;
    let token = first.at("/metadata/continue").as_str().context("no token")?.to_owned();
    world.post(&world.path("secrets"), json!({ "metadata": { "name": "bb" } })).await?.expect(201)?;
    world.delete(&world.path("secrets/c"), None).await?.expect(200)?;
    let token: String = token.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let second = world.get(&world.path(&format!("secrets?limit=2&continue={token}"))).await?.expect(200)?;
    ensure!(second.version()? == first.version()?, "{} after {}", second.text, first.text);
    let names: Vec<&Value> = [&first, &second]
        .iter()
        .flat_map(|page| page.at("/items").as_array().into_iter().flatten())
        .map(|item| &item["metadata"]["name"])
        .collect();
    ensure!(names == ["a", "b", "c"], "{names:?}");
    second.with("/metadata/continue", Value::Null)?;
    Ok(())
}

async fn a_list_tells_no_kind_on_its_items(world: &World) -> Result<()> {
    world.config_map("a").await?;
    let list =
        world.get(&world.path("configmaps")).await?.expect(200)?.with("/kind", json!("ConfigMapList"))?;
    list.with("/items/0/kind", Value::Null)?.with("/items/0/apiVersion", Value::Null)?;
    Ok(())
}

async fn labels_are_selected_by_every_operator(world: &World) -> Result<()> {
    for (name, labels) in [
        ("a", json!({ "tier": "web", "size": "1" })),
        ("b", json!({ "tier": "db" })),
        ("c", json!({ "size": "2" })),
        ("d", Value::Null),
    ] {
        let metadata = json!({ "name": name, "labels": labels });
        world.post(&world.path("secrets"), json!({ "metadata": metadata })).await?.expect(201)?;
    }
    for (selector, expected) in [
        ("tier=web", "a"),
        ("tier==web", "a"),
        ("tier!=web", "b c d"),
        ("tier in (web, db)", "a b"),
        ("tier notin (web)", "b c d"),
        ("tier", "a b"),
        ("!tier", "c d"),
        ("tier,size=1", "a"),
        ("size>1", "c"),
        ("size<2", "a"),
    ] {
        let escaped: String = selector.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let list = world.get(&world.path(&format!("secrets?labelSelector={escaped}"))).await?.expect(200)?;
        let items = list.at("/items").as_array().into_iter().flatten();
        let names: Vec<&str> = items.filter_map(|item| item["metadata"]["name"].as_str()).collect();
        ensure!(names.join(" ") == expected, "{selector} selects {names:?}, not {expected}");
    }
    world.get(&world.path("secrets?labelSelector=a%3D%3D%3D")).await?.expect(400)?;
    Ok(())
}

async fn a_watch_from_a_version_brings_what_came_after_it(world: &World) -> Result<()> {
    let first = world.config_map("a").await?;
    let second = world.config_map("b").await?;
    let mut events = world.watch(&watch(world, "configmaps", first.version()?)).await?;
    let (kind, object) = events.change().await?;
    ensure!(kind == "ADDED" && version(&object)? == second.version()?, "{kind} {object}");
    let third =
        world.patch(&world.path("configmaps/a"), json!({ "data": { "k": "w" } })).await?.expect(200)?;
    let (kind, object) = events.change().await?;
    ensure!(kind == "MODIFIED" && version(&object)? == third.version()?, "{kind} {object}");
    ensure!(object["kind"] == "ConfigMap" && object["apiVersion"] == "v1", "an event tells its kind");
    Ok(())
}

async fn an_old_version_is_gone_after_a_compaction(world: &World) -> Result<()> {
    let old = world.config_map("a").await?.version()?;
    world.patch(&world.path("configmaps/a"), json!({ "data": { "k": "w" } })).await?.expect(200)?;
    let new = world.config_map("b").await?.version()?;
    world.forget_history().await?;
    // The first write after the compaction is newer than all that was forgotten.
    let path = world.path("configmaps/b");
    world.behind(Method::PATCH, &path, Some(json!({ "data": { "k": "x" } }))).await?.expect(200)?;
    let answer = world.behind(Method::GET, &watch(world, "configmaps", old), None).await?;
    let gone = match answer.code {
        410 => answer.body,
        // Told inside the stream.
        _ => {
            let event: Value = serde_json::from_str(answer.text.lines().next().unwrap_or_default())?;
            ensure!(event["type"] == "ERROR", "{}", answer.text);
            event["object"].clone()
        }
    };
    ensure!(gone["code"] == 410 && gone["reason"] == "Expired", "{gone}");
    let exact = format!("configmaps?resourceVersion={old}&resourceVersionMatch=Exact");
    let answer = world.behind(Method::GET, &world.path(&exact), None).await?.expect(410)?;
    answer.with("/reason", json!("Expired"))?;
    ensure!(world.behind(Method::GET, &world.path("configmaps"), None).await?.expect(200)?.version()? > new);
    Ok(())
}

async fn a_custom_kind_is_served_once_it_is_defined_and_no_longer_when_it_is_gone(
    world: &World,
) -> Result<()> {
    let kind = CustomKind::define(world, "served").await?;
    let path = kind.path(world);
    let body = |name: &str| kind.object(name, json!({ "size": 1 }));
    let created = world.behind(Method::POST, &path, Some(body("a"))).await?.expect(201)?;
    let created = created.with("/metadata/generation", json!(1))?.with("/spec", json!({ "size": 1 }))?;
    ensure!(created.at("/kind") == "Widget");
    let status = json!({ "status": { "ready": true } });
    let answer = world.behind(Method::PATCH, &format!("{path}/a/status"), Some(status)).await?.expect(200)?;
    answer.with("/status", json!({ "ready": true }))?.with("/metadata/generation", json!(1))?;
    kind.remove(world).await?;
    eventually("the kind is no longer served", async || {
        Ok(world.behind(Method::GET, &path, None).await?.code == 404)
    })
    .await
}

async fn a_custom_object_is_held_to_its_schema(world: &World) -> Result<()> {
    let kind = CustomKind::define(world, "schema").await?;
    let path = kind.path(world);
    let wrong = kind.object("a", json!({ "size": "large" }));
    let answer = world.behind(Method::POST, &path, Some(wrong)).await?.expect(422)?;
    answer.with("/reason", json!("Invalid"))?;
    let too_large = kind.object("a", json!({ "size": 1000 }));
    world.behind(Method::POST, &path, Some(too_large)).await?.expect(422)?;
    world.behind(Method::POST, &path, Some(kind.object("a", json!({ "size": 2 })))).await?.expect(201)?;
    kind.remove(world).await
}

async fn metadata_is_listed_and_watched_alone(world: &World) -> Result<()> {
    let created = world.config_map("a").await?;
    let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let list = world.get_as(&world.path("configmaps"), accept).await?.expect(200)?;
    let list = list.with("/kind", json!("PartialObjectMetadataList"))?;
    let items = list.at("/items").as_array().context("no items")?;
    ensure!(
        items.iter().all(|item| item["data"].is_null() && item["metadata"]["uid"].is_string()),
        "{}",
        list.text
    );
    let changed =
        world.patch(&world.path("configmaps/a"), json!({ "data": { "k": "w" } })).await?.expect(200)?;
    let mut events = world.watch_as(&watch(world, "configmaps", created.version()?), METADATA).await?;
    let (kind, object) = events.change().await?;
    ensure!(kind == "MODIFIED" && version(&object)? == changed.version()?, "{kind} {object}");
    ensure!(object["kind"] == "PartialObjectMetadata" && object["data"].is_null(), "{object}");
    Ok(())
}

/// The path of a watch from a version.
fn watch(world: &World, collection: &str, version: u64) -> String {
    let parameters =
        format!("watch=true&allowWatchBookmarks=true&resourceVersion={version}&timeoutSeconds=30");
    format!("{}?{parameters}", world.path(collection))
}
