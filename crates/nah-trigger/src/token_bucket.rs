//! A limit on the retries of all keys together.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{Failed, RetryPolicy};

/// As good as never, and short enough that any number of such intervals can be added to the time of day.
const NEVER: Duration = Duration::from_secs(100 * 366 * 24 * 3_600);

/// A limit on the retries of all keys together: each takes a token, or waits for the next that is not spoken for.
///
/// A bucket holds so many tokens at most and is full at first; after that there is one every interval. Shared by an
/// `Arc`, it is a limit for several queues together.
#[derive(Debug)]
pub struct TokenBucket {
    interval: Duration,
    /// What the bucket holds beyond one token, in the time that it takes to fill.
    spare: Duration,
    /// When the bucket would be full if nobody took from it any more.
    full: Mutex<Option<Instant>>,
}

impl TokenBucket {
    /// A bucket of `burst` tokens, one at the least, that gets a token back every `interval`.
    pub fn new(interval: Duration, burst: u32) -> Self {
        let interval = interval.min(NEVER);
        let spare = interval.checked_mul(burst.saturating_sub(1)).unwrap_or(Duration::MAX);
        Self { interval, spare, full: Mutex::new(None) }
    }
}

impl RetryPolicy for TokenBucket {
    fn wait(&self, failed: &Failed) -> Duration {
        let mut full = self.full.lock();
        let before = full.map_or(failed.at, |full| full.max(failed.at));
        *full = Some(before.checked_add(self.interval).unwrap_or(before));
        before.saturating_duration_since(failed.at).saturating_sub(self.spare)
    }
}

#[cfg(test)]
mod tests;
