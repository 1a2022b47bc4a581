//! Tests of the histogram.

use super::*;

fn of(micros: &[u64]) -> Durations {
    let mut durations = Durations::default();
    for micros in micros {
        durations.add(Duration::from_micros(*micros));
    }
    durations
}

/// The buckets that are not empty.
fn filled(durations: &Durations) -> Vec<(Option<u64>, u64)> {
    let buckets = durations.buckets().filter(|(_, count)| *count != 0);
    buckets.map(|(bound, count)| (bound.map(|bound| bound.as_micros() as u64), count)).collect()
}

#[test]
fn a_duration_falls_below_the_first_bound_that_is_longer() {
    let durations = of(&[0, 127, 128, 255, 256, 300]);
    assert_eq!(filled(&durations), [(Some(128), 2), (Some(256), 2), (Some(512), 2)]);
    assert_eq!((durations.count(), durations.sum()), (6, Duration::from_micros(1_066)));
}

#[test]
fn what_is_longer_than_every_bound_is_counted_apart() {
    let mut durations = of(&[(128 << 23) - 1, 128 << 23]);
    durations.add(Duration::MAX);
    durations.add(Duration::MAX);
    assert_eq!(filled(&durations), [(Some(128 << 23), 1), (None, 3)]);
    assert_eq!(durations.sum(), Duration::MAX);
}

#[test]
fn the_bounds_are_powers_of_two() {
    let durations = Durations::default();
    let bounds: Vec<_> = durations.buckets().map_while(|(bound, _)| bound).collect();
    assert_eq!(bounds.len(), 24);
    assert!(bounds.windows(2).all(|pair| pair[0] * 2 == pair[1]));
}
