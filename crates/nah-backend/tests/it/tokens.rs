//! Tokens that rotate: a refusal costs nothing that was known, and ends when the new token is there.

use std::{path::Path, time::Duration};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Client, Config,
    client::{Body, ConfigExt as _},
    config::{ExecConfig, ExecInteractiveMode},
};
use nah_backend::{KubeBackend, client::Effect, prelude::*};
use nah_testing::ApiServer;
use serde_json::json;
use tokio::time::{sleep, timeout};
use tower::{Layer as _, service_fn};

use crate::ground::{map, map_with, next, record};

/// Has a credential plugin say `token`, which has expired: it is asked anew for every request.
fn say(file: &Path, token: &str) {
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": { "token": token, "expirationTimestamp": "2020-01-01T00:00:00Z" },
    });
    std::fs::write(file, credential.to_string()).unwrap();
}

/// A client in this process behind kube's own layer of authentication, whose plugin is `cat`.
fn client(server: &ApiServer, file: &Path) -> Client {
    let mut config = Config::new("http://localhost".parse().unwrap());
    config.auth_info.exec = Some(ExecConfig {
        api_version: Some("client.authentication.k8s.io/v1".into()),
        command: Some("cat".into()),
        args: Some(vec![file.display().to_string()]),
        interactive_mode: Some(ExecInteractiveMode::Never),
        ..ExecConfig::default()
    });
    authenticated(server, &config)
}

fn authenticated(server: &ApiServer, config: &Config) -> Client {
    let inner = server.client();
    let service = service_fn(move |request: http::Request<Body>| {
        let inner = inner.clone();
        async move { inner.send(request).await.map_err(tower::BoxError::from) }
    });
    Client::new(config.auth_layer().unwrap().unwrap().layer(service), "default")
}

#[tokio::test(start_paused = true)]
async fn a_token_that_rotates_costs_nothing_that_was_known() // C10
{
    let file = std::env::temp_dir().join(format!("nah-tokens-{}", std::process::id()));
    say(&file, "one");
    let server = ApiServer::new();
    server.accept_tokens(["one"]);
    let backend = KubeBackend::with_client(client(&server, &file)).build();
    let (_callback, mut told) = record(&backend, "c");
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();
    assert_eq!(next(&mut told).await.name, "a");

    // The server takes the new one only, and the plugin still says the old one.
    server.accept_tokens(["two"]);
    server.cut_watches("");
    server
        .create(&json!({ "apiVersion": "v1", "kind": "ConfigMap",
                           "metadata": { "name": "b", "namespace": "default" } }))
        .unwrap();
    sleep(Duration::from_secs(300)).await;
    let refused = backend.create(&map("c")).await.unwrap_err();
    assert_eq!((refused.status().unwrap().code, refused.effect()), (401, Effect::None), "{refused}");
    let live = backend.get_live::<ConfigMap>(("default", "a")).await.unwrap_err();
    assert!(!live.is_not_found(), "{live}");
    backend.get::<ConfigMap>(("default", "a")).await.unwrap();
    assert!(told.try_recv().is_err(), "what is known is not gone");
    let error = backend.status().into_iter().find_map(|status| status.last_error).unwrap();
    assert!(error.contains("401"), "{error}");

    say(&file, "two");
    let caught_up = backend.wait_for::<ConfigMap>(("default", "b"), |map: Option<&ConfigMap>| map.is_some());
    timeout(Duration::from_secs(3600), caught_up).await.unwrap().unwrap();
    assert_eq!(next(&mut told).await.name, "b");
    backend.update(&map_with("a", "2")).await.unwrap();
    assert_eq!(next(&mut told).await.value.as_deref(), Some("2"));
    assert_eq!(backend.status().into_iter().find_map(|status| status.last_error), None);
    assert_eq!(server.list("v1", "ConfigMap").unwrap().len(), 2, "what was refused was not done");
    backend.shutdown(Duration::from_secs(5)).await;
    std::fs::remove_file(file).unwrap();
}

/// kube-client goes by the clock of the machine, which no test can move: this one takes the minute that it waits for.
#[tokio::test]
#[ignore = "takes a minute of real time"]
async fn a_token_in_a_file_is_read_again_within_a_minute() // C10
{
    let file = std::env::temp_dir().join(format!("nah-token-file-{}", std::process::id()));
    std::fs::write(&file, "one").unwrap();
    let server = ApiServer::new();
    server.accept_tokens(["one"]);
    let mut config = Config::new("http://localhost".parse().unwrap());
    config.auth_info.token_file = Some(file.display().to_string());
    let backend = KubeBackend::with_client(authenticated(&server, &config)).build();
    backend.informer::<ConfigMap>().unwrap();
    backend.start().await.unwrap();
    backend.create(&map("a")).await.unwrap();

    // As kubelet rotates it: the file says the new one, and the old one is no longer taken.
    std::fs::write(&file, "two").unwrap();
    server.accept_tokens(["two"]);
    server.cut_watches("");
    let refused = backend.create(&map("b")).await.unwrap_err();
    assert_eq!((refused.status().unwrap().code, refused.effect()), (401, Effect::None), "{refused}");
    backend.get::<ConfigMap>(("default", "a")).await.unwrap();
    server
        .create(&json!({ "apiVersion": "v1", "kind": "ConfigMap",
                           "metadata": { "name": "c", "namespace": "default" } }))
        .unwrap();
    let caught_up = backend.wait_for::<ConfigMap>(("default", "c"), |map: Option<&ConfigMap>| map.is_some());
    timeout(Duration::from_secs(180), caught_up).await.unwrap().unwrap();
    backend.create(&map("b")).await.unwrap();
    backend.shutdown(Duration::from_secs(5)).await;
    std::fs::remove_file(file).unwrap();
}
