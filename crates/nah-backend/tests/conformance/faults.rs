//! What goes wrong between us and the server, and what must hold all the same.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt;
use nah_backend::{KubeBackend, cache::Event, prelude::*};
use serde_json::json;

use crate::{
    fixtures::{Seen, eventually},
    ground::User,
    scenario::scenarios,
    world::World,
};

scenarios! {
    a_cut_watch_goes_on_where_it_was => "C8, C10, C29" (Faulty),
    a_deletion_during_an_outage_is_told => "C14, B5" (Faulty),
    reads_go_on_while_nothing_comes_through => "C16, C15" (Faulty),
    a_refused_connection_is_tried_again => "C10, C13" (Faulty),
    a_slow_connection_loses_nothing => "B10" (Faulty),
    a_forgotten_history_is_told_as_a_difference => "C11, B7, B8, B27, Q51" (Alone),
    an_object_made_anew_unseen_is_another_one => "B9, C14" (Alone),
    a_restarted_server_loses_nothing => "C12, C14" (Alone),
    a_restored_backup_takes_everything_anew => "B27, C4" (Alone),
    a_missing_right_is_no_absence => "C6, E13" (Faulty),
    a_right_taken_away_keeps_what_is_known => "C6, C16" (Faulty),
}

fn config_map(name: &str, value: &str) -> serde_json::Value {
    json!({ "metadata": { "name": name }, "data": { "k": value } })
}

/// A started backend, and what it tells of ConfigMaps as lines.
async fn listening(world: &World) -> Result<(KubeBackend, Seen<String>)> {
    let backend = world.backend();
    let (seen, events) = Seen::new();
    let value =
        |map: &ConfigMap| map.data.as_ref().and_then(|data| data.get("k").cloned()).unwrap_or_default();
    backend.informer::<ConfigMap>()?.add_event_handler(move |event: Event<ConfigMap>| match event {
        Event::Added { object, .. } => seen.tell(format!("added {} {}", object.name_any(), value(&object))),
        Event::Updated { new, .. } => seen.tell(format!("updated {} {}", new.name_any(), value(&new))),
        Event::Deleted { key, tombstone, .. } => {
            seen.tell(format!("deleted {}{}", key.name(), if tombstone { " unseen" } else { "" }));
        }
        _ => {}
    })?;
    backend.start().await?;
    Ok((backend, events))
}

/// Takes as many lines as are expected, and says which came, sorted: those of different keys have no order.
async fn take(events: &mut Seen<String>, count: usize) -> Result<Vec<String>> {
    let mut taken = Vec::new();
    for _ in 0..count {
        taken.push(events.next().await?);
    }
    taken.sort();
    Ok(taken)
}

async fn a_cut_watch_goes_on_where_it_was(world: &World) -> Result<()> {
    world.behind_create("configmaps", config_map("a", "0")).await?;
    let (_backend, mut events) = listening(world).await?;
    ensure!(take(&mut events, 1).await? == ["added a 0"]);
    // What is asked after a cut is whether the server still has the history, by a list of one object.
    let lists = world.story.count("GET", "/configmaps 200");
    for round in 1..=3 {
        world.proxy.cut().await;
        world.behind_patch("configmaps/a", json!({ "data": { "k": round.to_string() } })).await?;
        ensure!(take(&mut events, 1).await? == [format!("updated a {round}")]);
    }
    ensure!(world.story.count("GET", "/configmaps 200") == lists, "listed again:\n{}", world.story.text());
    ensure!(events.drain().is_empty());
    Ok(())
}

async fn a_deletion_during_an_outage_is_told(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    world.behind_create("configmaps", config_map("a", "0")).await?;
    world.behind_create("configmaps", config_map("b", "0")).await?;
    let (backend, mut events) = listening(world).await?;
    take(&mut events, 2).await?;
    world.proxy.refuse().await;
    world.behind_delete("configmaps/a").await?;
    world.behind_create("configmaps", config_map("c", "0")).await?;
    world.proxy.release();
    let told = take(&mut events, 2).await?;
    ensure!(told[0] == "added c 0" && told[1].starts_with("deleted a"), "{told:?}");
    ensure!(backend.get::<ConfigMap>((ns, "a")).await.is_err_and(|error| error.is_not_found()));
    ensure!(events.drain().is_empty());
    Ok(())
}

