//! Triggers: now, later, earliest first, and what is refused.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use nah_backend::{KubeBackend, core::Causes, prelude::*, trigger::TriggerError};
use nah_testing::ApiServer;
use tokio::time::{Instant, sleep};

use crate::ground::{ground, map, next, record, silent, starting};

const A: (&str, &str) = ("default", "a");

#[tokio::test(start_paused = true)]
async fn of_many_delays_the_earliest_fires_once() // D6, D7
{
    let (_server, backend) = ground();
    let (_callback, mut told) = record(&backend, "c");
    backend.start().await.unwrap();
    let start = Instant::now();
    for seconds in [4, 1, 2, 8] {
        backend.trigger::<ConfigMap>(A, Duration::from_secs(seconds)).unwrap();
    }
    assert_eq!((next(&mut told).await.at - start).as_secs(), 1);
    silent(&mut told, Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn an_immediate_one_leaves_the_delayed_one_alone() // D5, D9
{
    let (_server, backend) = ground();
    let (_callback, mut told) = record(&backend, "c");
    backend.start().await.unwrap();
    let start = Instant::now();
    backend.trigger::<ConfigMap>(A, Duration::from_secs(10)).unwrap();
    backend.trigger::<ConfigMap>(A, Duration::ZERO).unwrap();
    assert_eq!((next(&mut told).await.at - start).as_secs(), 0);
    assert_eq!((next(&mut told).await.at - start).as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn before_start_they_wait_and_delays_count_from_the_call() // D17, D18, Q26
{
    let (_server, backend) = ground();
    let (_callback, mut told) = record(&backend, "c");
    let start = Instant::now();
    backend.trigger::<ConfigMap>(A, Duration::from_secs(10)).unwrap();
    backend.trigger::<ConfigMap>(("default", "b"), Duration::ZERO).unwrap();
    backend.trigger::<ConfigMap>(("default", "b"), Duration::ZERO).unwrap();
    sleep(Duration::from_secs(7)).await;
    backend.start().await.unwrap();
    assert_eq!(next(&mut told).await.name, "b");
    let delayed = next(&mut told).await;
    assert_eq!((delayed.name.as_str(), (delayed.at - start).as_secs()), ("a", 10));
    silent(&mut told, Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn a_delay_can_be_taken_back() {
    let (_server, backend) = ground();
    let (_callback, mut told) = record(&backend, "c");
    backend.start().await.unwrap();
    backend.trigger::<ConfigMap>(A, Duration::from_secs(10)).unwrap();
    assert!(backend.cancel_for_kind(&ConfigMap::kind_of(), &A.into()).unwrap());
    assert!(!backend.cancel_for_kind(&ConfigMap::kind_of(), &A.into()).unwrap());
    silent(&mut told, Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn are_allowed_from_inside_a_callback_for_its_own_key() // D20, G17
{
    let (_server, backend) = ground();
    let (_callback, mut told) = record(&backend, "c");
    let trigger = backend.trigger_handle();
    backend
        .watcher("again", move |change: Change<ConfigMap>| {
            let causes = change.causes;
            let sent =
                (causes == Causes::EVENT).then(|| trigger.trigger::<ConfigMap>(&change.key, Duration::ZERO));
            async move { Ok(sent.transpose().map(drop)?) }
        })
        .unwrap();
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    assert_eq!(next(&mut told).await.causes, Causes::EVENT);
    assert_eq!(next(&mut told).await.causes, Causes::TRIGGER);
    silent(&mut told, Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn are_accepted_from_a_thread_without_a_runtime() {
    let (_server, backend) = ground();
    let (_callback, mut told) = record(&backend, "c");
    backend.start().await.unwrap();
    let trigger = backend.trigger_handle();
    std::thread::spawn(move || trigger.trigger::<ConfigMap>(A, Duration::ZERO)).join().unwrap().unwrap();
    assert_eq!(next(&mut told).await.name, "a");
}

#[tokio::test(start_paused = true)]
async fn for_a_kind_that_nobody_watches_are_an_error() // D19, Q25
{
    let (server, backend) = ground();
    backend.start().await.unwrap();
    let error = backend.trigger::<Pod>(A, Duration::ZERO).unwrap_err();
    assert!(matches!(&error, TriggerError::NoCallback { gvk } if gvk.kind == "Pod"), "{error}");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(server.journal().count("list", "pods") + server.journal().count("watch", "pods"), 0);
}

#[tokio::test(start_paused = true)]
async fn of_a_malformed_key_are_an_error_that_names_it() // A1
{
    let (_server, backend) = ground();
    record(&backend, "c");
    for (key, text) in [(("a", "b/c"), "a/b/c"), (("a", ""), "no name"), (("", ""), "no name")] {
        let error = backend.trigger::<ConfigMap>(key, Duration::ZERO).unwrap_err();
        assert!(matches!(error, TriggerError::Key { .. }), "{error}");
        assert!(error.to_string().contains("ConfigMap") && error.to_string().contains(text), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn outside_the_cached_namespaces_are_an_error() // F25
{
    let server = ApiServer::new();
    let backend = KubeBackend::with_client(server.client()).namespaces(["kube-system"]).build();
    record(&backend, "c");
    backend.watcher("nodes", |_: Change<Node>| async { Ok(()) }).unwrap();
    let error = backend.trigger::<ConfigMap>(A, Duration::ZERO).unwrap_err();
    assert!(matches!(&error, TriggerError::OutsideScope { .. }), "{error}");
    assert!(error.to_string().contains("default/a") && error.to_string().contains("ConfigMap"), "{error}");
    backend.start().await.unwrap();
    backend.trigger::<ConfigMap>(("kube-system", "a"), Duration::ZERO).unwrap();
    backend.trigger::<Node>(ObjectKey::cluster("n"), Duration::ZERO).unwrap();
}

#[tokio::test(start_paused = true)]
async fn after_a_shutdown_are_an_error() // D19, Q21
{
    let (_server, backend) = ground();
    record(&backend, "c");
    let handle = backend.trigger_handle();
    backend.start().await.unwrap();
    backend.shutdown(Duration::ZERO).await;
    assert!(matches!(backend.trigger::<ConfigMap>(A, Duration::ZERO), Err(TriggerError::Stopped)));
    assert!(matches!(handle.trigger::<ConfigMap>(A, Duration::ZERO), Err(TriggerError::Stopped)));
    drop(backend);
    assert!(matches!(handle.trigger::<ConfigMap>(A, Duration::ZERO), Err(TriggerError::Stopped)));
}

#[tokio::test(start_paused = true)]
async fn never_wait_for_a_kind_that_does_not_sync() // D21, Q27
{
    let (server, backend) = ground();
    server.inject(nah_testing::Fault::hang().of("configmaps").always());
    record(&backend, "c");
    let backend = Arc::new(backend);
    let starting = starting(&backend);
    sleep(Duration::from_secs(1)).await;
    let before = Instant::now();
    backend.trigger::<ConfigMap>(A, Duration::ZERO).unwrap();
    assert_eq!(before.elapsed(), Duration::ZERO);
    starting.abort();
}
