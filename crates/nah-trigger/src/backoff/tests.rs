//! Tests of the schedule of waits.

use super::*;

fn schedule(backoff: &Backoff, failures: u32) -> Vec<f64> {
    (1..=failures).map(|failure| backoff.delay(failure, 0.5).as_secs_f64()).collect()
}

#[test]
fn doubles_from_half_a_second_to_fifteen_minutes() {
    // D13
    let exact = Backoff::default().with_jitter(0.0);
    let expected = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 900.0, 900.0];
    assert_eq!(schedule(&exact, 13), expected);
}

#[test]
fn stays_at_the_most_after_a_thousand_failures() {
    // D12
    let backoff = Backoff::new(Duration::from_millis(1), Duration::from_secs(60)).with_jitter(0.0);
    for failure in [17, 31, 32, 33, 64, 1_000, u32::MAX] {
        assert_eq!(backoff.delay(failure, 0.0), Duration::from_secs(60), "failure {failure}");
    }
}

#[test]
fn jitter_takes_off_its_share_at_most() {
    let backoff = Backoff::default();
    let whole = backoff.delay(3, 0.0);
    let shortest = backoff.delay(3, 1.0);
    assert_eq!(whole, Duration::from_secs(2));
    assert!((shortest.as_secs_f64() - 1.8).abs() < 1e-6, "{shortest:?}");
}

#[test]
fn survives_numbers_that_are_none() {
    for jitter in [f32::NAN, f32::INFINITY, -3.0, 7.0] {
        for draw in [f32::NAN, -1.0, 0.5, 2.0] {
            let backoff = Backoff::new(Duration::from_secs(1), Duration::MAX).with_jitter(jitter);
            assert!(backoff.delay(1, draw) <= Duration::from_secs(1));
            assert!(backoff.delay(500, draw) <= Duration::MAX);
        }
    }
}

#[test]
fn a_most_below_the_first_is_the_delay() {
    let backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(2)).with_jitter(0.0);
    assert_eq!(schedule(&backoff, 3), [2.0, 2.0, 2.0]);
}
