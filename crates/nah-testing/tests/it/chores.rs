//! What controllers do in a real cluster.

use std::time::Duration;

use nah_testing::ApiServer;
use serde_json::{Value, json};

use crate::support::{Ground, MAPS, map};

async fn settle() {
    tokio::time::sleep(Duration::from_secs(2)).await;
}

async fn namespace(ground: &Ground) {
    ground.post("/api/v1/namespaces", json!({"metadata": {"name": "n"}})).await;
}

fn owned(name: &str, owner: &Value) -> Value {
    let mut object = map(name);
    object["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "ConfigMap",
        "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"], "blockOwnerDeletion": true,
    }]);
    object
}

#[tokio::test(start_paused = true)]
async fn a_terminating_namespace_takes_no_new_content() {
    let ground = Ground::of(ApiServer::builder().namespace_finalization(false).build());
    namespace(&ground).await;
    ground.delete("/api/v1/namespaces/n").await;
    let (code, status) = ground.post("/api/v1/namespaces/n/configmaps", map("a")).await;
    assert_eq!((code, &status["reason"]), (403, &json!("Forbidden")));
    assert_eq!(status["details"]["causes"][0]["reason"], "NamespaceTerminating");
}

#[tokio::test(start_paused = true)]
async fn without_a_controller_a_namespace_terminates_for_ever() {
    let ground = Ground::of(ApiServer::builder().namespace_finalization(false).build());
    namespace(&ground).await;
    ground.delete("/api/v1/namespaces/n").await;
    settle().await;
    assert_eq!(ground.get("/api/v1/namespaces/n").await.0, 200);
    let (_, mut object) = ground.get("/api/v1/namespaces/n").await;
    object["spec"]["finalizers"] = json!([]);
    assert_eq!(ground.put("/api/v1/namespaces/n/finalize", object).await.0, 200);
    assert_eq!(ground.get("/api/v1/namespaces/n").await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_waits_for_the_finalizers_of_its_content() {
    let ground = Ground::new();
    namespace(&ground).await;
    let path = "/api/v1/namespaces/n/configmaps";
    let mut object = map("a");
    object["metadata"]["finalizers"] = json!(["example.com/f"]);
    ground.post(path, object).await;
    ground.post(path, map("b")).await;
    ground.delete("/api/v1/namespaces/n").await;
    settle().await;
    assert_eq!(ground.get(&format!("{path}/b")).await.0, 404);
    assert_eq!(ground.get("/api/v1/namespaces/n").await.0, 200);
    ground.patch(&format!("{path}/a"), json!({"metadata": {"finalizers": null}})).await;
    settle().await;
    assert_eq!(ground.get("/api/v1/namespaces/n").await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn garbage_is_left_alone_unless_asked_for() {
    let ground = Ground::new();
    let (_, owner) = ground.post(MAPS, map("owner")).await;
    ground.post(MAPS, owned("child", &owner)).await;
    ground.delete(&format!("{MAPS}/owner")).await;
    settle().await;
    assert_eq!(ground.get(&format!("{MAPS}/child")).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn garbage_is_collected_through_generations() {
    let ground = Ground::of(ApiServer::builder().garbage_collection(true).build());
    let (_, owner) = ground.post(MAPS, map("owner")).await;
    let (_, child) = ground.post(MAPS, owned("child", &owner)).await;
    ground.post(MAPS, owned("grandchild", &child)).await;
    ground.delete(&format!("{MAPS}/owner")).await;
    assert_eq!(ground.get(&format!("{MAPS}/child")).await.0, 200, "later, as in a real cluster");
    settle().await;
    assert_eq!(ground.get(&format!("{MAPS}/child")).await.0, 404);
    assert_eq!(ground.get(&format!("{MAPS}/grandchild")).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_in_the_foreground_waits_for_the_dependents() {
    let ground = Ground::of(ApiServer::builder().garbage_collection(true).build());
    let (_, owner) = ground.post(MAPS, map("owner")).await;
    let mut child = owned("child", &owner);
    child["metadata"]["finalizers"] = json!(["example.com/f"]);
    ground.post(MAPS, child).await;
    ground.ask("DELETE", &format!("{MAPS}/owner"), json!({"propagationPolicy": "Foreground"})).await;
    settle().await;
    assert_eq!(ground.get(&format!("{MAPS}/owner")).await.0, 200);
    ground.patch(&format!("{MAPS}/child"), json!({"metadata": {"finalizers": null}})).await;
    settle().await;
    assert_eq!(ground.get(&format!("{MAPS}/owner")).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn orphans_lose_their_owner_and_stay() {
    let ground = Ground::of(ApiServer::builder().garbage_collection(true).build());
    let (_, owner) = ground.post(MAPS, map("owner")).await;
    ground.post(MAPS, owned("child", &owner)).await;
    ground.ask("DELETE", &format!("{MAPS}/owner"), json!({"propagationPolicy": "Orphan"})).await;
    settle().await;
    assert_eq!(ground.get(&format!("{MAPS}/owner")).await.0, 404);
    let (code, child) = ground.get(&format!("{MAPS}/child")).await;
    assert_eq!((code, &child["metadata"]["ownerReferences"]), (200, &Value::Null));
}

#[test]
fn without_a_runtime_chores_are_done_at_once() {
    let server = ApiServer::new();
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}});
    server.create(&object).unwrap();
    server.delete("v1", "Namespace", "", "n").unwrap();
    assert!(server.get("v1", "Namespace", "", "n").unwrap_err().is_not_found());
}
