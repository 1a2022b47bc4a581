//! All of it together: an operator, scopes, selectors, and a storm.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use http::Method;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::{
    CustomResource, Resource, ResourceExt,
    core::{Selector, params::PatchParams},
    runtime::wait::conditions,
};
use nah_backend::{
    Finalizer, Step,
    cache::Event,
    core::ObjectMeta,
    prelude::*,
    watch::{CallbackResult, Requeue},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    fixtures::{CustomKind, Seen, eventually, pod},
    scenario::scenarios,
    world::World,
};

scenarios! {
    an_operator_makes_what_is_wanted_and_cleans_up_after_it => "E1, F33, F35, G17" (Faulty),
    after_a_storm_the_cache_is_what_the_server_has => "A4, B10, C8, C14" (Faulty),
    after_a_storm_every_callback_has_seen_the_last_state => "D3, E2, E4" (Faulty),
    a_cache_of_two_namespaces_reads_both_and_watches_each => "C28, F12, F20, G16" (Loose),
    a_namespace_is_added_and_taken_away_while_running => "C28" (Faulty),
    a_cache_with_a_selector_cannot_be_certain_of_a_deletion => "C25, C26, Q11" (Loose),
    a_late_subscriber_gets_a_snapshot_and_then_everything => "B13, B6" (Loose),
    a_wait_ends_with_its_condition => "E28, Q38" (Loose),
    many_objects_are_synced_sorted_and_limited => "F9, F22, F23, Q42" (Loose),
    an_applied_object_names_its_manager => "F36" (Loose),
    a_second_callback_on_a_kind_needs_no_second_watch => "E23, Q13, C29" (Loose),
}

