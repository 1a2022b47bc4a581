//! How a store changes: lists, events, scopes and indexes.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::Waker,
};

use nah_core::{Body, Object, ObjectKey, Outline, ResourceVersion, Uid};

use super::{
    Arrival, Listed, Removed, Seen, Spine, Store,
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

    /// Forgets a scope and its objects. Subscribers are told nothing: what leaves the cache is not gone, and who is
    /// told "gone" may destroy what belongs to it.
    pub(crate) fn remove_scope(&self, scope: Option<&str>) -> Removed {
        let subscribers = self.writer.lock();
        let mut next = self.known.read().clone();
        if next.scopes.remove(scope.unwrap_or_default()).is_none() {
            return Removed::new();
        }
        let keys: Vec<ObjectKey> =
            next.objects.range(next.ranks(scope)).map(|object| object.key().clone()).collect();
        let left: Vec<Object> = keys.iter().filter_map(|key| next.take(key)).collect();
        let synced = next.synced();
        let last = self.swap(next);
        for backlog in subscribers.iter() {
            backlog.forget(&keys);
            if synced {
                backlog.synced();
            }
        }
        let wake = self.news(&subscribers);
        drop(subscribers);
        drop(last);
        self.wake(wake);
        left.iter().map(removed).collect()
    }

    /// Ends subscriptions and handlers, drops objects and extractors; waiters get `Stopped`.
    pub(crate) fn close(&self) {
        let mut subscribers = self.writer.lock();
        let scopes = self.known.read().scopes.clone();
        let last = self.swap(Known::closed(scopes));
        let ended = std::mem::take(&mut *subscribers);
        self.listeners.store(0, Relaxed);
        self.told.lock().clear();
        drop(subscribers);
        ended.iter().for_each(|backlog| backlog.close());
        self.progress.send_replace(());
        // After what others wait for: what extractors hold may panic when it is dropped.
        drop(last);
        if let Some(common) = &self.shelf.common {
            common.words.sweep();
        }
    }

    /// Takes in a complete list of `scope` at `version`, as a difference, atomically for readers; tells subscribers
    /// deletions (tombstones) first, then adds and updates. Also marks the scope as synced.
    pub(crate) fn replace(
        &self,
        scope: Option<&str>,
        items: Vec<Listed>,
        version: ResourceVersion,
    ) -> Removed {
        let name = scope.unwrap_or_default();
        let mut listed = Vec::with_capacity(items.len());
        let mut arrivals = Vec::new();
        for item in items {
            match item {
                Listed::Same(key) => listed.push(key),
                Listed::New(arrival) => {
                    listed.push(arrival.object.key().clone());
                    arrivals.push(arrival);
                }
            }
        }
        listed.sort_unstable();
        let (subscribers, filings) = self.lock_with_values(arrivals);
        let mut next = self.known.read().clone();
        let was_synced = next.synced();
        let Some(progress) = next.scopes.get_mut(name).filter(|_| !next.closed) else {
            return Removed::new();
        };
        let initial = !progress.synced;
        progress.synced = true;
        progress.observed = Some(version);

        let mut changes = Vec::new();
        let first = next.objects.is_empty();
        if first {
            next.fill(filings);
        } else {
            for key in vanished(&next.objects, next.ranks(scope), &listed) {
                changes.extend(next.take(&key).map(|old| Change::ended(old, None)));
            }
            for filing in filings {
                changes.extend(upsert(&mut next, filing, initial));
            }
        }
        let removed = changes.iter().filter_map(Change::removed).collect();
        let filled = first.then(|| next.objects.clone());
        let synced = next.synced() && !was_synced;
        let last = match first || !changes.is_empty() {
            true => self.swap(next),
            false => std::mem::replace(&mut *self.known_mut(), next),
        };

        for backlog in subscribers.iter() {
            if let Some(spine) = &filled
                && !backlog.begin(spine, initial)
            {
                for object in spine.iter() {
                    backlog.push(Change::added(object.clone(), initial));
                }
            }
            for change in &changes {
                backlog.push(change.clone());
            }
            if synced {
                backlog.synced();
            }
        }
        let wake = self.news(&subscribers);
        drop(subscribers);
        drop((last, changes));
        self.wake(wake);
        drop(std::mem::take(&mut *self.nursery.lock()));
        removed
    }

    /// Takes in one watch event of `scope`.
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
        let (subscribers, filings) = match deleted {
            true => (self.writer.lock(), Vec::new()),
            false => self.lock_with_values(vec![arrival]),
        };
        let change = {
            let mut known = self.known_mut();
            if known.closed || !known.scopes.contains_key(name) {
                return Removed::new();
            }
            let change = if deleted {
                known.take(object.key()).map(|old| Change::ended(old, Some(object)))
            } else {
                filings.into_iter().next().and_then(|filing| upsert(&mut known, filing, false))
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
            subscribers.iter().for_each(|backlog| backlog.push(change.clone()));
        }
        let wake = self.news(&subscribers);
        drop(subscribers);
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

    /// The writer's lock, with arrivals that have their values in the indexes that there are now. Extractors are users'
    /// code, so they run before the lock; where an index came in between, they run again.
    fn lock_with_values(
        &self,
        mut arrivals: Vec<Arrival>,
    ) -> (parking_lot::MutexGuard<'_, Vec<Arc<Backlog>>>, Vec<Filing>) {
        loop {
            let extractors = self.known.read().extractors.clone();
            for arrival in &mut arrivals {
                if !Arc::ptr_eq(&arrival.extractors, &extractors) {
                    *arrival = self.arrival(arrival.object.clone(), None, &extractors);
                }
            }
            let subscribers = self.writer.lock();
            if Arc::ptr_eq(&extractors, &self.known.read().extractors) {
                let filing = |Arrival { object, values, .. }| Filing { object, values };
                let filings = arrivals.into_iter().map(filing).collect();
                self.arriving.lock().clear();
                return (subscribers, filings);
            }
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

    /// Makes `next` what is known, in one step, and hands out what was known before: dropping it may take long. Other
    /// objects are in it, so what readers find without a lock is over at the same moment.
    fn swap(&self, next: Known) -> Known {
        let mut known = self.known_mut();
        let last = std::mem::replace(&mut *known, next);
        let over = self.shelf.begin_epoch();
        drop(known);
        self.shelf.end_epoch(over);
        last
    }

    /// Whom to wake, once no lock is held.
    fn news(&self, subscribers: &[Arc<Backlog>]) -> Vec<Waker> {
        subscribers.iter().filter_map(|backlog| backlog.news()).collect()
    }

    fn wake(&self, wakers: Vec<Waker>) {
        wakers.into_iter().for_each(Waker::wake);
        self.progress.send_replace(());
    }
}

/// Files an object in `known` and says what that changed: nothing, where the very same object was there.
fn upsert(known: &mut Known, filing: Filing, initial: bool) -> Option<Change> {
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

/// The keys of these ranks that a list does not have.
fn vanished(objects: &Spine<Object>, ranks: Range<usize>, listed: &[ObjectKey]) -> Vec<ObjectKey> {
    let mut listed = listed.iter().peekable();
    let gone = objects.range(ranks).map(Object::key).filter(|own| {
        while listed.next_if(|key| *key < *own).is_some() {}
        listed.peek().is_none_or(|key| *key != *own)
    });
    gone.cloned().collect()
}

/// The later of two versions; where they cannot be compared, the one that came later.
fn later(observed: Option<ResourceVersion>, version: ResourceVersion) -> ResourceVersion {
    match observed {
        Some(observed) if version.compare(&observed).is_some_and(|order| order.is_lt()) => observed,
        _ => version,
    }
}

fn removed(object: &Object) -> (ObjectKey, Option<Uid>) {
    (object.key().clone(), object.uid().cloned())
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
    /// Indexes the next `n` objects; true when the index is whole (or the store closed).
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
