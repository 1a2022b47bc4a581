//! Policies of retries that are a line each.

use std::time::Duration;

use crate::{Failed, RetryPolicy};

/// The same wait after every failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed(pub Duration);

/// A short wait after each of the first failures in a row, a long one after each of the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FastSlow {
    /// The wait after the first failures.
    pub fast: Duration,
    /// The wait after all others.
    pub slow: Duration,
    /// How many failures in a row are the first ones.
    pub attempts: u32,
}

/// The longest wait that any of several policies asks for.
///
/// Each of them is asked about each failure, so a [`TokenBucket`](crate::TokenBucket) among them counts them all.
#[derive(Debug, Default)]
pub struct LongestOf(Vec<Box<dyn RetryPolicy>>);

impl FastSlow {
    /// `fast` after each of the first `attempts` failures in a row, `slow` after the rest.
    pub fn new(fast: Duration, slow: Duration, attempts: u32) -> Self {
        Self { fast, slow, attempts }
    }
}

impl LongestOf {
    /// No policy yet, which is no wait.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same policies and another.
    #[must_use]
    pub fn and(mut self, policy: impl RetryPolicy + 'static) -> Self {
        self.0.push(Box::new(policy));
        self
    }
}

impl RetryPolicy for Fixed {
    fn wait(&self, _: &Failed) -> Duration {
        self.0
    }
}

impl RetryPolicy for FastSlow {
    fn wait(&self, failed: &Failed) -> Duration {
        if failed.in_a_row <= self.attempts { self.fast } else { self.slow }
    }
}

impl RetryPolicy for LongestOf {
    fn wait(&self, failed: &Failed) -> Duration {
        self.0.iter().map(|policy| policy.wait(failed)).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
