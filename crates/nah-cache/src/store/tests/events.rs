//! What subscribers are told.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{StreamExt, task::noop_waker_ref};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};

use super::*;
use crate::{CacheError, subscription::Backlog};

const NOTHING: [&str; 0] = [];

fn waiting(subscription: &Subscription) -> usize {
    Backlog::len(subscription.backlog()).0
}

#[test]
fn the_first_list_comes_as_initial_adds() // B1
{
    let store = store();
    let mut early = subscribe(&store);
    assert!(!early.has_synced());
    list(&store, 1, &[pod("a/x", "1", 1), pod("a/y", "2", 1)]);
    assert!(!early.has_synced());
    assert_eq!(told(&mut early), ["+a/x@1", "+a/y@1"]);
    assert!(early.has_synced());
    put(&store, &pod("a/z", "3", 2));
    assert_eq!(told(&mut early), ["+a/z@2 later"]);
}

#[test]
fn an_empty_first_list_tells_nothing_and_syncs() // B1
{
    let store = store();
    let mut early = subscribe(&store);
    list(&store, 1, &[]);
    assert!(early.has_synced());
    assert_eq!(told(&mut early), NOTHING);
    list(&store, 2, &[pod("a/x", "1", 1)]);
    assert_eq!(told(&mut early), ["+a/x@1 later"]);
}

#[test]
fn an_update_has_what_was_and_what_is() // B2
{
    let store = store();
    let mut events = subscribe(&store);
    list(&store, 1, &[pod("a/x", "1", 1)]);
    told(&mut events);
    put(&store, &pod("a/x", "1", 2));
    assert_eq!(told(&mut events), ["a/x 1>2"]);
}

#[test]
fn the_store_decides_between_add_and_update() // B3
{
    let store = store();
    list(&store, 1, &[]);
    let mut events = subscribe(&store);
    put(&store, &pod("a/x", "1", 2));
    assert_eq!(told(&mut events), ["+a/x@2 later"]);
    put(&store, &pod("a/x", "1", 3));
    assert_eq!(told(&mut events), ["a/x 2>3"]);
}

#[test]
fn a_deletion_has_the_final_state() // B4
{
    let store = store();
    list(&store, 1, &[pod("a/x", "1", 1)]);
    let mut events = subscribe(&store);
    told(&mut events);
    delete(&store, &pod("a/x", "1", 7));
    assert_eq!(told(&mut events), ["-a/x@7"]);
}

#[test]
fn deleting_an_unknown_key_tells_nobody() // B5, Q55
{
    let store = store();
    list(&store, 1, &[]);
    let mut events = subscribe(&store);
    delete(&store, &pod("a/x", "1", 7));
    assert_eq!(told(&mut events), NOTHING);
}

#[test]
fn a_read_shows_what_an_event_told() // B6
{
    let store = store();
    list(&store, 1, &[]);
    let mut events = subscribe(&store);
    put(&store, &pod("a/x", "1", 2));
    assert_eq!(told(&mut events).len(), 1);
    assert!(store.holds(&("a", "x").into(), Some("1"), Some("2")));
}

#[test]
fn a_relist_tells_deletions_first_and_only_what_changed() // B7, B8, B27
{
    let store = store();
    list(&store, 1, &[pod("a/1", "1", 1), pod("a/2", "2", 1), pod("a/3", "3", 1), pod("a/9", "9", 1)]);
    let mut events = subscribe(&store);
    told(&mut events);
    list(&store, 5, &[pod("a/1", "1", 1), pod("a/2", "2", 4), pod("a/0", "0", 5), pod("a/4", "4", 5)]);
    assert_eq!(
        told(&mut events),
        ["-a/3@1 tombstone", "-a/9@1 tombstone", "a/2 1>4", "+a/0@5 later", "+a/4@5 later",]
    );
    list(&store, 6, &[pod("a/1", "1", 1), pod("a/2", "2", 4), pod("a/0", "0", 5), pod("a/4", "4", 5)]);
    assert_eq!(told(&mut events), NOTHING);
}

