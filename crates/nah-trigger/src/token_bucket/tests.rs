//! Tests of the token bucket, by hand and against one that counts tokens.

use proptest::prelude::*;

use super::*;

fn wait(bucket: &TokenBucket, at: Instant) -> Duration {
    bucket.wait(&Failed::new(1, at, 0.5))
}

#[test]
fn a_burst_is_let_through_and_the_rest_waits_in_line() // D12
{
    let (bucket, start) = (TokenBucket::new(Duration::from_millis(100), 3), Instant::now());
    let waits: Vec<_> = (0..6).map(|_| wait(&bucket, start).as_millis()).collect();
    assert_eq!(waits, [0, 0, 0, 100, 200, 300]);
}

#[test]
fn a_bucket_that_never_fills_lets_its_burst_through_and_no_more() {
    let (bucket, start) = (TokenBucket::new(Duration::MAX, 2), Instant::now());
    let century = Duration::from_secs(100 * 365 * 24 * 3_600);
    let waits: Vec<_> = (0..4).map(|_| wait(&bucket, start) >= century).collect();
    assert_eq!(waits, [false, false, true, true]);
}

#[test]
fn tokens_come_back_up_to_the_burst() {
    let (bucket, start) = (TokenBucket::new(Duration::from_millis(100), 2), Instant::now());
    let at = |millis| start + Duration::from_millis(millis);
    for expected in [0, 0, 100] {
        assert_eq!(wait(&bucket, at(0)).as_millis(), expected);
    }
    assert_eq!(wait(&bucket, at(150)).as_millis(), 50);
    let later: Vec<_> = (0..3).map(|_| wait(&bucket, at(60_000)).as_millis()).collect();
    assert_eq!(later, [0, 0, 100]);
}

#[test]
fn survives_intervals_of_none_and_of_ever() {
    let start = Instant::now();
    for burst in [0, 1, u32::MAX] {
        let none = TokenBucket::new(Duration::ZERO, burst);
        let ever = TokenBucket::new(Duration::MAX, burst);
        for _ in 0..3 {
            assert_eq!(wait(&none, start), Duration::ZERO);
            wait(&ever, start);
        }
    }
}

proptest! {
    #[test]
    fn behaves_as_one_that_counts_tokens(
        burst in 1u32..5,
        pauses in prop::collection::vec(0u64..400, 1..60),
    ) {
        let bucket = TokenBucket::new(Duration::from_millis(100), burst);
        let mut at = Instant::now();
        // In hundredths, because a token takes a hundred milliseconds.
        let mut hundredths = i64::from(burst) * 100;
        for pause in pauses {
            at += Duration::from_millis(pause);
            hundredths = (hundredths + pause as i64).min(i64::from(burst) * 100) - 100;
            prop_assert_eq!(wait(&bucket, at).as_millis() as i64, (-hundredths).max(0));
        }
    }
}
