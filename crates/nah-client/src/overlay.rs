//! What is known of a kind before the cache knows it. Pure: no clock, no lock, no I/O.
//!
//! Answers to writes, events of the informer and live reads go in; what a reader must see in place of the cache
//! comes out. An entry counts only while its version is above what the informer has observed, so the informer ends
//! it by itself and no timer does. What is not known to have happened is `Unsure`: the reader asks the server.

mod answer;
mod entries;
mod merge;
mod recent;
#[cfg(test)]
mod tests;
mod tombstones;

use std::{collections::HashMap, time::Duration};

use nah_core::{Object, ObjectKey, ResourceVersion, Uid};
use tokio::time::Instant;

pub(crate) use answer::{Question, Verdict, listed, read, wrote};
pub(crate) use merge::merge;

use entries::{Entries, Observed, State};
use recent::Recent;
use tombstones::Tombstones;

/// How much an overlay keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Objects, and as many doubts and tombstones. Beyond it the oldest objects become doubts.
    pub(crate) entries: usize,
    /// Uids that the informer has seen go, kept for answers that come late.
    pub(crate) recent: usize,
    /// The age at which a doubt ends, and a tombstone that no list can end. Longer than any request lasts; only a
    /// bound on memory.
    pub(crate) age: Duration,
}

/// What is known of one kind before its informer knows it.
#[derive(Debug)]
pub(crate) struct Overlay {
    limits: Limits,
    tickets: u64,
    /// Answers to requests sent before this ticket speak of a history that is gone.
    rewound: u64,
    observed: Observed,
    entries: Entries,
    tombstones: Tombstones,
    recent: Recent,
    swept: Option<Instant>,
    /// Whether the cache selects by labels. It is told of an object that leaves the selection as of one that ends,
    /// and the object may come back before it ends: there only their age ends tombstones.
    selective: bool,
}

/// A request on its way: what was known when it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    ticket: u64,
    /// The uids known under its key.
    before: Vec<Uid>,
}

/// What the cache holds under a key.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) uid: Option<Uid>,
    pub(crate) version: u64,
}

/// What an answer says about one key.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    /// The server has removed the object of this uid (or whichever it was), which was there at `known`.
    Gone { uid: Option<Uid>, known: u64 },
    /// The whole object as it is now, and whether the cache will hold it.
    Whole { object: Object, in_scope: bool },
    /// Something may have changed, and the answer does not show what.
    Unknown,
}

/// What a reader must see under a key instead of what the cache holds.
#[derive(Clone, Debug)]
pub(crate) enum Look {
    /// What the cache holds, unless that uid is hidden.
    Cache,
    /// This object, unless the cache holds its version or a newer one.
    Present(Object, u64),
    /// Nothing, unless the cache holds a newer version than this.
    Absent(u64),
    /// What the server says.
    Unsure,
}

/// Everything that a list must show otherwise than the cache does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    pub(crate) present: Vec<(Object, u64)>,
    pub(crate) absent: HashMap<ObjectKey, u64>,
    pub(crate) hidden: std::collections::HashSet<Uid>,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 10_000, recent: 1_024, age: Duration::from_secs(600) }
    }
}

// === impl Look ===

impl Look {
    /// What a reader gets where the cache holds `held`, which was read after the look; none where only the server
    /// knows. `hidden` is whether the server has removed that uid.
    pub(crate) fn over(self, held: Option<Object>, hidden: bool) -> Option<Option<Object>> {
        // A version that is no number cannot be older: the cache wins.
        let version = held.as_ref().map_or(0, |held| version_of(held).unwrap_or(u64::MAX));
        let cached = held.filter(|_| !hidden);
        match self {
            Self::Unsure => None,
            Self::Present(written, at) if at > version || cached.is_none() => Some(Some(written)),
            Self::Absent(at) if at >= version => Some(None),
            Self::Cache | Self::Present(..) | Self::Absent(_) => Some(cached),
        }
    }
}

// === impl Changes ===

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.present.len() + self.absent.len() + self.hidden.len()
    }
}

// === impl Held ===

impl From<&Object> for Held {
    fn from(object: &Object) -> Self {
        Self { uid: object.uid().cloned(), version: version_of(object).unwrap_or(0) }
    }
}

/// The version of an object as a number, if it is one.
pub(crate) fn version_of(object: &Object) -> Option<u64> {
    object.resource_version().and_then(ResourceVersion::number)
}

// === impl Overlay ===

