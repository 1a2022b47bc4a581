//! Objects, indexes and versions of one moment.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use nah_core::{Object, ObjectKey, ResourceVersion};

use super::{spine::Spine, table::Table};
use crate::index::{Extractor, Rows, namespace_bounds};

/// Up to how many objects are found in the chunks as fast as by a hash. Few in tests, so that models cross the line.
const FEW: usize = if cfg!(test) { 4 } else { 2048 };

/// Everything the store knows at one moment. A clone shares all of it.
#[derive(Clone, Default)]
pub(crate) struct Known {
    pub(crate) objects: Spine<Slot>,
    /// The same by their keys, where there are many.
    table: Option<Table>,
    /// Objects by the uids of their owners.
    pub(crate) owners: Rows,
    pub(crate) indexes: Vec<Built>,
    /// The extractors of `indexes`: a writer that extracted before it took the lock sees whether they still are the
    /// ones it used.
    pub(crate) extractors: Extractors,
    /// By namespace; the empty one is all of them. Boxed, for a map has room for eleven and most kinds have one.
    pub(crate) scopes: BTreeMap<Box<str>, Box<Progress>>,
    /// Of the values that are remembered with the objects.
    remembered: usize,
    pub(crate) closed: bool,
}

pub(crate) type Extractors = Arc<Vec<Arc<Extractor>>>;

/// Index number and value.
pub(crate) type Values = Arc<[(u32, Arc<str>)]>;

/// An object and its values in every index, remembered: an extractor may say something else the next time.
#[derive(Clone)]
pub(crate) struct Slot {
    pub(crate) key: ObjectKey,
    pub(crate) object: Object,
    /// None of an object without values.
    pub(crate) values: Option<Values>,
}

/// An index.
#[derive(Clone)]
pub(crate) struct Built {
    pub(crate) extractor: Arc<Extractor>,
    pub(crate) rows: Rows,
    /// Every object has been asked for its values.
    pub(crate) whole: bool,
}

/// How far one scope is.
#[derive(Clone, Default)]
pub(crate) struct Progress {
    pub(crate) synced: bool,
    pub(crate) observed: Option<ResourceVersion>,
}

impl Known {
    /// Nothing at all any more.
    pub(crate) fn closed(scopes: BTreeMap<Box<str>, Box<Progress>>) -> Self {
        Self { scopes, closed: true, ..Self::default() }
    }

    pub(crate) fn get(&self, key: &ObjectKey) -> Option<&Slot> {
        self.objects.get(|slot| slot.key.cmp(key))
    }

    /// As [`get`](Self::get), faster where there are many.
    pub(crate) fn object(&self, key: &ObjectKey) -> Option<&Object> {
        match &self.table {
            Some(table) => table.get(key),
            None => self.get(key).map(|slot| &slot.object),
        }
    }

    /// What keeping the objects takes in memory, in bytes, entries and indexes apart.
    pub(crate) fn bytes(&self) -> usize {
        self.objects.bytes() + self.table.as_ref().map_or(0, Table::bytes)
    }

    /// Every scope has been listed, and there is one.
    pub(crate) fn synced(&self) -> bool {
        !self.scopes.is_empty() && self.scopes.values().all(|progress| progress.synced)
    }

    /// No object has a namespace. Of an empty store nothing is said, and nothing needs to be.
    pub(crate) fn cluster_scoped(&self) -> bool {
        self.objects.at(0).is_some_and(|slot| slot.key.namespace().is_none())
    }

    /// The ranks of the objects of a namespace; of all where there is none.
    pub(crate) fn ranks(&self, namespace: Option<&str>) -> std::ops::Range<usize> {
        let Some(namespace) = namespace else { return 0..self.objects.len() };
        let (from, to) = namespace_bounds(namespace);
        let rank = |bound: &str| self.objects.rank(|slot| slot.key.as_str().cmp(bound));
        rank(&from)..rank(&to)
    }

    pub(crate) fn put(&mut self, slot: Slot) -> Option<Slot> {
        let key = slot.key.as_str();
        self.remembered += weight(&slot.values);
        let old = self.objects.put(slot.clone(), |other| other.key.cmp(&slot.key));
        match &mut self.table {
            // What it replaces is `old`, so that nothing is dropped here.
            Some(table) => _ = table.put(slot.object.clone()),
            None if self.objects.len() > FEW => self.table = self.tabled(),
            None => {}
        }
        if let Some(old) = &old {
            self.remembered -= weight(&old.values);
            for (at, value) in values(old).filter(|value| !values(&slot).any(|other| other == *value)) {
                self.take_row(at, value, key);
            }
        }
        for (at, value) in values(&slot) {
            self.put_row(*at, value, &slot.object);
        }
        self.shift(key, old.as_ref().map(|old| &old.object), Some(&slot.object));
        old
    }

