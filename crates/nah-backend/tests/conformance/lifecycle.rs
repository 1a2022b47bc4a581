//! The life of a backend.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{ResourceExt, core::WatchEvent};
use nah_backend::{
    KindOptions, StartError,
    cache::CacheError,
    client::{Error, LiveWatch as _},
    prelude::*,
};
use serde_json::json;

use crate::{
    fixtures::{CustomKind, Seen, eventually},
    scenario::scenarios,
    world::World,
};

scenarios! {
    nothing_is_asked_before_the_start => "G1, F6" (Loose),
    a_preloaded_backend_reads_and_calls_nobody => "G3, G4, G6, Q23" (Loose),
    starting_twice_starts_once => "G5, C29" (Loose),
    a_paused_backend_keeps_its_keys_until_it_starts_again => "G11, Q21" (Loose),
    a_start_names_the_kind_that_is_not_synced => "G7, G8, Q24" (Faulty),
    an_optional_kind_holds_up_no_start => "G7, G14" (Faulty),
    after_a_shutdown_everything_says_stopped => "G9, G10, B20, D19" (Loose),
    a_shutdown_waits_for_a_callback_and_asks_nothing_more => "D11, C24, G9" (Loose),
    a_live_watch_is_one_request_as_it_comes => "F39" (Loose),
    a_removed_kind_is_watched_no_more => "G18" (Loose),
}

async fn nothing_is_asked_before_the_start(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let backend = world.backend();
    backend.watcher("maps", |_: Change<ConfigMap>| async { Ok(()) })?;
    backend.index_path::<ConfigMap>("data.k")?;
    backend.informer::<Secret>()?;
    backend.trigger::<ConfigMap>((ns, "a"), Duration::from_secs(1))?;
    let early = backend.get::<ConfigMap>((ns, "a")).await;
    ensure!(matches!(early, Err(Error::NotStarted)), "{early:?}");
    let early = backend.list::<ConfigMap>(ListOptions::default()).await;
    ensure!(matches!(early, Err(Error::NotStarted)), "{early:?}");
    ensure!(world.story.text().is_empty(), "{}", world.story.text());
    Ok(())
}

async fn a_preloaded_backend_reads_and_calls_nobody(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    world.behind_create("configmaps", json!({ "metadata": { "name": "a" } })).await?;
    let backend = world.backend();
    let (seen, mut runs) = Seen::new();
    backend.watcher("maps", move |change: Change<ConfigMap>| {
        seen.tell(change.key.name().to_owned());
        async { Ok(()) }
    })?;
    backend.preload().await?;
    ensure!(backend.get::<ConfigMap>((ns, "a")).await?.name_any() == "a");
    runs.nothing_for(Duration::from_millis(200)).await?;
    let before = world.story.count("WATCH", "/configmaps");
    backend.start().await?;
    ensure!(runs.next().await? == "a");
    ensure!(world.story.count("WATCH", "/configmaps") == before, "{}", world.story.text());
    Ok(())
}

async fn starting_twice_starts_once(world: &World) -> Result<()> {
    world.behind_create("configmaps", json!({ "metadata": { "name": "a" } })).await?;
    let backend = world.backend();
    let (seen, mut runs) = Seen::new();
    backend.watcher("maps", move |change: Change<ConfigMap>| {
        seen.tell(change.key.name().to_owned());
        async { Ok(()) }
    })?;
    let (first, second) = futures::join!(backend.start(), backend.start());
    first?;
    second?;
    backend.start().await?;
    ensure!(runs.next().await? == "a");
    runs.nothing_for(Duration::from_millis(200)).await?;
    ensure!(world.story.count("WATCH", "/configmaps") == 1, "{}", world.story.text());
    Ok(())
}

