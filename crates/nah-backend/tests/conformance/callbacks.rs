//! What callbacks are told, in which order, and how often.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use http::Method;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt;
use nah_backend::{
    core::Causes,
    prelude::*,
    trigger::TriggerError,
    watch::{Ignore, Requeue, Terminal},
};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::{
    fixtures::{CustomKind, Seen},
    scenario::scenarios,
    world::World,
};

scenarios! {
    what_is_there_at_the_start_is_shown_once => "E3, B1" (Loose),
    a_change_made_by_somebody_else_is_told => "E1, E2" (Loose),
    a_deletion_is_told_with_the_last_state_known => "E4, E5" (Loose),
    a_trigger_of_something_that_is_not_there_is_told_as_such => "E6, Q15" (Loose),
    a_trigger_of_a_kind_without_a_callback_is_an_error => "D19, Q25" (Loose),
    a_trigger_before_the_start_is_delivered_after_it => "D17" (Loose),
    callbacks_run_in_order_and_pass_the_object_on => "E7, E8, E9" (Loose),
    a_failed_callback_is_retried_until_it_succeeds => "D14, E11" (Loose),
    a_terminal_and_an_ignored_error_are_not_retried => "E12" (Loose),
    a_panic_is_a_failure_of_that_callback_alone => "E14, Q29" (Loose),
    a_requeue_brings_the_key_back_after_its_delay => "D20, D4" (Loose),
    an_owner_is_called_for_its_child => "E1, Q14" (Loose),
    a_callback_reads_its_own_writes => "E25, G17, Q36" (Loose),
    a_callback_registered_late_is_shown_what_is_there => "E18, E19, Q19" (Loose),
    a_callback_of_a_kind_that_comes_late_starts_it => "E20, Q22" (Loose),
    a_kind_defined_while_running_is_watched_once_it_is_there => "G14, Q20, Q60" (Faulty),
    an_unregistered_callback_is_called_no_more => "E21" (Loose),
    one_key_is_never_worked_on_twice_at_once => "D2, D3, E15" (Loose),
}

fn config_map(name: &str) -> serde_json::Value {
    json!({ "metadata": { "name": name }, "data": { "k": "v" } })
}

async fn what_is_there_at_the_start_is_shown_once(world: &World) -> Result<()> {
    for name in ["a", "b", "c"] {
        world.behind_create("configmaps", config_map(name)).await?;
    }
    let backend = world.backend();
    let (seen, mut runs) = Seen::new();
    backend.watcher("maps", move |change: Change<ConfigMap>| {
        seen.tell((change.key.name().to_owned(), change.object.is_some(), change.causes));
        async { Ok(()) }
    })?;
    backend.preload().await?;
    runs.nothing_for(Duration::from_millis(200)).await?;
    backend.start().await?;
    let mut names = Vec::new();
    for _ in 0..3 {
        let (name, there, causes) = runs.next().await?;
        ensure!(there && causes.contains(Causes::INITIAL), "{name} {there} {causes:?}");
        names.push(name);
    }
    names.sort();
    ensure!(names == ["a", "b", "c"]);
    runs.nothing_for(Duration::from_millis(200)).await
}

async fn a_change_made_by_somebody_else_is_told(world: &World) -> Result<()> {
    let backend = world.backend();
    let (seen, mut runs) = Seen::new();
    backend.watcher("maps", move |change: Change<ConfigMap>| {
        let value = change.object.as_ref().and_then(|map| map.data.as_ref()?.get("k").cloned());
        seen.tell((change.key.to_string(), value, change.causes));
        async { Ok(()) }
    })?;
    backend.start().await?;
    let key = format!("{}/a", world.namespace);
    world.behind_create("configmaps", config_map("a")).await?;
    ensure!(runs.next().await? == (key.clone(), Some("v".into()), Causes::EVENT));
    world.behind_patch("configmaps/a", json!({ "data": { "k": "w" } })).await?;
    ensure!(runs.next().await? == (key.clone(), Some("w".into()), Causes::EVENT));
    world.behind_delete("configmaps/a").await?;
    ensure!(runs.next().await? == (key, None, Causes::EVENT));
    Ok(())
}

async fn a_deletion_is_told_with_the_last_state_known(world: &World) -> Result<()> {
    let created = world.behind_create("configmaps", config_map("a")).await?;
    let backend = world.backend();
    let (seen, mut runs) = Seen::new();
    backend.watcher("maps", move |change: Change<ConfigMap>| {
        let last = change.last_known.as_ref().and_then(|object| object.uid().map(|uid| uid.to_string()));
        seen.tell((change.object.is_some(), last, change.certain));
        async { Ok(()) }
    })?;
    backend.start().await?;
    ensure!(runs.next().await?.0);
    world.behind_delete("configmaps/a").await?;
    let (there, last, certain) = runs.next().await?;
    ensure!(!there && certain && last == Some(created.uid()?), "{there} {last:?} {certain}");
    Ok(())
}

