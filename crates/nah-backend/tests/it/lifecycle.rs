//! preload, start, pause, shutdown.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use nah_backend::{KindOptions, KubeBackend, StartError, client, core::BoxError, prelude::*};
use nah_testing::{ApiServer, Fault};
use serde_json::json;
use tokio::{
    sync::mpsc::unbounded_channel,
    time::{sleep, timeout},
};

use crate::ground::{Gate, LONG, Told, ground, map, next, pausing, record, silent};

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_of_the_server_before_a_preload() // G1
{
    let (server, backend) = ground();
    record(&backend, "c");
    backend.informer::<Pod>().unwrap();
    backend.index_path::<Secret>("type").unwrap();
    backend.owns::<ConfigMap, Secret>().unwrap();
    backend.trigger::<ConfigMap>(("default", "a"), Duration::ZERO).unwrap();
    sleep(Duration::from_secs(60)).await;
    assert!(server.journal().requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn reads_before_a_preload_say_that_nothing_is_started() // F6
{
    let (server, backend) = ground();
    server.create(&json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a", "namespace": "default" } })).unwrap();
    assert!(matches!(backend.get::<ConfigMap>(("default", "a")).await, Err(client::Error::NotStarted)));
    assert!(matches!(
        backend.list::<ConfigMap>(ListOptions::default()).await,
        Err(client::Error::NotStarted)
    ));
    backend.start().await.unwrap();
    backend.get::<ConfigMap>(("default", "a")).await.unwrap();
    assert_eq!(
        server.journal().count("list", "configmaps") + server.journal().count("watch", "configmaps"),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_preload_fills_the_cache_and_calls_nobody_back() // G3, G6, Q23
{
    let (_server, backend) = ground();
    backend.create(&map("a")).await.unwrap();
    let (_callback, mut told) = record(&backend, "c");
    backend.preload().await.unwrap();
    assert_eq!(backend.list::<ConfigMap>(ListOptions::default()).await.unwrap().len(), 1);
    let (_late, mut told_late) = record(&backend, "late");
    silent(&mut told, Duration::from_secs(60)).await;
    silent(&mut told_late, Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn a_start_after_a_preload_lists_nothing_again() // G4
{
    let (server, backend) = ground();
    for name in ["a", "b"] {
        backend.create(&map(name)).await.unwrap();
    }
    let (_callback, mut told) = record(&backend, "c");
    backend.preload().await.unwrap();
    backend.delete(&map("a")).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    server.journal().clear();
    backend.start().await.unwrap();
    assert_eq!(next(&mut told).await.name, "b");
    silent(&mut told, Duration::from_secs(60)).await;
    assert!(server.journal().requests().is_empty(), "{:?}", server.journal().requests());
}

#[tokio::test(start_paused = true)]
async fn a_second_start_changes_nothing() // G5, Q24
{
    let (server, backend) = ground();
    backend.create(&map("a")).await.unwrap();
    let (_callback, mut told) = record(&backend, "c");
    let (first, second) = tokio::join!(backend.start(), backend.start());
    first.and(second).unwrap();
    backend.start().await.unwrap();
    backend.preload().await.unwrap();
    next(&mut told).await;
    silent(&mut told, Duration::from_secs(60)).await;
    let journal = server.journal();
    assert_eq!(journal.count("list", "configmaps") + journal.count("watch", "configmaps"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_start_without_kinds_succeeds() // G5
{
    let (server, backend) = ground();
    backend.start().await.unwrap();
    assert!(server.journal().requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_start_names_the_kinds_that_are_not_synced_and_why() // G7, G8, Q24
{
    let server = ApiServer::new();
    server.inject(Fault::answer(403).of("secrets").always());
    let limit = Duration::from_secs(90);
    let backend = KubeBackend::with_client(server.client()).sync_timeout(limit).build();
    let (_callback, mut told) = record(&backend, "c");
    backend.informer::<Secret>().unwrap();
    let error = backend.start().await.unwrap_err();
    let StartError::NotSynced(kinds) = &error else { panic!("{error}") };
    assert_eq!(kinds.iter().map(|status| &*status.gvk.kind).collect::<Vec<_>>(), ["Secret"]);
    assert!(error.to_string().contains("Secret") && error.to_string().contains("403"), "{error}");
    backend.create(&map("a")).await.unwrap();
    silent(&mut told, Duration::from_secs(60)).await;

    // What was missing is given: the same backend starts.
    server.clear_faults();
    backend.start().await.unwrap();
    assert_eq!(next(&mut told).await.name, "a");
}

#[tokio::test(start_paused = true)]
async fn an_optional_kind_holds_up_no_start_and_comes_alive_later() // G14, Q20, Q60
{
    #[derive(
        kube::CustomResource, serde::Serialize, serde::Deserialize, Clone, Debug, schemars::JsonSchema,
    )]
    #[kube(group = "example.com", version = "v1", kind = "Gadget", namespaced)]
    struct GadgetSpec {}
    let server = ApiServer::new();
    let backend =
        KubeBackend::with_client(server.client()).kind::<Gadget>(KindOptions::default().optional()).build();
    let (tell, mut told) = unbounded_channel();
    backend
        .watcher("gadgets", move |change: Change<Gadget>| {
            let sent = tell.send(change.key);
            async move { Ok(sent?) }
        })
        .unwrap();
    backend.start().await.unwrap();
    sleep(Duration::from_secs(300)).await;
    let status = backend.status().into_iter().find(|status| status.gvk.kind == "Gadget").unwrap();
    assert!(!status.synced && status.last_error.is_some(), "{status:?}");

    server.create(&serde_json::to_value(<Gadget as kube::CustomResourceExt>::crd()).unwrap()).unwrap();
    let gadget = json!({
        "apiVersion": "example.com/v1", "kind": "Gadget",
        "metadata": { "name": "g", "namespace": "default" }, "spec": {},
    });
    server.create(&gadget).unwrap();
    let key = timeout(Duration::from_secs(120), told.recv()).await.unwrap().unwrap();
    assert_eq!(key, ("default", "g").into());
}

#[tokio::test(start_paused = true)]
async fn a_pause_lets_runs_end_and_keeps_keys_for_the_next_start() // G11, Q21
{
    let (_server, backend) = ground();
    let gate = Gate::new();
    let (tell, mut told) = unbounded_channel();
    let inside = gate.clone();
    backend
        .watcher("slow", move |change: Change<ConfigMap>| {
            let (gate, tell) = (inside.clone(), tell.clone());
            async move {
                gate.pass().await;
                tell.send(Told::of(&change))?;
                Ok(())
            }
        })
        .unwrap();
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    gate.entered().await;

    let pausing = pausing(&backend);
    sleep(Duration::from_secs(5)).await;
    assert!(!pausing.is_finished(), "a pause waits for what runs");
    gate.open();
    pausing.await.unwrap();
    assert_eq!(told.recv().await.unwrap().name, "a");

    backend.create(&map("b")).await.unwrap();
    backend.trigger::<ConfigMap>(("default", "c"), Duration::from_secs(1)).unwrap();
    silent(&mut told, Duration::from_secs(60)).await;
    assert_eq!(backend.list::<ConfigMap>(ListOptions::default()).await.unwrap().len(), 2, "reads stay warm");

    backend.start().await.unwrap();
    for _ in 0..2 {
        gate.open();
        gate.entered().await;
        next(&mut told).await;
    }
    silent(&mut told, Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn a_pause_from_inside_a_callback_does_not_wait_for_it() {
    let (_server, backend) = ground();
    let weak = backend.downgrade();
    let (tell, mut told) = unbounded_channel();
    backend
        .watcher("pauses", move |change: Change<ConfigMap>| {
            let (weak, tell) = (weak.clone(), tell.clone());
            async move {
                weak.upgrade().ok_or("gone")?.pause().await;
                tell.send(Told::of(&change))?;
                Ok(())
            }
        })
        .unwrap();
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    next(&mut told).await;
    backend.create(&map("b")).await.unwrap();
    silent(&mut told, Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn a_removed_kind_starts_afresh_at_its_next_use() // G18
{
    let (server, backend) = ground();
    let (_callback, mut told) = record(&backend, "c");
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    next(&mut told).await;
    backend.remove_kind(&ConfigMap::kind_of());
    assert!(told.recv().await.is_none(), "its callbacks are dropped");
    server.journal().clear();
    let (_callback, mut told) = record(&backend, "c");
    assert_eq!(next(&mut told).await.name, "a");
    assert_eq!(
        server.journal().count("list", "configmaps") + server.journal().count("watch", "configmaps"),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn callbacks_may_call_everything_also_during_a_start() // G17
{
    let (_server, backend) = ground();
    backend.create(&map("a")).await.unwrap();
    let (tell, mut told) = unbounded_channel();
    let weak = backend.downgrade();
    backend
        .watcher("busy", move |change: Change<ConfigMap>| {
            let (weak, tell) = (weak.clone(), tell.clone());
            async move {
                let backend = weak.upgrade().ok_or("gone")?;
                if change.key.name() == "a" {
                    backend.start().await?;
                    backend.list::<Pod>(ListOptions::default()).await?;
                    backend.create(&map("b")).await?;
                    backend.informer::<Secret>()?.wait_for_sync().await?;
                    backend.watcher("late", |_: Change<Secret>| async { Ok(()) })?;
                    backend.trigger::<Secret>(&change.key, Duration::ZERO)?;
                }
                tell.send(Told::of(&change))?;
                Ok::<_, BoxError>(())
            }
        })
        .unwrap();
    backend.start().await.unwrap();
    let names = [next(&mut told).await.name, next(&mut told).await.name];
    assert!(names.contains(&"a".to_owned()) && names.contains(&"b".to_owned()), "{names:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pause_comes_between_two_keys_of_one_worker() // G11, Q21
{
    let server = ApiServer::new();
    let backend = KubeBackend::with_client(server.client())
        .kind::<ConfigMap>(KindOptions::default().workers(1))
        .build();
    let gate = Gate::taken(&backend).await;
    for name in ["b", "c"] {
        backend.trigger::<ConfigMap>(("default", name), Duration::ZERO).unwrap();
    }
    let pause = pausing(&backend);
    tokio::task::yield_now().await;
    gate.open();
    timeout(LONG, pause).await.unwrap().unwrap();
    assert!(timeout(LONG, gate.came()).await.is_err(), "another key was worked on");
    assert_eq!(backend.queue_stats(&ConfigMap::kind_of()).unwrap().ready, 2);
    backend.start().await.unwrap();
    for _ in ["b", "c"] {
        gate.entered().await;
        gate.open();
    }
}