#[test]
fn a_repeated_event_is_silent() // B27
{
    let store = store();
    list(&store, 1, &[pod("a/x", "1", 1)]);
    let mut events = subscribe(&store);
    told(&mut events);
    put(&store, &pod("a/x", "1", 1));
    assert_eq!(told(&mut events), NOTHING);
    // A restored backup may give a version again, to something else.
    put(&store, &with(pod("a/x", "1", 1), "/spec/v", 2));
    assert_eq!(told(&mut events), ["a/x 1>1"]);
}

#[test]
fn a_changed_uid_is_an_end_and_a_beginning() // B9, Q52
{
    let store = store();
    list(&store, 1, &[pod("a/x", "1", 1), pod("a/y", "2", 1)]);
    let mut events = subscribe(&store);
    told(&mut events);
    put(&store, &pod("a/x", "11", 5));
    assert_eq!(told(&mut events), ["-a/x@1 tombstone", "+a/x@5 later"]);
    list(&store, 9, &[pod("a/x", "11", 5), pod("a/y", "22", 8)]);
    assert_eq!(told(&mut events), ["-a/y@1 tombstone", "+a/y@8 later"]);
}

#[test]
fn a_late_subscriber_gets_a_snapshot_and_then_everything() // B13
{
    let store = store();
    list(&store, 1, &[pod("a/x", "1", 1), pod("a/y", "2", 1)]);
    let mut first = subscribe(&store);
    assert_eq!(told(&mut first), ["+a/x@1", "+a/y@1"]);
    put(&store, &pod("a/x", "1", 2));
    let mut late = subscribe(&store);
    put(&store, &pod("a/z", "3", 3));
    assert_eq!(told(&mut late), ["+a/x@2", "+a/y@1", "+a/z@3 later"]);
    assert_eq!(told(&mut first), ["a/x 1>2", "+a/z@3 later"], "and nobody else notices");
}

#[test]
fn what_changes_ahead_of_the_snapshot_is_told_once() // B13
{
    let store = store();
    list(&store, 1, &[pod("a/1", "1", 1), pod("a/2", "2", 1), pod("a/3", "3", 1), pod("a/4", "4", 1)]);
    let mut late = subscribe(&store);
    assert_eq!(text(&late.next().now_or_never().expect("ready").expect("open").expect("decoded")), "+a/1@1");
    put(&store, &pod("a/1", "1", 5));
    put(&store, &pod("a/2", "2", 5));
    delete(&store, &pod("a/3", "3", 5));
    delete(&store, &pod("a/4", "4", 5));
    put(&store, &pod("a/4", "44", 6));
    put(&store, &pod("a/0", "0", 7));
    assert_eq!(told(&mut late), ["+a/2@5", "a/1 1>5", "+a/4@6 later", "+a/0@7 later"]);
    assert!(late.has_synced());
}

#[test]
fn updates_of_a_lagging_reader_merge() // B12, B26, Q49
{
    let store = store();
    list(&store, 1, &[pod("a/x", "1", 1)]);
    let mut events = subscribe(&store);
    told(&mut events);
    for version in 2..100 {
        put(&store, &pod("a/x", "1", version));
    }
    assert_eq!(waiting(&events), 1);
    assert_eq!(told(&mut events), ["a/x 1>99"]);
}

#[test]
fn what_came_and_went_unseen_is_never_mentioned() // B12, Q49
{
    let store = store();
    list(&store, 1, &[]);
    let mut events = subscribe(&store);
    for n in 0..1000 {
        put(&store, &pod(&format!("a/x{n}"), "1", n + 2));
        delete(&store, &pod(&format!("a/x{n}"), "1", n + 3));
    }
    assert_eq!(waiting(&events), 0);
    assert_eq!(told(&mut events), NOTHING);
}

