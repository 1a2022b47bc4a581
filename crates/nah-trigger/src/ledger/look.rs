//! What can be seen of a ledger from outside.

use std::{hash::Hash, time::Duration};

use super::{Entry, Ledger, State};
use crate::{Durations, Merge, Pending, QueueStats, list::Id, tick};

/// What a ledger counts.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    pub(super) adds: u64,
    pub(super) successes: u64,
    pub(super) failures: u64,
    pub(super) retries: u64,
    pub(super) dropped: u64,
    pub(super) waited: Durations,
    pub(super) worked: Durations,
}

impl<K: Clone + Eq + Hash, C: Merge> Ledger<K, C> {
    /// Keys that are listed in one go.
    pub(crate) const PART: usize = 1_024;

    pub(crate) fn stats(&mut self, now: u64) -> QueueStats {
        self.advance(now);
        let since = self.ready.heads().filter_map(|id| match &self.entries[id.index()].state {
            State::Ready(turn) => Some(turn.since),
            State::Idle | State::Running { .. } => None,
        });
        let numbers = &self.numbers;
        QueueStats {
            ready: self.ready.len(),
            background: self.ready.background_len(),
            again: self.again,
            delayed: self.wheel.len(),
            running: self.running,
            oldest: since.min().map(|since| tick::time(now.saturating_sub(since))),
            adds: numbers.adds,
            claims: numbers.waited.count(),
            successes: numbers.successes,
            failures: numbers.failures,
            retries: numbers.retries,
            dropped: numbers.dropped,
            waited: numbers.waited,
            worked: numbers.worked,
        }
    }

    pub(crate) fn pending(&mut self, now: u64, key: &K) -> Option<Pending> {
        self.advance(now);
        Some(self.pending_of(now, &self.entries[self.find(key)?.index()]))
    }

    /// Lists a part of the keys, and says where the next part begins, if there is one.
    pub(crate) fn list(&mut self, now: u64, from: usize, into: &mut Vec<(K, Pending)>) -> Option<usize> {
        self.advance(now);
        let end = self.entries.capacity();
        let next = from.saturating_add(Self::PART).min(end);
        for entry in (from..next).filter_map(|index| self.entries.get(index)) {
            into.push((entry.key.clone(), self.pending_of(now, entry)));
        }
        (next < end).then_some(next)
    }

    /// Notes how long a claim was held.
    pub(crate) fn worked(&mut self, duration: Duration) {
        self.numbers.worked.add(duration);
    }

    fn pending_of(&self, now: u64, entry: &Entry<K, C>) -> Pending {
        let until =
            |timer: Option<Id>| timer.map(|timer| tick::time(self.wheel.deadline(timer).saturating_sub(now)));
        Pending {
            waiting: matches!(entry.state, State::Ready(_) | State::Running { again: Some(_), .. }),
            running: matches!(entry.state, State::Running { .. }),
            trigger: until(entry.trigger),
            retry: until(entry.retry),
            failures: entry.failures,
        }
    }
}
