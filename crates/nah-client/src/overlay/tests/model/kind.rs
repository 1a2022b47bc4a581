//! One version of the kind as the model's client has it: a cache that lags, and the overlay over it.

use std::{cell::RefCell, collections::BTreeMap};

use nah_cache::List;
use nah_core::{GroupVersionKind, Object, ObjectKey, Uid};
use tokio::time::Instant;

use super::server::{Form, NAMES, Obj, Server, VERSIONS, json};
use crate::overlay::{Changes, Grounds, Held, Limits, Overlay, Said, Sent, merge};

/// What a list selects.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Selection {
    All,
    /// By a label.
    Picked,
    /// By an index over the content.
    Odd,
}

/// Something applied to the store that the overlay has not been told of.
enum Untold {
    Event(Vec<Obj>, u64),
    List(Vec<Obj>, u64, bool),
}

pub(super) struct Kind {
    pub(super) gvk: GroupVersionKind,
    version: usize,
    pub(super) overlay: Overlay,
    /// Whether the client has an overlay for it, and whether it has an informer.
    pub(super) exists: bool,
    pub(super) registered: bool,
    pub(super) synced: bool,
    /// Of the last list of each selection.
    grounds: RefCell<[Option<Grounds>; 3]>,
    store: BTreeMap<&'static str, (Obj, Object)>,
    pub(super) observed: u64,
    cursor: usize,
    listing: Option<(u64, BTreeMap<&'static str, Obj>)>,
    untold: Option<Untold>,
    /// The uids whose end the informer has reported, and when that was.
    pub(super) ended: BTreeMap<u32, u64>,
}

pub(super) fn uid(object: &Obj) -> Uid {
    Uid::from(&*format!("u{}", object.uid))
}

/// What a body in any form says. What a form does not show reads as none of the server's states.
pub(super) fn back(object: &Object) -> Obj {
    let label = |name| object.labels().get(name) == Some("true");
    let whole: serde_json::Value = object.project().unwrap();
    let data = whole["spec"]["data"].as_u64().map_or(u32::MAX, |data| data.try_into().unwrap());
    Obj {
        name: NAMES.into_iter().find(|name| *name == object.key().name()).unwrap(),
        uid: object.uid().unwrap().as_str()[1..].parse().unwrap(),
        rv: object.resource_version().unwrap().number().unwrap(),
        deleting: object.is_terminating(),
        fin: whole["metadata"]["finalizers"].is_array(),
        spec_fin: whole["spec"]["finalizers"].is_array(),
        scoped: label("scoped"),
        picked: label("picked"),
        data,
    }
}

fn matches(object: &Object, selection: Selection) -> bool {
    match selection {
        Selection::All => true,
        Selection::Picked => object.labels().get("picked") == Some("true"),
        Selection::Odd => back(object).data % 2 == 1,
    }
}

pub(super) fn selects(object: &Obj, selection: Selection) -> bool {
    match selection {
        Selection::All => true,
        Selection::Picked => object.picked,
        Selection::Odd => object.data % 2 == 1,
    }
}

impl Kind {
    pub(super) fn new(version: usize, selective: bool) -> Self {
        let mut overlay = Overlay::new(Limits::default());
        overlay.set_selective(selective);
        Self {
            gvk: GroupVersionKind::gvk("g", VERSIONS[version], "Thing"),
            version,
            overlay,
            exists: false,
            registered: false,
            synced: false,
            grounds: RefCell::default(),
            store: BTreeMap::new(),
            observed: 0,
            cursor: 0,
            listing: None,
            untold: None,
            ended: BTreeMap::new(),
        }
    }

    // --- the informer

    /// The next event reaches the store; `told` is whether the overlay hears of it at once.
    pub(super) fn step(&mut self, server: &Server, told: bool, now: Instant) {
        self.tell(now);
        if !self.synced || self.listing.is_some() {
            return;
        }
        let Some((rv, deleted, object)) = server.log.get(self.cursor).cloned() else { return };
        self.cursor += 1;
        if rv <= self.observed {
            return;
        }
        let before = self.store.get(object.name).map(|(before, _)| before.clone());
        let removed = if deleted || !object.scoped {
            // A watch with a selector says DELETED of what it had, and nothing of what it had not.
            let Some(before) = before else { return };
            self.store.remove(object.name);
            vec![before]
        } else {
            self.keep(&object);
            before.filter(|before| before.uid != object.uid).into_iter().collect()
        };
        self.observed = rv;
        self.applied(Untold::Event(removed, rv), told, now);
    }

    pub(super) fn bookmark(&mut self, server: &Server, now: Instant) {
        let waiting = server.log.iter().skip(self.cursor).any(|(rv, ..)| *rv > self.observed);
        if self.synced && self.listing.is_none() && !waiting {
            self.observed = self.observed.max(server.rv);
            self.applied(Untold::Event(Vec::new(), self.observed), true, now);
        }
    }

    /// The server answers a list as of `version`.
    pub(super) fn list(&mut self, server: &Server, version: u64) {
        if self.listing.is_none() {
            self.registered = true;
            let mut objects = server.at(version);
            objects.retain(|_, object| object.scoped);
            self.listing = Some((version, objects));
        }
    }