#[test]
fn of_several_lives_under_one_key_only_the_shown_one_ends() // B12
{
    let store = store();
    list(&store, 1, &[pod("a/x", "1", 1)]);
    let mut events = subscribe(&store);
    told(&mut events);
    delete(&store, &pod("a/x", "1", 2));
    for n in 3..10 {
        put(&store, &pod("a/x", &n.to_string(), 10 * n));
        delete(&store, &pod("a/x", &n.to_string(), 10 * n + 1));
    }
    put(&store, &pod("a/x", "10", 100));
    assert_eq!(waiting(&events), 1);
    assert_eq!(told(&mut events), ["-a/x@2", "+a/x@100 later"]);
    delete(&store, &pod("a/x", "10", 101));
    put(&store, &pod("a/x", "11", 102));
    delete(&store, &pod("a/x", "11", 103));
    assert_eq!(told(&mut events), ["-a/x@101"]);
}

#[test]
fn what_left_and_came_back_lives() // B12, C26
{
    let store = store();
    list(&store, 1, &[pod("a/x", "1", 1)]);
    let mut events = subscribe(&store);
    told(&mut events);
    delete(&store, &pod("a/x", "1", 2));
    put(&store, &pod("a/x", "1", 3));
    assert_eq!(told(&mut events), ["a/x 1>3"]);
}

#[test]
fn keys_come_in_the_order_of_their_first_change() // B10
{
    let store = store();
    list(&store, 1, &[pod("a/x", "1", 1)]);
    let mut events = subscribe(&store);
    told(&mut events);
    put(&store, &pod("a/z", "3", 2));
    put(&store, &pod("a/x", "1", 3));
    put(&store, &pod("a/y", "2", 4));
    put(&store, &pod("a/z", "3", 5));
    assert_eq!(told(&mut events), ["+a/z@5 later", "a/x 1>3", "+a/y@4 later"]);
}

#[test]
fn a_reader_that_never_reads_delays_nobody() // B11
{
    let store = store();
    let _stuck = subscribe(&store);
    let mut events = subscribe(&store);
    list(&store, 1, &[]);
    for version in 2..1000 {
        put(&store, &pod("a/x", "1", version));
        assert_eq!(told(&mut events).len(), 1);
    }
}

#[test]
fn a_dropped_subscription_leaves_nothing_behind() // B18
{
    let store = store();
    list(&store, 1, &[pod("a/x", "1", 1)]);
    let events = subscribe(&store);
    let backlog = Arc::downgrade(events.backlog());
    assert_eq!(store.writer.lock().subscribers.len(), 1);
    // Somebody holds it, as a task does that is about to be told: there is nothing in it any more.
    let held = backlog.upgrade().expect("it is subscribed");
    drop(events);
    assert_eq!(store.writer.lock().subscribers.len(), 0);
    let context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(matches!(held.poll(&context), std::task::Poll::Ready(None)));
    drop(held);
    assert!(backlog.upgrade().is_none());
}

#[test]
fn the_end_of_the_store_ends_its_subscriptions() // B30
{
    let store = store();
    list(&store, 1, &[pod("a/x", "1", 1)]);
    let mut events = subscribe(&store);
    store.close();
    assert!(matches!(events.next().now_or_never(), Some(None)));
    assert!(matches!(events.next().now_or_never(), Some(None)));
    assert!(matches!(Subscription::<Pod>::new(store), Err(CacheError::Stopped)));
}

#[test]
fn an_object_that_does_not_decode_ends_nothing() // C19
{
    let store = store();
    list(
        &store,
        1,
        &[pod("a/1", "1", 1), with(pod("a/2", "2", 1), "/spec/containers", 7), pod("a/3", "3", 1)],
    );
    let mut pods = Subscription::<Pod>::new(store.clone()).expect("open");
    let names: Vec<_> = std::iter::from_fn(|| pods.next().now_or_never().flatten())
        .map(|event| match event {
            Ok(Event::Added { object, .. }) => object.metadata.name.clone().expect("a name"),
            Ok(other) => panic!("{other:?}"),
            Err(error) => format!("{} {:?}", error.key, error.path),
        })
        .collect();
    assert_eq!(names, ["1", "a/2 Some(\"spec.containers\")", "3"]);
    let mut others = Subscription::<ConfigMap>::new(store).expect("open");
    assert!(matches!(others.next().now_or_never(), Some(Some(Err(_)))), "a Pod is no ConfigMap");
}

