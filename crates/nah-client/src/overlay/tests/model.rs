//! A model: a server with a history, an informer that lags and lists again, writes whose answers come late, out of
//! order or never, another writer, a backup that is restored. What `ARCHITECTURE.md` promises of reads is checked
//! after every step. `PROPTEST_CASES` sets how many histories; a failing one is printed, shrunk.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use nah_core::{GroupVersionKind, Object, ObjectKey, Uid};
use proptest::prelude::*;
use tokio::time::Instant;

use crate::overlay::{
    Held, Limits, Look, Overlay, Question, Said, Sent, Verdict, listed, merge, read, wrote,
};

use super::server::{Obj, Reply, Server, Spec, json};

const NAMES: [&str; 2] = ["a", "b"];

#[derive(Clone, Debug)]
enum Request {
    Create(usize, Spec),
    Put(Obj, Spec),
    Delete(usize),
    DeleteAll,
    Get(usize),
}

#[derive(Clone, Debug)]
enum Op {
    Create(usize, Spec),
    Put(usize, Spec),
    Delete(usize),
    DeleteAll,
    Get(usize),
    /// The server works on a request.
    Process(usize),
    /// An answer arrives.
    Answer(usize),
    /// An answer never arrives; the server may still work on the request.
    Lose(usize),
    OtherCreate(usize, Spec),
    OtherPut(usize, Spec),
    OtherDelete(usize),
    Step,
    Bookmark,
    List(usize),
    Listed,
    Restore(usize),
}

fn spec() -> impl Strategy<Value = Spec> {
    (any::<bool>(), prop::bool::weighted(0.8), any::<bool>()).prop_map(|(fin, scoped, picked)| Spec {
        fin,
        scoped,
        picked,
    })
}

fn op() -> impl Strategy<Value = Op> {
    let index = || 0..12usize;
    prop_oneof![
        3 => (0..2usize, spec()).prop_map(|(n, s)| Op::Create(n, s)),
        3 => (0..2usize, spec()).prop_map(|(n, s)| Op::Put(n, s)),
        3 => (0..2usize).prop_map(Op::Delete),
        1 => Just(Op::DeleteAll),
        2 => (0..2usize).prop_map(Op::Get),
        8 => index().prop_map(Op::Process),
        7 => index().prop_map(Op::Answer),
        1 => index().prop_map(Op::Lose),
        2 => (0..2usize, spec()).prop_map(|(n, s)| Op::OtherCreate(n, s)),
        2 => (0..2usize, spec()).prop_map(|(n, s)| Op::OtherPut(n, s)),
        2 => (0..2usize).prop_map(Op::OtherDelete),
        6 => Just(Op::Step),
        1 => Just(Op::Bookmark),
        1 => index().prop_map(Op::List),
        2 => Just(Op::Listed),
        1 => index().prop_map(Op::Restore),
    ]
}

// === the client ===

struct Flight {
    request: Request,
    sent: BTreeMap<&'static str, Sent>,
    reply: Option<Reply>,
    /// The client has given up on it.
    lost: bool,
}

