//! Creating.

use serde_json::{Value, json};

use crate::support::{Ground, MAPS, PODS, deployment, map, pod, version};

fn cause(status: &Value) -> (&str, &str) {
    let cause = &status["details"]["causes"][0];
    (cause["reason"].as_str().unwrap_or_default(), cause["field"].as_str().unwrap_or_default())
}

#[tokio::test(start_paused = true)]
async fn a_second_object_of_a_name_already_exists() {
    let ground = Ground::new();
    ground.post(MAPS, map("a")).await;
    let before = ground.server.version();
    let (code, status) = ground.post(MAPS, map("a")).await;
    assert_eq!((code, &status["reason"]), (409, &json!("AlreadyExists")));
    assert_eq!(status["message"], "configmaps \"a\" already exists");
    assert_eq!(status["details"], json!({"name": "a", "kind": "configmaps"}));
    assert_eq!(ground.server.version(), before);
}

#[tokio::test(start_paused = true)]
async fn a_name_is_taken_until_its_object_is_gone() {
    let ground = Ground::new();
    let mut object = map("a");
    object["metadata"]["finalizers"] = json!(["example.com/f"]);
    ground.post(MAPS, object).await;
    ground.delete(&format!("{MAPS}/a")).await;
    let (code, status) = ground.post(MAPS, map("a")).await;
    assert_eq!((code, &status["reason"]), (409, &json!("AlreadyExists")));
    assert_eq!(status["message"], "object is being deleted: configmaps \"a\" already exists");
}

#[tokio::test(start_paused = true)]
async fn versions_grow_over_all_kinds() {
    let ground = Ground::new();
    let (_, one) = ground.post(MAPS, map("a")).await;
    let (_, two) = ground.post(PODS, pod("a", None)).await;
    let (_, three) = ground.post(MAPS, map("b")).await;
    assert_eq!((version(&two), version(&three)), (version(&one) + 1, version(&one) + 2));
    assert!(version(&one) > 1);
}

#[tokio::test(start_paused = true)]
async fn a_finalizer_of_a_built_in_kind_needs_a_domain() {
    let ground = Ground::new();
    let mut object = map("a");
    object["metadata"]["finalizers"] = json!(["mine"]);
    assert_eq!(cause(&ground.post(MAPS, object).await.1).1, "metadata.finalizers[0]");
}

#[tokio::test(start_paused = true)]
async fn a_service_needs_ports_unless_it_is_headless() {
    let ground = Ground::new();
    let path = "/api/v1/namespaces/default/services";
    let service = |spec: Value| json!({"metadata": {"name": "s"}, "spec": spec});
    assert_eq!(cause(&ground.post(path, service(json!({}))).await.1), ("FieldValueRequired", "spec.ports"));
    assert_eq!(ground.post(path, service(json!({"clusterIP": "None"}))).await.0, 201);
}

#[tokio::test(start_paused = true)]
async fn a_generated_name_is_the_prefix_and_five_letters() {
    let ground = Ground::new();
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "job-"}});
    let (code, one) = ground.post(MAPS, body.clone()).await;
    let (_, two) = ground.post(MAPS, body).await;
    assert_eq!(code, 201);
    let name = one["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("job-") && name.len() == 9, "{name}");
    assert_ne!(one["metadata"]["name"], two["metadata"]["name"]);
}

#[tokio::test(start_paused = true)]
async fn an_object_without_a_name_is_invalid() {
    let ground = Ground::new();
    let (code, status) = ground.post(MAPS, json!({"metadata": {}})).await;
    assert_eq!((code, &status["reason"]), (422, &json!("Invalid")));
    assert_eq!(cause(&status), ("FieldValueRequired", "metadata.name"));
    assert_eq!(
        status["message"],
        "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required"
    );
}

#[tokio::test(start_paused = true)]
async fn a_wrong_name_is_invalid_and_named() {
    let ground = Ground::new();
    for name in ["A", "a_b", "-a", "a.", "a..b", &"x".repeat(254)] {
        let (code, status) = ground.post(MAPS, map(name)).await;
        assert_eq!((code, cause(&status)), (422, ("FieldValueInvalid", "metadata.name")), "{name}");
        assert_eq!(status["details"]["kind"], "ConfigMap");
    }
    assert_eq!(ground.post(MAPS, map("a.b-c.1")).await.0, 201);
}

