//! What can be seen of a queue.

use std::collections::BTreeMap;

use nah_trigger::{Durations, Lane, Pending};

use super::*;

/// The buckets that are not empty, by their bounds in microseconds.
fn filled(durations: &Durations) -> Vec<(Option<u128>, u64)> {
    let filled = durations.buckets().filter(|(_, count)| *count != 0);
    filled.map(|(bound, count)| (bound.map(|bound| bound.as_micros()), count)).collect()
}

#[tokio::test(start_paused = true)]
async fn counts_what_it_does() {
    let (handle, mut keys) = queue();
    for key in ["a", "b", "c"] {
        handle.add(key, NONE, Lane::Fresh).unwrap();
    }
    handle.add("x", NONE, Lane::Background).unwrap();
    handle.add_after("d", NONE, seconds(9)).unwrap();
    let claim = take(&mut keys).unwrap();
    take(&mut keys).unwrap().retry();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    let stats = handle.stats();
    assert_eq!((stats.ready, stats.background, stats.again), (2, 1, 1));
    assert_eq!((stats.running, stats.delayed), (1, 2));
    assert_eq!((stats.adds, stats.claims, stats.retries), (6, 2, 1));
    claim.done();
    take(&mut keys).unwrap().release();
    let stats = handle.stats();
    assert_eq!((stats.claims, stats.successes, stats.failures), (3, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_the_retry_is_a_failure_and_no_retry() {
    let (handle, mut keys) = queue();
    for _ in 0..3 {
        handle.add("a", NONE, Lane::Fresh).unwrap();
        take(&mut keys).unwrap().retry();
    }
    let stats = handle.stats();
    assert_eq!((stats.failures, stats.retries), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn tells_how_long_keys_waited_and_claims_were_held() {
    let (handle, mut keys) = queue();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    handle.add("b", NONE, Lane::Fresh).unwrap();
    handle.add("c", NONE, Lane::Fresh).unwrap();
    take(&mut keys).unwrap().done();
    tokio::time::advance(millis(20)).await;
    let claim = take(&mut keys).unwrap();
    tokio::time::advance(Duration::from_micros(250)).await;
    drop(claim);
    let claim = take(&mut keys).unwrap();
    tokio::time::advance(seconds(1)).await;
    claim.release();
    let stats = handle.stats();
    assert_eq!(filled(&stats.waited), [(Some(128), 1), (Some(32_768), 2)]);
    assert_eq!(stats.waited.sum(), Duration::from_micros(40_250));
    assert_eq!(filled(&stats.worked), [(Some(128), 1), (Some(256), 1)], "what is released was not worked on");
    assert_eq!(stats.worked.sum(), Duration::from_micros(250));
}

#[tokio::test(start_paused = true)]
async fn lists_every_key_with_what_waits_for_it() {
    let (handle, mut keys) = queue();
    assert!(handle.list().is_empty());
    handle.add("failed", NONE, Lane::Fresh).unwrap();
    take(&mut keys).unwrap().retry();
    handle.add("running", NONE, Lane::Fresh).unwrap();
    let claim = take(&mut keys).unwrap();
    handle.add("ready", NONE, Lane::Fresh).unwrap();
    handle.add_after("delayed", NONE, seconds(9)).unwrap();
    let listed: BTreeMap<_, _> = handle.list().into_iter().collect();
    assert_eq!(listed.keys().copied().collect::<Vec<_>>(), ["delayed", "failed", "ready", "running"]);
    for (key, pending) in &listed {
        assert_eq!(handle.pending(key).as_ref(), Some(pending), "{key}");
    }
    assert_eq!((listed["failed"].retry, listed["failed"].failures), (Some(millis(500)), 1));
    assert_eq!(listed["delayed"].trigger, Some(seconds(9)));
    let flags = |pending: &Pending| (pending.waiting, pending.running);
    assert_eq!((flags(&listed["ready"]), flags(&listed["running"])), ((true, false), (false, true)));
    claim.done();
}

#[tokio::test(start_paused = true)]
async fn lists_more_keys_than_are_looked_at_in_one_go() {
    let (handle, _keys) = nah_trigger::queue::<u32, ()>(QueueOptions::default());
    for key in 0..5_000 {
        handle.add_after(key, (), seconds(1)).unwrap();
    }
    for key in (0..5_000).filter(|key| key % 3 == 0) {
        assert!(handle.cancel(&key));
    }
    let mut listed: Vec<_> = handle.list().into_iter().map(|(key, _)| key).collect();
    listed.sort_unstable();
    assert_eq!(listed, (0..5_000).filter(|key| key % 3 != 0).collect::<Vec<_>>());
}
