//! A walk over what a store holds, which follows the store as it goes.

use nah_core::{Object, ObjectKey};

use crate::store::Spine;

/// A walk over the objects of a store, in the order of their keys.
///
/// Shares the store's chunks until something changes ahead of it: then it has a chunk of its own, so that it shows
/// what there is when it comes by, and holds nothing that is gone.
pub(super) struct Walk {
    objects: Spine<Object>,
    next: usize,
}

impl Walk {
    pub(super) fn new(objects: Spine<Object>) -> Self {
        Self { objects, next: 0 }
    }

    /// How many objects it has still to come to.
    pub(super) fn left(&self) -> usize {
        self.objects.len().saturating_sub(self.next)
    }

    pub(super) fn step(&mut self) -> Option<Object> {
        let object = self.objects.at(self.next)?.clone();
        self.next += 1;
        Some(object)
    }

    /// Has it come to `now` in place of what is at that key, or, if there is nothing any more, to nothing; false
    /// where it has been there already, or never comes.
    pub(super) fn change(&mut self, key: &ObjectKey, now: Option<&Object>) -> bool {
        if !self.is_ahead(key) {
            return false;
        }
        let order = |object: &Object| object.key().cmp(key);
        if self.objects.get(order).is_none() {
            return false;
        }
        match now {
            // Ranks before the key stay as they are, those of the way that has been gone among them.
            Some(now) => _ = self.objects.put(now.clone(), order),
            None => _ = self.objects.take(order),
        }
        true
    }

    fn is_ahead(&self, key: &ObjectKey) -> bool {
        self.objects.at(self.next).is_some_and(|object| object.key() <= key)
    }
}
