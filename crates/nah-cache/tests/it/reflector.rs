//! One scope against a scripted server: what is asked, and what the cache makes of the answers.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use nah_cache::{
    Applied, CacheFactoryExt, CacheOptions, Event, Informer, InformerFactory, KindCacheOptions, ListOptions,
    Observer, Subscription, Timeouts,
};
use nah_core::{Kind, ObjectKey, ResourceVersion};
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;

use crate::script::{CONFIG_MAPS, Lines, Reply, Script, config_map, object, settle, status};

fn names<V: nah_core::View>(informer: &Informer<V>) -> Vec<String> {
    let list = informer.list(&ListOptions::default()).expect("a synced informer");
    list.handles().map(|object| format!("{}@{}", object.key().name(), version(object))).collect()
}

fn version(object: &nah_core::Object) -> &str {
    object.resource_version().map_or("", ResourceVersion::as_str)
}

/// A cache of ConfigMaps that has a and b, and watches from @10.
struct Watching {
    script: Script,
    factory: InformerFactory,
    informer: Informer<ConfigMap>,
    lines: Lines,
}

impl Watching {
    async fn new() -> Self {
        Self::with(CacheOptions::default()).await
    }

    async fn with(options: CacheOptions) -> Self {
        let script = Script::new();
        script.list(Reply::list("10", &[config_map("a", 1), config_map("b", 2)]));
        let lines = script.watching();
        let factory = script.factory(options);
        let informer = factory.informer::<ConfigMap>().unwrap();
        informer.wait_for_sync().await.unwrap();
        settle().await;
        Self { script, factory, informer, lines }
    }

    fn status(&self) -> nah_cache::InformerStatus {
        self.informer.status()
    }
}

/// Everything that a subscriber has been told by now.
fn told(subscription: &mut Subscription<ConfigMap>) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(Some(event)) = subscription.next().now_or_never() {
        told.push(match event.unwrap() {
            Event::Added { object, .. } => format!("+{}", object.metadata.name.as_deref().unwrap()),
            Event::Updated { new, .. } => format!("~{}", new.metadata.name.as_deref().unwrap()),
            Event::Deleted { key, tombstone: true, .. } => format!("-{} (tombstone)", key.name()),
            Event::Deleted { key, .. } => format!("-{}", key.name()),
            _ => "?".into(),
        });
    }
    told
}

// === the ordinary way ===

#[tokio::test(start_paused = true)]
async fn lists_once_and_follows_by_watch() // C1, C7, C18
{
    let Watching { script, informer, lines, .. } = Watching::new().await;
    assert_eq!(names(&informer), ["a@1", "b@2"]);
    lines.event("ADDED", config_map("c", 11));
    lines.event("MODIFIED", config_map("a", 12));
    lines.event("DELETED", config_map("b", 13));
    settle().await;
    assert_eq!(names(&informer), ["a@12", "c@11"]);
    assert_eq!(informer.observed(None), Some(13.into()));
    assert_eq!(script.list_versions(), [Some("0".into())]);
    assert_eq!(script.watch_versions(), [Some("10".into())]);
}

#[tokio::test(start_paused = true)]
async fn watches_with_bookmarks_uncompressed_and_for_five_to_ten_minutes() // C7
{
    let watching = Watching::new().await;
    let watch = &watching.script.watches()[0];
    assert_eq!(watch.encoding.as_deref(), Some("identity"));
    assert_eq!(watch.query["allowWatchBookmarks"], "true");
    let seconds: u64 = watch.query["timeoutSeconds"].parse().unwrap();
    assert!((300..600).contains(&seconds));
}

