//! A server that writes, forgets and goes back in time, as one scope sees it.

use std::collections::BTreeMap;

use nah_core::{ObjectKey, ResourceVersion};
use serde_json::Value;

use super::Reason;
use crate::store::tests::{on, pod};

/// All objects of one moment.
pub(super) type State = BTreeMap<ObjectKey, Row>;

/// One state of an object. After a backup was restored the same uid and version may come again with another text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) uid: u64,
    pub(super) version: u64,
    pub(super) text: u64,
}

/// A key and what became of it: a new state, or nothing.
type Written = (ObjectKey, Option<Row>);

#[derive(Default)]
pub(super) struct Server {
    pub(super) version: u64,
    /// Versions below can no longer be watched or paged.
    pub(super) oldest: u64,
    uids: u64,
    texts: u64,
    /// The whole state at each version, and what changed on the way to it.
    states: Vec<State>,
    changes: Vec<Option<Written>>,
}

impl Row {
    /// The object in this state.
    pub(super) fn json(&self, key: &ObjectKey) -> Value {
        on(&format!("n{}", self.text), pod(key.as_str(), &format!("u{}", self.uid), self.version))
    }
}

impl Server {
    pub(super) fn new() -> Self {
        Self { version: 1, states: vec![State::new(); 2], changes: vec![None; 2], ..Self::default() }
    }

    /// What there is in a scope now.
    pub(super) fn now(&self, scope: Option<&str>) -> State {
        self.at(self.version, scope)
    }

    /// What there was in a scope at a version.
    pub(super) fn at(&self, version: u64, scope: Option<&str>) -> State {
        let all = self.states[version as usize].iter();
        all.filter(|(key, _)| sees(scope, key)).map(|(key, row)| (key.clone(), *row)).collect()
    }

    /// The next change in a scope after a version.
    pub(super) fn after(&self, version: u64, scope: Option<&str>) -> Option<(u64, Written)> {
        let later = (0..).zip(&self.changes).skip(version as usize + 1);
        let mut own = later.filter_map(|(at, change)| Some((at, change.clone()?)));
        own.find(|(_, (key, _))| sees(scope, key))
    }

    pub(super) fn write(&mut self, key: ObjectKey, put: bool) {
        let mut state = self.states[self.version as usize].clone();
        let version = self.version + 1;
        self.texts += 1;
        let row = |uid| Row { uid, version, text: self.texts };
        let change = match (state.get(&key).copied(), put) {
            (None, false) => return,
            (Some(old), true) => Some(row(old.uid)),
            (None, true) => {
                self.uids += 1;
                Some(row(self.uids))
            }
            (Some(_), false) => None,
        };
        match change {
            Some(row) => _ = state.insert(key.clone(), row),
            None => _ = state.remove(&key),
        }
        self.version = version;
        self.states.push(state);
        self.changes.push(Some((key, change)));
    }

    pub(super) fn restore(&mut self, back: u64) {
        self.version = self.version.saturating_sub(back).max(1);
        self.states.truncate(self.version as usize + 1);
        self.changes.truncate(self.version as usize + 1);
        self.oldest = self.oldest.min(self.version);
    }

    /// Which version a lower bound is answered at.
    pub(super) fn resolve(&self, bound: Option<&ResourceVersion>) -> Result<u64, Reason> {
        let bound = bound.map_or(0, |bound| bound.number().expect("a number"));
        if bound > self.version { Err(Reason::TooLarge) } else { Ok(self.version) }
    }
}

fn sees(scope: Option<&str>, key: &ObjectKey) -> bool {
    scope.is_none() || key.namespace() == scope
}
