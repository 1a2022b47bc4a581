//! preload, start, pause, shutdown.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use nah_backend::{
    KindOptions, KubeBackend, StartError, cache::CacheError, client, core::BoxError, prelude::*,
    watch::WatchError,
};
use nah_testing::{ApiServer, Fault};
use serde_json::json;
use tokio::{
    runtime::Handle,
    sync::{Notify, mpsc::unbounded_channel},
    time::{sleep, timeout},
};

use crate::ground::{Told, ground, map, next, record, silent};

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
    let (entered, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, mut told) = unbounded_channel();
    let (inside, wait) = (entered.clone(), go.clone());
    backend
        .watcher("slow", move |change: Change<ConfigMap>| {
            let (inside, wait, tell) = (inside.clone(), wait.clone(), tell.clone());
            async move {
                inside.notify_one();
                wait.notified().await;
                tell.send(Told::of(&change))?;
                Ok(())
            }
        })
        .unwrap();
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    entered.notified().await;

    let pausing = tokio::spawn({
        let backend = backend.clone();
        async move { backend.pause().await }
    });
    sleep(Duration::from_secs(5)).await;
    assert!(!pausing.is_finished(), "a pause waits for what runs");
    go.notify_one();
    pausing.await.unwrap();
    assert_eq!(told.recv().await.unwrap().name, "a");

    backend.create(&map("b")).await.unwrap();
    backend.trigger::<ConfigMap>(("default", "c"), Duration::from_secs(1)).unwrap();
    silent(&mut told, Duration::from_secs(60)).await;
    assert_eq!(backend.list::<ConfigMap>(ListOptions::default()).await.unwrap().len(), 2, "reads stay warm");

    backend.start().await.unwrap();
    for _ in 0..2 {
        go.notify_one();
        entered.notified().await;
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
async fn a_shutdown_waits_for_what_runs() // G9, D27
{
    let (_server, backend) = ground();
    let (entered, done) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let (inside, count) = (entered.clone(), done.clone());
    backend
        .watcher("slow", move |_: Change<ConfigMap>| {
            let (inside, count) = (inside.clone(), count.clone());
            async move {
                inside.notify_one();
                sleep(Duration::from_secs(5)).await;
                count.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
        })
        .unwrap();
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    backend.trigger::<ConfigMap>(("default", "later"), Duration::from_secs(3600)).unwrap();
    entered.notified().await;
    let left = backend.shutdown(Duration::from_secs(60)).await;
    assert!(left.cut_off.is_empty());
    assert_eq!((done.load(Ordering::SeqCst), left.keys_left), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_cuts_off_what_does_not_end_in_time_and_names_it() {
    let (_server, backend) = ground();
    let entered = Arc::new(Notify::new());
    let inside = entered.clone();
    backend
        .watcher("stuck", move |_: Change<ConfigMap>| {
            let inside = inside.clone();
            async move {
                inside.notify_one();
                std::future::pending::<()>().await;
                Ok(())
            }
        })
        .unwrap();
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    entered.notified().await;
    let left = backend.shutdown(Duration::from_secs(20)).await;
    assert_eq!(left.cut_off, [("stuck".into(), (*ConfigMap::kind_of()).clone(), ("default", "a").into())]);
    assert_eq!(left.keys_left, 1, "the key that was cut off is still to be done");
}

#[tokio::test(start_paused = true)]
async fn after_a_shutdown_no_task_is_left_and_nothing_is_held() // G9, B30, Q24
{
    let before = Handle::current().metrics().num_alive_tasks();
    let (_server, backend) = ground();
    let held = Arc::new(());
    let (in_callback, in_handler, in_index) = (held.clone(), held.clone(), held.clone());
    backend
        .watcher("c", move |_: Change<ConfigMap>| {
            let held = in_callback.clone();
            async move {
                drop(held);
                Ok(())
            }
        })
        .unwrap();
    backend.informer::<Pod>().unwrap().add_event_handler(move |_| drop(in_handler.clone())).unwrap();
    backend
        .index_field("k", move |_: &ConfigMap| {
            let _held = &in_index;
            None::<String>
        })
        .unwrap();
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    backend.trigger::<ConfigMap>(("default", "a"), Duration::from_secs(3600)).unwrap();
    sleep(Duration::from_secs(1)).await;
    assert!(Handle::current().metrics().num_alive_tasks() > before + 3);

    let weak = backend.downgrade();
    backend.shutdown(Duration::from_secs(1)).await;
    assert!(weak.upgrade().is_none());
    assert_eq!(Arc::strong_count(&held), 1, "callback, handler and extractor are dropped");
    drop(backend);
    // What is left is the worker of the client itself, which ends with its last handle.
    sleep(Duration::from_secs(1)).await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), before);
}

#[tokio::test(start_paused = true)]
async fn after_a_shutdown_every_call_says_so() // G10, G11, B20, Q21
{
    let (_server, backend) = ground();
    record(&backend, "c");
    let informer = backend.informer::<ConfigMap>().unwrap();
    backend.start().await.unwrap();
    backend.shutdown(Duration::ZERO).await;

    assert!(matches!(backend.start().await, Err(StartError::Stopped)));
    assert!(matches!(backend.preload().await, Err(StartError::Stopped)));
    let stopped = |error: client::Error| matches!(error, client::Error::Cache(CacheError::Stopped));
    assert!(stopped(backend.get::<ConfigMap>(("default", "a")).await.unwrap_err()));
    assert!(stopped(backend.list::<ConfigMap>(ListOptions::default()).await.unwrap_err()));
    assert!(stopped(backend.get_live::<ConfigMap>(("default", "a")).await.unwrap_err()));
    assert!(stopped(backend.create(&map("a")).await.unwrap_err()));
    assert!(matches!(backend.informer::<Pod>(), Err(CacheError::Stopped)));
    assert!(matches!(informer.add_event_handler(|_| ()), Err(CacheError::Stopped)));
    assert!(matches!(informer.subscribe(), Err(CacheError::Stopped)));
    assert!(matches!(backend.index_path::<Pod>("spec.nodeName"), Err(CacheError::Stopped)));
    let late = backend.watcher("late", |_: Change<ConfigMap>| async { Ok(()) });
    assert!(matches!(late, Err(WatchError::Stopped)));
    let again = backend.shutdown(Duration::from_secs(1)).await;
    assert!(again.cut_off.is_empty() && again.keys_left == 0);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_from_inside_a_callback_signals_and_lets_it_end() {
    let (_server, backend) = ground();
    let weak = backend.downgrade();
    let ended = Arc::new(Notify::new());
    let end = ended.clone();
    backend
        .watcher("ends it", move |_: Change<ConfigMap>| {
            let (weak, end) = (weak.clone(), end.clone());
            async move {
                let Some(backend) = weak.upgrade() else { return Ok(()) };
                backend.shutdown(Duration::from_secs(10)).await;
                drop(backend);
                end.notify_one();
                Ok::<_, BoxError>(())
            }
        })
        .unwrap();
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    ended.notified().await;
    let left = backend.shutdown(Duration::from_secs(10)).await; // waits for the one that was signalled
    assert!(left.cut_off.is_empty());
    assert!(backend.downgrade().upgrade().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_during_a_start_ends_it() // G8, C24
{
    let (server, backend) = ground();
    server.inject(Fault::hang().of("configmaps").always());
    record(&backend, "c");
    let starting = tokio::spawn({
        let backend = backend.clone();
        async move { backend.start().await }
    });
    sleep(Duration::from_secs(1)).await;
    let ending = timeout(Duration::from_secs(5), backend.shutdown(Duration::from_secs(1))).await;
    assert!(ending.is_ok(), "a request that hangs must not hold a shutdown");
    assert!(matches!(starting.await.unwrap(), Err(StartError::Stopped)));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_ends_the_work() {
    let before = Handle::current().metrics().num_alive_tasks();
    let (_server, backend) = ground();
    record(&backend, "c");
    backend.start().await.unwrap();
    drop(backend);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), before);
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
