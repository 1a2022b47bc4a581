//! A server, the scopes that follow it into one store, and a subscriber who is told of what happens there.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{FutureExt, StreamExt};
use nah_core::{Object, ObjectKey};
use serde_json::Value;

use super::{
    Move,
    follower::{Follower, Ground},
    server::{Server, State},
};
use crate::{
    Event, ListOptions, Subscription,
    store::{Store, tests::store_of},
};

/// One name begins as another does.
pub(super) const NAMESPACES: [&str; 3] = ["a", "a-b", "b"];

pub(super) struct World {
    pub(super) server: Server,
    pub(super) store: Arc<Store>,
    pub(super) followers: Vec<Follower>,
    /// What a scope that begins has to have reached: the newest version that was seen of the kind.
    floor: u64,
    streaming: bool,
    paged: usize,
    sorted: bool,
    reader: Reader,
}

/// What a subscriber has been told of: uids and versions.
struct Reader {
    events: Subscription,
    view: BTreeMap<ObjectKey, (String, String)>,
    /// What was in namespaces that have been taken away. Nothing is told of that, until it is seen again.
    left: BTreeMap<ObjectKey, String>,
}

impl World {
    /// Of one scope that is everything, or of namespaces that come and go.
    pub(super) fn new(everywhere: bool, streaming: bool, paged: usize, sorted: bool) -> Self {
        let store = store_of(&[]);
        let events = Subscription::new(store.clone()).expect("not closed");
        let reader = Reader { events, view: BTreeMap::new(), left: BTreeMap::new() };
        let (server, followers) = (Server::new(), Vec::new());
        let mut world = Self { server, store, followers, floor: 0, streaming, paged, sorted, reader };
        match everywhere {
            true => world.join(None),
            false => [NAMESPACES[0], NAMESPACES[1]].iter().for_each(|name| world.join(Some(name))),
        }
        world
    }

    pub(super) fn play(&mut self, step: Move) {
        let key = |name: u8| {
            let namespace = NAMESPACES[name as usize % NAMESPACES.len()];
            ObjectKey::from((namespace, format!("o{name}")))
        };
        match step {
            Move::Put(name) => self.server.write(key(name), true),
            Move::Delete(name) => self.server.write(key(name), false),
            Move::Compact => self.server.oldest = self.server.version,
            Move::Restore(back) => {
                self.server.restore(back.into());
                self.followers.iter_mut().for_each(Follower::lose);
                self.settle();
            }
            Move::Come(at) if self.is_namespaced() => self.join(Some(NAMESPACES[at as usize])),
            Move::Leave(at) if self.is_namespaced() => self.leave(NAMESPACES[at as usize]),
            Move::Come(_) | Move::Leave(_) => {}
            Move::Hear(events) => self.reader.read(events.into()),
            Move::At(at, what) => {
                let at = at as usize % self.followers.len().max(1);
                for _ in 0..what.turns() {
                    self.turn(at);
                }
                let Some(follower) = self.followers.get_mut(at) else { return };
                what.happen(follower, &self.store, self.streaming);
            }
        }
    }

    fn is_namespaced(&self) -> bool {
        self.followers.iter().all(|follower| follower.scope.is_some())
    }

    fn join(&mut self, scope: Option<&'static str>) {
        if self.followers.iter().all(|follower| follower.scope != scope) {
            self.store.add_scope(scope);
            self.followers.push(Follower::new(scope, self.floor, self.streaming));
        }
    }

    fn leave(&mut self, namespace: &'static str) {
        let Some(at) = self.followers.iter().position(|other| other.scope == Some(namespace)) else { return };
        self.followers.remove(at);
        let seen = self.store.newest().and_then(|version| version.number());
        self.floor = self.floor.max(seen.unwrap_or_default());
        self.store.remove_scope(Some(namespace));
        self.reader.forget(namespace);
    }

    /// Steps until every scope waits for the next event. They take turns, so that one lists while others watch.
    pub(super) fn settle(&mut self) {
        for _ in 0..400 {
            let busy = (0..self.followers.len()).fold(false, |busy, at| self.turn(at) | busy);
            if !busy {
                return;
            }
        }
        panic!("never comes to rest");
    }