async fn reads_go_on_while_nothing_comes_through(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    world.behind_create("configmaps", config_map("a", "0")).await?;
    let (backend, mut events) = listening(world).await?;
    take(&mut events, 1).await?;
    world.proxy.hold();
    world.behind_patch("configmaps/a", json!({ "data": { "k": "1" } })).await?;
    for _ in 0..20 {
        ensure!(backend.get::<ConfigMap>((ns, "a")).await?.name_any() == "a");
        ensure!(backend.list::<ConfigMap>(ListOptions::default()).await?.len() == 1);
    }
    events.nothing_for(Duration::from_millis(100)).await?;
    world.proxy.release();
    ensure!(take(&mut events, 1).await? == ["updated a 1"]);
    Ok(())
}

async fn a_refused_connection_is_tried_again(world: &World) -> Result<()> {
    world.behind_create("configmaps", config_map("a", "0")).await?;
    let backend = world.backend();
    let informer = backend.informer::<ConfigMap>()?;
    world.proxy.refuse().await;
    let starting = tokio::spawn({
        let backend = backend.clone();
        async move { backend.start().await }
    });
    eventually("the error shows in the status", async || Ok(informer.status().last_error.is_some())).await?;
    ensure!(!informer.has_synced() && !starting.is_finished());
    world.proxy.release();
    starting.await??;
    ensure!(backend.get::<ConfigMap>((world.namespace.as_str(), "a")).await?.name_any() == "a");
    Ok(())
}

async fn a_slow_connection_loses_nothing(world: &World) -> Result<()> {
    let (backend, mut events) = listening(world).await?;
    world.proxy.delay(Duration::from_millis(40));
    world.behind_create("configmaps", config_map("a", "0")).await?;
    for round in 1..=20 {
        world.behind_patch("configmaps/a", json!({ "data": { "k": round.to_string() } })).await?;
    }
    // Changes of one key may merge on the way to a slow reader; the last one always arrives.
    events.until(|line| line.ends_with("a 20")).await?;
    let read = backend.get::<ConfigMap>((world.namespace.as_str(), "a")).await?;
    ensure!(read.data.as_ref().is_some_and(|data| data["k"] == "20"));
    Ok(())
}

async fn a_forgotten_history_is_told_as_a_difference(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    for name in ["gone", "changed", "same"] {
        world.behind_create("configmaps", config_map(name, "0")).await?;
    }
    let (backend, mut events) = listening(world).await?;
    take(&mut events, 3).await?;
    world.proxy.refuse().await;
    world.behind_delete("configmaps/gone").await?;
    world.behind_patch("configmaps/changed", json!({ "data": { "k": "1" } })).await?;
    world.behind_create("configmaps", config_map("new", "0")).await?;
    world.forget_history().await?;
    ensure!(backend.list::<ConfigMap>(ListOptions::default()).await?.len() == 3, "reads wait for nothing");
    world.proxy.release();
    let told = take(&mut events, 3).await?;
    ensure!(told == ["added new 0", "deleted gone unseen", "updated changed 1"], "{told:?}");
    events.nothing_for(Duration::from_millis(200)).await?;
    ensure!(backend.get::<ConfigMap>((ns, "gone")).await.is_err_and(|error| error.is_not_found()));
    let names: Vec<String> = backend
        .list::<ConfigMap>(ListOptions::default())
        .await?
        .decoded()
        .map(|map| map.name_any())
        .collect();
    ensure!(names == ["changed", "new", "same"], "{names:?}");
    Ok(())
}

async fn an_object_made_anew_unseen_is_another_one(world: &World) -> Result<()> {
    world.behind_create("configmaps", config_map("a", "0")).await?;
    let (_backend, mut events) = listening(world).await?;
    take(&mut events, 1).await?;
    world.proxy.refuse().await;
    world.behind_delete("configmaps/a").await?;
    world.behind_create("configmaps", config_map("a", "1")).await?;
    world.forget_history().await?;
    world.proxy.release();
    let first = events.next().await?;
    ensure!(first == "deleted a unseen", "{first}");
    ensure!(events.next().await? == "added a 1");
    Ok(())
}

