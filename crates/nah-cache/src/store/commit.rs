//! How a store changes by events, scopes and indexes.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    task::Waker,
};

use nah_core::{Body, Object, Outline, ResourceVersion};
use parking_lot::MutexGuard;

use super::{
    Arrival, Removed, Seen, Spine, Store, Writer,
    difference::release,
    entry::Entry,
    known::{Built, Extractors, Filing, Known},
    read::{built_in, is_over_labels, is_reserved},
};
use crate::{
    CacheError, Extract,
    index::{Extractor, Rows},
    subscription::{Backlog, Change},
};

impl Store {
    /// Expects `scope` to be listed: until then the kind is not synced. A kind without a scope is not synced either
    /// (its mapping is not known yet).
    pub(crate) fn add_scope(&self, scope: Option<&str>) {
        let _writer = self.writer.lock();
        let mut known = self.known_mut();
        if !known.closed {
            known.scopes.entry(scope.unwrap_or_default().into()).or_default();
            // What was synced as one scope's may have to wait for another one now.
            let over = self.shelf.begin_epoch();
            drop(known);
            self.shelf.end_epoch(over);
        }
    }

    /// Ends subscriptions and handlers, drops objects and extractors; waiters get `Stopped`.
    pub(crate) fn close(&self) {
        let mut writer = self.writer.lock();
        let mut known = self.known_mut();
        let next = Known::closed(known.scopes.clone());
        let last = std::mem::replace(&mut *known, next);
        let over = self.shelf.begin_epoch();
        drop(known);
        let ended = std::mem::take(&mut writer.subscribers);
        self.listeners.store(0, Relaxed);
        self.told.lock().clear();
        drop(writer);
        self.shelf.end_epoch(over);
        ended.iter().for_each(|backlog| backlog.close());
        self.progress.send_replace(());
        // After what others wait for: what extractors hold may panic when it is dropped.
        drop(last);
        if let Some(common) = &self.shelf.common {
            common.words.sweep();
        }
    }

    /// Takes in one watch event of `scope`. The caller has the turn.
    pub(crate) fn apply(&self, scope: Option<&str>, seen: Seen) -> Removed {
        let name = scope.unwrap_or_default();
        let (arrival, deleted) = match seen {
            Seen::Upsert(arrival) => (arrival, false),
            Seen::Delete(arrival) => (arrival, true),
        };
        let object = arrival.object.clone();
        self.nursery
            .lock()
            .pop_if(|entry| object.body().is_some_and(|body| std::ptr::eq(entry.as_ptr(), body)));
        let version = object.resource_version().cloned();
        let (writer, filing) = match deleted {
            true => (self.writer.lock(), None),
            false => {
                let (writer, filing) = self.lock_with_values(arrival);
                (writer, Some(filing))
            }
        };
        let change = {
            let mut known = self.known_mut();
            if known.closed || !known.scopes.contains_key(name) {
                return Removed::new();
            }
            let change = if deleted {
                known.take(object.key()).map(|old| Change::ended(old, Some(object)))
            } else {
                filing.and_then(|filing| upsert(&mut known, filing, false))
            };
            if let Some(entry) = change.as_ref().and_then(Change::old).and_then(Object::body::<Entry>) {
                entry.hide();
            }
            if let (Some(version), Some(progress)) = (version, known.scopes.get_mut(name)) {
                progress.observed = Some(later(progress.observed.take(), version));
            }
            change
        };
        let removed = change.iter().filter_map(Change::removed).collect();
        if let Some(change) = &change {
            writer.subscribers.iter().for_each(|backlog| backlog.push(change.clone()));
        }
        let wake = self.news(&writer.subscribers);
        drop(writer);
        change.iter().for_each(release);
        drop(change);
        self.wake(wake);
        removed
    }

    pub(crate) fn bookmark(&self, scope: Option<&str>, version: ResourceVersion) {
        let writer = self.writer.lock();
        if let Some(progress) = self.known_mut().scopes.get_mut(scope.unwrap_or_default()) {
            progress.observed = Some(later(progress.observed.take(), version));
        }
        drop(writer);
        self.progress.send_replace(());
    }

    /// Adds an index; what is there already is indexed by the [`Build`], if there is any. An index over labels means
    /// the same to everybody, so that whoever asks for one that is there has it.
    pub(crate) fn add_index(
        self: &Arc<Self>,
        field: &str,
        extract: Extract,
    ) -> Result<Option<Build>, CacheError> {
        if built_in(field, &extract) {
            return Ok(None);
        }
        let over_labels = is_over_labels(field, &extract);
        let extractor = Arc::new(Extractor::new(field, extract)?);
        let _writer = self.writer.lock();
        let mut known = self.known_mut();
        if known.closed {
            return Err(CacheError::Stopped);
        }
        let taken = known.indexes.iter().find(|index| *index.extractor.field == *field);
        if over_labels && taken.is_some_and(|index| index.extractor.reads_head()) {
            return Ok(None);
        }
        if is_reserved(field) || taken.is_some() {
            return Err(CacheError::IndexConflict { gvk: (*self.gvk).clone(), index: field.to_owned() });
        }
        let at = known.indexes.len();
        let whole = known.objects.is_empty();
        known.indexes.push(Built { extractor: extractor.clone(), rows: Rows::default(), whole });
        let extractors = known.extractors.iter().cloned().chain([extractor.clone()]).collect();
        known.extractors = Arc::new(extractors);
        let todo = known.objects.clone();
        Ok((!whole).then(|| Build { store: self.clone(), extractor, at, todo, next: 0 }))
    }

