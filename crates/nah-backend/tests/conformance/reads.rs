//! What is read from the cache.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::{ResourceExt, core::PartialObjectMeta};
use nah_backend::{cache::CacheError, client::Error, core::DynamicObject, prelude::*};
use serde_json::json;

use crate::{
    fixtures::{CustomKind, eventually},
    scenario::scenarios,
    world::World,
};

scenarios! {
    a_synced_kind_is_read_without_a_request => "F2, F8, C29, G1" (Loose),
    a_list_is_restricted_by_namespace_labels_and_fields_together => "F10, F13, F21, F22" (Loose),
    typed_dynamic_and_metadata_only_readers_share_one_watch => "F26, Q45, C29, F5" (Loose),
    an_index_added_late_finds_what_was_there_before => "A10, F17, F18" (Loose),
    a_kind_nobody_asked_for_is_started_by_its_first_read => "F7, Q48" (Loose),
    a_namespace_outside_the_cache_is_no_absence => "F25" (Loose),
    a_kind_without_namespaces_ignores_the_namespace_of_a_key => "F4, F24, Q43" (Loose),
    a_live_read_starts_no_watch => "F27" (Loose),
    an_unknown_kind_is_an_error_and_no_absence => "Q34, Q37" (Loose),
    a_kind_known_at_run_time_is_read_like_any_other => "Q33, E26, F50" (Loose),
    a_definition_that_comes_back_with_another_scope_is_found_there => "F50, Q34" (Faulty),
}

async fn a_synced_kind_is_read_without_a_request(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    world.behind_create("configmaps", json!({ "metadata": { "name": "a" }, "data": { "k": "v" } })).await?;
    let backend = world.backend();
    backend.informer::<ConfigMap>()?;
    ensure!(world.story.text().is_empty(), "something was asked before the start:\n{}", world.story.text());
    backend.start().await?;

    let before = world.story.text();
    for _ in 0..50 {
        let map = backend.get::<ConfigMap>((ns, "a")).await?;
        ensure!(map.data.as_ref().is_some_and(|data| data["k"] == "v"));
        ensure!(backend.get::<ConfigMap>((ns, "zz")).await.is_err_and(|error| error.is_not_found()));
        ensure!(backend.list::<ConfigMap>(ListOptions::default()).await?.len() == 1);
    }
    ensure!(world.story.text() == before, "{}", world.story.text());
    ensure!(world.story.count("WATCH", "/configmaps") == 1, "{}", world.story.text());
    Ok(())
}

async fn a_list_is_restricted_by_namespace_labels_and_fields_together(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    for (name, tier, owner) in [("a", "web", "x"), ("b", "web", "y"), ("c", "db", "x"), ("d", "web", "x")] {
        let labels = json!({ "tier": tier });
        let body = json!({ "metadata": { "name": name, "labels": labels }, "data": { "owner": owner } });
        world.behind_create("configmaps", body).await?;
    }
    let backend = world.backend();
    let by_owner = backend.index_path::<ConfigMap>("data.owner")?;
    backend.start().await?;

    let names = async |options: ListOptions| -> Result<String> {
        let list = backend.list::<ConfigMap>(options).await?;
        Ok(list.decoded().map(|map| map.name_any()).collect::<Vec<_>>().join(" "))
    };
    let all = ListOptions::default;
    ensure!(names(all()).await? == "a b c d");
    ensure!(names(all().in_namespace(ns).matching_labels([("tier", "web")])).await? == "a b d");
    ensure!(names(all().by(&by_owner, "x")).await? == "a c d");
    ensure!(
        names(all().in_namespace(ns).by(&by_owner, "x").matching_labels([("tier", "web")])).await? == "a d"
    );
    ensure!(names(all().by(&by_owner, "x").limit(2)).await? == "a c");
    ensure!(names(all().matching_field("metadata.name", "b")).await? == "b");
    ensure!(names(all().matching_field("metadata.name", "b").by(&by_owner, "x")).await?.is_empty());
    let unknown = backend.list::<ConfigMap>(all().matching_field("data.size", "1")).await;
    ensure!(matches!(unknown, Err(Error::Cache(CacheError::NoIndex { .. }))), "{unknown:?}");
    Ok(())
}