async fn a_restarted_server_loses_nothing(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    world.behind_create("configmaps", config_map("a", "0")).await?;
    let (backend, mut events) = listening(world).await?;
    take(&mut events, 1).await?;
    world.restart_server().await?;
    world.behind_patch("configmaps/a", json!({ "data": { "k": "1" } })).await?;
    ensure!(take(&mut events, 1).await? == ["updated a 1"]);
    world.restart_server().await?;
    world.behind_delete("configmaps/a").await?;
    let told = take(&mut events, 1).await?;
    ensure!(told[0].starts_with("deleted a"), "{told:?}");
    ensure!(backend.get::<ConfigMap>((ns, "a")).await.is_err_and(|error| error.is_not_found()));
    Ok(())
}

async fn a_restored_backup_takes_everything_anew(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    world.behind_create("configmaps", config_map("a", "0")).await?;
    world.behind_create("configmaps", config_map("b", "0")).await?;
    let (backend, mut events) = listening(world).await?;
    take(&mut events, 2).await?;
    world.backup().await?;
    world.behind_patch("configmaps/a", json!({ "data": { "k": "1" } })).await?;
    world.behind_delete("configmaps/b").await?;
    world.behind_create("configmaps", config_map("c", "0")).await?;
    events.until(|line| line == "added c 0").await?;
    world.restore().await?;
    eventually("the cache is what the server has", async || {
        let list = backend.list::<ConfigMap>(ListOptions::default()).await?;
        let found: Vec<(String, String)> = list
            .decoded()
            .map(|map| (map.name_any(), map.data.clone().unwrap_or_default()["k"].clone()))
            .collect();
        Ok(found == [("a".into(), "0".into()), ("b".into(), "0".into())])
    })
    .await?;
    ensure!(backend.get::<ConfigMap>((ns, "c")).await.is_err_and(|error| error.is_not_found()));
    Ok(())
}

async fn a_missing_right_is_no_absence(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    world.behind_create("configmaps", config_map("a", "0")).await?;
    world.behind_create("secrets", json!({ "metadata": { "name": "s" } })).await?;
    world.allow("configmaps").await?;
    let client = world.client_of(User::Outsider).await?;
    let backend = world.backend_of(client, |builder| builder.sync_timeout(Duration::from_secs(2)));
    backend.informer::<ConfigMap>()?;
    let secrets = backend.informer::<Secret>()?;
    let failed = backend.start().await.err().map(|error| error.to_string());
    ensure!(failed.is_some(), "started without being allowed to");
    ensure!(!secrets.has_synced() && secrets.status().last_error.is_some(), "{:?}", secrets.status());
    let gvk = GroupVersionKind::gvk("", "v1", "Secret");
    let read = backend.lookup(&gvk, &(ns, "s").into());
    ensure!(read.as_ref().is_err_and(|error| !error.is_not_found()), "{read:?}");
    let live = backend.fetch(&gvk, &(ns, "s").into()).await;
    ensure!(live.as_ref().is_err_and(|error| !error.is_not_found()), "{live:?}");
    // Once it is allowed, it works without anybody's doing.
    world.allow("secrets").await?;
    eventually("the start succeeds", async || Ok(backend.start().await.is_ok())).await?;
    ensure!(backend.get::<Secret>((ns, "s")).await?.name_any() == "s");
    Ok(())
}

async fn a_right_taken_away_keeps_what_is_known(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    world.behind_create("configmaps", config_map("a", "0")).await?;
    world.allow("configmaps").await?;
    let backend = world.backend_of(world.client_of(User::Outsider).await?, |builder| builder);
    let (seen, mut events) = Seen::new();
    let informer = backend.informer::<ConfigMap>()?;
    informer.add_event_handler(move |event: Event<ConfigMap>| {
        seen.tell(matches!(event, Event::Deleted { .. }));
    })?;
    backend.start().await?;
    ensure!(!events.next().await?);
    world.forbid("configmaps").await?;
    world.proxy.cut().await;
    eventually("the error shows in the status", async || Ok(informer.status().last_error.is_some())).await?;
    ensure!(backend.get::<ConfigMap>((ns, "a")).await?.name_any() == "a");
    ensure!(events.drain().is_empty(), "something was told to be gone");
    world.allow("configmaps").await?;
    world.behind_patch("configmaps/a", json!({ "data": { "k": "1" } })).await?;
    ensure!(!events.next().await?);
    Ok(())
}