#[tokio::test(start_paused = true)]
async fn follows_pages_to_the_end() // C2
{
    let script = Script::new();
    script.list(Reply::page("10", Some("t1"), &[config_map("a", 1)]));
    script.list(Reply::page("11", Some("t2"), &[config_map("b", 2)]));
    script.list(Reply::page("12", None, &[config_map("c", 3)]));
    let _lines = script.watching();
    let factory = script.factory(CacheOptions::default());
    let informer = factory.informer::<ConfigMap>().unwrap();
    informer.wait_for_sync().await.unwrap();
    settle().await;
    assert_eq!(names(&informer), ["a@1", "b@2", "c@3"]);
    let tokens: Vec<_> = script.lists().iter().map(|seen| seen.query.get("continue").cloned()).collect();
    assert_eq!(tokens, [None, Some("t1".into()), Some("t2".into())]);
    assert_eq!(script.list_versions(), [Some("0".into()), None, None]);
    assert_eq!(script.watch_versions(), [Some("10".into())]);
}

#[tokio::test(start_paused = true)]
async fn lists_in_one_piece_when_a_token_expires() // C3
{
    let script = Script::new();
    script.list(Reply::page("10", Some("t1"), &[config_map("ghost", 1)]));
    script.list(Reply::status(410, "Expired"));
    script.list(Reply::list("12", &[config_map("a", 11)]));
    let factory = script.factory(CacheOptions::default());
    let informer = factory.informer::<ConfigMap>().unwrap();
    informer.wait_for_sync().await.unwrap();
    assert_eq!(names(&informer), ["a@11"]);
    let whole = &script.lists()[2].query;
    assert_eq!((whole.get("limit"), whole["resourceVersion"].as_str()), (None, "0"));
}

#[tokio::test(start_paused = true)]
async fn takes_in_a_page_of_thousands() // C2
{
    let script = Script::new();
    let items: Vec<_> = (0..3000).map(|index| config_map(&format!("o{index:04}"), index)).collect();
    script.list(Reply::list("5000", &items));
    let factory = script.factory(CacheOptions::default());
    let informer = factory.informer::<ConfigMap>().unwrap();
    informer.wait_for_sync().await.unwrap();
    assert_eq!(informer.list(&ListOptions::default()).unwrap().len(), 3000);
}

// === ends and failures of a watch ===

#[tokio::test(start_paused = true)]
async fn reopens_a_watch_that_ended_from_the_last_version_at_once() // C8
{
    let Watching { script, informer, lines, .. } = Watching::new().await;
    lines.event("ADDED", config_map("c", 11));
    lines.bookmark(15, json!({}));
    settle().await;
    let next = script.watching();
    let before = Instant::now();
    drop(lines);
    settle().await;
    assert_eq!(script.watch_versions(), [Some("10".into()), Some("15".into())]);
    assert_eq!(Instant::now(), before);
    next.event("DELETED", config_map("c", 16));
    settle().await;
    assert_eq!(names(&informer), ["a@1", "b@2"]);
    assert_eq!(script.lists().len(), 1);
    assert_eq!(informer.status().last_error, None);
}

