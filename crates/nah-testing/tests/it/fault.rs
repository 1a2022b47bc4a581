//! Faults.

use std::{io::Read, time::Duration};

use http::Request;
use http_body_util::BodyExt;
use kube_client::client::Body;
use nah_testing::{Corruption, Fault, Script};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{Ground, Lines, MAPS, PODS, map, pod};

async fn fails(ground: &Ground, path: &str) -> bool {
    ground.client.send(Request::get(path).body(Body::empty()).unwrap()).await.is_err()
}

async fn three() -> Ground {
    let ground = Ground::new();
    for name in ["a", "b", "c"] {
        ground.post(MAPS, map(name)).await;
    }
    ground
}

#[tokio::test(start_paused = true)]
async fn the_next_matching_requests_are_answered_an_error() {
    let ground = Ground::new();
    ground.server.inject(Fault::answer(503).on("list").of("configmaps").times(2));
    assert_eq!(ground.get(PODS).await.0, 200);
    assert_eq!(ground.get(MAPS).await.0, 503);
    let (code, status) = ground.get(MAPS).await;
    assert_eq!(
        (code, &status["reason"], &status["kind"]),
        (503, &json!("ServiceUnavailable"), &json!("Status"))
    );
    assert_eq!(ground.get(MAPS).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn every_code_has_the_reason_of_the_real_server() {
    let ground = Ground::new();
    for (code, reason) in [
        (401, "Unauthorized"),
        (403, "Forbidden"),
        (410, "Expired"),
        (429, "TooManyRequests"),
        (500, "InternalError"),
        (503, "ServiceUnavailable"),
    ] {
        ground.server.inject(Fault::answer(code));
        let (found, status) = ground.get(MAPS).await;
        assert_eq!((found, &status["reason"]), (code, &json!(reason)));
    }
}

#[tokio::test(start_paused = true)]
async fn too_many_requests_say_when_to_come_back() {
    let ground = Ground::new();
    ground.server.inject(Fault::too_many_requests(7));
    let response = ground.send("GET", MAPS, &[], Vec::new()).await;
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "7");
}

#[tokio::test(start_paused = true)]
async fn a_fault_lets_some_go_free_and_hits_by_name_and_namespace() {
    let ground = three().await;
    ground.server.inject(Fault::answer(500).on("get").named("b").in_namespace("default").skip(1));
    assert_eq!(ground.get(&format!("{MAPS}/b")).await.0, 200);
    assert_eq!(ground.get(&format!("{MAPS}/a")).await.0, 200);
    assert_eq!(ground.get(&format!("{MAPS}/b")).await.0, 500);
    assert_eq!(ground.get(&format!("{MAPS}/b")).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_fault_can_be_bound_to_a_time() {
    let ground = Ground::new();
    let fault = Fault::answer(500).always().after(Duration::from_secs(10)).until(Duration::from_secs(20));
    ground.server.inject(fault);
    assert_eq!(ground.get(MAPS).await.0, 200);
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert_eq!(ground.get(MAPS).await.0, 500);
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert_eq!(ground.get(MAPS).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_fault_can_be_taken_back() {
    let ground = Ground::new();
    let id = ground.server.inject(Fault::answer(500).always());
    assert_eq!(ground.get(MAPS).await.0, 500);
    assert!(ground.server.is_armed(id));
    ground.server.clear_fault(id);
    assert_eq!(ground.get(MAPS).await.0, 200);
    ground.server.inject(Fault::answer(500).always());
    ground.server.clear_faults();
    assert_eq!(ground.get(MAPS).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_script_is_printed_and_played_again() {
    let script: Script = [
        Fault::cut_after_events(2).of("pods"),
        Fault::too_many_requests(3).on("create").always(),
        Fault::corrupt_object("a", Corruption::WrongType("spec.replicas".into())).skip(4).times(5),
        Fault::lag(Duration::from_millis(20)).after(Duration::from_secs(1)),
    ]
    .into_iter()
    .collect();
    let again: Script = script.to_string().parse().unwrap();
    assert_eq!(again, script);
    let ground = Ground::new();
    assert_eq!(ground.server.inject_all(again).len(), 4);
    assert_eq!(ground.post(PODS, pod("p", None)).await.0, 429);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_request_never_answers() {
    let ground = Ground::new();
    ground.server.inject(Fault::hang());
    let hour = Duration::from_secs(3_600);
    assert!(tokio::time::timeout(hour, ground.get(MAPS)).await.is_err());
    assert_eq!(ground.get(MAPS).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_restart_frees_those_who_hang() {
    let ground = Ground::new();
    ground.server.inject(Fault::hang());
    let server = ground.server.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        server.restart();
    });
    assert!(fails(&ground, MAPS).await);
}

#[tokio::test(start_paused = true)]
async fn a_delay_comes_before_the_work_or_after_it() {
    let ground = Ground::new();
    let started = Instant::now();
    ground.server.inject(Fault::delay(Duration::from_secs(3)).on("create"));
    ground.post(MAPS, map("a")).await;
    assert_eq!(started.elapsed().as_secs(), 3);

    let mut watch =
        ground.watch(&format!("{MAPS}?watch=1&resourceVersion={}", ground.server.version())).await;
    ground.server.inject(Fault::delay_answer(Duration::from_secs(3)).on("create"));
    let started = Instant::now();
    let told = async {
        watch.event().await;
        started.elapsed().as_secs()
    };
    let ((code, _), told) = tokio::join!(ground.post(MAPS, map("b")), told);
    assert_eq!((code, told, started.elapsed().as_secs()), (201, 0, 3));
}

#[tokio::test(start_paused = true)]
async fn an_answer_can_be_lost_after_the_write_was_done() {
    let ground = Ground::new();
    ground.server.inject(Fault::drop_answer().on("create"));
    let request = Request::post(MAPS).body(Body::from(map("a").to_string().into_bytes())).unwrap();
    assert!(ground.client.send(request).await.is_err());
    assert_eq!(ground.get(&format!("{MAPS}/a")).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_does_nothing() {
    let ground = Ground::new();
    ground.server.inject(Fault::refuse().on("create"));
    let request = Request::post(MAPS).body(Body::from(map("a").to_string().into_bytes())).unwrap();
    assert!(ground.client.send(request).await.is_err());
    assert_eq!(ground.get(&format!("{MAPS}/a")).await.0, 404);
    ground.server.refuse_connections(true);
    assert!(fails(&ground, MAPS).await);
    ground.server.refuse_connections(false);
    assert!(!fails(&ground, MAPS).await);
}

#[tokio::test(start_paused = true)]
async fn a_watch_is_cut_after_events() {
    let ground = three().await;
    ground.server.inject(Fault::cut_after_events(2));
    let mut watch = ground.watch(&format!("{MAPS}?watch=1")).await;
    assert_eq!(watch.short().await, "ADDED a");
    assert_eq!(watch.short().await, "ADDED b");
    assert!(watch.line().await.unwrap().is_err());
    assert!(watch.line().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_watch_is_cut_before_the_first_event() {
    let ground = three().await;
    ground.server.inject(Fault::cut_after_events(0));
    let mut watch = ground.watch(&format!("{MAPS}?watch=1")).await;
    assert!(watch.line().await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_in_good_order_after_events() {
    let ground = three().await;
    ground.server.inject(Fault::end_after_events(1));
    let mut watch = ground.watch(&format!("{MAPS}?watch=1")).await;
    assert_eq!(watch.short().await, "ADDED a");
    assert!(watch.line().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_watch_is_cut_in_the_middle_of_a_line() {
    let ground = three().await;
    ground.server.inject(Fault::cut_after_bytes(20).on("watch"));
    let response = ground.send("GET", &format!("{MAPS}?watch=1"), &[], Vec::new()).await;
    let mut body = response.into_body();
    let frame = body.frame().await.unwrap().unwrap();
    assert_eq!(frame.data_ref().unwrap().len(), 20);
    assert!(body.frame().await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_list_is_cut_after_bytes() {
    let ground = three().await;
    ground.server.inject(Fault::cut_after_bytes(100).on("list"));
    let response = ground.send("GET", MAPS, &[], Vec::new()).await;
    assert!(response.into_body().collect().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_event_is_told_twice() {
    let ground = three().await;
    ground.server.inject(Fault::duplicate(1));
    let mut watch = ground.watch(&format!("{MAPS}?watch=1")).await;
    assert_eq!(watch.drain().await, ["ADDED a", "ADDED b", "ADDED b", "ADDED c"]);
}

#[tokio::test(start_paused = true)]
async fn an_error_event_ends_the_watch() {
    let ground = three().await;
    ground.server.inject(Fault::error_event(1, 410));
    let mut watch = ground.watch(&format!("{MAPS}?watch=1")).await;
    assert_eq!(watch.short().await, "ADDED a");
    let event = watch.event().await;
    assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert!(watch.line().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_watch_is_gone_at_its_start() {
    let ground = three().await;
    ground.server.inject(Fault::gone().on("watch"));
    let (code, status) = ground.get(&format!("{MAPS}?watch=1&resourceVersion=1")).await;
    assert_eq!((code, &status["reason"]), (410, &json!("Expired")));
}

#[tokio::test(start_paused = true)]
async fn events_lag_behind_their_changes() {
    let ground = Ground::new();
    ground.server.inject(Fault::lag(Duration::from_secs(2)));
    let mut watch = ground.watch(&format!("{MAPS}?watch=1")).await;
    let started = Instant::now();
    ground.post(MAPS, map("a")).await;
    ground.post(MAPS, map("b")).await;
    watch.event().await;
    watch.event().await;
    assert_eq!(started.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_object_in_a_list_has_a_wrong_type_or_no_metadata() {
    let ground = three().await;
    ground.server.inject(Fault::corrupt_object("b", Corruption::WrongType("data".into())).on("list"));
    let (_, list) = ground.get(MAPS).await;
    assert_eq!(list["items"][1]["data"], "spoiled");
    assert_eq!(list["items"][0]["data"]["a"], "b");
    ground.server.inject(Fault::corrupt(Corruption::NoMetadata).on("list"));
    let (_, list) = ground.get(MAPS).await;
    assert!(list["items"][0]["metadata"].is_null());
    assert_eq!(list["items"][1]["metadata"]["name"], "b");
}

#[tokio::test(start_paused = true)]
async fn a_list_ends_in_the_middle() {
    let ground = three().await;
    ground.server.inject(Fault::corrupt(Corruption::Truncated).on("list"));
    let (code, text) = ground.get(MAPS).await;
    assert_eq!(code, 200);
    assert!(text.is_string(), "no JSON");
}

#[tokio::test(start_paused = true)]
async fn an_event_is_spoiled_and_the_next_one_is_not() {
    let ground = three().await;
    ground
        .server
        .inject(Fault::corrupt_object("a", Corruption::WrongType("metadata.labels".into())).on("watch"));
    ground.server.inject(Fault::corrupt_object("b", Corruption::Truncated).on("watch"));
    let mut watch = ground.watch(&format!("{MAPS}?watch=1")).await;
    assert_eq!(watch.event().await["object"]["metadata"]["labels"], "spoiled");
    let line = watch.line().await.unwrap().unwrap();
    assert!(serde_json::from_str::<Value>(&line).is_err());
    assert_eq!(watch.short().await, "ADDED c");
}

#[tokio::test(start_paused = true)]
async fn each_event_can_be_a_gzip_member() {
    let ground = three().await;
    ground.server.inject(Fault::gzip_members());
    let path = format!("{MAPS}?watch=1&timeoutSeconds=5");
    let response = ground.send("GET", &path, &[("accept-encoding", "gzip")], Vec::new()).await;
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let mut body = response.into_body();
    let first = body.frame().await.unwrap().unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(&first.data_ref().unwrap()[..]).read_to_string(&mut text).unwrap();
    assert!(text.starts_with("{\"type\":\"ADDED\"") && text.ends_with('\n'));
    let rest = body.collect().await.unwrap().to_bytes();
    text.clear();
    flate2::read::MultiGzDecoder::new(&rest[..]).read_to_string(&mut text).unwrap();
    assert_eq!(text.lines().count(), 2);
}

#[tokio::test(start_paused = true)]
async fn history_can_be_compacted_and_writes_forgotten_by_a_script() {
    let ground = three().await;
    let from = ground.server.version() - 1;
    ground.server.inject(Fault::new(nah_testing::Action::Compact).on("watch"));
    let response =
        ground.send("GET", &format!("{MAPS}?watch=1&resourceVersion={from}"), &[], Vec::new()).await;
    assert_eq!(Lines::of(response).event().await["object"]["code"], 410);
    ground.server.inject(Fault::new(nah_testing::Action::Forget(1)).on("list"));
    assert!(fails(&ground, MAPS).await);
    assert_eq!(ground.get(&format!("{MAPS}/c")).await.0, 404);
    ground.server.inject(Fault::new(nah_testing::Action::Restart).on("list"));
    assert!(fails(&ground, MAPS).await);
    assert!(!fails(&ground, MAPS).await);
}
