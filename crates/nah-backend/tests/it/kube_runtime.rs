//! The known bugs of kube-runtime 5, one after the other, as facts about this project: none of them is one of ours.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use nah_backend::{
    KubeBackend,
    cache::{CacheError, Event, Informer},
    prelude::*,
    watch::Requeue,
};
use nah_testing::{ApiServer, Fault};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::ground::{ground, map_with, next, record, silent};

fn config_map(name: &str, value: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": name, "namespace": "default" }, "data": { "k": value } })
}

async fn seconds(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

/// Deletes an object while nobody watches, so that only a list can tell.
async fn delete_in_a_gap(server: &ApiServer, name: &str) {
    server.refuse_connections(true);
    server.cut_watches("");
    seconds(1).await;
    server.delete("v1", "ConfigMap", "default", name).unwrap();
    server.compact();
    server.refuse_connections(false);
    seconds(120).await;
}

/// What a handler was told, a word an event.
fn words(informer: &Informer<ConfigMap>) -> Arc<Mutex<Vec<String>>> {
    let words = Arc::new(Mutex::new(Vec::new()));
    let told = words.clone();
    let value =
        |map: &ConfigMap| map.data.as_ref().and_then(|data| data.get("k").cloned()).unwrap_or_default();
    informer
        .add_event_handler(move |event: Event<ConfigMap>| {
            told.lock().unwrap().push(match event {
                Event::Added { object, .. } => format!("+{}", value(&object)),
                Event::Updated { old, new, .. } => {
                    format!("{}>{}", value(&old.decode::<ConfigMap>().unwrap()), value(&new))
                }
                Event::Deleted { key, tombstone, .. } => {
                    format!("-{}{}", key.name(), if tombstone { " unseen" } else { "" })
                }
                _ => "?".into(),
            });
        })
        .unwrap();
    words
}

#[tokio::test(start_paused = true)]
async fn fact_1_what_vanished_in_a_relist_is_told_to_everybody() // B7, C14
{
    let (server, backend) = ground();
    ["a", "b"].iter().for_each(|name| _ = server.create(&config_map(name, name)).unwrap());
    let (_callback, mut told) = record(&backend, "c");
    backend.start().await.unwrap();
    let informer = backend.informer::<ConfigMap>().unwrap();
    let words = words(&informer);
    let mut subscription = informer.subscribe().unwrap();
    for _ in 0..2 {
        next(&mut told).await;
        subscription.next().await.unwrap().unwrap();
    }
    delete_in_a_gap(&server, "a").await;
    assert_eq!(words.lock().unwrap()[2..], ["-a unseen"]);
    let Event::Deleted { key, .. } = subscription.next().await.unwrap().unwrap() else {
        panic!("no deletion")
    };
    assert_eq!(key.name(), "a");
    let gone = next(&mut told).await;
    assert_eq!((gone.name.as_str(), gone.has_object, gone.certain), ("a", false, true));
}

#[tokio::test(start_paused = true)]
async fn fact_2_a_handler_is_told_the_old_object_and_whether_it_is_new() // B2
{
    let (server, backend) = ground();
    server.create(&config_map("a", "1")).unwrap();
    let informer = backend.informer::<ConfigMap>().unwrap();
    let words = words(&informer);
    backend.start().await.unwrap();
    seconds(1).await;
    server.update(&config_map("a", "2")).unwrap();
    seconds(1).await;
    server.delete("v1", "ConfigMap", "default", "a").unwrap();
    seconds(1).await;
    assert_eq!(*words.lock().unwrap(), ["+1", "1>2", "-a"]);
}

#[tokio::test(start_paused = true)]
async fn fact_3_a_query_by_an_index_is_answered_and_one_without_is_refused() // A8
{
    let (server, backend) = ground();
    (0..100)
        .for_each(|at| _ = server.create(&config_map(&format!("m{at}"), &(at % 10).to_string())).unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let extract = asked.clone();
    let by_value = backend
        .index_field::<ConfigMap, _>("value", move |map| {
            extract.fetch_add(1, Relaxed);
            map.data.as_ref().and_then(|data| data.get("k").cloned())
        })
        .unwrap();
    backend.start().await.unwrap();
    let informer = backend.informer::<ConfigMap>().unwrap();
    informer.wait_for_sync().await.unwrap();
    let before = asked.load(Relaxed);
    let found = informer.list(&ListOptions::default().by(&by_value, "7")).unwrap();
    let names: Vec<_> = found.handles().map(|map| map.key().name().to_owned()).collect();
    assert_eq!((names.len(), names[0].as_str()), (10, "m17"));
    assert_eq!(asked.load(Relaxed), before, "a query asked objects for their values");
    let refused = informer.list(&ListOptions::default().matching_field("data.k", "7")).unwrap_err();
    assert!(matches!(refused, CacheError::NoIndex { .. }));
}

#[tokio::test(start_paused = true)]
async fn fact_4_lists_that_fail_are_asked_for_ever_more_seldom() // C23
{
    let (server, backend) = ground();
    server.inject(Fault::answer(422).on("watch").always());
    server.inject(Fault::answer(500).on("list").always());
    _ = backend.informer::<ConfigMap>().unwrap();
    let _start = backend.start().now_or_never();
    seconds(600).await;
    let lists = server.journal().count("list", "configmaps");
    // kube-runtime asks 501 times in these ten minutes.
    assert!((10..40).contains(&lists), "{lists}");
}

#[tokio::test(start_paused = true)]
async fn fact_5_a_kind_that_is_forbidden_slows_no_other_down() // C6
{
    let (server, backend) = ground();
    server.inject(Fault::answer(403).of("secrets").always());
    _ = backend.informer::<Secret>().unwrap();
    let informer = backend.informer::<ConfigMap>().unwrap();
    let _start = backend.start().now_or_never();
    informer.wait_for_sync().await.unwrap();
    for step in 0..1200 {
        server.apply(&config_map("a", &step.to_string())).unwrap();
        sleep(Duration::from_millis(100)).await;
        let held = informer.get(&("default", "a").into()).unwrap().unwrap();
        assert_eq!(held.data.as_ref().unwrap()["k"], step.to_string());
    }
}

/// A ConfigMap that reads the cache in the moment it is dropped.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct Tattling(ConfigMap);

static TATTLED: OnceLock<Informer> = OnceLock::new();
static DROPPED: AtomicUsize = AtomicUsize::new(0);

impl kube::Resource for Tattling {
    type DynamicType = ();
    type Scope = kube::core::NamespaceResourceScope;

    fn kind(_: &()) -> Cow<'_, str> {
        "ConfigMap".into()
    }

    fn group(_: &()) -> Cow<'_, str> {
        "".into()
    }

    fn version(_: &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural(_: &()) -> Cow<'_, str> {
        "configmaps".into()
    }

    fn meta(&self) -> &kube::core::ObjectMeta {
        &self.0.metadata
    }

    fn meta_mut(&mut self) -> &mut kube::core::ObjectMeta {
        &mut self.0.metadata
    }
}