#[tokio::test(start_paused = true)]
async fn waits_before_it_reopens_a_watch_that_brought_nothing() // C9, C23, Q54
{
    let Watching { script, lines, .. } = Watching::new().await;
    let _next = script.watching();
    drop(lines);
    settle().await;
    assert_eq!(script.watches().len(), 1);
    tokio::time::sleep(Duration::from_millis(1650)).await;
    settle().await;
    let watches = script.watches();
    let waited = watches[1].at - watches[0].at;
    assert!((800..=1600).contains(&waited.as_millis()), "{waited:?}");
    assert_eq!(script.lists().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn goes_on_from_the_last_event_after_a_cut_line_or_connection() // C8, C18
{
    let Watching { script, informer, lines, .. } = Watching::new().await;
    let second = script.watching();
    lines.event("ADDED", config_map("c", 11));
    lines.raw(r#"{"type":"ADDED","object":{"metadata":{"na"#);
    drop(lines);
    settle().await;
    let third = script.watching();
    second.event("ADDED", config_map("d", 12));
    settle().await;
    second.cut();
    settle().await;
    third.event("ADDED", config_map("e", 13));
    settle().await;
    assert_eq!(names(&informer), ["a@1", "b@2", "c@11", "d@12", "e@13"]);
    assert_eq!(script.watch_versions(), ["10", "11", "12"].map(|version| Some(version.into())));
    assert_eq!(script.lists().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn takes_an_event_in_pieces() {
    let Watching { informer, lines, .. } = Watching::new().await;
    let mut object = config_map("c", 11);
    object["data"]["text"] = json!("ä".repeat(40_000));
    let line = format!("{}\n\n", json!({ "type": "ADDED", "object": object }));
    let (front, back) = line.split_at(line.char_indices().nth(20_000).unwrap().0);
    lines.raw(front);
    settle().await;
    assert_eq!(names(&informer), ["a@1", "b@2"]);
    lines.raw(back);
    settle().await;
    assert_eq!(names(&informer), ["a@1", "b@2", "c@11"]);
}

#[tokio::test(start_paused = true)]
async fn relists_as_a_difference_after_410_in_the_stream() // C11, C14, Q51
{
    let Watching { script, informer, lines, .. } = Watching::new().await;
    let mut subscription = informer.subscribe().unwrap();
    assert_eq!(told(&mut subscription), ["+a", "+b"]);
    script.list(Reply::list("30", &[config_map("a", 1), config_map("c", 25)]));
    let _next = script.watching();
    lines.error(410, "Expired");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(told(&mut subscription), ["-b (tombstone)", "+c"]);
    assert_eq!(names(&informer), ["a@1", "c@25"]);
    assert_eq!(script.list_versions(), [Some("0".into()), Some("10".into())]);
    assert_eq!(script.watch_versions(), [Some("10".into()), Some("30".into())]);
}

#[tokio::test(start_paused = true)]
async fn relists_as_a_difference_after_410_at_open() // C11, C14, Q51
{
    let Watching { script, informer, lines, .. } = Watching::new().await;
    script.watch(Reply::status(410, "Gone"));
    script.list(Reply::list("30", &[config_map("b", 20)]));
    lines.bookmark(12, json!({}));
    settle().await;
    drop(lines);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(names(&informer), ["b@20"]);
    assert_eq!(script.list_versions(), [Some("0".into()), Some("12".into())]);
}

#[tokio::test(start_paused = true)]
async fn relists_after_any_other_error_event_and_removes_what_vanished() // C12, C13, Q53
{
    let Watching { script, informer, lines, .. } = Watching::new().await;
    script.list(Reply::list("30", &[config_map("a", 1)]));
    lines.error(500, "InternalError");
    settle().await;
    assert_eq!(informer.status().last_error.as_deref(), Some("server answered 500: InternalError"));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(names(&informer), ["a@1"]);
    assert_eq!(informer.status().last_error, None);
}

#[tokio::test(start_paused = true)]
async fn waits_out_a_busy_server_without_a_relist() // C10
{
    let Watching { script, informer, lines, .. } = Watching::new().await;
    script.watch(Reply::status(429, "TooManyRequests"));
    script.watch(Reply::Refused);
    script.watch(Reply::status(503, "ServiceUnavailable"));
    let next = script.watching();
    lines.event("MODIFIED", config_map("a", 11));
    settle().await;
    drop(lines);
    tokio::time::sleep(Duration::from_secs(20)).await;
    next.event("MODIFIED", config_map("a", 12));
    settle().await;
    assert_eq!(names(&informer), ["a@12", "b@2"]);
    assert_eq!(script.lists().len(), 1);
    let versions = ["10", "11", "11", "11", "11"];
    assert_eq!(script.watch_versions(), versions.map(|version| Some(version.into())));
}

#[tokio::test(start_paused = true)]
async fn shows_that_the_server_cannot_be_reached() // C10, C16
{
    let Watching { script, informer, lines, .. } = Watching::new().await;
    script.refuse();
    drop(lines);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let status = informer.status();
    assert!(status.last_error.unwrap().contains("connection refused"));
    assert!(status.last_heard.unwrap() > Duration::from_secs(50));
    assert!(status.synced);
    assert_eq!(names(&informer), ["a@1", "b@2"]);
}

#[tokio::test(start_paused = true)]
async fn moves_by_bookmarks_and_tells_nobody() // C17
{
    let Watching { informer, lines, .. } = Watching::new().await;
    let mut subscription = informer.subscribe().unwrap();
    told(&mut subscription);
    lines.bookmark(40, json!({}));
    informer.wait_until_observed(&40.into()).await.unwrap();
    assert_eq!(informer.observed(None), Some(40.into()));
    assert_eq!(told(&mut subscription), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn reopens_a_watch_that_outlives_its_time() // C7
{
    let Watching { script, informer, lines: _silent, .. } = Watching::new().await;
    let next = script.watching();
    tokio::time::sleep(Duration::from_secs(620)).await;
    assert_eq!(script.watches().len(), 2);
    next.event("DELETED", config_map("a", 11));
    settle().await;
    assert_eq!(names(&informer), ["b@2"]);
    assert_eq!(script.lists().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn gives_up_on_a_watch_that_is_not_answered() // C10
{
    let Watching { script, lines, .. } = Watching::new().await;
    script.watch(Reply::Hang);
    let next = script.watching();
    drop(lines);
    tokio::time::sleep(Duration::from_secs(75)).await;
    assert_eq!(script.watches().len(), 3);
    assert!(!next.is_closed());
    assert_eq!(script.lists().len(), 1);
}

// === failures of a list ===

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

// === objects that cannot be read ===

fn spoiled(name: &str, version: u64) -> serde_json::Value {
    let mut object = config_map(name, version);
    object["metadata"]["labels"] = json!(["not", "a", "map"]);
    object
}

#[tokio::test(start_paused = true)]
async fn a_bad_item_is_quarantined_and_everything_else_flows() // C19, C20, Q52
{
    let script = Script::new();
    script.list(Reply::list("10", &[config_map("a", 1), spoiled("bad", 2), config_map("c", 3)]));
    let lines = script.watching();
    let factory = script.factory(CacheOptions::default());
    let informer = factory.informer::<ConfigMap>().unwrap();
    informer.wait_for_sync().await.unwrap();
    assert_eq!(names(&informer), ["a@1", "c@3"]);
    assert_eq!(informer.status().quarantined, 1);
    assert_eq!(informer.quarantined()[0].0, ObjectKey::from(("n", "bad")));
    settle().await;
    lines.event("MODIFIED", config_map("bad", 11));
    settle().await;
    assert_eq!(names(&informer), ["a@1", "bad@11", "c@3"]);
    assert_eq!(informer.status().quarantined, 0);
}

#[tokio::test(start_paused = true)]
async fn a_bad_event_keeps_the_last_good_state_until_the_next_one() // C19, C20, Q52
{
    let Watching { script, informer, lines, .. } = Watching::new().await;
    lines.event("MODIFIED", spoiled("a", 11));
    lines.event("ADDED", config_map("c", 12));
    settle().await;
    assert_eq!(names(&informer), ["a@1", "b@2", "c@12"]);
    assert_eq!(informer.status().quarantined, 1);
    // A relist in which it is still bad keeps it too: it is there.
    script.list(Reply::list("20", &[spoiled("a", 11), config_map("b", 2), config_map("c", 12)]));
    let next = script.watching();
    lines.error(410, "Expired");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(names(&informer), ["a@1", "b@2", "c@12"]);
    assert_eq!(informer.status().quarantined, 1);
    next.event("MODIFIED", config_map("a", 21));
    settle().await;
    assert_eq!(names(&informer), ["a@21", "b@2", "c@12"]);
    assert_eq!(informer.status().quarantined, 0);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_cannot_be_read_is_found_by_a_list() // C20, Q52
{
    let Watching { script, informer, lines, .. } = Watching::new().await;
    script.list(Reply::list("20", &[config_map("b", 2)]));
    lines.event("DELETED", spoiled("a", 11));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(names(&informer), ["b@2"]);
    assert_eq!(informer.status().quarantined, 0);
}

#[tokio::test(start_paused = true)]
async fn an_event_of_another_kind_is_skipped() // C19
{
    let Watching { script, informer, lines, .. } = Watching::new().await;
    let mut service = config_map("service", 11);
    service["kind"] = json!("Service");
    lines.say(&json!({ "type": "ADDED", "object": service }));
    lines.event("ADDED", config_map("c", 12));
    settle().await;
    assert_eq!(names(&informer), ["a@1", "b@2", "c@12"]);
    assert_eq!((script.lists().len(), script.watches().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_garbled_line_is_asked_for_again() // C20, Q52
{
    let Watching { script, informer, lines, .. } = Watching::new().await;
    let next = script.watching();
    lines.raw("<html>\n");
    tokio::time::sleep(Duration::from_secs(2)).await;
    next.event("ADDED", config_map("c", 11));
    settle().await;
    assert_eq!(names(&informer), ["a@1", "b@2", "c@11"]);
    assert_eq!(script.watch_versions(), [Some("10".into()), Some("10".into())]);
    assert_eq!(script.lists().len(), 1);
}

// === selectors and namespaces ===

#[tokio::test(start_paused = true)]
async fn sends_selectors_with_every_list_and_watch() // C25, C26
{
    let labels: kube::core::Selector = [("app", "web")].into_iter().collect();
    let kind = KindCacheOptions::default().labels(labels).fields("metadata.name!=x");
    let options = CacheOptions::default().kind((*ConfigMap::kind_of()).clone(), kind);
    let Watching { script, informer, lines, .. } = Watching::with(options).await;
    for seen in script.lists().iter().chain(&script.watches()) {
        assert_eq!(seen.query["labelSelector"], "app=web");
        assert_eq!(seen.query["fieldSelector"], "metadata.name!=x");
    }
    // What leaves the selector is DELETED on the wire.
    lines.event("DELETED", config_map("a", 11));
    settle().await;
    assert_eq!(names(&informer), ["b@2"]);
}

#[tokio::test(start_paused = true)]
async fn a_kind_treated_otherwise_pages_its_lists() // C2
{
    let kind = KindCacheOptions::default().page_size(7);
    let options = CacheOptions::default().kind((*ConfigMap::kind_of()).clone(), kind);
    let watching = Watching::with(options).await;
    assert_eq!(watching.script.lists()[0].query["limit"], "7");
}

#[tokio::test(start_paused = true)]
async fn lists_and_watches_each_namespace_once() // C27, C28, G16, Q32
{
    let script = Script::new();
    let mut watches = Vec::new();
    for namespace in ["a", "b"] {
        let path = format!("/api/v1/namespaces/{namespace}/configmaps");
        script.list_at(&path, Reply::list("10", &[object(namespace, "x", namespace, 1)]));
        let (lines, reply) = Reply::stream();
        script.watch_at(&path, reply);
        watches.push(lines);
    }
    let factory = script.factory(CacheOptions::default().namespaces(["a", "b"]));
    let informer = factory.informer::<ConfigMap>().unwrap();
    informer.wait_for_sync().await.unwrap();
    settle().await;
    watches[0].event("DELETED", object("a", "x", "a", 11));
    watches[1].event("ADDED", object("b", "y", "y", 12));
    settle().await;
    let list = informer.list(&ListOptions::default()).unwrap();
    assert_eq!(list.handles().map(|object| object.key().to_string()).collect::<Vec<_>>(), ["b/x", "b/y"]);
    assert_eq!((script.lists().len(), script.watches().len()), (2, 2));
    assert_eq!(informer.observed(Some("a")), Some(11.into()));
    assert_eq!(informer.observed(Some("b")), Some(12.into()));
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_is_forbidden_holds_only_itself_up() // C6, C28
{
    let script = Script::new();
    script.list_at("/api/v1/namespaces/a/configmaps", Reply::list("10", &[object("a", "x", "x", 1)]));
    script.list_at("/api/v1/namespaces/b/configmaps", Reply::status(403, "Forbidden"));
    let factory = script.factory(CacheOptions::default().namespaces(["a", "b"]));
    let informer = factory.informer::<ConfigMap>().unwrap();
    settle().await;
    assert!(!informer.has_synced());
    assert!(informer.status().last_error.unwrap().contains("403"));
    assert_eq!(informer.list(&ListOptions::default().in_namespace("a")).unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_object_of_another_namespace_neither_enters_nor_removes_anything() // C19, C28
{
    let script = Script::new();
    let path = "/api/v1/namespaces/a/configmaps";
    script.list_at(path, Reply::list("10", &[object("a", "x", "x", 1)]));
    let (lines, reply) = Reply::stream();
    script.watch_at(path, reply);
    let factory = script.factory(CacheOptions::default().namespaces(["a"]));
    let informer = factory.informer::<ConfigMap>().unwrap();
    informer.wait_for_sync().await.unwrap();
    settle().await;
    lines.event("ADDED", object("b", "y", "y", 11));
    lines.event("ADDED", object("a", "z", "z", 12));
    settle().await;
    assert_eq!(names(&informer), ["x@1", "z@12"]);
    script.list_at(path, Reply::list("20", &[object("b", "y", "y", 11)]));
    lines.error(410, "Expired");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(names(&informer), ["x@1", "z@12"]);
    assert_eq!(informer.status().last_error.as_deref(), Some("list has b/y, which is of another namespace"));
}

#[tokio::test(start_paused = true)]
async fn lists_a_cluster_scoped_kind_whole_whatever_the_namespaces() // C27
{
    let script = Script::new();
    script.list_at("/api/v1/nodes", Reply::list("10", &[]));
    let factory = script.factory(CacheOptions::default().namespaces(["a", "b"]));
    let informer = factory.informer::<k8s_openapi::api::core::v1::Node>().unwrap();
    informer.wait_for_sync().await.unwrap();
    assert_eq!(script.lists().iter().map(|seen| &*seen.path).collect::<Vec<_>>(), ["/api/v1/nodes"]);
}

#[tokio::test(start_paused = true)]
async fn a_field_selector_of_a_namespace_takes_the_namespaces_url() // C27
{
    let script = Script::new();
    script.list_at("/api/v1/namespaces/a/configmaps", Reply::list("10", &[object("a", "x", "x", 1)]));
    let kind = KindCacheOptions::default().fields("metadata.namespace=a");
    let factory = script.factory(CacheOptions::default().kind((*ConfigMap::kind_of()).clone(), kind));
    let informer = factory.informer::<ConfigMap>().unwrap();
    informer.wait_for_sync().await.unwrap();
    assert_eq!(names(&informer), ["x@1"]);
}

// === streaming lists ===

fn streaming(script: &Script) -> Lines {
    let (lines, reply) = Reply::stream();
    script.watch_at(&format!("stream:{CONFIG_MAPS}"), reply);
    lines
}

#[tokio::test(start_paused = true)]
async fn fills_the_cache_by_one_stream_where_the_server_can() // C21
{
    let script = Script::new();
    let lines = streaming(&script);
    let factory = script.factory(CacheOptions::default());
    let informer = factory.informer::<ConfigMap>().unwrap();
    settle().await;
    lines.event("ADDED", config_map("b", 9));
    lines.event("ADDED", config_map("a", 7));
    lines.bookmark(9, json!({ "k8s.io/initial-events-end": "false" }));
    settle().await;
    assert!(!informer.has_synced());
    assert_eq!(informer.observed(None), None);
    lines.initial_end(10);
    settle().await;
    assert_eq!(names(&informer), ["a@7", "b@9"]);
    assert_eq!(informer.observed(None), Some(10.into()));
    lines.event("DELETED", config_map("a", 11));
    settle().await;
    assert_eq!(names(&informer), ["b@9"]);
    assert_eq!((script.lists().len(), script.watches().len()), (0, 0));
    let streams: Vec<_> = script.seen().into_iter().filter(|seen| seen.is_stream()).collect();
    assert_eq!(streams.len(), 1);
    assert_eq!(streams[0].query["resourceVersionMatch"], "NotOlderThan");
    assert_eq!(streams[0].query["resourceVersion"], "0");
    assert_eq!(streams[0].encoding.as_deref(), Some("identity"));
}

#[tokio::test(start_paused = true)]
async fn a_streamed_relist_is_a_difference_and_swaps_at_its_end() // C14, C15, C21, Q51
{
    let script = Script::new();
    let (first, second) = (streaming(&script), streaming(&script));
    let factory = script.factory(CacheOptions::default());
    let informer = factory.informer::<ConfigMap>().unwrap();
    first.event("ADDED", config_map("a", 7));
    first.event("ADDED", config_map("b", 9));
    first.initial_end(10);
    informer.wait_for_sync().await.unwrap();
    let mut subscription = informer.subscribe().unwrap();
    told(&mut subscription);
    first.error(410, "Expired");
    tokio::time::sleep(Duration::from_secs(2)).await;
    second.event("ADDED", config_map("a", 7));
    second.event("ADDED", config_map("c", 12));
    settle().await;
    assert_eq!(names(&informer), ["a@7", "b@9"]);
    second.initial_end(20);
    settle().await;
    assert_eq!(told(&mut subscription), ["-b (tombstone)", "+c"]);
}

#[tokio::test(start_paused = true)]
async fn asks_only_once_whether_the_server_streams_lists() // C22
{
    let script = Script::new();
    script.list(Reply::list("10", &[]));
    script.list_at("/api/v1/nodes", Reply::list("10", &[]));
    let factory = script.factory(CacheOptions::default());
    factory.informer::<ConfigMap>().unwrap().wait_for_sync().await.unwrap();
    factory.informer::<k8s_openapi::api::core::v1::Node>().unwrap().wait_for_sync().await.unwrap();
    assert_eq!(script.seen().iter().filter(|seen| seen.is_stream()).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn lists_where_a_stream_does_not_say_what_there_is() // C22
{
    let script = Script::new();
    let lines = streaming(&script);
    script.list(Reply::list("10", &[config_map("a", 1)]));
    let factory = script.factory(CacheOptions::default());
    let informer = factory.informer::<ConfigMap>().unwrap();
    lines.event("ADDED", config_map("ghost", 1));
    informer.wait_for_sync().await.unwrap();
    assert_eq!(names(&informer), ["a@1"]);
}

#[tokio::test(start_paused = true)]
async fn patience_may_be_endless() {
    let script = Script::new();
    script.list(Reply::list("10", &[config_map("a", 1)]));
    let lines = script.watching();
    let (ever, timeouts) = (Duration::MAX, Timeouts::default());
    let options = CacheOptions::default().timeouts(timeouts.answer(ever).silence(ever).overtime(ever));
    let informer = script.factory(options).informer::<ConfigMap>().unwrap();
    informer.wait_for_sync().await.unwrap();
    settle().await;
    lines.event("ADDED", config_map("b", 2));
    settle().await;
    assert_eq!(names(&informer), ["a@1", "b@2"]);
}

// === history, refresh, observers ===

#[derive(Default)]
struct Log(Mutex<Vec<String>>);

struct Watcher {
    log: Arc<Log>,
}

impl Observer for Watcher {
    fn applied(&self, informer: &Informer, namespace: Option<&str>, applied: &Applied<'_>) {
        let held = informer.status().objects;
        let text = match applied {
            Applied::Event { removed, version, .. } => {
                let removed: Vec<_> = removed.iter().map(|(key, uid)| (key, uid.as_ref())).collect();
                format!("event {version:?} -{removed:?}")
            }
            Applied::Bookmark { version, .. } => format!("bookmark {version:?}"),
            Applied::List { removed, version, backwards, .. } => {
                let removed: Vec<_> = removed.iter().map(|(key, _)| key).collect();
                format!("list {version:?} -{removed:?}{}", if *backwards { " backwards" } else { "" })
            }
            _ => "?".into(),
        };
        assert_eq!((informer.gvk().kind.as_str(), namespace), ("ConfigMap", None));
        self.log.0.lock().push(format!("{text} of {held}"));
    }
}

/// A cache of a and b with an observer, which is told how many objects the store has by then.
async fn observed() -> (Script, Informer<ConfigMap>, Lines, Arc<Log>) {
    let script = Script::new();
    script.list(Reply::list("10", &[config_map("a", 1), config_map("b", 2)]));
    let lines = script.watching();
    let factory = script.factory(CacheOptions::default());
    let log = Arc::new(Log::default());
    factory.observe(Arc::new(Watcher { log: log.clone() }));
    let informer = factory.informer::<ConfigMap>().unwrap();
    informer.wait_for_sync().await.unwrap();
    settle().await;
    (script, informer, lines, log)
}

impl Log {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}

#[tokio::test(start_paused = true)]
async fn tells_the_observer_after_the_store_has_it() {
    let (_script, _informer, lines, log) = observed().await;
    assert_eq!(log.take(), ["list @10 -[] of 2"]);
    lines.event("ADDED", config_map("c", 11));
    lines.event("DELETED", config_map("a", 12));
    lines.event("ADDED", object("n", "b", "another", 13));
    lines.bookmark(14, json!({}));
    settle().await;
    assert_eq!(
        log.take(),
        [
            "event Some(@11) -[] of 3",
            "event Some(@12) -[(n/a, Some(a))] of 2",
            "event Some(@13) -[(n/b, Some(b))] of 2",
            "bookmark @14 of 2",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn notices_a_restored_backup_and_takes_everything_anew() // C4
{
    let (script, informer, lines, log) = observed().await;
    lines.event("MODIFIED", config_map("a", 50));
    settle().await;
    log.take();
    let too_large = json!({ "kind": "Status", "code": 504, "message": "Too large resource version: 50" });
    script.list(Reply::Json(504, too_large));
    // Of the same uid and version as what is held, but of another history.
    let mut other = config_map("b", 2);
    other["data"]["version"] = json!("other");
    script.list(Reply::list("20", &[other]));
    lines.error(410, "Expired");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(log.take(), ["list @20 -[n/a] backwards of 1"]);
    let held = informer.get(&("n", "b").into()).unwrap().unwrap();
    assert_eq!(held.data.as_ref().unwrap()["version"], "other");
    assert_eq!(informer.observed(None), Some(20.into()));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_lists_the_newest_and_takes_everything_anew() // C4
{
    let Watching { script, informer, lines, .. } = Watching::new().await;
    let mut other = config_map("b", 2);
    other["data"]["version"] = json!("other");
    script.list(Reply::list("20", &[config_map("a", 1), other]));
    informer.refresh();
    settle().await;
    assert!(lines.is_closed());
    assert_eq!(script.list_versions(), [Some("0".into()), None]);
    let held = informer.get(&("n", "b").into()).unwrap().unwrap();
    assert_eq!(held.data.as_ref().unwrap()["version"], "other");
}

#[tokio::test(start_paused = true)]
async fn asks_first_for_the_version_of_our_own_writes() // C1
{
    let script = Script::new();
    script.list(Reply::list("50", &[]));
    let factory = script.factory(CacheOptions::default());
    factory.raise_floor(&ConfigMap::kind_of(), &41.into());
    factory.raise_floor(&ConfigMap::kind_of(), &7.into());
    factory.raise_floor(&ConfigMap::kind_of(), &"opaque".into());
    factory.informer::<ConfigMap>().unwrap().wait_for_sync().await.unwrap();
    assert_eq!(script.list_versions(), [Some("41".into())]);
}

#[tokio::test(start_paused = true)]
async fn waits_as_long_as_it_is_told_to() {
    let script = Script::new();
    script.list(Reply::Hang);
    script.list(Reply::list("10", &[]));
    let timeouts = Timeouts::default().answer(Duration::from_secs(5));
    let factory = script.factory(CacheOptions::default().timeouts(timeouts));
    factory.informer::<ConfigMap>().unwrap().wait_for_sync().await.unwrap();
    let lists = script.lists();
    assert!((5..7).contains(&(lists[1].at - lists[0].at).as_secs()));
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_a_kind_reports_where_it_stands() {
    let watching = Watching::new().await;
    let status = watching.status();
    assert_eq!((status.objects, status.synced, status.quarantined), (2, true, 0));
    assert_eq!((status.observed, status.last_error), (Some(10.into()), None));
    assert_eq!(watching.factory.status().len(), 1);
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_eq!(watching.status().last_heard, Some(Duration::from_secs(7)));
}
