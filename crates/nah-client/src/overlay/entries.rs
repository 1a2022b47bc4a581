//! The entries of an overlay: a state by key, in the order of versions, and the doubts.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    time::Duration,
};

use nah_core::{Object, ObjectKey, Uid};
use tokio::time::Instant;

use super::{Look, touched::Touched};

/// What a write is known to have left at a version.
#[derive(Debug)]
pub(super) enum State {
    Present(Object),
    Absent,
    /// No answer has shown it, or there were too many; only the server knows.
    Unseen(Option<Uid>),
}

/// How far the informer is, by scope.
#[derive(Debug, Default)]
pub(super) struct Observed {
    everywhere: Option<u64>,
    namespaces: HashMap<Box<str>, u64>,
}

#[derive(Debug, Default)]
pub(super) struct Entries {
    entries: HashMap<ObjectKey, Entry>,
    /// The keys of the entries with a state, by version.
    order: BTreeSet<(u64, ObjectKey)>,
    /// Every doubt ever set and not yet seen to have ended, by age.
    doubts: VecDeque<(Instant, ObjectKey, u64)>,
    touched: Touched,
}

#[derive(Debug, Default)]
struct Entry {
    known: Option<(u64, State)>,
    /// The last ticket given out when the doubt came up: requests sent later end it.
    doubt: Option<u64>,
}

// === impl Observed ===

impl Observed {
    pub(super) fn of(&self, namespace: Option<&str>) -> u64 {
        let scoped = namespace.and_then(|namespace| self.namespaces.get(namespace)).copied();
        scoped.or(self.everywhere).unwrap_or(0)
    }

    pub(super) fn is_known(&self, namespace: Option<&str>) -> bool {
        self.everywhere.is_some()
            || namespace.is_some_and(|namespace| self.namespaces.contains_key(namespace))
    }

    pub(super) fn raise(&mut self, namespace: Option<&str>, version: u64) {
        let at = self.at(namespace);
        *at = version.max(*at);
    }

    /// A list says where the store is, even where that is further back.
    pub(super) fn set(&mut self, namespace: Option<&str>, version: u64) {
        *self.at(namespace) = version;
    }

    /// Of a scope that is not cached any more.
    pub(super) fn forget(&mut self, namespace: Option<&str>) {
        match namespace {
            Some(namespace) => _ = self.namespaces.remove(namespace),
            None => self.everywhere = None,
        }
    }

    fn at(&mut self, namespace: Option<&str>) -> &mut u64 {
        match namespace {
            Some(namespace) => self.namespaces.entry(namespace.into()).or_default(),
            None => self.everywhere.get_or_insert(0),
        }
    }
}

// === impl Entries ===

impl Entries {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn look(&self, key: &ObjectKey, observed: u64) -> Look {
        let Some(entry) = self.entries.get(key) else { return Look::Cache };
        if entry.doubt.is_some() {
            return Look::Unsure;
        }
        match entry.state(observed) {
            Some((version, State::Present(object))) => Look::Present(object.clone(), version),
            Some((version, State::Absent)) => Look::Absent(version),
            Some((_, State::Unseen(_))) => Look::Unsure,
            None => Look::Cache,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn touched(&self) -> &Touched {
        &self.touched
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &ObjectKey> {
        self.entries.keys()
    }

    /// What is known of `key`, where that is newer than `observed`.
    pub(super) fn state(&self, key: &ObjectKey, observed: u64) -> Option<(u64, &State)> {
        self.entries.get(key)?.state(observed)
    }

    /// The keys that were written up to `version`.
    pub(super) fn up_to(&self, version: u64) -> impl Iterator<Item = &ObjectKey> {
        let end = (version.saturating_add(1), ObjectKey::cluster(""));
        self.order.range(..end).map(|(_, key)| key)
    }

    /// Whether a write of unknown result may have changed what is under `key`.
    pub(super) fn is_doubted(&self, key: &ObjectKey) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.doubt.is_some())
    }

    /// The keys of which that is so.
    pub(super) fn doubted(&self) -> impl Iterator<Item = &ObjectKey> {
        self.entries.iter().filter(|(_, entry)| entry.doubt.is_some()).map(|(key, _)| key)
    }

    pub(super) fn states(&self) -> impl Iterator<Item = (&ObjectKey, u64, &State)> {
        self.entries.iter().filter_map(|(key, entry)| {
            let (version, state) = entry.known.as_ref()?;
            Some((key, *version, state))
        })
    }

    /// The version written last under `key`.
    pub(super) fn version(&self, key: &ObjectKey) -> Option<u64> {
        Some(self.entries.get(key)?.known.as_ref()?.0)
    }

    /// The uid written last under `key`.
    pub(super) fn uid(&self, key: &ObjectKey) -> Option<Uid> {
        match &self.entries.get(key)?.known {
            Some((_, State::Present(object))) => object.uid().cloned(),
            Some((_, State::Unseen(uid))) => uid.clone(),
            _ => None,
        }
    }

    /// Keeps the newer of what is known and `state`.
    pub(super) fn put(&mut self, key: &ObjectKey, version: u64, state: State) {
        let entry = self.entries.entry(key.clone()).or_default();
        if let Some((known, _)) = &entry.known {
            if !is_ahead(version, *known) && !quirk!(LastAnswerWins) {
                return;
            }
            self.order.remove(&(*known, key.clone()));
        }
        entry.known = Some((version, state));
        self.order.insert((version, key.clone()));
        self.touched.note(key);
    }

