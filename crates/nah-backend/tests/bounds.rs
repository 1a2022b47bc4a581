//! What work costs, counted by the allocator: a binary of its own, because there is one allocator a process.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    alloc::System,
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt as _;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Client, client::Body};
use nah_backend::{KubeBackend, prelude::*};
use nah_testing::ApiServer;
use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::sleep,
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// One test at a time: all count the same allocations.
static ALONE: Mutex<()> = Mutex::new(());

/// Bytes that are held now. What a reallocation adds or gives back is among those allocated and deallocated.
fn held() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}

/// Runs on one thread, with a paused clock, and nothing beside it.
fn alone(test: impl AsyncFnOnce(ApiServer, KubeBackend)) {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build().unwrap().block_on(async {
        let server = ApiServer::new();
        let backend = KubeBackend::with_client(server.client()).workers(1).build();
        test(server, backend).await;
    });
}

#[test]
fn with_a_stuck_callback_memory_is_bounded_by_live_keys_while_a_million_requests_arrive() // D1, D3
{
    const KEYS: usize = 500;
    alone(async |_server, backend| {
        let stuck = |_: Change<ConfigMap>| std::future::pending::<Result<(), nah_backend::core::BoxError>>();
        backend.watcher("stuck", stuck).unwrap();
        backend.start().await.unwrap();
        let keys: Vec<ObjectKey> = (0..KEYS).map(|at| ("default", format!("key-{at}")).into()).collect();
        let trigger_all = || {
            for key in &keys {
                backend.trigger::<ConfigMap>(key, Duration::ZERO).unwrap();
                backend.trigger::<ConfigMap>(key, Duration::from_secs(3600)).unwrap();
            }
        };
        trigger_all();
        sleep(Duration::from_secs(1)).await;
        let before = held();
        for _ in 0..1_000_000 / (2 * KEYS) {
            trigger_all();
            tokio::task::yield_now().await;
        }
        let grown = held().saturating_sub(before);
        assert!(grown < 64 << 10, "{grown} bytes more after a million requests for {KEYS} keys");
        let stats = backend.queue_stats(&ConfigMap::kind_of()).unwrap();
        assert_eq!((stats.running, stats.ready, stats.delayed), (1, KEYS - 1, KEYS));
    });
}

/// A callback stands still on its first key while every one of 50 objects goes and comes back `rounds` times, with other
/// contents each time.
async fn storm(server: &ApiServer, backend: &KubeBackend, rounds: usize) {
    const OBJECTS: usize = 50;
    let stuck = |_: Change<ConfigMap>| std::future::pending::<Result<(), nah_backend::core::BoxError>>();
    backend.watcher("stuck", stuck).unwrap();
    backend.start().await.unwrap();
    let map = |at: usize, round: usize| {
        let metadata = json!({ "name": format!("m-{at}"), "namespace": "default" });
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata,
            "data": { "round": format!("{round:06}") } })
    };
    for at in 0..OBJECTS {
        server.create(&map(at, 0)).unwrap();
    }
    sleep(Duration::from_secs(1)).await;
    let stats = || backend.queue_stats(&ConfigMap::kind_of()).unwrap();
    let queued = || stats().ready + stats().running;
    assert_eq!(queued(), OBJECTS);
    let adds = stats().adds;
    let round = async |round: usize| {
        for at in 0..OBJECTS {
            server.delete("v1", "ConfigMap", "default", &format!("m-{at}")).unwrap();
            server.create(&map(at, round)).unwrap();
        }
        sleep(Duration::from_millis(10)).await;
    };
    // First what is kept at most: the ten thousand changes that the server remembers, and our tables and buffers.
    const FILLING: usize = 110;
    for at in 0..FILLING {
        round(at).await;
    }
    let before = held();
    for at in FILLING..rounds {
        round(at).await;
    }
    let grown = held().saturating_sub(before);
    let seen = usize::try_from(stats().adds - adds).unwrap();
    assert!(seen >= rounds * OBJECTS, "{seen} events came through");
    assert_eq!(queued(), OBJECTS, "they merge");
    assert!(grown < 256 << 10, "{grown} bytes more after {seen} events of {OBJECTS} objects");
}

#[test]
fn with_a_stuck_callback_memory_is_bounded_by_live_keys_while_events_arrive() // D1, E2
{
    alone(async |server, backend| storm(&server, &backend, 200).await);
}

/// A client of a server that has no ConfigMap, and whose watch of them tells what comes from `lines`. It answers nothing
/// else, so that what a million events cost is our own.
fn telling(lines: UnboundedReceiver<Bytes>) -> Client {
    let lines = Arc::new(Mutex::new(Some(lines)));
    let body = |text: String| futures::stream::once(async { Bytes::from(text) }).boxed();
    Client::new(
        tower::service_fn(move |request: Request<Body>| {
            let found = json!({ "name": "configmaps", "singularName": "configmap", "namespaced": true,
                "kind": "ConfigMap", "verbs": ["list", "watch"] });
            let body = match request.uri().path() {
                "/api/v1" => Some(body(json!({ "groupVersion": "v1", "resources": [found] }).to_string())),
                "/api/v1/configmaps" => {
                    let lines = lines.lock().unwrap().take();
                    lines.map(|lines| {
                        futures::stream::unfold(lines, async |mut lines| Some((lines.recv().await?, lines)))
                            .boxed()
                    })
                }
                _ => None,
            };
            async move {
                let code = if body.is_some() { 200 } else { 404 };
                let body = body.unwrap_or_else(|| futures::stream::empty().boxed());
                let frames = body.map(|chunk| Ok::<_, std::io::Error>(Frame::data(chunk)));
                Response::builder().status(code).body(StreamBody::new(frames))
            }
        }),
        "default",
    )
}

