//! Ticks: the time of a queue in whole numbers.

use std::time::Duration;

/// Ticks in a millisecond.
///
/// tokio wakes once a millisecond at most. A wake serves what is due by then only if ticks are finer than that: in ticks
/// of a millisecond, what is due in the rest of one would wait for the next wake.
const A_MILLI: u64 = 16;
const NANOS: u32 = 1_000_000 / A_MILLI as u32;

/// Ticks that have begun by `time`: nothing fires before its time.
pub(crate) fn rounded_up(time: Duration) -> u64 {
    whole_seconds(time).saturating_add(time.subsec_nanos().div_ceil(NANOS).into())
}

/// Ticks that are over at `time`.
pub(crate) fn rounded_down(time: Duration) -> u64 {
    whole_seconds(time).saturating_add((time.subsec_nanos() / NANOS).into())
}

/// A second is a whole number of ticks: to divide all its nanoseconds would take a hundred times as long.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000 * A_MILLI)
}

/// How long so many ticks are.
pub(crate) fn time(ticks: u64) -> Duration {
    let (whole, rest) = (ticks / A_MILLI, ticks % A_MILLI);
    Duration::from_millis(whole) + Duration::from_nanos(rest * u64::from(NANOS))
}

#[cfg(test)]
mod tests;
