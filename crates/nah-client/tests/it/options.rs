//! Each option of each verb, as it goes over the wire.

use std::sync::{Arc, Mutex};

use http::Request;
use http_body_util::BodyExt;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Pod},
};
use kube_client::{Client, client::Body};
use kube_core::params::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, ValidationDirective};
use nah_cache::{CacheOptions, ListOptions, informers};
use nah_client::{CachedClient, LiveWatch, ReadWriteExt, ReaderExt, Verb, Write, Writer, WriterExt};
use nah_core::{Kind, ObjectKey, PartialObjectMeta};
use nah_testing::ApiServer;
use serde_json::{Value, json};

use crate::{config_map, key};

/// A request: `VERB path?parameters`, what it takes for an answer, and its body.
#[derive(Clone, Debug)]
struct Asked {
    line: String,
    accept: String,
    body: Value,
}

/// Every request that went through a client, but those of discovery.
#[derive(Clone, Default)]
struct Wire(Arc<Mutex<Vec<Asked>>>);

impl Wire {
    fn client(&self, server: &ApiServer) -> CachedClient {
        let (inner, wire) = (server.client(), self.clone());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (inner, wire) = (inner.clone(), wire.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                let accept = parts.headers.get("accept").and_then(|accept| accept.to_str().ok());
                wire.0.lock().unwrap().push(Asked {
                    line: format!("{} {}", parts.method, parts.uri),
                    accept: accept.unwrap_or_default().to_owned(),
                    body: serde_json::from_slice(&body).unwrap_or_default(),
                });
                inner.send(Request::from_parts(parts, Body::from(body))).await
            }
        });
        let (informers, driver) = informers(server.client(), CacheOptions::default());
        tokio::spawn(driver.run());
        CachedClient::new(Client::new(service, "default"), informers)
    }

    /// The last request.
    fn last(&self) -> Asked {
        self.0.lock().unwrap().last().unwrap().clone()
    }

    /// The last request, which is this one.
    fn is(&self, line: &str) -> Asked {
        let last = self.last();
        assert_eq!(last.line, line);
        last
    }
}

fn deployment() -> Deployment {
    serde_json::from_value(json!({ "metadata": { "name": "web", "namespace": "default" },
                                   "spec": { "selector": {}, "template": {} } }))
    .unwrap()
}

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const WEB: &str = "/apis/apps/v1/namespaces/default/deployments/web";

#[tokio::test(start_paused = true)]
async fn every_write_that_can_says_so_that_it_is_dry_and_whose_it_is() // F37, F38, Q59
{
    let wire = Wire::default();
    let client = wire.client(&ApiServer::new());
    let (map, web) = (config_map("a", "1"), deployment());
    let post = PostParams { dry_run: true, field_manager: Some("me".into()) };
    let asked = "dryRun=All&fieldManager=me";
    // None of them finds anything; what was sent is what counts.
    drop(client.create_with(&map, &post).await);
    wire.is(&format!("POST {MAPS}?{asked}"));
    drop(client.update_with(&map, &post).await);
    wire.is(&format!("PUT {MAPS}/a?{asked}"));
    drop(client.update_status_with(&web, &post).await);
    wire.is(&format!("PUT {WEB}/status?{asked}"));
    let body = json!({ "spec": { "replicas": 2 } });
    drop(client.update_subresource::<Deployment>(key("web"), "scale", &body, &post).await);
    assert_eq!(wire.is(&format!("PUT {WEB}/scale?{asked}")).body, body);
    drop(client.create_subresource::<Pod>(key("p"), "eviction", &body, &post).await);
    assert_eq!(wire.is(&format!("POST /api/v1/namespaces/default/pods/p/eviction?{asked}")).body, body);

    let params = PatchParams {
        dry_run: true,
        field_manager: Some("me".into()),
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::default()
    };
    let asked = format!("{asked}&fieldValidation=Strict");
    let patch = Patch::Merge(&body);
    drop(client.patch::<ConfigMap>(key("a"), &patch, &params).await);
    assert_eq!(wire.is(&format!("PATCH {MAPS}/a?{asked}")).body, body);
    drop(client.patch_status::<Deployment>(key("web"), &patch, &params).await);
    wire.is(&format!("PATCH {WEB}/status?{asked}"));
    drop(client.patch_for_kind(&Deployment::kind_of(), &key("web"), Some("scale"), &patch, &params).await);
    wire.is(&format!("PATCH {WEB}/scale?{asked}"));
    drop(client.apply_with(&map, &params).await);
    wire.is(&format!("PATCH {MAPS}/a?{asked}"));
    drop(client.apply_with(&map, &params.clone().force()).await);
    wire.is(&format!("PATCH {MAPS}/a?{asked}&force=true"));
    drop(client.apply_status(&web, &params.force()).await);
    wire.is(&format!("PATCH {WEB}/status?{asked}&force=true"));
}

