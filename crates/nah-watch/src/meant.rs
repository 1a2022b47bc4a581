//! Whom a run is for.

use std::collections::BTreeSet;

use crate::CallbackId;

/// Which callbacks a run is for: all, or those that were registered late and are shown what is there.
///
/// A callback that is gone drops out by itself: it is not in the list that a run goes over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Meant {
    /// Every callback of the kind.
    #[default]
    All,
    /// These alone. What they are called with is the object as it is, since nobody before them has his turn.
    Only(BTreeSet<CallbackId>),
}

impl Meant {
    /// One callback alone.
    pub fn only(id: CallbackId) -> Self {
        Self::Only(BTreeSet::from([id]))
    }

    /// Takes in whom a newer request is for: all wins.
    pub fn merge(&mut self, newer: Self) {
        match (&mut *self, newer) {
            (Self::Only(ids), Self::Only(more)) => ids.extend(more),
            (Self::Only(_), Self::All) => *self = Self::All,
            (Self::All, _) => {}
        }
    }

    /// Whether the run is for the callback `id`.
    pub fn includes(&self, id: CallbackId) -> bool {
        match self {
            Self::All => true,
            Self::Only(ids) => ids.contains(&id),
        }
    }
}