#[tokio::test(start_paused = true)]
async fn each_kind_has_its_own_rule_for_names() {
    let ground = Ground::new();
    let namespace = |name: &str| json!({"metadata": {"name": name}});
    assert_eq!(ground.post("/api/v1/namespaces", namespace("a.b")).await.0, 422);
    let service = |name: &str| json!({"metadata": {"name": name}, "spec": {"ports": [{"port": 1}]}});
    assert_eq!(ground.post("/api/v1/namespaces/default/services", service("a.b")).await.0, 422);
    let role = |name: &str| json!({"metadata": {"name": name}, "rules": []});
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    assert_eq!(ground.post(roles, role("system:a")).await.0, 201);
    assert_eq!(ground.post(roles, role("a/b")).await.0, 422);
}

#[tokio::test(start_paused = true)]
async fn wrong_labels_and_finalizers_are_invalid() {
    let ground = Ground::new();
    let mut object = map("a");
    object["metadata"]["labels"] = json!({"a": "b c"});
    assert_eq!(cause(&ground.post(MAPS, object).await.1).1, "metadata.labels");
    let mut object = map("a");
    object["metadata"]["finalizers"] = json!(["a b"]);
    assert_eq!(cause(&ground.post(MAPS, object).await.1).1, "metadata.finalizers");
    let mut object = map("a");
    object["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": ""}]);
    assert_eq!(cause(&ground.post(MAPS, object).await.1).1, "metadata.ownerReferences[0].uid");
}

#[tokio::test(start_paused = true)]
async fn another_namespace_than_that_of_the_path_is_a_bad_request() {
    let ground = Ground::new();
    let mut object = map("a");
    object["metadata"]["namespace"] = json!("kube-system");
    let (code, status) = ground.post(MAPS, object).await;
    assert_eq!((code, &status["reason"]), (400, &json!("BadRequest")));
    assert_eq!(
        status["message"],
        "the namespace of the provided object does not match the namespace sent on the request"
    );
}

#[tokio::test(start_paused = true)]
async fn a_namespaced_kind_cannot_be_created_without_a_namespace() {
    let ground = Ground::new();
    let (code, status) = ground.post("/api/v1/configmaps", map("a")).await;
    assert_eq!((code, &status["reason"]), (405, &json!("MethodNotAllowed")));
}

#[tokio::test(start_paused = true)]
async fn a_namespace_in_the_path_of_a_cluster_kind_leads_nowhere() {
    let ground = Ground::new();
    let (code, status) = ground.get("/api/v1/namespaces/default/nodes").await;
    assert_eq!((code, &status["details"]), (404, &json!({})));
    assert_eq!(ground.get("/api/v1/configmaps/a").await, (404, status));
    let node = json!({"metadata": {"name": "n", "namespace": "default"}});
    let (code, node) = ground.post("/api/v1/nodes", node).await;
    assert_eq!((code, &node["metadata"]["namespace"]), (201, &Value::Null), "the real server drops it");
}

#[tokio::test(start_paused = true)]
async fn another_version_or_kind_than_that_of_the_path_is_a_bad_request() {
    let ground = Ground::new();
    let mut object = map("a");
    object["apiVersion"] = json!("v2");
    let (code, status) = ground.post(MAPS, object).await;
    assert_eq!(code, 400);
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("no kind \"ConfigMap\" is registered for version \"v2\""), "{message}");
    let mut object = map("a");
    object["kind"] = json!("Secret");
    let (code, status) = ground.post(MAPS, object).await;
    assert_eq!((code, &status["reason"]), (400, &json!("BadRequest")));
}

