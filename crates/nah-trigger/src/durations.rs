//! How long something took, many times.

use std::{fmt, time::Duration};

/// The first bound is 2⁷ µs, and each bound is twice the one before.
const FIRST_BIT: u32 = 7;
const BOUNDS: usize = 24;

/// How long something took, many times: the counts of a histogram, and the sum.
///
/// The bounds are 128 µs doubling to 18 minutes; one more bucket holds what is longer. Counts and sum only ever grow, as
/// those of a histogram of Prometheus do.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Durations {
    counts: [u64; BOUNDS + 1],
    sum: Duration,
}

impl Durations {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How long they took together.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// The buckets in rising order: the bound that each ends before, none for the last, and how many fell into it.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bound = |at| (at < BOUNDS).then(|| Duration::from_micros(1u64 << (FIRST_BIT as usize + at)));
        self.counts.iter().enumerate().map(move |(at, count)| (bound(at), *count))
    }

    pub(crate) fn add(&mut self, duration: Duration) {
        let micros = duration.as_micros();
        let at = (u128::BITS - (micros >> FIRST_BIT).leading_zeros()) as usize;
        self.counts[at.min(BOUNDS)] += 1;
        self.sum = self.sum.saturating_add(duration);
    }
}

impl fmt::Debug for Durations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Durations").field("count", &self.count()).field("sum", &self.sum).finish()
    }
}

#[cfg(test)]
mod tests;
