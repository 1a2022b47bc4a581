//! Code of users that panics, blocks or calls back where nobody expects it.

use std::{
    error::Error,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use nah_backend::{
    KindOptions, KubeBackend,
    core::BoxError,
    prelude::*,
    trigger::{Classes, QueueOptions},
    watch::Terminal,
};
use nah_testing::ApiServer;
use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};
use tracing::{
    Event, Subscriber,
    field::Field,
    span::{Attributes, Id},
};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, SubscriberExt as _},
};

use crate::ground::{LONG, ground, listen, map, next, record, silent};

/// Panics when it is dropped, where the thread is not panicking already.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "a drop, on purpose");
    }
}

/// An error that cannot be told.
#[derive(Debug)]
struct Unspeakable;

impl fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("a display, on purpose")
    }
}

impl Error for Unspeakable {}

/// Writes out everything that is logged, and keeps none of it.
struct Written;

impl<S: Subscriber> Layer<S> for Written {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut |_: &Field, value: &dyn fmt::Debug| drop(format!("{value:?}")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_class_that_panics_costs_no_event() // E15, D23
{
    let server = ApiServer::new();
    let classes = Classes::by(|key: &ObjectKey| {
        assert_ne!(key.name(), "bad", "a class, on purpose");
        key.namespace().map(str::to_owned)
    });
    let options = KindOptions::default().queue(QueueOptions::default().with_classes(classes));
    let backend = KubeBackend::with_client(server.client()).kind::<ConfigMap>(options).build();
    let (_callback, mut told) = record(&backend, "c");
    backend.start().await.unwrap();
    for name in ["bad", "good"] {
        backend.create(&map(name)).await.unwrap();
        assert_eq!(next(&mut told).await.name, name);
    }
    backend.trigger::<ConfigMap>(("default", "bad"), Duration::from_secs(1)).unwrap();
    assert_eq!(next(&mut told).await.name, "bad");
}

#[tokio::test(start_paused = true)]
async fn what_panics_when_it_is_dropped_keeps_no_shutdown_from_its_end() // G9, E14
{
    let before = Handle::current().metrics().num_alive_tasks();
    let (_server, backend) = ground();
    let (held, [in_callback, in_handler, in_index]) = (Arc::new(()), [(); 3].map(|()| Arc::new(())));
    let weak = [&in_callback, &in_handler, &in_index, &held].map(Arc::downgrade);
    let bomb = Bomb;
    backend
        .watcher("bomb", move |_: Change<ConfigMap>| {
            let _held = (&bomb, &in_callback);
            async { Ok(()) }
        })
        .unwrap();
    let bomb = Bomb;
    backend.informer::<Pod>().unwrap().add_event_handler(move |_| _ = (&bomb, &in_handler)).unwrap();
    let bomb = Bomb;
    backend
        .index_field("k", move |_: &ConfigMap| {
            let _held = (&bomb, &in_index);
            None::<String>
        })
        .unwrap();
    backend
        .watcher("other", move |_: Change<Secret>| {
            let _held = &held;
            async { Ok(()) }
        })
        .unwrap();
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    timeout(LONG, backend.shutdown(Duration::from_secs(1))).await.unwrap();
    assert!(backend.downgrade().upgrade().is_none());
    assert!(weak.iter().all(|weak| weak.upgrade().is_none()), "everything is dropped");
    assert!(backend.list::<ConfigMap>(ListOptions::default()).await.is_err());
    sleep(Duration::from_secs(1)).await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), before);
}

#[tokio::test(start_paused = true)]
async fn an_error_that_panics_when_it_is_told_is_an_error_like_any_other() // E11, E14
{
    let _listening = listen(Registry::default().with(Written));
    let (_server, backend) = ground();
    let runs = Arc::new(AtomicUsize::new(0));
    let count = runs.clone();
    backend
        .watcher("unspeakable", move |_: Change<ConfigMap>| {
            count.fetch_add(1, Ordering::SeqCst);
            async { Err::<(), BoxError>(Terminal(Unspeakable.into()).into()) }
        })
        .unwrap();
    let (_callback, mut told) = record(&backend, "c");
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    next(&mut told).await;
    silent(&mut told, Duration::from_secs(3600)).await;
    assert_eq!(runs.load(Ordering::SeqCst), 1, "what waiting will not cure is not retried");
}

/// Panics over the span of every event.
struct Startled;

impl<S: Subscriber> Layer<S> for Startled {
    fn on_new_span(&self, span: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        assert_ne!(span.metadata().name(), "event", "a layer, on purpose");
    }
}

#[tokio::test(start_paused = true)]
async fn who_listens_to_spans_and_panics_costs_no_event() // E15
{
    let (_server, backend) = ground();
    let (_callback, mut told) = record(&backend, "c");
    backend.start().await.unwrap();
    let _listening = listen(Registry::default().with(Startled));
    for name in ["a", "b"] {
        backend.create(&map(name)).await.unwrap();
        assert_eq!(next(&mut told).await.name, name);
    }
}
