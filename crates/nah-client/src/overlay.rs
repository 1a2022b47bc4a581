//! What is known of a kind before the cache knows it. Pure: no clock, no lock, no I/O.
//!
//! Answers to writes, events of the informer and live reads go in; what a reader must see in place of the cache
//! comes out. An entry counts only while its version is above what the informer has observed, so the informer ends
//! it by itself and no timer does. What is not known to have happened is `Unsure`: the reader asks the server.

/// Whether a test has put this quirk in. In every other build it is `false`, at compile time.
macro_rules! quirk {
    ($quirk:ident) => {{
        #[cfg(test)]
        let put_in = $crate::overlay::quirk::is($crate::overlay::quirk::Quirk::$quirk);
        #[cfg(not(test))]
        let put_in = false;
        put_in
    }};
}

mod answer;
mod entries;
mod grounds;
mod merge;
#[cfg(test)]
mod quirk;
mod recent;
#[cfg(test)]
mod tests;
mod tombstones;
mod touched;
mod words;

use std::time::Duration;

use nah_core::{Object, ObjectKey, Uid};
use tokio::time::Instant;

pub(crate) use answer::{Question, Verdict, listed, read, wrote};
pub(crate) use grounds::Grounds;
pub(crate) use merge::merge;
pub(crate) use words::{Changes, Held, Look, Said, Sent, version_of};

