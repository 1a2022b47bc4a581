//! Discovery, health and OpenAPI.

use serde_json::{Value, json};

use crate::support::Ground;

#[tokio::test(start_paused = true)]
async fn health_and_version_are_answered() {
    let ground = Ground::new();
    for path in ["/healthz", "/livez", "/readyz"] {
        let (code, text) = ground.text(path).await;
        assert_eq!((code.as_u16(), text.as_str()), (200, "ok"));
    }
    let (_, version) = ground.get("/version").await;
    assert_eq!((&version["major"], &version["minor"]), (&json!("1"), &json!("37")));
}

#[tokio::test(start_paused = true)]
async fn groups_and_versions_are_listed() {
    let ground = Ground::new();
    assert_eq!(ground.get("/api").await.1["versions"], json!(["v1"]));
    let (_, groups) = ground.get("/apis").await;
    assert_eq!(groups["kind"], "APIGroupList");
    let names: Vec<_> =
        groups["groups"].as_array().unwrap().iter().map(|group| group["name"].clone()).collect();
    for name in ["apps", "batch", "coordination.k8s.io", "rbac.authorization.k8s.io", "apiextensions.k8s.io"]
    {
        assert!(names.contains(&json!(name)), "{name}");
    }
    let (_, group) = ground.get("/apis/apps").await;
    assert_eq!(
        (&group["kind"], &group["preferredVersion"]["groupVersion"]),
        (&json!("APIGroup"), &json!("apps/v1"))
    );
    assert_eq!(
        ground.text("/apis/nonsense").await,
        (http::StatusCode::NOT_FOUND, "404 page not found\n".to_owned())
    );
    for path in ["/apis/apps/v9", "/apis/apps/v1/nonsense", "/api/v1/nonsense"] {
        let (code, status) = ground.get(path).await;
        assert_eq!(
            (code, &status["details"]),
            (404, &json!({})),
            "in a group of its own the server says it in JSON"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn kinds_are_listed_with_scope_verbs_and_subresources() {
    let ground = Ground::new();
    let (_, list) = ground.get("/apis/apps/v1").await;
    assert_eq!((&list["kind"], &list["groupVersion"]), (&json!("APIResourceList"), &json!("apps/v1")));
    let find = |name: &str| {
        let mut all = list["resources"].as_array().unwrap().iter();
        all.find(|resource| resource["name"] == name).cloned().unwrap_or_default()
    };
    let deployments = find("deployments");
    assert_eq!((&deployments["kind"], &deployments["namespaced"]), (&json!("Deployment"), &json!(true)));
    assert_eq!(deployments["shortNames"], json!(["deploy"]));
    assert!(deployments["verbs"].as_array().unwrap().contains(&json!("watch")));
    assert_eq!(find("deployments/status")["kind"], "Deployment");
    assert_eq!(
        (&find("deployments/scale")["kind"], &find("deployments/scale")["group"]),
        (&json!("Scale"), &json!("autoscaling"))
    );
}

#[tokio::test(start_paused = true)]
async fn the_aggregated_form_is_given_to_those_who_ask() {
    let ground = Ground::new();
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    for path in ["/api", "/apis"] {
        let response = ground.send("GET", path, &[("accept", accept)], Vec::new()).await;
        let content_type = response.headers()["content-type"].to_str().unwrap();
        assert_eq!(content_type, "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
    }
    let (_, list) = ground.ask_with("GET", "/apis", &[("accept", accept)], Value::Null).await;
    let apps =
        list["items"].as_array().unwrap().iter().find(|group| group["metadata"]["name"] == "apps").unwrap();
    let deployments = &apps["versions"][0]["resources"][1];
    assert_eq!(
        (&deployments["resource"], &deployments["scope"]),
        (&json!("deployments"), &json!("Namespaced"))
    );
    assert_eq!(deployments["responseKind"]["kind"], "Deployment");
    assert_eq!(deployments["subresources"][0]["subresource"], "scale");
}

#[tokio::test(start_paused = true)]
async fn openapi_tells_kubectl_that_the_server_validates() {
    let ground = Ground::new();
    let (_, index) = ground.get("/openapi/v3").await;
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap();
    let (_, document) = ground.get(url).await;
    let patch = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], "Deployment");
    assert!(patch["parameters"].as_array().unwrap().iter().any(|one| one["name"] == "fieldValidation"));
    assert_eq!(ground.get("/openapi/v2").await.1["swagger"], "2.0");
}

#[tokio::test(start_paused = true)]
async fn kube_discovers_kinds_both_ways() {
    let server = nah_testing::ApiServer::new();
    server.create(&crate::crd::definition()).unwrap();
    let client = server.client();
    let plain = kube_client::Discovery::new(client.clone()).run().await.unwrap();
    let aggregated = kube_client::Discovery::new(client).run_aggregated().await.unwrap();
    for discovery in [plain, aggregated] {
        let gvk = kube_client::core::GroupVersionKind::gvk("example.com", "v1", "Widget");
        let (resource, capabilities) = discovery.resolve_gvk(&gvk).unwrap();
        assert_eq!((resource.plural.as_str(), capabilities.supports_operation("watch")), ("widgets", true));
        assert_eq!(capabilities.scope, kube_client::discovery::Scope::Namespaced);
    }
}
