//! A list in which some objects stand instead of others, kept from one time to the next.

use std::{cmp::Ordering, ops::Range};

use nah_core::{Object, ObjectKey};

use super::{Items, List};
use crate::store::Spine;

/// What a list holds, to be changed object by object. A clone shares what neither changes afterwards, and so do the lists
/// that are made of it: to bring it up to date costs as much as there are changes.
#[derive(Clone)]
pub struct Overlaid {
    objects: Spine<Object>,
    ranks: Range<usize>,
}

impl Overlaid {
    /// What `list` holds. Costs nothing for a list of a kind or of a namespace.
    pub fn new(list: &List) -> Self {
        match &list.items {
            Items::Objects(objects, ranks) => Self { objects: objects.clone(), ranks: ranks.clone() },
            items => {
                let objects = Spine::from_sorted(items.iter().cloned());
                Self { ranks: 0..objects.len(), objects }
            }
        }
    }

    /// Shows `object`, which would be in the list, at its key, or nothing at `key`.
    pub fn set(&mut self, key: &ObjectKey, object: Option<Object>) {
        let order = |other: &Object| other.key().cmp(key);
        match object {
            Some(object) => {
                if self.objects.get(order).is_some_and(|there| there.is_same(&object)) {
                    return;
                }
                let new = self.objects.put(object, order).is_none();
                self.ranks.end += usize::from(new);
            }
            None => {
                let gone = self.objects.take(order).is_some();
                self.ranks.end -= usize::from(gone);
            }
        }
    }

    /// A list of what is shown now.
    pub fn list(&self) -> List {
        List::new(Items::Objects(self.objects.clone(), self.ranks.clone()), None)
    }
}

impl std::fmt::Debug for Overlaid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.list().fmt(f)
    }
}

impl List {
    /// The keys at which this list holds another object than `earlier` did, or one of the two holds none.
    ///
    /// Of two lists of one kind or one namespace, it costs as much as has changed between them; the changes of other
    /// namespaces may be among them.
    pub fn changed_since(&self, earlier: &Self) -> Vec<ObjectKey> {
        let order = |a: &Object, b: &Object| a.key().cmp(b.key());
        let [now, before] = match (&self.items, &earlier.items) {
            (Items::Objects(now, _), Items::Objects(before, _)) => now.apart(before, order),
            (now, before) => [now.iter().collect(), before.iter().collect()],
        };
        let (mut now, mut before) = (now.into_iter().peekable(), before.into_iter().peekable());
        let mut changed = Vec::new();
        loop {
            let first = match (now.peek(), before.peek()) {
                (Some(new), Some(old)) if new.is_same(old) => {
                    _ = (now.next(), before.next());
                    continue;
                }
                (Some(new), Some(old)) => order(new, old),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return changed,
            };
            let new = if first.is_le() { now.next() } else { None };
            let old = if first.is_ge() { before.next() } else { None };
            changed.extend(new.or(old).map(|object| object.key().clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use nah_core::GroupVersionKind;
    use proptest::prelude::*;

    use super::*;

    fn object(name: u16) -> Object {
        let gvk = GroupVersionKind::gvk("", "v1", "ConfigMap");
        let json = format!(r#"{{"metadata":{{"name":"{name:05}"}}}}"#);
        Object::from_json(&gvk, json.into_bytes()).unwrap()
    }

    fn key(name: u16) -> ObjectKey {
        ObjectKey::cluster(&format!("{name:05}"))
    }

    /// Lists of both kinds: shared with a store, and picked out of one.
    fn listed(objects: &BTreeMap<u16, Object>, shared: bool) -> List {
        let objects = objects.values().cloned();
        if !shared {
            return List::from_objects(objects.collect());
        }
        let spine = Spine::from_sorted(objects);
        List::new(Items::Objects(spine.clone(), 0..spine.len()), None)
    }

    proptest! {
        #[test]
        fn a_list_that_is_kept_is_the_one_that_is_made_anew(
            base in prop::collection::btree_set(0..500_u16, 0..400),
            steps in prop::collection::vec((0..600_u16, any::<bool>()), 0..100),
            shared: bool,
        ) // F47
        {
            let mut wanted: BTreeMap<_, _> = base.into_iter().map(|name| (name, object(name))).collect();
            let first = listed(&wanted, shared);
            let mut kept = Overlaid::new(&first);
            let mut touched = std::collections::BTreeSet::new();
            for (name, puts) in steps {
                let new = puts.then(|| object(name));
                kept.set(&key(name), new.clone());
                let (old, changes) = match new {
                    Some(new) => (wanted.insert(name, new), true),
                    None => (wanted.remove(&name), false),
                };
                if old.is_some() || changes {
                    touched.insert(name);
                }
            }
            let (list, anew) = (kept.list(), listed(&wanted, shared));
            prop_assert_eq!(list.len(), anew.len());
            prop_assert!(list.handles().zip(anew.handles()).all(|(one, other)| one.is_same(other)));
            prop_assert!(list.changed_since(&anew).is_empty());
            // What came and went between the two is no change.
            let changed = list.changed_since(&first);
            let held = |list: &List, key: &ObjectKey| list.find(key).cloned();
            for name in 0..600 {
                let (before, now) = (held(&first, &key(name)), held(&list, &key(name)));
                let same = match (&before, &now) {
                    (Some(before), Some(now)) => before.is_same(now),
                    (before, now) => before.is_none() && now.is_none(),
                };
                prop_assert_eq!(changed.contains(&key(name)), !same);
                prop_assert!(same || touched.contains(&name));
            }
        }
    }
}