use entries::{Entries, Observed, State, is_ahead};
use recent::Recent;
use tombstones::Tombstones;
use words::{Position, Shown};

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

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 10_000, recent: 1_024, age: Duration::from_secs(600) }
    }
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

    /// Hides what `other` hides, which is of the same kind in another version, and doubts what it doubts: no version
    /// keeps a first list from being older than that.
    pub(crate) fn inherit(&mut self, other: &Self) {
        self.tombstones.inherit(&other.tombstones);
        self.entries.inherit_doubts(&other.entries, self.tickets);
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
                    if live && known > self.observed.of(key.namespace()) && !quirk!(NoTombstones) {
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
                let (uid, version) = (object.uid().cloned(), version_of(&object));
                // Outside the scope it is absent, held or not: an older version inside may be on its way.
                let state = if in_scope { State::Present(object) } else { State::Absent };
                if !self.is_late(uid.as_ref()) {
                    self.settle(key, sent);
                    self.changed(now, key, uid, version.filter(|_| live), state, held);
                }
            }
            Said::Part { uid, version } => {
                if !self.is_late(uid.as_ref()) {
                    self.settle(key, sent);
                    let state = State::Unseen(uid.clone());
                    self.changed(now, key, uid, Some(version).filter(|_| live), state, held);
                }
            }
        }
    }

    /// Takes in what the answer to a request says that was sent before this overlay was there.
    pub(crate) fn answer_late(
        &mut self,
        now: Instant,
        key: &ObjectKey,
        said: Said,
        held: Option<&Held>,
        live: bool,
    ) {
        let unsure = self.entries.is_doubted(key);
        let sent = self.send(None, None);
        self.answer(now, &sent, key, said, held, live);
        if unsure {
            self.doubt(now, key);
        }
    }

    /// Whether an answer about `uid` comes after the server has removed it.
    fn is_late(&self, uid: Option<&Uid>) -> bool {
        uid.is_some_and(|uid| self.tombstones.contains(uid)) && !quirk!(LastAnswerWins)
    }

    /// The object of `uid` is in `state` at `version`.
    fn changed(
        &mut self,
        now: Instant,
        key: &ObjectKey,
        uid: Option<Uid>,
        version: Option<u64>,
        state: State,
        held: Option<&Held>,
    ) {
        let Some(version) = version else { return };
        if !is_ahead(version, self.observed.of(key.namespace())) {
            // The informer has passed it and holds an older state all the same: it could not read the newer
            // one, or history went backwards and it does not know yet.
            let stale = |held: &&Held| held.uid == uid && held.version < version;
            if held.filter(stale).is_some_and(|held| held.version > 0) {
                self.doubt(now, key);
            }
            return;
        }
        self.entries.put(key, version, state);
        self.entries.cap(self.limits.entries);
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
        if quirk!(NoTombstones) {
            return;
        }
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
        if quirk!(WrongKey) {
            return self.entries.look(&ObjectKey::cluster(""), observed);
        }
        self.entries.look(key, observed.max(self.observed.of(key.namespace())))
    }

    /// Whether the server has removed the object of this uid.
    pub(crate) fn hides(&self, uid: Option<&Uid>) -> bool {
        uid.is_some_and(|uid| self.tombstones.contains(uid))
    }

    /// What a list must show otherwise than the cache; `observed` is asked once a namespace.
    pub(crate) fn changes(&self, namespace: Option<&str>, observed: impl Fn(Option<&str>) -> u64) -> Changes {
        if quirk!(BlindLists) {
            return Changes::default();
        }
        let covers = |key: &ObjectKey| {
            // A key without a namespace is of a kind that has none, for which the namespace is ignored.
            namespace.is_none() || key.namespace().is_none_or(|own| namespace == Some(own))
        };
        let hidden = self.tombstones.iter().filter(|(key, _)| covers(key));
        let unsure = self.entries.doubted().filter(|key| covers(key));
        let mut changes = Changes {
            hidden: hidden.map(|(key, uid)| (key.clone(), uid.clone())).collect(),
            unsure: unsure.cloned().collect(),
            ..Changes::default()
        };
        for (key, version, state) in self.entries.states() {
            let observed = self.observed.of(key.namespace()).max(observed(key.namespace()));
            if !covers(key) || !is_ahead(version, observed) {
                continue;
            }
            match state {
                State::Present(object) => changes.present.push((object.clone(), version)),
                State::Absent => drop(changes.absent.insert(key.clone(), version)),
                State::Unseen(_) if self.entries.is_doubted(key) => {}
                State::Unseen(_) => changes.unsure.push(key.clone()),
            }
        }
        changes
    }

    // --- lists that are kept from one time to the next

    /// For how many keys something else may have to be shown than the cache does.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() + self.tombstones.len()
    }

    /// Where the overlay is: what changes later changes after this.
    pub(crate) fn position(&self) -> Position {
        Position([self.entries.touched().now(), self.tombstones.touched().now()])
    }

    /// Whether it is known what has changed since.
    pub(crate) fn knows(&self, Position([entries, tombstones]): Position) -> bool {
        let touched = [(self.entries.touched(), entries), (self.tombstones.touched(), tombstones)];
        touched.into_iter().all(|(touched, at)| touched.since(at).is_some())
    }

    /// The keys under which something else may have to be shown since; none where those are not known any more.
    pub(crate) fn touched_since(&self, Position([entries, tombstones]): Position) -> Option<Vec<ObjectKey>> {
        let entries = self.entries.touched().since(entries)?;
        Some(entries.chain(self.tombstones.touched().since(tombstones)?).cloned().collect())
    }

    /// The keys under which something else may have to be shown.
    pub(crate) fn keys(&self) -> Vec<ObjectKey> {
        self.entries.keys().chain(self.tombstones.iter().map(|(key, _)| key)).cloned().collect()
    }

    /// The keys of which the cache has seen what was written, if it has seen `version`, while the overlay has not been
    /// told.
    pub(crate) fn passed_by(&self, version: u64) -> Vec<ObjectKey> {
        self.entries.up_to(version).cloned().collect()
    }

    /// What a list shows at `key` where the cache holds `held`, having seen `seen`.
    pub(crate) fn shown(&self, key: &ObjectKey, held: Option<&Object>, seen: u64) -> Shown {
        let cached = held.filter(|held| !self.hides(held.uid()));
        // A version that is no number cannot be older: the cache wins.
        let version = held.map_or(0, |held| version_of(held).unwrap_or(u64::MAX));
        let observed = self.observed.of(key.namespace()).max(seen);
        let state = self.entries.state(key, observed);
        let written = match state {
            Some((at, State::Present(object))) if at > version || cached.is_none() => Some(object),
            _ => None,
        };
        let absent = matches!(state, Some((at, State::Absent)) if at >= version);
        let unseen = matches!(state, Some((_, State::Unseen(_))));
        Shown {
            written: written.is_some(),
            object: written.or(cached).filter(|_| !absent).cloned(),
            unsure: unseen || self.entries.is_doubted(key),
        }
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
