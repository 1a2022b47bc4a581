//! A timing wheel: deadlines that are fed `now` and know no clock.

use slab::Slab;

use crate::list::{Id, Links, List};

/// Each level has a slot for every value of six bits, so that one word says which are occupied.
const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;

/// Deadlines in ticks, from the next one to the last that 64 bits can count.
///
/// A deadline lies at the level of the highest group of six bits in which it differs from `elapsed`, in the slot that
/// this group numbers. So a slot never wraps round, the lowest occupied level holds the earliest deadline, and where
/// an entry lies follows from its deadline alone until `elapsed` enters its slot: then it moves down. Insert, reset and
/// remove are O(1), and an entry moves ten times at most in its life: not at all where its slot is over by the time
/// that somebody looks. Equal deadlines come out first in, first out.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    elapsed: u64,
    /// Grown on demand: most queues never see a delay beyond a few hours.
    levels: Vec<Level>,
    timers: Slab<Timer<T>>,
    links: Links,
}

#[derive(Debug)]
struct Timer<T> {
    deadline: u64,
    payload: T,
}

#[derive(Debug)]
struct Level {
    occupied: u64,
    slots: [List; SLOTS],
}

impl<T> Wheel<T> {
    pub(crate) fn new() -> Self {
        Self { elapsed: 0, levels: Vec::new(), timers: Slab::new(), links: Links::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.timers.len()
    }

    /// Adds a deadline. One that has passed is due at once.
    pub(crate) fn insert(&mut self, deadline: u64, payload: T) -> Id {
        let deadline = deadline.max(self.elapsed);
        let id = Id::of(self.timers.insert(Timer { deadline, payload }));
        self.link(id, deadline);
        id
    }

    /// Moves a deadline.
    pub(crate) fn reset(&mut self, id: Id, deadline: u64) {
        self.unlink(id);
        let deadline = deadline.max(self.elapsed);
        self.timers[id.index()].deadline = deadline;
        self.link(id, deadline);
    }

    pub(crate) fn remove(&mut self, id: Id) -> T {
        self.unlink(id);
        let timer = self.timers.remove(id.index());
        self.shrink();
        timer.payload
    }

    pub(crate) fn deadline(&self, id: Id) -> u64 {
        self.timers[id.index()].deadline
    }

    pub(crate) fn payload_mut(&mut self, id: Id) -> &mut T {
        &mut self.timers[id.index()].payload
    }

    /// When to call [`expire`](Self::expire) again: the next deadline, or an earlier tick at which entries move down.
    pub(crate) fn next(&self) -> Option<u64> {
        self.next_slot().map(|(_, _, start)| start)
    }

    /// Takes out some of what `now` has reached, the earliest first, and says whether there was any. To be called until
    /// there is none: what a call takes is due before all that is left.
    pub(crate) fn expire(&mut self, now: u64, due: &mut Vec<(u64, T)>) -> bool {
        loop {
            let Some((level, slot, start)) = self.next_slot().filter(|(_, _, start)| *start <= now) else {
                self.elapsed = self.elapsed.max(now);
                return false;
            };
            let end = start | ((1 << (level as u32 * BITS)) - 1);
            if end <= now {
                self.elapsed = self.elapsed.max(end);
                self.take_slot(level, slot, due);
                return true;
            }
            self.elapsed = self.elapsed.max(start);
            self.move_down(level, slot);
        }
    }

    /// The earliest occupied slot and the first tick that it covers.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        let (at, level) = self.levels.iter().enumerate().find(|(_, level)| level.occupied != 0)?;
        let slot = level.occupied.trailing_zeros();
        let shift = at as u32 * BITS;
        // What is above this level's bits is the same in `elapsed`; the topmost level has nothing above it.
        let above = u64::MAX.checked_shl(shift + BITS).unwrap_or(0);
        Some((at, slot as usize, (self.elapsed & above) | (u64::from(slot) << shift)))
    }

    /// Takes out all of a slot that is over, sorted: one pass, where moving it down to the last level takes one a level.
    fn take_slot(&mut self, level: usize, slot: usize, due: &mut Vec<(u64, T)>) {
        let list = self.empty(level, slot);
        let before = due.len();
        for id in self.links.iter(list) {
            let Timer { deadline, payload } = self.timers.remove(id.index());
            due.push((deadline, payload));
        }
        // Stable, so that equal deadlines stay first in, first out. At the last level all are equal.
        if level > 0 {
            due[before..].sort_by_key(|(deadline, _)| *deadline);
        }
        self.shrink();
    }

    fn move_down(&mut self, level: usize, slot: usize) {
        let mut list = self.empty(level, slot);
        while let Some(id) = self.links.pop_front(&mut list) {
            let deadline = self.timers[id.index()].deadline;
            self.link(id, deadline);
        }
    }

    /// Leaves a slot empty, and gives what was in it.
    fn empty(&mut self, level: usize, slot: usize) -> List {
        let Level { occupied, slots } = &mut self.levels[level];
        *occupied &= !(1 << slot);
        std::mem::take(&mut slots[slot])
    }

    fn link(&mut self, id: Id, deadline: u64) {
        let (at, slot) = self.position(deadline);
        while self.levels.len() <= at {
            self.levels.push(Level { occupied: 0, slots: [List::default(); SLOTS] });
        }
        let level = &mut self.levels[at];
        level.occupied |= 1 << slot;
        self.links.push_back(&mut level.slots[slot], id);
    }

    fn unlink(&mut self, id: Id) {
        let (at, slot) = self.position(self.timers[id.index()].deadline);
        let level = &mut self.levels[at];
        self.links.remove(&mut level.slots[slot], id);
        if level.slots[slot].is_empty() {
            level.occupied &= !(1 << slot);
        }
    }

    fn position(&self, deadline: u64) -> (usize, usize) {
        let differing = (self.elapsed ^ deadline) | (SLOTS as u64 - 1);
        let level = differing.ilog2() / BITS;
        let slot = (deadline >> (level * BITS)) as usize % SLOTS;
        (level as usize, slot)
    }

    /// Gives back the memory of a burst that is over.
    fn shrink(&mut self) {
        if self.timers.is_empty() && self.timers.capacity() > crate::ledger::KEPT {
            self.timers = Slab::new();
            self.links = Links::default();
        }
    }
}

#[cfg(test)]
mod tests;
