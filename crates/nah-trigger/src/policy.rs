//! What decides how long a key that failed waits.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

/// Decides how long a key that failed waits for its retry.
///
/// A failure that comes while a retry is pending is not asked about: the retry keeps its time. Shipped are
/// [`Backoff`](crate::Backoff), [`Fixed`](crate::Fixed), [`FastSlow`](crate::FastSlow),
/// [`TokenBucket`](crate::TokenBucket) and [`LongestOf`](crate::LongestOf) several.
pub trait RetryPolicy: Send + Sync + fmt::Debug {
    /// How long the key waits; zero is now.
    ///
    /// Called without a lock, by whoever ends the claim: it may call the queue. A policy that panics is taken for a default
    /// [`Backoff`](crate::Backoff).
    fn wait(&self, failed: &Failed) -> Duration;
}

/// A failure that a [`RetryPolicy`] is asked about.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Failed {
    /// How many times in a row the key has failed; the first failure is 1.
    pub in_a_row: u32,
    /// When.
    pub at: Instant,
    /// A number drawn between 0 and 1, from the seed of the queue.
    pub draw: f32,
}

impl Failed {
    /// A failure, as a queue tells of it.
    pub fn new(in_a_row: u32, at: Instant, draw: f32) -> Self {
        Self { in_a_row, at, draw }
    }
}

impl<P: RetryPolicy + ?Sized> RetryPolicy for Arc<P> {
    fn wait(&self, failed: &Failed) -> Duration {
        (**self).wait(failed)
    }
}

impl<P: RetryPolicy + ?Sized> RetryPolicy for Box<P> {
    fn wait(&self, failed: &Failed) -> Duration {
        (**self).wait(failed)
    }
}
