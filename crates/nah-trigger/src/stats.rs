//! What a queue is doing, in numbers.

use std::time::Duration;

use crate::Durations;

/// What a queue is doing, in numbers: what there is now, and counters since the queue was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStats {
    /// Keys that wait for their turn, in both lanes.
    pub ready: usize,
    /// Those of them that wait in the background lane.
    pub background: usize,
    /// Keys that were asked for while their claim is held, and wait for its end.
    pub again: usize,
    /// Deadlines that wait, of triggers and of retries.
    pub delayed: usize,
    /// Claims held.
    pub running: usize,
    /// How long the head of a lane has waited; of several, with classes the head of each, the longest.
    pub oldest: Option<Duration>,
    /// Requests taken, delayed ones too.
    pub adds: u64,
    /// Keys handed out.
    pub claims: u64,
    /// Claims that ended as a success.
    pub successes: u64,
    /// Claims that ended as a failure, those that were not counted too.
    pub failures: u64,
    /// Failures that were counted, each of which has a retry.
    pub retries: u64,
    /// Deadlines and turns that nobody will have any more, because the queue has ended.
    pub dropped: u64,
    /// How long keys waited for their turn, since the first request for them or since they were due.
    pub waited: Durations,
    /// How long claims were held that ended as a success or a failure.
    pub worked: Durations,
}
