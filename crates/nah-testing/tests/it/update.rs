//! Updating, status and scale.

use serde_json::{Value, json};

use crate::support::{Ground, MAPS, PODS, deployment, map, pod, version};

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

#[tokio::test(start_paused = true)]
async fn a_stale_version_conflicts_and_says_so() {
    let ground = Ground::new();
    let (_, old) = ground.post(MAPS, map("a")).await;
    ground.patch(&format!("{MAPS}/a"), json!({"data": {"x": "y"}})).await;
    let (code, status) = ground.put(&format!("{MAPS}/a"), old).await;
    assert_eq!((code, &status["reason"]), (409, &json!("Conflict")));
    assert_eq!(
        status["message"],
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes \
         to the latest version and try again"
    );
    assert_eq!(status["details"], json!({"name": "a", "kind": "configmaps"}));
}

#[tokio::test(start_paused = true)]
async fn an_update_without_a_version_is_taken_where_the_kind_allows_it() {
    let ground = Ground::new();
    ground.post(MAPS, map("a")).await;
    let mut object = map("a");
    object["data"] = json!({"new": "1"});
    let (code, object) = ground.put(&format!("{MAPS}/a"), object).await;
    assert_eq!((code, &object["data"]), (200, &json!({"new": "1"})));

    let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    let lease = json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}});
    ground.post(leases, lease.clone()).await;
    let (code, status) = ground.put(&format!("{leases}/l"), lease).await;
    assert_eq!((code, &status["details"]["causes"][0]["field"]), (422, &json!("metadata.resourceVersion")));
}

#[tokio::test(start_paused = true)]
async fn an_update_that_changes_nothing_keeps_the_version() {
    let ground = Ground::new();
    let (_, object) = ground.post(MAPS, map("a")).await;
    let headers = [("content-type", "application/json"), ("user-agent", "another/1")];
    let (code, same) = ground.ask_with("PUT", &format!("{MAPS}/a"), &headers, object.clone()).await;
    assert_eq!((code, same), (200, object.clone()));
    assert_eq!(ground.server.version(), version(&object));
}

#[tokio::test(start_paused = true)]
async fn the_generation_counts_changes_of_the_spec_only() {
    let ground = Ground::new();
    let path = format!("{DEPLOYMENTS}/d");
    ground.post(DEPLOYMENTS, deployment("d")).await;
    let generation = |object: &Value| object["metadata"]["generation"].as_i64().unwrap();
    let (_, labelled) = ground.patch(&path, json!({"metadata": {"labels": {"a": "b"}}})).await;
    assert_eq!(generation(&labelled), 1);
    let (_, status) = ground.patch(&format!("{path}/status"), json!({"status": {"replicas": 1}})).await;
    assert_eq!((generation(&status), &status["status"]["replicas"]), (1, &json!(1)));
    let (_, changed) = ground.patch(&path, json!({"spec": {"replicas": 2}})).await;
    assert_eq!((generation(&changed), &changed["status"]["replicas"]), (2, &json!(1)));
}

#[tokio::test(start_paused = true)]
async fn status_and_spec_are_written_apart() {
    let ground = Ground::new();
    let path = format!("{DEPLOYMENTS}/d");
    let (_, mut object) = ground.post(DEPLOYMENTS, deployment("d")).await;
    object["spec"]["replicas"] = json!(5);
    object["status"] = json!({"replicas": 4});
    object["metadata"]["labels"] = json!({"a": "b"});
    let (code, written) = ground.put(&format!("{path}/status"), object.clone()).await;
    assert_eq!(
        (code, &written["spec"]["replicas"], &written["status"]["replicas"]),
        (200, &json!(1), &json!(4))
    );
    assert!(written["metadata"]["labels"].is_null());

    object["metadata"]["resourceVersion"] = written["metadata"]["resourceVersion"].clone();
    object["status"] = json!({"replicas": 9});
    let (_, written) = ground.put(&path, object).await;
    assert_eq!((&written["spec"]["replicas"], &written["status"]["replicas"]), (&json!(5), &json!(4)));
}

#[tokio::test(start_paused = true)]
async fn a_status_update_can_conflict_too() {
    let ground = Ground::new();
    let (_, old) = ground.post(PODS, pod("p", None)).await;
    ground.patch(&format!("{PODS}/p"), json!({"metadata": {"labels": {"a": "b"}}})).await;
    assert_eq!(ground.put(&format!("{PODS}/p/status"), old).await.0, 409);
}

#[tokio::test(start_paused = true)]
async fn the_name_must_be_that_of_the_path() {
    let ground = Ground::new();
    ground.post(MAPS, map("a")).await;
    let (code, status) = ground.put(&format!("{MAPS}/a"), map("b")).await;
    assert_eq!(code, 400);
    assert_eq!(status["message"], "the name of the object (b) does not match the name on the URL (a)");
}

