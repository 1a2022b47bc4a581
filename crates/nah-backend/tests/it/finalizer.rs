//! A finalizer, a step at a time.

use k8s_openapi::api::core::v1::ConfigMap;
use nah_backend::{Finalizer, Step, prelude::*};

use crate::ground::{ground, map};

const OURS: Finalizer = Finalizer::new("example.com/ours");

async fn read(backend: &dyn Backend) -> std::sync::Arc<ConfigMap> {
    backend.get::<ConfigMap>(("default", "a")).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn is_added_once_holds_the_object_and_lets_it_go() {
    let (server, backend) = ground();
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    assert_eq!(OURS.step(&backend, &*read(&backend).await).await.unwrap(), Step::Added);
    assert_eq!(OURS.step(&backend, &*read(&backend).await).await.unwrap(), Step::Present);
    backend.delete(&map("a")).await.unwrap();

    let going = read(&backend).await;
    assert!(going.metadata.deletion_timestamp.is_some());
    assert_eq!(OURS.step(&backend, &*going).await.unwrap(), Step::Cleanup);
    OURS.remove(&backend, &*going).await.unwrap();
    assert!(backend.get::<ConfigMap>(("default", "a")).await.unwrap_err().is_not_found());
    assert!(server.get("v1", "ConfigMap", "default", "a").is_err());
    OURS.remove(&backend, &*going).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn is_not_put_on_what_is_going_already() {
    let (_server, backend) = ground();
    backend.start().await.unwrap();
    let mut held = map("a");
    held.metadata.finalizers = Some(vec!["example.com/theirs".into()]);
    backend.create(&held).await.unwrap();
    backend.delete(&held).await.unwrap();
    assert_eq!(OURS.step(&backend, &*read(&backend).await).await.unwrap(), Step::Released);
}

#[tokio::test(start_paused = true)]
async fn of_an_object_that_was_made_anew_is_left_alone() {
    let (_server, backend) = ground();
    backend.start().await.unwrap();
    let old = backend.create(&map("a")).await.unwrap();
    backend.delete(&map("a")).await.unwrap();
    assert_eq!(OURS.step(&backend, &*old).await.unwrap(), Step::Released, "it is gone");
    let mut anew = map("a");
    anew.metadata.finalizers = Some(vec!["example.com/ours".into()]);
    backend.create(&anew).await.unwrap();
    OURS.remove(&backend, &*old).await.unwrap();
    assert_eq!(OURS.step(&backend, &*old).await.unwrap(), Step::Released);
    assert_eq!(read(&backend).await.metadata.finalizers, anew.metadata.finalizers);
}

#[tokio::test(start_paused = true)]
async fn steps_on_what_is_behind_go_by_what_is_there() {
    let (server, backend) = ground();
    backend.start().await.unwrap();
    let old = backend.create(&map("a")).await.unwrap();
    assert_eq!(OURS.step(&backend, &*old).await.unwrap(), Step::Added);
    assert_eq!(OURS.step(&backend, &*old).await.unwrap(), Step::Present, "once is enough");
    assert_eq!(read(&backend).await.metadata.finalizers, Some(vec!["example.com/ours".into()]));
    backend.delete(&map("a")).await.unwrap();
    assert_eq!(OURS.step(&backend, &*old).await.unwrap(), Step::Cleanup);

    let mut held = map("b");
    held.metadata.finalizers = Some(vec!["example.com/theirs".into()]);
    let old = backend.create(&held).await.unwrap();
    let free = backend.modify::<ConfigMap>(("default", "b"), |_| {}).await.unwrap();
    backend.delete(&held).await.unwrap();
    assert_eq!(OURS.step(&backend, &*old).await.unwrap(), Step::Released, "it takes no more");
    server.journal().clear();
    OURS.remove(&backend, &*free).await.unwrap();
    assert_eq!(server.journal().count("patch", "configmaps"), 0, "there is nothing to remove");
}
