//! How a ledger ends: what is dropped then, and what is still handed out.

use std::{hash::Hash, mem};

use super::{Ledger, State};
use crate::{Merge, list::Id, wheel::Wheel};

impl<K: Clone + Eq + Hash, C: Merge> Ledger<K, C> {
    /// Takes no more requests and drops what is delayed. Gives back what it dropped, to be dropped without a lock.
    pub(crate) fn close(&mut self, now: u64) -> impl Sized + use<K, C> {
        self.advance(now);
        self.closed = true;
        let mut dropped = Vec::new();
        for (index, entry) in &mut self.entries {
            entry.trigger = None;
            entry.retry = None;
            if let State::Idle = entry.state {
                dropped.push(Id::of(index));
            }
        }
        let wheel = mem::replace(&mut self.wheel, Wheel::new());
        self.numbers.dropped += wheel.len() as u64;
        let entries: Vec<_> = dropped.into_iter().filter_map(|id| self.forget(id)).collect();
        (wheel, entries)
    }

    /// Drops every turn that waits, because nobody will take it.
    pub(crate) fn abandon(&mut self, now: u64) -> impl Sized + use<K, C> {
        let dropped = self.close(now);
        self.abandoned = true;
        let mut turns = Vec::new();
        while let Some(id) = self.ready.pop() {
            turns.push(mem::replace(&mut self.entries[id.index()].state, State::Idle));
            self.forget_if_nothing_left(id);
        }
        for (_, entry) in &mut self.entries {
            if let State::Running { again, .. } = &mut entry.state
                && let Some(turn) = again.take()
            {
                self.again -= 1;
                turns.push(State::Ready(turn));
            }
        }
        self.numbers.dropped += turns.len() as u64;
        (dropped, turns)
    }
}
