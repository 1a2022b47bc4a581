//! What is known of every key: its turn, its claim, its deadlines, its failures. Fed `now`, in ticks.

mod end;
mod look;
mod turn;

use std::{
    hash::{BuildHasher, Hash},
    mem,
    time::Duration,
};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use nah_core::panics::quietly;
use slab::Slab;

pub(crate) use self::turn::{Asked, Claimed, Turn, Wait};
use self::{
    look::Numbers,
    turn::{Deadline, Entry, Of, State},
};
use crate::{Lane, Merge, QueueOptions, list::Id, ready::Ready, tick, wheel::Wheel};

/// Memory for so many keys is kept when none is left; more was a burst, and is given back.
pub(crate) const KEPT: usize = 1_024;

/// The keys of a queue. A key without a turn, a claim or a deadline has no entry.
#[derive(Debug)]
pub(crate) struct Ledger<K, C> {
    entries: Slab<Entry<K, C>>,
    /// Finds an entry by its key, which is kept in the entry alone.
    index: HashTable<Id>,
    hasher: RandomState,
    ready: Ready,
    wheel: Wheel<Deadline<C>>,
    /// What is falling due. Empty but during an [`advance`](Self::advance): kept for its memory.
    due: Vec<(u64, Deadline<C>)>,
    closed: bool,
    /// Nobody takes turns any more.
    abandoned: bool,
    /// Causes that nobody needs any more, to be dropped without a lock: that may run code of others.
    dropped: Vec<C>,
    /// Claims held, and those of them whose key has another turn to come.
    running: usize,
    again: usize,
    numbers: Numbers,
}

impl<K: Clone + Eq + Hash, C: Merge> Ledger<K, C> {
    pub(crate) fn new(options: &QueueOptions<K>) -> Self {
        Self {
            entries: Slab::new(),
            index: HashTable::new(),
            hasher: RandomState::default(),
            ready: Ready::new(options.background_share),
            wheel: Wheel::new(),
            due: Vec::new(),
            closed: false,
            abandoned: false,
            dropped: Vec::new(),
            running: 0,
            again: 0,
            numbers: Numbers::default(),
        }
    }

    /// Asks for a key now, and says whether it was not too late for that.
    pub(crate) fn add(&mut self, now: u64, key: impl Into<Asked<K>>, cause: C, lane: Lane) -> bool {
        self.advance(now);
        if self.closed {
            self.dropped.push(cause);
            return false;
        }
        self.numbers.adds += 1;
        let id = self.entry(key.into());
        self.give_turn(id, Turn { cause, lane, since: now });
        true
    }

    /// Asks for a key at a time to come, and says whether it was not too late for that.
    pub(crate) fn add_after(&mut self, now: u64, key: impl Into<Asked<K>>, cause: C, deadline: u64) -> bool {
        if deadline <= now {
            return self.add(now, key, cause, Lane::Fresh);
        }
        self.advance(now);
        if self.closed {
            self.dropped.push(cause);
            return false;
        }
        self.numbers.adds += 1;
        let id = self.entry(key.into());
        let Some(timer) = self.entries[id.index()].trigger else {
            let due = Deadline { entry: id, lane: Lane::Fresh, of: Of::Trigger(cause) };
            self.entries[id.index()].trigger = Some(self.wheel.insert(deadline, due));
            return true;
        };
        if let Of::Trigger(known) = &mut self.wheel.payload_mut(timer).of {
            quietly(|| known.merge(cause));
        }
        if deadline < self.wheel.deadline(timer) {
            self.wheel.reset(timer, deadline);
        }
        true
    }

    /// Takes back the delay asked for, and says whether there was one.
    pub(crate) fn cancel(&mut self, now: u64, key: &K) -> bool {
        self.advance(now);
        let Some(id) = self.find(key) else { return false };
        let Some(timer) = self.entries[id.index()].trigger.take() else { return false };
        if let Of::Trigger(cause) = self.wheel.remove(timer).of {
            self.dropped.push(cause);
        }
        self.forget_if_nothing_left(id);
        true
    }

    /// Hands out the next key.
    pub(crate) fn claim(&mut self, now: u64) -> Option<Claimed<K, C>> {
        self.advance(now);
        let id = self.ready.pop()?;
        let entry = &mut self.entries[id.index()];
        let running = State::Running { again: None, retry_due: false };
        let State::Ready(mut turn) = mem::replace(&mut entry.state, running) else { return None };
        // A run before the retry is a run for the retry too: a success ends the failure, whatever it was about.
        if let Some(timer) = entry.retry {
            let deadline = self.wheel.payload_mut(timer);
            if let Of::Retry(cause) = &mut deadline.of
                && let Some(cause) = cause.take()
            {
                turn = Turn::merged(Some(Turn { cause, lane: deadline.lane, since: turn.since }), turn);
            }
        }
        self.running += 1;
        let waited = tick::time(now.saturating_sub(turn.since));
        self.numbers.waited.add(waited);
        let early = entry.retry.is_some();
        Some(Claimed { id, key: entry.key.clone(), failures: entry.failures, early, waited, turn })
    }

