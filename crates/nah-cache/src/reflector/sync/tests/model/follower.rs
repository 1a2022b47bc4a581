//! One scope that follows the server, and the wire between them.

use std::{collections::VecDeque, time::Duration};

use nah_core::{ObjectKey, Outline, ResourceVersion};

use super::{
    Change, Cut, Effect, Input, Next, Reason, Rules, Sync, T0, failure,
    server::{Row, Server},
};
use crate::{
    reflector::Failure,
    store::{Listed, Seen, Store},
};

/// Where the stream at hand stands.
#[derive(Debug)]
struct Stream {
    initial: VecDeque<(ObjectKey, Row)>,
    end: bool,
    at: u64,
}

/// A scope between two steps.
pub(super) struct Follower {
    pub(super) scope: Option<&'static str>,
    sync: Sync<Listed>,
    next: Next,
    /// The version of the scope's own part of the store.
    pub(super) observed: u64,
    /// How often it noticed that history had gone backwards.
    pub(super) backwards: u32,
    /// How many complete lists it has taken in.
    pub(super) lists: u32,
    pub(super) wire: Wire,
    stream: Option<Stream>,
    /// Continue tokens: the version they page through.
    page: Option<u64>,
    now: Duration,
}

/// What happens to the scope's next request or stream.
#[derive(Default)]
pub(super) struct Wire {
    pub(super) fail: Option<Reason>,
    pub(super) cut: Option<Cut>,
    pub(super) refresh: bool,
    pub(super) bookmark: bool,
}

/// What all scopes of a kind share.
pub(super) struct Ground<'a> {
    pub(super) server: &'a Server,
    pub(super) store: &'a Store,
    /// Whether the server is said to stream lists: once it has said no, nobody asks again.
    pub(super) streaming: &'a mut bool,
    /// Pages are so long.
    pub(super) paged: usize,
    /// Pages say their version behind their items.
    pub(super) sorted: bool,
}

impl Follower {
    pub(super) fn new(scope: Option<&'static str>, floor: u64, streaming: bool) -> Self {
        let mut sync = Sync::new(Rules { streaming, page: None });
        sync.set_floor((floor > 0).then(|| floor.into()));
        let next = sync.step(T0, 0.0, Input::Start).next;
        let (wire, stream, page) = (Wire::default(), None, None);
        Self { scope, sync, next, observed: 0, backwards: 0, lists: 0, wire, stream, page, now: T0 }
    }

    /// Breaks down, and begins afresh.
    pub(super) fn panic(&mut self, store: &Store, streaming: bool) {
        let mut sync = Sync::new(Rules { streaming, page: None });
        sync.recover(store.observed_in(self.scope));
        self.next = sync.step(self.now, 0.5, Input::Start).next;
        (self.sync, self.stream, self.page) = (sync, None, None);
    }

    /// The server goes away and comes back from a backup: connections break, or the new one takes a moment to answer.
    pub(super) fn lose(&mut self) {
        (self.wire.fail, self.wire.cut, self.page) = (Some(Reason::Away), None, None);
        if self.next == Next::Read {
            (self.wire.fail, self.wire.cut) = (None, Some(Cut::Break));
        }
    }

    /// One step; false where the scope waits for an event that does not come.
    pub(super) fn turn(&mut self, ground: &mut Ground<'_>) -> bool {
        let Some(input) = self.answer(ground) else { return false };
        let step = self.sync.step(self.now, 0.5, input);
        if let Some(effect) = step.effect {
            self.perform(effect, ground);
        }
        self.next = step.next;
        true
    }