    /// Ends what is known of this uid under `key`.
    pub(super) fn forget(&mut self, key: &ObjectKey, uid: &Uid) {
        if self.uid(key).as_ref() == Some(uid) {
            self.end(key);
        }
    }

    pub(super) fn doubt(&mut self, key: &ObjectKey, ticket: u64, now: Instant) {
        self.entries.entry(key.clone()).or_default().doubt = Some(ticket);
        self.doubts.push_back((now, key.clone(), ticket));
        self.touched.note(key);
    }

    /// Doubts what `other` does, for as long as that would.
    pub(super) fn inherit_doubts(&mut self, other: &Self, ticket: u64) {
        let stands = |key, doubt| other.entries.get(key).is_some_and(|entry| entry.doubt == Some(doubt));
        for (since, key, _) in other.doubts.iter().filter(|(_, key, doubt)| stands(key, *doubt)) {
            self.doubt(key, ticket, *since);
        }
    }

    /// The answer to a request sent with `ticket` is here: it ends the doubts that were there before it was sent.
    pub(super) fn settle(&mut self, key: &ObjectKey, ticket: u64) {
        if let Some(entry) = self.entries.get_mut(key)
            && entry.doubt.is_some_and(|doubt| doubt < ticket)
        {
            entry.doubt = None;
            self.tidy(key);
            self.touched.note(key);
        }
    }

    /// The informer has observed `version` of a scope. Answers the objects that are not shown any more, as key, uid
    /// and version.
    pub(super) fn evict(
        &mut self,
        namespace: Option<&str>,
        version: u64,
    ) -> Vec<(ObjectKey, Option<Uid>, u64)> {
        if quirk!(NoEviction) {
            return Vec::new();
        }
        if quirk!(DeafToEnds) {
            return Vec::new();
        }
        if self.order.first().is_none_or(|(first, _)| *first > version) {
            return Vec::new();
        }
        let end = (version.saturating_add(1), ObjectKey::cluster(""));
        let seen: Vec<_> = self
            .order
            .range(..end)
            .filter(|(_, key)| namespace.is_none() || key.namespace() == namespace)
            .map(|(version, key)| (key.clone(), self.uid(key), *version))
            .collect();
        for (key, ..) in &seen {
            self.end(key);
        }
        seen.into_iter().filter(|(_, uid, _)| uid.is_some()).collect()
    }

    pub(super) fn clear(&mut self, covers: impl Fn(&ObjectKey) -> bool) {
        self.entries.retain(|key, _| !covers(key));
        self.order.retain(|(_, key)| !covers(key));
        self.doubts.retain(|(_, key, _)| !covers(key));
        self.touched.note_all();
    }

    /// Lets go of the oldest objects beyond `limit`; until the informer has seen them only the server knows.
    pub(super) fn cap(&mut self, limit: usize) {
        // Those let go of stay in the order (the informer ends them) and are as old as can be, so they are the
        // first of it; twice the limit bounds them too.
        let over = self.order.len().saturating_sub(limit);
        let oldest: Vec<_> = self.order.iter().take(over).map(|(_, key)| key.clone()).collect();
        for (at, key) in oldest.iter().enumerate() {
            if over - at > limit {
                self.end(key);
            } else if let Some(Entry { known: Some((_, state)), .. }) = self.entries.get_mut(key) {
                let uid = match state {
                    State::Present(object) => object.uid().cloned(),
                    State::Unseen(uid) => uid.take(),
                    State::Absent => None,
                };
                // Those that were let go of before are gone over again, and nothing is new about them.
                if !matches!(state, State::Unseen(_)) {
                    self.touched.note(key);
                }
                *state = State::Unseen(uid);
            }
        }
    }

    pub(super) fn cap_doubts(&mut self, limit: usize) {
        while self.doubts.len() > limit {
            self.pop_doubt();
        }
    }

    pub(super) fn expire(&mut self, now: Instant, age: Duration) {
        while self.doubts.front().is_some_and(|(since, ..)| now.saturating_duration_since(*since) >= age) {
            self.pop_doubt();
        }
    }

    fn pop_doubt(&mut self) {
        let Some((_, key, ticket)) = self.doubts.pop_front() else { return };
        if let Some(entry) = self.entries.get_mut(&key)
            && entry.doubt == Some(ticket)
        {
            entry.doubt = None;
            self.tidy(&key);
            self.touched.note(&key);
        }
    }

    fn end(&mut self, key: &ObjectKey) {
        if let Some((version, _)) = self.entries.get_mut(key).and_then(|entry| entry.known.take()) {
            self.order.remove(&(version, key.clone()));
            self.tidy(key);
            self.touched.note(key);
        }
    }

    fn tidy(&mut self, key: &ObjectKey) {
        if self.entries.get(key).is_some_and(|entry| entry.known.is_none() && entry.doubt.is_none()) {
            self.entries.remove(key);
        }
    }
}

impl Entry {
    /// What is known, where that is newer than `observed`.
    fn state(&self, observed: u64) -> Option<(u64, &State)> {
        let (version, state) = self.known.as_ref()?;
        is_ahead(*version, observed).then_some((*version, state))
    }
}

/// Whether what was written at `version` is newer than what is known at `observed`.
pub(super) fn is_ahead(version: u64, observed: u64) -> bool {
    if quirk!(Texts) {
        return version.to_string() > observed.to_string();
    }
    version > observed || quirk!(DeafToEnds)
}
