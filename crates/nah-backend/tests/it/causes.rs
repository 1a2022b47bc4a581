//! What a callback is told of why it runs: causes, since when, and whose span.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use k8s_openapi::api::core::v1::ConfigMap;
use nah_backend::{KindOptions, KubeBackend, core::Causes, prelude::*, watch::Asked};
use nah_testing::ApiServer;
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::{sleep, timeout},
};
use tracing::{Subscriber, span::Id};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, SubscriberExt as _},
    registry::LookupSpan,
};

use crate::ground::{Gate, LONG, ground, listen, map, next, record, silent};

const SECOND: Duration = Duration::from_secs(1);

/// Registers a callback that tells since when it is asked for, and fails as often as asked.
fn ages(backend: &KubeBackend, failures: u32) -> UnboundedReceiver<Asked> {
    let (tell, told) = unbounded_channel();
    backend
        .watcher("ages", move |change: Change<ConfigMap>| {
            tell.send(change.asked).unwrap();
            async move { if change.failures < failures { Err("by order".into()) } else { Ok(()) } }
        })
        .unwrap();
    told
}

async fn asked(told: &mut UnboundedReceiver<Asked>) -> Vec<(Causes, u64)> {
    let asked = timeout(LONG, told.recv()).await.unwrap().unwrap();
    asked.ages().map(|(cause, age)| (cause, age.as_secs())).collect()
}

#[tokio::test(start_paused = true)]
async fn are_told_once_each_with_the_first_time_they_were_asked_for() // E2
{
    let (_server, backend) = ground();
    let mut told = ages(&backend, 0);
    let gate = Gate::taken(&backend).await;
    assert_eq!(asked(&mut told).await, [(Causes::EVENT, 0)]);
    // While the key is worked on: two triggers, an event and a third trigger, a second apart.
    for second in 0..4 {
        if second == 2 {
            let label = |map: &mut ConfigMap| {
                map.metadata.labels.get_or_insert_default().insert("a".into(), "b".into());
            };
            backend.modify::<ConfigMap>(("default", "a"), label).await.unwrap();
        } else {
            backend.trigger::<ConfigMap>(("default", "a"), Duration::ZERO).unwrap();
        }
        sleep(SECOND).await;
    }
    gate.open();
    assert_eq!(asked(&mut told).await, [(Causes::EVENT, 2), (Causes::TRIGGER, 4)]);
}

#[tokio::test(start_paused = true)]
async fn a_run_is_told_how_long_its_key_waited_for_its_turn() // E2
{
    let (_server, backend) = ground();
    let (tell, mut told) = unbounded_channel();
    backend
        .watcher("waited", move |change: Change<ConfigMap>| {
            let sent = tell.send(change.waited.as_secs());
            async move { Ok(sent?) }
        })
        .unwrap();
    let gate = Gate::taken(&backend).await;
    backend.trigger::<ConfigMap>(("default", "a"), Duration::ZERO).unwrap();
    sleep(3 * SECOND).await;
    gate.open();
    gate.entered().await;
    assert_eq!((told.recv().await, told.recv().await), (Some(0), Some(3)));
    // From when it was due, and not from the call.
    backend.trigger::<ConfigMap>(("default", "a"), 5 * SECOND).unwrap();
    sleep(7 * SECOND).await;
    gate.open();
    assert_eq!(told.recv().await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn of_failed_runs_stay_until_one_succeeds() // D14
{
    let (_server, backend) = ground();
    let mut told = ages(&backend, 6);
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    assert_eq!(asked(&mut told).await, [(Causes::EVENT, 0)]);
    for _ in 0..5 {
        asked(&mut told).await;
    }
    // After waits of 0.5, 1, 2, 4, 8 and 16 seconds, each with its jitter.
    let since = asked(&mut told).await;
    let [(Causes::EVENT, event @ 28..=35), (Causes::RETRY, retry)] = since[..] else { panic!("{since:?}") };
    assert_eq!(event, retry, "the first run failed at once");
    backend.trigger::<ConfigMap>(("default", "a"), 7 * SECOND).unwrap();
    assert_eq!(asked(&mut told).await, [(Causes::TRIGGER, 7)], "counted from the call");
}

#[tokio::test(start_paused = true)]
async fn a_resync_shows_every_object_again_without_a_request() // B25, E2
{
    let server = ApiServer::new();
    let options = KindOptions::default().resync(60 * SECOND);
    let backend = KubeBackend::with_client(server.client()).kind::<ConfigMap>(options).build();
    for name in ["a", "b"] {
        backend.create(&map(name)).await.unwrap();
    }
    let (_callback, mut told) = record(&backend, "c");
    backend.start().await.unwrap();
    for _ in 0..2 {
        assert_eq!(next(&mut told).await.causes, Causes::INITIAL);
    }
    server.journal().clear();
    for _ in 0..3 {
        silent(&mut told, 59 * SECOND).await;
        let (a, b) = (next(&mut told).await, next(&mut told).await);
        assert_eq!((a.causes, b.causes), (Causes::RESYNC, Causes::RESYNC));
        assert!(a.has_object && b.has_object && a.name != b.name);
    }
    assert!(server.journal().requests().is_empty());

    backend.delete(&map("b")).await.unwrap();
    next(&mut told).await;
    backend.pause().await;
    silent(&mut told, 590 * SECOND).await;
    backend.start().await.unwrap();
    silent(&mut told, SECOND).await;
    assert_eq!(next(&mut told).await.name, "a");
    silent(&mut told, 30 * SECOND).await;
    backend.shutdown(SECOND).await;
}

/// Notes which span each span follows from, by their names and keys.
#[derive(Clone, Default)]
struct Followed(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Followed {
    fn on_follows_from(&self, span: &Id, follows: &Id, context: Context<'_, S>) {
        let name = |id| context.span(id).map_or("nothing", |span| span.name());
        self.0.lock().unwrap().push(format!("{} follows {}", name(span), name(follows)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_follows_from_the_span_of_the_event_or_trigger_that_caused_it() {
    let (_server, backend) = ground();
    let (_callback, mut told) = record(&backend, "c");
    backend.start().await.unwrap();
    let followed = Followed::default();
    let _listening = listen(Registry::default().with(followed.clone()));
    let links = || std::mem::take(&mut *followed.0.lock().unwrap());

    backend.create(&map("a")).await.unwrap();
    next(&mut told).await;
    assert_eq!(links(), ["callback follows event"]);
    let request = tracing::info_span!("request");
    request.in_scope(|| backend.trigger::<ConfigMap>(("default", "a"), Duration::ZERO)).unwrap();
    drop(request);
    next(&mut told).await;
    assert_eq!(links(), ["callback follows request"], "it is open until then");
    backend.trigger::<ConfigMap>(("default", "a"), Duration::ZERO).unwrap();
    next(&mut told).await;
    assert!(links().is_empty(), "that trigger had none");
    let request = tracing::info_span!("request");
    request.in_scope(|| backend.trigger::<ConfigMap>(("default", "a"), SECOND)).unwrap();
    next(&mut told).await;
    assert_eq!(links(), ["callback follows request"]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_follows_from_nothing_that_a_run_has_followed_from() {
    let (_server, backend) = ground();
    let mut told = ages(&backend, 1);
    backend.start().await.unwrap();
    let followed = Followed::default();
    let _listening = listen(Registry::default().with(followed.clone()));
    backend.create(&map("a")).await.unwrap();
    asked(&mut told).await;
    asked(&mut told).await;
    assert_eq!(*followed.0.lock().unwrap(), ["callback follows event"], "the first run, and not its retry");
}