async fn typed_dynamic_and_metadata_only_readers_share_one_watch(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let body = json!({ "metadata": { "name": "a", "labels": { "l": "m" } }, "data": { "k": "v" } });
    world.behind_create("configmaps", body).await?;
    let backend = world.backend();
    backend.informer::<ConfigMap>()?;
    backend.start().await?;

    let gvk = GroupVersionKind::gvk("", "v1", "ConfigMap");
    let typed = backend.get::<ConfigMap>((ns, "a")).await?;
    let object = backend.get_for_kind(&gvk, (ns, "a")).await?;
    let dynamic: std::sync::Arc<DynamicObject> = object.dynamic()?;
    let metadata = backend.get::<PartialObjectMeta<ConfigMap>>((ns, "a")).await?;
    ensure!(dynamic.data["data"]["k"] == "v");
    ensure!(
        dynamic.types.as_ref().is_some_and(|types| types.kind == "ConfigMap" && types.api_version == "v1")
    );
    ensure!(metadata.labels()["l"] == "m");
    ensure!(typed.uid() == dynamic.uid() && typed.uid() == metadata.metadata.uid);
    ensure!(world.story.count("WATCH", "/configmaps") == 1, "{}", world.story.text());
    Ok(())
}

async fn an_index_added_late_finds_what_was_there_before(world: &World) -> Result<()> {
    world
        .behind_create("configmaps", json!({ "metadata": { "name": "a" }, "data": { "owner": "x" } }))
        .await?;
    let backend = world.backend();
    backend.informer::<ConfigMap>()?;
    backend.start().await?;
    let by_owner = backend.index_path::<ConfigMap>("data.owner")?;
    ensure!(backend.list::<ConfigMap>(ListOptions::default().by(&by_owner, "x")).await?.len() == 1);
    let again = backend.index_path::<ConfigMap>("data.owner");
    ensure!(matches!(again, Err(CacheError::IndexConflict { .. })), "{again:?}");
    Ok(())
}

async fn a_kind_nobody_asked_for_is_started_by_its_first_read(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    world.behind_create("secrets", json!({ "metadata": { "name": "a" } })).await?;
    let backend = world.backend();
    backend.start().await?;
    ensure!(world.story.count("WATCH", "/secrets") == 0);
    ensure!(backend.get::<Secret>((ns, "a")).await?.name_any() == "a");
    ensure!(backend.list::<Secret>(ListOptions::default()).await?.len() == 1);
    ensure!(world.story.count("WATCH", "/secrets") == 1, "{}", world.story.text());
    Ok(())
}

async fn a_namespace_outside_the_cache_is_no_absence(world: &World) -> Result<()> {
    let backend = world.backend();
    backend.informer::<ConfigMap>()?;
    backend.start().await?;
    let outside = backend.get::<ConfigMap>(("default", "a")).await;
    ensure!(matches!(outside, Err(Error::Cache(CacheError::OutsideScope { .. }))), "{outside:?}");
    let outside = backend.list::<ConfigMap>(ListOptions::default().in_namespace("default")).await;
    ensure!(matches!(outside, Err(Error::Cache(CacheError::OutsideScope { .. }))), "{outside:?}");
    Ok(())
}

async fn a_kind_without_namespaces_ignores_the_namespace_of_a_key(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let backend = world.backend();
    backend.informer::<Namespace>()?;
    backend.start().await?;
    ensure!(backend.get::<Namespace>(ObjectKey::cluster(ns)).await?.name_any() == ns);
    ensure!(backend.get::<Namespace>(("default", ns)).await?.name_any() == ns);
    let named = ListOptions::default().in_namespace("default").matching_field("metadata.name", ns);
    ensure!(backend.list::<Namespace>(named).await?.len() == 1);
    Ok(())
}

