//! A walk over what a store holds, which follows the store as it goes.

use nah_core::{Object, ObjectKey};

use crate::store::{Slot, Spine};

/// A walk over the objects of a store, in the order of their keys.
///
/// Shares the store's chunks until something changes ahead of it: then it has a chunk of its own, so that it shows
/// what there is when it comes by, and holds nothing that is gone.
pub(super) struct Walk {
    objects: Spine<Slot>,
    next: usize,
}

impl Walk {
    pub(super) fn new(objects: Spine<Slot>) -> Self {
        Self { objects, next: 0 }
    }

    /// How many objects it has still to come to.
    pub(super) fn left(&self) -> usize {
        self.objects.len().saturating_sub(self.next)
    }

    pub(super) fn step(&mut self) -> Option<Object> {
        let slot = self.objects.at(self.next)?;
        self.next += 1;
        Some(slot.object.clone())
    }

    /// Has it come to `now` in place of what is at that key, or, if there is nothing any more, to nothing; false
    /// where it has been there already, or never comes.
    pub(super) fn change(&mut self, key: &ObjectKey, now: Option<&Object>) -> bool {
        if !self.is_ahead(key) {
            return false;
        }
        let Some(slot) = self.objects.get(|slot| slot.key.cmp(key)) else { return false };
        match now {
            // Ranks before the key stay as they are, those of the way that has been gone among them.
            Some(now) => {
                let slot = Slot { object: now.clone(), ..slot.clone() };
                self.objects.put(slot, |slot| slot.key.cmp(key));
            }
            None => _ = self.objects.take(|slot| slot.key.cmp(key)),
        }
        true
    }

    fn is_ahead(&self, key: &ObjectKey) -> bool {
        self.objects.at(self.next).is_some_and(|slot| slot.key <= *key)
    }
}