    pub(crate) fn take(&mut self, key: &ObjectKey) -> Option<Slot> {
        let old = self.objects.take(|slot| slot.key.cmp(key))?;
        if let Some(table) = &mut self.table {
            table.take(key);
            // Well below the line, so that one object that comes and goes builds no table each time.
            self.table.take_if(|_| self.objects.len() < FEW / 2);
        }
        self.remembered -= weight(&old.values);
        for (at, value) in values(&old) {
            self.take_row(at, value, key.as_str());
        }
        self.shift(key.as_str(), Some(&old.object), None);
        Some(old)
    }

    /// Moves an object in those indexes whose values are in its head.
    fn shift(&mut self, key: &str, old: Option<&Object>, new: Option<&Object>) {
        let owners =
            |object| -> Vec<_> { Option::into_iter(object).flat_map(uids).map(Cow::Borrowed).collect() };
        self.owners.shift(key, &owners(old), &owners(new), new);
        for Built { extractor, rows, .. } in self.indexes.iter_mut() {
            if extractor.reads_head() {
                let before = old.map(|old| extractor.values_of_head(old.labels())).unwrap_or_default();
                let now = new.map(|new| extractor.values_of_head(new.labels())).unwrap_or_default();
                rows.shift(key, &before, &now, new);
            }
        }
    }

    /// Takes in the objects of an empty store, at once.
    pub(crate) fn fill(&mut self, mut slots: Vec<Slot>) {
        slots.sort_by(|a, b| a.key.cmp(&b.key));
        // Of two items of one key the later one stands, as if it had come as an update.
        slots.reverse();
        slots.dedup_by(|a, b| a.key == b.key);
        slots.reverse();
        self.remembered = slots.iter().map(|slot| weight(&slot.values)).sum();
        self.owners = Rows::from_keyed(slots.iter().flat_map(|slot| {
            let uids = uids(&slot.object).map(Cow::Borrowed);
            uids.map(move |uid| (uid, &slot.object))
        }));
        for (at, index) in self.indexes.iter_mut().enumerate() {
            let Built { extractor, rows, whole } = index;
            *rows = if extractor.reads_head() {
                Rows::from_keyed(slots.iter().flat_map(|slot| {
                    let values = extractor.values_of_head(slot.object.labels()).into_iter();
                    values.map(move |value| (value, &slot.object))
                }))
            } else {
                Rows::from_keyed(slots.iter().flat_map(|slot| {
                    let own = values(slot).filter(|(index, _)| *index as usize == at);
                    own.map(|(_, value)| (value.clone(), &slot.object))
                }))
            };
            *whole = true;
        }
        self.objects = Spine::from_sorted(slots);
        self.table = self.tabled();
    }

    fn tabled(&self) -> Option<Table> {
        let objects = self.objects.iter().map(|slot| &slot.object);
        (objects.len() > FEW).then(|| Table::of(objects))
    }

    pub(crate) fn put_row(&mut self, at: u32, value: &Arc<str>, object: &Object) {
        if let Some(index) = self.indexes.get_mut(at as usize) {
            index.rows.put(value.clone(), object.clone());
        }
    }

    /// Files an object that is there under its values in a new index, and remembers them with those it has.
    pub(crate) fn file(&mut self, at: u32, slot: &Slot, own: &[Arc<str>]) -> Option<Slot> {
        own.iter().for_each(|value| self.put_row(at, value, &slot.object));
        if own.is_empty() || self.indexes.get(at as usize).is_none_or(|index| index.extractor.reads_head()) {
            return None;
        }
        let others = slot.values.iter().flat_map(|values| values.iter().cloned());
        let all: Values = others.chain(own.iter().map(|value| (at, value.clone()))).collect();
        self.remembered = self.remembered + weight(&Some(all.clone())) - weight(&slot.values);
        let slot = Slot { values: Some(all), ..slot.clone() };
        let key = slot.key.clone();
        self.objects.put(slot, |other| other.key.cmp(&key))
    }

    fn take_row(&mut self, at: &u32, value: &str, key: &str) {
        if let Some(index) = self.indexes.get_mut(*at as usize) {
            index.rows.take(value, key);
        }
    }

    /// What owners and indexes take in memory, in bytes, the remembered values included.
    pub(crate) fn index_bytes(&self) -> usize {
        self.owners.bytes()
            + self.indexes.iter().map(|index| index.rows.bytes()).sum::<usize>()
            + self.remembered
    }
}

fn values(slot: &Slot) -> impl Iterator<Item = &(u32, Arc<str>)> {
    slot.values.iter().flat_map(|values| values.iter())
}

fn uids(object: &Object) -> impl Iterator<Item = &str> {
    object.owners().iter().map(|owner| owner.uid.as_str())
}

/// What remembered values take, their texts aside.
fn weight(values: &Option<Values>) -> usize {
    values.as_ref().map_or(0, |values| size_of_val(&**values) + 2 * size_of::<usize>())
}
