//! When a consumer that waits is woken.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Wake, Waker},
};

use futures::Stream;
use nah_trigger::Lane;

use super::*;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Count {
    fn wait_on(self: &Arc<Self>, keys: &mut Keys) {
        let waker = Waker::from(self.clone());
        let poll = Pin::new(keys).poll_next(&mut Context::from_waker(&waker));
        assert!(poll.is_pending());
    }

    fn wakes(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_requests_wakes_once() {
    let (handle, mut keys) = queue();
    let count = Arc::new(Count::default());
    count.wait_on(&mut keys);
    for _ in 0..3 {
        for key in ["a", "b", "c"] {
            handle.add(key, NONE, Lane::Fresh).unwrap();
        }
    }
    assert_eq!(count.wakes(), 1);
}

#[tokio::test(start_paused = true)]
async fn only_an_earlier_deadline_wakes() {
    let (handle, mut keys) = queue();
    handle.add_after("a", NONE, millis(50)).unwrap();
    let count = Arc::new(Count::default());
    count.wait_on(&mut keys);
    handle.add_after("b", NONE, seconds(10)).unwrap();
    handle.add_after("a", NONE, seconds(10)).unwrap();
    assert_eq!(count.wakes(), 0);
    handle.add_after("b", NONE, millis(20)).unwrap();
    assert_eq!(count.wakes(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_claim_that_is_asked_for_again_wakes() {
    let (handle, mut keys) = queue();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    let claim = take(&mut keys).unwrap();
    let count = Arc::new(Count::default());
    count.wait_on(&mut keys);
    handle.add("a", NONE, Lane::Fresh).unwrap();
    assert_eq!(count.wakes(), 0, "nothing can be handed out yet");
    claim.done();
    assert_eq!(count.wakes(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_poller_is_the_one_woken() {
    let (handle, mut keys) = queue();
    let (first, second) = (Arc::new(Count::default()), Arc::new(Count::default()));
    first.wait_on(&mut keys);
    second.wait_on(&mut keys);
    handle.add("a", NONE, Lane::Fresh).unwrap();
    assert_eq!((first.wakes(), second.wakes()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_wakes_without_anybody_asking() {
    // G19
    let (handle, mut keys) = queue();
    handle.add_after("a", NONE, seconds(7)).unwrap();
    let start = tokio::time::Instant::now();
    keys.next().await.unwrap().done();
    assert_eq!(start.elapsed(), seconds(7));
}
