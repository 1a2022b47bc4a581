//! A key being worked on.

use std::{fmt, hash::Hash, sync::Arc, time::Duration};

use nah_core::panics::quietly;

use crate::{
    Merge,
    handle::Shared,
    ledger::{Claimed, Turn, Wait},
    list::Id,
    tick,
};

/// A key being worked on. Dropped without a verdict (a panic, a cancelled future) it counts as failed.
#[must_use = "a claim that is dropped counts as failed"]
pub struct Claim<K: Clone + Eq + Hash, C: Merge> {
    shared: Arc<Shared<K, C>>,
    id: Id,
    key: K,
    failures: u32,
    early: bool,
    waited: Duration,
    /// When it was handed out, from the epoch of the queue.
    since: Duration,
    /// None once there is a verdict, which consumes the claim.
    turn: Option<Turn<C>>,
}

impl<K: Clone + Eq + Hash, C: Merge> Claim<K, C> {
    pub(crate) fn new(shared: Arc<Shared<K, C>>, claimed: Claimed<K, C>, since: Duration) -> Self {
        let Claimed { id, key, failures, early, waited, turn } = claimed;
        Self { shared, id, key, failures, early, waited, since, turn: Some(turn) }
    }

    /// The key.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// What it was asked for, all requests merged; of a key that failed before, that of the failed runs too.
    pub fn cause(&self) -> &C {
        match &self.turn {
            Some(turn) => &turn.cause,
            None => unreachable!("a verdict consumes the claim"),
        }
    }

    /// The same, to be changed before a [`retry`](Self::retry) or a [`release`](Self::release) that keeps it.
    pub fn cause_mut(&mut self) -> &mut C {
        match &mut self.turn {
            Some(turn) => &mut turn.cause,
            None => unreachable!("a verdict consumes the claim"),
        }
    }

    /// Failures in a row before this run.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// How long the key waited for its turn, since the first request for it or since it was due.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// Succeeded: forgets the failures and a pending retry, keeps a pending trigger.
    pub fn done(mut self) {
        let turn = self.turn.take();
        self.shared.update(|ledger, now| {
            ledger.worked(now.exact.saturating_sub(self.since));
            ledger.done(now.tick, self.id);
        });
        drop(turn);
    }

    /// Failed: comes back after its backoff, which it returns.
    ///
    /// Where a retry was already pending (an event brought the key early) that deadline stands and the failure is not
    /// counted. After [`close`](crate::QueueHandle::close) nothing comes back.
    pub fn retry(mut self) -> Duration {
        self.fail()
    }

    /// Not worked on (shutdown): back to the head of its lane, also after [`close`](crate::QueueHandle::close).
    pub fn release(mut self) {
        if let Some(turn) = self.turn.take() {
            self.shared.update(|ledger, now| ledger.release(now.tick, self.id, turn));
        }
    }

    fn fail(&mut self) -> Duration {
        let Some(mut turn) = self.turn.take() else { return Duration::ZERO };
        // Code of others, before the queue is locked. The wait counts from here, however long that takes.
        let failed = self.shared.now().exact;
        quietly(|| turn.cause.retried());
        let wait = (!self.early).then(|| {
            let time = self.shared.retries.wait(self.failures.saturating_add(1), self.shared.epoch + failed);
            let until = if time.is_zero() { 0 } else { tick::rounded_up(failed.saturating_add(time)) };
            Wait { time, until }
        });
        self.shared.update(|ledger, now| {
            ledger.worked(failed.saturating_sub(self.since));
            ledger.retry(now.tick, self.id, turn, wait)
        })
    }
}

impl<K: Clone + Eq + Hash, C: Merge> Drop for Claim<K, C> {
    fn drop(&mut self) {
        self.fail();
    }
}

impl<K: Clone + Eq + Hash + fmt::Debug, C: Merge> fmt::Debug for Claim<K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The cause may hold what must not be logged.
        f.debug_struct("Claim")
            .field("key", &self.key)
            .field("failures", &self.failures)
            .finish_non_exhaustive()
    }
}