async fn a_paused_backend_keeps_its_keys_until_it_starts_again(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let backend = world.backend();
    let (seen, mut runs) = Seen::new();
    backend.watcher("maps", move |change: Change<ConfigMap>| {
        seen.tell((change.key.name().to_owned(), change.object.is_some()));
        async { Ok(()) }
    })?;
    backend.start().await?;
    backend.pause().await;
    world.behind_create("configmaps", json!({ "metadata": { "name": "a" } })).await?;
    backend.trigger::<ConfigMap>((ns, "b"), Duration::ZERO)?;
    runs.nothing_for(Duration::from_millis(300)).await?;
    ensure!(backend.get::<ConfigMap>((ns, "a")).await?.name_any() == "a", "reads go on");
    backend.start().await?;
    let mut told = [runs.next().await?, runs.next().await?];
    told.sort();
    ensure!(told == [("a".to_owned(), true), ("b".to_owned(), false)], "{told:?}");
    ensure!(world.story.count("WATCH", "/configmaps") == 1, "{}", world.story.text());
    Ok(())
}

async fn a_start_names_the_kind_that_is_not_synced(world: &World) -> Result<()> {
    let backend =
        world.backend_of(world.client.clone(), |builder| builder.sync_timeout(Duration::from_millis(1500)));
    let missing = GroupVersionKind::gvk("nowhere.example.com", "v1", "Thing");
    backend.informer::<ConfigMap>()?;
    backend.watcher_for_kind(&missing, "things", |_: Change| async { Ok(()) })?;
    match backend.start().await {
        Err(StartError::NotSynced(kinds)) => {
            ensure!(kinds.len() == 1 && kinds[0].gvk.kind == "Thing", "{kinds:?}");
            ensure!(kinds[0].last_error.is_some(), "{kinds:?}");
        }
        other => anyhow::bail!("{other:?}"),
    }
    Ok(())
}

async fn an_optional_kind_holds_up_no_start(world: &World) -> Result<()> {
    use kube::CustomResource;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    #[derive(CustomResource, Clone, Debug, Deserialize, Serialize, JsonSchema)]
    #[kube(group = "optional.example.com", version = "v1", kind = "Widget", namespaced)]
    struct WidgetSpec {
        size: u32,
    }

    let mut options = KindOptions::default();
    options.optional = true;
    let backend = world.backend_of(world.client.clone(), |builder| builder.kind::<Widget>(options));
    backend.informer::<Widget>()?;
    backend.informer::<ConfigMap>()?;
    backend.start().await?;
    let status = backend.status();
    let widget = status.iter().find(|status| status.gvk.kind == "Widget").context("no status of Widgets")?;
    ensure!(!widget.synced, "{widget:?}");
    let early = backend.lookup(&Widget::kind_of(), &(world.namespace.as_str(), "a").into());
    ensure!(matches!(early, Err(Error::Cache(CacheError::NotSynced { .. }))), "{early:?}");

    let kind = CustomKind::define(world, "optional").await?;
    let body = kind.object("a", json!({ "size": 1 }));
    world.behind(http::Method::POST, &kind.path(world), Some(body)).await?.expect(201)?;
    // That a kind is not served is believed for a second.
    let key = (world.namespace.as_str(), "a");
    eventually("it is read", async || Ok(backend.get::<Widget>(key).await.is_ok_and(|it| it.spec.size == 1)))
        .await?;
    kind.remove(world).await
}

async fn after_a_shutdown_everything_says_stopped(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    world.behind_create("configmaps", json!({ "metadata": { "name": "a" } })).await?;
    let backend = world.backend();
    backend.watcher("maps", |_: Change<ConfigMap>| async { Ok(()) })?;
    let informer = backend.informer::<ConfigMap>()?;
    backend.start().await?;
    let ended = backend.shutdown(Duration::from_secs(5)).await;
    ensure!(ended.cut_off.is_empty(), "{ended:?}");
    ensure!(matches!(backend.start().await, Err(StartError::Stopped)));
    let read = backend.get::<ConfigMap>((ns, "a")).await;
    ensure!(read.as_ref().is_err_and(|error| !error.is_not_found()), "{read:?}");
    ensure!(backend.list::<ConfigMap>(ListOptions::default()).await.is_err());
    ensure!(backend.trigger::<ConfigMap>((ns, "a"), Duration::ZERO).is_err());
    ensure!(backend.watcher("late", |_: Change<ConfigMap>| async { Ok(()) }).is_err());
    ensure!(informer.subscribe().is_err() && backend.index_path::<ConfigMap>("data.x").is_err());
    let again = backend.shutdown(Duration::ZERO).await;
    ensure!(again.cut_off.is_empty());
    Ok(())
}

