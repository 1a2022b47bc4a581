//! Server-side apply, as kube's own client asks for it.

use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::{
    Api, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use nah_testing::ApiServer;
use serde_json::{Value, json};

fn map(data: Value) -> Patch<Value> {
    Patch::Apply(
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": data }),
    )
}

fn owners(map: &ConfigMap) -> Vec<String> {
    let entry = |entry: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry| {
        let fields = entry.fields_v1.as_ref().map(|fields| fields.0.to_string()).unwrap_or_default();
        format!("{} {fields}", entry.manager.as_deref().unwrap_or_default())
    };
    map.managed_fields().iter().map(entry).collect()
}

#[tokio::test(start_paused = true)]
async fn makes_merges_and_takes_away() {
    let server = ApiServer::new();
    let maps: Api<ConfigMap> = Api::namespaced(server.client(), "default");
    let (one, two) = (PatchParams::apply("one"), PatchParams::apply("two"));
    maps.patch("a", &one, &map(json!({ "x": "1", "y": "1" }))).await.unwrap();
    maps.patch("a", &two, &map(json!({ "z": "1" }))).await.unwrap();
    let refused = maps.patch("a", &two, &map(json!({ "y": "2", "z": "1" }))).await.unwrap_err();
    let kube_client::Error::Api(status) = refused else { panic!("{refused}") };
    assert_eq!((status.code, &*status.reason), (409, "Conflict"));
    assert_eq!(status.details.unwrap().causes[0].field, ".data.y");
    let forced = maps.patch("a", &two.clone().force(), &map(json!({ "y": "2" }))).await.unwrap();
    let data = forced.data.clone().unwrap();
    assert_eq!(data.iter().map(|(key, value)| format!("{key}{value}")).collect::<Vec<_>>(), ["x1", "y2"]);
    assert_eq!(owners(&forced), [r#"one {"f:data":{"f:x":{}}}"#, r#"two {"f:data":{"f:y":{}}}"#]);
}

#[tokio::test(start_paused = true)]
async fn who_writes_what_is_there_owns_nothing_more() {
    let server = ApiServer::new();
    let maps: Api<ConfigMap> = Api::namespaced(server.client(), "default");
    let made = maps.patch("a", &PatchParams::apply("one"), &map(json!({ "x": "1" }))).await.unwrap();
    let mut same = made.clone();
    same.metadata.managed_fields = None;
    let replaced = maps.replace("a", &PostParams::default(), &same).await.unwrap();
    assert_eq!(replaced, made);
}

#[tokio::test(start_paused = true)]
async fn the_time_moves_with_what_is_changed_alone() {
    let server = ApiServer::new();
    let maps: Api<ConfigMap> = Api::namespaced(server.client(), "default");
    let params = PatchParams::apply("one");
    let made = maps.patch("a", &params, &map(json!({ "x": "1" }))).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    let again = maps.patch("a", &params, &map(json!({ "x": "1" }))).await.unwrap();
    assert_eq!(again, made);
    let changed = maps.patch("a", &params, &map(json!({ "x": "2" }))).await.unwrap();
    let time = |map: &ConfigMap| map.managed_fields()[0].time.clone().unwrap().0;
    assert_eq!(time(&changed).as_second() - time(&made).as_second(), 60);
}
