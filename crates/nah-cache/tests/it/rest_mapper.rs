//! Kinds to resources, by what a server says of itself.

use std::time::Duration;

use nah_cache::{CacheError, CacheOptions, RestMapper, informers};
use nah_core::GroupVersionKind;
use serde_json::{Value, json};

use crate::script::{Reply, Script};

fn mapper(script: &Script) -> std::sync::Arc<dyn RestMapper> {
    informers(script.client(), CacheOptions::default()).0.rest_mapper()
}

fn gvk(group: &str, version: &str, kind: &str) -> GroupVersionKind {
    GroupVersionKind::gvk(group, version, kind)
}

fn asked(script: &Script) -> Vec<String> {
    script.seen().into_iter().map(|seen| seen.path).collect()
}

/// Kind, plural, scope.
type Served<'a> = (&'a str, &'a str, &'a str);

/// The answer of aggregated discovery to groups, each of one version with its freshness.
fn aggregated(groups: &[(&str, &str, &str, &[Served<'_>])]) -> Value {
    let items: Vec<_> = groups
        .iter()
        .map(|(group, version, freshness, kinds)| {
            let resources: Vec<_> = kinds
                .iter()
                .map(|(kind, plural, scope)| {
                    json!({ "resource": plural, "scope": scope, "verbs": ["list", "watch"],
                            "responseKind": { "group": group, "version": version, "kind": kind } })
                })
                .collect();
            let version = json!({ "version": version, "freshness": freshness, "resources": resources });
            json!({ "metadata": { "name": group }, "versions": [version] })
        })
        .collect();
    json!({ "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": items })
}

#[tokio::test(start_paused = true)]
async fn two_requests_say_everything_where_discovery_is_aggregated() {
    let script = Script::bare();
    script.answer(
        "/api",
        Reply::Json(200, aggregated(&[("", "v1", "Current", &[("Pod", "pods", "Namespaced")])])),
    );
    let apps: &[_] = &[("Deployment", "deployments", "Namespaced")];
    let nodes: &[_] = &[("NodeMetrics", "nodes", "Cluster")];
    let groups =
        aggregated(&[("apps", "v1", "Current", apps), ("metrics.k8s.io", "v1beta1", "Current", nodes)]);
    script.answer("/apis", Reply::Json(200, groups));
    let mapper = mapper(&script);
    let pods = mapper.mapping(&gvk("", "v1", "Pod")).await.unwrap();
    assert_eq!((pods.resource.plural.as_str(), pods.namespaced), ("pods", true));
    let deployments = mapper.mapping(&gvk("apps", "v1", "Deployment")).await.unwrap();
    assert_eq!(deployments.resource.api_version, "apps/v1");
    assert!(!mapper.mapping(&gvk("metrics.k8s.io", "v1beta1", "NodeMetrics")).await.unwrap().namespaced);
    assert_eq!(asked(&script), ["/api", "/apis"]);
}

#[tokio::test(start_paused = true)]
async fn asks_an_older_server_for_one_version_at_a_time() {
    let script = Script::new();
    let mapper = mapper(&script);
    assert_eq!(mapper.mapping(&gvk("", "v1", "ConfigMap")).await.unwrap().resource.plural, "configmaps");
    assert!(!mapper.mapping(&gvk("", "v1", "Node")).await.unwrap().namespaced);
    assert_eq!(asked(&script), ["/api", "/apis", "/api/v1"]);
}

#[tokio::test(start_paused = true)]
async fn asks_singly_for_what_the_aggregated_answer_calls_stale() {
    let script = Script::bare();
    script.serve("x.io/v1", "Thing", "things", true);
    script.answer("/api", Reply::Json(200, aggregated(&[])));
    script.answer("/apis", Reply::Json(200, aggregated(&[("x.io", "v1", "Stale", &[])])));
    let mapping = mapper(&script).mapping(&gvk("x.io", "v1", "Thing")).await.unwrap();
    assert_eq!(mapping.resource.plural, "things");
}

#[tokio::test(start_paused = true)]
async fn takes_the_version_that_was_asked_for_or_none() // Q34
{
    let script = Script::bare();
    script.serve("x.io/v1", "Thing", "things", true);
    script.serve("x.io/v2", "Thing", "thingies", true);
    let mapper = mapper(&script);
    assert_eq!(mapper.mapping(&gvk("x.io", "v2", "Thing")).await.unwrap().resource.plural, "thingies");
    assert_eq!(mapper.mapping(&gvk("x.io", "v1", "Thing")).await.unwrap().resource.version, "v1");
    let error = mapper.mapping(&gvk("x.io", "v3", "Thing")).await.unwrap_err();
    assert_eq!(error.to_string(), "server does not serve Thing in x.io/v3");
}

#[tokio::test(start_paused = true)]
async fn a_miss_is_asked_for_again_but_not_more_than_once_a_second() // F50, G14, Q34
{
    let script = Script::new();
    let mapper = mapper(&script);
    let thing = gvk("x.io", "v1", "Thing");
    for _ in 0..10 {
        assert!(matches!(mapper.mapping(&thing).await, Err(CacheError::UnknownKind { .. })));
    }
    assert_eq!(asked(&script), ["/api", "/apis", "/apis/x.io/v1"]);
    script.serve("x.io/v1", "Thing", "things", false);
    tokio::time::advance(Duration::from_millis(1001)).await;
    assert_eq!(mapper.mapping(&thing).await.unwrap().resource.plural, "things");
}

#[tokio::test(start_paused = true)]
async fn forgets_everything_when_told_to() {
    let script = Script::new();
    let mapper = mapper(&script);
    let node = gvk("", "v1", "Node");
    mapper.mapping(&node).await.unwrap();
    script.deny("Node");
    mapper.mapping(&node).await.unwrap();
    mapper.reset();
    assert!(matches!(mapper.mapping(&node).await, Err(CacheError::UnknownKind { .. })));
}

#[tokio::test(start_paused = true)]
async fn many_who_ask_at_once_ask_once() {
    let script = Script::new();
    let mapper = mapper(&script);
    let config_map = gvk("", "v1", "ConfigMap");
    let all = (0..20).map(|_| mapper.mapping(&config_map));
    assert!(futures::future::join_all(all).await.iter().all(Result::is_ok));
    assert_eq!(asked(&script).iter().filter(|path| *path == "/apis").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn prefers_the_resource_of_a_kind_that_can_be_listed() {
    let script = Script::bare();
    let resource = |name: &str, verbs: &[&str]| json!({ "name": name, "singularName": "", "kind": "Thing", "namespaced": true, "verbs": verbs });
    let resources = [
        resource("reviews", &["create"]),
        resource("things", &["list"]),
        resource("things/status", &["get"]),
    ];
    script.answer(
        "/apis/x.io/v1",
        Reply::Json(200, json!({ "groupVersion": "x.io/v1", "resources": resources })),
    );
    let mapping = mapper(&script).mapping(&gvk("x.io", "v1", "Thing")).await.unwrap();
    assert_eq!(mapping.resource.plural, "things");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_no_answer_about_the_kind() // G14, Q34
{
    let script = Script::bare();
    script.answer("/api", Reply::Hang);
    script.answer("/api", Reply::Refused);
    script.answer("/apis/x.io/v1", Reply::status(503, "ServiceUnavailable"));
    let mapper = mapper(&script);
    let thing = gvk("x.io", "v1", "Thing");
    let failed = |result| match result {
        Err(CacheError::Discovery { gvk, source }) => format!("{}: {source}", gvk.kind),
        other => panic!("{other:?}"),
    };
    assert_eq!(failed(mapper.mapping(&thing).await), "Thing: server does not answer");
    assert!(failed(mapper.mapping(&thing).await).contains("refused"));
    assert!(failed(mapper.mapping(&thing).await).contains("503"));
}

#[tokio::test(start_paused = true)]
async fn says_so_where_a_server_speaks_no_kubernetes() {
    let script = Script::bare();
    script.answer("/api", Reply::Text(200, "<html>It works!</html>"));
    let error = mapper(&script).mapping(&gvk("", "v1", "Pod")).await.unwrap_err();
    assert!(
        error.to_string().starts_with("cannot discover Pod: server at /api speaks no Kubernetes"),
        "{error}"
    );
}
