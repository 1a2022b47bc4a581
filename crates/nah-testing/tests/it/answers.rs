//! Row by row what a real kube-apiserver 1.37 answered.

use serde_json::{Value, json};

use crate::support::{Ground, MAPS, PODS, deployment, map, pod, version};

fn with_finalizer(mut object: Value) -> Value {
    object["metadata"]["finalizers"] = json!(["example.com/f"]);
    object
}

#[tokio::test(start_paused = true)]
async fn creating_answers_201_and_the_object() {
    let ground = Ground::new();
    let (code, object) = ground.post(MAPS, map("a")).await;
    assert_eq!(code, 201);
    assert_eq!(version(&object), ground.server.version());
    assert_eq!(object["kind"], "ConfigMap");
    assert!(object["metadata"]["uid"].is_string());
    assert!(object["metadata"]["generation"].is_null(), "a ConfigMap counts no generations");
}

#[tokio::test(start_paused = true)]
async fn deleting_answers_a_status_with_the_uid() {
    let ground = Ground::new();
    let (_, object) = ground.post(MAPS, map("a")).await;
    let (code, status) = ground.delete(&format!("{MAPS}/a")).await;
    assert_eq!(code, 200);
    assert_eq!(status["kind"], "Status");
    assert_eq!(status["status"], "Success");
    assert_eq!(
        status["details"],
        json!({"name": "a", "kind": "configmaps", "uid": object["metadata"]["uid"]})
    );
    assert_eq!(ground.get(&format!("{MAPS}/a")).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn deleting_with_a_finalizer_answers_the_object_that_lives_on() {
    let ground = Ground::new();
    let (_, before) = ground.post(MAPS, with_finalizer(map("a"))).await;
    let (code, object) = ground.delete(&format!("{MAPS}/a")).await;
    assert_eq!(code, 200);
    assert_eq!(version(&object), version(&before) + 1);
    assert!(object["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(object["metadata"]["deletionGracePeriodSeconds"], 0);
    assert_eq!(object["metadata"]["finalizers"], json!(["example.com/f"]));

    let (code, again) = ground.delete(&format!("{MAPS}/a")).await;
    assert_eq!((code, &again), (200, &object), "the same object: a successful DELETE is no deletion");
    assert_eq!(ground.get(&format!("{MAPS}/a")).await, (200, object));
}

#[tokio::test(start_paused = true)]
async fn a_put_without_the_last_finalizer_answers_the_old_version() {
    let ground = Ground::new();
    ground.post(MAPS, with_finalizer(map("a"))).await;
    let (_, mut object) = ground.delete(&format!("{MAPS}/a")).await;
    let terminating = version(&object);
    object["metadata"].as_object_mut().unwrap().remove("finalizers");
    let (code, answer) = ground.put(&format!("{MAPS}/a"), object).await;
    assert_eq!(code, 200);
    assert_eq!(version(&answer), terminating);
    assert!(answer["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(answer["metadata"]["deletionGracePeriodSeconds"], 0);
    assert!(answer["metadata"]["finalizers"].is_null());
    assert_eq!(ground.get(&format!("{MAPS}/a")).await.0, 404);
    let (_, list) = ground.get(MAPS).await;
    assert_eq!(version(&list), terminating + 1, "the deletion has a version that the answer does not show");
}

#[tokio::test(start_paused = true)]
async fn a_patch_that_removes_the_last_finalizer_answers_the_old_version() {
    let ground = Ground::new();
    ground.post(MAPS, with_finalizer(map("a"))).await;
    let (_, object) = ground.delete(&format!("{MAPS}/a")).await;
    let patch = json!({"metadata": {"finalizers": null}});
    let (code, answer) = ground.patch(&format!("{MAPS}/a"), patch).await;
    assert_eq!((code, version(&answer)), (200, version(&object)));
    assert_eq!(ground.get(&format!("{MAPS}/a")).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn deleting_a_service_account_answers_the_object_without_a_deletion_timestamp() {
    let ground = Ground::new();
    for (kind, plural) in [
        ("ServiceAccount", "serviceaccounts"),
        ("Service", "services"),
        ("PersistentVolumeClaim", "persistentvolumeclaims"),
    ] {
        let path = format!("/api/v1/namespaces/default/{plural}");
        let body = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "a"}, "spec": {"ports": [{"port": 1}]}});
        let (code, created) = ground.post(&path, body).await;
        assert_eq!(code, 201, "{created}");
        let (code, object) = ground.delete(&format!("{path}/a")).await;
        assert_eq!((code, &object["kind"]), (200, &json!(kind)));
        assert!(object["metadata"]["deletionTimestamp"].is_null());
        assert_eq!(version(&object), version(&created) + 1);
        assert_eq!(ground.get(&format!("{path}/a")).await.0, 404);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_namespace_lives_until_its_content_is_gone() {
    let ground = Ground::new();
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}});
    let (_, created) = ground.post("/api/v1/namespaces", body).await;
    ground.post("/api/v1/namespaces/n/configmaps", map("a")).await;
    let (code, object) = ground.delete("/api/v1/namespaces/n").await;
    assert_eq!((code, version(&object)), (200, version(&created) + 2));
    assert!(object["metadata"]["deletionTimestamp"].is_string());
    assert!(object["metadata"]["finalizers"].is_null());
    assert!(object["metadata"]["deletionGracePeriodSeconds"].is_null());
    assert_eq!(object["spec"]["finalizers"], json!(["kubernetes"]));
    assert_eq!(object["status"]["phase"], "Terminating");
    assert_eq!(ground.get("/api/v1/namespaces/n").await, (200, object.clone()));
    assert_eq!(ground.delete("/api/v1/namespaces/n").await, (200, object));

    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(ground.get("/api/v1/namespaces/n/configmaps/a").await.0, 404);
    assert_eq!(ground.get("/api/v1/namespaces/n").await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_pod_on_a_node_is_given_thirty_seconds() {
    let ground = Ground::new();
    let path = format!("{PODS}/p");
    let (_, created) = ground.post(PODS, pod("p", Some("node"))).await;
    let (code, object) = ground.delete(&path).await;
    assert_eq!((code, version(&object)), (200, version(&created) + 1));
    assert_eq!(object["metadata"]["deletionGracePeriodSeconds"], 30);
    let time = |field: &str| object["metadata"][field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(time("deletionTimestamp").as_second(), time("creationTimestamp").as_second() + 30);
    assert_eq!(ground.delete(&path).await, (200, object.clone()));
    assert_eq!(ground.get(&path).await, (200, object.clone()));

    let (code, gone) = ground.ask("DELETE", &path, json!({"gracePeriodSeconds": 0})).await;
    assert_eq!((code, version(&gone)), (200, version(&object) + 2));
    assert_eq!(gone["metadata"]["deletionGracePeriodSeconds"], 0);
    assert!(gone["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(ground.get(&path).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_no_node_has_goes_at_once() {
    let ground = Ground::new();
    let (_, created) = ground.post(PODS, pod("p", None)).await;
    let (code, gone) = ground.delete(&format!("{PODS}/p")).await;
    assert_eq!((code, version(&gone)), (200, version(&created) + 2));
    assert_eq!(gone["metadata"]["deletionGracePeriodSeconds"], 0);
    assert!(gone["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(ground.get(&format!("{PODS}/p")).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn deleting_a_collection_answers_the_objects_as_they_were() {
    let ground = Ground::new();
    let (_, one) = ground.post(MAPS, map("k1")).await;
    let (_, two) = ground.post(MAPS, with_finalizer(map("k2"))).await;
    let (code, list) = ground.delete(MAPS).await;
    assert_eq!((code, &list["kind"]), (200, &json!("ConfigMapList")));
    let versions: Vec<_> = list["items"].as_array().unwrap().iter().map(version).collect();
    assert_eq!(versions, [version(&one), version(&two)]);
    assert!(list["items"][1]["metadata"]["deletionTimestamp"].is_null());
    assert_eq!(ground.get(&format!("{MAPS}/k1")).await.0, 404);
    let (code, left) = ground.get(&format!("{MAPS}/k2")).await;
    assert_eq!((code, version(&left)), (200, version(&two) + 2));
    assert!(left["metadata"]["deletionTimestamp"].is_string());
}

#[tokio::test(start_paused = true)]
async fn a_subresource_that_is_not_there_says_nothing_about_the_object() {
    let ground = Ground::new();
    ground.post(MAPS, map("k2")).await;
    let (code, status) = ground.put(&format!("{MAPS}/k2/status"), map("k2")).await;
    assert_eq!(code, 404);
    assert_eq!(status["reason"], "NotFound");
    assert_eq!(status["details"], json!({}));
}

#[tokio::test(start_paused = true)]
async fn an_update_of_what_is_not_there_names_it() {
    let ground = Ground::new();
    let (code, status) = ground.put(&format!("{MAPS}/zz"), map("zz")).await;
    assert_eq!(code, 404);
    assert_eq!(status["message"], "configmaps \"zz\" not found");
    assert_eq!(status["details"], json!({"name": "zz", "kind": "configmaps"}));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_kind_is_answered_in_plain_text() {
    let ground = Ground::new();
    let (code, text) = ground.text("/apis/example.com/v1/widgets").await;
    assert_eq!((code.as_u16(), text.as_str()), (404, "404 page not found\n"));
}

#[tokio::test(start_paused = true)]
async fn creating_in_a_namespace_that_is_not_there_names_the_namespace() {
    let ground = Ground::new();
    let (code, status) = ground.post("/api/v1/namespaces/none/configmaps", map("a")).await;
    assert_eq!((code, &status["reason"]), (404, &json!("NotFound")));
    assert_eq!(status["details"], json!({"name": "none", "kind": "namespaces"}));
}

#[tokio::test(start_paused = true)]
async fn a_patch_of_scale_answers_a_scale_of_the_deployment() {
    let ground = Ground::new();
    let path = "/apis/apps/v1/namespaces/default/deployments";
    let (_, created) = ground.post(path, deployment("d")).await;
    let (code, scale) = ground.patch(&format!("{path}/d/scale"), json!({"spec": {"replicas": 3}})).await;
    assert_eq!((code, &scale["kind"]), (200, &json!("Scale")));
    assert_eq!(scale["metadata"]["uid"], created["metadata"]["uid"]);
    let (_, object) = ground.get(&format!("{path}/d")).await;
    assert_eq!(version(&scale), version(&object));
    assert_eq!(object["spec"]["replicas"], 3);
    assert_eq!(object["metadata"]["generation"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_patch_can_answer_metadata_only_and_an_empty_one_changes_no_version() {
    let ground = Ground::new();
    let path = "/apis/apps/v1/namespaces/default/deployments";
    ground.post(path, deployment("d")).await;
    let headers = [
        ("accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"),
        ("content-type", "application/merge-patch+json"),
    ];
    let patch = json!({"metadata": {"labels": {"x": "y"}}});
    let (code, one) = ground.ask_with("PATCH", &format!("{path}/d"), &headers, patch.clone()).await;
    assert_eq!((code, &one["kind"]), (200, &json!("PartialObjectMetadata")));
    assert!(one["spec"].is_null());
    let (_, two) = ground.ask_with("PATCH", &format!("{path}/d"), &headers, patch).await;
    assert_eq!(two, one);
    assert_eq!(ground.server.version(), version(&one));
}

#[tokio::test(start_paused = true)]
async fn initial_events_come_sorted_by_key_and_end_with_a_bookmark() {
    let ground = Ground::new();
    for name in ["a", "d", "c", "b"] {
        ground.post(MAPS, map(name)).await;
    }
    let query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = ground.watch(&format!("{MAPS}?{query}")).await;
    for name in ["a", "b", "c", "d"] {
        assert_eq!(watch.short().await, format!("ADDED {name}"));
    }
    let end = watch.event().await;
    assert_eq!(end["type"], "BOOKMARK");
    assert_eq!(end["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(version(&end["object"]), ground.server.version());
}

#[tokio::test(start_paused = true)]
async fn leaving_the_selector_and_deletion_tell_the_previous_object_and_the_new_version() {
    let ground = Ground::new();
    let mut object = map("a");
    object["metadata"]["labels"] = json!({"l": "1"});
    ground.post(MAPS, object).await;
    let mut watch = ground.watch(&format!("{MAPS}?watch=1&labelSelector=l%3D1")).await;
    assert_eq!(watch.short().await, "ADDED a");
    ground.patch(&format!("{MAPS}/a"), json!({"metadata": {"labels": {"l": "2"}}})).await;
    let left = watch.event().await;
    assert_eq!(left["type"], "DELETED");
    assert_eq!(left["object"]["metadata"]["labels"]["l"], "1");
    assert_eq!(version(&left["object"]), ground.server.version());
    ground.patch(&format!("{MAPS}/a"), json!({"metadata": {"labels": {"l": "1"}}})).await;
    assert_eq!(watch.short().await, "ADDED a");
    ground.delete(&format!("{MAPS}/a")).await;
    let gone = watch.event().await;
    assert_eq!((gone["type"].as_str(), version(&gone["object"])), (Some("DELETED"), ground.server.version()));
}
