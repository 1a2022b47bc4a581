//! Objects by the hashes of their keys. Pure.

use std::{hash::BuildHasher, sync::Arc};

use foldhash::fast::FixedState;
use hashbrown::{HashTable, hash_table::Entry as Place};
use nah_core::{Object, ObjectKey};

use super::entry::Entry;

/// How many parts a table has: a copy of it shares those that do not change.
const PARTS: usize = 256;

/// Finds an object by its key at once, where a search of sorted chunks touches as many objects as their number has
/// bits. A clone is cheap, and a change of it copies the part in which the key stands.
#[derive(Clone)]
pub(crate) struct Table(Arc<[Arc<Part>]>);

type Part = HashTable<Arc<Entry>>;

impl Table {
    pub(crate) fn of<'a>(objects: impl ExactSizeIterator<Item = &'a Object>) -> Self {
        let part = objects.len() / PARTS;
        let mut parts: Vec<_> = (0..PARTS).map(|_| HashTable::with_capacity(part)).collect();
        for object in objects {
            put(&mut parts[place(hash(object.key()))], object);
        }
        Self(parts.into_iter().map(Arc::new).collect())
    }

    pub(crate) fn get(&self, key: &ObjectKey) -> Option<&Entry> {
        let hash = hash(key);
        self.0[place(hash)].find(hash, |entry| entry.key() == key).map(|entry| &**entry)
    }

    /// What was replaced.
    pub(crate) fn put(&mut self, object: &Object) -> Option<Arc<Entry>> {
        put(self.part(hash(object.key())), object)
    }

    pub(crate) fn take(&mut self, key: &ObjectKey) -> Option<Arc<Entry>> {
        let hash = hash(key);
        let part = self.part(hash);
        let taken = part.find_entry(hash, |entry| entry.key() == key).ok()?.remove().0;
        if part.len() < part.capacity() / 4 {
            part.shrink_to(part.len() * 2, |entry| self::hash(entry.key()));
        }
        Some(taken)
    }

    /// In memory.
    pub(crate) fn bytes(&self) -> usize {
        let part = size_of::<Part>() + 2 * size_of::<usize>() + size_of::<usize>();
        PARTS * part + self.0.iter().map(|part| part.allocation_size()).sum::<usize>()
    }

    fn part(&mut self, hash: u64) -> &mut Part {
        Arc::make_mut(&mut Arc::make_mut(&mut self.0)[place(hash)])
    }
}

fn put(part: &mut Part, object: &Object) -> Option<Arc<Entry>> {
    // What a store holds are entries, and they live.
    let entry = Entry::of(object).and_then(Entry::shared)?;
    let (key, hasher) = (object.key(), |entry: &Arc<Entry>| hash(entry.key()));
    match part.entry(hash(key), |other| other.key() == key, hasher) {
        Place::Occupied(mut there) => Some(std::mem::replace(there.get_mut(), entry)),
        Place::Vacant(free) => {
            free.insert(entry);
            None
        }
    }
}

fn hash(key: &ObjectKey) -> u64 {
    // The seed is no secret: names are the cluster's, and a part that they crowd is searched like a list.
    FixedState::default().hash_one(key.as_str())
}

/// Of the bits that a table does not look at first.
fn place(hash: u64) -> usize {
    (hash >> 32) as usize % PARTS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use nah_core::Body;
    use proptest::prelude::*;

    use super::*;
    use crate::store::tests::{pod, store_of};

    proptest! {
        #[test]
        fn a_table_is_a_map_and_its_clones_stay_as_they_were(
            steps in proptest::collection::vec((0..40_u8, any::<bool>(), any::<bool>()), 0..120)
        ) {
            let store = store_of(&[None]);
            let object = |key: u8, version: usize| {
                let pod = pod(&format!("a/{key}"), "u", version as u64).to_string();
                store.admit_last(&nah_core::Outline::read(&pod).expect("a Pod")).expect("a Pod").object
            };
            let (mut table, mut map) = (Table::of([].iter()), BTreeMap::new());
            let mut clones = Vec::new();
            for (version, (key, puts, clone)) in steps.into_iter().enumerate() {
                let new = object(key, version);
                let (was, wanted) = match puts {
                    true => (table.put(&new), map.insert(new.key().clone(), new)),
                    false => (table.take(new.key()), map.remove(new.key())),
                };
                let was = was.map(Object::from_body);
                let version = |object: &Object| object.resource_version().cloned();
                prop_assert_eq!(was.as_ref().map(version), wanted.as_ref().map(version));
                if clone {
                    clones.push((table.clone(), map.clone()));
                }
            }
            clones.push((Table::of(map.values().cloned().collect::<Vec<_>>().iter()), map.clone()));
            clones.push((table, map));
            for (table, map) in clones {
                for key in (0..40).map(|key| ObjectKey::new(Some("a"), &key.to_string())) {
                    let there = table.get(&key).map(Body::head).map(std::ptr::from_ref);
                    prop_assert_eq!(there, map.get(&key).map(Object::head).map(std::ptr::from_ref));
                }
            }
        }
    }
}
