//! When callbacks run, in which order, and what they see.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use nah_backend::{KindOptions, KubeBackend, core::Causes, prelude::*, watch::Requeue};
use proptest::prelude::*;
use tokio::{
    sync::{Semaphore, mpsc::unbounded_channel},
    time::sleep,
};

use crate::ground::{Told, ground, map, map_with, next, record, silent};

#[tokio::test(start_paused = true)]
async fn run_for_every_object_that_is_there_at_start() // E3, G2
{
    let (_server, backend) = ground();
    for name in ["a", "b"] {
        backend.create(&map(name)).await.unwrap();
    }
    let (_callback, mut told) = record(&backend, "c");
    backend.start().await.unwrap();
    let (first, second) = (next(&mut told).await, next(&mut told).await);
    assert_eq!(HashSet::from([first.name, second.name]), HashSet::from(["a".into(), "b".into()]));
    assert!(first.causes.contains(Causes::INITIAL));
    silent(&mut told, Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn run_for_what_is_added_changed_and_deleted() // E1, E2, E4
{
    let (_server, backend) = ground();
    let (_callback, mut told) = record(&backend, "c");
    backend.start().await.unwrap();

    backend.create(&map_with("a", "1")).await.unwrap();
    let added = next(&mut told).await;
    assert_eq!((added.value.as_deref(), added.causes), (Some("1"), Causes::EVENT));

    backend.modify::<ConfigMap>(("default", "a"), |map| map.data = map_with("a", "2").data).await.unwrap();
    assert_eq!(next(&mut told).await.value.as_deref(), Some("2"));

    backend.delete(&map("a")).await.unwrap();
    let gone = next(&mut told).await;
    assert!(!gone.has_object && gone.certain);
    let last = gone.last_known.unwrap().decode::<ConfigMap>().unwrap();
    assert_eq!(last.data, map_with("a", "2").data);
}

#[tokio::test(start_paused = true)]
async fn tell_a_trigger_from_a_deletion() // E6, Q15
{
    let (_server, backend) = ground();
    backend.create(&map_with("a", "1")).await.unwrap();
    let (_callback, mut told) = record(&backend, "c");
    backend.start().await.unwrap();
    next(&mut told).await;

    backend.trigger::<ConfigMap>(("default", "a"), Duration::ZERO).unwrap();
    let triggered = next(&mut told).await;
    assert_eq!((triggered.value.as_deref(), triggered.causes), (Some("1"), Causes::TRIGGER));

    backend.trigger::<ConfigMap>(("default", "none"), Duration::ZERO).unwrap();
    let absent = next(&mut told).await;
    assert_eq!(
        (absent.has_object, absent.causes, absent.last_known.is_none()),
        (false, Causes::TRIGGER, true)
    );
}

#[tokio::test(start_paused = true)]
async fn run_in_the_order_of_registration_and_pass_objects_on() // E7, E8, E9
{
    let (_server, backend) = ground();
    let (tell, mut told) = unbounded_channel();
    backend
        .watcher("first", |change: Change<ConfigMap>| async move {
            let Some(map) = change.object else { return Ok(None) };
            Ok(Some(Arc::new(ConfigMap { data: map_with("a", "handed on").data, ..ConfigMap::clone(&map) })))
        })
        .unwrap();
    backend
        .watcher("second", move |change: Change<ConfigMap>| {
            let sent = tell.send(Told::of(&change));
            async move { Ok(sent?) }
        })
        .unwrap();
    backend.start().await.unwrap();
    backend.create(&map_with("a", "created")).await.unwrap();
    assert_eq!(next(&mut told).await.value.as_deref(), Some("handed on"));
    let read = backend.get::<ConfigMap>(("default", "a")).await.unwrap();
    assert_eq!(read.data, map_with("a", "created").data, "what is handed on is written nowhere");
}

#[tokio::test(start_paused = true)]
async fn at_most_as_many_run_at_once_as_there_are_workers() // D25, E16, E17, Q22, Q30, D26
{
    let server = nah_testing::ApiServer::new();
    let options = KindOptions::default().workers(3);
    let backend = KubeBackend::with_client(server.client()).kind::<ConfigMap>(options).build();
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let gate = Arc::new(Semaphore::new(0));
    let (counted, highest, wait) = (running.clone(), most.clone(), gate.clone());
    // Registered late: the kind's own number of workers counts all the same.
    backend.start().await.unwrap();
    backend
        .watcher("slow", move |_: Change<ConfigMap>| {
            let (running, most, gate) = (counted.clone(), highest.clone(), wait.clone());
            async move {
                let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(now, Ordering::SeqCst);
                gate.acquire().await?.forget();
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            }
        })
        .unwrap();
    for number in 0..10 {
        backend.create(&map(&format!("m-{number}"))).await.unwrap();
    }
    sleep(Duration::from_secs(1)).await;
    assert_eq!(running.load(Ordering::SeqCst), 3);
    let stats = backend.queue_stats(&ConfigMap::kind_of()).unwrap();
    assert_eq!((stats.running, stats.ready), (3, 7), "a key is taken only when a worker is free");
    gate.add_permits(10);
    sleep(Duration::from_secs(1)).await;
    assert_eq!((running.load(Ordering::SeqCst), most.load(Ordering::SeqCst)), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn a_slow_kind_holds_only_itself() // E15
{
    let (_server, backend) = ground();
    backend
        .watcher("never ends", |_: Change<Pod>| async {
            std::future::pending::<()>().await;
            Ok(())
        })
        .unwrap();
    let (_callback, mut told) = record(&backend, "c");
    backend.start().await.unwrap();
    for number in 0..20 {
        backend.create(&crate::ground::pod(&format!("p-{number}"))).await.unwrap();
    }
    backend.create(&map("a")).await.unwrap();
    assert_eq!(next(&mut told).await.name, "a");
    assert_eq!(backend.list::<Pod>(ListOptions::default()).await.unwrap().len(), 20);
}

#[tokio::test(start_paused = true)]
async fn sees_at_least_what_the_backend_itself_wrote() // E25, Q36
{
    let (server, backend) = ground();
    let (_callback, mut told) = record(&backend, "c");
    backend.create(&map_with("a", "1")).await.unwrap();
    backend.start().await.unwrap();
    next(&mut told).await;
    // The watch is silent from here on; only the trigger calls.
    server.hold_watches("configmaps");
    backend.modify::<ConfigMap>(("default", "a"), |map| map.data = map_with("a", "2").data).await.unwrap();
    backend.trigger::<ConfigMap>(("default", "a"), Duration::ZERO).unwrap();
    loop {
        let told = next(&mut told).await;
        if told.causes.contains(Causes::TRIGGER) {
            assert_eq!(told.value.as_deref(), Some("2"));
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_recreated_object_comes_with_what_stood_there_before() // E4, B9
{
    let (_server, backend) = ground();
    let gate = Arc::new(Semaphore::new(1));
    let (tell, mut told) = unbounded_channel();
    let held = gate.clone();
    backend
        .watcher("c", move |change: Change<ConfigMap>| {
            let (gate, tell) = (held.clone(), tell.clone());
            async move {
                gate.acquire().await?.forget();
                tell.send(Told::of(&change))?;
                Ok(())
            }
        })
        .unwrap();
    backend.start().await.unwrap();
    let first = backend.create(&map_with("a", "1")).await.unwrap();
    next(&mut told).await;
    backend.trigger::<ConfigMap>(("default", "a"), Duration::ZERO).unwrap();
    sleep(Duration::from_millis(1)).await; // the run is inside the callback, and what follows merges
    backend.delete(&map("a")).await.unwrap();
    backend.create(&map_with("a", "2")).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    gate.add_permits(2);
    next(&mut told).await;
    let second = next(&mut told).await;
    assert_eq!(second.value.as_deref(), Some("2"));
    assert_eq!(second.last_known.unwrap().uid().map(|uid| uid.as_str()), first.metadata.uid.as_deref());
    silent(&mut told, Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn a_requeue_runs_again_after_its_delay() {
    let (_server, backend) = ground();
    let (tell, mut told) = unbounded_channel();
    backend
        .watcher("again", move |change: Change<ConfigMap>| {
            let sent = tell.send(Told::of(&change));
            async move {
                sent?;
                Ok(Requeue(Duration::from_secs(30)))
            }
        })
        .unwrap();
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    let first = next(&mut told).await;
    let second = next(&mut told).await;
    assert_eq!(second.causes, Causes::TRIGGER);
    assert_eq!((second.at - first.at).as_secs(), 30);
}

/// What a crowd does to three keys.
#[derive(Clone, Copy, Debug)]
enum Act {
    Write(u8),
    Delete(u8),
    Trigger(u8, u16),
    Wait(u16),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        (0..3u8).prop_map(Act::Write),
        (0..3u8).prop_map(Act::Delete),
        (0..3u8, 0..2000u16).prop_map(|(key, delay)| Act::Trigger(key, delay)),
        (0..1500u16).prop_map(Act::Wait),
    ];
    proptest::collection::vec(act, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever happens, a key is never worked on twice at once, and the last run of each has seen the final state.
    #[test]
    fn never_overlap_for_a_key_and_end_with_its_final_state(acts in acts(), fails in 0..5u8) // E15, D2, D3, Q14, D22, Q31
{
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (server, backend) = ground();
            let inside = Arc::new(Mutex::new(HashSet::new()));
            let seen = Arc::new(Mutex::new(std::collections::HashMap::new()));
            let (calls, twice) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let (inside_now, last_seen, overlaps) = (inside.clone(), seen.clone(), twice.clone());
            backend
                .watcher("c", move |change: Change<ConfigMap>| {
                    let (inside, seen, overlaps) = (inside_now.clone(), last_seen.clone(), overlaps.clone());
                    let call = calls.fetch_add(1, Ordering::SeqCst);
                    async move {
                        let key = change.key.clone();
                        // Counted: a panic in here would be one more failure to retry.
                        overlaps.fetch_add(usize::from(!inside.lock().unwrap().insert(key.clone())), Ordering::SeqCst);
                        sleep(Duration::from_millis(70)).await;
                        let version = change.object.as_ref().and_then(|map| map.metadata.resource_version.clone());
                        seen.lock().unwrap().insert(key.clone(), version);
                        inside.lock().unwrap().remove(&key);
                        if fails > 0 && call.is_multiple_of(usize::from(fails + 1)) { Err("by lot".into()) } else { Ok(()) }
                    }
                })
                .unwrap();
            backend.start().await.unwrap();
            for (number, act) in acts.iter().enumerate() {
                match *act {
                    Act::Write(key) => {
                        let wanted = map_with(&format!("m-{key}"), &number.to_string());
                        if backend.create(&wanted).await.is_err() {
                            let edit = |map: &mut ConfigMap| map.data.clone_from(&wanted.data);
                            backend.modify(("default", format!("m-{key}")), edit).await.unwrap();
                        }
                    }
                    Act::Delete(key) => drop(backend.delete(&map(&format!("m-{key}"))).await),
                    Act::Trigger(key, delay) => backend
                        .trigger::<ConfigMap>(("default", format!("m-{key}")), Duration::from_millis(delay.into()))
                        .unwrap(),
                    Act::Wait(millis) => sleep(Duration::from_millis(millis.into())).await,
                }
            }
            sleep(Duration::from_secs(7200)).await;
            assert_eq!(twice.load(Ordering::SeqCst), 0, "a key runs twice at once");
            for there in server.list("v1", "ConfigMap").unwrap() {
                let key = ("default", there["metadata"]["name"].as_str().unwrap()).into();
                assert!(seen.lock().unwrap().contains_key(&key), "{key} is lost");
            }
            for (key, version) in seen.lock().unwrap().iter() {
                let now = server.get("v1", "ConfigMap", "default", key.name()).ok();
                let now = now.map(|map| map["metadata"]["resourceVersion"].as_str().unwrap().to_owned());
                assert_eq!(version, &now, "{key}");
            }
            backend.shutdown(Duration::from_secs(1)).await;
        });
    }
}