async fn a_live_read_starts_no_watch(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    world.behind_create("secrets", json!({ "metadata": { "name": "a" } })).await?;
    let backend = world.backend();
    backend.start().await?;
    ensure!(backend.get_live::<Secret>((ns, "a")).await?.name_any() == "a");
    ensure!(backend.get_live::<Secret>((ns, "zz")).await.is_err_and(|error| error.is_not_found()));
    let gvk = GroupVersionKind::gvk("", "v1", "Secret");
    ensure!(backend.fetch(&gvk, &(ns, "zz").into()).await?.is_none());
    ensure!(backend.fetch_list(&gvk, ListOptions::default().in_namespace(ns)).await?.len() == 1);
    ensure!(world.story.count("WATCH", "/secrets") == 0, "{}", world.story.text());
    Ok(())
}

async fn an_unknown_kind_is_an_error_and_no_absence(world: &World) -> Result<()> {
    let backend = world.backend();
    backend.start().await?;
    let gvk = GroupVersionKind::gvk("nowhere.example.com", "v1", "Thing");
    match backend.fetch(&gvk, &(world.namespace.as_str(), "a").into()).await {
        Err(error) if !error.is_not_found() && error.to_string().contains("Thing") => Ok(()),
        other => anyhow::bail!("{other:?}"),
    }
}

async fn a_kind_known_at_run_time_is_read_like_any_other(world: &World) -> Result<()> {
    let kind = CustomKind::define(world, "dynamic").await?;
    let body = kind.object("a", json!({ "size": 3 }));
    world.behind(http::Method::POST, &kind.path(world), Some(body)).await?.expect(201)?;
    let backend = world.backend();
    let gvk = GroupVersionKind::gvk(&kind.group, "v1", "Widget");
    backend.add_index(&gvk, "spec.size", nah_backend::cache::Extract::Path("spec.size".into()))?;
    backend.start().await?;
    let list = backend.list_for_kind(&gvk, ListOptions::default().matching_field("spec.size", "3")).await?;
    ensure!(list.len() == 1);
    let widget = backend.get_for_kind(&gvk, (world.namespace.as_str(), "a")).await?.dynamic()?;
    ensure!(widget.data["spec"]["size"] == 3);
    // A watch of a kind that is being taken away may end in more ways than one.
    world.close().await;
    kind.remove(world).await
}

async fn a_definition_that_comes_back_with_another_scope_is_found_there(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let kind = CustomKind::define(world, "moving").await?;
    let gvk = GroupVersionKind::gvk(&kind.group, "v1", "Widget");
    let body = kind.object("a", json!({ "size": 3 }));
    world.behind(http::Method::POST, &kind.path(world), Some(body)).await?.expect(201)?;
    let backend = world.backend();
    let informer = backend.informer_for_kind(&gvk)?;
    backend.start().await?;
    ensure!(backend.get_for_kind(&gvk, (ns, "a")).await.is_ok());
    ensure!(informer.is_namespaced() == Some(true));

    kind.remove(world).await?;
    let path = format!("/apis/{}/v1/widgets", kind.group);
    eventually("the kind is not served", async || {
        Ok(world.behind(http::Method::GET, &path, None).await?.code == 404)
    })
    .await?;
    kind.create_in(world, "Cluster").await?;
    let widget: DynamicObject = serde_json::from_value(kind.object("b", json!({ "size": 4 })))?;
    // The first answers may be of the one that was there.
    eventually("the client knows the new scope", async || Ok(backend.create(&widget).await.is_ok())).await?;
    informer.refresh();
    eventually("the cache knows the new scope", async || {
        Ok(informer.is_namespaced() == Some(false) && informer.has_synced())
    })
    .await?;
    let list = backend.list_for_kind(&gvk, ListOptions::default()).await?;
    let keys: Vec<_> = list.handles().map(|object| object.key().to_string()).collect();
    ensure!(keys == ["b"], "{keys:?}");
    world.close().await;
    kind.remove(world).await
}
