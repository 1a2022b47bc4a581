//! Any order of answers: a server that writes, forgets, fails and goes back in time, and a scope that follows it.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;

/// uid and version of each object.
type State = BTreeMap<ObjectKey, (u64, u64)>;

/// A key and what became of it: a new state, or nothing.
type Written = (ObjectKey, Option<(u64, u64)>);

/// An item: what the store holds already, or a new state (uid, version).
#[derive(Clone, Debug, PartialEq)]
enum Row {
    Same(ObjectKey),
    New(ObjectKey, (u64, u64)),
}

impl Item for Row {
    fn key(&self) -> &ObjectKey {
        match self {
            Self::Same(key) | Self::New(key, _) => key,
        }
    }
}

#[derive(Clone, Debug)]
enum Move {
    Put(u8),
    Delete(u8),
    /// Versions below the present one can no longer be watched or paged.
    Compact,
    /// A backup of a few writes ago is restored.
    Restore(u8),
    /// The next answer is this failure.
    Fail(Reason),
    /// The stream at hand ends in this way.
    Cut(Cut),
    /// The scope takes so many steps.
    Turn(u8),
    Refresh,
    /// The stream says how far the server is.
    Bookmark,
    /// The scope breaks down and begins afresh.
    Panic,
}

#[derive(Clone, Copy, Debug)]
enum Cut {
    End,
    Break,
    Error(Reason),
    Garbled,
}

#[derive(Default)]
struct Server {
    version: u64,
    uids: u64,
    oldest: u64,
    /// The whole state at each version, and what changed on the way to it.
    states: Vec<State>,
    changes: Vec<Option<Written>>,
}

/// Where the stream at hand stands.
#[derive(Debug)]
struct Stream {
    initial: VecDeque<(ObjectKey, (u64, u64))>,
    end: bool,
    at: u64,
}

struct World {
    server: Server,
    sync: Sync<Row>,
    store: State,
    observed: u64,
    next: Next,
    fail: Option<Reason>,
    cut: Option<Cut>,
    stream: Option<Stream>,
    /// Continue tokens: the version they page through.
    page: Option<u64>,
    refresh: bool,
    bookmark: bool,
    streaming: bool,
    paged: u64,
    /// Pages say their version behind their items.
    sorted: bool,
    backwards: u32,
    now: Duration,
}

impl Server {
    fn new() -> Self {
        Self { version: 1, states: vec![State::new(); 2], changes: vec![None; 2], ..Self::default() }
    }

    fn state(&self) -> &State {
        &self.states[self.version as usize]
    }

