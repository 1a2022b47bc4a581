//! What a queue holds for one key.

use std::time::Duration;

/// What a queue holds for one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pending {
    /// It waits for its turn, or for another one after the claim that is held.
    pub waiting: bool,
    /// A claim of it is held.
    pub running: bool,
    /// How long until the delay asked for is over.
    pub trigger: Option<Duration>,
    /// How long until it is retried.
    pub retry: Option<Duration>,
    /// Failures in a row.
    pub failures: u32,
}
