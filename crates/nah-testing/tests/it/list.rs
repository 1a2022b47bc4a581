//! Listing.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Ground, MAPS, PODS, map, pod, version};

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

async fn with(names: &[&str]) -> Ground {
    let ground = Ground::new();
    for name in names {
        ground.post(MAPS, map(name)).await;
    }
    ground
}

#[tokio::test(start_paused = true)]
async fn a_list_is_sorted_and_has_the_version_of_the_whole_server() {
    let ground = with(&["b", "a", "c"]).await;
    ground.post(PODS, pod("p", None)).await;
    let (code, list) = ground.get(MAPS).await;
    assert_eq!((code, &list["kind"], &list["apiVersion"]), (200, &json!("ConfigMapList"), &json!("v1")));
    assert_eq!(names(&list), ["a", "b", "c"]);
    assert_eq!(version(&list), ground.server.version());
}

#[tokio::test(start_paused = true)]
async fn items_of_a_typed_list_do_not_say_their_kind() {
    let ground = with(&["a"]).await;
    let (_, list) = ground.get(MAPS).await;
    assert!(list["items"][0]["kind"].is_null());
    assert!(list["items"][0]["apiVersion"].is_null());
    let (_, one) = ground.get(&format!("{MAPS}/a")).await;
    assert_eq!(one["kind"], "ConfigMap");
}

#[tokio::test(start_paused = true)]
async fn all_namespaces_or_one_are_listed() {
    let ground = with(&["a"]).await;
    ground.post("/api/v1/namespaces/kube-system/configmaps", map("a")).await;
    assert_eq!(names(&ground.get("/api/v1/configmaps").await.1).len(), 2);
    assert_eq!(names(&ground.get(MAPS).await.1).len(), 1);
    assert!(names(&ground.get("/api/v1/namespaces/none/configmaps").await.1).is_empty());
}

