//! A map by kind.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use foldhash::fast::RandomState;
use hashbrown::{Equivalent, HashMap};
use kube_core::GroupVersionKind;

/// What is known by kind. Reads and triggers of every kind pass through such a map, so it is found in some nanoseconds.
#[derive(Clone)]
pub struct KindMap<T>(HashMap<GroupVersionKind, T, RandomState>);

/// A kind that is looked for.
///
/// The group of the core kinds is the empty text. To compare that with another as texts are compared takes longer than
/// all the rest of a lookup: its bytes are asked for at an address that does not exist, and the processor has to be told
/// not to mind.
struct Sought<'a>(&'a GroupVersionKind);

// === impl KindMap ===

impl<T> KindMap<T> {
    /// What is known of `gvk`.
    pub fn get(&self, gvk: &GroupVersionKind) -> Option<&T> {
        self.0.get(&Sought(gvk))
    }

    /// Notes `value` for `gvk`, and hands out what was there.
    pub fn insert(&mut self, gvk: GroupVersionKind, value: T) -> Option<T> {
        self.0.insert(gvk, value)
    }

    /// Takes out what is known of `gvk`.
    pub fn remove(&mut self, gvk: &GroupVersionKind) -> Option<T> {
        self.0.remove(&Sought(gvk))
    }

    /// What is known of any kind, in no order.
    pub fn values(&self) -> impl Iterator<Item = &T> + '_ {
        self.0.values()
    }
}

impl<T> Default for KindMap<T> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for KindMap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl Sought ===

impl Hash for Sought<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Equivalent<GroupVersionKind> for Sought<'_> {
    fn equivalent(&self, other: &GroupVersionKind) -> bool {
        let same = |a: &str, b: &str| a.len() == b.len() && (a.is_empty() || a == b);
        let Self(sought) = self;
        same(&sought.kind, &other.kind)
            && same(&sought.version, &other.version)
            && same(&sought.group, &other.group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_by_all_of_its_three_names() {
        let mut map = KindMap::default();
        const NAMES: [&str; 3] = ["", "a", "b"];
        let name = |at: usize| NAMES[at % 3];
        let kinds = || (0..27).map(|at| GroupVersionKind::gvk(name(at / 9), name(at / 3), name(at)));
        for (at, kind) in kinds().enumerate().step_by(2) {
            assert_eq!(map.insert(kind, at), None);
        }
        for (at, kind) in kinds().enumerate() {
            assert_eq!(map.get(&kind), (at % 2 == 0).then_some(&at), "{kind:?}");
        }
        assert_eq!(map.insert(GroupVersionKind::gvk("", "", ""), 100), Some(0));
        for (at, kind) in kinds().enumerate().skip(1) {
            assert_eq!(map.remove(&kind), (at % 2 == 0).then_some(at), "{kind:?}");
        }
        assert_eq!(map.values().collect::<Vec<_>>(), [&100]);
    }
}