#[tokio::test(start_paused = true)]
async fn another_uid_conflicts() {
    let ground = Ground::new();
    let (_, mut object) = ground.post(MAPS, map("a")).await;
    object["metadata"]["uid"] = json!("another");
    let (code, status) = ground.put(&format!("{MAPS}/a"), object).await;
    assert_eq!((code, &status["reason"]), (409, &json!("Conflict")));
    assert!(status["message"].as_str().unwrap().contains("Precondition failed: UID in precondition"));
}

#[tokio::test(start_paused = true)]
async fn a_terminating_object_takes_no_new_finalizers() {
    let ground = Ground::new();
    let mut object = map("a");
    object["metadata"]["finalizers"] = json!(["example.com/f"]);
    ground.post(MAPS, object).await;
    ground.delete(&format!("{MAPS}/a")).await;
    let patch = json!({"metadata": {"finalizers": ["example.com/f", "example.com/g"]}});
    let (code, status) = ground.patch(&format!("{MAPS}/a"), patch).await;
    assert_eq!((code, &status["details"]["causes"][0]["reason"]), (422, &json!("FieldValueForbidden")));
}

#[tokio::test(start_paused = true)]
async fn what_only_the_server_writes_survives_an_update() {
    let ground = Ground::new();
    let (_, before) = ground.post(MAPS, map("a")).await;
    let mut object = map("a");
    object["data"] = json!({"z": "1"});
    object["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": true}]);
    let (_, after) = ground.put(&format!("{MAPS}/a"), object).await;
    for field in ["uid", "creationTimestamp", "namespace", "name"] {
        assert_eq!(after["metadata"][field], before["metadata"][field], "{field}");
    }
    assert_eq!(after["metadata"]["ownerReferences"][0]["name"], "p");
}

#[tokio::test(start_paused = true)]
async fn what_is_immutable_stays() {
    let ground = Ground::new();
    let forbidden =
        |status: &Value| status["details"]["causes"][0]["field"].as_str().unwrap_or_default().to_owned();
    let mut fixed = map("a");
    fixed["immutable"] = json!(true);
    ground.post(MAPS, fixed).await;
    assert_eq!(forbidden(&ground.patch(&format!("{MAPS}/a"), json!({"data": {"x": "1"}})).await.1), "data");
    assert_eq!(
        forbidden(&ground.patch(&format!("{MAPS}/a"), json!({"immutable": false})).await.1),
        "immutable"
    );
    assert_eq!(ground.patch(&format!("{MAPS}/a"), json!({"metadata": {"labels": {"x": "1"}}})).await.0, 200);

    ground.post(PODS, pod("p", None)).await;
    let path = format!("{PODS}/p");
    assert_eq!(forbidden(&ground.patch(&path, json!({"spec": {"nodeName": "n"}})).await.1), "spec");
    let image = json!([{"op": "replace", "path": "/spec/containers/0/image", "value": "j"}]);
    assert_eq!(ground.patch(&path, image).await.1["metadata"]["generation"], 2);

    ground.post(DEPLOYMENTS, deployment("d")).await;
    let labels = json!({"app": "x", "more": "y"});
    let patch =
        json!({"spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}}}});
    assert_eq!(forbidden(&ground.patch(&format!("{DEPLOYMENTS}/d"), patch).await.1), "spec.selector");
}

#[tokio::test(start_paused = true)]
async fn scale_can_be_read_and_put() {
    let ground = Ground::new();
    ground.post(DEPLOYMENTS, deployment("d")).await;
    let path = format!("{DEPLOYMENTS}/d/scale");
    let (code, mut scale) = ground.get(&path).await;
    assert_eq!(
        (code, &scale["spec"]["replicas"], &scale["status"]["selector"]),
        (200, &json!(1), &json!("app=x"))
    );
    scale["spec"]["replicas"] = json!(7);
    let (code, scaled) = ground.put(&path, scale.clone()).await;
    assert_eq!((code, &scaled["spec"]["replicas"]), (200, &json!(7)));
    assert_eq!(ground.put(&path, scale).await.0, 409, "the version is stale now");
    assert_eq!(ground.get(&format!("{MAPS}/d/scale")).await.0, 404);
    let (code, _) = ground.patch(&path, json!({"spec": {"replicas": -1}})).await;
    assert_eq!(code, 422);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_of_an_update_stores_nothing() {
    let ground = Ground::new();
    let (_, before) = ground.post(MAPS, map("a")).await;
    let path = format!("{MAPS}/a");
    let (code, answer) = ground.patch(&format!("{path}?dryRun=All"), json!({"data": {"x": "1"}})).await;
    assert_eq!((code, &answer["data"]["x"]), (200, &json!("1")));
    assert_eq!(answer["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"]);
    assert_eq!(ground.get(&path).await.1, before);
}
