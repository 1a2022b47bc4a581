//! What all connections and streams of one server share.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    faults::Faults,
    signal::{Listener, Signal},
    state::{Options, State, Write},
};
use crate::journal::Journal;

/// How long a namespace that was deleted stays before its content goes, and garbage lies before it is
/// collected.
const CHORES_AFTER: Duration = Duration::from_millis(250);

pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    pub(crate) faults: Mutex<Faults>,
    pub(crate) journal: Journal,
    pub(crate) control: Signal<Control>,
    /// The bearer tokens that are accepted; none means that nobody is asked for one.
    pub(crate) tokens: Mutex<Vec<String>>,
    clock: Clock,
    chores_are_planned: Mutex<bool>,
}

/// What is done to running connections and streams from outside.
#[derive(Clone, Debug, Default)]
pub(crate) struct Control {
    /// Counts restarts.
    pub(crate) restarts: u64,
    /// Counts how often the watches of a resource were cut; those of all resources under the empty name.
    pub(crate) cuts: BTreeMap<String, u64>,
    /// The resources whose watches deliver nothing for now.
    pub(crate) held: BTreeSet<String>,
    /// Whether new connections and requests are refused.
    pub(crate) refuses: bool,
}

/// Where a connection or stream stands; it ends when the server has moved on.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    control: Listener<Control>,
    restarts: u64,
    cuts: u64,
    resource: Option<String>,
}

/// Wall time that follows the runtime's clock, so that it stands still where that is paused.
#[derive(Clone, Debug)]
struct Clock {
    time: Timestamp,
    instant: Instant,
}

// === impl Shared ===

impl Shared {
    pub(crate) fn new(options: Options) -> Arc<Self> {
        let clock = Clock { time: Timestamp::now(), instant: Instant::now() };
        let write = Write {
            now: clock.time,
            at: clock.instant,
            manager: "kube-apiserver".to_owned(),
            dry_run: false,
            strict: false,
            managed: None,
            through: None,
        };
        Arc::new(Self {
            state: Mutex::new(State::new(options, &write)),
            faults: Mutex::new(Faults::default()),
            journal: Journal::default(),
            control: Signal::new(Control::default()),
            tokens: Mutex::default(),
            clock,
            chores_are_planned: Mutex::new(false),
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.age().as_nanos()).unwrap_or(i64::MAX);
        self.clock.time.checked_add(jiff::SignedDuration::from_nanos(passed)).unwrap_or(self.clock.time)
    }

    /// How long the server has been there.
    pub(crate) fn age(&self) -> Duration {
        self.clock.instant.elapsed()
    }

    /// A write of now.
    pub(crate) fn write(&self, manager: String) -> Write {
        Write {
            now: self.now(),
            at: Instant::now(),
            manager,
            dry_run: false,
            strict: false,
            managed: None,
            through: None,
        }
    }

    /// Whether a request with this `Authorization` comes from somebody known.
    pub(crate) fn knows(&self, authorization: &str) -> bool {
        let tokens = self.tokens.lock();
        let token = authorization.strip_prefix("Bearer ");
        tokens.is_empty() || token.is_some_and(|token| tokens.iter().any(|known| known == token))
    }

    /// Drops all connections and streams.
    pub(crate) fn restart(&self) {
        self.control.send_modify(|control| control.restarts += 1);
    }

    /// Undoes the last writes, and drops all connections as the restart that belongs to it does.
    pub(crate) fn forget(&self, writes: usize) {
        let mut state = self.state.lock();
        state.objects.forget(writes);
        state.redefine();
        drop(state);
        self.restart();
    }

    pub(crate) fn lease(&self, resource: Option<&str>) -> Lease {
        let control = self.control.subscribe();
        let (restarts, cuts) = {
            let now = control.borrow();
            (now.restarts, resource.map_or(0, |resource| now.cuts_of(resource)))
        };
        Lease { control, restarts, cuts, resource: resource.map(str::to_owned) }
    }

    /// Plans what controllers would do after a write, if there is anything.
    ///
    /// Without a runtime it is done at once.
    pub(crate) fn plan_chores(self: &Arc<Self>) {
        if !self.state.lock().has_chores {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return self.do_chores();
        };
        if std::mem::replace(&mut *self.chores_are_planned.lock(), true) {
            return;
        }
        // Weak, so that a server that nobody holds any more is not kept by its chores.
        let shared = Arc::downgrade(self);
        runtime.spawn(async move {
            tokio::time::sleep(CHORES_AFTER).await;
            if let Some(shared) = shared.upgrade() {
                *shared.chores_are_planned.lock() = false;
                shared.do_chores();
            }
        });
    }

    fn do_chores(&self) {
        let write = self.write("kube-controller-manager".to_owned());
        self.state.lock().do_chores(&write);
    }
}

// === impl Control ===

impl Control {
    fn cuts_of(&self, resource: &str) -> u64 {
        let of = |name: &str| self.cuts.get(name).copied().unwrap_or_default();
        of(resource) + of("")
    }
}

// === impl Lease ===

impl Lease {
    /// Returns when the connection or stream has to end.
    pub(crate) async fn ended(&mut self) {
        let (restarts, cuts) = (self.restarts, self.cuts);
        let resource = self.resource.clone();
        let over = |control: &Control| {
            control.restarts != restarts || resource.as_ref().is_some_and(|one| control.cuts_of(one) != cuts)
        };
        if self.control.wait_for(over).await.is_err() {
            // The server is gone altogether, and so is everything it served.
        }
    }

    /// Returns when the stream may deliver.
    pub(crate) async fn released(&mut self) {
        let resource = self.resource.clone().unwrap_or_default();
        let free = |control: &Control| !control.held.contains(&resource) && !control.held.contains("");
        if self.control.wait_for(free).await.is_err() {
            // As above: the stream ends by itself.
        }
    }
}

/// The error of a connection that the server dropped.
pub(crate) fn reset() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "connection reset by the embedded API server")
}

/// The error of a connection that the server does not take.
pub(crate) fn refused() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused by the embedded API server")
}