impl Overlay {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            tickets: 0,
            rewound: 0,
            observed: Observed::default(),
            entries: Entries::default(),
            tombstones: Tombstones::default(),
            recent: Recent::new(limits.recent),
            swept: None,
            selective: false,
        }
    }

    /// Says whether the cache selects by labels or fields.
    pub(crate) fn set_selective(&mut self, selective: bool) {
        self.selective = selective;
    }

    /// Hides what `other` hides, which is of the same kind in another version.
    pub(crate) fn inherit(&mut self, other: &Self) {
        self.tombstones.inherit(&other.tombstones);
    }

    /// Whether a reader may look at the cache alone.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.tombstones.is_empty()
    }

    // --- requests and their answers

    /// A request about `key` is about to be sent; `held` is what the cache has of it.
    pub(crate) fn send(&mut self, key: Option<&ObjectKey>, held: Option<&Held>) -> Sent {
        self.tickets += 1;
        let written = key.and_then(|key| self.entries.uid(key));
        let before = held.and_then(|held| held.uid.clone()).into_iter().chain(written).collect();
        Sent { ticket: self.tickets, before }
    }

    /// Takes in what the answer to `sent` says about `key`. `live` is whether the kind has an informer: without one
    /// only tombstones and doubts are kept, because its first list asks for our versions or newer ones.
    pub(crate) fn answer(
        &mut self,
        now: Instant,
        sent: &Sent,
        key: &ObjectKey,
        said: Said,
        held: Option<&Held>,
        live: bool,
    ) {
        self.sweep(now);
        match said {
            Said::Unknown => self.doubt(now, key),
            _ if sent.ticket <= self.rewound => self.doubt(now, key),
            Said::Gone { uid, known } => {
                self.settle(key, sent);
                let named = uid.is_some();
                let mut gone: Vec<_> = sent.before.iter().map(|uid| (uid.clone(), 0)).collect();
                gone.extend(uid.map(|uid| (uid, known)));
                for (uid, known) in gone {
                    let known = self.known(&uid, key, held).max(known);
                    self.bury(now, uid, key, known, held);
                    // An older object of that name may be on its way to the cache: it went before this one came.
                    if live && known > self.observed.of(key.namespace()) {
                        self.entries.put(key, known, State::Absent);
                    }
                }
                self.entries.cap(self.limits.entries);
                // The cache learned of another object of that name after the request was sent. Which of the two
                // came first is not known.
                let other = held.and_then(|held| held.uid.as_ref());
                if !named && other.is_some_and(|uid| !self.tombstones.contains(uid)) {
                    self.doubt(now, key);
                }
            }
            Said::Whole { object, in_scope } => {
                if object.uid().is_some_and(|uid| self.tombstones.contains(uid)) {
                    return;
                }
                self.settle(key, sent);
                let Some(version) = version_of(&object).filter(|_| live) else { return };
                if version <= self.observed.of(key.namespace()) {
                    // The informer has passed it and holds an older state all the same: it could not read the newer
                    // one, or history went backwards and it does not know yet.
                    let stale = |held: &&Held| held.uid.as_ref() == object.uid() && held.version < version;
                    if held.filter(stale).is_some_and(|held| held.version > 0) {
                        self.doubt(now, key);
                    }
                    return;
                }
                // Outside the scope it is absent, held or not: an older version inside may be on its way.
                let state = if in_scope { State::Present(object) } else { State::Absent };
                self.entries.put(key, version, state);
                self.entries.cap(self.limits.entries);
            }
        }
    }

    fn settle(&mut self, key: &ObjectKey, sent: &Sent) {
        self.entries.settle(key, sent.ticket);
    }

    fn doubt(&mut self, now: Instant, key: &ObjectKey) {
        self.entries.doubt(key, self.tickets, now);
        self.entries.cap_doubts(self.limits.entries);
    }

    /// The highest version at which `uid` is known to have been there.
    fn known(&self, uid: &Uid, key: &ObjectKey, held: Option<&Held>) -> u64 {
        let held = held.filter(|held| held.uid.as_ref() == Some(uid)).map_or(0, |held| held.version);
        let written = self.entries.uid(key).filter(|written| written == uid);
        held.max(written.and_then(|_| self.entries.version(key)).unwrap_or(0))
    }

    fn bury(&mut self, now: Instant, uid: Uid, key: &ObjectKey, known: u64, held: Option<&Held>) {
        self.entries.forget(key, &uid);
        let held = held.is_some_and(|held| held.uid.as_ref() == Some(&uid));
        let passed = known > 0 && !self.selective && self.observed.of(key.namespace()) >= known;
        if !held && (passed || self.recent.contains(&uid)) {
            return; // The informer has reported it gone, or never will: nothing would end the tombstone.
        }
        self.tombstones.put(uid, key, known, passed, now);
        for key in self.tombstones.cap(self.limits.entries) {
            self.doubt(now, &key);
        }
    }

    // --- the informer

    /// The store has applied a watch event or a bookmark. `held` looks into it.
    pub(crate) fn event(
        &mut self,
        now: Instant,
        namespace: Option<&str>,
        removed: &[(ObjectKey, Option<Uid>)],
        version: Option<u64>,
        held: impl Fn(&ObjectKey) -> Option<Held>,
    ) {
        self.sweep(now);
        self.removed(removed, version);
        if let Some(version) = version {
            self.observed.raise(namespace, version);
            self.passed(now, namespace, version, held);
        }
    }

    /// The store has taken in a complete list. `held` looks into it.
    pub(crate) fn list(
        &mut self,
        now: Instant,
        namespace: Option<&str>,
        removed: &[(ObjectKey, Option<Uid>)],
        version: Option<u64>,
        backwards: bool,
        held: impl Fn(&ObjectKey) -> Option<Held>,
    ) {
        self.sweep(now);
        if backwards {
            // A restored backup: what we wrote may not be there, and what we removed may be.
            self.rewound = self.tickets;
            self.clear(namespace);
            self.recent.clear();
        } else {
            self.removed(removed, version);
        }
        if let Some(version) = version {
            self.observed.set(namespace, version);
            self.passed(now, namespace, version, held);
        }
    }

    /// The namespace is not cached any more: what was written there nobody will catch up with.
    pub(crate) fn left(&mut self, namespace: Option<&str>) {
        self.clear(namespace);
        self.observed.forget(namespace);
    }

    fn clear(&mut self, namespace: Option<&str>) {
        let covers = |key: &ObjectKey| namespace.is_none() || key.namespace() == namespace;
        self.entries.clear(covers);
        self.tombstones.clear(covers);
    }

    /// The informer has observed `version`: what was known up to it, it knows itself.
    fn passed(
        &mut self,
        now: Instant,
        namespace: Option<&str>,
        version: u64,
        held: impl Fn(&ObjectKey) -> Option<Held>,
    ) {
        for (key, uid, written) in self.entries.evict(namespace, version) {
            // Passed, and not taken in: it could not read that state, and nobody else here will show it any more.
            let stale = |held: &Held| held.uid == uid && (1..written).contains(&held.version);
            if held(&key).as_ref().is_some_and(stale) {
                self.doubt(now, &key);
            }
        }
        if self.selective {
            return;
        }
        self.tombstones.pass(namespace, version, |key, uid| {
            held(key).is_some_and(|held| held.uid.as_ref() == Some(uid))
        });
    }

    fn removed(&mut self, removed: &[(ObjectKey, Option<Uid>)], version: Option<u64>) {
        for (key, uid) in removed {
            let Some(uid) = uid else { continue };
            if !self.selective {
                self.tombstones.end(uid);
                self.recent.push(uid.clone());
            }
            // Only where versions are no numbers is it still there; elsewhere the version of the event ends it.
            if version.is_none() {
                self.entries.forget(key, uid);
            }
        }
    }

    // --- reads

    /// What a reader must see under `key`, the informer having observed at least `observed`.
    pub(crate) fn look(&self, key: &ObjectKey, observed: u64) -> Look {
        self.entries.look(key, observed.max(self.observed.of(key.namespace())))
    }

    /// Whether the server has removed the object of this uid.
    pub(crate) fn hides(&self, uid: Option<&Uid>) -> bool {
        uid.is_some_and(|uid| self.tombstones.contains(uid))
    }

    /// What a list must show otherwise than the cache; `observed` is asked once a namespace.
    pub(crate) fn changes(&self, namespace: Option<&str>, observed: impl Fn(Option<&str>) -> u64) -> Changes {
        let mut changes = Changes { hidden: self.tombstones.uids().cloned().collect(), ..Changes::default() };
        for (key, version, state) in self.entries.states() {
            // A key without a namespace is of a kind that has none, for which the namespace is ignored.
            let covered = namespace.is_none() || key.namespace().is_none_or(|own| namespace == Some(own));
            if !covered || version <= self.observed.of(key.namespace()).max(observed(key.namespace())) {
                continue;
            }
            match state {
                State::Present(object) => changes.present.push((object.clone(), version)),
                State::Absent => drop(changes.absent.insert(key.clone(), version)),
                State::Dropped => {}
            }
        }
        changes
    }

    // --- age

    /// Ends what nothing else can end, at most ten times within its age.
    fn sweep(&mut self, now: Instant) {
        let age = self.limits.age;
        if self.swept.is_some_and(|swept| now.saturating_duration_since(swept) < age / 10) {
            return;
        }
        self.swept = Some(now);
        self.entries.expire(now, age);
        let observed = &self.observed;
        let listed = |namespace: Option<&str>| !self.selective && observed.is_known(namespace);
        self.tombstones.expire(now, age, listed);
    }
}
