//! What is wrong is named, and nothing is lost or taken for an absence.

use std::{convert::Infallible, time::Duration};

use k8s_openapi::api::core::v1::{ConfigMap, Node, Secret};
use kube::{Client, client::Body};
use nah_backend::{
    KubeBackend, StartError,
    cache::{CacheError, ListOptions},
    client::{self, Effect},
    prelude::*,
};
use nah_testing::{ApiServer, Fault};
use tower::service_fn;

use crate::ground::{ground, map, map_with, next, record};

#[tokio::test(start_paused = true)]
async fn a_key_that_no_object_can_have_is_named_by_every_read_and_trigger() // A1
{
    let (_server, backend) = ground();
    record(&backend, "c");
    backend.start().await.unwrap();
    for (key, text) in [(("a", "b/c"), "a/b/c"), (("default", ""), "no name")] {
        let read = backend.get::<ConfigMap>(key).await.unwrap_err();
        assert!(!read.is_not_found() && read.to_string().contains(text), "{read}");
        let live = backend.get_live::<ConfigMap>(key).await.unwrap_err();
        assert!(!live.is_not_found() && live.to_string().contains(text), "{live}");
        let trigger = backend.trigger::<ConfigMap>(key, Duration::ZERO).unwrap_err();
        assert!(trigger.to_string().contains(text), "{trigger}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_trigger_with_a_namespace_for_a_kind_without_is_an_error() {
    let (server, backend) = ground();
    server
        .create(&serde_json::json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n" } }))
        .unwrap();
    backend.watcher("nodes", |_: Change<Node>| async { Ok(()) }).unwrap();
    backend.start().await.unwrap();
    let error = backend.trigger::<Node>(("default", "n"), Duration::ZERO).unwrap_err().to_string();
    assert!(error.contains("default/n") && error.contains("Node"), "{error}");
    backend.trigger::<Node>(ObjectKey::cluster("n"), Duration::ZERO).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_selector_that_does_not_parse_and_an_index_that_is_not_there_are_named() // F14
{
    let (_server, backend) = ground();
    backend.start().await.unwrap();
    let error = ListOptions::default().matching_text("app in (web").unwrap_err();
    assert!(
        matches!(&error, CacheError::Selector(_)) && error.to_string().contains("app in (web"),
        "{error}"
    );
    let by_none = ListOptions::default().matching_field("spec.none", "x");
    let error = backend.list::<ConfigMap>(by_none).await.unwrap_err().to_string();
    assert!(error.contains("spec.none") && error.contains("ConfigMap"), "{error}");
    backend.index_path::<ConfigMap>("data.k").unwrap();
    let error = backend.index_path::<ConfigMap>("data.k").unwrap_err().to_string();
    assert!(error.contains("data.k") && error.contains("ConfigMap"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_extractor_that_panics_costs_its_values_and_nothing_else() // A13
{
    let (_server, backend) = ground();
    backend
        .index_field("odd", |map: &ConfigMap| {
            let value = map.data.as_ref().and_then(|data| data.get("k").cloned());
            assert_ne!(value.as_deref(), Some("bad"), "a panic of a test");
            value
        })
        .unwrap();
    let (_callback, mut told) = record(&backend, "c");
    backend.start().await.unwrap();
    for (name, value) in [("a", "bad"), ("b", "good")] {
        backend.create(&map_with(name, value)).await.unwrap();
        next(&mut told).await;
    }
    let by = |value: &str| ListOptions::default().matching_field("odd", value);
    assert_eq!(backend.list::<ConfigMap>(by("good")).await.unwrap().len(), 1);
    assert_eq!(backend.list::<ConfigMap>(by("bad")).await.unwrap().len(), 0);
    assert_eq!(backend.list::<ConfigMap>(ListOptions::default()).await.unwrap().len(), 2);
    assert!(backend.status().iter().any(|status| status.index_failures > 0), "{:?}", backend.status());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_speaks_no_kubernetes_is_told_as_such() {
    let web = service_fn(|_: http::Request<Body>| async {
        Ok::<_, Infallible>(http::Response::new(Body::from(b"<html>hello</html>".to_vec())))
    });
    let backend =
        KubeBackend::with_client(Client::new(web, "default")).sync_timeout(Duration::from_secs(30)).build();
    record(&backend, "c");
    let error = backend.start().await.unwrap_err();
    let StartError::NotSynced(kinds) = &error else { panic!("{error}") };
    assert!(kinds[0].last_error.is_some(), "{error}");
    let read = backend.get_live::<ConfigMap>(("default", "a")).await.unwrap_err();
    assert!(!read.is_not_found(), "{read}");
    let write = backend.create(&map("a")).await.unwrap_err();
    assert!(!write.is_not_found(), "{write}");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_goes_on_with_the_next_event() // B23, B24
{
    let (_server, backend) = ground();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let handler = backend
        .informer::<ConfigMap>()
        .unwrap()
        .typed::<Object>()
        .add_event_handler(move |event| {
            assert_ne!(event.key().name(), "bad", "a panic of a test");
            tell.send(event.key().name().to_owned()).unwrap();
        })
        .unwrap();
    backend.start().await.unwrap();
    backend.create(&map("bad")).await.unwrap();
    backend.create(&map("good")).await.unwrap();
    assert_eq!(told.recv().await.as_deref(), Some("good"));
    assert!(handler.has_synced());
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_never_read_as_a_config_map() {
    let (_server, backend) = ground();
    backend.start().await.unwrap();
    let secret: Secret =
        serde_json::from_value(serde_json::json!({ "metadata": { "name": "s", "namespace": "default" } }))
            .unwrap();
    backend.create(&secret).await.unwrap();
    let handle = backend.get_for_kind(&Secret::kind_of(), ("default", "s")).await.unwrap();
    let error = handle.decode::<ConfigMap>().unwrap_err().to_string();
    assert!(error.contains("Secret default/s"), "{error}");
    let as_another = backend.informer_for_kind(&Secret::kind_of()).unwrap().typed::<ConfigMap>();
    assert!(matches!(as_another.get(&("default", "s").into()), Err(CacheError::Decode(_))));
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_is_lost_is_not_known_to_have_failed_and_reads_look_live() // F40
{
    let (server, backend) = ground();
    backend.start().await.unwrap();
    backend.create(&map_with("a", "1")).await.unwrap();
    backend.get::<ConfigMap>(("default", "a")).await.unwrap();
    server.hold_watches("configmaps");
    server.inject(Fault::drop_answer().on("patch").of("configmaps"));
    let lost = backend.modify::<ConfigMap>(("default", "a"), |map| map.data = map_with("a", "2").data).await;
    match lost {
        Err(error) => assert_eq!(error.effect(), Effect::Unknown, "{error}"),
        Ok(map) => assert_eq!(map.data, map_with("a", "2").data),
    }
    let read = backend.get::<ConfigMap>(("default", "a")).await.unwrap();
    assert_eq!(read.data, map_with("a", "2").data);
}

#[tokio::test(start_paused = true)]
async fn a_user_without_rights_learns_so_and_not_that_nothing_is_there() {
    let server = ApiServer::new();
    server.inject(Fault::answer(403).of("configmaps").always());
    let backend = KubeBackend::with_client(server.client()).sync_timeout(Duration::from_secs(10)).build();
    record(&backend, "c");
    assert!(backend.start().await.unwrap_err().to_string().contains("403"));
    let informer = backend.informer::<ConfigMap>().unwrap();
    let error = informer.list(&ListOptions::default()).unwrap_err();
    assert!(matches!(&error, CacheError::NotSynced { last_error: Some(_), .. }), "{error}");
    let live = backend.get_live::<ConfigMap>(("default", "a")).await.unwrap_err();
    assert!(matches!(&live, client::Error::Api { status, .. } if status.code == 403), "{live}");
}