#[tokio::test(start_paused = true)]
async fn a_validation_is_asked_for_of_everything_that_has_fields() {
    let wire = Wire::default();
    let client = wire.client(&ApiServer::new());
    for (verb, line) in [
        (Verb::Create, "POST"),
        (Verb::Update, "PUT"),
        (Verb::MergePatch, "PATCH"),
        (Verb::JsonPatch, "PATCH"),
        (Verb::Apply { force: false }, "PATCH"),
        (Verb::Delete, "DELETE"),
    ] {
        let mut write = Write::new(verb, &config_map("a", "1"), None).unwrap();
        (write.field_manager, write.field_validation) = (Some("me".into()), Some("Warn".into()));
        drop(client.write(write).await);
        let place = if verb == Verb::Create { MAPS.to_owned() } else { format!("{MAPS}/a") };
        let options = if verb == Verb::Delete { "" } else { "?fieldManager=me&fieldValidation=Warn" };
        wire.is(&format!("{line} {place}{options}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_says_what_to_delete_how_soon_and_what_with_it() // F33, F34, F37
{
    let wire = Wire::default();
    let client = wire.client(&ApiServer::new());
    let params = DeleteParams {
        dry_run: true,
        grace_period_seconds: Some(7),
        preconditions: Some(Preconditions { uid: Some("u".into()), resource_version: Some("1".into()) }),
        ..DeleteParams::foreground()
    };
    // The server reads the body and no parameter: a dry run that stood there alone would delete.
    let options = json!({ "apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"], "gracePeriodSeconds": 7,
                          "propagationPolicy": "Foreground",
                          "preconditions": { "uid": "u", "resourceVersion": "1" } });
    drop(client.delete_with(&config_map("a", "1"), &params).await);
    assert_eq!(wire.is(&format!("DELETE {MAPS}/a?dryRun=All")).body, options);
    drop(client.delete_for_kind(&Deployment::kind_of(), &key("web"), &params).await);
    assert_eq!(wire.is(&format!("DELETE {WEB}?dryRun=All")).body, options);
    let some = ListOptions::default().in_namespace("default").matching_labels([("a", "b")]);
    drop(client.delete_all_of_for_kind(&ConfigMap::kind_of(), some, &params).await);
    assert_eq!(wire.is(&format!("DELETE {MAPS}?dryRun=All&labelSelector=a%3Db")).body, options);
    drop(client.delete_by_key::<ConfigMap>(key("a")).await);
    let nothing_more = json!({ "apiVersion": "v1", "kind": "DeleteOptions" });
    assert_eq!(wire.is(&format!("DELETE {MAPS}/a")).body, nothing_more);
}

#[tokio::test(start_paused = true)]
async fn a_live_read_asks_for_no_more_than_it_shows() // F39
{
    let wire = Wire::default();
    let client = wire.client(&ApiServer::new());
    let some = ListOptions::default().in_namespace("default").matching_labels([("a", "b")]);
    client.list_live::<ConfigMap>(some.clone().limit(3)).await.unwrap();
    wire.is(&format!("GET {MAPS}?labelSelector=a%3Db&limit=3"));
    let mut events = client.watch(&ConfigMap::kind_of(), some.limit(3).after("104"));
    let opened =
        tokio::time::timeout(std::time::Duration::from_secs(1), futures::StreamExt::next(&mut events));
    assert!(opened.await.is_err(), "nothing happens");
    // A stream has no end that a limit could be.
    let parameters = "watch=true&allowWatchBookmarks=true&resourceVersion=104&labelSelector=a%3Db";
    wire.is(&format!("GET {MAPS}?{parameters}"));
}

#[tokio::test(start_paused = true)]
async fn metadata_is_written_as_its_kind_and_answered_as_metadata() // Q8
{
    let (server, wire) = (ApiServer::new(), Wire::default());
    let client = wire.client(&server);
    client.create(&config_map("a", "1")).await.unwrap();
    let meta: PartialObjectMeta<ConfigMap> = serde_json::from_value(json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
        "metadata": { "name": "a", "namespace": "default", "labels": { "l": "1" } },
    }))
    .unwrap();
    let applied = client.apply(&meta, "me").await.unwrap();
    assert_eq!(applied.metadata.labels, meta.metadata.labels);
    let asked = wire.is(&format!("PATCH {MAPS}/a?fieldManager=me"));
    assert_eq!((&asked.body["apiVersion"], &asked.body["kind"]), (&json!("v1"), &json!("ConfigMap")));
    let partial = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, application/json";
    assert_eq!(asked.accept, partial);
    let patch = Patch::Merge(json!({ "metadata": { "labels": { "l": "2" } } }));
    let params = PatchParams::default();
    drop(client.patch_status::<PartialObjectMeta<Deployment>>(key("web"), &patch, &params).await);
    assert_eq!(wire.is(&format!("PATCH {WEB}/status")).accept, partial);
    let stored = server.get("v1", "ConfigMap", "default", "a").unwrap();
    assert_eq!((&stored["metadata"]["labels"]["l"], &stored["data"]["value"]), (&json!("1"), &json!("1")));
}

#[tokio::test(start_paused = true)]
async fn a_modification_is_the_difference_and_the_version_and_nothing_else() // F35
{
    let wire = Wire::default();
    let client = wire.client(&ApiServer::new());
    let created = client.create(&config_map("a", "1")).await.unwrap();
    let edit = |map: &mut ConfigMap| {
        map.data.get_or_insert_default().insert("value".into(), "2".into());
    };
    client.modify(key("a"), edit).await.unwrap();
    let version = created.metadata.resource_version.clone().unwrap();
    let steps = json!([
        { "op": "test", "path": "/metadata/resourceVersion", "value": version },
        { "op": "replace", "path": "/data/value", "value": "2" },
    ]);
    assert_eq!(wire.is(&format!("PATCH {MAPS}/a")).body, steps);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_of_what_has_none_is_not_sent() // F4
{
    let wire = Wire::default();
    let client = wire.client(&ApiServer::new());
    let space: k8s_openapi::api::core::v1::Namespace =
        serde_json::from_value(json!({ "metadata": { "name": "red", "namespace": "any" } })).unwrap();
    client.create(&space).await.unwrap();
    wire.is("POST /api/v1/namespaces");
    let found = client.get::<k8s_openapi::api::core::v1::Namespace>(ObjectKey::cluster("red")).await.unwrap();
    assert_eq!(found.metadata.namespace, None);
}
