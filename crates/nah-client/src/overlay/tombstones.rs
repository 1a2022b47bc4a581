//! The uids that the server has removed and that the cache may still show.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use nah_core::{ObjectKey, Uid};
use tokio::time::Instant;

use super::touched::Touched;

#[derive(Debug, Default)]
pub(super) struct Tombstones {
    uids: HashMap<Uid, Tombstone>,
    /// Those whose known version the informer has not passed yet.
    ahead: BTreeSet<Ahead>,
    touched: Touched,
}

#[derive(Debug)]
struct Tombstone {
    key: ObjectKey,
    /// A version at which it was there; 0 where none is known.
    known: u64,
    since: Instant,
}

/// A version and a uid, in this order.
#[derive(Debug, PartialEq, Eq)]
struct Ahead(u64, Uid);

// === impl Tombstones ===

impl Tombstones {
    pub(super) fn is_empty(&self) -> bool {
        self.uids.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.uids.len()
    }

    pub(super) fn touched(&self) -> &Touched {
        &self.touched
    }

    pub(super) fn contains(&self, uid: &Uid) -> bool {
        self.uids.contains_key(uid)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ObjectKey, &Uid)> {
        self.uids.iter().map(|(uid, tombstone)| (&tombstone.key, uid))
    }

    /// Hides `uid`. `passed` is whether the informer has observed `known` already: then it holds the object still,
    /// and will report its end.
    pub(super) fn put(&mut self, uid: Uid, key: &ObjectKey, known: u64, passed: bool, now: Instant) {
        self.end(&uid);
        if known > 0 && !passed {
            self.ahead.insert(Ahead(known, uid.clone()));
        }
        self.touched.note(key);
        self.uids.insert(uid, Tombstone { key: key.clone(), known, since: now });
    }

    pub(super) fn inherit(&mut self, other: &Self) {
        for (uid, Tombstone { key, known, since }) in &other.uids {
            self.put(uid.clone(), key, *known, false, *since);
        }
    }

    /// The informer has reported it gone.
    pub(super) fn end(&mut self, uid: &Uid) {
        if let Some(Tombstone { key, known, .. }) = self.uids.remove(uid) {
            self.touched.note(&key);
            self.ahead.remove(&Ahead(known, uid.clone()));
        }
    }

    /// The informer has passed `version`: what it does not hold although it was there by then, it has seen go, or it
    /// never will hold.
    pub(super) fn pass(
        &mut self,
        namespace: Option<&str>,
        version: u64,
        holds: impl Fn(&ObjectKey, &Uid) -> bool,
    ) {
        if self.ahead.first().is_none_or(|Ahead(known, _)| *known > version) {
            return;
        }
        let uids = &self.uids;
        let covers = |key: &ObjectKey| namespace.is_none() || key.namespace() == namespace;
        let passed: Vec<_> = self
            .ahead
            .iter()
            .take_while(|Ahead(known, _)| *known <= version)
            .filter(|Ahead(_, uid)| uids.get(uid).is_none_or(|tombstone| covers(&tombstone.key)))
            .map(|Ahead(known, uid)| Ahead(*known, uid.clone()))
            .collect();
        for ahead in passed {
            self.ahead.remove(&ahead);
            let uid = ahead.1;
            if self.uids.get(&uid).is_some_and(|tombstone| !holds(&tombstone.key, &uid)) {
                self.end(&uid);
            }
        }
    }

    pub(super) fn clear(&mut self, covers: impl Fn(&ObjectKey) -> bool) {
        self.retain(|tombstone| !covers(&tombstone.key));
    }

    /// Lets go of a tenth of them if there are more than `limit`; finding the oldest costs a pass over all.
    pub(super) fn cap(&mut self, limit: usize) -> Vec<ObjectKey> {
        if self.uids.len() <= limit {
            return Vec::new();
        }
        let mut ages: Vec<_> =
            self.uids.iter().map(|(uid, tombstone)| (tombstone.since, uid.clone())).collect();
        ages.sort_unstable_by_key(|(since, _)| *since);
        ages.truncate(limit / 10 + 1);
        let keys = |(_, uid): &(_, Uid)| self.uids.get(uid).map(|tombstone| tombstone.key.clone());
        let capped = ages.iter().filter_map(keys).collect();
        ages.iter().for_each(|(_, uid)| self.end(uid));
        capped
    }

    /// Ends those that no version can end, by age.
    pub(super) fn expire(&mut self, now: Instant, age: Duration, listed: impl Fn(Option<&str>) -> bool) {
        self.retain(|tombstone| {
            tombstone.known > 0 && listed(tombstone.key.namespace())
                || now.saturating_duration_since(tombstone.since) < age
        });
    }

    fn retain(&mut self, keep: impl Fn(&Tombstone) -> bool) {
        let touched = &mut self.touched;
        self.uids.retain(|_, tombstone| {
            let stays = keep(tombstone);
            if !stays {
                touched.note(&tombstone.key);
            }
            stays
        });
        let uids = &self.uids;
        self.ahead.retain(|Ahead(_, uid)| uids.contains_key(uid));
    }
}

// === impl Ahead ===

impl PartialOrd for Ahead {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ahead {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0).then_with(|| self.1.as_str().cmp(other.1.as_str()))
    }
}