async fn a_trigger_of_something_that_is_not_there_is_told_as_such(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let backend = world.backend();
    let (seen, mut runs) = Seen::new();
    backend.watcher("maps", move |change: Change<ConfigMap>| {
        seen.tell((change.object.is_some(), change.last_known.is_some(), change.causes));
        async { Ok(()) }
    })?;
    backend.start().await?;
    backend.trigger::<ConfigMap>((ns, "nothing"), Duration::ZERO)?;
    ensure!(runs.next().await? == (false, false, Causes::TRIGGER));
    ensure!(backend.trigger::<ConfigMap>(("default", "a"), Duration::ZERO).is_err(), "outside the cache");
    Ok(())
}

async fn a_trigger_of_a_kind_without_a_callback_is_an_error(world: &World) -> Result<()> {
    let backend = world.backend();
    backend.start().await?;
    let refused = backend.trigger::<Secret>((world.namespace.as_str(), "a"), Duration::ZERO);
    ensure!(matches!(refused, Err(TriggerError::NoCallback { .. })), "{refused:?}");
    ensure!(world.story.count("WATCH", "/secrets") == 0);
    Ok(())
}

async fn a_trigger_before_the_start_is_delivered_after_it(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let backend = world.backend();
    let (seen, mut runs) = Seen::new();
    backend.watcher("maps", move |change: Change<ConfigMap>| {
        seen.tell((change.key.name().to_owned(), change.causes));
        async { Ok(()) }
    })?;
    backend.trigger::<ConfigMap>((ns, "a"), Duration::ZERO)?;
    backend.trigger::<ConfigMap>((ns, "a"), Duration::ZERO)?;
    runs.nothing_for(Duration::from_millis(100)).await?;
    backend.start().await?;
    ensure!(runs.next().await? == ("a".to_owned(), Causes::TRIGGER));
    runs.nothing_for(Duration::from_millis(200)).await
}

async fn callbacks_run_in_order_and_pass_the_object_on(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    let backend = world.backend();
    let (seen, mut runs) = Seen::new();
    let first = seen.clone();
    backend.watcher("first", move |change: Change<ConfigMap>| {
        first.tell("first".to_owned());
        async move {
            let Some(map) = change.object else { return Ok(None) };
            let mut map = ConfigMap::clone(&map);
            map.labels_mut().insert("passed".into(), "on".into());
            Ok(Some(Object::from_typed(Arc::new(map))?))
        }
    })?;
    let second = seen.clone();
    backend.watcher("second", move |change: Change<ConfigMap>| {
        let passed = change.object.as_ref().map(|map| map.labels().contains_key("passed"));
        second.tell(format!("second {passed:?}"));
        async { Err::<(), _>("second does not want to".into()) }
    })?;
    backend.watcher("third", move |_: Change<ConfigMap>| {
        seen.tell("third".to_owned());
        async { Ok(()) }
    })?;
    backend.start().await?;
    world.behind_create("configmaps", config_map("a")).await?;
    runs.are(["first", "second Some(true)", "third", "first"]).await?;
    ensure!(backend.get::<ConfigMap>((ns, "a")).await?.labels().is_empty(), "the cache has changed");
    Ok(())
}

async fn a_failed_callback_is_retried_until_it_succeeds(world: &World) -> Result<()> {
    world.behind_create("configmaps", config_map("a")).await?;
    let backend = world.backend();
    let (seen, mut runs) = Seen::new();
    backend.watcher("maps", move |change: Change<ConfigMap>| {
        seen.tell((change.failures, change.causes.contains(Causes::RETRY), tokio::time::Instant::now()));
        async move { if change.failures < 2 { Err("not yet".into()) } else { Ok(()) } }
    })?;
    backend.start().await?;
    let (failures, retry, first) = runs.next().await?;
    ensure!(failures == 0 && !retry);
    let (failures, retry, second) = runs.next().await?;
    ensure!(failures == 1 && retry && second - first >= Duration::from_millis(450), "{:?}", second - first);
    let (failures, retry, third) = runs.next().await?;
    ensure!(failures == 2 && retry && third - second >= Duration::from_millis(900), "{:?}", third - second);
    runs.nothing_for(Duration::from_millis(500)).await
}

