//! Whose turn it is.

use nah_core::Causes;
use nah_trigger::{Lane, QueueOptions};
use proptest::prelude::*;

use super::*;

#[tokio::test(start_paused = true)]
async fn hands_out_a_key_asked_for_many_times_once_and_in_order() {
    // D1
    let (handle, mut keys) = queue();
    for key in ["a", "b", "a", "c", "a", "b"] {
        handle.add(key, NONE, Lane::Fresh).unwrap();
    }
    assert_eq!(handle.len(), 3);
    assert_eq!(drain(&mut keys), ["a", "b", "c"]);
    assert!(handle.is_empty());
}

#[tokio::test(start_paused = true)]
async fn never_hands_out_a_key_whose_claim_is_held() {
    // D2, Q14
    let (handle, mut keys) = queue();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    let claim = take(&mut keys).unwrap();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    handle.add_after("a", NONE, seconds(1)).unwrap();
    tokio::time::advance(seconds(2)).await;
    assert!(take(&mut keys).is_none());
    claim.done();
    assert_eq!(drain(&mut keys), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn any_number_of_requests_during_a_run_make_one_more() {
    // D3
    let (handle, mut keys) = queue();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    let claim = take(&mut keys).unwrap();
    for _ in 0..5 {
        handle.add("a", NONE, Lane::Fresh).unwrap();
    }
    assert_eq!(handle.len(), 1, "it waits for its second run");
    claim.done();
    assert_eq!(drain(&mut keys), ["a"]);
    assert!(take(&mut keys).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_run_that_nobody_asked_again_for_is_the_last() {
    // D3
    let (handle, mut keys) = queue();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    take(&mut keys).unwrap().done();
    assert!(take(&mut keys).is_none());
    assert_eq!(handle.pending(&"a"), None);
}

#[tokio::test(start_paused = true)]
async fn merges_the_causes_of_requests() {
    let (handle, mut keys) = queue();
    handle.add("a", Causes::INITIAL, Lane::Background).unwrap();
    handle.add("a", Causes::EVENT, Lane::Fresh).unwrap();
    let claim = take(&mut keys).unwrap();
    assert_eq!(*claim.cause(), Causes::INITIAL | Causes::EVENT);
    handle.add("a", Causes::RESYNC, Lane::Background).unwrap();
    claim.done();
    assert_eq!(*take(&mut keys).unwrap().cause(), Causes::RESYNC);
}

#[tokio::test(start_paused = true)]
async fn a_fresh_cause_lifts_a_key_out_of_the_background() {
    let (handle, mut keys) = queue();
    for key in ["a", "b", "c"] {
        handle.add(key, NONE, Lane::Background).unwrap();
    }
    handle.add("d", NONE, Lane::Fresh).unwrap();
    handle.add("c", NONE, Lane::Fresh).unwrap();
    assert_eq!(handle.stats().background, 2);
    assert_eq!(drain(&mut keys), ["d", "c", "a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn the_background_has_its_share_under_a_flood() {
    // Q30
    let options = QueueOptions::default().with_background_share(8);
    let (handle, mut keys) = nah_trigger::queue::<u32, ()>(options);
    for key in 0..1_000 {
        handle.add(key, (), Lane::Fresh).unwrap();
    }
    for key in 1_000..1_010 {
        handle.add(key, (), Lane::Background).unwrap();
    }
    let mut order = Vec::new();
    while let Some(claim) = keys.next().now_or_never().flatten() {
        order.push(*claim.key());
        claim.done();
    }
    for window in order[..80].chunks(8) {
        assert_eq!(window.iter().filter(|key| **key >= 1_000).count(), 1, "{window:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_released_key_is_the_next_of_its_lane() {
    let (handle, mut keys) = queue();
    for key in ["a", "b"] {
        handle.add(key, NONE, Lane::Fresh).unwrap();
    }
    take(&mut keys).unwrap().release();
    assert_eq!(drain(&mut keys), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_key_tells_how_long_it_waited() {
    let (handle, mut keys) = queue();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    tokio::time::advance(seconds(3)).await;
    handle.add("a", NONE, Lane::Fresh).unwrap();
    assert_eq!(handle.stats().oldest, Some(seconds(3)));
    assert_eq!(take(&mut keys).unwrap().waited(), seconds(3));
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_does_not_poll_pauses_the_queue() {
    let (handle, mut keys) = queue();
    handle.add_after("b", NONE, seconds(1)).unwrap();
    tokio::time::advance(seconds(60)).await;
    handle.add("a", NONE, Lane::Fresh).unwrap();
    assert_eq!(handle.len(), 2);
    assert_eq!(drain(&mut keys), ["b", "a"], "what was due first is first");
}

/// The queue from outside: whatever is asked for and however it ends, every request is seen by a later claim.
fn requests() -> impl Strategy<Value = Vec<(usize, u64, u8)>> {
    prop::collection::vec((0usize..5, prop_oneof![Just(0), 0u64..5_000], 0u8..4), 1..120)
}

proptest! {
    #[test]
    fn loses_no_request_and_never_runs_a_key_twice_at_once(requests in requests()) {
        // D2, D3
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let options = QueueOptions::default().with_seed(7);
            let (handle, mut keys) = nah_trigger::queue::<usize, Latest>(options);
            let mut held: Vec<Claim<usize, Latest>> = Vec::new();
            let mut asked = [0; 5];
            let mut done = [0; 5];
            for (number, (key, delay, action)) in requests.into_iter().enumerate() {
                let number = number + 1;
                asked[key] = number;
                handle.add_after(key, Latest(number), millis(delay)).unwrap();
                if let Some(claim) = keys.next().now_or_never().flatten() {
                    assert!(held.iter().all(|other| other.key() != claim.key()), "twice at once");
                    held.push(claim);
                }
                tokio::time::advance(millis(delay / 7)).await;
                if held.len() > 2 {
                    let claim = held.remove(0);
                    let (key, seen) = (*claim.key(), claim.cause().0);
                    match action {
                        0 => drop(claim),
                        1 => claim.release(),
                        2 => drop(claim.retry()),
                        _ => {
                            done[key] = done[key].max(seen);
                            claim.done();
                        }
                    }
                }
            }
            for claim in held {
                drop(claim);
            }
            while let Ok(Some(claim)) = tokio::time::timeout(seconds(4_000), keys.next()).await {
                done[*claim.key()] = done[*claim.key()].max(claim.cause().0);
                claim.done();
            }
            assert_eq!(done, asked, "the last request of every key was seen by a run that succeeded");
        });
    }
}

/// The highest number asked for.
struct Latest(usize);

impl nah_trigger::Merge for Latest {
    fn merge(&mut self, newer: Self) {
        self.0 = self.0.max(newer.0);
    }
}

#[tokio::test(start_paused = true)]
async fn says_that_a_key_is_there_without_taking_it() {
    // D2, Q30
    let (handle, mut keys) = queue();
    assert!(keys.ready().now_or_never().is_none());
    handle.add("a", NONE, Lane::Background).unwrap();
    assert!(keys.ready().await && keys.ready().await);
    assert_eq!((handle.stats().ready, handle.stats().running), (1, 0));
    // What comes before it is taken has its turn.
    handle.add("b", NONE, Lane::Fresh).unwrap();
    assert_eq!(drain(&mut keys), ["b", "a"]);
    // A deadline wakes it, and so does the end.
    handle.add_after("c", NONE, seconds(5)).unwrap();
    let begun = tokio::time::Instant::now();
    assert!(keys.ready().await);
    assert!(begun.elapsed() >= seconds(5) && begun.elapsed() < seconds(6));
    assert_eq!(drain(&mut keys), ["c"]);
    handle.close();
    assert!(!keys.ready().await);
}

#[tokio::test(start_paused = true)]
async fn a_worker_takes_the_next_key_by_itself_in_the_same_order() // D22
{
    let (handle, mut keys) = queue();
    for key in ["a", "b", "c"] {
        handle.add(key, NONE, Lane::Fresh).unwrap();
    }
    let first = take(&mut keys).unwrap();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    let second = handle.try_next().unwrap();
    assert_eq!((*first.key(), *second.key()), ("a", "b"));
    let third = take(&mut keys).unwrap();
    assert_eq!(*third.key(), "c");
    assert!(handle.try_next().is_none(), "a key that is worked on was handed out");
    first.done();
    let again = handle.try_next().unwrap();
    assert_eq!(*again.key(), "a");
    [second, third, again].into_iter().for_each(Claim::done);
    assert!(handle.try_next().is_none());
    handle.close();
    assert!(handle.try_next().is_none());
}

#[tokio::test(start_paused = true)]
async fn of_two_keys_that_fall_due_at_once_the_worker_gets_one_and_the_consumer_the_other() // D22
{
    let (handle, mut keys) = queue();
    handle.add_after("a", NONE, seconds(1)).unwrap();
    handle.add_after("b", NONE, seconds(1)).unwrap();
    let consumer = tokio::spawn(async move { keys.next().await.map(|claim| *claim.key()) });
    tokio::task::yield_now().await;
    assert!(handle.try_next().is_none(), "it is not due");
    // The worker looks first, and must not leave the consumer to sleep on.
    tokio::time::advance(seconds(1)).await;
    let mine = handle.try_next().map(|claim| *claim.key());
    let theirs = consumer.await.unwrap();
    let mut both = [mine, theirs];
    both.sort_unstable();
    assert_eq!(both, [Some("a"), Some("b")]);
}
