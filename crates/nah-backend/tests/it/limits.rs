//! What there is at most of: callbacks at once over all kinds, and decoded objects of those that are only owned.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use nah_backend::{KindOptions, KubeBackend, StartError, core::Causes, prelude::*};
use nah_testing::{ApiServer, Fault};
use serde_json::json;
use tokio::{
    sync::{Semaphore, mpsc::unbounded_channel},
    time::{sleep, timeout},
};

use crate::ground::{Gate, LONG, ground, map, next, record, silent, starting};

fn secret(name: &str) -> Secret {
    serde_json::from_value(json!({ "metadata": { "name": name, "namespace": "default" } })).unwrap()
}

#[tokio::test(start_paused = true)]
async fn callbacks_of_all_kinds_together_have_a_limit_that_waiting_kinds_do_not_use_up() // D25, D26, Q30
{
    let server = ApiServer::new();
    let backend = KubeBackend::with_client(server.client()).callbacks_at_once(3).build();
    let gate = Gate::hold(&backend);
    let theirs = gate.clone();
    backend
        .watcher("secrets", move |_: Change<Secret>| {
            let gate = theirs.clone();
            async move {
                gate.pass().await;
                Ok(())
            }
        })
        .unwrap();
    // Kinds that wait for a key have no place among the three.
    for kind in ["Pod", "Service", "Namespace"] {
        let gvk = GroupVersionKind::gvk("", "v1", kind);
        backend.watcher_for_kind(&gvk, "idle", |_: Change| async { Ok(()) }).unwrap();
    }
    backend.start().await.unwrap();
    for at in 0..5 {
        backend.create(&map(&format!("m-{at}"))).await.unwrap();
        backend.create(&secret(&format!("s-{at}"))).await.unwrap();
    }
    for _ in 0..3 {
        gate.entered().await;
    }
    assert!(timeout(LONG, gate.came()).await.is_err(), "a fourth one runs");
    for _ in 0..7 {
        gate.open();
        gate.entered().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_waits_for_a_place_among_all_kinds_is_not_taken_and_can_be_lifted() // Q30, D25
{
    let server = ApiServer::new();
    let backend = KubeBackend::with_client(server.client()).callbacks_at_once(1).build();
    let gate = Gate::hold(&backend);
    for name in ["a", "b", "c"] {
        server.create(&serde_json::to_value(secret(name)).unwrap()).unwrap();
    }
    backend.start().await.unwrap();
    backend.create(&map("m")).await.unwrap();
    gate.entered().await;
    let (tell, mut told) = unbounded_channel();
    let secrets = move |change: Change<Secret>| {
        let tell = tell.clone();
        async move { Ok(tell.send(change.key.name().to_owned())?) }
    };
    backend.watcher("secrets", secrets).unwrap();
    backend.informer::<Secret>().unwrap().wait_for_sync().await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let stats = backend.queue_stats(&Secret::kind_of()).unwrap();
    assert_eq!((stats.running, stats.ready), (0, 3), "{stats:?}");
    // It was in the background, behind the others.
    backend.trigger::<Secret>(("default", "c"), Duration::ZERO).unwrap();
    gate.open();
    let mut order = Vec::new();
    for _ in 0..3 {
        order.push(timeout(LONG, told.recv()).await.unwrap().unwrap());
    }
    assert_eq!(order, ["c", "a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn kinds_take_turns_at_the_places_that_all_share() // D26, Q30
{
    let server = ApiServer::new();
    let backend = KubeBackend::with_client(server.client()).callbacks_at_once(1).build();
    let (tell, mut told) = unbounded_channel();
    let says = |kind: &'static str| {
        let tell = tell.clone();
        move |_: Change| {
            let tell = tell.clone();
            async move {
                sleep(Duration::from_secs(1)).await;
                Ok(tell.send(kind)?)
            }
        }
    };
    backend.watcher_for_kind(&ConfigMap::kind_of(), "maps", says("map")).unwrap();
    backend.watcher_for_kind(&Secret::kind_of(), "secrets", says("secret")).unwrap();
    backend.start().await.unwrap();
    for at in 0..20 {
        backend.trigger::<ConfigMap>(("default", format!("m-{at}").as_str()), Duration::ZERO).unwrap();
    }
    for at in 0..3 {
        backend.trigger::<Secret>(("default", format!("s-{at}").as_str()), Duration::ZERO).unwrap();
    }
    let mut order = Vec::new();
    for _ in 0..8 {
        order.push(timeout(LONG, told.recv()).await.unwrap().unwrap());
    }
    let secrets = order.iter().filter(|kind| **kind == "secret").count();
    assert_eq!(secrets, 3, "three secrets wait for twenty maps: {order:?}");
}

#[tokio::test(start_paused = true)]
async fn an_owner_is_told_by_a_child_that_no_type_can_read_also_of_its_end() // B23
{
    #[derive(
        kube::CustomResource, serde::Serialize, serde::Deserialize, Clone, Debug, schemars::JsonSchema,
    )]
    #[kube(group = "example.com", version = "v1", kind = "Part", namespaced)]
    struct PartSpec {
        size: u32,
    }
    let (server, backend) = ground();
    let mut definition = serde_json::to_value(<Part as kube::CustomResourceExt>::crd()).unwrap();
    definition["spec"]["versions"][0]["schema"] = json!({
        "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true }
    });
    server.create(&definition).unwrap();
    let (_callback, mut told) = record(&backend, "owner");
    backend.owns::<ConfigMap, Part>().unwrap();
    backend.triggers::<Part, ConfigMap, _>(|event| [("default", event.key().name()).into()]).unwrap();
    backend.start().await.unwrap();
    let owner = backend.create(&map("owner")).await.unwrap();
    next(&mut told).await;
    let reference = json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "controller": true,
        "uid": owner.metadata.uid });
    let part = json!({
        "apiVersion": "example.com/v1", "kind": "Part",
        "metadata": { "name": "part", "namespace": "default", "ownerReferences": [reference] },
        "spec": { "size": "as large as it gets" },
    });
    server.create(&part).unwrap();
    for _ in 0..2 {
        let mut names = [next(&mut told).await, next(&mut told).await].map(|told| {
            assert_eq!(told.causes, Causes::TRIGGER);
            told.name
        });
        names.sort();
        assert_eq!(names, ["owner", "part"]);
        let _ = server.delete("example.com/v1", "Part", "default", "part");
    }
    assert!(backend.get::<Part>(("default", "part")).await.unwrap_err().is_not_found());
}

