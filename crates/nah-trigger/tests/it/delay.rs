//! Keys asked for after a delay.

use nah_core::Causes;
use nah_trigger::Lane;
use tokio::time::Instant;

use super::*;

/// The keys that come within a day and when they do, in milliseconds from now.
async fn timeline(keys: &mut Keys) -> Vec<(&'static str, u128)> {
    let start = Instant::now();
    let mut seen = Vec::new();
    while let Ok(Some(claim)) = tokio::time::timeout(seconds(86_400), keys.next()).await {
        seen.push((*claim.key(), start.elapsed().as_millis()));
        claim.done();
    }
    seen
}

#[tokio::test(start_paused = true)]
async fn keeps_the_earlier_deadline() {
    // D6
    let (handle, mut keys) = queue();
    handle.add_after("a", NONE, seconds(10)).unwrap();
    handle.add_after("a", NONE, seconds(2)).unwrap();
    handle.add_after("a", NONE, seconds(30)).unwrap();
    assert_eq!(handle.stats().delayed, 1);
    assert_eq!(timeline(&mut keys).await, [("a", 2_000)]);
}

#[tokio::test(start_paused = true)]
async fn four_growing_delays_make_one_run_after_the_first() {
    // D7
    let (handle, mut keys) = queue();
    for delay in [1, 2, 4, 8] {
        handle.add_after("a", NONE, seconds(delay)).unwrap();
    }
    assert_eq!(timeline(&mut keys).await, [("a", 1_000)]);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_key_is_not_counted_until_it_is_due() {
    // D4
    let (handle, mut keys) = queue();
    handle.add_after("a", NONE, millis(1_500)).unwrap();
    assert_eq!((handle.len(), take(&mut keys).is_none()), (0, true));
    tokio::time::advance(millis(1_499)).await;
    assert_eq!((handle.len(), take(&mut keys).is_none()), (0, true));
    tokio::time::advance(millis(1)).await;
    assert_eq!(handle.len(), 1);
    assert_eq!(drain(&mut keys), ["a"]);
    assert_eq!(timeline(&mut keys).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_delay_of_zero_is_now() {
    // D5
    let (handle, mut keys) = queue();
    handle.add_after("a", NONE, Duration::ZERO).unwrap();
    assert_eq!(drain(&mut keys), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn keys_come_in_the_order_of_their_deadlines() {
    // D8
    let (handle, mut keys) = queue();
    handle.add_after("slow", NONE, seconds(100)).unwrap();
    handle.add_after("quick", NONE, seconds(1)).unwrap();
    handle.add_after("middle", NONE, seconds(10)).unwrap();
    assert_eq!(timeline(&mut keys).await, [("quick", 1_000), ("middle", 10_000), ("slow", 100_000)]);
}

#[tokio::test(start_paused = true)]
async fn a_shorter_delay_asked_for_later_comes_first() {
    // D8
    let (handle, mut keys) = queue();
    handle.add_after("slow", NONE, seconds(100)).unwrap();
    let consumer = tokio::spawn(async move { timeline(&mut keys).await });
    tokio::time::sleep(seconds(5)).await;
    handle.add_after("quick", NONE, seconds(1)).unwrap();
    assert_eq!(consumer.await.unwrap(), [("quick", 6_000), ("slow", 100_000)]);
}

#[tokio::test(start_paused = true)]
async fn a_request_for_now_leaves_the_deadline_alone() {
    // D9, Q58
    let (handle, mut keys) = queue();
    handle.add_after("a", Causes::TRIGGER, seconds(5)).unwrap();
    handle.add("a", Causes::EVENT, Lane::Fresh).unwrap();
    let claim = take(&mut keys).unwrap();
    assert_eq!(*claim.cause(), Causes::EVENT);
    claim.done();
    assert_eq!(timeline(&mut keys).await, [("a", 5_000)]);
}

#[tokio::test(start_paused = true)]
async fn a_delay_counts_from_the_call_also_before_anybody_takes_keys() {
    // D17, D18, Q26
    let (handle, mut keys) = queue();
    handle.add_after("a", NONE, seconds(60)).unwrap();
    handle.add_after("a", NONE, seconds(60)).unwrap();
    tokio::time::advance(seconds(59)).await;
    assert_eq!(timeline(&mut keys).await, [("a", 1_000)]);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passes_during_a_run_makes_one_more() {
    // D3
    let (handle, mut keys) = queue();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    handle.add_after("a", NONE, seconds(1)).unwrap();
    let claim = take(&mut keys).unwrap();
    tokio::time::advance(seconds(2)).await;
    handle.add("a", NONE, Lane::Fresh).unwrap();
    claim.done();
    assert_eq!(timeline(&mut keys).await, [("a", 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_success_keeps_a_deadline_asked_for() {
    // D15
    let (handle, mut keys) = queue();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    let claim = take(&mut keys).unwrap();
    handle.add_after("a", NONE, seconds(5)).unwrap();
    claim.done();
    assert_eq!(timeline(&mut keys).await, [("a", 5_000)]);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_delay_never_comes() {
    let (handle, mut keys) = queue();
    handle.add_after("a", NONE, seconds(5)).unwrap();
    handle.add_after("b", NONE, seconds(5)).unwrap();
    assert!(handle.cancel(&"a"));
    assert!(!handle.cancel(&"a"));
    assert!(!handle.cancel(&"unknown"));
    assert_eq!(timeline(&mut keys).await, [("b", 5_000)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_due_cannot_be_cancelled() {
    let (handle, mut keys) = queue();
    handle.add_after("a", NONE, seconds(5)).unwrap();
    tokio::time::advance(seconds(5)).await;
    assert!(!handle.cancel(&"a"));
    assert_eq!(drain(&mut keys), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_delay_is_not_remembered_by_a_later_one() {
    let (handle, mut keys) = queue();
    handle.add_after("a", NONE, seconds(5)).unwrap();
    handle.cancel(&"a");
    handle.add_after("a", NONE, seconds(50)).unwrap();
    assert_eq!(timeline(&mut keys).await, [("a", 50_000)]);
}

#[tokio::test(start_paused = true)]
async fn holds_delays_of_any_length() {
    let (handle, mut keys) = queue();
    handle.add_after("never", NONE, Duration::MAX).unwrap();
    handle.add_after("century", NONE, seconds(100 * 365 * 86_400)).unwrap();
    handle.add_after("day", NONE, seconds(80_000)).unwrap();
    assert_eq!(timeline(&mut keys).await, [("day", 80_000_000)]);
    assert_eq!(handle.stats().delayed, 2);
}

#[tokio::test(start_paused = true)]
async fn a_delay_of_decades_comes_on_its_day() {
    let (handle, mut keys) = queue();
    let start = Instant::now();
    handle.add_after("a", NONE, seconds(30 * 365 * 86_400)).unwrap();
    keys.next().await.unwrap().done();
    assert_eq!(start.elapsed(), seconds(30 * 365 * 86_400));
}

#[tokio::test(start_paused = true)]
async fn a_fraction_of_a_millisecond_is_no_short_cut() {
    let (handle, mut keys) = queue();
    handle.add_after("a", NONE, Duration::from_micros(10)).unwrap();
    let start = Instant::now();
    keys.next().await.unwrap().done();
    assert!(start.elapsed() >= Duration::from_micros(10) && start.elapsed() <= millis(2));
}

#[tokio::test(start_paused = true)]
async fn tells_what_waits_for_a_key() {
    let (handle, mut keys) = queue();
    handle.add_after("a", NONE, seconds(5)).unwrap();
    tokio::time::advance(seconds(2)).await;
    let pending = handle.pending(&"a").unwrap();
    assert_eq!((pending.trigger, pending.retry, pending.waiting), (Some(seconds(3)), None, false));
    handle.add("a", NONE, Lane::Fresh).unwrap();
    assert!(handle.pending(&"a").unwrap().waiting);
    take(&mut keys).unwrap().retry();
    let pending = handle.pending(&"a").unwrap();
    assert_eq!((pending.trigger, pending.retry), (Some(seconds(3)), Some(millis(500))));
    assert_eq!(pending.failures, 1);
}
