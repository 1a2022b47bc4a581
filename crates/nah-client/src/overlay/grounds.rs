//! What a list was made of, from which the next one is made.

use std::collections::BTreeSet;

use nah_cache::{List, Overlaid};
use nah_core::ObjectKey;

use super::{Object, Overlay, Position, Shown};

/// What a list was made of. The next one differs from it by what has changed in the cache and the overlay since.
#[derive(Clone, Debug)]
pub(crate) struct Grounds {
    /// The list of the cache.
    cached: List,
    /// Where the overlay was.
    position: Position,
    /// What was shown.
    shown: Overlaid,
    /// The keys of which only the server knew.
    unsure: BTreeSet<ObjectKey>,
}

/// What is to be shown at the keys where it may have changed: all that had to be asked of the overlay.
#[derive(Debug)]
pub(crate) struct Decided {
    grounds: Grounds,
    shown: Vec<(ObjectKey, Shown)>,
}

impl Grounds {
    /// Asks the overlay for what is different from `earlier`, where that is known; `cached` is the list of the cache at
    /// the same moment, which had seen `seen` by then. Of the keys those count that the list `covers`.
    pub(crate) fn decide(
        earlier: Option<Self>,
        overlay: &Overlay,
        cached: List,
        seen: u64,
        covers: impl Fn(&ObjectKey) -> bool,
    ) -> Decided {
        let touched = earlier.as_ref().and_then(|earlier| overlay.touched_since(earlier.position));
        let (shown, unsure, mut keys) = match earlier.zip(touched) {
            Some((earlier, mut touched)) => {
                touched.extend(cached.changed_since(&earlier.cached));
                (earlier.shown, earlier.unsure, touched)
            }
            None => (Overlaid::new(&cached), BTreeSet::new(), overlay.keys()),
        };
        keys.extend(overlay.passed_by(seen));
        keys.retain(covers);
        keys.sort_unstable();
        keys.dedup();
        let decide = |key: ObjectKey| {
            let shown = overlay.shown(&key, cached.find(&key), seen);
            (key, shown)
        };
        let decided = keys.into_iter().map(decide).collect();
        Decided { shown: decided, grounds: Self { position: overlay.position(), cached, shown, unsure } }
    }

    /// Whether the overlay still knows what has changed since.
    pub(crate) fn are_known_to(&self, overlay: &Overlay) -> bool {
        overlay.knows(self.position)
    }

    /// The list.
    pub(crate) fn list(&self) -> List {
        let list = self.shown.list().with_version(self.cached.resource_version().cloned());
        list.with_unsure(self.unsure.iter().cloned().collect())
    }
}

impl Decided {
    /// The grounds of a list of now; `matches` says whether a written object belongs in it.
    pub(crate) fn settle<E>(self, matches: impl Fn(&Object) -> Result<bool, E>) -> Result<Grounds, E> {
        let Self { mut grounds, shown } = self;
        for (key, Shown { object, written, unsure }) in shown {
            let object = match object {
                Some(object) if written && !matches(&object)? => None,
                object => object,
            };
            grounds.shown.set(&key, object);
            if unsure {
                grounds.unsure.insert(key)
            } else {
                grounds.unsure.remove(&key)
            };
        }
        Ok(grounds)
    }
}
