//! Lists threaded through the indexes of a slab.

use std::num::NonZeroU32;

/// An index of a slab, in four bytes also where it is optional.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(NonZeroU32);

/// The neighbours of every index: one table serves any number of lists, and an index is in one of them at most.
#[derive(Debug, Default)]
pub(crate) struct Links(Vec<Link>);

/// The ends of one list.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct List {
    first: Option<Id>,
    last: Option<Id>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    previous: Option<Id>,
    next: Option<Id>,
}

impl Id {
    /// The id of an index. Four thousand million of them are more than fit into memory.
    pub(crate) fn of(index: usize) -> Self {
        Self(NonZeroU32::MIN.saturating_add(index as u32))
    }

    pub(crate) fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

impl List {
    pub(crate) fn first(self) -> Option<Id> {
        self.first
    }

    pub(crate) fn is_empty(self) -> bool {
        self.first.is_none()
    }
}

impl Links {
    pub(crate) fn push_back(&mut self, list: &mut List, id: Id) {
        self.set(id, Link { previous: list.last, next: None });
        match list.last.replace(id) {
            Some(last) => self.0[last.index()].next = Some(id),
            None => list.first = Some(id),
        }
    }

    pub(crate) fn push_front(&mut self, list: &mut List, id: Id) {
        self.set(id, Link { previous: None, next: list.first });
        match list.first.replace(id) {
            Some(first) => self.0[first.index()].previous = Some(id),
            None => list.last = Some(id),
        }
    }

    pub(crate) fn pop_front(&mut self, list: &mut List) -> Option<Id> {
        let first = list.first?;
        self.remove(list, first);
        Some(first)
    }

    /// The ids of `list`, from the first to the last.
    pub(crate) fn iter(&self, list: List) -> impl Iterator<Item = Id> {
        std::iter::successors(list.first, |id| self.0[id.index()].next)
    }

    /// Takes `id`, which must be in `list`, out of it.
    pub(crate) fn remove(&mut self, list: &mut List, id: Id) {
        let Link { previous, next } = self.0[id.index()];
        match previous {
            Some(previous) => self.0[previous.index()].next = next,
            None => list.first = next,
        }
        match next {
            Some(next) => self.0[next.index()].previous = previous,
            None => list.last = previous,
        }
    }

    fn set(&mut self, id: Id, link: Link) {
        if self.0.len() <= id.index() {
            self.0.resize(id.index() + 1, Link::default());
        }
        self.0[id.index()] = link;
    }
}