#[tokio::test(start_paused = true)]
async fn labels_select_with_every_operator() {
    let ground = Ground::new();
    for (name, labels) in [("a", json!({"l": "1"})), ("b", json!({"l": "2"})), ("c", json!({}))] {
        let mut object = map(name);
        object["metadata"]["labels"] = labels;
        ground.post(MAPS, object).await;
    }
    for (selector, expected) in [
        ("l%3D1", vec!["a"]),
        ("l!%3D1", vec!["b", "c"]),
        ("l+in+(1,2)", vec!["a", "b"]),
        ("l+notin+(1)", vec!["b", "c"]),
        ("l", vec!["a", "b"]),
        ("!l", vec!["c"]),
        ("l,l!%3D2", vec!["a"]),
    ] {
        let (_, list) = ground.get(&format!("{MAPS}?labelSelector={selector}")).await;
        assert_eq!(names(&list), expected, "{selector}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_selector_that_does_not_parse_is_a_bad_request() {
    let ground = Ground::new();
    for query in ["labelSelector=a+in+(b", "fieldSelector=metadata.name", "limit=x", "resourceVersion=x"] {
        let (code, status) = ground.get(&format!("{MAPS}?{query}")).await;
        assert_eq!((code, &status["reason"]), (400, &json!("BadRequest")), "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn fields_select_by_name_and_namespace_for_every_kind() {
    let ground = with(&["a", "b"]).await;
    ground.post("/api/v1/namespaces/kube-system/configmaps", map("a")).await;
    let count = async |query: &str| {
        names(&ground.get(&format!("/api/v1/configmaps?fieldSelector={query}")).await.1).len()
    };
    assert_eq!(count("metadata.name%3Da").await, 2);
    assert_eq!(count("metadata.name!%3Da").await, 1);
    assert_eq!(count("metadata.namespace%3Ddefault").await, 2);
    assert_eq!(count("metadata.name%3Da,metadata.namespace%3Dkube-system").await, 1);
}

#[tokio::test(start_paused = true)]
async fn fields_of_pods_select() {
    let ground = Ground::new();
    ground.post(PODS, pod("a", Some("n1"))).await;
    ground.post(PODS, pod("b", None)).await;
    ground.patch(&format!("{PODS}/a/status"), json!({"status": {"phase": "Running"}})).await;
    for (selector, expected) in [
        ("spec.nodeName%3Dn1", vec!["a"]),
        ("spec.nodeName%3D", vec!["b"]),
        ("status.phase%3DRunning", vec!["a"]),
        ("status.phase!%3DRunning", vec!["b"]),
        ("spec.restartPolicy%3DAlways", vec!["a", "b"]),
    ] {
        let (_, list) = ground.get(&format!("{PODS}?fieldSelector={selector}")).await;
        assert_eq!(names(&list), expected, "{selector}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_field_that_the_kind_does_not_select_by_is_a_bad_request() {
    let ground = Ground::new();
    let (code, status) = ground.get(&format!("{MAPS}?fieldSelector=data.a%3Db")).await;
    assert_eq!(code, 400);
    assert_eq!(
        status["message"],
        "\"data.a\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
    );
    let (code, status) = ground.get(&format!("{PODS}?fieldSelector=spec.a%3Db")).await;
    assert_eq!((code, &status["message"]), (400, &json!("field label not supported: spec.a")));
}

#[tokio::test(start_paused = true)]
async fn pages_show_one_snapshot_and_count_what_remains() {
    let ground = with(&["a", "b", "c", "d", "e"]).await;
    let (_, one) = ground.get(&format!("{MAPS}?limit=2")).await;
    assert_eq!((names(&one), &one["metadata"]["remainingItemCount"]), (vec!["a", "b"], &json!(3)));
    ground.delete(&format!("{MAPS}/c")).await;
    ground.post(MAPS, map("ca")).await;
    ground.patch(&format!("{MAPS}/d"), json!({"data": {"new": "1"}})).await;
    let next = one["metadata"]["continue"].as_str().unwrap();
    let (_, two) = ground.get(&format!("{MAPS}?limit=2&continue={next}")).await;
    assert_eq!(names(&two), ["c", "d"]);
    assert!(two["items"][1]["data"]["new"].is_null());
    assert_eq!(version(&two), version(&one));
    let next = two["metadata"]["continue"].as_str().unwrap();
    let (_, three) = ground.get(&format!("{MAPS}?limit=2&continue={next}")).await;
    assert_eq!(names(&three), ["e"]);
    assert!(three["metadata"]["continue"].is_null());
    assert!(three["metadata"]["remainingItemCount"].is_null());
}

#[tokio::test(start_paused = true)]
async fn pages_with_a_selector_do_not_count_what_remains() {
    let ground = with(&["a", "b", "c"]).await;
    let (_, page) = ground.get(&format!("{MAPS}?limit=1&fieldSelector=metadata.name!%3Da")).await;
    assert_eq!(names(&page), ["b"]);
    assert!(page["metadata"]["continue"].is_string());
    assert!(page["metadata"]["remainingItemCount"].is_null());
}

#[tokio::test(start_paused = true)]
async fn a_page_of_a_snapshot_that_was_compacted_is_expired_and_offers_the_rest() {
    let ground = with(&["a", "b", "c"]).await;
    let (_, one) = ground.get(&format!("{MAPS}?limit=1")).await;
    ground.post(MAPS, map("d")).await;
    ground.server.compact();
    let next = one["metadata"]["continue"].as_str().unwrap();
    let (code, status) = ground.get(&format!("{MAPS}?limit=1&continue={next}")).await;
    assert_eq!((code, &status["reason"]), (410, &json!("Expired")));
    let next = status["metadata"]["continue"].as_str().unwrap();
    let (code, rest) = ground.get(&format!("{MAPS}?continue={next}")).await;
    assert_eq!((code, names(&rest)), (200, vec!["b", "c", "d"]));
}

#[tokio::test(start_paused = true)]
async fn a_continue_token_that_is_none_is_a_bad_request() {
    let ground = Ground::new();
    assert_eq!(ground.get(&format!("{MAPS}?continue=nonsense")).await.0, 400);
}

#[tokio::test(start_paused = true)]
async fn an_exact_version_shows_the_past() {
    let ground = with(&["a"]).await;
    let then = ground.server.version();
    ground.post(MAPS, map("b")).await;
    ground.delete(&format!("{MAPS}/a")).await;
    let query = format!("{MAPS}?resourceVersion={then}&resourceVersionMatch=Exact");
    let (_, list) = ground.get(&query).await;
    assert_eq!((names(&list), version(&list)), (vec!["a"], then));
    ground.server.compact();
    let (code, status) = ground.get(&query).await;
    assert_eq!((code, &status["reason"]), (410, &json!("Expired")));
}

#[tokio::test(start_paused = true)]
async fn a_negative_limit_is_none() {
    let ground = with(&["a", "b"]).await;
    let (code, list) = ground.get(&format!("{MAPS}?limit=-1")).await;
    assert_eq!((code, names(&list).len()), (200, 2));
}

#[tokio::test(start_paused = true)]
async fn any_version_ignores_the_limit() {
    let ground = with(&["a", "b", "c"]).await;
    let (_, list) = ground.get(&format!("{MAPS}?resourceVersion=0&limit=1")).await;
    assert_eq!(names(&list).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_still_to_come_times_out() {
    let ground = with(&["a"]).await;
    let asked = ground.server.version() + 1;
    let query = format!("{MAPS}?resourceVersion={asked}&resourceVersionMatch=NotOlderThan");
    let (code, status) = ground.get(&query).await;
    assert_eq!((code, &status["reason"]), (504, &json!("Timeout")));
    assert_eq!(status["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    assert_eq!(
        status["message"],
        format!("Timeout: Too large resource version: {asked}, current: {}", asked - 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_version_that_comes_in_time_is_waited_for() {
    let ground = with(&["a"]).await;
    let query = format!("{MAPS}?resourceVersion={}", ground.server.version() + 1);
    let late = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        ground.post(MAPS, map("b")).await
    };
    let ((code, list), _) = tokio::join!(ground.get(&query), late);
    assert_eq!((code, names(&list)), (200, vec!["a", "b"]));
}

#[tokio::test(start_paused = true)]
async fn options_that_do_not_fit_are_invalid() {
    let ground = Ground::new();
    for query in [
        "resourceVersionMatch=Exact",
        "resourceVersion=0&resourceVersionMatch=Exact",
        "resourceVersion=5&resourceVersionMatch=Nonsense",
        "sendInitialEvents=true",
    ] {
        let (code, status) = ground.get(&format!("{MAPS}?{query}")).await;
        assert_eq!((code, &status["reason"]), (422, &json!("Invalid")), "{query}");
        assert_eq!(status["details"]["kind"], "ListOptions");
    }
}