impl Drop for Tattling {
    fn drop(&mut self) {
        let Some(informer) = TATTLED.get().cloned() else { return };
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || tell.send(informer.list(&ListOptions::default()).map(drop).is_ok()));
        let read = told.recv_timeout(Duration::from_secs(20));
        assert!(read.is_ok(), "a reader waits while the old content is freed");
        DROPPED.fetch_add(1, Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn fact_6_no_reader_waits_while_a_relist_frees_the_old_content() // C15
{
    let (server, backend) = ground();
    (0..20).for_each(|at| _ = server.create(&config_map(&format!("m{at}"), "1")).unwrap());
    let informer = backend.informer::<Tattling>().unwrap();
    backend.start().await.unwrap();
    informer.wait_for_sync().await.unwrap();
    let read = informer.list(&ListOptions::default()).unwrap();
    assert_eq!(read.into_iter().filter(|map| map.as_ref().is_ok_and(|map| map.0.data.is_some())).count(), 20);
    TATTLED.set(informer.clone().typed()).unwrap();
    server.refuse_connections(true);
    server.cut_watches("");
    seconds(1).await;
    (0..20).for_each(|at| _ = server.delete("v1", "ConfigMap", "default", &format!("m{at}")).unwrap());
    server.compact();
    server.refuse_connections(false);
    seconds(120).await;
    assert_eq!(informer.list(&ListOptions::default()).unwrap().len(), 0);
    assert!(DROPPED.load(Relaxed) >= 20, "{}", DROPPED.load(Relaxed));
}

#[tokio::test(start_paused = true)]
async fn fact_7_a_subscriber_that_sleeps_holds_nobody_up_and_misses_no_wake() // B11, B12
{
    let (server, backend) = ground();
    let informer = backend.informer::<ConfigMap>().unwrap();
    backend.start().await.unwrap();
    informer.wait_for_sync().await.unwrap();
    let sleeping = informer.subscribe().unwrap();
    let mut awake = informer.subscribe().unwrap();
    for step in 0..500 {
        server.apply(&config_map("a", &step.to_string())).unwrap();
        awake.next().await.unwrap().unwrap();
    }
    let held = informer.get(&("default", "a").into()).unwrap().unwrap();
    assert_eq!(held.data.as_ref().unwrap()["k"], "499");
    drop(sleeping);

    // What it is woken for is gone when it looks; what comes after it is not.
    let mut awake = informer.typed::<Object>().subscribe().unwrap();
    let waiting =
        tokio::spawn(async move { while awake.next().await.unwrap().unwrap().key().name() != "bar" {} });
    tokio::task::yield_now().await;
    server.create(&config_map("foo", "1")).unwrap();
    server.delete("v1", "ConfigMap", "default", "foo").unwrap();
    server.create(&config_map("bar", "1")).unwrap();
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("a wake was lost").unwrap();
}

#[tokio::test(start_paused = true)]
async fn fact_8_every_key_has_its_turn_however_many_come_again_at_once() // D1
{
    let (server, _) = ground();
    let backend = KubeBackend::with_client(server.client()).workers(1).build();
    (0..300).for_each(|at| _ = server.create(&config_map(&format!("m{at}"), "1")).unwrap());
    let runs: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
    let counted = runs.clone();
    backend
        .watcher("c", move |change: Change<ConfigMap>| {
            *counted.lock().unwrap().entry(change.key.name().to_owned()).or_default() += 1;
            async { Ok(Requeue(Duration::from_millis(1))) }
        })
        .unwrap();
    backend.start().await.unwrap();
    while runs.lock().unwrap().values().sum::<usize>() < 15_000 {
        sleep(Duration::from_millis(1)).await;
    }
    let runs = runs.lock().unwrap();
    let (least, most) = (runs.values().min().unwrap(), runs.values().max().unwrap());
    assert_eq!(runs.len(), 300, "a key never ran");
    assert!(most - least <= 3, "one key ran {least} times, another {most}");
}

#[tokio::test(start_paused = true)]
async fn fact_9_an_event_does_not_cancel_a_delay() // D9
{
    let (server, backend) = ground();
    let (_callback, mut told) = record(&backend, "c");
    backend.start().await.unwrap();
    let start = Instant::now();
    backend.trigger::<ConfigMap>(("default", "a"), Duration::from_secs(10)).unwrap();
    seconds(5).await;
    server.create(&serde_json::to_value(map_with("a", "1")).unwrap()).unwrap();
    let at = [next(&mut told).await, next(&mut told).await].map(|told| (told.at - start).as_secs());
    assert_eq!(at, [5, 10]);
    silent(&mut told, Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn fact_10_the_version_of_the_collection_can_be_read_and_waited_for() // C17, C18
{
    let (server, backend) = ground();
    server.create(&config_map("a", "1")).unwrap();
    let informer = backend.informer::<ConfigMap>().unwrap();
    backend.start().await.unwrap();
    informer.wait_for_sync().await.unwrap();
    assert_eq!(informer.observed(None), Some(server.version().into()));
    server.update(&config_map("a", "2")).unwrap();
    informer.wait_until_observed(&server.version().into()).await.unwrap();
    let held = informer.get(&("default", "a").into()).unwrap().unwrap();
    assert_eq!(held.data.as_ref().unwrap()["k"], "2");
    // Of a write to another kind the next bookmark tells.
    let secret =
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s", "namespace": "default" } });
    server.create(&secret).unwrap();
    let seen = informer.wait_until_observed(&server.version().into());
    tokio::time::timeout(Duration::from_secs(90), seen).await.unwrap().unwrap();
}
