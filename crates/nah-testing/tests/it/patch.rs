//! Patching.

use serde_json::{Value, json};

use crate::support::{Ground, MAPS, map};

async fn patch_as(ground: &Ground, content_type: &str, body: Value) -> (u16, Value) {
    ground.ask_with("PATCH", &format!("{MAPS}/a"), &[("content-type", content_type)], body).await
}

#[tokio::test(start_paused = true)]
async fn a_merge_patch_sets_and_removes() {
    let ground = Ground::new();
    ground.post(MAPS, map("a")).await;
    let (code, object) = ground.patch(&format!("{MAPS}/a"), json!({"data": {"a": null, "c": "d"}})).await;
    assert_eq!((code, &object["data"]), (200, &json!({"c": "d"})));
}

#[tokio::test(start_paused = true)]
async fn a_json_patch_is_applied_or_refused_as_a_whole() {
    let ground = Ground::new();
    ground.post(MAPS, map("a")).await;
    let wrong = json!([
        {"op": "add", "path": "/data/x", "value": "1"},
        {"op": "test", "path": "/data/a", "value": "no"},
    ]);
    let (code, status) = ground.patch(&format!("{MAPS}/a"), wrong).await;
    assert_eq!((code, &status["reason"]), (422, &json!("Invalid")));
    let right = json!([
        {"op": "test", "path": "/data/a", "value": "b"},
        {"op": "add", "path": "/data/x", "value": "1"},
    ]);
    let (code, object) = ground.patch(&format!("{MAPS}/a"), right).await;
    assert_eq!((code, &object["data"]), (200, &json!({"a": "b", "x": "1"})));
}

#[tokio::test(start_paused = true)]
async fn a_version_in_a_patch_is_a_precondition() {
    let ground = Ground::new();
    let (_, object) = ground.post(MAPS, map("a")).await;
    let path = format!("{MAPS}/a");
    let patch = |value: &str| json!({"metadata": {"resourceVersion": object["metadata"]["resourceVersion"]}, "data": {"v": value}});
    assert_eq!(ground.patch(&path, patch("1")).await.0, 200);
    assert_eq!(ground.patch(&path, patch("2")).await.0, 409);
}

#[tokio::test(start_paused = true)]
async fn an_apply_of_cbor_is_refused_in_clear_words() {
    let ground = Ground::new();
    let (code, status) = patch_as(&ground, "application/apply-patch+cbor", map("a")).await;
    assert_eq!((code, &status["reason"]), (415, &json!("UnsupportedMediaType")));
    assert!(status["message"].as_str().unwrap().contains("server-side apply"));
}

#[tokio::test(start_paused = true)]
async fn a_strategic_merge_is_taken_only_where_it_means_what_a_merge_means() {
    let ground = Ground::new();
    ground.post(MAPS, map("a")).await;
    let strategic = "application/strategic-merge-patch+json";
    let (code, object) = patch_as(&ground, strategic, json!({"data": {"a": null, "b": "c"}})).await;
    assert_eq!((code, &object["data"]), (200, &json!({"b": "c"})));
    for patch in [json!({"metadata": {"finalizers": ["a/b"]}}), json!({"data": {"$patch": "replace"}})] {
        let (code, status) = patch_as(&ground, strategic, patch).await;
        assert_eq!((code, &status["reason"]), (415, &json!("UnsupportedMediaType")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_patch_of_what_is_not_there_or_does_not_parse_is_refused() {
    let ground = Ground::new();
    let (code, status) = ground.patch(&format!("{MAPS}/a"), json!({})).await;
    assert_eq!((code, &status["details"]["name"]), (404, &json!("a")));
    let headers = [("content-type", "application/merge-patch+json")];
    let response = ground.send("PATCH", &format!("{MAPS}/a"), &headers, b"{".to_vec()).await;
    assert_eq!(response.status(), 400);
    assert_eq!(patch_as(&ground, "text/plain", json!({})).await.0, 415);
}

#[tokio::test(start_paused = true)]
async fn a_patch_that_makes_nonsense_is_invalid() {
    let ground = Ground::new();
    ground.post(MAPS, map("a")).await;
    let (code, status) = ground.patch(&format!("{MAPS}/a"), json!({"data": {"a": 1}})).await;
    assert_eq!((code, &status["details"]["causes"][0]["field"]), (422, &json!("patch")));
    let (code, status) = ground.patch(&format!("{MAPS}/a"), json!({"metadata": {"uid": "x"}})).await;
    assert_eq!((code, &status["details"]["causes"][0]["field"]), (422, &json!("metadata.uid")));
}

#[tokio::test(start_paused = true)]
async fn a_patch_cannot_rename() {
    let ground = Ground::new();
    ground.post(MAPS, map("a")).await;
    let (code, _) = ground.patch(&format!("{MAPS}/a"), json!({"metadata": {"name": "b"}})).await;
    assert_eq!(code, 400);
}