struct Client {
    gvk: GroupVersionKind,
    now: Instant,
    /// Whether the cache has a selector of its own.
    selective: bool,
    overlay: Overlay,
    server: Server,
    store: BTreeMap<&'static str, Obj>,
    synced: bool,
    registered: bool,
    observed: u64,
    cursor: usize,
    floor: u64,
    listing: Option<(u64, BTreeMap<&'static str, Obj>)>,
    flights: Vec<Flight>,
    /// What answers have told us: the newest version by name, and the uids that are gone.
    facts: BTreeMap<&'static str, Obj>,
    dead: BTreeSet<u32>,
    last: BTreeMap<&'static str, (u32, u64)>,
}

fn object(gvk: &GroupVersionKind, object: &Obj) -> Object {
    Object::from_json(gvk, json(object).into_bytes()).unwrap()
}

fn back(object: &Object) -> Obj {
    let label = |name| object.labels().get(name) == Some("true");
    Obj {
        name: NAMES.into_iter().find(|name| *name == object.key().name()).unwrap(),
        uid: object.uid().unwrap().as_str()[1..].parse().unwrap(),
        rv: object.resource_version().unwrap().number().unwrap(),
        deleting: object.is_terminating(),
        fin: object.metadata().unwrap().finalizers.is_some(),
        scoped: label("scoped"),
        picked: label("picked"),
    }
}

fn uid(object: &Obj) -> Uid {
    Uid::from(&*format!("u{}", object.uid))
}

fn held(object: &Obj) -> Held {
    Held { uid: Some(uid(object)), version: object.rv }
}

impl Client {
    fn new(synced: bool, selective: bool) -> Self {
        let server = Server { rv: 10, ..Server::default() };
        let mut overlay = Overlay::new(Limits::default());
        overlay.set_selective(selective);
        let mut client = Self {
            gvk: GroupVersionKind::gvk("g", "v1", "Thing"),
            now: Instant::now(),
            overlay,
            selective,
            server,
            store: BTreeMap::new(),
            synced: false,
            registered: false,
            observed: 0,
            cursor: 0,
            floor: 0,
            listing: None,
            flights: Vec::new(),
            facts: BTreeMap::new(),
            dead: BTreeSet::new(),
            last: BTreeMap::new(),
        };
        if synced {
            client.list(client.server.rv);
            client.listed();
        }
        client
    }

    fn held(&self, name: &str) -> Option<Held> {
        self.store.get(name).map(held)
    }

    // --- the informer

    fn applied(&mut self, removed: Vec<Obj>) {
        let removed: Vec<_> =
            removed.iter().map(|object| (ObjectKey::cluster(object.name), Some(uid(object)))).collect();
        let store = &self.store;
        let held = |key: &ObjectKey| store.get(key.name()).map(held);
        self.overlay.event(self.now, None, &removed, Some(self.observed), held);
    }

    fn step(&mut self) {
        if !self.synced || self.listing.is_some() {
            return;
        }
        let Some((rv, deleted, object)) = self.server.log.get(self.cursor).cloned() else { return };
        self.cursor += 1;
        if rv <= self.observed {
            return;
        }
        let before = self.store.get(object.name).cloned();
        if deleted || !object.scoped {
            // A watch with a selector says DELETED of what it had, and nothing of what it had not.
            let Some(before) = before else { return };
            self.store.remove(object.name);
            self.observed = rv;
            return self.applied(vec![before]);
        }
        self.store.insert(object.name, object.clone());
        self.observed = rv;
        self.applied(before.filter(|before| before.uid != object.uid).into_iter().collect());
    }

    fn bookmark(&mut self) {
        let waiting = self.server.log[self.cursor..].iter().any(|(rv, ..)| *rv > self.observed);
        if self.synced && self.listing.is_none() && !waiting {
            self.observed = self.observed.max(self.server.rv);
            self.applied(Vec::new());
        }
    }

    fn list(&mut self, version: u64) {
        if self.listing.is_none() {
            self.registered = true;
            let mut objects = self.server.at(version);
            objects.retain(|_, object| object.scoped);
            self.listing = Some((version, objects));
        }
    }

    fn listed(&mut self) {
        let Some((version, objects)) = self.listing.take() else { return };
        let backwards = version < self.observed;
        let removed: Vec<_> = self
            .store
            .values()
            .filter(|object| objects.get(object.name).is_none_or(|new| new.uid != object.uid))
            .map(|object| (ObjectKey::cluster(object.name), Some(uid(object))))
            .collect();
        self.store = objects;
        self.observed = version;
        self.synced = true;
        let log = &self.server.log;
        self.cursor = log.iter().position(|(rv, ..)| *rv > version).unwrap_or(log.len());
        let store = &self.store;
        let held = |key: &ObjectKey| store.get(key.name()).map(held);
        self.overlay.list(self.now, None, &removed, Some(version), backwards, held);
    }

