//! Histories that go backwards, refreshes, and who keeps step.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::ConfigMap;
use nah_cache::{Applied, CacheFactoryExt, CacheOptions, Informer, Observer, Timeouts};
use nah_core::Kind;
use parking_lot::Mutex;
use serde_json::json;

use super::{Watching, told};
use crate::script::{Lines, Reply, Script, config_map, object, settle};

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
async fn notices_a_restored_backup_although_the_version_stands_behind_the_items() // C4
{
    let (script, informer, lines, log) = observed().await;
    lines.event("MODIFIED", config_map("a", 50));
    settle().await;
    log.take();
    let mut other = config_map("b", 2);
    other["data"]["version"] = json!("other");
    (0..2).for_each(|_| script.list(Reply::list("20", &[other.clone()]).sorted()));
    lines.error(410, "Expired");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(log.take(), ["list @20 -[n/a] backwards of 1"]);
    assert_eq!(script.list_versions(), [Some("0".into()), Some("50".into()), None]);
    let held = informer.get(&("n", "b").into()).unwrap().unwrap();
    assert_eq!(held.data.as_ref().unwrap()["version"], "other");
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

#[tokio::test(start_paused = true)]
async fn an_object_whose_fields_stand_in_another_order_is_the_same() // B27
{
    let Watching { script, informer, lines, .. } = Watching::new().await;
    let mut subscription = informer.subscribe().unwrap();
    assert_eq!(told(&mut subscription), ["+a", "+b"]);
    // Events have apiVersion and kind, between other fields, where items of a list have none.
    lines.event("MODIFIED", config_map("a", 11));
    settle().await;
    assert_eq!(told(&mut subscription), ["~a"]);
    script.list(Reply::list("20", &[config_map("a", 11), config_map("b", 2)]));
    let next = script.watching();
    informer.refresh();
    settle().await;
    next.event("MODIFIED", config_map("b", 2));
    next.bookmark(21, json!({}));
    settle().await;
    assert_eq!(informer.observed(None), Some(21.into()));
    assert_eq!(told(&mut subscription), [""; 0]);
}