async fn a_terminal_and_an_ignored_error_are_not_retried(world: &World) -> Result<()> {
    world.behind_create("configmaps", config_map("ignored")).await?;
    world.behind_create("configmaps", config_map("terminal")).await?;
    let backend = world.backend();
    let (seen, mut runs) = Seen::new();
    backend.watcher("maps", move |change: Change<ConfigMap>| {
        seen.tell(change.key.name().to_owned());
        async move {
            match change.key.name() {
                "ignored" => Err::<(), _>(Ignore.into()),
                _ => Err(Terminal("it will not get better".into()).into()),
            }
        }
    })?;
    backend.start().await?;
    let mut names = [runs.next().await?, runs.next().await?];
    names.sort();
    ensure!(names == ["ignored", "terminal"]);
    runs.nothing_for(Duration::from_millis(1300)).await?;
    world.behind_patch("configmaps/terminal", json!({ "data": { "k": "w" } })).await?;
    ensure!(runs.next().await? == "terminal", "a change brings it back");
    Ok(())
}

async fn a_panic_is_a_failure_of_that_callback_alone(world: &World) -> Result<()> {
    world.behind_create("configmaps", config_map("a")).await?;
    let backend = world.backend();
    let (seen, mut runs) = Seen::new();
    let other = seen.clone();
    backend.watcher("panics", move |change: Change<ConfigMap>| {
        seen.tell(("panics", change.failures));
        async move {
            assert!(change.failures > 0, "the first run panics, as it should");
            Ok(())
        }
    })?;
    backend.watcher("other", move |change: Change<ConfigMap>| {
        other.tell(("other", change.failures));
        async { Ok(()) }
    })?;
    backend.start().await?;
    runs.are([("panics", 0), ("other", 0), ("panics", 1), ("other", 1)]).await
}

async fn a_requeue_brings_the_key_back_after_its_delay(world: &World) -> Result<()> {
    world.behind_create("configmaps", config_map("a")).await?;
    let backend = world.backend();
    let (seen, mut runs) = Seen::new();
    backend.watcher("maps", move |change: Change<ConfigMap>| {
        seen.tell((change.causes.contains(Causes::TRIGGER), tokio::time::Instant::now()));
        async { Ok(Requeue(Duration::from_millis(300))) }
    })?;
    backend.start().await?;
    let (triggered, mut before) = runs.next().await?;
    ensure!(!triggered);
    for _ in 0..3 {
        let (triggered, at) = runs.next().await?;
        ensure!(triggered && at - before >= Duration::from_millis(290), "{:?}", at - before);
        before = at;
    }
    Ok(())
}

async fn an_owner_is_called_for_its_child(world: &World) -> Result<()> {
    let owner = world.behind_create("configmaps", config_map("owner")).await?;
    let backend = world.backend();
    let (seen, mut runs) = Seen::new();
    backend.watcher("owners", move |change: Change<ConfigMap>| {
        seen.tell((change.key.name().to_owned(), change.causes));
        async { Ok(()) }
    })?;
    backend.owns::<ConfigMap, Secret>()?;
    backend.start().await?;
    ensure!(runs.next().await?.0 == "owner");
    let reference = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.uid()?, "controller": true,
    });
    let child = json!({ "metadata": { "name": "child", "ownerReferences": [reference] } });
    world.behind_create("secrets", child).await?;
    let called = runs.next().await?;
    ensure!(called == ("owner".to_owned(), Causes::TRIGGER), "{called:?}");
    world.behind_delete("secrets/child").await?;
    ensure!(runs.next().await?.0 == "owner", "the end of a child is told too");
    Ok(())
}

async fn a_callback_reads_its_own_writes(world: &World) -> Result<()> {
    let backend = world.backend();
    let (seen, mut runs) = Seen::new();
    let client = backend.clone();
    backend.watcher("maps", move |change: Change<ConfigMap>| {
        let (client, seen) = (client.clone(), seen.clone());
        async move {
            let Some(map) = change.object else { return Ok(()) };
            if map.labels().contains_key("marked") {
                return Ok(());
            }
            let mark = |map: &mut ConfigMap| drop(map.labels_mut().insert("marked".into(), "yes".into()));
            client.modify::<ConfigMap>(&change.key, mark).await?;
            let read = client.get::<ConfigMap>(&change.key).await?;
            let marked = ListOptions::default().matching_labels([("marked", "yes")]);
            let listed =
                client.list::<ConfigMap>(marked).await?.decoded().any(|it| it.name_any() == map.name_any());
            seen.tell((read.labels().contains_key("marked"), listed));
            Ok(())
        }
    })?;
    backend.start().await?;
    for name in ["a", "b", "c", "d"] {
        world.behind_create("configmaps", config_map(name)).await?;
        ensure!(runs.next().await? == (true, true), "{name}");
    }
    Ok(())
}

