//! Keys whose run failed.

use nah_core::Causes;
use nah_trigger::{Failed, Lane, RetryPolicy, TokenBucket};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_failed_key_comes_back_after_growing_waits() {
    // D12, D13, D14
    let (handle, mut keys) = queue();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    let mut waits = Vec::new();
    for failures in 0..13 {
        let claim = keys.next().await.unwrap();
        assert_eq!(claim.failures(), failures);
        assert_eq!(claim.waited(), Duration::ZERO, "due to the millisecond");
        waits.push(claim.retry().as_millis());
    }
    let expected = [
        500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000, 512_000, 900_000, 900_000,
    ];
    assert_eq!(waits, expected);
}

#[tokio::test(start_paused = true)]
async fn a_success_forgets_the_failures() {
    // D12, D14
    let (handle, mut keys) = queue();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    for _ in 0..5 {
        keys.next().await.unwrap().retry();
    }
    keys.next().await.unwrap().done();
    assert_eq!(handle.pending(&"a"), None);
    handle.add("a", NONE, Lane::Fresh).unwrap();
    assert_eq!(take(&mut keys).unwrap().retry(), millis(500));
}

#[tokio::test(start_paused = true)]
async fn failures_are_counted_for_each_key_alone() {
    // D12
    let (handle, mut keys) = queue();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    keys.next().await.unwrap().retry();
    keys.next().await.unwrap().retry();
    handle.add("b", NONE, Lane::Fresh).unwrap();
    let claim = take(&mut keys).unwrap();
    assert_eq!((*claim.key(), claim.failures()), ("b", 0));
    assert_eq!(claim.retry(), millis(500));
}

#[tokio::test(start_paused = true)]
async fn queues_count_failures_apart() {
    // D16, Q16
    let (pods, mut pod_keys) = queue();
    let (nodes, mut node_keys) = queue();
    pods.add("a", NONE, Lane::Fresh).unwrap();
    pod_keys.next().await.unwrap().retry();
    pod_keys.next().await.unwrap().retry();
    nodes.add("a", NONE, Lane::Fresh).unwrap();
    assert_eq!(node_keys.next().await.unwrap().retry(), millis(500));
    nodes.close();
    assert_eq!(pods.pending(&"a").unwrap().failures, 2);
}

