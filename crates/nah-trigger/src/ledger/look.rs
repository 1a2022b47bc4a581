//! What can be seen of a ledger from outside.

use std::{hash::Hash, time::Duration};

use super::{Ledger, State};
use crate::{Merge, Pending, QueueStats, list::Id};

impl<K: Clone + Eq + Hash, C: Merge> Ledger<K, C> {
    pub(crate) fn stats(&mut self, now: u64) -> QueueStats {
        self.advance(now);
        let since = self.ready.heads().filter_map(|id| match &self.entries[id.index()].state {
            State::Ready(turn) => Some(turn.since),
            State::Idle | State::Running { .. } => None,
        });
        QueueStats {
            ready: self.ready.len(),
            background: self.ready.background_len(),
            delayed: self.wheel.len(),
            running: self.running,
            oldest: since.min().map(|since| Duration::from_millis(now.saturating_sub(since))),
            adds: self.adds,
            claims: self.claims,
            retries: self.retries,
        }
    }

    pub(crate) fn pending(&mut self, now: u64, key: &K) -> Option<Pending> {
        self.advance(now);
        let entry = &self.entries[self.find(key)?.index()];
        let until = |timer: Option<Id>| {
            timer.map(|timer| Duration::from_millis(self.wheel.deadline(timer).saturating_sub(now)))
        };
        Some(Pending {
            waiting: matches!(entry.state, State::Ready(_) | State::Running { again: Some(_), .. }),
            running: matches!(entry.state, State::Running { .. }),
            trigger: until(entry.trigger),
            retry: until(entry.retry),
            failures: entry.failures,
        })
    }
}
