//! Settings of a queue.

use std::sync::Arc;

use crate::{Backoff, Classes, RetryPolicy};

/// Settings of a queue with keys of the type `K`.
#[derive(Debug)]
#[non_exhaustive]
pub struct QueueOptions<K> {
    /// How long a key that failed waits. Default: a [`Backoff`] from half a second to fifteen minutes.
    pub backoff: Arc<dyn RetryPolicy>,
    /// Of this many keys handed out, at least one comes from the background lane, if it has any. Zero is one.
    pub background_share: u32,
    /// Classes of keys that take turns. Default: none, all keys are alike.
    pub classes: Option<Classes<K>>,
    /// Where the random share of the backoff starts; none draws a seed.
    pub seed: Option<u64>,
}

impl<K> Default for QueueOptions<K> {
    fn default() -> Self {
        Self { backoff: Arc::new(Backoff::default()), background_share: 8, classes: None, seed: None }
    }
}

impl<K> Clone for QueueOptions<K> {
    fn clone(&self) -> Self {
        Self { backoff: self.backoff.clone(), classes: self.classes.clone(), ..*self }
    }
}

impl<K> QueueOptions<K> {
    /// The same settings with another backoff, or another policy of retries.
    #[must_use]
    pub fn with_backoff(self, policy: impl RetryPolicy + 'static) -> Self {
        Self { backoff: Arc::new(policy), ..self }
    }

    /// The same settings with another share of the background lane.
    #[must_use]
    pub fn with_background_share(self, background_share: u32) -> Self {
        Self { background_share, ..self }
    }

    /// The same settings with classes of keys that take turns.
    #[must_use]
    pub fn with_classes(self, classes: Classes<K>) -> Self {
        Self { classes: Some(classes), ..self }
    }

    /// The same settings with a seed, for delays that can be repeated.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self }
    }
}
