//! Whose turn it is: two lanes of keys, each first in, first out.

use crate::list::{Id, Links, List};

/// Which of two lanes a key waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Something happened: served first.
    Fresh,
    /// Nothing happened (a first listing, a resync, a replay): served when nothing is fresh, and otherwise by its share.
    Background,
}

/// Who is next. Knows ids only, so what a turn is for can change without it.
#[derive(Debug)]
pub(crate) struct Ready {
    links: Links,
    fresh: List,
    background: List,
    lengths: [usize; 2],
    share: u32,
    /// Fresh keys handed out since the last one of the background.
    in_a_row: u32,
}

impl Ready {
    pub(crate) fn new(share: u32) -> Self {
        Self {
            links: Links::default(),
            fresh: List::default(),
            background: List::default(),
            lengths: [0; 2],
            share,
            in_a_row: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.lengths.iter().sum()
    }

    pub(crate) fn background_len(&self) -> usize {
        self.lengths[Lane::Background as usize]
    }

    /// The heads of the lanes.
    pub(crate) fn heads(&self) -> impl Iterator<Item = Id> {
        self.fresh.first().into_iter().chain(self.background.first())
    }

    pub(crate) fn push_back(&mut self, lane: Lane, id: Id) {
        self.lengths[lane as usize] += 1;
        let (links, list) = self.lane(lane);
        links.push_back(list, id);
    }

    pub(crate) fn push_front(&mut self, lane: Lane, id: Id) {
        self.lengths[lane as usize] += 1;
        let (links, list) = self.lane(lane);
        links.push_front(list, id);
    }

    /// Moves an id that waits in the background behind the fresh ones.
    pub(crate) fn lift(&mut self, id: Id) {
        self.lengths[Lane::Background as usize] -= 1;
        self.links.remove(&mut self.background, id);
        self.push_back(Lane::Fresh, id);
    }

    pub(crate) fn pop(&mut self) -> Option<Id> {
        let lane = self.turn();
        let (links, list) = self.lane(lane);
        let id = links.pop_front(list)?;
        self.lengths[lane as usize] -= 1;
        self.in_a_row = match lane {
            Lane::Fresh => self.in_a_row.saturating_add(1),
            Lane::Background => 0,
        };
        Some(id)
    }

    /// Gives back the memory of a burst that is over.
    pub(crate) fn shrink(&mut self) {
        if self.len() == 0 {
            self.links = Links::default();
        }
    }

    fn turn(&self) -> Lane {
        let due = self.in_a_row.saturating_add(1) >= self.share;
        if !self.background.is_empty() && (due || self.fresh.is_empty()) {
            Lane::Background
        } else {
            Lane::Fresh
        }
    }

    fn lane(&mut self, lane: Lane) -> (&mut Links, &mut List) {
        let list = match lane {
            Lane::Fresh => &mut self.fresh,
            Lane::Background => &mut self.background,
        };
        (&mut self.links, list)
    }
}

#[cfg(test)]
mod tests;
