//! What a run is made of: what is read for it, what it is told of what was before, and what is said of its failures.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::Selector;
use nah_backend::{KubeBackend, core::BoxError, prelude::*};
use nah_testing::{ApiServer, Fault};
use serde_json::json;
use tokio::{
    sync::mpsc::unbounded_channel,
    time::{sleep, timeout},
};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, SubscriberExt as _},
};

use crate::ground::{Gate, Told, ground, listen, map, map_with, next, record, silent};

/// A ConfigMap `a` of which a write has an unknown end, and whose watch stands still.
async fn unsure(server: &ApiServer, backend: &KubeBackend) {
    backend.create(&map_with("a", "1")).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    server.hold_watches("configmaps");
    // All of its tries, so that none tells how it stands.
    server.inject(Fault::drop_answer().on("update").of("configmaps").always());
    let read = backend.get::<ConfigMap>(("default", "a")).await.unwrap();
    let wanted = ConfigMap { data: map_with("a", "2").data, ..(*read).clone() };
    backend.update(&wanted).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn after_a_write_with_an_unknown_end_a_run_looks_live() // E25, F40, Q36
{
    let (server, backend) = ground();
    let (_callback, mut told) = record(&backend, "c");
    backend.start().await.unwrap();
    unsure(&server, &backend).await;
    while told.try_recv().is_ok() {}
    backend.trigger::<ConfigMap>(("default", "a"), Duration::ZERO).unwrap();
    let seen = next(&mut told).await;
    assert_eq!((seen.value.as_deref(), seen.failures), (Some("2"), 0));
}

#[tokio::test(start_paused = true)]
async fn a_look_that_hangs_holds_up_no_pause_and_the_key_waits_for_the_next_start() // G11
{
    let (server, backend) = ground();
    let (_callback, mut told) = record(&backend, "c");
    backend.start().await.unwrap();
    unsure(&server, &backend).await;
    while told.try_recv().is_ok() {}
    server.inject(Fault::hang().on("get").of("configmaps").always());
    backend.trigger::<ConfigMap>(("default", "a"), Duration::ZERO).unwrap();
    sleep(Duration::from_secs(1)).await;
    timeout(Duration::from_secs(1), backend.pause()).await.expect("no callback runs");
    silent(&mut told, Duration::from_secs(60)).await;
    server.clear_faults();
    backend.start().await.unwrap();
    assert_eq!(next(&mut told).await.value.as_deref(), Some("2"));
}

#[tokio::test(start_paused = true)]
async fn what_left_the_selector_and_came_back_was_not_there_before() // E4, B9
{
    let server = ApiServer::new();
    let web: Selector = [("app".to_owned(), "web".to_owned())].into_iter().collect();
    let backend = KubeBackend::with_client(server.client()).labels(web).build();
    let gate = Gate::new();
    let (tell, mut told) = unbounded_channel();
    let inside = gate.clone();
    backend
        .watcher("c", move |change: Change<ConfigMap>| {
            let (told, gate) = (tell.send(Told::of(&change)), inside.clone());
            async move {
                told?;
                gate.pass().await;
                Ok(())
            }
        })
        .unwrap();
    backend.start().await.unwrap();
    let labelled = |app: &str| {
        json!({ "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "a", "namespace": "default", "labels": { "app": app } } })
    };
    server.create(&labelled("web")).unwrap();
    assert!(next(&mut told).await.has_object);
    for app in ["db", "web"] {
        server.update(&labelled(app)).unwrap();
        sleep(Duration::from_secs(1)).await;
    }
    gate.open();
    let back = next(&mut told).await;
    assert!(back.has_object && back.last_known.is_none(), "{back:?}");
    gate.open();
}

#[tokio::test(start_paused = true)]
async fn of_a_key_whose_namespace_leaves_while_it_waits_nobody_is_told_and_nothing_is_kept() // F25
{
    let server = ApiServer::new();
    let backend =
        KubeBackend::with_client(server.client()).namespaces(["default", "kube-system"]).workers(1).build();
    let gate = Gate::hold(&backend);
    let (_callback, mut told) = record(&backend, "c");
    backend.start().await.unwrap();
    backend.trigger::<ConfigMap>(("default", "a"), Duration::ZERO).unwrap();
    gate.entered().await;
    let there = json!({ "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "b", "namespace": "kube-system" } });
    server.create(&there).unwrap();
    sleep(Duration::from_secs(1)).await;
    backend.trigger::<ConfigMap>(("kube-system", "c"), Duration::from_secs(30)).unwrap();
    backend.remove_namespace("kube-system");
    gate.open();
    assert_eq!(next(&mut told).await.name, "a");
    silent(&mut told, Duration::from_secs(3600)).await;
    let stats = backend.queue_stats(&ConfigMap::kind_of()).unwrap();
    assert_eq!((stats.ready, stats.delayed, stats.running, stats.failures), (0, 0, 0, 0), "{stats:?}");
}

/// Counts what is logged as a warning or worse.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<usize>>);

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        *self.0.lock().unwrap() += usize::from(*event.metadata().level() <= Level::WARN);
    }
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_retried_and_wakes_nobody() // E11, Q37
{
    let (_server, backend) = ground();
    let warnings = Warnings::default();
    let _listening = listen(Registry::default().with(warnings.clone()));
    let theirs = backend.downgrade();
    let (tell, mut told) = unbounded_channel();
    backend
        .watcher("writes", move |change: Change<ConfigMap>| {
            let (theirs, tell) = (theirs.clone(), tell.clone());
            async move {
                tell.send(change.failures)?;
                let backend = theirs.upgrade().ok_or("gone")?;
                if change.failures == 0 {
                    let mut stale = map_with("a", "3");
                    stale.metadata.resource_version = Some("1".into());
                    backend.update(&stale).await.map_err(|error| BoxError::from(Wrapped(error)))?;
                }
                Ok::<_, BoxError>(())
            }
        })
        .unwrap();
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    assert_eq!((told.recv().await, told.recv().await), (Some(0), Some(1)));
    assert_eq!(*warnings.0.lock().unwrap(), 0);
}

/// An error of a user's own around ours.
#[derive(Debug)]
struct Wrapped(nah_backend::client::Error);

impl std::fmt::Display for Wrapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cannot write")
    }
}

impl std::error::Error for Wrapped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}
