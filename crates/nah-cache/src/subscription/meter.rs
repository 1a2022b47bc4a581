//! How a subscriber keeps up, in numbers.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

/// How a handler or a subscription keeps up, for people and machines.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SubscriberStatus {
    /// The name it was given.
    pub name: Option<String>,
    /// It has been shown everything that was there at first.
    pub synced: bool,
    /// How many objects it has still to be told of.
    pub waiting: usize,
    /// For how long the one that waits longest has.
    pub lag: Option<Duration>,
    /// How many events it was given.
    pub told: u64,
    /// For how long a handler has not returned from its call.
    pub busy: Option<Duration>,
    /// How often a handler, or its filter, panicked.
    pub panics: u64,
    /// How many events a handler was spared because their objects do not read as what it asked for.
    pub unreadable: u64,
}

/// Counts what a subscriber is given.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    name: OnceLock<String>,
    told: AtomicU64,
    panics: AtomicU64,
    unreadable: AtomicU64,
    called: Mutex<Option<Instant>>,
}

impl Meter {
    /// Names the subscriber; the first name stands.
    pub(crate) fn name(&self, name: String) {
        let _ = self.name.set(name);
    }

    pub(crate) fn told(&self) {
        self.told.fetch_add(1, Relaxed);
    }

    pub(crate) fn panicked(&self) {
        self.panics.fetch_add(1, Relaxed);
    }

    pub(crate) fn spared(&self) {
        self.unreadable.fetch_add(1, Relaxed);
    }

    pub(crate) fn calling(&self, calling: bool) {
        *self.called.lock() = calling.then(Instant::now);
    }

    pub(crate) fn status(&self, synced: bool, waiting: (usize, Option<Duration>)) -> SubscriberStatus {
        SubscriberStatus {
            name: self.name.get().cloned(),
            synced,
            waiting: waiting.0,
            lag: waiting.1,
            told: self.told.load(Relaxed),
            busy: self.called.lock().map(|called| called.elapsed()),
            panics: self.panics.load(Relaxed),
            unreadable: self.unreadable.load(Relaxed),
        }
    }
}