    fn restore(&mut self, version: u64) {
        self.server.objects = self.server.at(version);
        self.server.log.retain(|(rv, ..)| *rv <= version);
        self.server.rv = version;
        self.listing = None;
        self.facts.clear();
        self.dead.clear();
        self.last.clear();
        self.list(version);
        self.listed();
        // What was answered before tells of another history.
        for flight in &mut self.flights {
            if flight.reply.is_some() {
                flight.lost = true;
            }
        }
        for at in (0..self.flights.len()).rev() {
            if self.flights[at].lost {
                self.lose(at);
            }
        }
    }

    // --- requests

    fn send(&mut self, request: Request) {
        let names: &[&'static str] = match &request {
            Request::Create(n, _) | Request::Delete(n) | Request::Get(n) => &[NAMES[*n]],
            Request::Put(object, _) => &[object.name],
            Request::DeleteAll => &NAMES,
        };
        let mut sent = BTreeMap::new();
        for name in names {
            let held = self.held(name);
            sent.insert(*name, self.overlay.send(Some(&ObjectKey::cluster(name)), held.as_ref()));
        }
        self.flights.push(Flight { request, sent, reply: None, lost: false });
    }

    fn process(&mut self, at: usize) {
        let flight = &mut self.flights[at];
        if flight.reply.is_some() {
            return;
        }
        flight.reply = Some(match &flight.request {
            Request::Create(n, spec) => self.server.create(NAMES[*n], *spec),
            Request::Put(object, spec) => self.server.put(object, *spec),
            Request::Delete(n) => self.server.delete(NAMES[*n]),
            Request::DeleteAll => self.server.delete_all(),
            Request::Get(n) => self.server.get(NAMES[*n]),
        });
        if flight.lost {
            self.flights.remove(at);
        }
    }

    fn lose(&mut self, at: usize) {
        let flight = &mut self.flights[at];
        flight.lost = true;
        let read = matches!(flight.request, Request::Get(_));
        let sent = flight.sent.clone();
        if flight.reply.is_some() || read {
            self.flights.remove(at);
        }
        for (name, sent) in sent.into_iter().filter(|_| !read) {
            self.said(name, &sent, Said::Unknown);
        }
    }

    fn said(&mut self, name: &str, sent: &Sent, said: Said) {
        let (held, live) = (self.held(name), self.registered);
        let key = ObjectKey::cluster(name);
        self.overlay.answer(self.now, sent, &key, said, held.as_ref(), live);
    }

    fn answer(&mut self, at: usize) {
        if self.flights[at].reply.is_none() || self.flights[at].lost {
            return;
        }
        let Flight { request, sent, reply, .. } = self.flights.remove(at);
        let (code, body) = reply.unwrap();
        let body = body.as_bytes();
        let gvk = self.gvk.clone();
        if matches!(request, Request::DeleteAll) {
            let verdicts = listed(&gvk, false, body).unwrap();
            for (key, verdict) in verdicts {
                let name = NAMES.into_iter().find(|name| *name == key.name()).unwrap();
                self.verdict(name, &sent[name], verdict, body);
            }
            return;
        }
        let name = *sent.keys().next().unwrap();
        let question = Question {
            gvk: &gvk,
            plural: "things",
            name: Some(name),
            subresource: None,
            creates: matches!(request, Request::Create(..)),
            deletes: matches!(request, Request::Delete(_)),
        };
        let verdict = match request {
            Request::Get(_) => read(&question, code, body),
            _ => wrote(&question, code, body),
        };
        self.verdict(name, &sent[name], verdict, body);
    }

