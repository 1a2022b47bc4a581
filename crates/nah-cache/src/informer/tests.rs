//! What an informer waits for, tells of itself, and leaves behind.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::FutureExt;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use nah_core::{DynamicObject, Object, PartialObjectMeta, ResourceVersion};

use super::Informer;
use crate::{
    CacheError, Extract, ListOptions,
    driver::{Tasks, tasks},
    options::CacheOptions,
    status::Health,
    store::{
        Store,
        tests::{delete, list, list_in, on, pod, put, store, store_of, with},
    },
};

/// An informer over `store` whose tasks run.
pub(crate) fn informer(store: &Arc<Store>) -> (Informer, Tasks) {
    let (tasks, driver) = tasks();
    tokio::spawn(driver.run());
    (Informer::new(store.clone(), Arc::default(), tasks.clone()), tasks)
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_the_sync_ends_with_the_first_list() // G13, G19, B15
{
    let store = store();
    let (informer, _tasks) = informer(&store);
    let waiting = tokio::spawn(informer.wait_for_sync());
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished() && !informer.has_synced());
    let before = tokio::time::Instant::now();
    list(&store, 1, &[]);
    waiting.await.expect("no panic").expect("not stopped");
    assert_eq!(before.elapsed(), Duration::ZERO, "nobody polls");
    assert!(informer.has_synced());
    informer.wait_for_sync().now_or_never().expect("at once").expect("synced");
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_the_sync_ends_with_the_stop() // B20, G13
{
    let store = store();
    let (informer, _tasks) = informer(&store);
    let waiting = tokio::spawn(informer.wait_for_sync());
    tokio::task::yield_now().await;
    store.close();
    assert!(matches!(waiting.await.expect("no panic"), Err(CacheError::Stopped)));
    assert!(matches!(informer.list(&ListOptions::default()), Err(CacheError::Stopped)));
    assert!(matches!(informer.add_event_handler(drop), Err(CacheError::Stopped)));
    assert!(matches!(informer.add_index("x", Extract::Path("x".into())), Err(CacheError::Stopped)));
}

#[tokio::test(start_paused = true)]
async fn a_version_is_waited_for() // A15, G19
{
    let store = store();
    let (informer, _tasks) = informer(&store);
    let waiting = tokio::spawn(informer.wait_until_observed(&ResourceVersion::from(12)));
    list(&store, 10, &[]);
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    put(&store, &pod("a/x", "1", 11));
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    store.bookmark(None, ResourceVersion::from(12));
    waiting.await.expect("no panic").expect("not stopped");
    let past = informer.wait_until_observed(&ResourceVersion::from(9));
    past.now_or_never().expect("at once").expect("observed");
}

#[tokio::test(start_paused = true)]
async fn a_version_is_waited_for_in_one_namespace() // A15
{
    let store = store_of(&[Some("a"), Some("b")]);
    let (informer, _tasks) = informer(&store);
    let waiting = tokio::spawn(informer.wait_until_observed_in(Some("a"), &ResourceVersion::from(10)));
    list_in(&store, Some("b"), 11, &[]);
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    list_in(&store, Some("a"), 10, &[]);
    waiting.await.expect("no panic").expect("not stopped");
    let foreign = informer.wait_until_observed_in(Some("c"), &ResourceVersion::from(1));
    let error = foreign.now_or_never().expect("at once").expect_err("no such scope");
    assert!(matches!(error, CacheError::OutsideScope { namespace, .. } if namespace == "c"));
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_no_number_shows_in_the_status() // F42
{
    let store = store();
    let (informer, _tasks) = informer(&store);
    informer.shared.health.add(&None);
    list(&store, 10, &[]);
    assert!(!informer.status().unordered);
    store.bookmark(None, "abc".into());
    assert!(informer.status().unordered);
}

#[tokio::test(start_paused = true)]
async fn one_store_is_read_as_every_representation() // Q45, F26
{
    let store = store();
    let (informer, _tasks) = informer(&store);
    list(&store, 1, &[on("n1", pod("a/x", "1", 1))]);
    let key = ("a", "x").into();
    let typed = informer.clone().typed::<Pod>().get(&key).expect("a Pod").expect("there");
    assert_eq!(typed.spec.as_ref().and_then(|spec| spec.node_name.as_deref()), Some("n1"));
    let dynamic = informer.clone().typed::<DynamicObject>().get(&key).expect("an object").expect("there");
    assert_eq!(dynamic.data["spec"]["nodeName"], "n1");
    let meta =
        informer.clone().typed::<PartialObjectMeta<Pod>>().get(&key).expect("metadata").expect("there");
    assert_eq!(meta.metadata.name.as_deref(), Some("x"));
    assert!(Arc::ptr_eq(&typed, &informer.clone().typed::<Pod>().get(&key).expect("a Pod").expect("there")));
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_no_config_map() // F49
{
    let store = store();
    let (informer, _tasks) = informer(&store);
    list(&store, 1, &[pod("a/x", "1", 1)]);
    let error = informer.clone().typed::<ConfigMap>().get(&("a", "x").into()).expect_err("a Pod");
    assert!(matches!(error, CacheError::Decode(_)), "{error}");
    assert!(error.to_string().starts_with("cannot decode Pod a/x"), "{error}");
    let listed = informer.typed::<ConfigMap>().list(&ListOptions::default()).expect("synced");
    assert_eq!((listed.len(), listed.decoded().count()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn one_bad_object_hides_no_other() // C19
{
    let store = store();
    let (informer, _tasks) = informer(&store);
    list(
        &store,
        1,
        &[pod("a/1", "1", 1), with(pod("a/2", "2", 1), "/spec/containers", 7), pod("a/3", "3", 1)],
    );
    let pods = informer.typed::<Pod>().list(&ListOptions::default()).expect("synced");
    assert_eq!(pods.decoded().count(), 2);
    let bad = pods.into_iter().find_map(Result::err).expect("one is bad");
    assert_eq!((bad.key.to_string().as_str(), bad.path.as_deref()), ("a/2", Some("spec.containers")));
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_watch_explains_why_nothing_is_known() // C6, G14
{
    let store = store();
    let health = Arc::new(Health::default());
    let informer = Informer::new(store, health.clone(), tasks().0);
    health.failed(&None, crate::ScopeState::Waiting, "pods is forbidden".into());
    let error = informer.list(&ListOptions::default()).expect_err("not synced");
    assert_eq!(error.to_string(), "Pod is not synced yet: pods is forbidden");
    assert_eq!(informer.status().last_error.as_deref(), Some("pods is forbidden"));
}

#[tokio::test(start_paused = true)]
async fn the_status_tells_sizes_versions_and_namespaces() // C18, A15
{
    let one = store();
    let (informer, _tasks) = informer(&one);
    assert!(!informer.status().synced);
    list(&one, 7, &[pod("a/x", "1", 1), pod("a/y", "2", 1)]);
    let status = informer.status();
    assert!(status.synced && status.bytes > 0);
    assert_eq!((status.gvk.kind.as_str(), status.objects, status.namespace), ("Pod", 2, None));
    assert_eq!(status.observed, Some(ResourceVersion::from(7)));

    let two = store_of(&[Some("a"), Some("b")]);
    let (informer, _tasks) = self::informer(&two);
    list_in(&two, Some("a"), 7, &[]);
    list_in(&two, Some("b"), 8, &[]);
    assert_eq!((informer.status().namespace, informer.status().observed), (None, None));
    two.remove_scope(Some("b"));
    assert_eq!(informer.status().namespace.as_deref(), Some("a"));
    assert_eq!(informer.status().observed, Some(ResourceVersion::from(7)));
}

#[tokio::test(start_paused = true)]
async fn a_large_kind_is_indexed_by_a_task() // A10, F17
{
    let store = store();
    let (informer, _tasks) = informer(&store);
    let pods: Vec<_> = (0..5000).map(|n| on("n1", pod(&format!("a/{n}"), "u", 1))).collect();
    list(&store, 1, &pods);
    informer.add_index("spec.nodeName", Extract::Path("spec.nodeName".into())).expect("a new index");
    let by_node = ListOptions::default().matching_field("spec.nodeName", "n1");
    assert!(matches!(informer.list(&by_node), Err(CacheError::NotSynced { .. })));
    put(&store, &on("n2", pod("a/4999", "u", 2)));
    informer.wait_for_sync().await.expect("not stopped");
    assert_eq!(informer.list(&by_node).expect("whole").len(), 4999);
}

#[tokio::test(start_paused = true)]
async fn a_small_kind_is_indexed_at_once() // A10, F17
{
    let store = store();
    let informer = Informer::new(store.clone(), Arc::default(), tasks().0);
    list(&store, 1, &[on("n1", pod("a/x", "1", 1))]);
    informer.add_index("spec.nodeName", Extract::Path("spec.nodeName".into())).expect("a new index");
    assert_eq!(informer.index_values("spec.nodeName").expect("whole"), ["n1"]);
}

#[tokio::test(start_paused = true)]
async fn an_index_waits_for_a_list_that_is_taken_in_but_not_who_asks_for_it() // A10
{
    let store = store();
    let (informer, _tasks) = informer(&store);
    list(&store, 1, &[on("n1", pod("a/x", "1", 1))]);
    let turn = store.turn().await;
    informer.add_index("spec.nodeName", Extract::Path("spec.nodeName".into())).expect("a new index");
    tokio::task::yield_now().await;
    assert!(informer.index_values("spec.nodeName").is_err());
    drop(turn);
    informer.wait_for_sync().await.expect("not stopped");
    assert_eq!(informer.index_values("spec.nodeName").expect("whole"), ["n1"]);
}

#[tokio::test(start_paused = true)]
async fn an_end_drops_extractors_and_objects() // E29
{
    let store = store();
    let (informer, _tasks) = informer(&store);
    let held = Arc::new(());
    let captured = held.clone();
    let extract = move |_: &Object| {
        let _ = &captured;
        Ok(vec![])
    };
    informer.add_index("x", Extract::Object(Arc::new(extract))).expect("a new index");
    list(&store, 1, &[pod("a/x", "1", 1)]);
    assert_eq!(Arc::strong_count(&held), 2);
    store.close();
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn readers_never_see_half_of_a_list() // A4, A5
{
    let store = store();
    let generation = |n: u64| -> Vec<_> {
        (0..300).map(|at| on(&format!("n{n}"), pod(&format!("a/{at}"), "u", n))).collect()
    };
    store.add_index("node", Extract::Path("spec.nodeName".into())).expect("a new index");
    list(&store, 1, &generation(1));
    let done = Arc::new(AtomicBool::new(false));
    let informer = Informer::new(store.clone(), Arc::default(), tasks().0);
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (informer, done) = (informer.clone(), done.clone());
            std::thread::spawn(move || {
                while !done.load(Relaxed) {
                    let all = informer.list(&ListOptions::default()).expect("synced");
                    let mut versions: Vec<_> =
                        all.handles().map(|object| object.resource_version().cloned()).collect();
                    versions.dedup();
                    assert_eq!((all.len(), versions.len()), (300, 1));
                    let found: usize = informer
                        .index_values("node")
                        .expect("an index")
                        .iter()
                        .map(|node| informer.list(&ListOptions::default().matching_field("node", node)))
                        .map(|list| list.expect("an index").len())
                        .sum();
                    assert!(found == 300 || found == 0, "{found}");
                }
            })
        })
        .collect();
    for n in 2..60 {
        list(&store, n, &generation(n));
    }
    done.store(true, Relaxed);
    readers.into_iter().for_each(|reader| reader.join().expect("no half list"));
}

#[test]
fn readers_and_writers_never_block_each_other_for_good() // B19
{
    let store = store();
    list(&store, 1, &[]);
    let seen = Arc::new(Mutex::new(0));
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (store, seen) = (&store, &seen);
            scope.spawn(move || {
                for n in 0..300u64 {
                    let key = format!("a/{}", (n + thread) % 7);
                    put(store, &on("n", pod(&key, &format!("{thread}-{n}"), n + 2)));
                    if n % 50 == 0 {
                        let path = Extract::Path("spec.nodeName".into());
                        let build = store.add_index(&format!("f{thread}-{n}"), path).expect("a new index");
                        build.into_iter().for_each(|mut build| while !build.step(1) {});
                    }
                    let _ = store.list(&ListOptions::default().matching_labels([("a", "b")]));
                    let subscription = crate::Subscription::<Object>::new(store.clone()).expect("open");
                    if n % 3 == 0 {
                        delete(store, &pod(&key, "u", n + 3));
                    }
                    drop(subscription);
                    *seen.lock().expect("no panic") += 1;
                }
            });
        }
    });
    assert_eq!(*seen.lock().expect("no panic"), 900);
    assert!(store.size().0 <= 7);
}

#[test]
fn the_options_default_keeps_a_small_kind_hot() // F8
{
    assert!(CacheOptions::default().hot_bytes >= 16 << 20);
}
