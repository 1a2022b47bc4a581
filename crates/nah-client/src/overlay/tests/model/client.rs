//! The model's client: requests on their way and what their answers do to every version of the kind, as the flights
//! of `CachedClient` do it.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use nah_core::Object;
use tokio::time::Instant;

use super::{
    kind::{Kind, back},
    op::{Op, Request, Wish},
    promise::Reading,
    server::{NAMES, Obj, Reply, START, Server, Spec, failure},
};
use crate::overlay::{Question, Said, Sent, Verdict, listed, read, wrote};

struct Flight {
    request: Request,
    through: usize,
    dry: bool,
    /// By version of the kind: what was known by name when it was sent, and without a name.
    sent: Vec<(usize, BTreeMap<&'static str, Sent>, Sent)>,
    reply: Option<Reply>,
    /// The client has given up on it.
    lost: bool,
    /// A backup was restored meanwhile: nobody can tell of which history its answer speaks.
    old: bool,
}

/// What the client has been told so far.
#[derive(Clone, Default)]
pub(super) struct Facts {
    /// The newest state by version of the kind and name. A read speaks of the version it was made in alone.
    pub(super) newest: BTreeMap<(usize, &'static str), Obj>,
    /// The uids that are gone.
    pub(super) gone: BTreeSet<u32>,
}

pub(super) struct Client {
    pub(super) now: Instant,
    /// Whether the cache has a selector of its own.
    selective: bool,
    pub(super) server: Server,
    pub(super) kinds: [Kind; 2],
    floor: u64,
    flights: Vec<Flight>,
    pub(super) facts: Facts,
    /// Lists that have begun.
    pub(super) readings: Vec<Reading>,
    /// The newest state that was read, by version of the kind and name.
    pub(super) last: BTreeMap<(usize, &'static str), (u32, u64)>,
}

impl Client {
    pub(super) fn new(synced: bool, selective: bool) -> Self {
        let mut client = Self {
            now: Instant::now(),
            selective,
            server: Server::new(),
            kinds: [0, 1].map(|version| Kind::new(version, selective)),
            floor: 0,
            flights: Vec::new(),
            facts: Facts::default(),
            readings: Vec::new(),
            last: BTreeMap::new(),
        };
        if synced {
            client.begin(0);
            client.list(0, 0);
            client.kinds[0].listed(&client.server, true, client.now);
        }
        client
    }

    /// The client has something to do with this version of the kind.
    fn begin(&mut self, kind: usize) {
        if self.kinds[kind].exists {
            return;
        }
        self.kinds[kind].exists = true;
        let [first, second] = &mut self.kinds;
        match kind {
            0 => first.overlay.inherit(&second.overlay),
            _ => second.overlay.inherit(&first.overlay),
        }
    }

    fn list(&mut self, kind: usize, at: usize) {
        self.begin(kind);
        let (kind, server) = (&mut self.kinds[kind], &self.server);
        let low = if kind.synced { kind.observed } else { self.floor };
        let span = usize::try_from(server.rv - low.min(server.rv)).unwrap();
        kind.list(server, low.min(server.rv) + (at % (span + 1)) as u64);
    }

    /// A backup is restored, and every informer lists at once. One that does not would not know: its version is a
    /// number that the new history will reach.
    fn restore(&mut self, at: usize) {
        let kinds = || self.kinds.iter().filter(|kind| kind.exists);
        let lowest = kinds().map(|kind| kind.observed).min().unwrap_or(0);
        if lowest < START + 2 || kinds().any(|kind| !kind.synced) {
            return;
        }
        let version = START + (at as u64) % (lowest - START);
        self.server.restore(version);
        (self.facts, self.floor) = (Facts::default(), 0);
        self.last.clear();
        self.readings.clear();
        for kind in self.kinds.iter_mut().filter(|kind| kind.exists) {
            kind.unlist(self.now);
            kind.list(&self.server, version);
            kind.listed(&self.server, true, self.now);
        }
        // What was answered before tells of another history.
        for at in (0..self.flights.len()).rev() {
            self.flights[at].old = true;
            if self.flights[at].reply.is_some() || self.flights[at].lost {
                self.lose(at);
            }
        }
    }

