//! Tests of the small policies, alone and together.

use std::sync::Arc;

use tokio::time::Instant;

use super::*;
use crate::{Backoff, TokenBucket};

const SECOND: Duration = Duration::from_secs(1);

fn waits(policy: &impl RetryPolicy, failures: u32) -> Vec<u64> {
    waits_at(Instant::now(), policy, failures)
}

fn waits_at(at: Instant, policy: &impl RetryPolicy, failures: u32) -> Vec<u64> {
    (1..=failures).map(|failure| policy.wait(&Failed::new(failure, at, 0.5)).as_secs()).collect()
}

#[test]
fn fixed_waits_the_same_each_time() {
    assert_eq!(waits(&Fixed(SECOND * 3), 4), [3, 3, 3, 3]);
}

#[test]
fn fast_slow_is_fast_at_first_and_slow_afterwards() // D12
{
    assert_eq!(waits(&FastSlow::new(SECOND, SECOND * 60, 3), 5), [1, 1, 1, 60, 60]);
    assert_eq!(waits(&FastSlow::new(SECOND, SECOND * 60, 0), 2), [60, 60]);
}

#[test]
fn of_several_the_longest_wait_counts() // D12
{
    let growing = Backoff::new(SECOND, SECOND * 100).with_jitter(0.0);
    let policy = LongestOf::new().and(Fixed(SECOND * 5)).and(growing);
    assert_eq!(waits(&policy, 5), [5, 5, 5, 8, 16]);
    assert_eq!(waits(&LongestOf::new(), 2), [0, 0]);
}

#[test]
fn each_of_several_is_asked_about_each_failure() {
    let bucket = Arc::new(TokenBucket::new(SECOND, 2));
    let policy = LongestOf::new().and(Fixed(SECOND * 30)).and(bucket.clone());
    let at = Instant::now();
    assert_eq!(waits_at(at, &policy, 4), [30, 30, 30, 30]);
    assert_eq!(waits_at(at, &bucket, 1), [3], "four tokens of two were taken");
}
