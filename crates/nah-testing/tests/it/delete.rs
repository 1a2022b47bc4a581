//! Deleting.

use serde_json::json;

use crate::support::{Ground, MAPS, PODS, map, pod, version};

#[tokio::test(start_paused = true)]
async fn preconditions_are_checked() {
    let ground = Ground::new();
    let (_, object) = ground.post(MAPS, map("a")).await;
    let path = format!("{MAPS}/a");
    let (code, status) = ground.ask("DELETE", &path, json!({"preconditions": {"uid": "x"}})).await;
    assert_eq!((code, &status["reason"]), (409, &json!("Conflict")));
    let wrong = json!({"preconditions": {"resourceVersion": "1"}});
    assert_eq!(ground.ask("DELETE", &path, wrong).await.0, 409);
    let right = json!({"preconditions": {
        "uid": object["metadata"]["uid"], "resourceVersion": object["metadata"]["resourceVersion"],
    }});
    assert_eq!(ground.ask("DELETE", &path, right).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_not_found() {
    let ground = Ground::new();
    let (code, status) = ground.delete(&format!("{MAPS}/a")).await;
    assert_eq!((code, &status["message"]), (404, &json!("configmaps \"a\" not found")));
}

#[tokio::test(start_paused = true)]
async fn a_recreated_object_has_another_uid() {
    let ground = Ground::new();
    let (_, one) = ground.post(MAPS, map("a")).await;
    ground.delete(&format!("{MAPS}/a")).await;
    let (_, two) = ground.post(MAPS, map("a")).await;
    assert_ne!(one["metadata"]["uid"], two["metadata"]["uid"]);
    assert!(version(&two) > version(&one));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_deletes_nothing() {
    let ground = Ground::new();
    ground.post(MAPS, map("a")).await;
    let path = format!("{MAPS}/a");
    assert_eq!(ground.delete(&format!("{path}?dryRun=All")).await.0, 200);
    assert_eq!(ground.ask("DELETE", &path, json!({"dryRun": ["All"]})).await.0, 200);
    assert_eq!(ground.get(&path).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_collection_is_deleted_by_selector() {
    let ground = Ground::new();
    for (name, label) in [("a", "1"), ("b", "2"), ("c", "1")] {
        let mut object = map(name);
        object["metadata"]["labels"] = json!({"l": label});
        ground.post(MAPS, object).await;
    }
    let (code, list) = ground.delete(&format!("{MAPS}?labelSelector=l%3D1")).await;
    assert_eq!((code, list["items"].as_array().unwrap().len()), (200, 2));
    let (_, left) = ground.get(MAPS).await;
    assert_eq!(left["items"][0]["metadata"]["name"], "b");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_has_ended_goes_at_once() {
    let ground = Ground::new();
    ground.post(PODS, pod("p", Some("n"))).await;
    ground.patch(&format!("{PODS}/p/status"), json!({"status": {"phase": "Succeeded"}})).await;
    ground.delete(&format!("{PODS}/p")).await;
    assert_eq!(ground.get(&format!("{PODS}/p")).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn the_grace_of_a_pod_can_be_chosen_and_only_shortened() {
    let ground = Ground::new();
    let path = format!("{PODS}/p");
    ground.post(PODS, pod("p", Some("n"))).await;
    let (_, one) = ground.delete(&format!("{path}?gracePeriodSeconds=20")).await;
    assert_eq!(one["metadata"]["deletionGracePeriodSeconds"], 20);
    let (_, longer) = ground.delete(&format!("{path}?gracePeriodSeconds=60")).await;
    assert_eq!(longer, one);
    let (_, shorter) = ground.delete(&format!("{path}?gracePeriodSeconds=5")).await;
    assert_eq!(shorter["metadata"]["deletionGracePeriodSeconds"], 5);
}

#[tokio::test(start_paused = true)]
async fn a_pod_with_a_finalizer_outlives_its_grace() {
    let ground = Ground::new();
    let path = format!("{PODS}/p");
    let mut object = pod("p", None);
    object["metadata"]["finalizers"] = json!(["example.com/f"]);
    ground.post(PODS, object).await;
    let (code, object) = ground.delete(&path).await;
    assert_eq!((code, &object["metadata"]["deletionGracePeriodSeconds"]), (200, &json!(0)));
    assert_eq!(ground.get(&path).await.0, 200);
    ground.patch(&path, json!({"metadata": {"finalizers": null}})).await;
    assert_eq!(ground.get(&path).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn the_default_namespaces_cannot_be_deleted() {
    let ground = Ground::new();
    let (code, status) = ground.delete("/api/v1/namespaces/default").await;
    assert_eq!((code, &status["reason"]), (403, &json!("Forbidden")));
}

#[tokio::test(start_paused = true)]
async fn an_evicted_pod_is_deleted() {
    let ground = Ground::new();
    ground.post(PODS, pod("p", None)).await;
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}});
    assert_eq!(ground.post(&format!("{PODS}/p/eviction"), eviction).await.0, 201);
    assert_eq!(ground.get(&format!("{PODS}/p")).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_in_the_foreground_or_with_orphans_leaves_a_finalizer_for_the_collector() {
    let ground = Ground::new();
    for (name, policy, finalizer) in [("a", "Foreground", "foregroundDeletion"), ("b", "Orphan", "orphan")] {
        ground.post(MAPS, map(name)).await;
        let options = json!({"propagationPolicy": policy});
        let (_, object) = ground.ask("DELETE", &format!("{MAPS}/{name}"), options).await;
        assert_eq!(object["metadata"]["finalizers"], json!([finalizer]));
        assert_eq!(ground.get(&format!("{MAPS}/{name}")).await.0, 200);
    }
}