    /// Ends a claim as a success: forgets the failures and a retry that waits.
    pub(crate) fn done(&mut self, now: u64, id: Id) {
        self.advance(now);
        self.numbers.successes += 1;
        let entry = &mut self.entries[id.index()];
        entry.failures = 0;
        if let Some(timer) = entry.retry.take() {
            self.wheel.remove(timer);
        }
        let (again, _) = self.end_claim(id);
        self.settle(id, again);
    }

    /// Ends a claim as a failure, and says how long the key waits for its retry. There is no `wait` where the claim
    /// [came before a retry](Claimed::early): that keeps its time.
    pub(crate) fn retry(&mut self, now: u64, id: Id, mut turn: Turn<C>, wait: Option<Wait>) -> Duration {
        self.advance(now);
        self.numbers.failures += 1;
        turn.since = now;
        let (again, retry_due) = self.end_claim(id);
        if let Some(timer) = self.entries[id.index()].retry {
            let wait = self.wheel.deadline(timer).saturating_sub(now);
            let deadline = self.wheel.payload_mut(timer);
            deadline.lane = deadline.lane.min(turn.lane);
            deadline.of = Of::Retry(Some(turn.cause));
            self.settle(id, again);
            return tick::time(wait);
        }
        if retry_due {
            self.settle_both(id, turn, again);
            return Duration::ZERO;
        }
        let entry = &mut self.entries[id.index()];
        if wait.is_some() {
            entry.failures = entry.failures.saturating_add(1);
            self.numbers.retries += 1;
        }
        let Wait { time, until } = wait.unwrap_or_default();
        match &again {
            // Nothing comes back after the end, but what does have a turn learns what the failed run was for.
            None if self.closed => {
                entry.failures = 0;
                self.numbers.dropped += 1;
                self.dropped.push(turn.cause);
                self.settle(id, None);
            }
            Some(_) if self.closed => self.settle_both(id, turn, again),
            _ if until <= now => self.settle_both(id, turn, again),
            _ => {
                let due = Deadline { entry: id, lane: turn.lane, of: Of::Retry(Some(turn.cause)) };
                entry.retry = Some(self.wheel.insert(until, due));
                self.settle(id, again);
            }
        }
        time
    }

    /// Ends a claim that was not worked on: the key is next in its lane.
    pub(crate) fn release(&mut self, now: u64, id: Id, turn: Turn<C>) {
        self.advance(now);
        let (again, _) = self.end_claim(id);
        if self.abandoned {
            self.numbers.dropped += 1;
            self.dropped.push(turn.cause);
            return self.settle(id, None);
        }
        let turn = match again {
            Some(again) => Turn::merged(Some(turn), again),
            None => turn,
        };
        self.ready.push_front(turn.lane, id);
        self.entries[id.index()].state = State::Ready(turn);
    }

    /// Takes out what is to be dropped.
    pub(crate) fn take_dropped(&mut self) -> Vec<C> {
        mem::take(&mut self.dropped)
    }

