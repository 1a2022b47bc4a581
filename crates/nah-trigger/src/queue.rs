//! The stream that keys are taken from.

use std::{
    fmt,
    future::{Future as _, poll_fn},
    hash::Hash,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::Stream;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{
    Claim, Merge, QueueHandle,
    handle::{Now, Shared},
    tick,
};

/// The timer sleeps no longer than this at a time: it knows no more than two years.
const LONGEST_SLEEP: Duration = Duration::from_secs(365 * 24 * 3_600);

/// The precision of the timer, which rounds up.
const PRECISION: Duration = Duration::from_millis(1);

/// The one consumer of a queue. Yields a key only when polled, and never one whose claim is still held.
///
/// Not polling it is a pause: requests merge and wait. Dropping it is the end: nobody can take keys any more, so what
/// waits is dropped and requests are refused. The stream ends after [`QueueHandle::close`].
pub struct Queue<K: Clone + Eq + Hash, C: Merge> {
    shared: Arc<Shared<K, C>>,
    /// Made with the first deadline, so that a queue without delays needs no runtime.
    sleep: Option<Pin<Box<Sleep>>>,
}

/// What the consumer does next.
enum Next<K: Clone + Eq + Hash, C: Merge> {
    Yield(Claim<K, C>),
    /// There is a key, and it was not asked for.
    Ready,
    End,
    SleepUntil(Instant),
    Wait,
}

impl<K: Clone + Eq + Hash, C: Merge> Queue<K, C> {
    pub(crate) fn new(handle: &QueueHandle<K, C>) -> Self {
        Self { shared: handle.0.clone(), sleep: None }
    }

    /// A handle to fill this queue.
    pub fn handle(&self) -> QueueHandle<K, C> {
        QueueHandle(self.shared.clone())
    }

    /// Waits until there is a key to take, and takes none: true, or false at the end of the stream.
    ///
    /// For a consumer that needs something scarce to work on a key. It gets that when this is true, and then takes a key,
    /// at once: what came meanwhile has merged, or stands before the others.
    pub async fn ready(&mut self) -> bool {
        poll_fn(|cx| self.poll(cx, false)).await.is_some()
    }

    /// The next key, none at the end. Of a key that is not to be taken, that there is one.
    fn poll(&mut self, cx: &mut Context<'_>, take: bool) -> Poll<Option<Option<Claim<K, C>>>> {
        loop {
            let wake = match self.next(cx, take) {
                Next::Yield(claim) => return Poll::Ready(Some(Some(claim))),
                Next::Ready => return Poll::Ready(Some(None)),
                Next::End => return Poll::Ready(None),
                Next::Wait => return Poll::Pending,
                Next::SleepUntil(wake) => wake,
            };
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(wake)));
            if sleep.deadline() != wake {
                sleep.as_mut().reset(wake);
            }
            ready!(sleep.as_mut().poll(cx));
        }
    }

    fn next(&self, cx: &Context<'_>, take: bool) -> Next<K, C> {
        // A waker is code of others too: the last of a task may drop that, with a claim in it.
        let (next, _replaced) = self.shared.consume(|inner, now| {
            if !take {
                inner.ledger.advance(now.tick);
                if inner.ledger.has_ready() {
                    return (Next::Ready, inner.waker.take());
                }
            } else if let Some(claimed) = inner.ledger.claim(now.tick) {
                let claim = Claim::new(self.shared.clone(), claimed, now.exact);
                return (Next::Yield(claim), inner.waker.take());
            }
            if inner.ledger.is_ended() {
                return (Next::End, inner.waker.take());
            }
            let same = inner.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
            let replaced = if same { None } else { inner.waker.replace(cx.waker().clone()) };
            let deadline = inner.ledger.next_deadline();
            let alarm = deadline
                .map(|deadline| deadline.min(now.tick.saturating_add(tick::rounded_down(LONGEST_SLEEP))));
            inner.alarm = alarm.unwrap_or(u64::MAX);
            (alarm.map_or(Next::Wait, |alarm| Next::SleepUntil(self.wake_for(alarm, now))), replaced)
        });
        next
    }

    /// When to ask to be woken for a deadline.
    ///
    /// The timer rounds up to its own milliseconds, and sleeps whole ones from the moment it begins. Asked for the deadline
    /// itself it is late by up to two, so it is asked for the time one before: the sleep then ends at the deadline, or
    /// after it by less than one. Where it is woken in between and finds that early, it sleeps once more.
    fn wake_for(&self, alarm: u64, now: Now) -> Instant {
        let early = tick::time(alarm).saturating_sub(PRECISION).max(now.exact);
        self.shared.epoch + early + Duration::from_micros(1)
    }
}

impl<K: Clone + Eq + Hash, C: Merge> Stream for Queue<K, C> {
    type Item = Claim<K, C>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(cx, true).map(Option::flatten)
    }
}

impl<K: Clone + Eq + Hash, C: Merge> Drop for Queue<K, C> {
    fn drop(&mut self) {
        drop(self.shared.update(|ledger, now| ledger.abandon(now.tick)));
    }
}

impl<K: Clone + Eq + Hash, C: Merge> fmt::Debug for Queue<K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}
