//! Starts, pauses, shutdowns, callbacks and kinds that come while another is under way.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use nah_backend::{KindOptions, KubeBackend, core::BoxError, prelude::*, watch::Requeue};
use nah_testing::{ApiServer, Fault};
use serde_json::json;
use tokio::{
    sync::mpsc::unbounded_channel,
    time::{sleep, timeout},
};

use crate::ground::{Gate, LONG, Told, ground, map, next, pausing, record, silent, starting};

#[tokio::test(start_paused = true)]
async fn a_callback_added_during_a_pause_is_shown_what_is_there_after_it() // E18
{
    let (_server, backend) = ground();
    let (_first, mut first) = record(&backend, "first");
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    next(&mut first).await;
    backend.pause().await;
    let (_late, mut late) = record(&backend, "late");
    silent(&mut late, Duration::from_secs(60)).await;
    backend.start().await.unwrap();
    assert_eq!(next(&mut late).await.name, "a");
    silent(&mut first, Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn a_callback_added_while_a_namespace_is_not_synced_is_shown_what_is_there() // E18
{
    let server = ApiServer::new();
    let backend = KubeBackend::with_client(server.client()).namespaces(["default", "kube-public"]).build();
    let (_first, mut first) = record(&backend, "first");
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    next(&mut first).await;
    server.inject(Fault::answer(403).of("configmaps").in_namespace("kube-system").always());
    backend.add_namespace("kube-system").unwrap();
    sleep(Duration::from_secs(1)).await;
    let (_late, mut late) = record(&backend, "late");
    assert_eq!(next(&mut late).await.name, "a");
}

#[tokio::test(start_paused = true)]
async fn a_second_pause_waits_for_what_runs_too() {
    let (_server, backend) = ground();
    let gate = Gate::taken(&backend).await;
    assert!(timeout(Duration::from_secs(1), backend.pause()).await.is_err());
    assert!(timeout(Duration::from_secs(1), backend.pause()).await.is_err(), "it still runs");
    gate.open();
    timeout(LONG, backend.pause()).await.expect("it ends");
}

#[tokio::test(start_paused = true)]
async fn a_start_from_inside_a_callback_that_a_pause_waits_for_ends() // G17
{
    let (_server, backend) = ground();
    let gate = Gate::new();
    let (inside, weak) = (gate.clone(), backend.downgrade());
    let (tell, mut told) = unbounded_channel();
    backend
        .watcher("starts", move |change: Change<ConfigMap>| {
            let (gate, weak, tell) = (inside.clone(), weak.clone(), tell.clone());
            async move {
                gate.pass().await;
                weak.upgrade().ok_or("gone")?.start().await?;
                tell.send(Told::of(&change))?;
                Ok::<_, BoxError>(())
            }
        })
        .unwrap();
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    gate.entered().await;
    let pausing = pausing(&backend);
    sleep(Duration::from_secs(1)).await;
    gate.open();
    assert_eq!(next(&mut told).await.name, "a");
    timeout(LONG, pausing).await.expect("it ends").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pause_does_not_wait_for_a_start_that_waits_for_a_kind() {
    let server = ApiServer::new();
    server.inject(Fault::answer(403).of("secrets").always());
    let backend = KubeBackend::with_client(server.client()).build();
    let (_callback, mut told) = record(&backend, "c");
    backend.informer::<Secret>().unwrap();
    let starting = starting(&backend);
    sleep(Duration::from_secs(1)).await;
    timeout(Duration::from_secs(1), backend.pause()).await.expect("there is nothing to wait for");
    server.clear_faults();
    backend.create(&map("a")).await.unwrap();
    silent(&mut told, Duration::from_secs(600)).await;
    assert!(starting.await.unwrap().is_err(), "it has not started anything");
    backend.start().await.unwrap();
    assert_eq!(next(&mut told).await.name, "a");
}

#[tokio::test(start_paused = true)]
async fn keys_of_a_kind_that_does_not_sync_hold_up_nobody() // E15, E3
{
    let server = ApiServer::new();
    server.inject(Fault::answer(403).of("secrets").always());
    let backend = KubeBackend::with_client(server.client())
        .kind::<Secret>(KindOptions::default().optional())
        .callbacks_at_once(2)
        .build();
    let (_callback, mut told) = record(&backend, "c");
    let (tell, mut secrets) = unbounded_channel();
    backend
        .watcher("secrets", move |change: Change<Secret>| {
            let tell = tell.clone();
            async move { Ok(tell.send(change.key)?) }
        })
        .unwrap();
    backend.start().await.unwrap();
    for name in ["a", "b", "c"] {
        backend.trigger::<Secret>(("default", name), Duration::ZERO).unwrap();
    }
    sleep(Duration::from_secs(1)).await;
    backend.create(&map("a")).await.unwrap();
    assert_eq!(next(&mut told).await.name, "a");
    timeout(Duration::from_secs(1), backend.pause()).await.expect("no callback runs");
    backend.start().await.unwrap();
    assert!(secrets.try_recv().is_err());
    server.clear_faults();
    for _ in 0..3 {
        timeout(LONG, secrets.recv()).await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_kind_without_workers_has_one() {
    let server = ApiServer::new();
    let mut options = KindOptions::default();
    options.workers = Some(0);
    let backend = KubeBackend::with_client(server.client()).kind::<ConfigMap>(options).build();
    let (_callback, mut told) = record(&backend, "c");
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    assert_eq!(next(&mut told).await.name, "a");
}

#[tokio::test(start_paused = true)]
async fn a_key_without_a_namespace_is_not_told_as_gone() {
    let (_server, backend) = ground();
    let (_callback, mut told) = record(&backend, "c");
    backend.start().await.unwrap();
    backend.trigger::<ConfigMap>(ObjectKey::cluster("a"), Duration::ZERO).unwrap_err();
    silent(&mut told, Duration::from_secs(60)).await;
    assert_eq!(backend.queue_stats(&ConfigMap::kind_of()).unwrap().delayed, 0);
}

#[tokio::test(start_paused = true)]
async fn a_malformed_key_triggered_before_the_start_is_dropped() {
    let (_server, backend) = ground();
    let (_callback, mut told) = record(&backend, "c");
    let _ = backend.trigger::<ConfigMap>(ObjectKey::cluster("a"), Duration::ZERO);
    backend.start().await.unwrap();
    silent(&mut told, Duration::from_secs(60)).await;
    let stats = backend.queue_stats(&ConfigMap::kind_of()).unwrap();
    assert_eq!((stats.delayed, stats.ready), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_kind_removed_while_a_key_waits_is_not_begun_again() // G18
{
    let server = ApiServer::new();
    let backend = KubeBackend::with_client(server.client()).callbacks_at_once(1).build();
    let gate = Gate::hold(&backend);
    let secrets = Arc::new(AtomicUsize::new(0));
    let count = secrets.clone();
    backend
        .watcher("secrets", move |_: Change<Secret>| {
            count.fetch_add(1, Ordering::SeqCst);
            async { Ok(()) }
        })
        .unwrap();
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    gate.entered().await;
    backend.trigger::<Secret>(("default", "s"), Duration::ZERO).unwrap();
    sleep(Duration::from_secs(1)).await;
    backend.remove_kind(&Secret::kind_of());
    gate.open();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(secrets.load(Ordering::SeqCst), 0);
    let kinds: Vec<_> = backend.status().into_iter().map(|status| status.gvk.kind).collect();
    assert_eq!(kinds, ["ConfigMap"]);
}

#[tokio::test(start_paused = true)]
async fn a_kind_removed_and_added_again_does_not_run_a_key_twice_at_once() // D2
{
    let (_server, backend) = ground();
    let gate = Gate::taken(&backend).await;
    backend.remove_kind(&ConfigMap::kind_of());
    let (_callback, mut told) = record(&backend, "again");
    silent(&mut told, Duration::from_secs(60)).await;
    gate.open();
    assert_eq!(next(&mut told).await.name, "a");
}

#[tokio::test(start_paused = true)]
async fn a_late_callback_with_a_crowd_costs_a_visit_each() {
    let (server, backend) = ground();
    for at in 0..500 {
        let map = json!({ "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": format!("m-{at}"), "namespace": "default" } });
        server.create(&map).unwrap();
    }
    let (_first, mut first) = record(&backend, "first");
    backend.start().await.unwrap();
    for _ in 0..500 {
        next(&mut first).await;
    }
    let (_late, mut late) = record(&backend, "late");
    for _ in 0..500 {
        next(&mut late).await;
    }
    silent(&mut first, Duration::from_secs(60)).await;
    silent(&mut late, Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn the_longest_delay_is_a_delay_like_any_other() // D4
{
    let (_server, backend) = ground();
    let (tell, mut told) = unbounded_channel();
    backend
        .watcher("c", move |change: Change<ConfigMap>| {
            let told = tell.send(Told::of(&change));
            async move {
                told?;
                Ok(Requeue(Duration::MAX))
            }
        })
        .unwrap();
    backend.start().await.unwrap();
    backend.trigger::<ConfigMap>(("default", "a"), Duration::MAX).unwrap();
    silent(&mut told, Duration::from_secs(86_400)).await;
    backend.trigger::<ConfigMap>(("default", "a"), Duration::ZERO).unwrap();
    assert_eq!(next(&mut told).await.name, "a");
    assert_eq!(backend.queue_stats(&ConfigMap::kind_of()).unwrap().delayed, 1);
    assert!(backend.cancel::<ConfigMap>(("default", "a")).unwrap());
    assert_eq!(backend.shutdown(Duration::MAX).await.keys_left, 0);
}

#[tokio::test(start_paused = true)]
async fn a_callback_added_from_a_thread_without_a_runtime_runs() // E20
{
    let (_server, backend) = ground();
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    let theirs = backend.clone();
    let (_registration, mut told) = std::thread::spawn(move || record(&theirs, "c")).join().unwrap();
    assert_eq!(next(&mut told).await.name, "a");
}
