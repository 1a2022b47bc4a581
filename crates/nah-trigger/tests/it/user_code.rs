//! Code of users that the queue runs: policies, causes, and what may go wrong in it.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "code of users that panics on purpose, and helpers of tests"
)]

use std::{
    sync::{Arc, Mutex, OnceLock},
    task::{Context, Wake},
};

use nah_trigger::{Classes, Failed, Fixed, Lane, RetryPolicy};

use super::*;

/// A cause whose every method panics; it counts the requests that it was made of all the same.
#[derive(Debug, PartialEq)]
struct Panics(u32);

impl Merge for Panics {
    fn merge(&mut self, newer: Self) {
        self.0 += newer.0;
        panic!("a merge, on purpose");
    }

    fn retried(&mut self) {
        panic!("a retried, on purpose");
    }
}

#[derive(Debug)]
struct PanickingPolicy;

impl RetryPolicy for PanickingPolicy {
    fn wait(&self, _: &Failed) -> Duration {
        panic!("a policy, on purpose")
    }
}

fn panicking() -> (QueueHandle<&'static str, Panics>, Queue<&'static str, Panics>) {
    nah_trigger::queue(QueueOptions::default().with_backoff(Backoff::default().with_jitter(0.0)))
}

fn next<C: Merge>(keys: &mut Queue<&'static str, C>) -> Claim<&'static str, C> {
    keys.next().now_or_never().flatten().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_policy_is_asked_without_a_lock() {
    #[derive(Debug, Default)]
    struct Asks {
        handle: OnceLock<QueueHandle<&'static str, ()>>,
        /// What another thread saw of the queue while this policy was asked.
        seen: Mutex<Option<Option<usize>>>,
    }
    impl RetryPolicy for Asks {
        fn wait(&self, _: &Failed) -> Duration {
            let (tx, rx) = std::sync::mpsc::channel();
            let handle = self.handle.get().unwrap().clone();
            std::thread::spawn(move || tx.send(handle.stats().running));
            // Only a queue that is locked makes this wait.
            *self.seen.lock().unwrap() = Some(rx.recv_timeout(seconds(10)).ok());
            seconds(1)
        }
    }
    let policy = Arc::new(Asks::default());
    let (handle, mut keys) = nah_trigger::queue(QueueOptions::default().with_backoff(policy.clone()));
    policy.handle.set(handle.clone()).unwrap();
    handle.add("a", (), Lane::Fresh).unwrap();
    assert_eq!(next(&mut keys).retry(), seconds(1));
    assert_eq!(*policy.seen.lock().unwrap(), Some(Some(1)));
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_panics_is_taken_for_the_usual_backoff() {
    let (handle, mut keys) =
        nah_trigger::queue::<_, nah_core::Causes>(QueueOptions::default().with_backoff(PanickingPolicy));
    handle.add("a", NONE, Lane::Fresh).unwrap();
    let wait = next(&mut keys).retry();
    assert!((millis(450)..=millis(500)).contains(&wait), "{wait:?}");
    tokio::time::advance(millis(500)).await;
    let claim = next(&mut keys);
    assert_eq!(claim.failures(), 1);
    claim.done();
    assert_eq!(handle.pending(&"a"), None);
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_panics_under_a_worker_that_panics_does_not_abort() {
    let (handle, mut keys) =
        nah_trigger::queue::<_, nah_core::Causes>(QueueOptions::default().with_backoff(PanickingPolicy));
    handle.add("a", NONE, Lane::Fresh).unwrap();
    let claim = next(&mut keys);
    panic_over(claim).await;
    let pending = handle.pending(&"a").unwrap();
    assert_eq!((pending.running, pending.failures), (false, 1));
}

#[tokio::test(start_paused = true)]
async fn a_merge_that_panics_loses_no_key() // D1, D3
{
    let (handle, mut keys) = panicking();
    // While it waits, by a request and by a delay; while it runs; of two delays.
    handle.add("a", Panics(1), Lane::Background).unwrap();
    handle.add("a", Panics(1), Lane::Fresh).unwrap();
    assert_eq!(handle.stats().background, 0);
    handle.add_after("a", Panics(1), seconds(1)).unwrap();
    handle.add_after("a", Panics(1), seconds(2)).unwrap();
    tokio::time::advance(seconds(1)).await;
    let claim = next(&mut keys);
    assert_eq!(*claim.cause(), Panics(4));
    handle.add("a", Panics(1), Lane::Fresh).unwrap();
    handle.add("a", Panics(1), Lane::Fresh).unwrap();
    claim.done();
    let claim = next(&mut keys);
    assert_eq!(*claim.cause(), Panics(2));
    claim.done();
    assert_eq!(handle.pending(&"a"), None);
}

#[tokio::test(start_paused = true)]
async fn a_merge_that_panics_loses_no_retry() // D14
{
    let (handle, mut keys) = panicking();
    handle.add("a", Panics(1), Lane::Fresh).unwrap();
    next(&mut keys).retry();
    // The retry falls due under a request that waits.
    handle.add("a", Panics(1), Lane::Fresh).unwrap();
    tokio::time::advance(millis(500)).await;
    let claim = next(&mut keys);
    assert_eq!(*claim.cause(), Panics(2));
    // The next is pending when a request brings the key early, and a release meets one more.
    claim.retry();
    handle.add("a", Panics(1), Lane::Fresh).unwrap();
    let claim = next(&mut keys);
    assert_eq!(*claim.cause(), Panics(3));
    handle.add("a", Panics(1), Lane::Fresh).unwrap();
    claim.release();
    let claim = next(&mut keys);
    assert_eq!(*claim.cause(), Panics(4));
    claim.done();
    assert_eq!(handle.pending(&"a"), None);
}

#[tokio::test(start_paused = true)]
async fn what_a_merge_panics_with_may_panic_too() // D1
{
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(std::thread::panicking(), "a drop, on purpose");
        }
    }
    struct Throws;
    impl Merge for Throws {
        fn merge(&mut self, _: Self) {
            std::panic::panic_any(Bomb);
        }
    }
    let (handle, mut keys) = nah_trigger::queue(QueueOptions::default());
    handle.add("a", Throws, Lane::Background).unwrap();
    handle.add("a", Throws, Lane::Fresh).unwrap();
    next(&mut keys).done();
    assert_eq!(handle.pending(&"a"), None);
}

#[cfg(debug_assertions)]
#[tokio::test(start_paused = true)]
async fn a_merge_that_calls_its_queue_panics_and_does_not_wait_for_itself() {
    struct Calls(Option<QueueHandle<&'static str, Calls>>, Option<String>);
    impl Merge for Calls {
        fn merge(&mut self, _: Self) {
            let Some(handle) = &self.0 else { return };
            let called = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| handle.stats()));
            self.1 = called.err().map(|panic| *panic.downcast::<&str>().unwrap()).map(str::to_owned);
        }
    }
    let (handle, mut keys) = nah_trigger::queue(QueueOptions::default());
    handle.add("a", Calls(Some(handle.clone()), None), Lane::Fresh).unwrap();
    handle.add("a", Calls(None, None), Lane::Fresh).unwrap();
    let claim = next(&mut keys);
    assert!(claim.cause().1.as_ref().is_some_and(|panic| panic.contains("from inside the Merge")));
    claim.done();
    assert_eq!(handle.pending(&"a"), None);
}

#[tokio::test(start_paused = true)]
async fn a_class_or_a_weight_that_panics_loses_no_key() // D23
{
    let class = |key: &&str| {
        assert!(!key.starts_with("no class"), "a class, on purpose");
        key.as_bytes()[0]
    };
    let weight = |key: &&str| {
        assert_ne!(*key, "b", "a weight, on purpose");
        1
    };
    let options = QueueOptions::default().with_classes(Classes::by(class).with_weights(weight));
    let (handle, mut keys) = nah_trigger::queue(options);
    for key in ["no class 1", "no class 2", "a", "b"] {
        handle.add(key, (), Lane::Fresh).unwrap();
    }
    let mut taken = Vec::new();
    while let Some(claim) = keys.next().now_or_never().flatten() {
        taken.push(*claim.key());
        claim.done();
    }
    assert_eq!(taken, ["no class 1", "a", "b", "no class 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_policy_may_ask_for_a_wait_without_end() {
    let (handle, mut keys) =
        nah_trigger::queue::<_, nah_core::Causes>(QueueOptions::default().with_backoff(Fixed(Duration::MAX)));
    handle.add("a", NONE, Lane::Fresh).unwrap();
    assert_eq!(next(&mut keys).retry(), Duration::MAX);
    assert!(keys.next().now_or_never().is_none());
    handle.add("a", NONE, Lane::Fresh).unwrap();
    next(&mut keys).done();
    assert_eq!(handle.pending(&"a"), None);
}

#[tokio::test(start_paused = true)]
async fn a_waker_is_dropped_without_a_lock() {
    /// As the last waker of a task, which drops what the task held.
    struct Asks(Handle, std::sync::mpsc::Sender<Option<usize>>);
    impl Wake for Asks {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Asks {
        fn drop(&mut self) {
            let (tx, rx) = std::sync::mpsc::channel();
            let handle = self.0.clone();
            std::thread::spawn(move || tx.send(handle.len()));
            self.1.send(rx.recv_timeout(seconds(10)).ok()).unwrap();
        }
    }
    let (handle, mut keys) = queue();
    let (tx, seen) = std::sync::mpsc::channel();
    let mut poll = || {
        let waker = Arc::new(Asks(handle.clone(), tx.clone())).into();
        assert!(keys.poll_next_unpin(&mut Context::from_waker(&waker)).is_pending());
    };
    poll();
    poll();
    assert_eq!(seen.try_recv(), Ok(Some(0)), "replaced");
    drop(keys);
    assert_eq!(seen.try_recv(), Ok(Some(0)), "kept no longer than the consumer");
}
