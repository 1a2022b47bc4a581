//! Handlers: order, sync, removal, panics.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    time::Duration,
};

use futures_util::FutureExt;
use k8s_openapi::api::core::v1::Pod;
use nah_core::Object;
use tokio::{task::yield_now, time::sleep};

use crate::{
    CacheError, Event, HandlerOptions,
    driver::tasks,
    informer::{Informer, tests::informer},
    store::tests::{delete, list, pod, put, store, text, with},
};

const NOTHING: [&str; 0] = [];

/// A handler that writes down what it is told, and what it was told so far.
fn recorder() -> (impl FnMut(Event) + Send + 'static, impl Fn() -> Vec<String>) {
    let (told, heard) = mpsc::channel();
    (move |event| told.send(text(&event)).expect("the test reads"), move || heard.try_iter().collect())
}

/// Lets every task that can run, run.
async fn settle() {
    for _ in 0..100 {
        yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_is_told_in_the_stores_order() // B10, B1, B2, B4
{
    let store = store();
    let (informer, _tasks) = informer(&store);
    let (handler, heard) = recorder();
    let registration = informer.add_event_handler(handler).expect("running");
    list(&store, 1, &[pod("a/x", "1", 1)]);
    settle().await;
    put(&store, &pod("a/y", "2", 2));
    settle().await;
    put(&store, &pod("a/x", "1", 3));
    delete(&store, &pod("a/y", "2", 4));
    settle().await;
    assert_eq!(heard(), ["+a/x@1", "+a/y@2 later", "a/x 1>3", "-a/y@4"]);
    assert!(registration.has_synced());
}

#[tokio::test(start_paused = true)]
async fn a_registration_is_synced_when_the_handler_has_returned() // B14
{
    let store = store();
    let (informer, _tasks) = informer(&store);
    list(&store, 1, &[pod("a/x", "1", 1), pod("a/y", "2", 1)]);
    let (told, heard) = mpsc::channel();
    let (synced, state) = mpsc::channel::<super::HandlerRegistration>();
    let handler = move |_: Event| {
        let registration = state.try_iter().last();
        told.send(registration.map(|registration| registration.has_synced())).expect("the test reads");
    };
    let registration = informer.add_event_handler(handler).expect("running");
    assert!(!registration.has_synced(), "the adds are pending");
    synced.send(registration.clone()).expect("the handler reads");
    registration.wait_for_sync().await;
    assert!(registration.has_synced());
    assert_eq!(heard.try_iter().collect::<Vec<_>>(), [Some(false), None]);
}

#[tokio::test(start_paused = true)]
async fn a_registration_on_an_empty_kind_is_synced_by_the_list() // B14, B1
{
    let store = store();
    let (informer, _tasks) = informer(&store);
    let (handler, heard) = recorder();
    let registration = informer.add_event_handler(handler).expect("running");
    settle().await;
    assert!(!registration.has_synced());
    list(&store, 1, &[]);
    registration.wait_for_sync().await;
    assert!(registration.has_synced());
    assert_eq!(heard(), NOTHING);
}

#[tokio::test(start_paused = true)]
async fn two_handlers_are_independent() // B16
{
    let store = store();
    let (informer, _tasks) = informer(&store);
    list(&store, 1, &[]);
    let ((first, first_heard), (second, second_heard)) = (recorder(), recorder());
    let first = informer.add_event_handler(first).expect("running");
    let _second = informer.add_event_handler(second).expect("running");
    put(&store, &pod("a/x", "1", 2));
    settle().await;
    first.remove();
    put(&store, &pod("a/x", "1", 3));
    settle().await;
    assert_eq!(first_heard(), ["+a/x@2 later"]);
    assert_eq!(second_heard(), ["+a/x@2 later", "a/x 2>3"]);
}

#[tokio::test(start_paused = true)]
async fn removal_discards_the_backlog() // B18
{
    let store = store();
    let (informer, _tasks) = informer(&store);
    list(&store, 1, &[pod("a/x", "1", 1)]);
    let (handler, heard) = recorder();
    let registration = informer.add_event_handler(handler).expect("running");
    registration.clone().remove_and_wait().await;
    assert_eq!(heard(), NOTHING);
    assert!(!registration.has_synced());
    registration.wait_for_sync().now_or_never().expect("a handler that ended is not waited for");
}

#[tokio::test(start_paused = true)]
async fn removal_is_idempotent_and_a_no_op_after_the_end() // B17
{
    let store = store();
    let (informer, tasks) = informer(&store);
    let registration = informer.add_event_handler(drop::<Event>).expect("running");
    registration.clone().remove();
    registration.clone().remove();
    registration.clone().remove_and_wait().await;
    let late = informer.add_event_handler(drop::<Event>).expect("running");
    store.close();
    tasks.stop();
    late.clone().remove();
    late.remove_and_wait().await;
}

#[tokio::test(start_paused = true)]
async fn an_awaited_removal_drops_the_handler() // B18, E29
{
    let store = store();
    let (informer, _tasks) = informer(&store);
    let held = Arc::new(());
    let captured = held.clone();
    let registration = informer.add_event_handler(move |_: Event| _ = &captured).expect("running");
    settle().await;
    assert_eq!(Arc::strong_count(&held), 2);
    registration.remove_and_wait().await;
    assert_eq!(Arc::strong_count(&held), 1);
    assert_eq!(Arc::strong_count(&store), 2, "the test's and the informer's");
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_remove_itself() // B18
{
    let store = store();
    let (informer, _tasks) = informer(&store);
    list(&store, 1, &[]);
    let (own, registered) = mpsc::channel::<super::HandlerRegistration>();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let handler = move |_: Event| {
        counted.fetch_add(1, Relaxed);
        registered.try_iter().for_each(super::HandlerRegistration::remove);
    };
    own.send(informer.add_event_handler(handler).expect("running")).expect("the handler reads");
    put(&store, &pod("a/x", "1", 2));
    put(&store, &pod("a/y", "2", 3));
    settle().await;
    assert_eq!(count.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_registration_changes_nothing() // B17
{
    let store = store();
    let (informer, _tasks) = informer(&store);
    list(&store, 1, &[]);
    let (handler, heard) = recorder();
    drop(informer.add_event_handler(handler).expect("running"));
    put(&store, &pod("a/x", "1", 2));
    settle().await;
    assert_eq!(heard(), ["+a/x@2 later"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_skips_one_event_and_ends_nothing() // B23, B24, Q50
{
    let store = store();
    let (informer, _tasks) = informer(&store);
    let (mut record, heard) = recorder();
    let (other, other_heard) = recorder();
    let moody = move |event: Event| {
        assert!(event.key().name() != "bad", "the handler's own mistake");
        record(event);
    };
    let registration = informer.add_event_handler(moody).expect("running");
    let _other = informer.add_event_handler(other).expect("running");
    list(&store, 1, &[pod("a/bad", "1", 1), pod("a/good", "2", 1)]);
    registration.wait_for_sync().await;
    assert!(registration.has_synced(), "the add that panicked counts as told");
    put(&store, &pod("a/bad", "1", 2));
    settle().await;
    put(&store, &pod("a/good", "2", 3));
    settle().await;
    assert_eq!(heard(), ["+a/good@1", "a/good 1>3"]);
    assert_eq!(other_heard(), ["+a/bad@1", "+a/good@1", "a/bad 1>2", "a/good 1>3"]);
}

#[tokio::test(start_paused = true)]
async fn a_typed_handler_is_spared_what_does_not_decode() // C19
{
    let store = store();
    let (informer, _tasks) = informer(&store);
    let (told, heard) = mpsc::channel();
    let handler = move |event: Event<Pod>| {
        if let Event::Added { object, .. } = event {
            told.send(object.metadata.name.clone()).expect("the test reads");
        }
    };
    let registration = informer.typed::<Pod>().add_event_handler(handler).expect("running");
    list(&store, 1, &[with(pod("a/bad", "1", 1), "/spec", 7), pod("a/good", "2", 1)]);
    registration.wait_for_sync().await;
    assert_eq!(heard.try_iter().collect::<Vec<_>>(), [Some("good".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn handlers_end_with_the_store() // B30, B20
{
    let store = store();
    let (informer, tasks) = informer(&store);
    let (handler, heard) = recorder();
    let registration = informer.add_event_handler(handler).expect("running");
    list(&store, 1, &[pod("a/x", "1", 1)]);
    store.close();
    registration.clone().remove_and_wait().await;
    assert_eq!(heard(), NOTHING, "what was not told is dropped");
    tasks.stop();
    assert!(matches!(informer.add_event_handler(drop::<Event>), Err(CacheError::Stopped)));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_asks_for_it_is_shown_everything_again() // B25, B26, B27
{
    let store = store();
    let (informer, _tasks) = informer(&store);
    let ((handler, heard), (other, other_heard)) = (recorder(), recorder());
    let minute = HandlerOptions::default().resync(Duration::from_secs(60));
    let registration = informer.add_event_handler_with(minute, handler).expect("running");
    let _other = informer.add_event_handler(other).expect("running");
    list(&store, 1, &[pod("a/x", "1", 1), pod("a/y", "2", 1)]);
    registration.wait_for_sync().await;
    settle().await;
    assert_eq!((heard().len(), other_heard().len()), (2, 2));
    sleep(Duration::from_secs(50)).await;
    assert_eq!(heard(), NOTHING);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(heard(), ["a/x 1>1", "a/y 1>1"]);
    put(&store, &pod("a/x", "1", 2));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(heard(), ["a/x 1>2", "a/x 2>2", "a/y 1>1"]);
    assert_eq!(other_heard(), ["a/x 1>2"], "nobody else asked for it");
    registration.remove_and_wait().await;
    sleep(Duration::from_secs(300)).await;
    assert_eq!(heard(), NOTHING);
}

#[tokio::test(start_paused = true)]
async fn the_shortest_period_is_a_second_and_rounds_do_not_pile_up() // B25
{
    let store = store();
    let (informer, _tasks) = informer(&store);
    list(&store, 1, &[pod("a/x", "1", 1)]);
    let (handler, heard) = recorder();
    let often = HandlerOptions::default().resync(Duration::ZERO);
    let _registration = informer.add_event_handler_with(often, handler).expect("running");
    settle().await;
    assert_eq!(heard(), ["+a/x@1"]);
    sleep(Duration::from_millis(9_500)).await;
    let rounds = heard().len();
    assert!((9..=10).contains(&rounds), "{rounds}");
    let subscription = informer.subscribe().expect("running");
    (0..3).for_each(|_| subscription.resync());
    assert_eq!(
        subscription.status().waiting,
        1,
        "while it comes for the first time, nothing is asked for again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_filter_of_a_handler_sees_old_and_new() // B29, B23
{
    let store = store();
    let (informer, _tasks) = informer(&store);
    let (handler, heard) = recorder();
    let even = |object: &Object| {
        assert!(object.key().name() != "worse", "the filter's own mistake");
        object.resource_version().and_then(|version| version.number()).is_some_and(|number| number % 2 == 0)
    };
    let options = HandlerOptions::default().named("even").filter(even);
    let registration = informer.add_event_handler_with(options, handler).expect("running");
    list(&store, 1, &[pod("a/worse", "0", 2), pod("a/x", "1", 1), pod("a/y", "2", 2)]);
    registration.wait_for_sync().await;
    for version in [4, 6, 7, 9] {
        put(&store, &pod("a/x", "1", version));
        settle().await;
    }
    delete(&store, &pod("a/y", "2", 11));
    settle().await;
    assert_eq!(heard(), ["+a/y@2", "+a/x@4 later", "a/x 4>6", "-a/x@6 tombstone", "-a/y@11"]);
    let status = &informer.status().subscribers[0];
    assert_eq!((status.name.as_deref(), status.panics, status.synced), (Some("even"), 1, true));
}

#[tokio::test(start_paused = true)]
async fn the_status_tells_how_each_handler_keeps_up() // B11, B23
{
    let store = store();
    let (informer, _tasks) = informer(&store);
    list(&store, 1, &[with(pod("a/bad", "1", 1), "/spec", 7), pod("a/worse", "2", 1)]);
    let careless =
        |event: Event<Pod>| assert!(!matches!(event, Event::Added { .. }), "the handler's own mistake");
    let options = HandlerOptions::default().named("careless");
    let registration = informer.clone().typed::<Pod>().add_event_handler_with(options, careless);
    let registration = registration.expect("running");
    let _lagging = informer.subscribe().expect("running").named("lagging");
    registration.wait_for_sync().await;
    put(&store, &pod("a/z", "3", 2));
    settle().await;
    sleep(Duration::from_secs(7)).await;
    put(&store, &pod("a/z", "3", 3));
    let status = informer.status().subscribers;
    let names: Vec<_> = status.iter().map(|status| status.name.as_deref()).collect();
    assert_eq!(names, [Some("careless"), Some("lagging")]);
    assert_eq!((status[0].told, status[0].panics, status[0].unreadable), (3, 2, 1));
    assert_eq!((status[0].waiting, status[0].lag, status[0].busy), (1, Some(Duration::ZERO), None));
    assert_eq!((status[1].waiting, status[1].lag), (3, Some(Duration::from_secs(7))));
    assert_eq!((status[1].told, status[1].synced), (0, false));
    settle().await;
    assert_eq!(registration.status().waiting, 0);
    registration.remove_and_wait().await;
    assert_eq!(informer.status().subscribers.len(), 1);
}

#[test]
fn a_busy_handler_lets_others_have_their_turn() // B11
{
    let store = store();
    let pods: Vec<_> = (0..1000).map(|n| pod(&format!("a/{n}"), &n.to_string(), 1)).collect();
    list(&store, 1, &pods);
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let subscription = crate::Subscription::<Object>::new(store).expect("open");
    let (_registration, task) = super::attach(subscription, HandlerOptions::default(), move |_| {
        counted.fetch_add(1, Relaxed);
    });
    let mut task = std::pin::pin!(task);
    for turn in 1..4 {
        assert!(task.as_mut().now_or_never().is_none());
        assert_eq!(count.load(Relaxed), turn * super::TURN);
    }
}

#[test]
fn a_handler_that_never_returns_holds_up_nobody() // B11
{
    let store = store();
    let (tasks, driver) = tasks();
    let informer = Informer::new(store.clone(), Arc::default(), tasks);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    runtime.spawn(async move {
        use futures_util::StreamExt as _;
        driver.for_each(|task| async { drop(tokio::spawn(task)) }).await;
    });
    let (release, stuck) = mpsc::channel::<()>();
    let held = informer.add_event_handler(move |_: Event| _ = stuck.recv()).expect("running");
    let (told, heard) = mpsc::channel();
    let _other =
        informer.add_event_handler(move |event: Event| told.send(event.key().clone()).expect("read"));
    list(&store, 1, &[pod("a/x", "1", 1)]);
    for n in 0..100 {
        put(&store, &pod(&format!("a/{n}"), "1", n + 2));
        let key = format!("a/{n}").parse().expect("a key");
        assert!(heard.iter().any(|told| told == key), "the other handler keeps up");
        assert!(store.holds(&key, Some("1"), Some(&(n + 2).to_string())));
    }
    assert!(held.status().busy.is_some(), "it has not returned");
    drop(release);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_that_come_and_go_do_no_harm() // B19
{
    let store = store();
    let (informer, tasks) = informer(&store);
    list(&store, 1, &[pod("a/0", "0", 1)]);
    let count = Arc::new(AtomicUsize::new(0));
    let comings: Vec<_> = (0..20)
        .map(|_| {
            let (informer, count) = (informer.clone(), count.clone());
            tokio::spawn(async move {
                for _ in 0..50 {
                    let counted = count.clone();
                    let handler = move |_: Event<Object>| _ = counted.fetch_add(1, Relaxed);
                    let Ok(registration) = informer.add_event_handler(handler) else { return };
                    registration.wait_for_sync().await;
                    registration.remove_and_wait().await;
                }
            })
        })
        .collect();
    for n in 2..2000 {
        put(&store, &pod(&format!("a/{}", n % 10), &format!("{}", n % 10), n));
        if n % 100 == 0 {
            yield_now().await;
        }
    }
    for coming in comings {
        coming.await.expect("no panic");
    }
    assert!(count.load(Relaxed) >= 1000);
    store.close();
    tasks.stop();
}