    fn verdict(&mut self, name: &'static str, sent: &Sent, verdict: Verdict, body: &[u8]) {
        let said = match verdict {
            Verdict::Nothing => return,
            Verdict::Unknown => Said::Unknown,
            Verdict::Missing => Said::Gone { uid: None, known: 0 },
            Verdict::Gone { uid, known } => {
                self.dead.extend(uid.iter().map(|uid| uid.as_str()[1..].parse::<u32>().unwrap()));
                Said::Gone { uid, known }
            }
            Verdict::Whole => {
                let object = Object::from_json(&self.gvk, body.to_vec()).unwrap();
                let whole = back(&object);
                if self.facts.get(name).is_none_or(|fact| fact.rv < whole.rv) {
                    self.facts.insert(name, whole.clone());
                }
                self.floor = self.floor.max(whole.rv);
                Said::Whole { object, in_scope: whole.scoped }
            }
        };
        self.said(name, sent, said);
    }

    // --- reads

    /// None where only the server knows.
    fn get(&self, name: &str) -> Option<Option<Obj>> {
        let look = self.overlay.look(&ObjectKey::cluster(name), self.observed);
        let held = self.store.get(name).map(|held| object(&self.gvk, held));
        let hidden = self.overlay.hides(held.as_ref().and_then(Object::uid));
        Some(look.over(held, hidden)?.as_ref().map(back))
    }

    fn select(&self, picked: bool) -> Vec<Obj> {
        let cached: Vec<_> = self
            .store
            .values()
            .filter(|held| !picked || held.picked)
            .map(|held| object(&self.gvk, held))
            .collect();
        let changes = self.overlay.changes(None, |_| self.observed);
        let matches = |object: &Object| Ok::<_, ()>(!picked || object.labels().get("picked") == Some("true"));
        let merged = merge(cached.iter(), &changes, matches).unwrap();
        merged.iter().map(back).collect()
    }

    fn check(&mut self) -> Result<(), String> {
        if !self.synced {
            return Ok(()); // Reads wait for the first list.
        }
        let (all, picked) = (self.select(false), self.select(true));
        for name in NAMES {
            let Some(view) = self.get(name) else { continue };
            let by = |list: &[Obj]| list.iter().find(|object| object.name == name).cloned();
            if by(&all) != view {
                return Err(format!("{name}: get shows {view:?}, list shows {:?}", by(&all)));
            }
            if by(&picked) != view.clone().filter(|object| object.picked) {
                return Err(format!("{name}: get shows {view:?}, a selection {:?}", by(&picked)));
            }
            if let Some(dead) = view.as_ref().filter(|object| self.dead.contains(&object.uid)) {
                return Err(format!("{name}: shows {dead:?}, known to be gone"));
            }
            if view.as_ref().is_some_and(|object| !object.scoped) {
                return Err(format!("{name}: shows {view:?}, outside the scope"));
            }
            if let Some(fact) = self.facts.get(name).filter(|fact| !self.dead.contains(&fact.uid)) {
                let ended = |(rv, deleted, object): &(u64, bool, Obj)| {
                    object.name == name
                        && *rv > fact.rv
                        && *rv <= self.observed
                        && (*deleted || !object.scoped)
                };
                match &view {
                    Some(object) if object.rv < fact.rv => {
                        return Err(format!("{name}: shows {object:?}, older than our {fact:?}"));
                    }
                    None if fact.scoped && !self.server.log.iter().any(ended) && !self.missed(name, fact) => {
                        return Err(format!("{name}: own write {fact:?} not visible at {}", self.observed));
                    }
                    _ => {}
                }
            }
            if let Some(object) = &view {
                if self.last.get(name).is_some_and(|(uid, rv)| *uid == object.uid && *rv > object.rv) {
                    return Err(format!("{name}: went back from {:?} to {object:?}", self.last[name]));
                }
                self.last.insert(name, (object.uid, object.rv));
            }
        }
        Ok(())
    }

    /// Whether what we wrote has ended on the server: an answer (404) may have told us before the informer does.
    fn missed(&self, name: &str, fact: &Obj) -> bool {
        let ended = |(rv, deleted, object): &(u64, bool, Obj)| {
            object.name == name && *rv > fact.rv && *deleted && object.uid == fact.uid
        };
        let look = self.overlay.look(&ObjectKey::cluster(name), self.observed);
        let told = matches!(look, Look::Absent(version) if version > fact.rv);
        (told || self.overlay.hides(Some(&uid(fact)))) && self.server.log.iter().any(ended)
    }

