//! When what failed comes back: the policy of a queue, asked without its lock.

use std::{fmt, sync::Arc, time::Duration};

use nah_core::panics::quietly;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{Backoff, Failed, QueueOptions, RetryPolicy};

/// The policy of a queue, and the source of its draws.
pub(crate) struct Retries {
    policy: Arc<dyn RetryPolicy>,
    random: Mutex<fastrand::Rng>,
}

impl Retries {
    pub(crate) fn new<K>(options: &QueueOptions<K>) -> Self {
        let random = options.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        Self { policy: options.backoff.clone(), random: Mutex::new(random) }
    }

    /// How long a key waits that has now failed so many times in a row.
    pub(crate) fn wait(&self, in_a_row: u32, at: Instant) -> Duration {
        let draw = self.random.lock().f32();
        let failed = Failed::new(in_a_row, at, draw);
        // A key must come back whatever its policy does, also where the worker itself is unwinding.
        quietly(|| self.policy.wait(&failed)).unwrap_or_else(|| Backoff::default().wait(&failed))
    }
}

impl fmt::Debug for Retries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retries").finish_non_exhaustive()
    }
}