    // --- requests

    fn send(&mut self, request: Request, through: usize, dry: bool) {
        self.begin(through);
        let names: Vec<&'static str> = match &request {
            Request::Put(object, _) => vec![object.name],
            Request::DeleteAll => self.shown(through),
            Request::List => Vec::new(),
            Request::Create(n, _) | Request::Patch(n, _) | Request::PatchMetadata(n, _) => vec![NAMES[*n]],
            Request::Apply(n, _) | Request::Status(n, _) | Request::Scale(n, _) => vec![NAMES[*n]],
            Request::Evict(n) | Request::Finalize(n) | Request::Delete(n) | Request::Get(n) => {
                vec![NAMES[*n]]
            }
        };
        let reads = matches!(request, Request::Get(_) | Request::List);
        let mut sent = Vec::new();
        for (at, kind) in self.kinds.iter_mut().enumerate() {
            let told = at == through || kind.exists && !reads;
            if told && (!dry || quirk!(DryRunsRecorded)) {
                let named = names.iter().map(|name| (*name, kind.send(Some(name)))).collect();
                sent.push((at, named, kind.send(None)));
            }
        }
        // The version that is written through comes first.
        sent.sort_by_key(|(at, ..)| *at != through);
        self.flights.push(Flight { request, through, dry, sent, reply: None, lost: false, old: false });
    }

    fn shown(&self, through: usize) -> Vec<&'static str> {
        let kind = &self.kinds[through];
        let all = kind.synced.then(|| kind.select(kind.changes(), super::kind::Selection::All));
        all.into_iter().flatten().map(|object| object.name).collect()
    }

    fn process(&mut self, at: usize) {
        let Flight { request, through, dry, reply, lost, .. } = &mut self.flights[at];
        if reply.is_some() {
            return;
        }
        *reply = Some(match dry {
            true => request.process(&mut self.server.clone(), *through),
            false => request.process(&mut self.server, *through),
        });
        if *lost {
            self.flights.remove(at);
        }
    }

    /// Nothing of the answer reaches the client.
    fn lose(&mut self, at: usize) {
        let flight = &mut self.flights[at];
        flight.lost = true;
        let through = flight.through;
        let reads = matches!(flight.request, Request::Get(_) | Request::List);
        let sent = flight.sent.clone();
        let dry = flight.dry;
        if flight.reply.is_some() || reads || dry {
            self.flights.remove(at);
        }
        if reads || dry {
            return;
        }
        let names: Vec<_> = sent.iter().flat_map(|(_, named, _)| named.keys().copied()).collect();
        for (kind, named, _) in &sent {
            for (name, sent) in named {
                self.kinds[*kind].answer(self.now, sent, name, Said::Unknown);
            }
        }
        let tracked: Vec<_> = sent.iter().map(|(kind, ..)| *kind).collect();
        names.iter().for_each(|name| self.late(&tracked, through, name, &Said::Unknown));
    }

    /// A version of the kind that came up while the request was on its way.
    fn late(&mut self, tracked: &[usize], through: usize, name: &str, said: &Said) {
        for (at, kind) in self.kinds.iter_mut().enumerate() {
            if at == through || !kind.exists || tracked.contains(&at) {
                continue;
            }
            kind.answer_late(self.now, name, said.clone().elsewhere());
        }
    }

