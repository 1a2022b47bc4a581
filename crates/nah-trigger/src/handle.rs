//! The handle by which a queue is filled.

use std::{fmt, hash::Hash, sync::Arc, task::Waker, time::Duration};

use tokio::time::Instant;

use crate::{
    Claim, Classes, Closed, Lane, Merge, Pending, QueueOptions, QueueStats,
    ledger::{Asked, Ledger},
    retries::Retries,
    sync::{Mutex, Notify},
    tick,
};

/// Asks a queue for keys. Cloneable; never blocks, and works on any thread, with or without a runtime.
pub struct QueueHandle<K, C>(pub(crate) Arc<Shared<K, C>>);

/// What handles, claims and the consumer share.
pub(crate) struct Shared<K, C> {
    state: Mutex<Inner<K, C>>,
    /// Where the ticks of the ledger start.
    pub(crate) epoch: Instant,
    /// Asked without the lock.
    classes: Option<Classes<K>>,
    pub(crate) retries: Retries,
    idle: Notify,
}

pub(crate) struct Inner<K, C> {
    pub(crate) ledger: Ledger<K, C>,
    /// The consumer, if it waits.
    pub(crate) waker: Option<Waker>,
    /// The tick at which the consumer will look by itself.
    pub(crate) alarm: u64,
}

/// The time since the epoch of a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// In whole ticks.
    pub(crate) tick: u64,
    pub(crate) exact: Duration,
}

// === impl QueueHandle ===

impl<K, C> Clone for QueueHandle<K, C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, C> fmt::Debug for QueueHandle<K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueHandle").finish_non_exhaustive()
    }
}

impl<K: Clone + Eq + Hash, C: Merge> QueueHandle<K, C> {
    pub(crate) fn new(options: QueueOptions<K>) -> Self {
        let epoch = Instant::now();
        let inner = Inner { ledger: Ledger::new(&options), waker: None, alarm: 0 };
        let (state, retries) = (Mutex::new(inner), Retries::new(&options));
        Self(Arc::new(Shared { state, epoch, classes: options.classes, retries, idle: Notify::new() }))
    }

    /// Asks for `key` now. Merges with a request that waits; a claim that is held is followed by one more run.
    ///
    /// A fresh request lifts a key out of the background. A delay that waits for the key stays.
    ///
    /// # Errors
    /// [`Closed`] where nobody takes keys any more.
    pub fn add(&self, key: K, cause: C, lane: Lane) -> Result<(), Closed> {
        let asked = self.0.asked(key);
        let taken = self.0.update(|ledger, now| ledger.add(now.tick, asked, cause, lane));
        if taken { Ok(()) } else { Err(Closed) }
    }

    /// Asks for `key` after `delay`, counted from this call; zero is now.
    ///
    /// Of several delays for a key the earliest counts, with the causes of all, and fires once.
    ///
    /// # Errors
    /// [`Closed`] where nobody takes keys any more.
    pub fn add_after(&self, key: K, cause: C, delay: Duration) -> Result<(), Closed> {
        // Rounded up from the exact time, so that a delay is never short by the fraction of a tick.
        let deadline = tick::rounded_up(self.0.epoch.elapsed().saturating_add(delay));
        let asked = self.0.asked(key);
        let taken = self.0.update(|ledger, now| {
            let deadline = if delay.is_zero() { now.tick } else { deadline };
            ledger.add_after(now.tick, asked, cause, deadline)
        });
        if taken { Ok(()) } else { Err(Closed) }
    }

    /// Takes the next key, if one is ready, beside the consumer: for a worker that has done with one key and can go on with
    /// another, without a round through whoever hands them out.
    ///
    /// In the same order as the [`Queue`](crate::Queue) gives them, and never a key whose claim is still held. Of several
    /// who ask, each gets another key.
    pub fn try_next(&self) -> Option<Claim<K, C>> {
        let claimed = self.0.update(|ledger, now| Some((ledger.claim(now.tick)?, now.exact)));
        claimed.map(|(claimed, since)| Claim::new(self.0.clone(), claimed, since))
    }

    /// Takes back the delay asked for and says whether there was one. What is due still runs, and so do retries.
    pub fn cancel(&self, key: &K) -> bool {
        self.0.update(|ledger, now| ledger.cancel(now.tick, key))
    }

