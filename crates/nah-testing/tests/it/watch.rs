//! Watching.

use std::time::Duration;

use serde_json::json;

use crate::support::{Ground, MAPS, PODS, map, pod, version};

#[tokio::test(start_paused = true)]
async fn a_watch_from_a_version_tells_what_came_after() {
    let ground = Ground::new();
    ground.post(MAPS, map("a")).await;
    let from = ground.server.version();
    ground.post(MAPS, map("b")).await;
    let mut watch = ground.watch(&format!("{MAPS}?watch=1&resourceVersion={from}")).await;
    assert_eq!(watch.short().await, "ADDED b");
    ground.patch(&format!("{MAPS}/a"), json!({"data": {"x": "1"}})).await;
    let event = watch.event().await;
    assert_eq!((&event["type"], &event["object"]["kind"]), (&json!("MODIFIED"), &json!("ConfigMap")));
    assert_eq!(version(&event["object"]), ground.server.version());
    ground.delete(&format!("{MAPS}/a")).await;
    let event = watch.event().await;
    assert_eq!((&event["type"], version(&event["object"])), (&json!("DELETED"), ground.server.version()));
    assert!(watch.drain().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_zero_or_nothing_begins_with_what_is_there() {
    let ground = Ground::new();
    ground.post(MAPS, map("b")).await;
    ground.post(MAPS, map("a")).await;
    for query in ["watch=true", "watch=true&resourceVersion=0", "watch=true&resourceVersion="] {
        let mut watch = ground.watch(&format!("{MAPS}?{query}")).await;
        assert_eq!(watch.drain().await, ["ADDED a", "ADDED b"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_sees_its_namespace_only() {
    let ground = Ground::new();
    let mut one = ground.watch(&format!("{MAPS}?watch=1")).await;
    let mut all = ground.watch("/api/v1/configmaps?watch=1").await;
    ground.post("/api/v1/namespaces/kube-system/configmaps", map("x")).await;
    ground.post(MAPS, map("a")).await;
    ground.post(PODS, pod("p", None)).await;
    assert_eq!(one.drain().await, ["ADDED a"]);
    assert_eq!(all.drain().await, ["ADDED x", "ADDED a"]);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_changes_nothing_is_no_event() {
    let ground = Ground::new();
    ground.post(MAPS, map("a")).await;
    let mut watch =
        ground.watch(&format!("{MAPS}?watch=1&resourceVersion={}", ground.server.version())).await;
    ground.patch(&format!("{MAPS}/a"), json!({})).await;
    assert!(watch.drain().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_too_old_is_an_error_event_and_the_end() {
    let ground = Ground::new();
    let from = ground.server.version();
    ground.post(MAPS, map("a")).await;
    ground.server.compact();
    let mut watch = ground.watch(&format!("{MAPS}?watch=1&resourceVersion={from}")).await;
    let event = watch.event().await;
    assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert_eq!(event["object"]["reason"], "Expired");
    let current = ground.server.version();
    assert_eq!(event["object"]["message"], format!("too old resource version: {from} ({current})"));
    assert!(watch.line().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_runs_survives_a_compaction() {
    let ground = Ground::new();
    let mut watch = ground.watch(&format!("{MAPS}?watch=1")).await;
    ground.post(MAPS, map("a")).await;
    ground.server.compact();
    ground.post(MAPS, map("b")).await;
    assert_eq!(watch.drain().await, ["ADDED a", "ADDED b"]);
}

#[tokio::test(start_paused = true)]
async fn a_history_that_is_full_expires_the_slow() {
    let ground = Ground::of(nah_testing::ApiServer::builder().history(3).build());
    let mut slow = ground.watch(&format!("{MAPS}?watch=1")).await;
    let from = ground.server.version();
    for name in ["a", "b", "c", "d"] {
        ground.post(MAPS, map(name)).await;
    }
    assert_eq!(slow.event().await["object"]["code"], 410);
    let mut watch = ground.watch(&format!("{MAPS}?watch=1&resourceVersion={from}")).await;
    assert_eq!(watch.event().await["object"]["code"], 410);
    let mut watch = ground.watch(&format!("{MAPS}?watch=1&resourceVersion={}", from + 1)).await;
    assert_eq!(watch.drain().await, ["ADDED b", "ADDED c", "ADDED d"]);
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_every_minute_to_those_who_ask() {
    let ground = Ground::new();
    let mut with = ground.watch(&format!("{MAPS}?watch=1&allowWatchBookmarks=true")).await;
    let mut without = ground.watch(&format!("{MAPS}?watch=1")).await;
    ground.post(PODS, pod("p", None)).await;
    let started = tokio::time::Instant::now();
    let event = with.event().await;
    assert_eq!(
        (event["type"].as_str(), version(&event["object"])),
        (Some("BOOKMARK"), ground.server.version())
    );
    assert_eq!(event["object"]["kind"], "ConfigMap");
    assert_eq!(started.elapsed().as_secs(), 60);
    assert!(without.drain().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_when_its_time_is_up() {
    let ground = Ground::new();
    let started = tokio::time::Instant::now();
    let mut watch = ground.watch(&format!("{MAPS}?watch=1&timeoutSeconds=7")).await;
    assert!(watch.line().await.is_none());
    assert_eq!(started.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_streaming_list_needs_its_match() {
    let ground = Ground::new();
    for query in [
        "sendInitialEvents=true",
        "sendInitialEvents=true&resourceVersionMatch=Exact",
        "resourceVersionMatch=NotOlderThan",
    ] {
        let (code, status) = ground.get(&format!("{MAPS}?watch=1&{query}")).await;
        assert_eq!((code, &status["reason"]), (422, &json!("Invalid")), "{query}");
        assert_eq!(status["details"]["causes"][0]["field"], "resourceVersionMatch");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_can_begin_now_without_the_initial_events() {
    let ground = Ground::new();
    ground.post(MAPS, map("a")).await;
    let query = "watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan";
    let mut watch = ground.watch(&format!("{MAPS}?{query}")).await;
    ground.post(MAPS, map("b")).await;
    assert_eq!(watch.drain().await, ["ADDED b"]);
}

#[tokio::test(start_paused = true)]
async fn a_streaming_list_of_a_version_to_come_is_an_error_in_the_stream() {
    let ground = Ground::new();
    let query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=9999";
    let mut watch = ground.watch(&format!("{MAPS}?{query}")).await;
    let event = watch.event().await;
    assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(504)));
    assert!(watch.line().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_streaming_list_of_nothing_ends_at_once() {
    let ground = Ground::new();
    let query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=1&resourceVersion=0";
    let mut watch = ground.watch(&format!("{MAPS}?{query}")).await;
    let event = watch.event().await;
    assert_eq!(event["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    ground.post(MAPS, map("a")).await;
    assert_eq!(watch.short().await, "ADDED a");
}

#[tokio::test(start_paused = true)]
async fn an_object_comes_into_the_selector_as_added_and_goes_as_deleted() {
    let ground = Ground::new();
    ground.post(PODS, pod("p", None)).await;
    let mut watch = ground.watch(&format!("{PODS}?watch=1&fieldSelector=status.phase%3DRunning")).await;
    let phase = async |phase: &str| {
        ground.patch(&format!("{PODS}/p/status"), json!({"status": {"phase": phase}})).await;
    };
    phase("Running").await;
    phase("Failed").await;
    assert_eq!(watch.drain().await, ["ADDED p", "DELETED p"]);
}

#[tokio::test(start_paused = true)]
async fn one_object_can_be_watched_by_name() {
    let ground = Ground::new();
    let mut watch = ground.watch(&format!("{MAPS}?watch=1&fieldSelector=metadata.name%3Db")).await;
    ground.post(MAPS, map("a")).await;
    ground.post(MAPS, map("b")).await;
    assert_eq!(watch.drain().await, ["ADDED b"]);
    let (code, object) = ground.get(&format!("{MAPS}/b?watch=1")).await;
    assert_eq!((code, &object["kind"]), (200, &json!("ConfigMap")), "on an object's path there is no watch");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_goes_at_once_is_modified_and_then_deleted() {
    let ground = Ground::new();
    ground.post(PODS, pod("p", None)).await;
    let mut watch =
        ground.watch(&format!("{PODS}?watch=1&resourceVersion={}", ground.server.version())).await;
    ground.delete(&format!("{PODS}/p")).await;
    assert_eq!(watch.drain().await, ["MODIFIED p", "DELETED p"]);
}

#[tokio::test(start_paused = true)]
async fn held_watches_deliver_when_they_are_released() {
    let ground = Ground::new();
    let mut maps = ground.watch(&format!("{MAPS}?watch=1")).await;
    let mut pods = ground.watch(&format!("{PODS}?watch=1")).await;
    ground.server.hold_watches("configmaps");
    ground.post(MAPS, map("a")).await;
    ground.post(PODS, pod("p", None)).await;
    assert_eq!(pods.short().await, "ADDED p");
    assert!(tokio::time::timeout(Duration::from_secs(600), maps.event()).await.is_err());
    ground.server.release_watches("configmaps");
    assert_eq!(maps.short().await, "ADDED a");
}

#[tokio::test(start_paused = true)]
async fn running_watches_can_be_cut_by_kind() {
    let ground = Ground::new();
    let mut maps = ground.watch(&format!("{MAPS}?watch=1")).await;
    let mut pods = ground.watch(&format!("{PODS}?watch=1")).await;
    ground.server.cut_watches("configmaps");
    assert!(maps.line().await.unwrap().is_err());
    ground.post(PODS, pod("p", None)).await;
    assert_eq!(pods.short().await, "ADDED p");
    let mut again = ground.watch(&format!("{MAPS}?watch=1")).await;
    ground.post(MAPS, map("a")).await;
    assert_eq!(again.short().await, "ADDED a");
}