    fn spec(&self, spec: &Spec) -> Spec {
        Spec { scoped: spec.scoped || !self.selective, ..*spec }
    }

    fn run(&mut self, op: &Op) {
        let flying = self.flights.len();
        match op {
            Op::Create(n, spec) => self.send(Request::Create(*n, self.spec(spec))),
            Op::Put(n, spec) => {
                let view = if self.synced { self.get(NAMES[*n]).flatten() } else { None };
                if let Some(object) = view {
                    self.send(Request::Put(object, self.spec(spec)));
                }
            }
            Op::Delete(n) => self.send(Request::Delete(*n)),
            Op::DeleteAll => self.send(Request::DeleteAll),
            Op::Get(n) => self.send(Request::Get(*n)),
            Op::Process(at) if flying > 0 => self.process(at % flying),
            Op::Answer(at) if flying > 0 => self.answer(at % flying),
            Op::Lose(at) if flying > 0 => self.lose(at % flying),
            Op::Process(_) | Op::Answer(_) | Op::Lose(_) => {}
            Op::OtherCreate(n, spec) => drop(self.server.create(NAMES[*n], self.spec(spec))),
            Op::OtherPut(n, spec) => {
                if let Some(object) = self.server.objects.get(NAMES[*n]).cloned() {
                    self.server.put(&object, self.spec(spec));
                }
            }
            Op::OtherDelete(n) => drop(self.server.delete(NAMES[*n])),
            Op::Step => self.step(),
            Op::Bookmark => self.bookmark(),
            Op::List(at) => {
                let low = if self.synced { self.observed } else { self.floor };
                let span = usize::try_from(self.server.rv - low.min(self.server.rv)).unwrap();
                self.list(low.min(self.server.rv) + (at % (span + 1)) as u64);
            }
            Op::Listed => self.listed(),
            Op::Restore(at) if self.synced && self.observed > 11 => {
                let span = usize::try_from(self.observed - 10).unwrap();
                self.restore(10 + (at % span) as u64);
            }
            Op::Restore(_) => {}
        }
    }

    /// Everything arrives, and nothing happens any more.
    fn quiet(&mut self) {
        while !self.flights.is_empty() {
            let at = self.flights.len() - 1;
            self.process(at);
            if self.flights.len() > at {
                self.answer(at);
            }
        }
        self.listed();
        if !self.synced {
            self.list(self.server.rv);
            self.listed();
        }
        while self.cursor < self.server.log.len() {
            self.step();
        }
        self.bookmark();
        for (n, name) in NAMES.iter().enumerate() {
            if self.get(name).is_none() {
                self.send(Request::Get(n));
                self.process(0);
                self.answer(0);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2_000),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn reads_are_never_older_than_own_writes(
        synced in prop::bool::weighted(0.7),
        selective in any::<bool>(),
        ops in prop::collection::vec(op(), 1..80),
    ) // F40, F41, F44, F46, F47, Q2, Q3, Q4, Q5, Q11
    {
        let mut client = Client::new(synced, selective);
        for (at, op) in ops.iter().enumerate() {
            client.run(op);
            if let Err(error) = client.check() {
                return Err(TestCaseError::fail(format!("after step {at}, {op:?}: {error}")));
            }
        }
        client.quiet();
        prop_assert_eq!(client.check(), Ok(()));
        for name in NAMES {
            let truth = client.server.objects.get(name).filter(|object| object.scoped).cloned();
            prop_assert_eq!(client.get(name), Some(truth), "the final state of {} differs", name);
        }
        // What has no version that a list could end it by ends by age.
        client.now += Duration::from_secs(3_600);
        client.applied(Vec::new());
        prop_assert!(client.overlay.is_empty(), "left: {:?}", client.overlay);
    }
}
