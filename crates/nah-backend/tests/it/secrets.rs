//! Secrets of which only the metadata is cached: no body is asked for, and none is made up.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use nah_backend::{
    KubeBackend,
    cache::{CacheError, CacheOptions, KindCacheOptions},
    client::Error,
    core::{DynamicObject, PartialObjectMeta},
    prelude::*,
};
use nah_testing::ApiServer;
use serde_json::json;

fn secret(name: &str, app: &str) -> serde_json::Value {
    json!({ "apiVersion": "v1", "kind": "Secret",
            "metadata": { "name": name, "namespace": "default", "labels": { "app": app } },
            "stringData": { "password": "hush" } })
}

fn ground() -> (ApiServer, KubeBackend) {
    let server = ApiServer::new();
    let only = KindCacheOptions::default().metadata_only();
    let cache = CacheOptions::default().kind((*Secret::kind_of()).clone(), only);
    (server.clone(), KubeBackend::with_client(server.client()).cache(cache).build())
}

#[tokio::test(start_paused = true)]
async fn metadata_alone_is_asked_for_and_follows_every_change() {
    let (server, backend) = ground();
    server.create(&secret("a", "web")).unwrap();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let secrets = move |change: Change<PartialObjectMeta<Secret>>| {
        let _ = tell.send((change.key.name().to_owned(), change.object.is_some()));
        async { Ok(()) }
    };
    let callback = nah_backend::watch::typed(secrets);
    let _secrets = backend.add_callback(&Secret::kind_of(), "secrets", callback).unwrap();
    backend.start().await.unwrap();
    assert_eq!(told.recv().await.unwrap(), ("a".into(), true));
    server.create(&secret("b", "db")).unwrap();
    assert_eq!(told.recv().await.unwrap(), ("b".into(), true));
    server.delete("v1", "Secret", "default", "a").unwrap();
    assert_eq!(told.recv().await.unwrap(), ("a".into(), false));
    // A list as well as a stream.
    server.compact();
    server.cut_watches("");
    server.create(&secret("c", "db")).unwrap();
    assert_eq!(told.recv().await.unwrap(), ("c".into(), true));

    let options = ListOptions::default().matching_text("app=db").unwrap();
    let all = backend.list_for_kind(&Secret::kind_of(), options).await.unwrap();
    let names: Vec<_> = all.handles().map(|object| object.key().name().to_owned()).collect();
    assert_eq!(names, ["b", "c"]);
    for object in all.handles() {
        let json = String::from_utf8(object.json().unwrap().into_owned()).unwrap();
        assert!(!json.contains("password") && !json.contains("\"data\""), "{json}");
        let meta = object.decode::<PartialObjectMeta<Secret>>().unwrap();
        assert_eq!(meta.metadata.labels.as_ref().unwrap()["app"], "db");
    }
    let asked = server.journal().requests();
    let asked: Vec<_> = asked.iter().filter(|request| request.resource == "secrets").collect();
    assert!(
        asked.iter().any(|request| request.verb == "list" || request.query.contains("sendInitialEvents"))
    );
    assert!(asked.iter().all(|request| request.accept.contains("as=PartialObjectMetadata")), "{asked:#?}");
    backend.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn no_whole_object_is_made_of_metadata() {
    let (server, backend) = ground();
    server.create(&secret("a", "web")).unwrap();
    backend.informer::<Secret>().unwrap();
    backend.start().await.unwrap();
    // An empty Secret would be a lie.
    let error = backend.get::<Secret>(("default", "a")).await.unwrap_err();
    assert!(matches!(&error, Error::Decode(_) | Error::Cache(CacheError::Decode(_))), "{error:?}");
    assert!(error.to_string().contains("only its metadata is cached"), "{error}");
    let handle = backend.get_for_kind(&Secret::kind_of(), ("default", "a")).await.unwrap();
    assert!(handle.decode::<DynamicObject>().is_err() && handle.dynamic().is_err());
    assert_eq!(handle.gvk(), &*Secret::kind_of());
    handle.decode::<PartialObjectMeta<Secret>>().unwrap();
    let live = backend.get_live::<Secret>(("default", "a")).await.unwrap();
    assert_eq!(live.data.as_ref().unwrap()["password"].0, b"hush");
    backend.shutdown(Duration::from_secs(5)).await;
}
