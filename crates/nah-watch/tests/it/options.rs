//! Time limits, and failures that are one callback's alone.

use std::time::Duration;

use nah_watch::{CallbackOptions, Ignore, Panicked, Terminal, TimedOut, WatcherExt};
use tokio::time::{Instant, sleep};

use super::{watcher::Pods, *};

const LIMIT: Duration = Duration::from_secs(30);

fn limited() -> CallbackOptions {
    CallbackOptions::default().time_limit(LIMIT)
}

fn alone() -> CallbackOptions {
    CallbackOptions::default().retried_alone()
}

/// Registers with options a callback that ends as `ends` says.
fn with(
    callbacks: &Callbacks,
    options: CallbackOptions,
    name: &str,
    ends: impl Fn() -> CallbackResult + Send + Sync + 'static,
) -> Registration {
    let callback = move |_: Change<Pod>| {
        let ended = ends();
        async move { ended }
    };
    Pods(callbacks.clone()).with_options(options).watcher(name, callback).unwrap()
}

/// Notes that it was dropped.
struct Dropped(Log);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.note("dropped");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_dropped_and_is_a_failure_of_that_callback_alone() // E14
{
    let (callbacks, log) = (pods(), Log::default());
    let held = log.clone();
    let stuck = move |_: Change<Pod>| {
        let held = Dropped(held.clone());
        async move {
            std::future::pending::<()>().await;
            drop(held);
            Ok(())
        }
    };
    Pods(callbacks.clone()).with_options(limited()).watcher("stuck", stuck).unwrap();
    noting(&callbacks, &log, "next");
    let before = Instant::now();
    let report = run(&callbacks, change("x")).await;
    assert_eq!(before.elapsed(), LIMIT);
    assert_eq!(log.take(), ["dropped", "next"]);
    assert_eq!(report.to_string(), "handler stuck Pod: did not end within 30s");
    assert_eq!(report.failures[0].source.downcast_ref::<TimedOut>().unwrap().limit, LIMIT);
    assert!(report.wants_retry() && !report.failures[0].panicked);
    assert!(callbacks.running().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_of_one_call_of_one_callback() {
    let callbacks = pods();
    let slow = |_: Change<Pod>| async {
        sleep(LIMIT - Duration::from_millis(1)).await;
        Ok(())
    };
    let limited = Pods(callbacks.clone());
    limited.with_options(self::limited()).watcher("just in time", slow).unwrap();
    limited.with_options(self::limited()).watcher("in time too", slow).unwrap();
    on(&callbacks, "without a limit", |_| async {
        sleep(10 * LIMIT).await;
        Ok(())
    });
    for _ in 0..2 {
        assert!(run(&callbacks, change("x")).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_what_is_dropped_at_its_limit_stays_there() // E14
{
    struct Explosive;
    impl Drop for Explosive {
        fn drop(&mut self) {
            explode("on purpose");
        }
    }
    let (callbacks, log) = (pods(), Log::default());
    let stuck = |_: Change<Pod>| async {
        let _held = Explosive;
        std::future::pending::<CallbackResult>().await
    };
    Pods(callbacks.clone()).with_options(limited()).watcher("stuck", stuck).unwrap();
    noting(&callbacks, &log, "next");
    let report = run(&callbacks, change("x")).await;
    assert_eq!((log.take(), report.failures.len()), (vec!["next".to_owned()], 1));
    assert!(report.failures[0].source.downcast_ref::<Panicked>().is_none());
}

#[tokio::test]
async fn a_failure_is_retried_for_everyone_unless_that_was_asked_otherwise() // E11
{
    let callbacks = pods();
    let lonely = with(&callbacks, alone(), "lonely", || Err("no".into()));
    with(&callbacks, alone(), "well", || Ok(()));
    with(&callbacks, alone(), "ignores", || Err(Ignore.into()));
    with(&callbacks, alone(), "hopeless", || Err(Terminal("never".into()).into()));
    let report = run(&callbacks, change("x")).await;
    assert_eq!(report.retry(&Meant::All), Some(Meant::only(lonely.id())));
    assert_eq!(report.failures.iter().map(|failure| failure.id).next(), Some(lonely.id()));

    let social = failing(&callbacks, "social", "no");
    let report = run(&callbacks, change("x")).await;
    assert_eq!(report.retry(&Meant::All), Some(Meant::All));
    social.unregister();
    lonely.unregister();
    assert_eq!(
        run(&callbacks, change("x")).await.retry(&Meant::All),
        None,
        "nothing that a retry would cure"
    );
}

#[tokio::test]
async fn several_that_are_retried_alone_are_retried_together() {
    let callbacks = pods();
    let first = with(&callbacks, alone(), "first", || Err("no".into()));
    noting(&callbacks, &Log::default(), "well");
    let second = with(&callbacks, alone(), "second", || {
        explode("on purpose");
        Ok(())
    });
    let mut both = Meant::only(first.id());
    both.merge(Meant::only(second.id()));
    assert_eq!(run(&callbacks, change("x")).await.retry(&Meant::All), Some(both));
}

#[tokio::test]
async fn a_retry_of_a_replay_stays_with_those_it_was_for() // E19
{
    let callbacks = pods();
    failing(&callbacks, "early", "no");
    let late = failing(&callbacks, "late", "no");
    let meant = Meant::only(late.id());
    assert_eq!(callbacks.run(change("x"), &meant).await.retry(&meant), Some(meant));
}

#[tokio::test]
async fn in_a_retry_alone_the_object_is_as_it_is() {
    let (callbacks, log) = (pods(), Log::default());
    on(&callbacks, "first", |_| async { Ok(labelled(pod("x"), "first")) });
    let second = seeing(&callbacks, &log, "second");
    run(&callbacks, change("x")).await;
    callbacks.run(change("x"), &Meant::only(second.id())).await;
    assert_eq!(log.take(), ["second sees first", "second sees plain"]);
}

#[tokio::test(start_paused = true)]
async fn options_of_two_layers_add_up_and_the_inner_limit_counts() {
    let callbacks = pods();
    let watcher = Pods(callbacks.clone());
    let outer = watcher.with_options(CallbackOptions::default().time_limit(2 * LIMIT).retried_alone());
    let stuck = |_: Change<Pod>| std::future::pending::<CallbackResult>();
    outer.with_options(limited()).watcher("stuck", stuck).unwrap();
    let before = Instant::now();
    let report = run(&callbacks, change("x")).await;
    assert_eq!((before.elapsed(), report.failures[0].alone), (LIMIT, true));
}

#[tokio::test(start_paused = true)]
async fn what_the_inner_of_two_layers_leaves_open_is_as_the_outer_says() {
    let callbacks = pods();
    let watcher = Pods(callbacks.clone());
    let outer = watcher.with_options(limited());
    let stuck = |_: Change<Pod>| std::future::pending::<CallbackResult>();
    outer.with_options(alone()).watcher("stuck", stuck).unwrap();
    let report = tokio::time::timeout(2 * LIMIT, run(&callbacks, change("x"))).await.unwrap();
    assert!(report.failures[0].alone && report.failures[0].source.is::<TimedOut>());
}
