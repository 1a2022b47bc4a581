//! Ticks: the time of a queue in whole numbers.

use std::time::Duration;

/// Ticks in a millisecond.
///
/// tokio wakes once a millisecond at most. A wake serves what is due by then only if ticks are finer than that: in ticks
/// of a millisecond, what is due in the rest of one would wait for the next wake.
const A_MILLI: u64 = 16;
const NANOS: u128 = 1_000_000 / A_MILLI as u128;

/// Ticks that have begun by `time`: nothing fires before its time.
pub(crate) fn rounded_up(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(NANOS)).unwrap_or(u64::MAX)
}

/// Ticks that are over at `time`.
pub(crate) fn rounded_down(time: Duration) -> u64 {
    u64::try_from(time.as_nanos() / NANOS).unwrap_or(u64::MAX)
}

/// How long so many ticks are.
pub(crate) fn time(ticks: u64) -> Duration {
    let (whole, rest) = (ticks / A_MILLI, ticks % A_MILLI);
    Duration::from_millis(whole) + Duration::from_nanos(rest * NANOS as u64)
}

#[cfg(test)]
mod tests;