async fn a_shutdown_waits_for_a_callback_and_asks_nothing_more(world: &World) -> Result<()> {
    world.behind_create("configmaps", json!({ "metadata": { "name": "a" } })).await?;
    let backend = world.backend();
    let (seen, mut runs) = Seen::new();
    backend.watcher("maps", move |_: Change<ConfigMap>| {
        let seen = seen.clone();
        async move {
            seen.tell("begins");
            tokio::time::sleep(Duration::from_millis(300)).await;
            seen.tell("ends");
            Ok(())
        }
    })?;
    backend.start().await?;
    ensure!(runs.next().await? == "begins");
    let ended = backend.shutdown(Duration::from_secs(5)).await;
    ensure!(ended.cut_off.is_empty(), "{ended:?}");
    ensure!(runs.drain() == ["ends"]);
    let before = world.story.text();
    world.behind_patch("configmaps/a", json!({ "data": { "k": "w" } })).await?;
    runs.nothing_for(Duration::from_millis(200)).await?;
    ensure!(world.story.text() == before, "{}", world.story.text());
    Ok(())
}

async fn a_live_watch_is_one_request_as_it_comes(world: &World) -> Result<()> {
    let backend = world.backend();
    backend.start().await?;
    let gvk = GroupVersionKind::gvk("", "v1", "ConfigMap");
    let options = ListOptions::default().in_namespace(&world.namespace).matching_labels([("tier", "web")]);
    let mut events = backend.watch(&gvk, options);
    let creating = async {
        world.behind_create("configmaps", json!({ "metadata": { "name": "other" } })).await?;
        let labels = json!({ "tier": "web" });
        world.behind_create("configmaps", json!({ "metadata": { "name": "a", "labels": labels } })).await
    };
    let watching = async {
        loop {
            match tokio::time::timeout(Duration::from_secs(20), events.next()).await?.context("ended")?? {
                WatchEvent::Added(object) => return anyhow::Ok(object.name_any()),
                WatchEvent::Bookmark(_) => {}
                other => anyhow::bail!("{other:?}"),
            }
        }
    };
    let (created, watched) = futures::join!(creating, watching);
    created?;
    ensure!(watched? == "a");
    world.behind_delete("configmaps/a").await?;
    loop {
        match tokio::time::timeout(Duration::from_secs(20), events.next()).await?.context("ended")?? {
            WatchEvent::Deleted(object) if object.name_any() == "a" => break,
            WatchEvent::Bookmark(_) => {}
            other => anyhow::bail!("{other:?}"),
        }
    }
    ensure!(world.story.count("WATCH", "/configmaps") == 1, "{}", world.story.text());
    Ok(())
}

async fn a_removed_kind_is_watched_no_more(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    world.behind_create("configmaps", json!({ "metadata": { "name": "a" } })).await?;
    let backend = world.backend();
    let (seen, mut runs) = Seen::new();
    backend.watcher("maps", move |change: Change<ConfigMap>| {
        seen.tell(change.key.name().to_owned());
        async { Ok(()) }
    })?;
    backend.start().await?;
    ensure!(runs.next().await? == "a");
    backend.remove_kind(&ConfigMap::kind_of());
    world.behind_create("configmaps", json!({ "metadata": { "name": "b" } })).await?;
    runs.nothing_for(Duration::from_millis(300)).await?;
    ensure!(backend.get::<ConfigMap>((ns, "b")).await?.name_any() == "b", "a later use makes it anew");
    Ok(())
}
