//! Settings of a queue.

use crate::Backoff;

/// Settings of a queue.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct QueueOptions {
    /// How long a key that failed waits.
    pub backoff: Backoff,
    /// Of this many keys handed out, at least one comes from the background lane, if it has any. Zero is one.
    pub background_share: u32,
    /// Where the random share of the backoff starts; none draws a seed.
    pub seed: Option<u64>,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self { backoff: Backoff::default(), background_share: 8, seed: None }
    }
}

impl QueueOptions {
    /// The same settings with another backoff.
    #[must_use]
    pub fn with_backoff(self, backoff: Backoff) -> Self {
        Self { backoff, ..self }
    }

    /// The same settings with another share of the background lane.
    #[must_use]
    pub fn with_background_share(self, background_share: u32) -> Self {
        Self { background_share, ..self }
    }

    /// The same settings with a seed, for delays that can be repeated.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self }
    }
}
