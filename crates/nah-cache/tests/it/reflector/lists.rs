//! Lists that fail, stop half-way or are not answered.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use nah_cache::{CacheFactoryExt, CacheOptions, ListOptions, Timeouts};
use serde_json::json;

use super::{Watching, names};
use crate::script::{Reply, Script, config_map, settle, status};

#[tokio::test(start_paused = true)]
async fn no_failure_of_a_list_removes_anything() // C6, C16
{
    let failures = [
        Reply::status(403, "Forbidden"),
        Reply::status(500, "InternalError"),
        Reply::Text(502, "<html>Bad Gateway</html>"),
        Reply::Text(200, "<html>Sign in</html>"),
        Reply::Text(200, r#"{"kind":"ConfigMapList","metadata":{"resourceVersion":"20"},"items":[{"meta"#),
        Reply::Text(200, r#"{"kind":"ConfigMapList","metadata":{"resourceVersion":"20"}}"#),
        Reply::Text(
            200,
            r#"{"kind":"ConfigMapList","metadata":{"resourceVersion":"20"},"items":[{"spec":1}]}"#,
        ),
        Reply::Json(200, status(403, "Forbidden")),
        Reply::page("20", Some("token"), &[config_map("a", 1)]),
        Reply::Refused,
    ];
    for failure in failures {
        let Watching { script, informer, lines, .. } = Watching::new().await;
        let paged = matches!(&failure, Reply::Json(200, page) if page["metadata"]["continue"].is_string());
        script.list(failure);
        if paged {
            script.list(Reply::status(500, "InternalError"));
        }
        lines.error(500, "InternalError");
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(script.lists().len() > 1);
        assert_eq!(names(&informer), ["a@1", "b@2"]);
        assert!(informer.has_synced());
        assert!(informer.status().last_error.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fails_before_the_first_sync_says_why() // C6
{
    let script = Script::new();
    script.list(Reply::status(403, "configmaps is forbidden"));
    let factory = script.factory(CacheOptions::default());
    let informer = factory.informer::<ConfigMap>().unwrap();
    settle().await;
    let error = informer.list(&ListOptions::default()).unwrap_err();
    let nah_cache::CacheError::NotSynced { last_error, .. } = error else { panic!("{error}") };
    assert_eq!(last_error.as_deref(), Some("server answered 403: configmaps is forbidden"));
    script.list(Reply::list("10", &[]));
    informer.wait_for_sync().await.unwrap();
    assert_eq!(informer.status().last_error, None);
}

#[tokio::test(start_paused = true)]
async fn asks_for_the_newest_at_once_when_the_server_is_behind() // C5
{
    let Watching { script, informer, lines, .. } = Watching::new().await;
    let too_large = json!({ "kind": "Status", "code": 504, "reason": "Timeout",
        "message": "Too large resource version: 10, current: 5" });
    script.list(Reply::Json(504, too_large));
    script.list(Reply::list("12", &[config_map("a", 11)]));
    lines.error(410, "Expired");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(script.list_versions(), [Some("0".into()), Some("10".into()), None]);
    let lists = script.lists();
    assert_eq!(lists[1].at, lists[2].at);
    assert_eq!(names(&informer), ["a@11"]);
}

#[tokio::test(start_paused = true)]
async fn gives_up_on_a_list_that_is_not_answered_or_stops_in_the_middle() // C6
{
    let script = Script::new();
    script.list(Reply::Hang);
    let (lines, stalled) = Reply::stream();
    script.list(stalled);
    lines.raw(r#"{"kind":"ConfigMapList","metadata":{"resourceVersion":"10"},"items":["#);
    script.list(Reply::list("10", &[config_map("a", 1)]));
    let factory = script.factory(CacheOptions::default());
    let informer = factory.informer::<ConfigMap>().unwrap();
    informer.wait_for_sync().await.unwrap();
    let at: Vec<_> = script.lists().iter().map(|seen| seen.at).collect();
    assert!((65..67).contains(&(at[1] - at[0]).as_secs()), "{at:?}");
    assert!((30..34).contains(&(at[2] - at[1]).as_secs()), "{at:?}");
    assert_eq!(names(&informer), ["a@1"]);
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_hangs_holds_nobody_else_up() // C6
{
    let script = Script::new();
    script.list(Reply::Hang);
    script.list_at("/api/v1/nodes", Reply::list("10", &[]));
    let factory = script.factory(CacheOptions::default().concurrent_lists(1));
    let stuck = factory.informer::<ConfigMap>().unwrap();
    let other = factory.informer::<k8s_openapi::api::core::v1::Node>().unwrap();
    settle().await;
    assert!(other.has_synced());
    assert!(!stuck.has_synced());
}

#[tokio::test(start_paused = true)]
async fn readers_are_served_while_a_relist_is_under_way() // C15, C16
{
    let Watching { script, informer, lines, .. } = Watching::new().await;
    let (body, reply) = Reply::stream();
    script.list(reply);
    lines.error(410, "Expired");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let list = json!({ "metadata": { "resourceVersion": "30" }, "items": [config_map("c", 25)] }).to_string();
    let (front, back) = list.split_at(list.len() - 5);
    body.raw(front);
    settle().await;
    assert_eq!(names(&informer), ["a@1", "b@2"]);
    body.raw(back);
    drop(body);
    settle().await;
    assert_eq!(names(&informer), ["c@25"]);
}

// === pages ===

#[tokio::test(start_paused = true)]
async fn the_next_page_is_asked_for_while_the_last_one_is_taken_in() // C2
{
    let script = Script::new();
    let (first, reply) = Reply::stream();
    script.list(reply);
    script.list(Reply::page("11", None, &[config_map("b", 2)]));
    let factory = script.factory(CacheOptions::default());
    let informer = factory.informer::<ConfigMap>().unwrap();
    settle().await;
    first.raw(r#"{"kind":"ConfigMapList","metadata":{"resourceVersion":"10","continue":"t1"},"items":["#);
    settle().await;
    assert_eq!(script.lists().last().unwrap().query["continue"], "t1");
    assert!(!informer.has_synced());
    first.raw(&format!("{}]}}", config_map("a", 1)));
    drop(first);
    informer.wait_for_sync().await.unwrap();
    assert_eq!(names(&informer), ["a@1", "b@2"]);
    assert_eq!(script.lists().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_breaks_takes_the_next_one_with_it() // C6
{
    let Watching { script, informer, lines, .. } = Watching::new().await;
    let (first, reply) = Reply::stream();
    script.list(reply);
    script.list(Reply::page("31", None, &[config_map("ghost", 2)]));
    script.list(Reply::list("40", &[config_map("a", 1)]));
    lines.error(410, "Expired");
    tokio::time::sleep(Duration::from_secs(2)).await;
    first.raw(r#"{"metadata":{"resourceVersion":"30","continue":"t1"},"items":["#);
    settle().await;
    first.cut();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(names(&informer), ["a@1"]);
    let tokens: Vec<_> = script.lists().iter().map(|seen| seen.query.get("continue").cloned()).collect();
    assert_eq!(tokens, [None, None, Some("t1".into()), None]);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_expires_while_it_waits_is_no_end_of_the_list() // C3
{
    let script = Script::new();
    let (first, reply) = Reply::stream();
    script.list(reply);
    script.list(Reply::status(410, "Expired"));
    script.list(Reply::list("12", &[config_map("b", 11)]));
    let factory = script.factory(CacheOptions::default());
    let informer = factory.informer::<ConfigMap>().unwrap();
    settle().await;
    first.raw(r#"{"metadata":{"resourceVersion":"10","continue":"t1"},"items":["#);
    settle().await;
    first.raw("]}");
    drop(first);
    informer.wait_for_sync().await.unwrap();
    assert_eq!(names(&informer), ["b@11"]);
}

#[tokio::test(start_paused = true)]
async fn pages_whose_items_come_first_are_followed_too() // C2
{
    let script = Script::new();
    script.list(Reply::page("10", Some("t1"), &[config_map("a", 1)]).sorted());
    script.list(Reply::page("10", None, &[config_map("b", 2)]).sorted());
    let factory = script.factory(CacheOptions::default());
    let informer = factory.informer::<ConfigMap>().unwrap();
    informer.wait_for_sync().await.unwrap();
    assert_eq!(names(&informer), ["a@1", "b@2"]);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_followed_by_itself_ends_in_an_error() // C6
{
    let script = Script::new();
    script.list(Reply::page("10", Some("t1"), &[config_map("a", 1)]));
    script.list(Reply::page("10", Some("t1"), &[config_map("b", 2)]));
    let factory = script.factory(CacheOptions::default());
    let informer = factory.informer::<ConfigMap>().unwrap();
    settle().await;
    let error = informer.status().last_error.unwrap();
    assert_eq!(error, "list has a page that is followed by itself");
    assert!(!informer.has_synced());
}

#[tokio::test(start_paused = true)]
async fn a_list_that_never_falls_silent_and_never_ends_is_given_up() // C6
{
    let script = Script::new();
    let (body, reply) = Reply::stream();
    script.list(reply);
    script.list(Reply::list("10", &[config_map("a", 1)]));
    let timeouts = Timeouts::default().list(Duration::from_secs(100));
    let factory = script.factory(CacheOptions::default().timeouts(timeouts));
    let informer = factory.informer::<ConfigMap>().unwrap();
    body.raw(r#"{"metadata":{"resourceVersion":"10"},"items":["#);
    while !body.is_closed() {
        body.raw(&format!("{},", config_map("ghost", 1)));
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    informer.wait_for_sync().await.unwrap();
    let lists = script.lists();
    assert!((100..102).contains(&(lists[1].at - lists[0].at).as_secs()));
    assert_eq!(names(&informer), ["a@1"]);
}
