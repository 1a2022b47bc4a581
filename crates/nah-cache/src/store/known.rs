//! Objects, indexes and versions of one moment.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use nah_core::{Object, ObjectKey, ResourceVersion};

use super::{entry::Entry, spine::Spine, table::Table};
use crate::index::{Extractor, Rows, namespace_bounds};

/// Up to how many objects are found in the chunks as fast as by a hash. Few in tests, so that models cross the line.
const FEW: usize = if cfg!(test) { 4 } else { 2048 };

/// Everything the store knows at one moment. A clone shares all of it.
#[derive(Clone, Default)]
pub(crate) struct Known {
    pub(crate) objects: Spine<Object>,
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
pub(crate) type Values = Box<[(u32, Arc<str>)]>;

/// An object to be filed, and its values in every index whose values are not in its head.
pub(crate) struct Filing {
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

    /// The object at `key`.
    pub(crate) fn get(&self, key: &ObjectKey) -> Option<&Entry> {
        match &self.table {
            Some(table) => table.get(key),
            None => self.objects.get(|object| object.key().cmp(key)).and_then(Entry::of),
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

    /// How far the scope is that everything belongs to, or else that of `namespace`.
    pub(crate) fn scope(&self, namespace: Option<&str>) -> Option<&Progress> {
        // The empty name is the first. It is not looked for, because to compare empty texts takes long: their bytes are
        // asked for at an address that does not exist.
        let everywhere = self.scopes.first_key_value().filter(|(name, _)| name.is_empty());
        let progress = match (everywhere, namespace) {
            (Some((_, everywhere)), _) => Some(everywhere),
            (None, Some("") | None) => None,
            (None, Some(namespace)) => self.scopes.get(namespace),
        };
        progress.map(|progress| &**progress)
    }

    /// No object has a namespace. Of an empty store nothing is said, and nothing needs to be.
    pub(crate) fn cluster_scoped(&self) -> bool {
        self.objects.at(0).is_some_and(|object| object.key().namespace().is_none())
    }

    /// The ranks of the objects of a namespace; of all where there is none.
    pub(crate) fn ranks(&self, namespace: Option<&str>) -> std::ops::Range<usize> {
        let Some(namespace) = namespace else { return 0..self.objects.len() };
        let (from, to) = namespace_bounds(namespace);
        let rank = |bound: &str| self.objects.rank(|object| object.key().as_str().cmp(bound));
        rank(&from)..rank(&to)
    }

    /// Files an object, and hands out the state of it that was there.
    pub(crate) fn put(&mut self, filing: Filing) -> Option<Object> {
        let Filing { object, values } = filing;
        let key = object.key();
        self.remembered += weight(&values);
        let old = self.objects.put(object.clone(), |other| other.key().cmp(key));
        match &mut self.table {
            // What it replaces is `old`, so that nothing is dropped here.
            Some(table) => _ = table.put(&object),
            None if self.objects.len() > FEW => self.table = self.tabled(),
            None => {}
        }
        let before = old.as_ref().and_then(|old| self.unfile(old));
        for (at, value) in each(&before).filter(|value| !each(&values).any(|other| other == *value)) {
            self.take_row(at, value, key);
        }
        for (at, value) in each(&values) {
            self.put_row(*at, value, &object);
        }
        self.shift(key, old.as_ref(), Some(&object));
        Entry::of(&object).map(|entry| entry.file(values));
        old
    }

    pub(crate) fn take(&mut self, key: &ObjectKey) -> Option<Object> {
        let old = self.objects.take(|object| object.key().cmp(key))?;
        if let Some(table) = &mut self.table {
            table.take(key);
            // Well below the line, so that one object that comes and goes builds no table each time.
            self.table.take_if(|_| self.objects.len() < FEW / 2);
        }
        for (at, value) in each(&self.unfile(&old)) {
            self.take_row(at, value, key);
        }
        self.shift(key, Some(&old), None);
        Some(old)
    }

    /// The values of an object that is filed no more. It keeps them for now: somebody may still read the store in which
    /// it is filed, and change that.
    fn unfile(&mut self, old: &Object) -> Option<Values> {
        let values = Entry::of(old).and_then(Entry::values);
        self.remembered -= weight(&values);
        values
    }

    /// Moves an object in those indexes whose values are in its head.
    fn shift(&mut self, key: &ObjectKey, old: Option<&Object>, new: Option<&Object>) {
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
    pub(crate) fn fill(&mut self, mut filings: Vec<Filing>) {
        // The keys at hand: from a handle to its key are three places in memory, and a sort goes there often.
        filings.sort_by_cached_key(|filing| filing.object.key().clone());
        // Of two items of one key the later one stands, as if it had come as an update.
        filings.reverse();
        filings.dedup_by(|a, b| a.object.key() == b.object.key());
        filings.reverse();
        self.remembered = filings.iter().map(|filing| weight(&filing.values)).sum();
        self.owners = Rows::from_keyed(filings.iter().flat_map(|Filing { object, .. }| {
            let uids = uids(object).map(Cow::Borrowed);
            uids.map(move |uid| (uid, object))
        }));
        for (at, index) in self.indexes.iter_mut().enumerate() {
            let Built { extractor, rows, whole } = index;
            *rows = if extractor.reads_head() {
                Rows::from_keyed(filings.iter().flat_map(|Filing { object, .. }| {
                    let values = extractor.values_of_head(object.labels()).into_iter();
                    values.map(move |value| (value, object))
                }))
            } else {
                Rows::from_keyed(filings.iter().flat_map(|Filing { object, values }| {
                    let own = each(values).filter(|(index, _)| *index as usize == at);
                    own.map(move |(_, value)| (value.clone(), object))
                }))
            };
            *whole = true;
        }
        self.objects = Spine::from_sorted(filings.into_iter().map(|Filing { object, values }| {
            Entry::of(&object).map(|entry| entry.file(values));
            object
        }));
        self.table = self.tabled();
    }

    fn tabled(&self) -> Option<Table> {
        (self.objects.len() > FEW).then(|| Table::of(self.objects.iter()))
    }

    pub(crate) fn put_row(&mut self, at: u32, value: &Arc<str>, object: &Object) {
        if let Some(index) = self.indexes.get_mut(at as usize) {
            index.rows.put(value.clone(), object.clone());
        }
    }

    /// Files an object that is there under its values in a new index, and remembers them with those it has.
    pub(crate) fn file(&mut self, at: u32, object: &Object, own: &[Arc<str>]) {
        own.iter().for_each(|value| self.put_row(at, value, object));
        let Some(entry) = Entry::of(object).filter(|_| !own.is_empty()) else { return };
        if self.indexes.get(at as usize).is_none_or(|index| index.extractor.reads_head()) {
            return;
        }
        let all = entry.values().unwrap_or_default().into_iter();
        let all: Values = all.chain(own.iter().map(|value| (at, value.clone()))).collect();
        self.remembered += size_of_val(&*all);
        self.remembered -= weight(&entry.file(Some(all)));
    }

    fn take_row(&mut self, at: &u32, value: &str, key: &ObjectKey) {
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

fn each(values: &Option<Values>) -> impl Iterator<Item = &(u32, Arc<str>)> {
    values.iter().flat_map(|values| values.iter())
}

fn uids(object: &Object) -> impl Iterator<Item = &str> {
    object.owners().iter().map(|owner| owner.uid.as_str())
}

/// What remembered values take, their texts aside.
fn weight(values: &Option<Values>) -> usize {
    values.as_ref().map_or(0, |values| size_of_val(&**values))
}
