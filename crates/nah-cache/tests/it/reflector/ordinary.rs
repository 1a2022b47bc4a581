//! The ordinary way: a list, then a watch.

use k8s_openapi::api::core::v1::ConfigMap;
use nah_cache::{CacheFactoryExt, CacheOptions, ListOptions};

use super::{Watching, names};
use crate::script::{Reply, Script, config_map, settle};

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