    /// The list reaches the store.
    pub(super) fn listed(&mut self, server: &Server, told: bool, now: Instant) {
        let Some((version, objects)) = self.listing.take() else { return };
        let backwards = version < self.observed;
        let ends = |object: &Obj| objects.get(object.name).is_none_or(|new| new.uid != object.uid);
        let held = self.store.values().map(|(object, _)| object);
        let removed: Vec<_> = held.filter(|object| ends(object)).cloned().collect();
        self.store.clear();
        objects.values().for_each(|object| self.keep(object));
        self.observed = version;
        self.synced = true;
        self.cursor = server.log.iter().position(|(rv, ..)| *rv > version).unwrap_or(server.log.len());
        self.applied(Untold::List(removed, version, backwards), told, now);
    }

    /// Forgets a list under way, whose history is gone.
    pub(super) fn unlist(&mut self, now: Instant) {
        self.tell(now);
        self.listing = None;
        self.ended.clear();
    }

    fn keep(&mut self, object: &Obj) {
        let body = json(Form::Whole(self.version), object).into_bytes();
        let read = Object::from_json(&self.gvk, body).unwrap();
        self.store.insert(object.name, (object.clone(), read));
    }

    fn applied(&mut self, what: Untold, told: bool, now: Instant) {
        self.tell(now);
        self.untold = Some(what);
        if told {
            self.tell(now);
        }
    }

    /// The overlay hears of what the store has applied.
    pub(super) fn tell(&mut self, now: Instant) {
        let Some(untold) = self.untold.take() else { return };
        let (Untold::Event(removed, version) | Untold::List(removed, version, _)) = &untold;
        self.ended.extend(removed.iter().map(|object| (object.uid, *version)));
        let keys: Vec<_> =
            removed.iter().map(|object| (ObjectKey::cluster(object.name), Some(uid(object)))).collect();
        let store = &self.store;
        let held = |key: &ObjectKey| store.get(key.name()).map(|(_, object)| Held::from(object));
        match untold {
            Untold::Event(_, version) => self.overlay.event(now, None, &keys, Some(version), held),
            Untold::List(_, version, backwards) => {
                self.overlay.list(now, None, &keys, Some(version), backwards, held);
            }
        }
    }

    // --- requests

    fn held(&self, name: &str) -> Option<Held> {
        self.store.get(name).map(|(_, object)| Held::from(object))
    }

    pub(super) fn send(&mut self, name: Option<&str>) -> Sent {
        let held = name.and_then(|name| self.held(name));
        self.overlay.send(name.map(ObjectKey::cluster).as_ref(), held.as_ref())
    }

    pub(super) fn answer(&mut self, now: Instant, sent: &Sent, name: &str, said: Said) {
        let held = self.held(name);
        let key = ObjectKey::cluster(name);
        self.overlay.answer(now, sent, &key, said, held.as_ref(), self.registered);
    }

    pub(super) fn answer_late(&mut self, now: Instant, name: &str, said: Said) {
        let held = self.held(name);
        let key = ObjectKey::cluster(name);
        self.overlay.answer_late(now, &key, said, held.as_ref(), self.registered);
    }

    // --- reads

    /// None where only the server knows.
    pub(super) fn get(&self, name: &str) -> Option<Option<Obj>> {
        let look = self.overlay.look(&ObjectKey::cluster(name), self.observed);
        let held = self.store.get(name).map(|(_, object)| object.clone());
        let hidden = self.overlay.hides(held.as_ref().and_then(Object::uid));
        Some(look.over(held, hidden)?.map(|object| self.read(&object)))
    }

    fn read(&self, object: &Object) -> Obj {
        let held =
            self.store.get(object.key().name()).filter(|(_, held)| std::ptr::eq(held.head(), object.head()));
        held.map_or_else(|| back(object), |(held, _)| held.clone())
    }

    /// What a list that begins now must show otherwise than the cache.
    pub(super) fn changes(&self) -> Changes {
        self.overlay.changes(None, |_| self.observed)
    }

    /// The same list of now, made of the one before, and the names of which it is not sure.
    pub(super) fn keep_up(&self, selection: Selection) -> (Vec<Obj>, Vec<String>) {
        let held = self.store.values().filter(|(object, _)| selects(object, selection));
        let cached = List::from_objects(held.map(|(_, object)| object.clone()).collect());
        let mut kept = self.grounds.borrow_mut();
        let kept = &mut kept[selection as usize];
        let decided = Grounds::decide(kept.take(), &self.overlay, cached, self.observed, |_| true);
        let grounds = decided.settle(|object| Ok::<_, ()>(matches(object, selection))).unwrap();
        let list = kept.insert(grounds).list();
        let unsure = list.unsure().iter().map(|key| key.name().to_owned()).collect();
        (list.handles().map(|object| self.read(object)).collect(), unsure)
    }

    /// A list that began when `changes` were taken.
    pub(super) fn select(&self, mut changes: Changes, selection: Selection) -> Vec<Obj> {
        let held = self.store.values().filter(|(object, _)| selects(object, selection));
        let cached: Vec<_> = held.map(|(_, object)| object.clone()).collect();
        changes.present.retain(|(_, version)| *version > self.observed);
        let matches = |object: &Object| Ok::<_, ()>(matches(object, selection));
        let merged = merge(List::from_objects(cached), changes, matches).unwrap();
        merged.handles().map(|object| self.read(object)).collect()
    }
}
