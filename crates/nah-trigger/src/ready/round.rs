//! One lane: classes that take turns, and the ids of each, first in, first out.

use crate::list::{Id, Links, List};

/// The classes of a lane that have an id waiting, in the order of their turns.
///
/// A class that comes joins at the end. Its turn is as many ids as its weight says; then it goes to the end again. So an
/// id that is the first of its class waits for one turn of every other class at most.
#[derive(Debug, Default)]
pub(super) struct Round {
    order: List,
    links: Links,
    /// By class.
    waiting: Vec<Waiting>,
    len: usize,
}

/// What waits of one class.
#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    ids: List,
    /// How many more ids its turn is.
    left: u32,
}

impl Round {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The first id of every class.
    pub(super) fn heads(&self) -> impl Iterator<Item = Id> {
        self.links.iter(self.order).filter_map(|class| self.waiting[class.index()].ids.first())
    }

    pub(super) fn push_back(&mut self, ids: &mut Links, id: Id, (class, weight): (Id, u32)) {
        self.len += 1;
        if self.waiting.len() <= class.index() {
            self.waiting.resize(class.index() + 1, Waiting::default());
        }
        let waiting = &mut self.waiting[class.index()];
        if waiting.ids.is_empty() {
            waiting.left = weight;
            self.links.push_back(&mut self.order, class);
        }
        ids.push_back(&mut waiting.ids, id);
    }

    /// Puts in front an id that had its turn and made no use of it.
    pub(super) fn push_front(&mut self, ids: &mut Links, id: Id, (class, weight): (Id, u32)) {
        if self.waiting.get(class.index()).is_none_or(|waiting| waiting.ids.is_empty()) {
            self.push_back(ids, id, (class, weight));
            self.waiting[class.index()].left = 0;
        } else {
            self.len += 1;
            ids.push_front(&mut self.waiting[class.index()].ids, id);
        }
        let waiting = &mut self.waiting[class.index()];
        if self.order.first() == Some(class) {
            // A turn may be as long as can be counted.
            waiting.left = waiting.left.saturating_add(1);
        } else {
            // What was left is of a turn to come: this is the rest of one that it had.
            waiting.left = 1;
            self.links.remove(&mut self.order, class);
            self.links.push_front(&mut self.order, class);
        }
    }

    /// The next id. `weight` tells how many ids a turn of its class is.
    pub(super) fn pop(&mut self, ids: &mut Links, weight: impl FnOnce(Id) -> u32) -> Option<Id> {
        let class = self.order.first()?;
        let waiting = &mut self.waiting[class.index()];
        let id = ids.pop_front(&mut waiting.ids)?;
        self.len -= 1;
        waiting.left = waiting.left.saturating_sub(1);
        if waiting.ids.is_empty() {
            self.links.remove(&mut self.order, class);
        } else if waiting.left == 0 {
            waiting.left = weight(id);
            self.links.remove(&mut self.order, class);
            self.links.push_back(&mut self.order, class);
        }
        Some(id)
    }

    /// Takes out `id`, which must wait here.
    pub(super) fn remove(&mut self, ids: &mut Links, id: Id, class: Id) {
        self.len -= 1;
        let waiting = &mut self.waiting[class.index()];
        ids.remove(&mut waiting.ids, id);
        if waiting.ids.is_empty() {
            self.links.remove(&mut self.order, class);
        }
    }
}