async fn a_callback_registered_late_is_shown_what_is_there(world: &World) -> Result<()> {
    for name in ["a", "b"] {
        world.behind_create("configmaps", config_map(name)).await?;
    }
    let backend = world.backend();
    let (early, mut early_runs) = Seen::new();
    backend.watcher("early", move |change: Change<ConfigMap>| {
        early.tell(change.key.name().to_owned());
        async { Ok(()) }
    })?;
    backend.start().await?;
    early_runs.next().await?;
    early_runs.next().await?;
    let (late, mut late_runs) = Seen::new();
    backend.watcher("late", move |change: Change<ConfigMap>| {
        late.tell((change.key.name().to_owned(), change.causes));
        async { Ok(()) }
    })?;
    for _ in 0..2 {
        let (name, causes) = late_runs.next().await?;
        ensure!(causes.contains(Causes::REPLAY), "{name} {causes:?}");
    }
    early_runs.nothing_for(Duration::from_millis(200)).await?;
    world.behind_patch("configmaps/a", json!({ "data": { "k": "w" } })).await?;
    ensure!(early_runs.next().await? == "a" && late_runs.next().await?.0 == "a");
    Ok(())
}

async fn a_callback_of_a_kind_that_comes_late_starts_it(world: &World) -> Result<()> {
    world.behind_create("secrets", json!({ "metadata": { "name": "a" } })).await?;
    let backend = world.backend();
    backend.start().await?;
    let (seen, mut runs) = Seen::new();
    backend.watcher("secrets", move |change: Change<Secret>| {
        seen.tell(change.key.name().to_owned());
        async { Ok(()) }
    })?;
    ensure!(runs.next().await? == "a");
    Ok(())
}

async fn a_kind_defined_while_running_is_watched_once_it_is_there(world: &World) -> Result<()> {
    let kind = CustomKind::new("later");
    let gvk = GroupVersionKind::gvk(&kind.group, "v1", "Widget");
    let backend = world.backend();
    backend.start().await?;
    let (seen, mut runs) = Seen::new();
    backend.watcher_for_kind(&gvk, "widgets", move |change: Change| {
        seen.tell((change.key.name().to_owned(), change.object.is_some()));
        async { Ok(()) }
    })?;
    kind.create(world).await?;
    let path = kind.path(world);
    world.behind(Method::POST, &path, Some(kind.object("a", json!({ "size": 1 })))).await?.expect(201)?;
    ensure!(runs.next().await? == ("a".to_owned(), true));
    world.behind(Method::DELETE, &format!("{path}/a"), None).await?.expect(200)?;
    ensure!(runs.next().await? == ("a".to_owned(), false));
    kind.remove(world).await
}

async fn an_unregistered_callback_is_called_no_more(world: &World) -> Result<()> {
    let backend = world.backend();
    let (seen, mut runs) = Seen::new();
    let other = seen.clone();
    let first = backend.watcher("first", move |_: Change<ConfigMap>| {
        seen.tell("first");
        async { Ok(()) }
    })?;
    backend.watcher("second", move |_: Change<ConfigMap>| {
        other.tell("second");
        async { Ok(()) }
    })?;
    backend.start().await?;
    world.behind_create("configmaps", config_map("a")).await?;
    ensure!(runs.next().await? == "first" && runs.next().await? == "second");
    first.unregister();
    world.behind_patch("configmaps/a", json!({ "data": { "k": "w" } })).await?;
    ensure!(runs.next().await? == "second");
    runs.nothing_for(Duration::from_millis(100)).await
}

async fn one_key_is_never_worked_on_twice_at_once(world: &World) -> Result<()> {
    let ns = world.namespace.as_str();
    world.behind_create("configmaps", config_map("a")).await?;
    let backend = world.backend();
    let (seen, mut runs) = Seen::new();
    // A run ends when the test lets it, so that a slow machine changes nothing.
    let gate = Arc::new(Semaphore::new(0));
    let (inside, end) = (Arc::new(AtomicU32::new(0)), gate.clone());
    backend.watcher("maps", move |_: Change<ConfigMap>| {
        let (inside, seen, end) = (inside.clone(), seen.clone(), end.clone());
        async move {
            seen.tell(inside.fetch_add(1, Ordering::SeqCst));
            end.acquire().await?.forget();
            inside.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    })?;
    backend.start().await?;
    ensure!(runs.next().await? == 0);
    for _ in 0..5 {
        backend.trigger::<ConfigMap>((ns, "a"), Duration::ZERO)?;
    }
    runs.nothing_for(Duration::from_millis(200)).await?;
    gate.add_permits(1);
    ensure!(runs.next().await? == 0);
    gate.add_permits(5);
    runs.nothing_for(Duration::from_millis(200)).await
}