#[tokio::test(start_paused = true)]
async fn a_gate_lets_callbacks_run_and_the_cache_is_warm_before() // G3, G6
{
    let (server, backend) = ground();
    backend.create(&map("a")).await.unwrap();
    let (_callback, mut told) = record(&backend, "c");
    let lease = Arc::new(Semaphore::new(0));
    let (theirs, held) = (backend.clone(), lease.clone());
    let starting = tokio::spawn(async move {
        let won = async {
            held.acquire().await?.forget();
            Ok(())
        };
        theirs.start_when(Box::pin(won)).await
    });
    silent(&mut told, Duration::from_secs(600)).await;
    assert!(backend.get::<ConfigMap>(("default", "a")).await.is_ok());
    server.journal().clear();
    lease.add_permits(1);
    starting.await.unwrap().unwrap();
    assert_eq!(next(&mut told).await.name, "a");
    assert!(server.journal().requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_stays_shut_starts_nothing_and_may_be_tried_again() // G8
{
    let (_server, backend) = ground();
    backend.create(&map("a")).await.unwrap();
    let (_callback, mut told) = record(&backend, "c");
    let error =
        backend.start_when(Box::pin(async { Err("the lease is another's".into()) })).await.unwrap_err();
    assert_eq!(error.to_string(), "not let through: the lease is another's");
    silent(&mut told, Duration::from_secs(60)).await;

    let theirs = backend.clone();
    let never = tokio::spawn(async move { theirs.start_when(Box::pin(std::future::pending())).await });
    sleep(Duration::from_secs(1)).await;
    never.abort();
    backend.start_when(Box::pin(async { Ok(()) })).await.unwrap();
    assert_eq!(next(&mut told).await.name, "a");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_the_wait_for_a_gate() // G8
{
    let (_server, backend) = ground();
    let theirs = backend.clone();
    let waiting = tokio::spawn(async move { theirs.start_when(Box::pin(std::future::pending())).await });
    sleep(Duration::from_secs(1)).await;
    backend.shutdown(Duration::ZERO).await;
    assert!(matches!(timeout(LONG, waiting).await.unwrap().unwrap(), Err(StartError::Stopped)));
}

#[tokio::test(start_paused = true)]
async fn a_pause_ends_the_wait_for_a_gate() // G8, G11
{
    let (_server, backend) = ground();
    let (_callback, mut told) = record(&backend, "c");
    let (open, gate) = tokio::sync::oneshot::channel::<()>();
    let theirs = backend.clone();
    let starting = tokio::spawn(async move { theirs.start_when(Box::pin(async { Ok(gate.await?) })).await });
    sleep(Duration::from_secs(1)).await;
    backend.create(&map("a")).await.unwrap();
    backend.pause().await;
    let paused = timeout(LONG, starting).await.expect("it gives up").unwrap();
    assert!(matches!(paused, Err(StartError::Paused)), "{paused:?}");
    assert!(open.send(()).is_err(), "nobody waits for the gate any more");
    silent(&mut told, Duration::from_secs(60)).await;
    backend.start_when(Box::pin(async { Ok(()) })).await.unwrap();
    assert_eq!(next(&mut told).await.name, "a");
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_panics_starts_nothing_and_may_be_tried_again() // G8
{
    let (_server, backend) = ground();
    let (_callback, mut told) = record(&backend, "c");
    backend.create(&map("a")).await.unwrap();
    let theirs = backend.clone();
    let gate = async { panic!("a gate, on purpose") };
    let started = tokio::spawn(async move { theirs.start_when(Box::pin(gate)).await }).await;
    assert!(started.is_err_and(|error| error.is_panic()));
    silent(&mut told, Duration::from_secs(60)).await;
    backend.start().await.unwrap();
    assert_eq!(next(&mut told).await.name, "a");
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_does_not_sync_is_named_though_the_gate_is_shut() // G7
{
    let server = ApiServer::new();
    server.inject(Fault::answer(403).of("secrets").always());
    let backend = KubeBackend::with_client(server.client()).sync_timeout(Duration::from_secs(30)).build();
    backend.informer::<Secret>().unwrap();
    let refused = backend.start_when(Box::pin(std::future::pending())).await;
    assert!(matches!(refused, Err(StartError::NotSynced(kinds)) if kinds[0].gvk.kind == "Secret"));
}

#[tokio::test(start_paused = true)]
async fn ten_callbacks_of_a_kind_run_at_once_where_nothing_else_is_said() // E16
{
    let (_server, backend) = ground();
    let options = KindOptions::default();
    assert!(options.workers.is_none());
    let gate = Gate::hold(&backend);
    backend.start().await.unwrap();
    for at in 0..12 {
        backend.create(&map(&format!("m-{at}"))).await.unwrap();
    }
    for _ in 0..10 {
        gate.entered().await;
    }
    assert!(timeout(LONG, gate.came()).await.is_err(), "an eleventh one runs");
}

#[tokio::test(start_paused = true)]
async fn a_callback_of_a_new_kind_registered_during_a_start_is_not_forgotten() // G12
{
    let (server, backend) = ground();
    server.inject(Fault::answer(403).of("secrets").always());
    backend.create(&map("a")).await.unwrap();
    backend.informer::<Secret>().unwrap();
    let starting = starting(&backend);
    sleep(Duration::from_secs(1)).await;
    assert!(!starting.is_finished());
    let (_callback, mut told) = record(&backend, "during");
    let (tell, mut later) = unbounded_channel();
    backend
        .watcher("during too", move |change: Change<Secret>| {
            let sent = tell.send(change.key);
            async move { Ok(sent?) }
        })
        .unwrap();
    server.clear_faults();
    starting.await.unwrap().unwrap();
    assert_eq!(next(&mut told).await.name, "a");
    backend.create(&secret("s")).await.unwrap();
    assert_eq!(timeout(LONG, later.recv()).await.unwrap().unwrap().name(), "s");
}
