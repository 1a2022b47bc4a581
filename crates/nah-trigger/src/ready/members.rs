//! Which class an id belongs to, and how long there is that class.

use hashbrown::HashTable;
use slab::Slab;

use crate::{classes::Class, list::Id};

/// The class of every id that has one. All others are in one class, which costs nothing.
#[derive(Debug, Default)]
pub(super) struct Members {
    classes: Slab<Known>,
    /// Finds a class by its hash.
    index: HashTable<Id>,
    /// The class of each id; no longer than the last id that has one.
    of: Vec<Option<Id>>,
}

/// A class that has members.
#[derive(Debug)]
struct Known {
    class: Class,
    members: u32,
}

impl Members {
    /// Notes that `id` is of `class`, or the new weight of the class that it is of already.
    pub(super) fn enter(&mut self, id: Id, class: Class) {
        if let Some(Some(known)) = self.of.get(id.index()) {
            self.classes[known.index()].class.weight = class.weight;
            return;
        }
        let Self { classes, index, of } = self;
        let known = index.find(class.hash, |known| classes[known.index()].class.hash == class.hash);
        let known = known.copied().unwrap_or_else(|| {
            let known = Id::of(classes.insert(Known { class, members: 0 }));
            index.insert_unique(class.hash, known, |known| classes[known.index()].class.hash);
            known
        });
        let Known { class: Class { weight, .. }, members } = &mut classes[known.index()];
        *weight = class.weight;
        *members += 1;
        if of.len() <= id.index() {
            of.resize(id.index() + 1, None);
        }
        of[id.index()] = Some(known);
    }

    /// Forgets `id`, and its class with the last member.
    pub(super) fn leave(&mut self, id: Id) {
        let Some(known) = self.of.get_mut(id.index()).and_then(Option::take) else { return };
        let class = &mut self.classes[known.index()];
        class.members -= 1;
        if class.members == 0 {
            let hash = class.class.hash;
            self.classes.remove(known.index());
            if let Ok(found) = self.index.find_entry(hash, |other| *other == known) {
                found.remove();
            }
        }
    }

    /// A number for the class of `id`, as small as there are classes, and how many keys a turn of it is.
    pub(super) fn class_of(&self, id: Id) -> (Id, u32) {
        match self.of.get(id.index()) {
            Some(Some(known)) => (Id::of(known.index() + 1), self.classes[known.index()].class.weight),
            _ => (Id::of(0), 1),
        }
    }

    /// How many classes there are, that of the ids without one left out.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        debug_assert_eq!(self.classes.len(), self.index.len());
        self.classes.len()
    }
}