    fn answer(&mut self, ground: &mut Ground<'_>) -> Option<Input<Listed>> {
        let (next, server) = (self.next.clone(), ground.server);
        if matches!(next, Next::Read | Next::Wait(_)) && std::mem::take(&mut self.wire.refresh) {
            return Some(Input::Refresh);
        }
        if next != Next::Read {
            self.stream = None;
        }
        Some(match next {
            Next::Wait(wait) => {
                self.now += wait;
                if !*ground.streaming {
                    self.sync.forbid_streaming();
                }
                Input::Waited
            }
            Next::List { version, limit, token } => {
                let failed = self.wire.fail.take().map(failure);
                let page = failed.map_or_else(|| self.list(ground, version, limit, token), Err);
                page.unwrap_or_else(Input::ListFailed)
            }
            Next::Probe => match self.wire.fail.take() {
                Some(reason) => Input::ListFailed(failure(reason)),
                None => Input::Probed(server.version.into()),
            },
            Next::Open { version, initial, .. } => {
                self.wire.cut = None;
                if let Some(reason) = self.wire.fail.take() {
                    *ground.streaming &= !(initial && reason == Reason::Unsupported);
                    return Some(Input::OpenFailed(failure(reason)));
                }
                let at = match (initial, server.resolve(version.as_ref())) {
                    (true, Err(reason)) => return Some(Input::OpenFailed(failure(reason))),
                    (true, Ok(at)) => at,
                    // A version that is still to come is silence.
                    (false, _) => version.and_then(|version| version.number()).expect("a number"),
                };
                if at < server.oldest {
                    return Some(Input::OpenFailed(failure(Reason::Expired)));
                }
                let there =
                    if initial { server.at(at, self.scope).into_iter().collect() } else { VecDeque::new() };
                self.stream = Some(Stream { initial: there, end: initial, at });
                Input::Opened
            }
            Next::Read => return self.read(ground),
        })
    }

    fn list(
        &mut self,
        ground: &Ground<'_>,
        version: Option<ResourceVersion>,
        limit: Option<u32>,
        token: Option<String>,
    ) -> Result<Input<Listed>, Failure> {
        let server = ground.server;
        let (at, from) = match &token {
            Some(token) => {
                let at = self.page.filter(|at| *at >= server.oldest);
                (at.ok_or_else(|| failure(Reason::Expired))?, token.as_str())
            }
            None => (server.resolve(version.as_ref()).map_err(failure)?, ""),
        };
        let mut rest = server.at(at, self.scope).into_iter().filter(|(key, _)| key.as_str() > from);
        let rows: Vec<_> = rest.by_ref().take(limit.map_or(usize::MAX, |_| ground.paged)).collect();
        let more = rest.next().is_some();
        let next = rows.last().filter(|_| more).map(|(key, _)| key.to_string());
        self.page = more.then_some(at);
        let version = ResourceVersion::from(at);
        let anew = self.sync.is_anew(Some(&version).filter(|_| !ground.sorted));
        let compared = ground.sorted && !anew && !rows.is_empty();
        let items = rows.iter().map(|(key, row)| item(ground.store, key, row, anew)).collect();
        Ok(Input::Page { items, version, next, compared })
    }

    fn read(&mut self, ground: &Ground<'_>) -> Option<Input<Listed>> {
        match self.wire.cut.take() {
            Some(Cut::End) => return Some(Input::Ended { spoiled: false }),
            Some(Cut::Break) => return Some(Input::Cut),
            Some(Cut::Error(reason)) => return Some(Input::ErrorEvent(failure(reason))),
            Some(Cut::Garbled) => return Some(Input::Garbled(failure(Reason::Other))),
            None => {}
        }
        let (anew, listing, server) = (self.sync.is_anew(None), self.sync.is_listing(), ground.server);
        let stream = self.stream.as_mut().expect("an open stream is read");
        if let Some((key, row)) = stream.initial.pop_front() {
            let change = Change::Upsert(item(ground.store, &key, &row, anew));
            return Some(Input::Event { change, added: true, version: Some(row.version.into()) });
        }
        // Some servers tell what has changed meanwhile before they say that everything has been listed.
        let change = server.after(stream.at, self.scope);
        let waits = stream.end && stream.at.is_multiple_of(2) && change.is_some();
        if !waits && std::mem::take(&mut stream.end) {
            return Some(Input::Bookmark { version: stream.at.into(), initial_end: true });
        }
        if stream.at < server.oldest {
            return Some(Input::ErrorEvent(failure(Reason::Expired)));
        }
        let Some((at, (key, row))) = change else {
            // How far everything is, where nothing of this scope is still to come.
            let says = stream.at <= server.version && std::mem::take(&mut self.wire.bookmark);
            return says.then(|| {
                stream.at = server.version;
                Input::Bookmark { version: stream.at.into(), initial_end: false }
            });
        };
        stream.at = at;
        let change = match row {
            Some(row) => Change::Upsert(item(ground.store, &key, &row, anew || !listing)),
            None if listing => Change::Delete(Listed::Same(key)),
            None => Change::Delete(last(ground.store, &key, at)),
        };
        Some(Input::Event { change, added: false, version: Some(at.into()) })
    }