    fn answer(&mut self, at: usize) {
        if self.flights[at].reply.is_none() || self.flights[at].lost {
            return;
        }
        let Flight { request, through, dry, sent, reply, old, .. } = self.flights.remove(at);
        let Reply { code, body, gone, seen } = reply.unwrap();
        if !dry && !old {
            self.facts.gone.extend(gone);
            let reads = matches!(request, Request::Get(_) | Request::List);
            let kinds = (0..self.kinds.len()).filter(|kind| !reads || *kind == through);
            for (kind, object) in kinds.flat_map(|kind| seen.iter().map(move |object| (kind, object))) {
                let known = self.facts.newest.get(&(kind, object.name));
                if known.is_none_or(|known| known.rv < object.rv) {
                    self.facts.newest.insert((kind, object.name), object.clone());
                }
            }
        }
        if sent.is_empty() {
            return;
        }
        let (gvk, body) = (self.kinds[through].gvk.clone(), body.as_bytes());
        match request {
            Request::DeleteAll => {
                if !code.is_success() {
                    return sent.iter().for_each(|(kind, named, _)| {
                        for (name, sent) in named {
                            self.kinds[*kind].answer(self.now, sent, name, Said::Unknown);
                        }
                    });
                }
                for (key, verdict) in listed(&gvk, false, body).unwrap() {
                    let name = NAMES.into_iter().find(|name| *name == key.name()).unwrap();
                    self.said(&sent, (through, true), name, verdict, body);
                }
            }
            Request::List => {
                let list: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
                for item in list["items"].as_array().into_iter().flatten() {
                    let body = item.to_string();
                    let name = item["metadata"]["name"].as_str().unwrap();
                    self.said(&sent, (through, false), name, Verdict::Whole, body.as_bytes());
                }
            }
            request => {
                let name = *sent[0].1.keys().next().unwrap();
                let subresource = match request {
                    Request::Status(..) => Some("status"),
                    Request::Scale(..) => Some("scale"),
                    Request::Evict(_) => Some("eviction"),
                    Request::Finalize(_) => Some("finalize"),
                    _ => None,
                };
                let writes = !matches!(request, Request::Get(_));
                let question = Question {
                    gvk: &gvk,
                    plural: "things",
                    name: Some(name),
                    subresource,
                    creates: matches!(request, Request::Create(..)),
                    deletes: matches!(request, Request::Delete(_)),
                };
                let verdict = match request {
                    Request::Get(_) => read(&question, false, code, body),
                    _ => wrote(&question, code, body),
                };
                self.said(&sent, (through, writes), name, verdict, body);
            }
        }
    }

