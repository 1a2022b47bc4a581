//! The end of a queue.

use std::sync::Arc;

use nah_trigger::{Closed, Lane, Merge};

use super::*;

#[tokio::test(start_paused = true)]
async fn hands_out_what_is_ready_and_then_ends() {
    // D10
    let (handle, mut keys) = queue();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    handle.add("b", NONE, Lane::Background).unwrap();
    handle.close();
    assert_eq!(handle.len(), 2);
    for key in ["a", "b"] {
        let claim = keys.next().await.unwrap();
        assert_eq!(*claim.key(), key);
        claim.done();
    }
    assert!(keys.next().await.is_none());
    assert!(keys.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn refuses_requests_and_drops_what_is_delayed() {
    // D10
    let (handle, mut keys) = queue();
    handle.add_after("a", NONE, seconds(1)).unwrap();
    handle.close();
    assert_eq!(handle.add("b", NONE, Lane::Fresh), Err(Closed));
    assert_eq!(handle.add_after("c", NONE, seconds(1)), Err(Closed));
    tokio::time::advance(seconds(2)).await;
    assert_eq!((handle.len(), handle.stats().delayed), (0, 0));
    assert!(keys.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_key_asked_for_during_its_run_still_has_the_next() {
    // D10, D11
    let (handle, mut keys) = queue();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    let claim = take(&mut keys).unwrap();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    handle.close();
    assert!(keys.next().now_or_never().is_none(), "not the end: a run is to come");
    claim.done();
    keys.next().await.unwrap().done();
    assert!(keys.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_end_does_not_wait_for_claims() {
    // D11
    let (handle, mut keys) = queue();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    let claim = take(&mut keys).unwrap();
    handle.close();
    assert!(keys.next().await.is_none());
    claim.done();
}

#[tokio::test(start_paused = true)]
async fn idle_waits_for_claims_and_for_runs_still_to_come() {
    // D11
    let (handle, mut keys) = queue();
    handle.idle().await;
    handle.add("a", NONE, Lane::Fresh).unwrap();
    let claim = take(&mut keys).unwrap();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    handle.close();
    let mut idle = std::pin::pin!(handle.idle());
    assert!(idle.as_mut().now_or_never().is_none());
    claim.done();
    assert!(idle.as_mut().now_or_never().is_none());
    take(&mut keys).unwrap().done();
    idle.await;
}

#[tokio::test(start_paused = true)]
async fn nothing_comes_back_that_fails_after_the_end() {
    let (handle, mut keys) = queue();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    let claim = take(&mut keys).unwrap();
    handle.close();
    claim.retry();
    assert_eq!(handle.pending(&"a"), None);
    assert!(keys.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_is_released_after_the_end_is_counted_and_can_be_taken() {
    // D27
    let (handle, mut keys) = queue();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    let claim = take(&mut keys).unwrap();
    handle.close();
    claim.release();
    assert_eq!(handle.len(), 1);
    keys.next().await.unwrap().done();
    assert!(keys.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn wakes_a_consumer_that_waits() {
    let (handle, mut keys) = queue();
    handle.add_after("a", NONE, seconds(3_600)).unwrap();
    let consumer = tokio::spawn(async move { keys.next().await.is_none() });
    tokio::task::yield_now().await;
    handle.close();
    assert!(consumer.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_consumer_ends_the_queue_and_drops_what_waits() {
    let (handle, mut keys) = queue();
    for key in ["a", "b", "c"] {
        handle.add(key, NONE, Lane::Fresh).unwrap();
    }
    handle.add_after("d", NONE, seconds(1)).unwrap();
    let (held, given_back) = (take(&mut keys).unwrap(), take(&mut keys).unwrap());
    handle.add("a", NONE, Lane::Fresh).unwrap();
    drop(keys);
    assert_eq!(handle.add("e", NONE, Lane::Fresh), Err(Closed));
    assert_eq!((handle.len(), handle.stats().running), (0, 2));
    given_back.release();
    held.retry();
    handle.idle().await;
    assert_eq!((handle.pending(&"a"), handle.pending(&"b")), (None, None));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_will_have_any_more_is_counted() // D27
{
    let (handle, mut keys) = queue();
    for key in ["a", "b", "c", "d"] {
        handle.add(key, NONE, Lane::Fresh).unwrap();
    }
    let [a, b, c] = [(); 3].map(|()| take(&mut keys).unwrap());
    a.retry();
    handle.add("b", NONE, Lane::Fresh).unwrap();
    handle.add_after("e", NONE, seconds(60)).unwrap();
    assert_eq!(handle.stats().dropped, 0);
    handle.close();
    assert_eq!(
        (handle.stats().dropped, handle.len()),
        (2, 2),
        "a retry and a delay; the next turns of b and d are to come"
    );
    handle.close();
    assert_eq!(handle.stats().dropped, 2);
    // Its failure is no loss: it has another turn, which is for that too.
    drop(b);
    assert_eq!(handle.stats().dropped, 2);
    drop(keys);
    assert_eq!(handle.stats().dropped, 4, "the turns of b and d");
    c.release();
    assert_eq!((handle.stats().dropped, handle.len()), (5, 0));
}

#[tokio::test(start_paused = true)]
async fn a_failure_after_the_end_and_a_run_still_to_come_of_a_dropped_consumer_are_counted() // D27
{
    let (handle, mut keys) = queue();
    for key in ["a", "b"] {
        handle.add(key, NONE, Lane::Fresh).unwrap();
    }
    let (a, b) = (take(&mut keys).unwrap(), take(&mut keys).unwrap());
    handle.close();
    a.retry();
    assert_eq!(handle.stats().dropped, 1);
    b.done();
    let (handle, mut keys) = queue();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    let a = take(&mut keys).unwrap();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    drop(keys);
    assert_eq!(handle.stats().dropped, 1);
    a.done();
    assert_eq!(handle.stats().dropped, 1);
}

/// A cause that calls the queue when it is dropped, as an object's owner might.
struct Calls(Option<Arc<dyn Fn() + Send + Sync>>);

impl Merge for Calls {
    fn merge(&mut self, _: Self) {}
}

impl Drop for Calls {
    fn drop(&mut self) {
        if let Some(call) = &self.0 {
            call();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn causes_are_dropped_without_a_lock() {
    let (handle, mut keys) = nah_trigger::queue::<u8, Calls>(QueueOptions::default());
    let calls = || {
        let handle = handle.clone();
        Calls(Some(Arc::new(move || _ = handle.len())))
    };
    handle.add(1, calls(), Lane::Fresh).unwrap();
    handle.add(2, calls(), Lane::Fresh).unwrap();
    handle.add(3, calls(), Lane::Fresh).unwrap();
    handle.add_after(4, calls(), seconds(1)).unwrap();
    handle.add_after(5, calls(), seconds(1)).unwrap();
    keys.next().now_or_never().flatten().unwrap().done();
    handle.cancel(&5);
    handle.close();
    handle.add(6, calls(), Lane::Fresh).unwrap_err();
    keys.next().now_or_never().flatten().unwrap().retry();
    drop(keys);
}
