//! What is asked again, and what is not.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use nah_cache::{CacheError, ListOptions};
use nah_client::{Effect, Error, ReaderExt, WriterExt};
use nah_testing::Fault;
use tokio::time::Instant;

use crate::{World, config_map, edited, truth};

#[tokio::test(start_paused = true)]
async fn a_read_survives_a_server_that_is_busy_or_broken() {
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    for fault in [
        Fault::answer(500),
        Fault::answer(503),
        Fault::too_many_requests(1),
        Fault::drop_answer(),
        Fault::refuse(),
    ] {
        world.server.inject(fault.on("get").of("configmaps").times(2));
        assert!(world.client.get_live::<ConfigMap>(("default", "a")).await.is_ok());
    }
    world.server.inject(Fault::answer(503).on("list").of("configmaps"));
    assert!(world.client.list_live::<ConfigMap>(ListOptions::default()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_read_gives_up_in_the_end() {
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    world.server.inject(Fault::answer(503).on("get").of("configmaps").always());
    let error = world.client.get_live::<ConfigMap>(("default", "a")).await.unwrap_err();
    assert_eq!(error.status().unwrap().code, 503);
    assert_eq!(world.server.journal().count("get", "configmaps"), 6);
}

#[tokio::test(start_paused = true)]
async fn a_read_waits_as_long_as_the_server_asks() {
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    world.server.inject(Fault::too_many_requests(3).on("get").of("configmaps").times(2));
    let before = Instant::now();
    assert!(world.client.get_live::<ConfigMap>(("default", "a")).await.is_ok());
    assert!(before.elapsed() >= Duration::from_secs(6), "{:?}", before.elapsed());
    assert!(before.elapsed() < Duration::from_secs(9), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_read_that_nobody_answers_ends() {
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    world.server.inject(Fault::hang().on("get").of("configmaps").always());
    world.server.inject(Fault::hang().on("list").of("configmaps").always());
    let before = Instant::now();
    let error = world.client.get_live::<ConfigMap>(("default", "a")).await.unwrap_err();
    assert_eq!(error.effect(), Effect::None, "{error}");
    assert!(!error.is_not_found());
    assert_eq!(before.elapsed(), Duration::from_secs(90));
    assert!(world.client.list_live::<ConfigMap>(ListOptions::default()).await.is_err());
    assert_eq!(before.elapsed(), Duration::from_secs(180));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_nobody_answers_is_waited_for_and_unknown_when_given_up() {
    let world = World::new();
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    world.blind::<ConfigMap>().await;
    world.server.inject(Fault::hang().on("update").of("configmaps"));
    let changed = edited(&created, "2");
    let write = world.client.update(&changed);
    assert!(tokio::time::timeout(Duration::from_secs(600), write).await.is_err());
    assert_eq!(world.server.journal().count("update", "configmaps"), 1);
    assert_eq!(world.data("a").await, truth(&world.server, "a"));
    assert_eq!(world.server.journal().count("get", "configmaps"), 1, "the read asked the server");
}

#[tokio::test(start_paused = true)]
async fn who_waits_to_ask_again_stops_with_the_client() {
    let world = World::new();
    world.client.create(&config_map("a", "1")).await.unwrap();
    world.server.inject(Fault::too_many_requests(3).on("get").of("configmaps").always());
    let (client, before) = (world.client.clone(), Instant::now());
    let read = tokio::spawn(async move { client.get_live::<ConfigMap>(("default", "a")).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.client.stop();
    let error = read.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Cache(CacheError::Stopped)), "{error}");
    // The wait of three seconds, longer by a quarter at most, and none after it.
    assert!(before.elapsed() < Duration::from_millis(3760), "{:?}", before.elapsed());
    assert_eq!(world.server.journal().count("get", "configmaps"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_limit_on_requests_is_a_layer_of_the_client() {
    let server = nah_testing::ApiServer::new();
    let inner = server.client();
    let service = tower::service_fn(move |request: http::Request<kube_client::client::Body>| {
        let inner = inner.clone();
        async move { inner.send(request).await }
    });
    let rate = tower::limit::rate::Rate::new(5, Duration::from_secs(1));
    let limited = kube_client::Client::new(tower::limit::RateLimit::new(service, rate), "default");
    let (informers, driver) = nah_cache::informers(server.client(), nah_cache::CacheOptions::default());
    tokio::spawn(driver.run());
    let client = nah_client::CachedClient::new(limited, informers);
    let before = Instant::now();
    for n in 0..21 {
        client.create(&config_map(&format!("m{n}"), "1")).await.unwrap();
    }
    assert!(before.elapsed() >= Duration::from_secs(4), "{:?}", before.elapsed());
    assert!(before.elapsed() < Duration::from_secs(6), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_not_begun_is_sent_again() {
    let world = World::new();
    world.server.inject(Fault::too_many_requests(2).on("create").of("configmaps").times(2));
    let before = Instant::now();
    world.client.create(&config_map("a", "1")).await.unwrap();
    assert_eq!(world.server.journal().count("create", "configmaps"), 3);
    assert!(before.elapsed() >= Duration::from_secs(4), "as the server asked");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_never_begun_has_no_effect() {
    let world = World::new();
    world.server.inject(Fault::too_many_requests(1).on("create").of("configmaps").always());
    let error = world.client.create(&config_map("a", "1")).await.unwrap_err();
    assert!(error.is_too_many_requests());
    assert_eq!(error.effect(), Effect::None);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_may_have_happened_is_sent_once() {
    let world = World::new();
    let created = world.client.create(&config_map("a", "1")).await.unwrap();
    for fault in [Fault::answer(500), Fault::answer(503), Fault::drop_answer()] {
        world.server.journal().clear();
        world.server.inject(fault.on("update").of("configmaps"));
        assert!(world.client.update(&edited(&created, "2")).await.is_err());
        assert_eq!(world.server.journal().count("update", "configmaps"), 1);
    }
    assert_eq!(truth(&world.server, "a").as_deref(), Some("2"));
}

#[tokio::test]
async fn a_connection_that_was_never_there_has_no_effect() {
    let server = nah_testing::ApiServer::new();
    let listening = server.listen().await.unwrap();
    let client = kube_client::Client::try_from(listening.config()).unwrap();
    let (informers, driver) = nah_cache::informers(client.clone(), nah_cache::CacheOptions::default());
    tokio::spawn(driver.run());
    let client = nah_client::CachedClient::new(client, informers);
    client.create(&config_map("a", "1")).await.unwrap();
    listening.close().await;
    let error = client.create(&config_map("b", "1")).await.unwrap_err();
    assert_eq!(error.effect(), Effect::None, "{error:?}");
}