#[tokio::test(start_paused = true)]
async fn a_field_of_the_wrong_type_is_a_bad_request() {
    let ground = Ground::new();
    let mut object = map("a");
    object["data"] = json!({"a": 1});
    let (code, status) = ground.post(MAPS, object).await;
    assert_eq!(code, 400);
    let message = status["message"].as_str().unwrap();
    assert!(message.starts_with("ConfigMap in version \"v1\" cannot be handled as a ConfigMap"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_field_that_the_kind_does_not_have_is_dropped() {
    let ground = Ground::new();
    let mut object = map("a");
    object["nonsense"] = json!(1);
    let (code, object) = ground.post(MAPS, object).await;
    assert_eq!((code, &object["nonsense"]), (201, &Value::Null));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_no_object_is_a_bad_request() {
    let ground = Ground::new();
    let headers = [("content-type", "application/json")];
    for body in ["", "{", "[]", "\"text\""] {
        let response = ground.send("POST", MAPS, &headers, body.as_bytes().to_vec()).await;
        assert_eq!(response.status(), 400, "{body}");
    }
    for (content_type, body, code) in [
        ("application/vnd.kubernetes.protobuf", &b"k8s\0"[..], 415),
        ("application/vnd.kubernetes.protobuf", b"{}", 400),
        ("text/plain", b"{}", 415),
    ] {
        let response = ground.send("POST", MAPS, &[("content-type", content_type)], body.to_vec()).await;
        assert_eq!(response.status(), code);
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_must_not_be_set() {
    let ground = Ground::new();
    let mut object = map("a");
    object["metadata"]["resourceVersion"] = json!("5");
    let (code, status) = ground.post(MAPS, object).await;
    assert_eq!(code, 500);
    assert_eq!(status["message"], "resourceVersion should not be set on objects to be created");
}

#[tokio::test(start_paused = true)]
async fn what_only_the_server_writes_is_not_taken_from_the_client() {
    let ground = Ground::new();
    let mut object = deployment("d");
    object["metadata"]["uid"] = json!("mine");
    object["metadata"]["generation"] = json!(7);
    object["metadata"]["deletionTimestamp"] = json!("2020-01-01T00:00:00Z");
    object["metadata"]["creationTimestamp"] = json!("2020-01-01T00:00:00Z");
    object["status"] = json!({"replicas": 9});
    let (_, object) = ground.post("/apis/apps/v1/namespaces/default/deployments", object).await;
    assert_ne!(object["metadata"]["uid"], "mine");
    assert_eq!(object["metadata"]["generation"], 1);
    assert!(object["metadata"]["deletionTimestamp"].is_null());
    assert_ne!(object["metadata"]["creationTimestamp"], "2020-01-01T00:00:00Z");
    assert!(object["status"]["replicas"].is_null(), "status is a subresource of its own");
    assert_eq!(object["spec"]["replicas"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_pod_without_containers_is_invalid_and_others_get_their_defaults() {
    let ground = Ground::new();
    let (code, status) = ground.post(PODS, json!({"metadata": {"name": "p"}, "spec": {}})).await;
    assert_eq!((code, cause(&status)), (422, ("FieldValueRequired", "spec.containers")));
    let (_, object) = ground.post(PODS, pod("p", None)).await;
    assert_eq!(object["spec"]["restartPolicy"], "Always");
    assert_eq!(object["status"]["phase"], "Pending");
    assert_eq!(object["metadata"]["generation"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_deployment_has_to_select_its_own_pods() {
    let ground = Ground::new();
    let mut object = deployment("d");
    object["spec"]["selector"]["matchLabels"]["app"] = json!("other");
    let (code, status) = ground.post("/apis/apps/v1/namespaces/default/deployments", object).await;
    assert_eq!((code, cause(&status).1), (422, "spec.template.metadata.labels"));
    assert!(status["message"].as_str().unwrap().starts_with("Deployment.apps \"d\" is invalid"));
}

#[tokio::test(start_paused = true)]
async fn string_data_of_a_secret_becomes_data() {
    let ground = Ground::new();
    let body = json!({"metadata": {"name": "s"}, "stringData": {"a": "hello"}});
    let (_, object) = ground.post("/api/v1/namespaces/default/secrets", body).await;
    assert_eq!(object["data"], json!({"a": "aGVsbG8="}));
    assert!(object["stringData"].is_null());
    assert_eq!(object["type"], "Opaque");
}

#[tokio::test(start_paused = true)]
async fn managed_fields_name_the_writer() {
    let ground = Ground::new();
    let headers = [("content-type", "application/json"), ("user-agent", "painter/1.0 (linux)")];
    let (_, object) = ground.ask_with("POST", MAPS, &headers, map("a")).await;
    let entry = &object["metadata"]["managedFields"][0];
    assert_eq!((&entry["manager"], &entry["operation"]), (&json!("painter"), &json!("Update")));
    assert_eq!(entry["fieldsV1"]["f:data"], json!({".": {}, "f:a": {}}));
    let (_, object) = ground.post(&format!("{MAPS}?fieldManager=brush"), map("b")).await;
    assert_eq!(object["metadata"]["managedFields"][0]["manager"], "brush");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_answers_and_stores_nothing() {
    let ground = Ground::new();
    let before = ground.server.version();
    let (code, object) = ground.post(&format!("{MAPS}?dryRun=All"), map("a")).await;
    assert_eq!(code, 201);
    assert!(object["metadata"]["uid"].is_string());
    assert!(object["metadata"]["resourceVersion"].is_null());
    assert_eq!((ground.server.version(), ground.get(&format!("{MAPS}/a")).await.0), (before, 404));
}

#[tokio::test(start_paused = true)]
async fn a_seed_makes_uids_and_names_repeat() {
    let one = || {
        let server = nah_testing::ApiServer::builder().seed(7).build();
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "x-"}});
        let object = server.create(&object).unwrap();
        (object["metadata"]["uid"].clone(), object["metadata"]["name"].clone())
    };
    assert_eq!(one(), one());
}
