//! Waiting on the cache by kube-runtime's conditions.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use nah_backend::{cache::CacheError, client, prelude::*};
use tokio::time::sleep;

use crate::ground::{ground, map, map_with};

fn has_value(map: Option<&ConfigMap>) -> bool {
    map.is_some_and(|map| map.data.is_some())
}

fn is_gone(map: Option<&ConfigMap>) -> bool {
    map.is_none()
}

#[tokio::test(start_paused = true)]
async fn ends_with_the_object_for_which_the_condition_holds() // E28, Q38
{
    let (server, backend) = ground();
    backend.start().await.unwrap();
    let waiting = tokio::spawn({
        let backend = backend.clone();
        async move { backend.wait_for(("default", "a"), has_value).await }
    });
    sleep(Duration::from_secs(1)).await;
    backend.create(&map("a")).await.unwrap();
    backend.create(&map_with("b", "1")).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished());
    backend.modify::<ConfigMap>(("default", "a"), |map| map.data = map_with("a", "1").data).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().unwrap().data, map_with("a", "1").data);
    assert!(server.journal().count("get", "configmaps") == 0, "it asks the cache");
}

#[tokio::test(start_paused = true)]
async fn ends_at_once_where_it_holds_already_also_for_an_absence() {
    let (_server, backend) = ground();
    backend.start().await.unwrap();
    assert!(backend.wait_for(("default", "none"), is_gone).await.unwrap().is_none());
    backend.create(&map_with("a", "1")).await.unwrap();
    assert!(backend.wait_for(("default", "a"), has_value).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn ends_with_an_error_when_the_backend_does() // E29
{
    let (_server, backend) = ground();
    backend.start().await.unwrap();
    let waiting = tokio::spawn({
        let backend = backend.clone();
        async move { backend.wait_for(("default", "a"), has_value).await }
    });
    sleep(Duration::from_secs(1)).await;
    backend.shutdown(Duration::ZERO).await;
    assert!(matches!(waiting.await.unwrap(), Err(client::Error::Cache(CacheError::Stopped))));
}