    fn turn(&mut self, at: usize) -> bool {
        let Self { server, store, streaming, paged, sorted, .. } = self;
        let mut ground = Ground { server, store, streaming, paged: *paged, sorted: *sorted };
        let turned = self.followers.get_mut(at).is_some_and(|follower| follower.turn(&mut ground));
        if turned {
            self.check();
        }
        turned
    }

    /// Each scope's part of the store is the server's of the version that the scope has seen, whatever the others do.
    fn check(&self) {
        let mut expected = State::new();
        for Follower { scope, observed, .. } in &self.followers {
            let own = self.store.observed_in(*scope).and_then(|version| version.number());
            assert_eq!(own.unwrap_or_default(), *observed, "version of {scope:?}");
            expected.extend(self.server.at((*observed).min(self.server.version), *scope));
        }
        let synced = !self.followers.is_empty() && self.followers.iter().all(|other| other.observed > 0);
        assert_eq!(self.store.has_synced(), synced);
        if !synced {
            return;
        }
        let lowest = self.followers.iter().map(|follower| follower.observed).min();
        assert_eq!(self.store.observed_in(None).and_then(|version| version.number()), lowest);
        // Until a scope notices, it holds what there was in the history before.
        if self.followers.iter().all(|follower| follower.observed <= self.server.version) {
            self.is_as(&expected);
        }
    }

    /// The store holds exactly these.
    fn is_as(&self, expected: &State) {
        let list = self.store.list(&ListOptions::default()).expect("synced");
        let json = |object: &Object| -> Value {
            object.read(|json| serde_json::from_slice(json).expect("JSON")).expect("it is read back")
        };
        let held: BTreeMap<_, _> =
            list.handles().map(|object| (object.key().clone(), json(object))).collect();
        let expected: BTreeMap<_, _> =
            expected.iter().map(|(key, row)| (key.clone(), row.json(key))).collect();
        assert_eq!(held, expected);
    }

    /// At rest: nothing is on its way any more.
    pub(super) fn rest(&mut self) {
        for follower in &mut self.followers {
            (follower.wire.fail, follower.wire.cut) = (None, None);
        }
        self.settle();
        let mut there = State::new();
        self.followers.iter().for_each(|follower| there.extend(self.server.now(follower.scope)));
        if self.followers.is_empty() {
            assert!(!self.store.has_synced() && self.store.is_empty());
        } else {
            self.is_as(&there);
        }
        self.reader.read(usize::MAX);
        let told = |(key, row): (&ObjectKey, &super::server::Row)| {
            (key.clone(), (format!("u{}", row.uid), row.version.to_string()))
        };
        assert_eq!(self.reader.view, there.iter().map(told).collect());
    }
}

impl Reader {
    fn read(&mut self, events: usize) {
        for _ in 0..events {
            let Some(Some(event)) = self.events.next().now_or_never() else { return };
            match event.expect("a handle needs no decode") {
                Event::Added { object, .. } => {
                    let key = object.key().clone();
                    self.left.remove(&key);
                    assert_eq!(self.view.insert(key, state(&object)), None, "what is added was not there");
                }
                Event::Updated { old, new } => {
                    let (key, old) = (new.key().clone(), state(&old));
                    match self.view.insert(key.clone(), state(&new)) {
                        Some(seen) => assert_eq!(seen, old, "old is what was seen last"),
                        None => assert_eq!(self.left.remove(&key), Some(old.0), "it came back"),
                    }
                }
                Event::Deleted { key, last, .. } => {
                    let seen = self.view.remove(&key).map(|(uid, _)| uid);
                    let seen = seen.or_else(|| self.left.remove(&key)).expect("what ends was shown");
                    // Of a final state that names no uid of ours only the key counts.
                    let uid = state(&last).0;
                    assert!(uid == "u0" || uid == seen, "{uid} ended, {seen} was shown");
                }
            }
        }
    }

    fn forget(&mut self, namespace: &str) {
        let left = self.view.extract_if(.., |key, _| key.namespace() == Some(namespace));
        self.left.extend(left.map(|(key, (uid, _))| (key, uid)));
    }
}

fn state(object: &Object) -> (String, String) {
    let uid = object.uid().map(ToString::to_string).expect("a uid");
    (uid, object.resource_version().map(ToString::to_string).expect("a version"))
}