#[tokio::test(start_paused = true)]
async fn a_success_before_the_retry_takes_it_back() {
    // D15, Q58
    let (handle, mut keys) = queue();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    take(&mut keys).unwrap().retry();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    take(&mut keys).unwrap().done();
    assert_eq!(handle.stats().delayed, 0);
    assert!(tokio::time::timeout(seconds(9), keys.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_the_retry_keeps_its_deadline_and_is_not_counted() {
    let (handle, mut keys) = queue();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    keys.next().await.unwrap().retry();
    keys.next().await.unwrap().retry();
    // A heartbeat every tenth of a second cannot push the retry away.
    for beat in 1..=9 {
        tokio::time::advance(millis(100)).await;
        handle.add("a", NONE, Lane::Fresh).unwrap();
        let claim = take(&mut keys).unwrap();
        assert_eq!(claim.failures(), 2);
        assert_eq!(claim.retry(), millis(1_000 - 100 * beat));
    }
    tokio::time::advance(millis(100)).await;
    let claim = take(&mut keys).unwrap();
    assert_eq!(claim.failures(), 2);
    assert_eq!(claim.retry(), seconds(2), "the retry itself counts");
}

#[tokio::test(start_paused = true)]
async fn a_failure_leaves_a_delay_asked_for_alone() {
    let (handle, mut keys) = queue();
    handle.add_after("a", NONE, seconds(3)).unwrap();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    take(&mut keys).unwrap().retry();
    tokio::time::advance(millis(500)).await;
    take(&mut keys).unwrap().done();
    assert_eq!(handle.pending(&"a").unwrap().trigger, Some(millis(2_500)));
}

#[tokio::test(start_paused = true)]
async fn cancel_takes_back_no_retry() {
    let (handle, mut keys) = queue();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    take(&mut keys).unwrap().retry();
    assert!(!handle.cancel(&"a"));
    tokio::time::advance(millis(500)).await;
    assert_eq!(drain(&mut keys), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_is_dropped_has_failed() {
    let (handle, mut keys) = queue();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    drop(take(&mut keys).unwrap());
    assert_eq!(handle.stats().retries, 1);
    tokio::time::advance(millis(500)).await;
    assert_eq!(take(&mut keys).unwrap().failures(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_panics_has_failed_and_frees_the_key() {
    // Q29
    let (handle, mut keys) = queue();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    let claim = take(&mut keys).unwrap();
    panic_over(claim).await;
    let pending = handle.pending(&"a").unwrap();
    assert_eq!((pending.running, pending.failures), (false, 1));
}

#[tokio::test(start_paused = true)]
async fn a_release_is_no_failure() {
    let (handle, mut keys) = queue();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    take(&mut keys).unwrap().release();
    let claim = take(&mut keys).unwrap();
    assert_eq!(claim.failures(), 0);
    assert_eq!(claim.retry(), millis(500));
}

#[tokio::test(start_paused = true)]
async fn a_retry_says_so_and_keeps_its_causes() {
    let (handle, mut keys) = queue();
    handle.add("a", Causes::EVENT, Lane::Fresh).unwrap();
    take(&mut keys).unwrap().retry();
    tokio::time::advance(millis(500)).await;
    assert_eq!(*take(&mut keys).unwrap().cause(), Causes::EVENT | Causes::RETRY);
}

#[tokio::test(start_paused = true)]
async fn a_request_during_a_failing_run_is_met_at_once() {
    let (handle, mut keys) = queue();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    let claim = take(&mut keys).unwrap();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    assert_eq!(claim.retry(), millis(500));
    let claim = take(&mut keys).unwrap();
    assert_eq!(claim.failures(), 1);
    claim.done();
    assert_eq!(handle.stats().delayed, 0);
}

#[tokio::test(start_paused = true)]
async fn jitter_repeats_with_its_seed_and_never_prolongs() {
    let waits = |seed| {
        let options = QueueOptions::default().with_seed(seed);
        let (handle, mut keys) = nah_trigger::queue::<u32, ()>(options);
        (0..50)
            .map(|key| {
                handle.add(key, (), Lane::Fresh).unwrap();
                keys.next().now_or_never().flatten().unwrap().retry()
            })
            .collect::<Vec<_>>()
    };
    let first = waits(1);
    assert_eq!(first, waits(1));
    assert_ne!(first, waits(2));
    assert!(first.iter().all(|wait| (millis(450)..=millis(500)).contains(wait)), "{first:?}");
}

#[tokio::test(start_paused = true)]
async fn a_policy_may_be_of_ones_own() {
    #[derive(Debug)]
    struct Square;
    impl RetryPolicy for Square {
        fn wait(&self, failed: &Failed) -> Duration {
            seconds(u64::from(failed.in_a_row.pow(2)))
        }
    }
    let options = QueueOptions::default().with_backoff(Square);
    let (handle, mut keys) = nah_trigger::queue::<_, ()>(options);
    handle.add("a", (), Lane::Fresh).unwrap();
    for expected in [1, 4, 9] {
        assert_eq!(keys.next().await.unwrap().retry(), seconds(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_bucket_of_tokens_is_for_all_keys_and_counts_one_failure_once() // D12
{
    let options = QueueOptions::default().with_backoff(TokenBucket::new(seconds(10), 2));
    let (handle, mut keys) = nah_trigger::queue::<_, ()>(options);
    for key in ["a", "b", "c", "d"] {
        handle.add(key, (), Lane::Fresh).unwrap();
    }
    let mut claims = Vec::new();
    for _ in 0..4 {
        claims.push(keys.next().await.unwrap());
    }
    let waits: Vec<_> = claims.into_iter().map(|claim| claim.retry().as_secs()).collect();
    assert_eq!(waits, [0, 0, 10, 20]);
    // While the retry of "c" is pending, an event brings it early: that failure takes no token.
    for _ in 0..2 {
        keys.next().await.unwrap().done();
    }
    handle.add("c", (), Lane::Fresh).unwrap();
    assert_eq!(keys.next().await.unwrap().retry(), seconds(10));
    handle.add("e", (), Lane::Fresh).unwrap();
    assert_eq!(keys.next().await.unwrap().retry(), seconds(30));
}