#[derive(CustomResource, Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[kube(group = "operator.example.com", version = "v1", kind = "Widget", namespaced, status = "WidgetStatus")]
struct WidgetSpec {
    size: u32,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct WidgetStatus {
    observed_generation: Option<i64>,
}

const FINALIZER: Finalizer = Finalizer::new("operator.example.com/widget");

/// A Widget of size n wants a ConfigMap that says n.
async fn reconcile<B: Backend>(
    (backend, cleaned): (Arc<B>, crate::fixtures::Teller<String>),
    change: Change<Widget>,
) -> CallbackResult<Option<Requeue>> {
    let Some(widget) = change.object else { return Ok(None) };
    match FINALIZER.step(&*backend, &*widget).await? {
        Step::Present => {}
        Step::Cleanup => {
            cleaned.tell(change.key.name().to_owned());
            FINALIZER.remove(&*backend, &*widget).await?;
            return Ok(None);
        }
        _ => return Ok(None),
    }
    let data = Some(BTreeMap::from([("size".to_owned(), widget.spec.size.to_string())]));
    let wanted = ConfigMap {
        metadata: ObjectMeta {
            name: widget.metadata.name.clone(),
            namespace: widget.namespace(),
            owner_references: widget.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        data: data.clone(),
        ..ConfigMap::default()
    };
    match backend.get::<ConfigMap>(&change.key).await.optional()? {
        None => drop(backend.create(&wanted).await?),
        Some(found) if found.data == data => {}
        Some(_) => drop(backend.modify::<ConfigMap>(&change.key, |map| map.data.clone_from(&data)).await?),
    }
    let seen = widget.meta().generation;
    let tell = |widget: &mut Widget| widget.status.get_or_insert_default().observed_generation = seen;
    backend.modify_status::<Widget>(&change.key, tell).await?;
    Ok(Some(Requeue(Duration::from_secs(300))))
}

async fn an_operator_makes_what_is_wanted_and_cleans_up_after_it(world: &World) -> Result<()> {
    let kind = CustomKind::define(world, "operator").await?;
    let path = kind.path(world);
    let backend = world.backend();
    let (cleaned, mut cleanings) = Seen::new();
    backend.watcher_with("widgets", (Arc::new(backend.clone()), cleaned), reconcile)?;
    backend.owns::<Widget, ConfigMap>()?;
    backend.start().await?;

    let size = async |name: &str, size: &str| {
        eventually("the ConfigMap says the size", async || {
            let found = world.behind(Method::GET, &world.path(&format!("configmaps/{name}")), None).await?;
            Ok(found.at("/data/size") == size)
        })
        .await
    };
    for name in ["a", "b", "c"] {
        let widget = kind.object(name, json!({ "size": 1 }));
        world.behind(Method::POST, &path, Some(widget)).await?.expect(201)?;
    }
    for name in ["a", "b", "c"] {
        size(name, "1").await?;
    }
    let grown = json!({ "spec": { "size": 2 } });
    world.behind(Method::PATCH, &format!("{path}/a"), Some(grown)).await?.expect(200)?;
    size("a", "2").await?;
    // Somebody meddles with what the operator owns.
    world.behind_patch("configmaps/b", json!({ "data": { "size": "7" } })).await?;
    size("b", "1").await?;
    world.behind_delete("configmaps/c").await?;
    size("c", "1").await?;
    eventually("the status tells the generation", async || {
        let found = world.behind(Method::GET, &format!("{path}/a"), None).await?;
        Ok(found.at("/status/observedGeneration") == found.at("/metadata/generation"))
    })
    .await?;
    world.behind(Method::DELETE, &format!("{path}/a"), None).await?.expect(200)?;
    ensure!(cleanings.next().await? == "a");
    eventually("it is gone", async || {
        Ok(world.behind(Method::GET, &format!("{path}/a"), None).await?.code == 404)
    })
    .await?;
    world.close().await;
    kind.remove(world).await
}

/// Creates, changes and deletes ConfigMaps by a seed, and cuts the connections in between.
async fn storm(world: &World, seed: u64) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..150 {
        let name = format!("m{}", random.u8(0..20));
        let body = json!({ "metadata": { "name": name }, "data": { "k": random.u32(..).to_string() } });
        let path = world.path(&format!("configmaps/{name}"));
        // That it is there already, or not there, is as good: it is a storm.
        match random.u8(0..4) {
            0 => drop(world.behind(Method::DELETE, &path, None).await?),
            1 => drop(world.behind(Method::PATCH, &path, Some(body)).await?),
            _ => drop(world.behind(Method::POST, &world.path("configmaps"), Some(body)).await?),
        }
        match random.u8(0..30) {
            0 => world.proxy.cut().await,
            1 => world.proxy.hold(),
            2 | 3 => world.proxy.release(),
            _ => {}
        }
    }
    world.proxy.release();
    Ok(())
}

/// Name, uid and version of everything that the server has.
async fn truth(world: &World) -> Result<Vec<(String, String, String)>> {
    let list = world.behind(Method::GET, &world.path("configmaps"), None).await?.expect(200)?;
    let text = |item: &Value, field: &str| item["metadata"][field].as_str().unwrap_or_default().to_owned();
    let items = list.at("/items").as_array().context("no items")?;
    Ok(items.iter().map(|it| (text(it, "name"), text(it, "uid"), text(it, "resourceVersion"))).collect())
}

async fn after_a_storm_the_cache_is_what_the_server_has(world: &World) -> Result<()> {
    let seed = fastrand::u64(..);
    let backend = world.backend();
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    let (seen, mut events) = Seen::new();
    backend.informer::<ConfigMap>()?.add_event_handler(move |event: Event<ConfigMap>| match event {
        Event::Added { object, .. } => seen.tell(('+', object.name_any(), object.uid().unwrap_or_default())),
        Event::Updated { new, .. } => seen.tell(('~', new.name_any(), new.uid().unwrap_or_default())),
        Event::Deleted { key, last, .. } => {
            seen.tell((
                '-',
                key.name().to_owned(),
                last.uid().map(|uid| uid.to_string()).unwrap_or_default(),
            ));
        }
        _ => {}
    })?;
    backend.start().await?;
    storm(world, seed).await?;
    let truth = truth(world).await?;
    eventually("the cache is what the server has", async || {
        let list = backend.list::<ConfigMap>(ListOptions::default()).await?;
        let cached = list.decoded().map(|map| {
            (map.name_any(), map.uid().unwrap_or_default(), map.resource_version().unwrap_or_default())
        });
        Ok(cached.collect::<Vec<_>>() == truth)
    })
    .await
    .with_context(|| format!("seed {seed}"))?;
    // What a handler was told adds up to the same, and no step of it was impossible.
    eventually("the handler was told all of it", async || {
        for (what, name, uid) in events.drain() {
            let held = match what {
                '+' => told.insert(name.clone(), uid.clone()).is_none(),
                '~' => told.insert(name.clone(), uid.clone()).is_some_and(|before| before == uid),
                _ => told.remove(&name).is_some_and(|before| before == uid),
            };
            ensure!(held, "seed {seed}: {what} {name} {uid} cannot be");
        }
        Ok(told.iter().eq(truth.iter().map(|(name, uid, _)| (name, uid))))
    })
    .await
    .with_context(|| format!("seed {seed}"))
}

async fn after_a_storm_every_callback_has_seen_the_last_state(world: &World) -> Result<()> {
    let seed = fastrand::u64(..);
    let backend = world.backend();
    let (seen, mut runs) = Seen::new();
    backend.watcher("maps", move |change: Change<ConfigMap>| {
        let version = change.object.as_ref().and_then(|map| map.resource_version());
        seen.tell((change.key.name().to_owned(), version));
        async move {
            if change.failures == 0 && fastrand::u8(0..10) == 0 { Err("by chance".into()) } else { Ok(()) }
        }
    })?;
    backend.start().await?;
    storm(world, seed).await?;
    let truth = truth(world).await?;
    let mut last: BTreeMap<String, Option<String>> = BTreeMap::new();
    eventually("the last call of every key saw its last state", async || {
        last.extend(runs.drain());
        let alive = last.iter().filter_map(|(name, version)| Some((name, version.as_ref()?)));
        Ok(alive.eq(truth.iter().map(|(name, _, version)| (name, version))))
    })
    .await
    .with_context(|| format!("seed {seed}"))
}

/// A second namespace for the scenario.
async fn another_namespace(world: &World) -> Result<String> {
    let name = format!("{}-2", world.namespace);
    let body = json!({ "metadata": { "name": name } });
    world.behind(Method::POST, "/api/v1/namespaces", Some(body)).await?.expect(201)?;
    let map = json!({ "metadata": { "name": "b" }, "data": { "k": "v" } });
    world
        .behind(Method::POST, &format!("/api/v1/namespaces/{name}/configmaps"), Some(map))
        .await?
        .expect(201)?;
    Ok(name)
}

async fn a_cache_of_two_namespaces_reads_both_and_watches_each(world: &World) -> Result<()> {
    let second = another_namespace(world).await?;
    world.behind_create("configmaps", json!({ "metadata": { "name": "a" }, "data": { "k": "v" } })).await?;
    let namespaces = [world.namespace.clone(), second.clone()];
    let backend = world.backend_of(world.client.clone(), |builder| builder.namespaces(namespaces));
    let by_k = backend.index_path::<ConfigMap>("data.k")?;
    backend.start().await?;
    let keys = async |options: ListOptions| -> Result<Vec<String>> {
        Ok(backend.list::<ConfigMap>(options).await?.decoded().map(|map| map.name_any()).collect())
    };
    // By key, and `-` stands before `/`: the namespace that ends in `-2` comes first.
    ensure!(keys(ListOptions::default()).await? == ["b", "a"]);
    ensure!(keys(ListOptions::default().by(&by_k, "v")).await? == ["b", "a"]);
    ensure!(keys(ListOptions::default().in_namespace(&second).by(&by_k, "v")).await? == ["b"]);
    ensure!(backend.get::<ConfigMap>((second.as_str(), "b")).await.is_ok());
    ensure!(backend.get::<ConfigMap>(("default", "b")).await.is_err_and(|error| !error.is_not_found()));
    ensure!(world.story.count("WATCH", "/configmaps") == 2, "{}", world.story.text());
    Ok(())
}

async fn a_namespace_is_added_and_taken_away_while_running(world: &World) -> Result<()> {
    let second = another_namespace(world).await?;
    let backend = world.backend();
    let (seen, mut events) = Seen::new();
    backend.informer::<ConfigMap>()?.add_event_handler(move |event: Event<ConfigMap>| {
        seen.tell(matches!(event, Event::Added { .. }));
    })?;
    backend.start().await?;
    backend.add_namespace(&second)?;
    ensure!(events.next().await?, "what is in the new namespace is told");
    eventually("it is read", async || Ok(backend.get::<ConfigMap>((second.as_str(), "b")).await.is_ok()))
        .await?;
    backend.remove_namespace(&second);
    eventually("it is outside", async || {
        let read = backend.get::<ConfigMap>((second.as_str(), "b")).await;
        Ok(read.is_err_and(|error| !error.is_not_found()))
    })
    .await
}

async fn a_cache_with_a_selector_cannot_be_certain_of_a_deletion(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let labelled =
        |name: &str, tier: &str| json!({ "metadata": { "name": name, "labels": { "tier": tier } } });
    world.behind_create("configmaps", labelled("a", "web")).await?;
    world.behind_create("configmaps", labelled("b", "db")).await?;
    let web: Selector = [("tier".to_owned(), "web".to_owned())].into_iter().collect();
    let backend = world.backend_of(world.client.clone(), |builder| builder.labels(web));
    let (seen, mut runs) = Seen::new();
    backend.watcher("maps", move |change: Change<ConfigMap>| {
        seen.tell((change.key.name().to_owned(), change.object.is_some(), change.certain));
        async { Ok(()) }
    })?;
    backend.start().await?;
    let (name, there, _) = runs.next().await?;
    ensure!(name == "a" && there);
    ensure!(backend.list::<ConfigMap>(ListOptions::default()).await?.len() == 1);
    world.behind_patch("configmaps/a", json!({ "metadata": { "labels": { "tier": "db" } } })).await?;
    let told = runs.next().await?;
    ensure!(told == ("a".to_owned(), false, false), "{told:?}");
    ensure!(backend.get_live::<ConfigMap>((ns, "a")).await.is_ok(), "it lives, where one looks live");
    // A write that takes an object into the selector, and one that takes it out again.
    let own = backend.create(&ConfigMap {
        metadata: ObjectMeta {
            name: Some("c".into()),
            namespace: Some(ns.into()),
            labels: Some([("tier".to_owned(), "web".to_owned())].into()),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    });
    own.await?;
    ensure!(backend.list::<ConfigMap>(ListOptions::default()).await?.len() == 1);
    let move_out = |map: &mut ConfigMap| drop(map.labels_mut().insert("tier".into(), "db".into()));
    backend.modify::<ConfigMap>((ns, "c"), move_out).await?;
    ensure!(
        backend.list::<ConfigMap>(ListOptions::default()).await?.is_empty(),
        "it is outside the cache now"
    );
    Ok(())
}

async fn a_late_subscriber_gets_a_snapshot_and_then_everything(world: &World) -> Result<()> {
    for name in ["a", "b"] {
        world.behind_create("configmaps", json!({ "metadata": { "name": name } })).await?;
    }
    let backend = world.backend();
    let informer = backend.informer::<ConfigMap>()?;
    backend.start().await?;
    world.behind_create("configmaps", json!({ "metadata": { "name": "c" } })).await?;
    eventually("c is known", async || Ok(informer.list(&ListOptions::default())?.len() == 3)).await?;
    let mut events = informer.subscribe()?;
    let mut names = Vec::new();
    for _ in 0..3 {
        match events.next().await.context("ended")?? {
            Event::Added { object, .. } => names.push(object.name_any()),
            _ => anyhow::bail!("something else than a snapshot"),
        }
    }
    ensure!(names == ["a", "b", "c"], "{names:?}");
    world.behind_patch("configmaps/b", json!({ "data": { "k": "v" } })).await?;
    let event = tokio::time::timeout(Duration::from_secs(20), events.next()).await?.context("ended")??;
    match event {
        Event::Updated { new, .. } => {
            // The store is changed before anybody is told.
            let read = informer.get(&(world.namespace.as_str(), "b").into())?.context("b is gone")?;
            ensure!(read.resource_version() == new.resource_version());
        }
        _ => anyhow::bail!("no update"),
    }
    Ok(())
}

async fn a_wait_ends_with_its_condition(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    world.behind_create("pods", pod("a", None)).await?;
    let backend = world.backend();
    backend.informer::<Pod>()?;
    backend.start().await?;
    let running = async {
        let found = backend.wait_for::<Pod>((ns, "a"), conditions::is_pod_running()).await?;
        anyhow::Ok(found.is_some())
    };
    let starting = async {
        let status = json!({ "status": { "phase": "Running" } });
        world.behind(Method::PATCH, &world.path("pods/a/status"), Some(status)).await?.expect(200)
    };
    let (running, started) = futures::join!(tokio::time::timeout(Duration::from_secs(20), running), starting);
    started?;
    ensure!(running??);
    Ok(())
}

async fn many_objects_are_synced_sorted_and_limited(world: &World) -> Result<()> {
    const MANY: usize = 600;
    stream::iter(0..MANY)
        .map(|at| world.behind_create("secrets", json!({ "metadata": { "name": format!("s{at:04}") } })))
        .buffer_unordered(16)
        .try_collect::<Vec<_>>()
        .await?;
    let backend = world.backend();
    backend.informer::<Secret>()?;
    backend.start().await?;
    let list = backend.list::<Secret>(ListOptions::default()).await?;
    let names: Vec<String> = list.decoded().map(|secret| secret.name_any()).collect();
    ensure!(names.len() == MANY && names.is_sorted());
    let first = backend.list::<Secret>(ListOptions::default().limit(7)).await?;
    ensure!(first.decoded().map(|secret| secret.name_any()).eq(names[..7].iter().cloned()));
    let live =
        backend.fetch_list(&Secret::kind_of(), ListOptions::default().in_namespace(&world.namespace)).await?;
    ensure!(live.len() == MANY, "live it is {}", live.len());
    Ok(())
}

async fn an_applied_object_names_its_manager(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let backend = world.backend();
    backend.informer::<ConfigMap>()?;
    backend.start().await?;
    let wanted = |value: &str| ConfigMap {
        metadata: ObjectMeta { name: Some("a".into()), namespace: Some(ns.into()), ..ObjectMeta::default() },
        data: Some([("k".to_owned(), value.to_owned())].into()),
        ..ConfigMap::default()
    };
    let applied = backend.apply(&wanted("1"), "one").await?;
    let stored = world.behind(Method::GET, &world.path("configmaps/a"), None).await?.expect(200)?;
    let stored = stored.with("/metadata/managedFields/0/manager", json!("one"))?;
    stored.with("/metadata/managedFields/0/operation", json!("Apply"))?;
    ensure!(backend.get::<ConfigMap>((ns, "a")).await?.resource_version() == applied.resource_version());
    let refused = backend.apply(&wanted("2"), "two").await;
    ensure!(refused.as_ref().is_err_and(|error| error.is_conflict()), "{refused:?}");
    let forced = backend.apply_with(&wanted("2"), &PatchParams::apply("two").force()).await?;
    ensure!(forced.data.as_ref().is_some_and(|data| data["k"] == "2"));
    ensure!(backend.get::<ConfigMap>((ns, "a")).await?.resource_version() == forced.resource_version());
    Ok(())
}

async fn a_second_callback_on_a_kind_needs_no_second_watch(world: &World) -> Result<()> {
    world.behind_create("configmaps", json!({ "metadata": { "name": "a" }, "data": { "k": "v" } })).await?;
    let backend = world.backend();
    let (seen, mut runs) = Seen::new();
    let callback = |name: &'static str| {
        let seen = seen.clone();
        move |_: Change<ConfigMap>| {
            seen.tell(name);
            async { Ok(()) }
        }
    };
    backend.watcher("first", callback("first"))?;
    let first = backend.index_path::<ConfigMap>("data.k")?;
    backend.watcher("second", callback("second"))?;
    let second = backend.index_path::<ConfigMap>("metadata.annotations.x")?;
    let taken = backend.watcher("first", callback("again"));
    ensure!(taken.is_err(), "a name is taken once");
    backend.start().await?;
    ensure!(runs.next().await? == "first" && runs.next().await? == "second");
    ensure!(backend.list::<ConfigMap>(ListOptions::default().by(&first, "v")).await?.len() == 1);
    ensure!(backend.list::<ConfigMap>(ListOptions::default().by(&second, "v")).await?.is_empty());
    ensure!(world.story.count("WATCH", "/configmaps") == 1, "{}", world.story.text());
    Ok(())
}
