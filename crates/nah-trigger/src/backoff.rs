//! How long a key that failed waits.

use std::time::Duration;

use crate::{Failed, RetryPolicy};

/// How long a key that failed waits: a first delay that doubles with each failure in a row.
///
/// Half a second doubling to fifteen minutes, of which a tenth is drawn at random, unless said otherwise.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Backoff {
    /// The delay after the first failure.
    pub first: Duration,
    /// The longest delay.
    pub most: Duration,
    /// Share of each delay that is drawn at random, so that keys which failed together do not retry together.
    pub jitter: f32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(500), most: Duration::from_secs(900), jitter: 0.1 }
    }
}

impl Backoff {
    /// Delays from `first` to `most`, with the usual jitter.
    pub fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, ..Self::default() }
    }

    /// The same delays with another share drawn at random; 0 makes them exact.
    #[must_use]
    pub fn with_jitter(self, jitter: f32) -> Self {
        Self { jitter, ..self }
    }

    /// The delay after the `failure`th failure in a row, the first being 1.
    ///
    /// `draw`, between 0 and 1, says how much of the random share is taken off: jitter makes delays shorter, so that
    /// `most` stays the most.
    pub fn delay(&self, failure: u32, draw: f32) -> Duration {
        let doublings = failure.saturating_sub(1);
        let delay = 1u32.checked_shl(doublings).and_then(|factor| self.first.checked_mul(factor));
        let delay = delay.unwrap_or(self.most).min(self.most);
        let kept = 1.0 - f64::from(self.jitter.clamp(0.0, 1.0)) * f64::from(draw.clamp(0.0, 1.0));
        // A share that is no number leaves the delay as it is.
        Duration::try_from_secs_f64(delay.as_secs_f64() * kept).map_or(delay, |short| short.min(delay))
    }
}

impl RetryPolicy for Backoff {
    fn wait(&self, failed: &Failed) -> Duration {
        self.delay(failed.in_a_row, failed.draw)
    }
}

#[cfg(test)]
mod tests;