    /// As the reflector does, with a look at what it does.
    fn perform(&mut self, effect: Effect<Listed>, ground: &Ground<'_>) {
        let Ground { store, server, .. } = ground;
        let before = self.observed;
        let removed = match effect {
            Effect::Commit { items, version, backwards } => {
                let number = version.number().expect("a number");
                for item in items.iter() {
                    let left_out = matches!(item, Listed::Same(_));
                    assert!(!(backwards && left_out), "left out {item:?} of another history");
                }
                // Never a mixture of lists, and never what is not the server's at that version.
                let mut listed: Vec<_> = items.iter().map(|item| item_key(item).clone()).collect();
                listed.sort();
                assert!(server.at(number, self.scope).into_keys().eq(listed), "list at {number}");
                assert_eq!(backwards, number < self.observed, "back in time without saying so");
                self.backwards += u32::from(backwards);
                self.lists += 1;
                self.observed = number;
                store.replace(self.scope, items.into_iter().collect(), version)
            }
            Effect::Apply { change, version } => {
                self.observed = version.and_then(|version| version.number()).expect("a number");
                let next = server.after(before, self.scope).map(|(at, _)| at);
                assert_eq!(next, Some(self.observed), "an event was lost or came twice");
                let seen = match change {
                    Change::Upsert(Listed::New(arrival)) => Seen::Upsert(arrival),
                    Change::Delete(Listed::New(arrival)) => Seen::Delete(arrival),
                    compared => panic!("{compared:?} compared outside a list"),
                };
                store.apply(self.scope, seen)
            }
            Effect::Bookmark(version) => {
                self.observed = version.number().expect("a number");
                assert_eq!(server.after(before, self.scope).filter(|(at, _)| *at <= self.observed), None);
                store.bookmark(self.scope, version);
                Vec::new()
            }
        };
        for (key, _) in removed {
            assert!(self.scope.is_none() || key.namespace() == self.scope, "{key} is another scope's");
        }
    }
}

/// An item of a list: what the store holds already, or a new state.
fn item(store: &Store, key: &ObjectKey, row: &Row, anew: bool) -> Listed {
    let (uid, version) = (format!("u{}", row.uid), row.version.to_string());
    match !anew && store.holds(key, Some(&uid), Some(&version)) {
        true => Listed::Same(key.clone()),
        false => {
            let json = row.json(key).to_string();
            Listed::New(store.admit(&Outline::read(&json).expect("a Pod")).expect("a Pod"))
        }
    }
}

/// What is told of an object that is gone.
fn last(store: &Store, key: &ObjectKey, version: u64) -> Listed {
    let row = Row { uid: 0, version, text: 0 };
    let json = row.json(key).to_string();
    Listed::New(store.admit_last(&Outline::read(&json).expect("a Pod")).expect("a Pod"))
}

fn item_key(item: &Listed) -> &ObjectKey {
    match item {
        Listed::Same(key) => key,
        Listed::New(arrival) => arrival.object.key(),
    }
}
