//! Whose turn it is: two lanes of keys, in each of which classes take turns.

mod members;
mod round;

use self::{members::Members, round::Round};
use crate::{
    classes::Class,
    list::{Id, Links},
};

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
    members: Members,
    lanes: [Round; 2],
    share: u32,
    /// Fresh keys handed out since the last one of the background.
    in_a_row: u32,
}

impl Ready {
    pub(crate) fn new(share: u32) -> Self {
        Self {
            links: Links::default(),
            members: Members::default(),
            lanes: Default::default(),
            share,
            in_a_row: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.lanes.iter().map(Round::len).sum()
    }

    pub(crate) fn background_len(&self) -> usize {
        self.lanes[Lane::Background as usize].len()
    }

    /// The heads of the lanes, one for each class.
    pub(crate) fn heads(&self) -> impl Iterator<Item = Id> {
        self.lanes.iter().flat_map(Round::heads)
    }

    /// Notes the class of an id, which need not wait. Without a class it needs no note.
    pub(crate) fn enter(&mut self, id: Id, class: Class) {
        self.members.enter(id, class);
    }

    /// Forgets the class of an id that does not wait.
    pub(crate) fn leave(&mut self, id: Id) {
        self.members.leave(id);
    }

    pub(crate) fn push_back(&mut self, lane: Lane, id: Id) {
        let class = self.members.class_of(id);
        self.lanes[lane as usize].push_back(&mut self.links, id, class);
    }

    pub(crate) fn push_front(&mut self, lane: Lane, id: Id) {
        let class = self.members.class_of(id);
        self.lanes[lane as usize].push_front(&mut self.links, id, class);
    }

    /// Moves an id that waits in the background behind the fresh ones.
    pub(crate) fn lift(&mut self, id: Id) {
        let (class, _) = self.members.class_of(id);
        self.lanes[Lane::Background as usize].remove(&mut self.links, id, class);
        self.push_back(Lane::Fresh, id);
    }

    pub(crate) fn pop(&mut self) -> Option<Id> {
        let lane = self.turn();
        let members = &self.members;
        let id = self.lanes[lane as usize].pop(&mut self.links, |id| members.class_of(id).1)?;
        self.in_a_row = match lane {
            Lane::Fresh => self.in_a_row.saturating_add(1),
            Lane::Background => 0,
        };
        Some(id)
    }

    /// Gives back the memory of a burst that is over.
    pub(crate) fn shrink(&mut self) {
        if self.len() == 0 {
            *self = Self { in_a_row: self.in_a_row, ..Self::new(self.share) };
        }
    }

    fn turn(&self) -> Lane {
        let [fresh, background] = &self.lanes;
        let due = self.in_a_row.saturating_add(1) >= self.share;
        if background.len() != 0 && (due || fresh.len() == 0) { Lane::Background } else { Lane::Fresh }
    }
}

#[cfg(test)]
mod tests;
