//! What fails: who is called again, when, and with what.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use nah_backend::{
    core::Causes,
    prelude::*,
    watch::{CallbackOptions, Ignore, Terminal},
};
use tokio::{sync::mpsc::unbounded_channel, time::sleep};

use crate::ground::{Told, ground, map, map_with, next, record, silent};

#[tokio::test(start_paused = true)]
async fn all_run_though_one_fails_and_all_run_again() // E7, E11
{
    let (_server, backend) = ground();
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = tries.clone();
    backend
        .watcher("fails once", move |_: Change<ConfigMap>| {
            let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
            async move { if first { Err("once".into()) } else { Ok(()) } }
        })
        .unwrap();
    let (_callback, mut told) = record(&backend, "second");
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    assert_eq!(next(&mut told).await.failures, 0);
    let again = next(&mut told).await;
    assert_eq!(again.failures, 1);
    assert!(again.causes.contains(Causes::RETRY));
    silent(&mut told, Duration::from_secs(3600)).await;
    assert_eq!(tries.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failing_key_is_retried_after_half_a_second_and_then_twice_as_long_each_time() // D12, D13, D14
{
    let (_server, backend) = ground();
    let (tell, mut told) = unbounded_channel();
    backend
        .watcher("fails", move |change: Change<ConfigMap>| {
            let _ = tell.send(Told::of(&change));
            async move { Err::<(), _>("always".into()) }
        })
        .unwrap();
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    let mut before = next(&mut told).await.at;
    let mut expected = Duration::from_millis(500);
    for failures in 1..=14 {
        let again = next(&mut told).await;
        let waited = again.at - before;
        assert_eq!(again.failures, failures);
        let jitter = expected.mul_f32(0.11) + Duration::from_millis(5);
        assert!(waited + jitter >= expected && waited <= expected + jitter, "{waited:?} for {expected:?}");
        before = again.at;
        expected = (expected * 2).min(Duration::from_secs(900));
    }
}

#[tokio::test(start_paused = true)]
async fn failures_of_one_kind_do_not_slow_another() // D16, Q16
{
    let (_server, backend) = ground();
    backend.watcher("fails", |_: Change<Secret>| async { Err::<(), _>("always".into()) }).unwrap();
    let failed_once = Arc::new(AtomicUsize::new(0));
    let (tell, mut told) = unbounded_channel();
    backend
        .watcher("fails once", move |change: Change<ConfigMap>| {
            let first = failed_once.fetch_add(1, Ordering::SeqCst) == 0;
            let _ = tell.send(Told::of(&change));
            async move { if first { Err("once".into()) } else { Ok(()) } }
        })
        .unwrap();
    backend.start().await.unwrap();
    let secret: Secret =
        serde_json::from_value(serde_json::json!({ "metadata": { "name": "a", "namespace": "default" } }))
            .unwrap();
    backend.create(&secret).await.unwrap();
    sleep(Duration::from_secs(600)).await;
    backend.create(&map("a")).await.unwrap();
    let (first, second) = (next(&mut told).await, next(&mut told).await);
    assert!(second.at - first.at < Duration::from_millis(600), "{:?}", second.at - first.at);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_succeeds_drops_the_pending_retry() // D15, Q58
{
    let (_server, backend) = ground();
    let (tell, mut told) = unbounded_channel();
    backend
        .watcher("fails without a value", move |change: Change<ConfigMap>| {
            let seen = Told::of(&change);
            let fails = seen.value.is_none();
            let _ = tell.send(seen);
            async move { if fails { Err("no value".into()) } else { Ok(()) } }
        })
        .unwrap();
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    next(&mut told).await;
    backend.modify::<ConfigMap>(("default", "a"), |map| map.data = map_with("a", "1").data).await.unwrap();
    assert_eq!(next(&mut told).await.value.as_deref(), Some("1"));
    silent(&mut told, Duration::from_secs(3600)).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_of_that_callback_alone() // E14, Q29
{
    let (_server, backend) = ground();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    backend
        .watcher("panics once", move |_: Change<ConfigMap>| {
            let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                assert!(!first, "a panic of a test");
                Ok(())
            }
        })
        .unwrap();
    let (_callback, mut told) = record(&backend, "second");
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    assert_eq!(next(&mut told).await.failures, 0);
    assert_eq!(next(&mut told).await.failures, 1);
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn an_ignored_error_is_a_success_and_a_terminal_one_is_not_retried() // E12
{
    let (_server, backend) = ground();
    let (tell, mut told) = unbounded_channel();
    let tell_too = tell.clone();
    backend
        .watcher("ignores", move |change: Change<ConfigMap>| {
            let _ = tell.send(Told::of(&change));
            async move { Err::<(), _>(Ignore.into()) }
        })
        .unwrap();
    backend
        .watcher("gives up", move |change: Change<ConfigMap>| {
            let _ = tell_too.send(Told::of(&change));
            async move { Err::<(), _>(Terminal("hopeless".into()).into()) }
        })
        .unwrap();
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    next(&mut told).await;
    next(&mut told).await;
    silent(&mut told, Duration::from_secs(3600)).await;
    backend.trigger::<ConfigMap>(("default", "a"), Duration::ZERO).unwrap();
    assert_eq!(next(&mut told).await.failures, 0);
}

#[tokio::test(start_paused = true)]
async fn the_last_known_object_is_kept_until_a_run_succeeds() {
    let (_server, backend) = ground();
    let (tell, mut told) = unbounded_channel();
    backend
        .watcher("fails twice when gone", move |change: Change<ConfigMap>| {
            let seen = Told::of(&change);
            let fails = !seen.has_object && seen.failures < 2;
            let _ = tell.send(seen);
            async move { if fails { Err("not yet".into()) } else { Ok(()) } }
        })
        .unwrap();
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    next(&mut told).await;
    backend.delete(&map("a")).await.unwrap();
    for failures in 0..3 {
        let gone = next(&mut told).await;
        assert_eq!((gone.failures, gone.last_known.is_some()), (failures, true));
    }
    backend.trigger::<ConfigMap>(("default", "a"), Duration::ZERO).unwrap();
    assert!(next(&mut told).await.last_known.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_object_that_does_not_decode_is_told_as_an_error_and_not_as_an_absence() // E13
{
    let (server, backend) = ground();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    #[derive(
        kube::CustomResource, serde::Serialize, serde::Deserialize, Clone, Debug, schemars::JsonSchema,
    )]
    #[kube(group = "example.com", version = "v1", kind = "Widget", namespaced)]
    struct WidgetSpec {
        size: u32,
    }
    // The server's schema is wider than the type that reads it.
    let mut definition = serde_json::to_value(<Widget as kube::CustomResourceExt>::crd()).unwrap();
    definition["spec"]["versions"][0]["schema"] = serde_json::json!({
        "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true }
    });
    server.create(&definition).unwrap();
    backend
        .watcher("typed", move |_: Change<Widget>| {
            counted.fetch_add(1, Ordering::SeqCst);
            async { Ok(()) }
        })
        .unwrap();
    backend.start().await.unwrap();
    let widget = serde_json::json!({
        "apiVersion": "example.com/v1", "kind": "Widget",
        "metadata": { "name": "w", "namespace": "default" }, "spec": { "size": "large" },
    });
    server.create(&widget).unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(calls.load(Ordering::SeqCst), 0, "a callback that is told nothing destroys nothing");
    let error = backend.get::<Widget>(("default", "w")).await.unwrap_err();
    assert!(!error.is_not_found());
    assert!(error.to_string().contains("Widget default/w at spec.size"), "{error}");
    let dynamic = backend.get_for_kind(&Widget::kind_of(), ("default", "w")).await.unwrap();
    assert_eq!(dynamic.dynamic().unwrap().data["spec"]["size"], "large");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_retried_alone_brings_the_key_back_to_itself_alone() // E11
{
    let (_server, backend) = ground();
    let (_first, mut told_first) = record(&backend, "first");
    let alone = backend.with_options(CallbackOptions::default().retried_alone());
    let (tell, mut told) = unbounded_channel();
    alone
        .watcher("alone", move |change: Change<ConfigMap>| {
            let _ = tell.send(Told::of(&change));
            async move { if change.failures < 3 { Err("not yet".into()) } else { Ok(()) } }
        })
        .unwrap();
    let (_last, mut told_last) = record(&backend, "last");
    backend.start().await.unwrap();
    backend.create(&map_with("a", "1")).await.unwrap();
    for failures in 0..2 {
        let seen = next(&mut told).await;
        assert_eq!((seen.failures, seen.causes.contains(Causes::RETRY)), (failures, failures > 0));
    }
    // A change meanwhile is everybody's, and takes the retry along.
    backend.modify::<ConfigMap>(("default", "a"), |map| map.data = map_with("a", "2").data).await.unwrap();
    let seen = next(&mut told).await;
    assert_eq!((seen.value.as_deref(), seen.failures), (Some("2"), 2));
    assert!(seen.causes.contains(Causes::EVENT | Causes::RETRY), "{seen:?}");
    for told in [&mut told_first, &mut told_last] {
        assert_eq!(next(told).await.value.as_deref(), Some("1"));
        assert_eq!(next(told).await.value.as_deref(), Some("2"));
    }
    while next(&mut told).await.failures < 3 {}
    for told in [&mut told, &mut told_first, &mut told_last] {
        silent(told, Duration::from_secs(3600)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_another_makes_a_retry_alone_one_for_all() // E11
{
    let (_server, backend) = ground();
    let (_first, mut told) = record(&backend, "first");
    let fails = |change: Change<ConfigMap>| async move {
        if change.failures == 0 { Err::<(), _>("once".into()) } else { Ok(()) }
    };
    let alone = backend.with_options(CallbackOptions::default().retried_alone());
    alone.watcher("alone", fails).unwrap();
    backend.watcher("social", fails).unwrap();
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    assert_eq!((next(&mut told).await.failures, next(&mut told).await.failures), (0, 1));
    silent(&mut told, Duration::from_secs(3600)).await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_alone_of_one_that_is_gone_calls_nobody() // E21
{
    let (_server, backend) = ground();
    let (_first, mut told) = record(&backend, "first");
    let alone = backend.with_options(CallbackOptions::default().retried_alone());
    let goes = alone.watcher("goes", |_: Change<ConfigMap>| async { Err::<(), _>("always".into()) }).unwrap();
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    next(&mut told).await;
    goes.unregister();
    silent(&mut told, Duration::from_secs(3600)).await;
    let stats = backend.queue_stats(&ConfigMap::kind_of()).unwrap();
    assert_eq!((stats.delayed, stats.ready, stats.running), (0, 0, 0), "the key is done");
}

#[tokio::test(start_paused = true)]
async fn one_that_takes_longer_than_its_limit_gives_its_place_back_and_is_retried() // E14, E15
{
    let server = nah_testing::ApiServer::new();
    let backend = nah_backend::KubeBackend::with_client(server.client()).workers(1).build();
    let (tell, mut told) = unbounded_channel();
    backend
        .with_options(CallbackOptions::default().time_limit(Duration::from_secs(10)))
        .watcher("stuck with a", move |change: Change<ConfigMap>| {
            let _ = tell.send(Told::of(&change));
            async move {
                if change.key.name() == "a" {
                    std::future::pending::<()>().await;
                }
                Ok(())
            }
        })
        .unwrap();
    let (_next, mut told_next) = record(&backend, "next");
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    let first = next(&mut told).await;
    backend.create(&map("b")).await.unwrap();
    let limit = next(&mut told_next).await;
    assert_eq!(
        (limit.name.as_str(), (limit.at - first.at).as_secs()),
        ("a", 10),
        "the next one is called all the same"
    );
    assert_eq!(next(&mut told).await.name, "b");
    let again = next(&mut told).await;
    assert_eq!((again.name.as_str(), again.failures), ("a", 1));
}
