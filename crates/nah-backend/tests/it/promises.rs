//! Promises that go across layers: what is added to a kind, how long it lives, and what its readers see.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::core::PartialObjectMeta;
use nah_backend::{KubeBackend, core::DynamicObject, prelude::*};
use nah_testing::ApiServer;
use serde_json::json;
use tokio::{sync::mpsc::unbounded_channel, time::sleep};

use crate::ground::{ground, map_with, next, record};

#[tokio::test(start_paused = true)]
async fn callbacks_and_indexes_are_added_to_a_kind_in_any_order() // E23, Q13
{
    let (_server, backend) = ground();
    let (_first, mut first) = record(&backend, "first");
    let by_value = backend.index_path::<ConfigMap>("data.k").unwrap();
    let (_second, mut second) = record(&backend, "second");
    backend.start().await.unwrap();
    let by_name = backend.index_field("name", |map: &ConfigMap| map.metadata.name.clone()).unwrap();
    let (_third, mut third) = record(&backend, "third");

    backend.create(&map_with("a", "1")).await.unwrap();
    for told in [&mut first, &mut second, &mut third] {
        assert_eq!(next(told).await.name, "a");
    }
    let by_both = ListOptions::default().by(&by_value, "1").by(&by_name, "a");
    assert_eq!(backend.list::<ConfigMap>(by_both).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_kind_outlives_the_callback_that_brought_it() // G15
{
    let (server, backend) = ground();
    backend.start().await.unwrap();
    let (first, mut told) = record(&backend, "first");
    backend.create(&map_with("a", "1")).await.unwrap();
    assert_eq!(next(&mut told).await.name, "a");
    let (_second, mut told) = record(&backend, "second");
    assert_eq!(next(&mut told).await.name, "a");

    first.unregister();
    backend.create(&map_with("b", "1")).await.unwrap();
    assert_eq!(next(&mut told).await.name, "b");
    assert_eq!(server.journal().count("watch", "configmaps"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_only_a_list_shows_is_told_to_callbacks() // E5, Q28
{
    let (server, backend) = ground();
    let (_callback, mut told) = record(&backend, "c");
    backend.start().await.unwrap();
    backend.create(&map_with("a", "1")).await.unwrap();
    next(&mut told).await;

    server.inject(nah_testing::Fault::refuse().always());
    server.restart();
    server.delete("v1", "ConfigMap", "default", "a").unwrap();
    server.compact();
    sleep(Duration::from_secs(10)).await;
    server.clear_faults();

    let gone = next(&mut told).await;
    assert!(gone.name == "a" && !gone.has_object && gone.certain);
    let last = gone.last_known.unwrap().decode::<ConfigMap>().unwrap();
    assert_eq!(last.data, map_with("a", "1").data);
}

#[tokio::test(start_paused = true)]
async fn own_writes_show_in_every_representation() // Q8, F48
{
    let (server, backend) = ground();
    backend.informer::<ConfigMap>().unwrap();
    backend.start().await.unwrap();
    server.hold_watches("configmaps");
    let (gvk, key) = (ConfigMap::kind_of(), ("default", "a"));

    let created = backend.create(&map_with("a", "typed")).await.unwrap();
    let handle = backend.get_for_kind(&gvk, key).await.unwrap();
    let metadata = handle.decode::<PartialObjectMeta<ConfigMap>>().unwrap();
    assert_eq!(metadata.metadata.uid, created.metadata.uid);
    let mut dynamic = DynamicObject::clone(&handle.dynamic().unwrap());
    assert_eq!(dynamic.data["data"]["k"], "typed");

    dynamic.data["data"]["k"] = json!("dynamic");
    backend.update(&dynamic).await.unwrap();
    let typed = backend.get::<ConfigMap>(key).await.unwrap();
    assert_eq!(typed.data, map_with("a", "dynamic").data);
    assert_eq!(server.journal().count("get", "configmaps"), 0, "nothing was read live");
}

#[tokio::test(start_paused = true)]
async fn a_field_without_an_index_is_an_error_whatever_the_others_match() // F14, Q39
{
    let (_server, backend) = ground();
    backend.index_path::<ConfigMap>("data.k").unwrap();
    backend.start().await.unwrap();
    backend.create(&map_with("a", "1")).await.unwrap();
    for known in ["1", "nowhere"] {
        for fields in [[("data.k", known), ("data.x", "1")], [("data.x", "1"), ("data.k", known)]] {
            let options = ListOptions::default().matching_fields(fields);
            let error = backend.list::<ConfigMap>(options).await.unwrap_err();
            assert!(error.to_string().contains("data.x"), "{error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn handlers_and_indexes_hold_for_every_namespace_of_the_cache() // Q46, G16, Q32
{
    let server = ApiServer::new();
    let backend = KubeBackend::with_client(server.client()).namespaces(["default", "kube-system"]).build();
    let (tell, mut told) = unbounded_channel();
    let handler = move |event: nah_backend::cache::Event| {
        let _ = tell.send(event.key().to_string());
    };
    backend.informer_for_kind(&ConfigMap::kind_of()).unwrap().add_event_handler(handler).unwrap();
    let by_value = backend.index_path::<ConfigMap>("data.k").unwrap();
    backend.start().await.unwrap();

    for namespace in ["default", "kube-system"] {
        let mut map = map_with("a", "1");
        map.metadata.namespace = Some(namespace.into());
        backend.create(&map).await.unwrap();
        assert_eq!(told.recv().await, Some(format!("{namespace}/a")));
    }
    assert_eq!(backend.list::<ConfigMap>(ListOptions::default().by(&by_value, "1")).await.unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn callbacks_at_once_are_a_budget_of_all_kinds_together() {
    let server = ApiServer::new();
    let backend = KubeBackend::with_client(server.client()).callbacks_at_once(2).build();
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (ended, mut ends) = unbounded_channel();
    let count = || {
        let (running, most, ended) = (running.clone(), most.clone(), ended.clone());
        move || {
            let (running, most, ended) = (running.clone(), most.clone(), ended.clone());
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                sleep(Duration::from_secs(1)).await;
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(ended.send(())?)
            }
        }
    };
    let (maps, secrets) = (count(), count());
    backend.watcher("maps", move |_: Change<ConfigMap>| maps()).unwrap();
    backend.watcher("secrets", move |_: Change<Secret>| secrets()).unwrap();
    backend.start().await.unwrap();
    for number in 0..3 {
        let name = format!("a-{number}");
        backend.create(&map_with(&name, "1")).await.unwrap();
        let metadata = map_with(&name, "1").metadata;
        backend.create(&Secret { metadata, ..Secret::default() }).await.unwrap();
    }
    for _ in 0..6 {
        ends.recv().await.unwrap();
    }
    assert_eq!(most.load(Ordering::SeqCst), 2);
}
