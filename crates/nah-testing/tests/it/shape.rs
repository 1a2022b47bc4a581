//! Other representations: metadata only, tables, compressed.

use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::support::{Ground, Lines, MAPS, PODS, map, pod};

const PARTIAL: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const PARTIAL_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

async fn ask(ground: &Ground, path: &str, accept: &str) -> (u16, Value) {
    ground.ask_with("GET", path, &[("accept", accept)], Value::Null).await
}

#[tokio::test(start_paused = true)]
async fn metadata_alone_can_be_read_listed_and_watched() {
    let ground = Ground::new();
    ground.post(MAPS, map("a")).await;
    let (_, one) = ask(&ground, &format!("{MAPS}/a"), PARTIAL).await;
    assert_eq!((&one["kind"], &one["data"]), (&json!("PartialObjectMetadata"), &Value::Null));
    assert_eq!(one["metadata"]["name"], "a");
    let (_, list) = ask(&ground, MAPS, PARTIAL_LIST).await;
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["items"][0]["kind"], "PartialObjectMetadata");
    assert!(list["items"][0]["data"].is_null());
    let response = ground.send("GET", &format!("{MAPS}?watch=1"), &[("accept", PARTIAL)], Vec::new()).await;
    let event = Lines::of(response).event().await;
    assert_eq!(
        (&event["type"], &event["object"]["kind"]),
        (&json!("ADDED"), &json!("PartialObjectMetadata"))
    );
}

#[tokio::test(start_paused = true)]
async fn metadata_of_one_and_of_many_are_told_apart() {
    let ground = Ground::new();
    ground.post(MAPS, map("a")).await;
    let (code, status) = ask(&ground, MAPS, PARTIAL).await;
    assert_eq!((code, &status["reason"]), (406, &json!("NotAcceptable")));
    assert_eq!(
        status["message"],
        "you requested PartialObjectMetadata, but the requested object is a list (*core.ConfigMapList)"
    );
    assert_eq!(ask(&ground, &format!("{MAPS}/a"), PARTIAL_LIST).await.0, 406);
}

#[tokio::test(start_paused = true)]
async fn a_table_has_columns_and_rows() {
    let ground = Ground::new();
    ground.post(PODS, pod("p", None)).await;
    let (_, table) = ask(&ground, PODS, TABLE).await;
    assert_eq!((&table["kind"], &table["apiVersion"]), (&json!("Table"), &json!("meta.k8s.io/v1")));
    let columns: Vec<_> =
        table["columnDefinitions"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(columns, ["Name", "Ready", "Status", "Restarts", "Age"]);
    assert_eq!(table["rows"][0]["cells"], json!(["p", "0/1", "Pending", "0", "0s"]));
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let (_, table) = ask(&ground, &format!("{PODS}?includeObject=Object"), TABLE).await;
    assert_eq!(table["rows"][0]["object"]["kind"], "Pod");
    let (_, table) = ask(&ground, &format!("{PODS}/p?includeObject=None"), TABLE).await;
    assert!(table["rows"][0]["object"].is_null());
}

#[tokio::test(start_paused = true)]
async fn a_watched_table_names_its_columns_once() {
    let ground = Ground::new();
    ground.post(MAPS, map("a")).await;
    ground.post(MAPS, map("b")).await;
    let response = ground.send("GET", &format!("{MAPS}?watch=1"), &[("accept", TABLE)], Vec::new()).await;
    let mut watch = Lines::of(response);
    assert!(watch.event().await["object"]["columnDefinitions"].is_array());
    let second = watch.event().await;
    assert!(second["object"]["columnDefinitions"].is_null());
    assert_eq!(second["object"]["rows"][0]["cells"][0], "b");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_no_json_is_told_so() {
    let ground = Ground::new();
    let (code, status) = ask(&ground, MAPS, "application/vnd.kubernetes.protobuf").await;
    assert_eq!((code, &status["reason"]), (406, &json!("NotAcceptable")));
    let (code, _) = ask(&ground, MAPS, "application/vnd.kubernetes.protobuf,application/json").await;
    assert_eq!(code, 200);
}

#[tokio::test(start_paused = true)]
async fn large_lists_are_compressed_for_those_who_accept_it() {
    let ground = Ground::new();
    for at in 0..200 {
        let mut object = map(&format!("m{at}"));
        object["data"]["text"] = json!("x".repeat(1_000));
        ground.post(MAPS, object).await;
    }
    let response = ground.send("GET", MAPS, &[("accept-encoding", "gzip")], Vec::new()).await;
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut text).unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 200);
    let response = ground.send("GET", MAPS, &[], Vec::new()).await;
    assert!(!response.headers().contains_key("content-encoding"));
    let response =
        ground.send("GET", &format!("{MAPS}/m1"), &[("accept-encoding", "gzip")], Vec::new()).await;
    assert!(!response.headers().contains_key("content-encoding"), "small answers are not worth it");
}