    fn said(
        &mut self,
        sent: &[(usize, BTreeMap<&'static str, Sent>, Sent)],
        (through, writes): (usize, bool),
        name: &str,
        verdict: Verdict,
        body: &[u8],
    ) {
        let said = match verdict {
            Verdict::Part { uid, version } => {
                self.floor = self.floor.max(version);
                Said::Part { uid: Some(uid), version }
            }
            Verdict::Nothing => return,
            Verdict::Unknown => Said::Unknown,
            Verdict::Missing => Said::Gone { uid: None, known: 0 },
            Verdict::Gone { uid, known } => Said::Gone { uid, known },
            Verdict::Whole => {
                let object = Object::from_json(&self.kinds[through].gvk, body.to_vec()).unwrap();
                let whole = back(&object);
                self.floor = self.floor.max(whole.rv);
                Said::Whole { object, in_scope: whole.scoped }
            }
        };
        for (kind, named, unnamed) in sent {
            let said = if *kind == through { said.clone() } else { said.clone().elsewhere() };
            self.kinds[*kind].answer(self.now, named.get(name).unwrap_or(unnamed), name, said);
        }
        if writes {
            let tracked: Vec<_> = sent.iter().map(|(kind, ..)| *kind).collect();
            self.late(&tracked, through, name, &said);
        }
    }

    // --- the history

    fn spec(&self, spec: Spec) -> Spec {
        Spec { scoped: spec.scoped || !self.selective, ..spec }
    }

    fn wish(&self, wish: &Wish, current: Option<Obj>) -> Option<Request> {
        Some(match wish.clone() {
            Wish::Put(_, spec) => Request::Put(current?, self.spec(spec)),
            Wish::As(Request::Create(n, spec)) => Request::Create(n, self.spec(spec)),
            Wish::As(Request::Patch(n, spec)) => Request::Patch(n, self.spec(spec)),
            Wish::As(Request::PatchMetadata(n, spec)) => Request::PatchMetadata(n, self.spec(spec)),
            Wish::As(Request::Apply(n, spec)) => Request::Apply(n, self.spec(spec)),
            Wish::As(request) => request,
        })
    }

    pub(super) fn run(&mut self, op: &Op) {
        let (flying, now) = (self.flights.len(), self.now);
        match op {
            Op::Send { request, through, dry } => {
                let kind = &self.kinds[*through];
                let current = match request {
                    Wish::Put(n, _) if kind.synced => kind.get(NAMES[*n]).flatten(),
                    _ => None,
                };
                if let Some(request) = self.wish(request, current) {
                    let reads = matches!(request, Request::Get(_) | Request::List);
                    self.send(request, *through, *dry && !reads);
                }
            }
            Op::Process(at) if flying > 0 => self.process(at % flying),
            Op::Timeout(at) if flying > 0 && self.flights[at % flying].reply.is_none() => {
                self.process(at % flying);
                if let Some(flight) = self.flights.get_mut(at % flying).filter(|flight| !flight.lost) {
                    flight.reply = Some(failure(StatusCode::GATEWAY_TIMEOUT, "Timeout", ""));
                }
            }
            Op::Refuse(at) if flying > 0 && !self.flights[at % flying].lost => {
                let flight = &mut self.flights[at % flying];
                let refused = || failure(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", "");
                flight.reply.get_or_insert_with(refused);
            }
            Op::Answer(at) if flying > 0 => self.answer(at % flying),
            Op::Drop(at) if flying > 0 && !self.flights[at % flying].lost => self.lose(at % flying),
            Op::Process(_) | Op::Timeout(_) | Op::Refuse(_) | Op::Answer(_) | Op::Drop(_) => {}
            Op::Other(wish) => {
                let current = match wish {
                    Wish::Put(n, _) => self.server.objects.get(NAMES[*n]).cloned(),
                    Wish::As(_) => None,
                };
                if let Some(request) = self.wish(wish, current) {
                    request.process(&mut self.server, 0);
                }
            }
            Op::Step(kind, told) => self.kinds[*kind].step(&self.server, *told, now),
            Op::Tell(kind) => self.kinds[*kind].tell(now),
            Op::Bookmark(kind) => self.kinds[*kind].bookmark(&self.server, now),
            Op::List(kind, at) => self.list(*kind, *at),
            Op::Listed(kind, told) => self.kinds[*kind].listed(&self.server, *told, now),
            Op::Begin(kind) => self.begin_reading(*kind),
            Op::End(_) => {}
            Op::Restore(at) => self.restore(*at),
        }
    }

    /// Everything arrives, and nothing happens any more.
    pub(super) fn quiet(&mut self) {
        self.readings.clear();
        while !self.flights.is_empty() {
            let at = self.flights.len() - 1;
            self.process(at);
            if self.flights.len() > at {
                self.answer(at);
            }
        }
        for at in 0..self.kinds.len() {
            if at == 1 && !self.kinds[at].exists {
                continue;
            }
            self.kinds[at].listed(&self.server, true, self.now);
            if !self.kinds[at].synced {
                self.list(at, 0);
                self.kinds[at].listed(&self.server, true, self.now);
            }
            for _ in 0..self.server.log.len() {
                self.kinds[at].step(&self.server, true, self.now);
            }
            self.kinds[at].bookmark(&self.server, self.now);
            for (n, name) in NAMES.iter().enumerate() {
                if self.kinds[at].get(name).is_none() {
                    self.send(Request::Get(n), at, false);
                    self.process(0);
                    self.answer(0);
                }
            }
        }
    }
}
