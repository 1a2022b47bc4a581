//! What a queue is doing, in numbers.

use std::time::Duration;

/// What a queue is doing, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStats {
    /// Keys that wait for their turn, in both lanes.
    pub ready: usize,
    /// Those of them that wait in the background lane.
    pub background: usize,
    /// Deadlines that wait, of triggers and of retries.
    pub delayed: usize,
    /// Claims held.
    pub running: usize,
    /// How long the head of a lane has waited, the longer of the two.
    pub oldest: Option<Duration>,
    /// Requests taken, delayed ones too, since the queue was made.
    pub adds: u64,
    /// Keys handed out since the queue was made.
    pub claims: u64,
    /// Failures counted since the queue was made.
    pub retries: u64,
}
