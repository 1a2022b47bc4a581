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

#[tokio::test(start_paused = true)]
async fn many_who_miss_at_once_ask_once() // Q34
{
    let script = Script::new();
    let mapper = mapper(&script);
    mapper.mapping(&gvk("", "v1", "Node")).await.unwrap();
    let things: Vec<_> = (0..20).map(|at| gvk("x.io", "v1", &format!("Thing{}", at % 3))).collect();
    let answers = futures::future::join_all(things.iter().map(|thing| mapper.mapping(thing))).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(CacheError::UnknownKind { .. }))));
    assert_eq!(asked(&script).iter().filter(|path| *path == "/apis/x.io/v1").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn many_who_ask_at_once_share_a_failure() // Q34
{
    let script = Script::bare();
    script.answer("/api", Reply::Hang);
    let mapper = mapper(&script);
    let (thing, started) = (gvk("x.io", "v1", "Thing"), tokio::time::Instant::now());
    let all = futures::future::join_all((0..20).map(|_| mapper.mapping(&thing))).await;
    assert!(all.iter().all(|answer| matches!(answer, Err(CacheError::Discovery { .. }))));
    assert_eq!(asked(&script), ["/api"]);
    assert_eq!(started.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_does_not_stop_those_who_wait() // Q34
{
    let script = Script::new();
    let mapper = mapper(&script);
    let config_map = gvk("", "v1", "ConfigMap");
    let mut first = mapper.mapping(&config_map);
    assert!(futures::poll!(&mut first).is_pending());
    let mut second = mapper.mapping(&config_map);
    assert!(futures::poll!(&mut second).is_pending());
    drop(first);
    assert_eq!(second.await.unwrap().resource.plural, "configmaps");
    assert_eq!(asked(&script).iter().filter(|path| *path == "/api").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_broken_hides_and_delays_no_other() // Q34
{
    let script = Script::bare();
    script.answer("/api", Reply::Json(200, aggregated(&[])));
    let things: &[_] = &[("Thing", "things", "Cluster")];
    let groups = [("x.io", "v1", "Current", things), ("broken.io", "v1", "Stale", &[])];
    script.answer("/apis", Reply::Json(200, aggregated(&groups)));
    script.answer("/apis/broken.io/v1", Reply::Hang);
    script.answer("/apis/broken.io/v1", Reply::status(503, "ServiceUnavailable"));
    script.serve("y.io/v1", "Late", "lates", true);
    let (mapper, started) = (mapper(&script), tokio::time::Instant::now());
    let broken = gvk("broken.io", "v1", "Gauge");
    let waits = mapper.mapping(&broken);
    let others = async {
        assert_eq!(mapper.mapping(&gvk("x.io", "v1", "Thing")).await.unwrap().resource.plural, "things");
        assert_eq!(mapper.mapping(&gvk("y.io", "v1", "Late")).await.unwrap().resource.plural, "lates");
        started.elapsed()
    };
    let (waited, others) = futures::join!(waits, others);
    assert!(matches!(waited, Err(CacheError::Discovery { .. })), "{waited:?}");
    assert_eq!((others.as_secs(), started.elapsed().as_secs()), (0, 20));
    // It is broken and not absent, again and again.
    assert!(mapper.mapping(&broken).await.unwrap_err().to_string().contains("503"));
    assert!(mapper.mapping(&gvk("x.io", "v1", "Thing")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_answer_from_before_a_reset_is_not_kept() // Q34
{
    let script = Script::bare();
    script.serve("x.io/v1", "Thing", "things", true);
    let mapper = mapper(&script);
    let thing = gvk("x.io", "v1", "Thing");
    let (lines, reply) = Reply::stream();
    script.answer("/apis/x.io/v1", reply);
    let mut early = mapper.mapping(&thing);
    while asked(&script).len() < 3 {
        assert!(futures::poll!(&mut early).is_pending());
        tokio::task::yield_now().await;
    }
    mapper.reset();
    script.deny("Thing");
    script.serve("x.io/v1", "Thing", "thingies", false);
    let resource = json!({ "name": "things", "singularName": "", "kind": "Thing", "namespaced": true,
                           "verbs": ["list"] });
    lines.say(&json!({ "groupVersion": "x.io/v1", "resources": [resource] }));
    drop(lines);
    assert_eq!(early.await.unwrap().resource.plural, "things");
    assert_eq!(mapper.mapping(&thing).await.unwrap().resource.plural, "thingies");
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_comes_back_as_another_is_known_as_that() // F50, Q34
{
    let script = Script::bare();
    script.serve("x.io/v1", "Thing", "things", true);
    script.serve("x.io/v1", "Other", "others", true);
    script.serve("y.io/v1", "Else", "elses", true);
    let mapper = mapper(&script);
    let (thing, other, other_group) =
        (gvk("x.io", "v1", "Thing"), gvk("x.io", "v1", "Other"), gvk("y.io", "v1", "Else"));
    assert!(mapper.mapping(&thing).await.unwrap().namespaced);
    mapper.mapping(&other_group).await.unwrap();
    script.deny("Thing");
    mapper.forget(&thing);
    assert!(matches!(mapper.mapping(&thing).await, Err(CacheError::UnknownKind { .. })));
    script.serve("x.io/v1", "Thing", "thingies", false);
    tokio::time::advance(Duration::from_millis(1001)).await;
    let back = mapper.mapping(&thing).await.unwrap();
    assert_eq!((back.resource.plural.as_str(), back.namespaced), ("thingies", false));
    // The others are known as before.
    let before = script.seen().len();
    assert!(mapper.mapping(&other).await.is_ok() && mapper.mapping(&other_group).await.is_ok());
    assert_eq!(script.seen().len(), before);
}

#[tokio::test(start_paused = true)]
async fn what_a_newer_answer_lacks_is_not_known_any_more() // F50, Q34
{
    let script = Script::bare();
    script.serve("x.io/v1", "Thing", "things", true);
    script.serve("x.io/v1", "Other", "others", true);
    let mapper = mapper(&script);
    mapper.mapping(&gvk("x.io", "v1", "Thing")).await.unwrap();
    script.deny("Thing");
    mapper.forget(&gvk("x.io", "v1", "Other"));
    mapper.mapping(&gvk("x.io", "v1", "Other")).await.unwrap();
    let gone = mapper.mapping(&gvk("x.io", "v1", "Thing")).await;
    assert!(matches!(gone, Err(CacheError::UnknownKind { .. })), "{gone:?}");
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_denied_again_and_again_is_asked_for_once_a_second() // Q34
{
    let script = Script::bare();
    script.serve("x.io/v1", "Thing", "things", true);
    let mapper = mapper(&script);
    let thing = gvk("x.io", "v1", "Thing");
    mapper.mapping(&thing).await.unwrap();
    let before = script.seen().len();
    // Five seconds of a server that lists the kind and serves nothing at its path.
    for _ in 0..500 {
        mapper.forget(&thing);
        mapper.mapping(&thing).await.unwrap();
        tokio::time::advance(Duration::from_millis(10)).await;
    }
    let asked = script.seen().len() - before;
    assert!((1..=6).contains(&asked), "asked {asked} times");
}

#[tokio::test(start_paused = true)]
async fn what_one_cluster_serves_is_nothing_to_the_mapper_of_another() // Q34
{
    let (one, other) = (Script::bare(), Script::bare());
    one.serve("x.io/v1", "Thing", "things", true);
    other.serve("x.io/v1", "Thing", "thingies", false);
    let thing = gvk("x.io", "v1", "Thing");
    let (ours, theirs) = (mapper(&one), mapper(&other));
    assert_eq!(ours.mapping(&thing).await.unwrap().resource.plural, "things");
    assert_eq!(theirs.mapping(&thing).await.unwrap().resource.plural, "thingies");
    theirs.reset();
    assert!(ours.mapping(&thing).await.unwrap().namespaced);
}