    /// Ends the stream once what is ready has been handed out; [`len`](Self::len) counts what is not.
    ///
    /// Delayed keys are dropped and requests are refused from now on. A key that was asked for while its claim is held
    /// still has its run.
    pub fn close(&self) {
        // What was dropped may run code of others, so it is dropped after the lock is.
        drop(self.0.update(|ledger, now| ledger.close(now.tick)));
    }

    /// Counts the keys that wait for a run: those due, and those asked for while their claim is held.
    ///
    /// Neither a delayed key nor a claim that nobody asked for again is counted.
    pub fn len(&self) -> usize {
        self.0.update(|ledger, now| {
            ledger.advance(now.tick);
            ledger.len()
        })
    }

    /// Whether no key waits for a run.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the queue holds for `key`; none if it knows nothing of it.
    pub fn pending(&self, key: &K) -> Option<Pending> {
        self.0.update(|ledger, now| ledger.pending(now.tick, key))
    }

    /// What the queue holds, key by key, in no order. Walks through all of it, and is meant for people.
    ///
    /// The queue is locked for a part of its keys at a time, so that nobody who asks for a key waits for all of them: each
    /// is told as it stood when its part had its turn.
    pub fn list(&self) -> Vec<(K, Pending)> {
        let mut listed = Vec::new();
        let mut next = Some(0);
        while let Some(from) = next {
            // Grows here, where nobody waits for it.
            listed.reserve(Ledger::<K, C>::PART);
            next = self.0.update(|ledger, now| ledger.list(now.tick, from, &mut listed));
        }
        listed
    }

    /// What the queue is doing, in numbers. With classes it looks at the head of each that waits, for the oldest.
    pub fn stats(&self) -> QueueStats {
        self.0.update(|ledger, now| ledger.stats(now.tick))
    }

    /// Waits until no key waits for a run and no claim is held. Delayed keys are not waited for.
    ///
    /// After [`close`](Self::close) this is the end of all work; a consumer has to go on until then.
    pub async fn idle(&self) {
        loop {
            // Asked for before the look, so that the last claim cannot end in between.
            let notified = self.0.idle.notified();
            let idle = self.0.update(|ledger, now| {
                ledger.advance(now.tick);
                ledger.is_idle()
            });
            if idle {
                return;
            }
            notified.await;
        }
    }
}

// === impl Shared ===

impl<K: Clone + Eq + Hash, C: Merge> Shared<K, C> {
    pub(crate) fn now(&self) -> Now {
        let exact = self.epoch.elapsed();
        Now { tick: tick::rounded_down(exact), exact }
    }

    /// A request for `key`. Finds its class without a lock, because that runs code of others.
    fn asked(&self, key: K) -> Asked<K> {
        let class = self.classes.as_ref().map(|classes| classes.of(&key));
        Asked { key, class }
    }

    /// Changes the ledger and wakes whom that concerns.
    pub(crate) fn update<R>(&self, change: impl FnOnce(&mut Ledger<K, C>, Now) -> R) -> R {
        let mut inner = self.state.lock();
        let result = change(&mut inner.ledger, self.now());
        let waker = inner.waker_if_needed();
        let idle = inner.ledger.is_idle();
        let dropped = inner.ledger.take_dropped();
        drop(inner);
        drop(dropped);
        if let Some(waker) = waker {
            waker.wake();
        }
        if idle {
            self.idle.notify_waiters();
        }
        result
    }

    /// Changes the ledger for the consumer, which needs no waking.
    pub(crate) fn consume<R>(&self, change: impl FnOnce(&mut Inner<K, C>, Now) -> R) -> R {
        let inner = &mut *self.state.lock();
        change(inner, self.now())
    }
}

impl<K: Clone + Eq + Hash, C: Merge> Inner<K, C> {
    fn waker_if_needed(&mut self) -> Option<Waker> {
        self.waker.as_ref()?;
        let ledger = &self.ledger;
        let earlier = ledger.next_deadline().is_some_and(|deadline| deadline < self.alarm);
        if ledger.has_ready() || ledger.is_ended() || earlier { self.waker.take() } else { None }
    }
}

#[cfg(test)]
mod tests;
