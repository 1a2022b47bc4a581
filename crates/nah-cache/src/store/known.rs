//! Objects, indexes and versions of one moment.

use std::{collections::BTreeMap, sync::Arc};

use nah_core::{Object, ObjectKey, ResourceVersion};

use super::spine::Spine;
use crate::index::{self, Extractor, Row, Rows};

/// Everything the store knows at one moment. A clone shares all of it.
#[derive(Clone, Default)]
pub(crate) struct Known {
    pub(crate) objects: Spine<Slot>,
    /// Objects by the uids of their owners.
    pub(crate) owners: Rows,
    pub(crate) indexes: Vec<Built>,
    /// The extractors of `indexes`: a writer that extracted before it took the lock sees whether they still are the
    /// ones it used.
    pub(crate) extractors: Extractors,
    /// By namespace; the empty one is all of them.
    pub(crate) scopes: BTreeMap<String, Progress>,
    /// Of the encoded objects.
    pub(crate) bytes: usize,
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

#[derive(Clone)]
pub(crate) struct Built {
    pub(crate) field: Arc<str>,
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
    pub(crate) fn closed(scopes: BTreeMap<String, Progress>) -> Self {
        Self { scopes, closed: true, ..Self::default() }
    }

    pub(crate) fn get(&self, key: &ObjectKey) -> Option<&Slot> {
        self.objects.get(|slot| slot.key.cmp(key))
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
        let (from, to) = index::namespace_bounds(namespace);
        let rank = |bound: &str| self.objects.rank(|slot| slot.key.as_str().cmp(bound));
        rank(&from)..rank(&to)
    }

    pub(crate) fn put(&mut self, slot: Slot) -> Option<Slot> {
        let key = slot.key.as_str();
        self.bytes += size(&slot.object);
        let old = self.objects.put(slot.clone(), |other| other.key.cmp(&slot.key));
        if let Some(old) = &old {
            self.bytes -= size(&old.object);
            for (at, value) in values(old).filter(|value| !values(&slot).any(|other| other == *value)) {
                self.take_row(at, value, key);
            }
            for owner in uids(&old.object).filter(|uid| !uids(&slot.object).any(|other| other == *uid)) {
                self.owners.take(|row| row.order(owner, key));
            }
        }
        for (at, value) in values(&slot) {
            self.put_row(*at, value, &slot.object);
        }
        for uid in uids(&slot.object) {
            let value = index::shared_value(&self.owners, uid).unwrap_or_else(|| uid.into());
            let object = slot.object.clone();
            self.owners.put(Row { value, object }, |row| row.order(uid, key));
        }
        old
    }

    pub(crate) fn take(&mut self, key: &ObjectKey) -> Option<Slot> {
        let old = self.objects.take(|slot| slot.key.cmp(key))?;
        self.bytes -= size(&old.object);
        for (at, value) in values(&old) {
            self.take_row(at, value, key.as_str());
        }
        for owner in uids(&old.object) {
            self.owners.take(|row| row.order(owner, key.as_str()));
        }
        Some(old)
    }

    /// Takes in the objects of an empty store, at once.
    pub(crate) fn fill(&mut self, mut slots: Vec<Slot>) {
        slots.sort_by(|a, b| a.key.cmp(&b.key));
        // Of two items of one key the later one stands, as if it had come as an update.
        slots.reverse();
        slots.dedup_by(|a, b| a.key == b.key);
        slots.reverse();
        self.bytes = slots.iter().map(|slot| size(&slot.object)).sum();
        let sorted = |mut rows: Vec<Row>| {
            rows.sort_by(|a, b| a.order(&b.value, b.object.key().as_str()));
            rows.dedup_by(|a, b| a.order(&b.value, b.object.key().as_str()).is_eq());
            for at in 1..rows.len() {
                if rows[at].value == rows[at - 1].value {
                    rows[at].value = rows[at - 1].value.clone();
                }
            }
            Spine::from_sorted(rows)
        };
        let row = |value: &str, slot: &Slot| Row { value: value.into(), object: slot.object.clone() };
        self.owners =
            sorted(slots.iter().flat_map(|slot| uids(&slot.object).map(|uid| row(uid, slot))).collect());
        for (at, index) in self.indexes.iter_mut().enumerate() {
            let rows = slots.iter().flat_map(|slot| {
                let values = values(slot).filter(|(index, _)| *index as usize == at);
                values.map(|(_, value)| Row { value: value.clone(), object: slot.object.clone() })
            });
            index.rows = sorted(rows.collect());
            index.whole = true;
        }
        self.objects = Spine::from_sorted(slots);
    }

    pub(crate) fn put_row(&mut self, at: u32, value: &Arc<str>, object: &Object) {
        if let Some(index) = self.indexes.get_mut(at as usize) {
            let key = object.key().as_str();
            index.rows.put(Row { value: value.clone(), object: object.clone() }, |row| row.order(value, key));
        }
    }

    fn take_row(&mut self, at: &u32, value: &str, key: &str) {
        if let Some(index) = self.indexes.get_mut(*at as usize) {
            index.rows.take(|row| row.order(value, key));
        }
    }
}

fn values(slot: &Slot) -> impl Iterator<Item = &(u32, Arc<str>)> {
    slot.values.iter().flat_map(|values| values.iter())
}

fn uids(object: &Object) -> impl Iterator<Item = &str> {
    object.owners().iter().map(|owner| owner.uid.as_str())
}

fn size(object: &Object) -> usize {
    object.json().map_or(0, |json| json.len())
}
