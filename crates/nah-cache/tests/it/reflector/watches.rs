//! Watches that end, break, fall silent or say that something is wrong.

use std::time::Duration;

use nah_cache::{CacheOptions, Timeouts};
use serde_json::json;
use tokio::time::Instant;

use super::{Watching, names, told};
use crate::script::{Reply, config_map, settle};

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
    let options = CacheOptions::default().timeouts(Timeouts::default().idle(Duration::MAX));
    let Watching { script, informer, lines: _silent, .. } = Watching::with(options).await;
    let next = script.watching();
    tokio::time::sleep(Duration::from_secs(620)).await;
    assert_eq!(script.watches().len(), 2);
    next.event("DELETED", config_map("a", 11));
    settle().await;
    assert_eq!(names(&informer), ["b@2"]);
    assert_eq!(script.lists().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn opens_a_watch_anew_that_has_long_been_silent() // C7, C10
{
    let Watching { script, informer, lines, .. } = Watching::new().await;
    let next = script.watching();
    // A bookmark is a sign of life.
    tokio::time::sleep(Duration::from_secs(100)).await;
    lines.bookmark(12, json!({}));
    tokio::time::sleep(Duration::from_secs(175)).await;
    assert_eq!(script.watches().len(), 1);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(script.watch_versions(), [Some("10".into()), Some("12".into())]);
    // Whoever answers now may be another server, with an older history.
    assert_eq!(script.seen().iter().filter(|seen| seen.is_probe()).count(), 1);
    next.event("DELETED", config_map("a", 13));
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
