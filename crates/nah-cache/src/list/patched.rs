//! A list with a few objects replaced, shared with the store all the same.

use std::sync::Arc;

use nah_core::{Object, ObjectKey, View};

use super::{Items, List, items::Walk};

/// Another list's items, without some and with others. Costs as much as these are many, however long the list is.
#[derive(Clone)]
pub(crate) struct Patched {
    base: Box<Items>,
    /// The ranks of the items of `base` that are left out, in order.
    without: Arc<[usize]>,
    /// The objects in their places: each with its rank in the whole, in order.
    with: Arc<[(usize, Object)]>,
    len: usize,
}

/// The items of a patched list in order.
pub(super) struct PatchedWalk<'a> {
    base: Walk<'a>,
    /// The rank of the next item of the base, and of the whole.
    from: usize,
    at: usize,
    without: &'a [usize],
    with: &'a [(usize, Object)],
    len: usize,
}

// === impl List ===

impl List {
    /// The object at `key`, if it is in the list.
    pub fn find(&self, key: &ObjectKey) -> Option<&Object> {
        self.items.at(self.items.rank(key).ok()?)
    }

    /// The same list without the objects at `gone`, and with `objects` among the others.
    #[must_use]
    pub fn with_changes<'a>(
        self,
        gone: impl IntoIterator<Item = &'a ObjectKey>,
        objects: Vec<Object>,
    ) -> Self {
        let items = Items::Patched(Patched::new(self.items, gone, objects));
        Self { items, ..self }
    }

    /// The first `n` of them.
    #[must_use]
    pub fn truncated(self, n: usize) -> Self {
        Self { items: self.items.truncated(n), ..self }
    }
}

impl<V: View> List<V> {
    /// The keys of which only the server knows: a write of this client may have changed what is there, and its result
    /// is not known. The list shows what the cache has of them. A `get` asks the server; none where the cache alone was
    /// asked.
    pub fn unsure(&self) -> &[ObjectKey] {
        self.unsure.as_deref().unwrap_or_default()
    }

    /// The same list, which is not sure of these.
    #[must_use]
    pub fn with_unsure(self, mut keys: Vec<ObjectKey>) -> Self {
        keys.sort();
        Self { unsure: (!keys.is_empty()).then(|| keys.into()), ..self }
    }
}

// === impl Patched ===

impl Patched {
    fn new<'a>(base: Items, gone: impl IntoIterator<Item = &'a ObjectKey>, mut objects: Vec<Object>) -> Self {
        objects.sort_by(|a, b| a.key().cmp(b.key()));
        objects.dedup_by(|a, b| a.key() == b.key());
        let gone = gone.into_iter().filter_map(|key| base.rank(key).ok());
        let replaced = objects.iter().filter_map(|object| base.rank(object.key()).ok());
        let mut without: Vec<_> = gone.chain(replaced).collect();
        without.sort_unstable();
        without.dedup();
        let placed = objects.into_iter().enumerate().map(|(before, object)| {
            let (Ok(rank) | Err(rank)) = base.rank(object.key());
            let left = rank - without.partition_point(|gone| *gone < rank);
            (left + before, object)
        });
        let with: Vec<_> = placed.collect();
        let len = base.len() - without.len() + with.len();
        Self { base: Box::new(base), without: without.into(), with: with.into(), len }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn at(&self, at: usize) -> Option<&Object> {
        if at >= self.len {
            return None;
        }
        let before = self.with.partition_point(|(place, _)| *place < at);
        match self.with.get(before) {
            Some((place, object)) if *place == at => Some(object),
            _ => {
                // The rank in the base of that which has so many before it that are not left out.
                let left = at - before;
                let (mut low, mut high) = (0, self.without.len());
                while low < high {
                    let middle = low + (high - low) / 2;
                    match self.without[middle] - middle <= left {
                        true => low = middle + 1,
                        false => high = middle,
                    }
                }
                self.base.at(left + low)
            }
        }
    }

    pub(super) fn walk(&self) -> PatchedWalk<'_> {
        PatchedWalk {
            base: self.base.walk(),
            from: 0,
            at: 0,
            without: &self.without,
            with: &self.with,
            len: self.len,
        }
    }

    pub(super) fn truncated(self, n: usize) -> Self {
        Self { len: self.len.min(n), ..self }
    }
}

impl<'a> Iterator for PatchedWalk<'a> {
    type Item = &'a Object;

    fn next(&mut self) -> Option<&'a Object> {
        if self.at >= self.len {
            return None;
        }
        self.at += 1;
        if let Some(((_, object), rest)) = self.with.split_first().filter(|((place, _), _)| *place < self.at)
        {
            self.with = rest;
            return Some(object);
        }
        while let Some((_, rest)) = self.without.split_first().filter(|(gone, _)| **gone == self.from) {
            (self.without, self.from) = (rest, self.from + 1);
            self.base.next();
        }
        self.from += 1;
        self.base.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.len - self.at;
        (left, Some(left))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use nah_core::GroupVersionKind;
    use proptest::prelude::*;

    use super::*;

    fn object(name: u8, version: u64) -> Object {
        let gvk = GroupVersionKind::gvk("", "v1", "ConfigMap");
        let json = format!(r#"{{"metadata":{{"name":"{name:03}","resourceVersion":"{version}"}}}}"#);
        Object::from_json(&gvk, json.into_bytes()).unwrap()
    }

    fn shown<'a>(objects: impl Iterator<Item = &'a Object>) -> Vec<(String, String)> {
        let version = |object: &Object| object.resource_version().unwrap().as_str().to_owned();
        objects.map(|object| (object.key().to_string(), version(object))).collect()
    }

    proptest! {
        #[test]
        fn a_patched_list_is_what_it_says(
            base in prop::collection::btree_set(0..40u8, 0..30),
            gone in prop::collection::vec(0..40u8, 0..12),
            with in prop::collection::btree_set(0..40u8, 0..12),
            more in prop::collection::btree_set(0..40u8, 0..4),
            limit in 0..50usize,
        ) // F47
        {
            let objects = |names: &std::collections::BTreeSet<u8>, version| -> Vec<_> {
                names.iter().map(|name| object(*name, version)).collect()
            };
            let mut expected: BTreeMap<_, _> = base.iter().map(|name| (*name, 1)).collect();
            expected.retain(|name, _| !gone.contains(name));
            expected.extend(with.iter().map(|name| (*name, 2)));
            expected.extend(more.iter().map(|name| (*name, 3)));
            let expected: Vec<_> =
                expected.into_iter().map(|(name, version)| (format!("{name:03}"), version.to_string())).collect();
            let keys: Vec<_> = gone.iter().map(|name| ObjectKey::cluster(&format!("{name:03}"))).collect();
            // What is patched can be patched again.
            let list: List = List::from_objects(objects(&base, 1));
            let list = list.with_changes(&keys, objects(&with, 2)).with_changes([], objects(&more, 3));
            prop_assert_eq!(&shown(list.handles()), &expected);
            prop_assert_eq!(list.len(), expected.len());
            let each: Vec<_> = list.clone().into_iter().map(Result::unwrap).collect();
            prop_assert_eq!(&shown(each.iter()), &expected);
            for (name, version) in &expected {
                let found = list.find(&ObjectKey::cluster(name)).unwrap();
                prop_assert_eq!(found.resource_version().unwrap().as_str(), version);
            }
            let cut = list.truncated(limit);
            prop_assert_eq!(shown(cut.handles()), &expected[..limit.min(expected.len())]);
            prop_assert_eq!(cut.into_iter().count(), limit.min(expected.len()));
        }
    }
}
