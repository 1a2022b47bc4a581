//! Lists that come as a stream.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use nah_cache::{CacheFactoryExt, CacheOptions, Timeouts};
use serde_json::json;

use super::{names, told};
use crate::script::{CONFIG_MAPS, Lines, Reply, Script, config_map, settle};

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
async fn lists_where_a_stream_never_has_said_everything() // C22
{
    let script = Script::new();
    let streams: Vec<_> = (0..4).map(|_| streaming(&script)).collect();
    let timeouts = Timeouts::default().list(Duration::from_secs(100));
    let factory = script.factory(CacheOptions::default().timeouts(timeouts));
    let informer = factory.informer::<ConfigMap>().unwrap();
    script.list(Reply::list("10", &[config_map("a", 1)]));
    for second in 0..50 {
        let open = streams.iter().filter(|lines| !lines.is_closed());
        open.for_each(|lines| lines.event("ADDED", config_map(&format!("ghost{second}"), 1)));
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    assert_eq!(names(&informer), ["a@1"]);
    let streams: Vec<_> = script.seen().into_iter().filter(|seen| seen.is_stream()).collect();
    assert_eq!(streams.len(), 4);
    assert!((100..103).contains(&(streams[1].at - streams[0].at).as_secs()));
}

#[tokio::test(start_paused = true)]
async fn patience_may_be_endless() {
    let script = Script::new();
    script.list(Reply::list("10", &[config_map("a", 1)]));
    let lines = script.watching();
    let (ever, timeouts) = (Duration::MAX, Timeouts::default());
    let options = CacheOptions::default()
        .timeouts(timeouts.answer(ever).silence(ever).list(ever).idle(ever).overtime(ever));
    let informer = script.factory(options).informer::<ConfigMap>().unwrap();
    informer.wait_for_sync().await.unwrap();
    settle().await;
    lines.event("ADDED", config_map("b", 2));
    settle().await;
    assert_eq!(names(&informer), ["a@1", "b@2"]);
}
