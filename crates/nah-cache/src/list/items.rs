//! The items of a list, and a walk over them.

use std::{cmp::Ordering, hint::black_box, ops::Range, sync::Arc};

use nah_core::{Object, ObjectKey};

use super::patched::{Patched, PatchedWalk};
use crate::store::{Spine, SpineIter};

/// Where the items of a list are: shared with the store, or picked out of it.
#[derive(Clone)]
pub(crate) enum Items {
    Picked(Arc<[Object]>),
    Objects(Spine<Object>, Range<usize>),
    Patched(Patched),
}

// === impl Items ===

impl Items {
    pub(crate) fn none() -> Self {
        Self::Picked(Arc::new([]))
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Picked(objects) => objects.len(),
            Self::Objects(_, ranks) => ranks.len(),
            Self::Patched(patched) => patched.len(),
        }
    }

    pub(super) fn at(&self, at: usize) -> Option<&Object> {
        match self {
            Self::Picked(objects) => objects.get(at),
            Self::Objects(spine, ranks) => ranks.clone().nth(at).and_then(|rank| spine.at(rank)),
            Self::Patched(patched) => patched.at(at),
        }
    }

    /// Where the object at `key` is, or where it would be.
    pub(super) fn rank(&self, key: &ObjectKey) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.at(middle).map(|object| object.key().cmp(key)) {
                Some(Ordering::Equal) => return Ok(middle),
                Some(Ordering::Less) => low = middle + 1,
                Some(Ordering::Greater) | None => high = middle,
            }
        }
        Err(low)
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &Object> + '_ {
        self.walk()
    }

    pub(super) fn walk(&self) -> Walk<'_> {
        match self {
            Self::Picked(objects) => Walk::Picked(objects.iter()),
            Self::Objects(spine, ranks) => Walk::Objects(spine.range(ranks.clone())),
            Self::Patched(patched) => Walk::Patched(Box::new(patched.walk())),
        }
    }

    /// The first `n` of them.
    pub(crate) fn truncated(self, n: usize) -> Self {
        let cut = |ranks: Range<usize>| ranks.start..ranks.end.min(ranks.start.saturating_add(n));
        match self {
            Self::Picked(objects) if objects.len() > n => {
                Self::Picked(objects.iter().take(n).cloned().collect())
            }
            Self::Picked(objects) => Self::Picked(objects),
            Self::Objects(spine, ranks) => Self::Objects(spine, cut(ranks)),
            Self::Patched(patched) => Self::Patched(patched.truncated(n)),
        }
    }
}

/// The items of a list, one after the other.
pub(super) enum Walk<'a> {
    Picked(std::slice::Iter<'a, Object>),
    Objects(SpineIter<'a, Object>),
    Patched(Box<PatchedWalk<'a>>),
}

/// How many objects ahead of a walk are fetched from memory: their heads, and a little later their keys.
const AHEAD: usize = 8;

impl Walk<'_> {
    /// Looks at objects that the walk comes to soon. They are all over memory, and to wait for one after the other would
    /// take several times as long as to wait for some at once.
    fn look_ahead(&self) {
        let ahead = |n| match self {
            Walk::Picked(objects) => objects.as_slice().get(n),
            Walk::Objects(objects) => objects.ahead(n),
            Walk::Patched(_) => None,
        };
        if let Some(object) = ahead(AHEAD) {
            black_box(object.is_terminating());
        }
        if let Some(object) = ahead(AHEAD / 2) {
            black_box(object.key().as_str().as_bytes().first().copied());
        }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = &'a Object;

    fn next(&mut self) -> Option<&'a Object> {
        self.look_ahead();
        match self {
            Self::Picked(objects) => objects.next(),
            Self::Objects(objects) => objects.next(),
            Self::Patched(items) => items.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::Picked(objects) => objects.size_hint(),
            Self::Objects(objects) => objects.size_hint(),
            Self::Patched(items) => items.size_hint(),
        }
    }

    fn count(self) -> usize {
        self.len()
    }
}

impl ExactSizeIterator for Walk<'_> {}