    fn write(&mut self, key: ObjectKey, put: bool) {
        let mut state = self.state().clone();
        let version = self.version + 1;
        let change = match (state.get(&key).copied(), put) {
            (None, false) => return,
            (Some((uid, _)), true) => Some((uid, version)),
            (None, true) => {
                self.uids += 1;
                Some((self.uids, version))
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

    fn restore(&mut self, back: u64) {
        self.version = self.version.saturating_sub(back).max(1);
        self.states.truncate(self.version as usize + 1);
        self.changes.truncate(self.version as usize + 1);
        self.oldest = self.oldest.min(self.version);
    }

    /// Which version a lower bound is answered at.
    fn resolve(&self, bound: &Option<ResourceVersion>) -> Result<u64, Reason> {
        let bound = bound.as_ref().map_or(0, |bound| bound.number().unwrap());
        if bound > self.version { Err(Reason::TooLarge) } else { Ok(self.version) }
    }
}

impl World {
    fn new(streaming: bool, paged: u64, sorted: bool) -> Self {
        let mut sync = Sync::new(Rules { streaming, page: None });
        let next = sync.step(T0, 0.0, Input::Start).next;
        Self {
            server: Server::new(),
            sync,
            next,
            paged,
            sorted,
            streaming,
            store: State::new(),
            observed: 0,
            fail: None,
            cut: None,
            stream: None,
            page: None,
            refresh: false,
            bookmark: false,
            backwards: 0,
            now: T0,
        }
    }

    fn play(&mut self, step: Move) {
        let key = |name: u8| ObjectKey::from(("n", format!("o{name}")));
        match step {
            Move::Put(name) => self.server.write(key(name), true),
            Move::Delete(name) => self.server.write(key(name), false),
            Move::Compact => self.server.oldest = self.server.version,
            Move::Restore(back) => {
                self.server.restore(back.into());
                // Connections break with the old server; the new one takes a moment to answer.
                (self.fail, self.cut, self.page) = (Some(Reason::Away), None, None);
                if self.next == Next::Read {
                    (self.fail, self.cut) = (None, Some(Cut::Break));
                }
                self.settle();
            }
            Move::Fail(reason) => self.fail = Some(reason),
            Move::Cut(cut) => self.cut = Some(cut),
            Move::Turn(steps) => (0..steps).for_each(|_| _ = self.turn()),
            Move::Refresh => self.refresh = true,
            Move::Bookmark => self.bookmark = true,
            Move::Panic => {
                let mut sync = Sync::new(Rules { streaming: self.streaming, page: None });
                sync.recover((self.observed > 0).then(|| self.observed.into()));
                self.next = sync.step(self.now, 0.5, Input::Start).next;
                (self.sync, self.stream, self.page) = (sync, None, None);
            }
        }
    }

    /// Steps until the scope waits for the next event.
    fn settle(&mut self) {
        for _ in 0..400 {
            if !self.turn() {
                return;
            }
        }
        panic!("never comes to rest");
    }

    /// One step; false where the scope waits for an event that does not come.
    fn turn(&mut self) -> bool {
        let Some(input) = self.answer() else { return false };
        let step = self.sync.step(self.now, 0.5, input);
        if let Some(effect) = step.effect {
            self.perform(effect);
        }
        self.next = step.next;
        true
    }

    fn answer(&mut self) -> Option<Input<Row>> {
        let next = self.next.clone();
        if matches!(next, Next::Read | Next::Wait(_)) && std::mem::take(&mut self.refresh) {
            return Some(Input::Refresh);
        }
        Some(match next {
            Next::Wait(wait) => {
                self.now += wait;
                Input::Waited
            }
            Next::List { version, limit, token } => {
                self.stream = None;
                let failed = self.fail.take().map(failure);
                match failed.map_or_else(|| self.list(version, limit, token), Err) {
                    Ok(page) => page,
                    Err(failure) => Input::ListFailed(failure),
                }
            }
            Next::Probe => {
                self.stream = None;
                match self.fail.take() {
                    Some(reason) => Input::ListFailed(failure(reason)),
                    None => Input::Probed(self.server.version.into()),
                }
            }
            Next::Open { version, initial, .. } => {
                self.stream = None;
                self.cut = None;
                if let Some(reason) = self.fail.take() {
                    return Some(Input::OpenFailed(failure(reason)));
                }
                let at = match (initial, self.server.resolve(&version)) {
                    (true, Err(reason)) => return Some(Input::OpenFailed(failure(reason))),
                    (true, Ok(at)) => at,
                    // A version that is still to come is silence.
                    (false, _) => version.unwrap().number().unwrap(),
                };
                if at < self.server.oldest {
                    return Some(Input::OpenFailed(failure(Reason::Expired)));
                }
                let initial_events = match initial {
                    true => self.server.states[at as usize].clone().into_iter().collect(),
                    false => VecDeque::new(),
                };
                self.stream = Some(Stream { initial: initial_events, end: initial, at });
                Input::Opened
            }
            Next::Read => return self.read(),
        })
    }

    fn list(
        &mut self,
        version: Option<ResourceVersion>,
        limit: Option<u32>,
        token: Option<String>,
    ) -> Result<Input<Row>, Failure> {
        let (at, from) = match &token {
            Some(token) => (
                self.page.filter(|at| *at >= self.server.oldest).ok_or(failure(Reason::Expired))?,
                token.as_str(),
            ),
            None => (self.server.resolve(&version).map_err(failure)?, ""),
        };
        let state = &self.server.states[at as usize];
        let mut rest = state.iter().filter(|(key, _)| key.as_str() > from);
        let size = limit.map_or(usize::MAX, |_| self.paged as usize);
        let rows: Vec<_> = rest.by_ref().take(size).map(|(key, row)| (key.clone(), *row)).collect();
        let more = rest.next().is_some();
        let next = rows.last().filter(|_| more).map(|(key, _)| key.to_string());
        self.page = more.then_some(at);
        let version = ResourceVersion::from(at);
        let anew = self.sync.is_anew(Some(&version).filter(|_| !self.sorted));
        let compared = self.sorted && !anew && !rows.is_empty();
        let items = rows.into_iter().map(|(key, row)| self.row(key, row, anew)).collect();
        Ok(Input::Page { items, version, next, compared })
    }

    fn row(&self, key: ObjectKey, row: (u64, u64), anew: bool) -> Row {
        if !anew && self.store.get(&key) == Some(&row) { Row::Same(key) } else { Row::New(key, row) }
    }

    fn read(&mut self) -> Option<Input<Row>> {
        match self.cut.take() {
            Some(Cut::End) => return Some(Input::Ended { spoiled: false }),
            Some(Cut::Break) => return Some(Input::Cut),
            Some(Cut::Error(reason)) => return Some(Input::ErrorEvent(failure(reason))),
            Some(Cut::Garbled) => return Some(Input::Garbled(failure(Reason::Other))),
            None => {}
        }
        let anew = self.sync.is_anew(None);
        let listing = self.sync.is_listing();
        let stream = self.stream.as_mut().expect("reads an open stream");
        if let Some((key, row)) = stream.initial.pop_front() {
            let change = Change::Upsert(self.row(key, row, anew));
            return Some(Input::Event { change, added: true, version: Some(row.1.into()) });
        }
        // Some servers tell what has changed meanwhile before they say that everything has been listed.
        let more = (stream.at + 1) as usize;
        let waits = stream.end && stream.at.is_multiple_of(2) && more < self.server.changes.len();
        if !waits && std::mem::take(&mut stream.end) {
            return Some(Input::Bookmark { version: stream.at.into(), initial_end: true });
        }
        if stream.at < self.server.oldest {
            return Some(Input::ErrorEvent(failure(Reason::Expired)));
        }
        let at = stream.at + 1;
        let Some(change) = self.server.changes.get(at as usize) else {
            let says = stream.at == self.server.version && std::mem::take(&mut self.bookmark);
            return says.then(|| Input::Bookmark { version: stream.at.into(), initial_end: false });
        };
        let (key, row) = change.clone().expect("a change a version");
        stream.at = at;
        let change = match row {
            Some(row) if listing => Change::Upsert(self.row(key, row, anew)),
            Some(row) => Change::Upsert(Row::New(key, row)),
            None => Change::Delete(Row::New(key, (0, at))),
        };
        Some(Input::Event { change, added: false, version: Some(at.into()) })
    }

    fn perform(&mut self, effect: Effect<Row>) {
        match effect {
            Effect::Commit { items, version, backwards } => {
                let version = version.number().unwrap();
                let mut state = State::new();
                for item in items {
                    let (key, row) = match item {
                        Row::New(key, row) => (key, row),
                        Row::Same(key) => {
                            assert!(!backwards, "left out {key} of another history");
                            let held = self.store[&key];
                            (key, held)
                        }
                    };
                    assert!(state.insert(key, row).is_none(), "the same key twice");
                }
                // Never a mixture of lists, and never what is not the server's at that version.
                assert_eq!(state, self.server.states[version as usize], "list at {version}");
                assert_eq!(backwards, version < self.observed, "back in time without saying so");
                self.backwards += u32::from(backwards);
                (self.store, self.observed) = (state, version);
            }
            Effect::Apply { change, version } => {
                match change {
                    Change::Upsert(Row::New(key, row)) => _ = self.store.insert(key, row),
                    Change::Delete(row) => _ = self.store.remove(row.key()),
                    Change::Upsert(Row::Same(key)) => panic!("{key} compared outside a list"),
                }
                let version = version.and_then(|version| version.number()).unwrap();
                assert_eq!(version, self.observed + 1, "an event was lost or came twice");
                self.observed = version;
            }
            Effect::Bookmark(version) => self.observed = version.number().unwrap(),
        }
    }
}

fn reason() -> impl Strategy<Value = Reason> {
    prop_oneof![
        Just(Reason::Expired),
        Just(Reason::TooLarge),
        Just(Reason::Busy),
        Just(Reason::Away),
        Just(Reason::Unsupported),
        Just(Reason::Unserved),
        Just(Reason::Other),
    ]
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let cut =
        prop_oneof![Just(Cut::End), Just(Cut::Break), reason().prop_map(Cut::Error), Just(Cut::Garbled)];
    let step = prop_oneof![
        6 => (0..6u8).prop_map(Move::Put),
        3 => (0..6u8).prop_map(Move::Delete),
        1 => Just(Move::Compact),
        1 => (1..5u8).prop_map(Move::Restore),
        3 => reason().prop_map(Move::Fail),
        3 => cut.prop_map(Move::Cut),
        8 => (1..6u8).prop_map(Move::Turn),
        1 => Just(Move::Refresh),
        1 => Just(Move::Bookmark),
        1 => Just(Move::Panic),
    ];
    prop::collection::vec(step, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn at_rest_the_store_is_the_server(moves in moves(), streaming: bool, paged in 1..4u64, sorted: bool) // C1, C2, C3, C4, C5, C8, C11, C12, C14, C21, C22
    {
        let mut world = World::new(streaming, paged, sorted);
        moves.into_iter().for_each(|step| world.play(step));
        (world.fail, world.cut) = (None, None);
        world.settle();
        prop_assert_eq!(&world.store, world.server.state());
    }
}

#[test]
fn a_restored_backup_is_noticed_and_taken_whole() {
    for (streaming, sorted) in [(false, false), (false, true), (true, false)] {
        let mut world = World::new(streaming, 2, sorted);
        (0..6).for_each(|name| world.play(Move::Put(name)));
        world.settle();
        world.play(Move::Restore(4));
        assert_eq!(world.backwards, 1, "streaming: {streaming}");
        assert_eq!(&world.store, world.server.state());
    }
}