    /// The writer's lock, with an arrival that has its values in the indexes that there are now. Extractors are users'
    /// code, so they run before the lock; where an index came in between, they run again.
    fn lock_with_values(&self, mut arrival: Arrival) -> (MutexGuard<'_, Writer>, Filing) {
        loop {
            let extractors = self.known.read().extractors.clone();
            let filing = self.filing(arrival, &extractors);
            let writer = self.writer.lock();
            if Arc::ptr_eq(&extractors, &self.known.read().extractors) {
                self.arriving.lock().clear();
                return (writer, filing);
            }
            let Filing { object, values } = filing;
            arrival = Arrival { object, values, extractors };
        }
    }

    /// An object with its values. They are looked for in `outline` first, where all that it says is kept.
    pub(super) fn arrival(
        &self,
        object: Object,
        outline: Option<&Outline<'_>>,
        extractors: &Extractors,
    ) -> Arrival {
        let mut values = Vec::new();
        let mut asked = (0u32..).zip(extractors.iter());
        // What is in the head is read there at the commit: it says the same at any time.
        while let Some((at, extractor)) = asked.find(|(_, extractor)| !extractor.reads_head()) {
            let read = outline.and_then(|outline| extractor.values_in(outline));
            let own = read.unwrap_or_else(|| self.values(extractor, &object)).into_iter();
            values.extend(own.map(|value| (at, self.intern(at, value))));
        }
        let values = (!values.is_empty()).then(|| values.into());
        Arrival { object, values, extractors: extractors.clone() }
    }

    /// One text a value, shared with the rows that have it: a hundred thousand Pods run on a few hundred nodes.
    fn intern(&self, at: u32, value: String) -> Arc<str> {
        let shared = |known: &Known| known.indexes.get(at as usize)?.rows.text(&value);
        if let Some(shared) = shared(&self.known.read()) {
            return shared;
        }
        let mut arriving = self.arriving.lock();
        if let Some(value) = arriving.get(value.as_str()) {
            return value.clone();
        }
        let value = Arc::from(value);
        arriving.insert(Arc::clone(&value));
        value
    }

    /// Whom to wake, once no lock is held.
    pub(super) fn news(&self, subscribers: &[Arc<Backlog>]) -> Vec<Waker> {
        subscribers.iter().filter_map(|backlog| backlog.news()).collect()
    }

    pub(super) fn wake(&self, wakers: Vec<Waker>) {
        wakers.into_iter().for_each(Waker::wake);
        self.progress.send_replace(());
    }
}

/// Files an object in `known` and says what that changed: nothing, where the very same object was there.
pub(super) fn upsert(known: &mut Known, filing: Filing, initial: bool) -> Option<Change> {
    let object = filing.object.clone();
    let same = |old: &&Entry| {
        let (old, new) = (old.head(), object.head());
        old.uid == new.uid && old.resource_version == new.resource_version
    };
    // A version that came again is looked at all the same: after a restored backup it may name something else.
    let unchanged = known
        .get(object.key())
        .filter(same)
        .is_some_and(|old| matches!((old.json(), object.json()), (Ok(old), Ok(new)) if old == new));
    if unchanged {
        return None;
    }
    Some(match known.put(filing) {
        Some(old) => Change::updated(old, object),
        None => Change::added(object, initial),
    })
}

/// The later of two versions; where they cannot be compared, the one that came later.
fn later(observed: Option<ResourceVersion>, version: ResourceVersion) -> ResourceVersion {
    match observed {
        Some(observed) if version.compare(&observed).is_some_and(|order| order.is_lt()) => observed,
        _ => version,
    }
}

/// The work of indexing what was there before an index was added, a few objects at a time.
pub(crate) struct Build {
    store: Arc<Store>,
    extractor: Arc<Extractor>,
    at: usize,
    todo: Spine<Object>,
    next: usize,
}

impl Build {
    /// Indexes the next `n` objects; true when the index is whole (or the store closed). The caller has the turn.
    pub(crate) fn step(&mut self, n: usize) -> bool {
        let end = (self.next + n).min(self.todo.len());
        let at = self.at as u32;
        let mut found = Vec::new();
        for object in self.todo.range(self.next..end) {
            let values = self.store.values(&self.extractor, object).into_iter();
            let values: Vec<_> = values.map(|value| self.store.intern(at, value)).collect();
            found.push((object.clone(), values));
        }
        self.next = end;
        let whole = end == self.todo.len();

        let writer = self.store.writer.lock();
        let mut known = self.store.known_mut();
        for (object, values) in &found {
            // What changed since the index was added has brought its values along.
            let there = known.get(object.key());
            if there.is_some_and(|entry| Entry::of(object).is_some_and(|own| std::ptr::eq(own, entry))) {
                known.file(at, object, values);
            }
        }
        if let Some(index) = known.indexes.get_mut(self.at) {
            index.whole |= whole;
        }
        self.store.arriving.lock().clear();
        let done = whole || known.closed;
        drop(known);
        drop(writer);
        if done {
            self.store.progress.send_replace(());
        }
        done
    }
}
