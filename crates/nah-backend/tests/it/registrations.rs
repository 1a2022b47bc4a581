//! Callbacks that come late, and callbacks that go.

use std::{collections::HashSet, time::Duration};

use k8s_openapi::api::core::v1::ConfigMap;
use nah_backend::{core::Causes, prelude::*};

use crate::ground::{ground, map, next, record, silent};

#[tokio::test(start_paused = true)]
async fn a_late_one_is_shown_what_is_there_and_it_alone() // E18, E19, Q19
{
    let (_server, backend) = ground();
    let (_callback, mut told) = record(&backend, "early");
    backend.start().await.unwrap();
    for name in ["a", "b"] {
        backend.create(&map(name)).await.unwrap();
        next(&mut told).await;
    }
    let (_late, mut told_late) = record(&backend, "late");
    let (first, second) = (next(&mut told_late).await, next(&mut told_late).await);
    assert_eq!(HashSet::from([first.name, second.name]), HashSet::from(["a".into(), "b".into()]));
    assert_eq!(first.causes, Causes::REPLAY);
    silent(&mut told, Duration::from_secs(60)).await;
    backend.delete(&map("a")).await.unwrap();
    assert!(!next(&mut told).await.has_object && !next(&mut told_late).await.has_object);
}

#[tokio::test(start_paused = true)]
async fn whoever_registers_a_late_one_does_not_walk_through_the_kind() // E18
{
    let (_server, backend) = ground();
    let (_callback, mut told) = record(&backend, "early");
    backend.start().await.unwrap();
    for name in ["a", "b"] {
        backend.create(&map(name)).await.unwrap();
        next(&mut told).await;
    }
    let adds = || backend.queue_stats(&ConfigMap::kind_of()).unwrap().adds;
    let before = adds();
    let (_late, mut told_late) = record(&backend, "late");
    assert_eq!(adds(), before, "nobody else has had a turn yet");
    let names = [next(&mut told_late).await.name, next(&mut told_late).await.name];
    assert_eq!((HashSet::from(names), adds()), (HashSet::from(["a".into(), "b".into()]), before + 2));
}

#[tokio::test(start_paused = true)]
async fn the_first_of_a_kind_starts_it_at_any_time() // E20, G12
{
    let (_server, backend) = ground();
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    let (_callback, mut told) = record(&backend, "late");
    assert_eq!(next(&mut told).await.name, "a");
}

#[tokio::test(start_paused = true)]
async fn an_unregistered_one_is_not_called_and_the_others_are() // E21
{
    let (_server, backend) = ground();
    let (first, mut told_first) = record(&backend, "first");
    let (_second, mut told_second) = record(&backend, "second");
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    next(&mut told_first).await;
    next(&mut told_second).await;
    first.unregister_and_wait().await;
    backend.create(&map("b")).await.unwrap();
    assert_eq!(next(&mut told_second).await.name, "b");
    assert!(told_first.recv().await.is_none(), "the callback and what it held are dropped");
}

#[tokio::test(start_paused = true)]
async fn a_name_is_free_again_after_its_callback_is_gone() {
    let (_server, backend) = ground();
    let (callback, _told) = record(&backend, "c");
    let again = backend.watcher("c", |_: Change<ConfigMap>| async { Ok(()) });
    assert!(again.unwrap_err().to_string().contains("\"c\" is already registered for ConfigMap"));
    callback.unregister();
    record(&backend, "c");
}