    /// When the next deadline may be due.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.wheel.next()
    }

    /// Whether a key can be handed out at once.
    pub(crate) fn has_ready(&self) -> bool {
        self.ready.len() != 0
    }

    /// Whether nothing will be handed out any more, unless a claim is released.
    pub(crate) fn is_ended(&self) -> bool {
        self.closed && self.len() == 0
    }

    /// Whether nothing waits for a turn and no claim is held.
    pub(crate) fn is_idle(&self) -> bool {
        self.len() == 0 && self.running == 0
    }

    /// Keys that have a turn to come. Delayed ones have none yet.
    pub(crate) fn len(&self) -> usize {
        self.ready.len() + self.again
    }

    /// Turns every deadline that `now` has reached into a turn.
    pub(crate) fn advance(&mut self, now: u64) {
        while self.wheel.expire(now, &mut self.due) {
            let mut due = mem::take(&mut self.due);
            for (deadline, due) in due.drain(..) {
                self.fall_due(deadline, due);
            }
            if due.capacity() <= KEPT {
                self.due = due;
            }
        }
    }

    fn fall_due(&mut self, deadline: u64, due: Deadline<C>) {
        let entry = &mut self.entries[due.entry.index()];
        let turn = |cause| Turn { cause, lane: due.lane, since: deadline };
        match due.of {
            Of::Trigger(cause) => {
                entry.trigger = None;
                self.give_turn(due.entry, turn(cause));
            }
            Of::Retry(cause) => {
                entry.retry = None;
                match (&mut entry.state, cause) {
                    (State::Running { retry_due, .. }, None) => *retry_due = true,
                    (_, Some(cause)) => self.give_turn_back(due.entry, turn(cause)),
                    // A claim took the cause and was released: it waits in the turn that the key has.
                    (State::Ready(_) | State::Idle, None) => {}
                }
            }
        }
    }

    fn give_turn(&mut self, id: Id, newer: Turn<C>) {
        match &mut self.entries[id.index()].state {
            State::Ready(turn) => {
                let lifted = turn.lane == Lane::Background && newer.lane == Lane::Fresh;
                turn.merge(newer);
                if lifted {
                    self.ready.lift(id);
                }
            }
            State::Running { again: Some(turn), .. } => turn.merge(newer),
            State::Running { again, .. } => {
                *again = Some(newer);
                self.again += 1;
            }
            idle @ State::Idle => {
                self.ready.push_back(newer.lane, id);
                *idle = State::Ready(newer);
            }
        }
    }

    /// Gives a turn that the key had before those that wait.
    fn give_turn_back(&mut self, id: Id, older: Turn<C>) {
        let entry = &mut self.entries[id.index()];
        match mem::replace(&mut entry.state, State::Idle) {
            State::Ready(newer) => {
                let lifted = newer.lane == Lane::Background && older.lane == Lane::Fresh;
                entry.state = State::Ready(Turn::merged(Some(older), newer));
                if lifted {
                    self.ready.lift(id);
                }
            }
            state => {
                entry.state = state;
                self.give_turn(id, older);
            }
        }
    }

    /// Takes the claim off a key and leaves it idle; says what the key has before it.
    fn end_claim(&mut self, id: Id) -> (Option<Turn<C>>, bool) {
        match mem::replace(&mut self.entries[id.index()].state, State::Idle) {
            State::Running { again, retry_due } => {
                self.running -= 1;
                self.again -= usize::from(again.is_some());
                (again, retry_due)
            }
            // A claim is ended once; any other state has none to end.
            state @ (State::Idle | State::Ready(_)) => {
                self.entries[id.index()].state = state;
                (None, false)
            }
        }
    }

    fn settle_both(&mut self, id: Id, older: Turn<C>, newer: Option<Turn<C>>) {
        let turn = match newer {
            Some(newer) => Turn::merged(Some(older), newer),
            None => older,
        };
        self.settle(id, Some(turn));
    }

    fn settle(&mut self, id: Id, turn: Option<Turn<C>>) {
        match turn {
            Some(turn) => self.give_turn(id, turn),
            None => self.forget_if_nothing_left(id),
        }
    }

    fn find(&self, key: &K) -> Option<Id> {
        let hash = self.hasher.hash_one(key);
        self.index.find(hash, |id| self.entries[id.index()].key == *key).copied()
    }

    /// The entry of `key`, made if there is none.
    fn entry(&mut self, Asked { key, class }: Asked<K>) -> Id {
        let Self { entries, index, hasher, ready, .. } = self;
        let hash = hasher.hash_one(&key);
        let known = index.find(hash, |id| entries[id.index()].key == key).copied();
        let id = known.unwrap_or_else(|| {
            let entry = Entry { key, failures: 0, trigger: None, retry: None, state: State::Idle };
            let id = Id::of(entries.insert(entry));
            index.insert_unique(hash, id, |id| hasher.hash_one(&entries[id.index()].key));
            id
        });
        if let Some(class) = class {
            ready.enter(id, class);
        }
        id
    }

    fn forget_if_nothing_left(&mut self, id: Id) {
        let entry = &self.entries[id.index()];
        if matches!(entry.state, State::Idle) && entry.trigger.is_none() && entry.retry.is_none() {
            self.forget(id);
        }
    }

    fn forget(&mut self, id: Id) -> Option<Entry<K, C>> {
        let entry = self.entries.try_remove(id.index())?;
        self.ready.leave(id);
        let hash = self.hasher.hash_one(&entry.key);
        if let Ok(found) = self.index.find_entry(hash, |known| *known == id) {
            found.remove();
        }
        if self.entries.is_empty() && self.entries.capacity() > KEPT {
            self.entries = Slab::new();
            self.index = HashTable::new();
            self.ready.shrink();
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests;