#[test]
fn a_sleeping_reader_is_woken_by_a_change_and_by_the_sync() // B11, G19, Q47
{
    struct Count(AtomicUsize);
    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let waker = count.clone().into();
    let mut context = std::task::Context::from_waker(&waker);
    let store = store();
    let mut events = subscribe(&store);
    assert!(events.poll_next_unpin(&mut context).is_pending());
    list(&store, 1, &[]);
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert!(events.poll_next_unpin(&mut context).is_pending());
    put(&store, &pod("a/x", "1", 1));
    put(&store, &pod("a/x", "1", 2));
    assert_eq!(count.0.load(Ordering::Relaxed), 2, "one wake is enough for any number of changes");
    assert!(events.poll_next_unpin(&mut context).is_ready());
    assert!(events.poll_next_unpin(&mut context).is_pending());
    store.close();
    assert_eq!(count.0.load(Ordering::Relaxed), 3);
    let mut context = std::task::Context::from_waker(noop_waker_ref());
    assert!(events.poll_next_unpin(&mut context).is_ready());
}

#[test]
fn a_second_namespace_syncs_a_subscription() // B14, C27
{
    let store = store_of(&[Some("a"), Some("b")]);
    let mut events = subscribe(&store);
    list_in(&store, Some("a"), 1, &[pod("a/x", "1", 1)]);
    assert_eq!(told(&mut events), ["+a/x@1"]);
    assert!(!events.has_synced());
    list_in(&store, Some("b"), 1, &[pod("b/x", "2", 1)]);
    assert!(!events.has_synced());
    store.apply(Some("a"), Seen::Upsert(arrived(&store, &pod("a/y", "3", 2))));
    assert_eq!(told(&mut events), ["+b/x@1", "+a/y@2 later"]);
    assert!(events.has_synced());
}

#[test]
fn events_print_no_content() // B31
{
    let store = store();
    list(&store, 1, &[with(pod("a/x", "1", 1), "/data/password", "hunter2")]);
    let mut events = subscribe(&store);
    put(&store, &with(pod("a/x", "1", 2), "/data/password", "hunter3"));
    delete(&store, &pod("a/y", "1", 2));
    let printed = format!("{:?} {events:?} {store:?}", ready(&mut events));
    assert!(!printed.contains("hunter"), "{printed}");
}

#[test]
fn a_filter_turns_updates_into_beginnings_and_ends() // B29
{
    let store = store();
    list(&store, 1, &[on("n1", pod("a/x", "1", 1)), on("n2", pod("a/y", "2", 1))]);
    let here = |object: &Object| {
        let path = crate::index::path::Path::parse("spec.nodeName").expect("a path");
        path.values(&object.json().expect("JSON")).expect("JSON").contains(&"n1".to_owned())
    };
    let mut events = subscribe(&store).filtered(here);
    let mut told = || -> Vec<String> {
        std::iter::from_fn(|| events.next().now_or_never().flatten())
            .map(|event| text(&event.expect("a handle needs no decode")))
            .collect()
    };
    assert_eq!(told(), ["+a/x@1"]);
    put(&store, &on("n1", pod("a/x", "1", 2)));
    assert_eq!(told(), ["a/x 1>2"]);
    put(&store, &on("n2", pod("a/y", "2", 3)));
    assert_eq!(told(), NOTHING);
    put(&store, &on("n1", pod("a/y", "2", 4)));
    put(&store, &on("n2", pod("a/x", "1", 5)));
    assert_eq!(told(), ["+a/y@4 later", "-a/x@2 tombstone"]);
    delete(&store, &on("n2", pod("a/x", "1", 6)));
    assert_eq!(told(), NOTHING);
    // The final state passes no more, but the object was shown: its end is told.
    delete(&store, &on("n2", pod("a/y", "2", 7)));
    assert_eq!(told(), ["-a/y@7"]);
}