#[test]
#[ignore = "most of a minute without optimisation; `cargo xtask ci` runs it"]
fn with_a_stuck_callback_memory_is_bounded_by_live_keys_while_a_million_events_arrive() {
    const EVENTS: usize = 1_000_000;
    /// Every other round takes all of them away.
    const OBJECTS: usize = 500;
    alone(async |_, _| {
        let (tell, lines) = unbounded_channel();
        let backend = KubeBackend::with_client(telling(lines)).workers(1).build();
        let stuck = |_: Change<ConfigMap>| std::future::pending::<Result<(), nah_backend::core::BoxError>>();
        backend.watcher("stuck", stuck).unwrap();
        let round = |round: usize| {
            let mut text = String::with_capacity(OBJECTS * 256);
            let verb = if round.is_multiple_of(2) { "ADDED" } else { "DELETED" };
            for at in 0..OBJECTS {
                let version = 2 + round * OBJECTS + at;
                // Another object each time it comes.
                let uid = at * EVENTS + round / 2;
                _ = writeln!(
                    text,
                    r#"{{"type":"{verb}","object":{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"m-{at}","namespace":"default","uid":"{uid}","resourceVersion":"{version}"}},"data":{{"round":"{round:06}"}}}}}}"#
                );
            }
            tell.send(text.into()).unwrap();
        };
        let none = json!({ "resourceVersion": "1", "annotations": { "k8s.io/initial-events-end": "true" } });
        let none = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": none });
        tell.send(format!("{}\n", json!({ "type": "BOOKMARK", "object": none })).into()).unwrap();
        round(0);
        backend.start().await.unwrap();
        sleep(Duration::from_millis(1)).await;
        let stats = || backend.queue_stats(&ConfigMap::kind_of()).unwrap();
        assert_eq!(stats().ready + stats().running, OBJECTS);
        let mut most = 0;
        let mut before = 0;
        let rounds = EVENTS / OBJECTS;
        for at in 1..=rounds {
            round(at);
            sleep(Duration::from_millis(1)).await;
            // Tables and buffers have their size after some.
            if at == 100 {
                before = held();
            }
            if at > 100 {
                most = most.max(held());
            }
        }
        let grown = most.saturating_sub(before);
        assert!(stats().adds >= EVENTS as u64, "{} events came through", stats().adds);
        assert_eq!(stats().ready + stats().running, OBJECTS, "they merge");
        assert!(grown < 256 << 10, "{grown} bytes more after a million events of {OBJECTS} objects");
    });
}

#[test]
fn a_trigger_allocates_nothing_however_many_there_are() // D1
{
    alone(async |_server, backend| {
        backend.watcher("never starts", |_: Change<ConfigMap>| async { Ok(()) }).unwrap();
        // Allocations and bytes of ten thousand triggers each for its own key, now and later.
        let mut costs = Vec::new();
        for batch in 0..10 {
            let keys: Vec<ObjectKey> =
                (0..10_000).map(|at| ("default", format!("{batch}-{at:05}")).into()).collect();
            let before = ALLOCATOR.stats();
            for (at, key) in keys.iter().enumerate() {
                let delay = Duration::from_secs(if at % 2 == 0 { 0 } else { 3600 });
                backend.trigger::<ConfigMap>(key, delay).unwrap();
            }
            let after = ALLOCATOR.stats();
            costs.push(after.allocations + after.reallocations - before.allocations - before.reallocations);
        }
        let stats = backend.queue_stats(&ConfigMap::kind_of()).unwrap();
        assert_eq!((stats.ready, stats.delayed), (50_000, 50_000));
        // What tables grow by, and nothing a trigger.
        assert!(costs.iter().all(|cost| *cost < 200), "allocations of ten thousand triggers each: {costs:?}");
    });
}

/// CPU that this thread has used, as its kernel counts it.
#[cfg(target_os = "linux")]
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

#[cfg(target_os = "linux")]
#[test]
fn a_hundred_thousand_triggers_of_a_kind_take_ten_times_what_ten_thousand_do() // D1
{
    // The tenth ten thousand would take nineteen times the first where each looked at those before it.
    alone(async |_server, backend| {
        backend.watcher("never starts", |_: Change<ConfigMap>| async { Ok(()) }).unwrap();
        let batch = |batch: usize| {
            let keys: Vec<ObjectKey> =
                (0..10_000).map(|at| ("default", format!("{batch}-{at:05}")).into()).collect();
            let before = cpu();
            for key in &keys {
                backend.trigger::<ConfigMap>(key, Duration::ZERO).unwrap();
            }
            cpu() - before
        };
        let first = batch(0).max(batch(1));
        for at in 2..9 {
            batch(at);
        }
        let last = batch(9);
        assert!(last < 5 * first, "{last:?} after {first:?}");
    });
}
