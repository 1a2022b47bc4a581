//! Objects that cannot be read.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use nah_cache::{CacheFactoryExt, CacheOptions};
use nah_core::ObjectKey;
use serde_json::json;

use super::{Watching, names};
use crate::script::{Reply, Script, config_map, settle};

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
