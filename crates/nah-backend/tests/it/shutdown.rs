//! Shutdowns: what they wait for, what they cut off, and what is left after them.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use nah_backend::{
    KubeBackend, StartError, cache::CacheError, client, core::BoxError, prelude::*, watch::WatchError,
};
use nah_testing::{ApiServer, Fault};
use tokio::{
    runtime::Handle,
    sync::{Notify, mpsc::unbounded_channel},
    time::{sleep, timeout},
};

use crate::ground::{Gate, LONG, ending, ground, map, pausing, record, starting};

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_what_runs() // G9, D27
{
    let (_server, backend) = ground();
    let gate = Gate::hold(&backend);
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    backend.trigger::<ConfigMap>(("default", "later"), Duration::from_secs(3600)).unwrap();
    gate.entered().await;
    let ending = ending(&backend, LONG);
    sleep(Duration::from_secs(5)).await;
    assert!(!ending.is_finished());
    gate.open();
    let left = ending.await.unwrap();
    assert_eq!((left.cut_off.len(), left.blocked.len(), left.keys_left), (0, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_cuts_off_what_does_not_end_in_time_and_names_it() // G9
{
    let (_server, backend) = ground();
    Gate::taken(&backend).await;
    let left = backend.shutdown(Duration::from_secs(20)).await;
    assert_eq!(left.cut_off, [("held".into(), (*ConfigMap::kind_of()).clone(), ("default", "a").into())]);
    assert_eq!(left.keys_left, 1, "the key that was cut off is still to be done");
    assert!(left.blocked.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_names_what_it_cuts_off_of_a_kind_that_was_removed() // G9, G18
{
    let (_server, backend) = ground();
    Gate::taken(&backend).await;
    backend.remove_kind(&ConfigMap::kind_of());
    let (_again, _told) = record(&backend, "again");
    backend.remove_kind(&ConfigMap::kind_of());
    let left = backend.shutdown(Duration::from_secs(20)).await;
    assert_eq!(left.cut_off, [("held".into(), (*ConfigMap::kind_of()).clone(), ("default", "a").into())]);
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
    let starting = starting(&backend);
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
async fn a_shutdown_that_was_dropped_is_finished_by_the_next() {
    let (_server, backend) = ground();
    Gate::taken(&backend).await;
    assert!(timeout(Duration::from_secs(1), backend.shutdown(LONG)).await.is_err());
    let left = timeout(LONG, backend.shutdown(Duration::from_secs(1))).await.expect("it ends");
    assert_eq!(left.cut_off.len(), 1);
}

/// A backend with a callback that calls for a shutdown when it is let go, and then never ends.
async fn ends_from_inside(grace: Duration) -> (ApiServer, KubeBackend, Gate) {
    let (server, backend) = ground();
    let gate = Gate::new();
    let (inside, weak) = (gate.clone(), backend.downgrade());
    let callback = move |_: Change<ConfigMap>| {
        let (gate, weak) = (inside.clone(), weak.clone());
        async move {
            gate.pass().await;
            if let Some(backend) = weak.upgrade() {
                backend.shutdown(grace).await;
            }
            std::future::pending::<Result<(), BoxError>>().await
        }
    };
    backend.watcher("never ends", callback).unwrap();
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    gate.entered().await;
    (server, backend, gate)
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_that_was_dropped_is_finished_by_one_from_inside() {
    let (_server, backend, gate) = ends_from_inside(Duration::from_secs(1)).await;
    assert!(timeout(Duration::from_secs(1), backend.shutdown(LONG)).await.is_err());
    gate.open();
    sleep(Duration::from_secs(10)).await;
    assert!(backend.downgrade().upgrade().is_none(), "it has ended");
}

#[tokio::test(start_paused = true)]
async fn every_shutdown_tells_what_was_cut_off_by_whichever_had_least_time() // G9
{
    let before = Handle::current().metrics().num_alive_tasks();
    let (server, backend, gate) = ends_from_inside(Duration::from_secs(1)).await;
    backend.trigger::<ConfigMap>(("default", "later"), LONG).unwrap();
    let first = ending(&backend, LONG);
    sleep(Duration::from_secs(5)).await;
    gate.open();
    let second = ending(&backend, LONG);
    let begun = tokio::time::Instant::now();
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    assert_eq!(Handle::current().metrics().num_alive_tasks(), before, "also those of the one from inside");
    assert!(begun.elapsed() < Duration::from_secs(5));
    let third = backend.shutdown(LONG).await;
    for left in [first, second, third] {
        let named = ("never ends".to_owned(), (*ConfigMap::kind_of()).clone(), ("default", "a").into());
        assert_eq!((left.cut_off, left.keys_left, left.tasks_left), (vec![named], 2, 0));
    }
    drop(server);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_cuts_off_what_a_pause_waits_for() {
    let (_server, backend) = ground();
    Gate::taken(&backend).await;
    let pausing = pausing(&backend);
    sleep(Duration::from_secs(1)).await;
    let left = timeout(LONG, backend.shutdown(Duration::from_secs(5))).await.expect("it ends");
    assert_eq!(left.cut_off.len(), 1);
    timeout(LONG, pausing).await.expect("it ends").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_of_another_backend_from_inside_a_callback_waits_for_it() {
    let (_server, backend) = ground();
    let (_other_server, other) = ground();
    let gate = Gate::hold(&other);
    other.start().await.unwrap();
    other.create(&map("b")).await.unwrap();
    gate.entered().await;
    let (tell, mut told) = unbounded_channel();
    let theirs = other.clone();
    backend
        .watcher("ends another", move |_: Change<ConfigMap>| {
            let (theirs, tell) = (theirs.clone(), tell.clone());
            async move {
                tell.send(theirs.shutdown(Duration::from_secs(1)).await.cut_off.len())?;
                Ok::<_, BoxError>(())
            }
        })
        .unwrap();
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    assert_eq!(timeout(LONG, told.recv()).await.unwrap(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn triggers_of_callbacks_during_a_shutdown_are_refused_and_end_nothing() // D10, D19
{
    let (_server, backend) = ground();
    let gate = Gate::new();
    let (inside, weak) = (gate.clone(), backend.downgrade());
    let (tell, mut told) = unbounded_channel();
    backend
        .watcher("c", move |change: Change<ConfigMap>| {
            let (gate, weak, tell) = (inside.clone(), weak.clone(), tell.clone());
            async move {
                gate.pass().await;
                let backend = weak.upgrade().ok_or("gone")?;
                tell.send(backend.trigger::<ConfigMap>(&change.key, Duration::ZERO).is_err())?;
                assert!(backend.watcher("late", |_: Change<ConfigMap>| async { Ok(()) }).is_err());
                assert!(
                    backend.get::<ConfigMap>(&change.key).await.is_ok(),
                    "reads go on until it has ended"
                );
                Ok::<_, BoxError>(())
            }
        })
        .unwrap();
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    gate.entered().await;
    let ending = ending(&backend, LONG);
    sleep(Duration::from_secs(1)).await;
    gate.open();
    let left = timeout(LONG, ending).await.unwrap().unwrap();
    assert_eq!(told.recv().await, Some(true));
    assert_eq!((left.cut_off.len(), left.keys_left), (0, 0), "it succeeded");
}
