//! Whom a run is for.

use std::collections::BTreeSet;

use crate::CallbackId;

/// Where more are named, whoever was registered since the first of them is meant: callbacks may come and go without
/// end while a key waits for its turn, and what is kept of the key has to stay small.
const MOST: usize = 32;

/// Which callbacks a run is for: all, or those that were registered late and are shown what is there.
///
/// A callback that is gone drops out by itself: it is not in the list that a run goes over. Of more than 32 that are
/// named the first counts: all that were registered since are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Meant {
    /// Every callback of the kind.
    #[default]
    All,
    /// These alone. What they are called with is the object as it is, since nobody before them has his turn.
    Only(BTreeSet<CallbackId>),
    /// This one and all that were registered after it, in the same way.
    Since(CallbackId),
}

impl Meant {
    /// One callback alone.
    pub fn only(id: CallbackId) -> Self {
        Self::Only(BTreeSet::from([id]))
    }

    /// Takes in whom a newer request is for: all wins.
    pub fn merge(&mut self, newer: Self) {
        match (&mut *self, newer) {
            (Self::All, _) => {}
            (_, Self::All) => *self = Self::All,
            (Self::Only(ids), Self::Only(more)) => {
                ids.extend(more);
                if ids.len() > MOST
                    && let Some(first) = ids.first()
                {
                    *self = Self::Since(*first);
                }
            }
            (Self::Only(ids), Self::Since(since)) => {
                *self = Self::Since(ids.first().map_or(since, |first| since.min(*first)));
            }
            (Self::Since(since), Self::Only(ids)) => {
                *since = ids.first().map_or(*since, |first| *first.min(since))
            }
            (Self::Since(since), Self::Since(newer)) => *since = newer.min(*since),
        }
    }

    /// Whether the run is for the callback `id`.
    pub fn includes(&self, id: CallbackId) -> bool {
        match self {
            Self::All => true,
            Self::Only(ids) => ids.contains(&id),
            Self::Since(since) => *since <= id,
        }
    }
}
