//! Tests of the conversions.

use super::*;

#[test]
fn rounds_up_so_that_nothing_fires_early_and_down_for_now() {
    assert_eq!((rounded_up(Duration::ZERO), rounded_down(Duration::ZERO)), (0, 0));
    let short = Duration::from_nanos(1);
    assert_eq!((rounded_up(short), rounded_down(short)), (1, 0));
    let exact = Duration::from_millis(7);
    assert_eq!((rounded_up(exact), rounded_down(exact)), (7 * 16, 7 * 16));
}

#[test]
fn counts_as_far_as_numbers_go() {
    assert_eq!((rounded_up(Duration::MAX), rounded_down(Duration::MAX)), (u64::MAX, u64::MAX));
    assert!(time(u64::MAX) > Duration::from_secs(86_400 * 365 * 30_000_000));
}

#[test]
fn gives_back_the_time_that_it_was_given() {
    for time_given in [Duration::ZERO, Duration::from_millis(499), Duration::from_nanos(62_500)] {
        assert_eq!(time(rounded_up(time_given)), time_given);
    }
}
