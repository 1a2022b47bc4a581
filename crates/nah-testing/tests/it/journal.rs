//! The journal.

use nah_testing::Fault;
use serde_json::json;

use crate::support::{Ground, MAPS, map};

#[tokio::test(start_paused = true)]
async fn a_request_is_noted_with_all_that_tells_it_from_others() {
    let ground = Ground::new();
    let headers = [("user-agent", "me/1"), ("content-type", "application/merge-patch+json")];
    ground.post(MAPS, map("a")).await;
    ground.server.journal().clear();
    ground.ask_with("PATCH", &format!("{MAPS}/a?fieldManager=x"), &headers, json!({})).await;
    let requests = ground.server.journal().requests();
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!(request.verb, "patch");
    assert_eq!((request.group.as_str(), request.version.as_str()), ("", "v1"));
    assert_eq!((request.resource.as_str(), request.subresource.as_str()), ("configmaps", ""));
    assert_eq!((request.namespace.as_str(), request.name.as_str()), ("default", "a"));
    assert_eq!((request.query.as_str(), request.user_agent.as_str()), ("fieldManager=x", "me/1"));
    assert_eq!(request.code, 200);
}

#[tokio::test(start_paused = true)]
async fn verbs_are_counted() {
    let ground = Ground::new();
    ground.get(MAPS).await;
    ground.get(&format!("{MAPS}/a")).await;
    drop(ground.watch(&format!("{MAPS}?watch=1")).await);
    ground.delete(MAPS).await;
    ground.delete(&format!("{MAPS}/a")).await;
    ground.get("/apis").await;
    let journal = ground.server.journal();
    for verb in ["list", "get", "watch", "deletecollection", "delete"] {
        assert_eq!(journal.count(verb, "configmaps"), 1, "{verb}");
    }
    assert_eq!(journal.count("get", ""), 1);
    assert_eq!(journal.len(), 6);
    assert_eq!(journal.filter(|request| request.code == 404).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_has_no_code() {
    let ground = Ground::new();
    ground.server.inject(Fault::drop_answer().on("create"));
    let request =
        http::Request::post(MAPS).body(kube_client::client::Body::from(map("a").to_string().into_bytes()));
    assert!(ground.client.send(request.unwrap()).await.is_err());
    let requests = ground.server.journal().requests();
    assert_eq!((requests[0].verb.as_str(), requests[0].code), ("create", 0));
}

#[tokio::test(start_paused = true)]
async fn a_client_is_known_by_its_name() {
    let ground = Ground::new();
    let client = ground.server.client_for("painter");
    let request = http::Request::get(MAPS).body(kube_client::client::Body::empty()).unwrap();
    client.send(request).await.unwrap();
    assert_eq!(ground.server.journal().requests()[0].user_agent, "painter");
}
