//! What the ledger keeps of a key.

use std::time::Duration;

use nah_core::panics::quietly;

use crate::{Lane, Merge, classes::Class, list::Id};

/// A key that is asked for.
#[derive(Debug)]
pub(crate) struct Asked<K> {
    pub(crate) key: K,
    pub(crate) class: Option<Class>,
}

/// A key handed out.
#[derive(Debug)]
pub(crate) struct Claimed<K, C> {
    pub(crate) id: Id,
    pub(crate) key: K,
    pub(crate) failures: u32,
    /// Whether a retry was pending: if the claim fails, that is not counted, and the retry keeps its time.
    pub(crate) early: bool,
    pub(crate) waited: Duration,
    pub(crate) turn: Turn<C>,
}

/// How long a key is to wait, and the tick at which that is over.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wait {
    pub(crate) time: Duration,
    pub(crate) until: u64,
}

/// A turn that a key waits for or has.
#[derive(Debug)]
pub(crate) struct Turn<C> {
    pub(crate) cause: C,
    pub(super) lane: Lane,
    pub(super) since: u64,
}

/// A key that has a turn, a claim or a deadline.
#[derive(Debug)]
pub(super) struct Entry<K, C> {
    pub(super) key: K,
    pub(super) failures: u32,
    /// The deadlines that wait, in the wheel.
    pub(super) trigger: Option<Id>,
    pub(super) retry: Option<Id>,
    pub(super) state: State<C>,
}

/// Whether a key waits for a turn or has one.
#[derive(Debug)]
pub(super) enum State<C> {
    Idle,
    Ready(Turn<C>),
    /// A claim is held.
    Running {
        again: Option<Turn<C>>,
        /// A retry that the claim came before fell due: if the claim fails too, its turn is now.
        retry_due: bool,
    },
}

/// What the wheel keeps of a deadline.
#[derive(Debug)]
pub(super) struct Deadline<C> {
    pub(super) entry: Id,
    pub(super) lane: Lane,
    pub(super) of: Of<C>,
}

/// Who asked for a deadline, and what for.
#[derive(Debug)]
pub(super) enum Of<C> {
    Trigger(C),
    /// None while a claim that came before the deadline has the cause.
    Retry(Option<C>),
}

impl<K> From<K> for Asked<K> {
    fn from(key: K) -> Self {
        Self { key, class: None }
    }
}

impl<C: Merge> Turn<C> {
    /// Takes in a later request. Fresh wins, and it has waited since the first.
    pub(super) fn merge(&mut self, newer: Self) {
        // The ledger may be half way between two states, so a panic must end here.
        quietly(|| self.cause.merge(newer.cause));
        self.lane = self.lane.min(newer.lane);
        self.since = self.since.min(newer.since);
    }

    pub(super) fn merged(older: Option<Self>, newer: Self) -> Self {
        match older {
            Some(mut older) => {
                older.merge(newer);
                older
            }
            None => newer,
        }
    }
}
