//! The hand-over between handles, claims and the consumer, in every order of their steps that loom finds.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Wake},
};

use futures::{FutureExt, StreamExt};
use loom::{
    future::block_on,
    thread::{self, JoinHandle},
};

use super::*;
use crate::{Claim, Closed, Fixed, Queue, queue};

type Keys = Queue<u8, Seen>;
type Handle = QueueHandle<u8, Seen>;

/// The bits of the requests that a turn is for, and how many such causes there are.
#[derive(Debug)]
struct Seen(u8, Arc<AtomicUsize>);

impl Merge for Seen {
    fn merge(&mut self, newer: Self) {
        self.0 |= newer.0;
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What a model asks for.
#[derive(Clone)]
struct Asker {
    handle: Handle,
    alive: Arc<AtomicUsize>,
}

impl Asker {
    fn cause(&self, bit: u8) -> Seen {
        self.alive.fetch_add(1, Ordering::SeqCst);
        Seen(1 << bit, self.alive.clone())
    }

    fn ask(&self, key: u8, bit: u8) -> Result<(), Closed> {
        self.handle.add(key, self.cause(bit), Lane::Fresh)
    }
}

/// Runs `model` with a queue in every order; retries come at once, so that no timer is needed.
fn in_every_order(model: impl Fn(Asker, Keys) + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    // Bugs of hand-overs show with two; three is what can be searched in seconds.
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let alive = Arc::new(AtomicUsize::new(0));
        let options = QueueOptions::default().with_backoff(Fixed(Duration::ZERO));
        let (handle, keys) = queue(options);
        model(Asker { handle, alive: alive.clone() }, keys);
        assert_eq!(alive.load(Ordering::SeqCst), 0, "every cause is dropped once");
    });
}

fn next(keys: &mut Keys) -> Option<Claim<u8, Seen>> {
    block_on(keys.next())
}

fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().expect("the thread ends")
}

#[test]
fn a_request_wakes_the_consumer_whenever_it_comes() // D21
{
    in_every_order(|asker, mut keys| {
        let thread = thread::spawn(move || asker.ask(1, 0));
        next(&mut keys).expect("a key").done();
        join(thread).expect("the queue is open");
    });
}

#[test]
fn requests_of_several_threads_are_all_seen_and_no_key_is_out_twice() // D2, D3
{
    in_every_order(|asker, mut keys| {
        let others = [0, 1].map(|bit| {
            let asker = asker.clone();
            thread::spawn(move || asker.ask(1, bit))
        });
        drop(asker);
        let mut seen = 0;
        while seen != 0b11 {
            let claim = next(&mut keys).expect("a key");
            assert_eq!(keys.next().now_or_never().map(|_| ()), None, "its only key is out");
            seen |= claim.cause().0;
            claim.done();
        }
        for asks in others {
            join(asks).expect("the queue is open");
        }
    });
}

#[test]
fn what_is_asked_for_while_its_claim_ends_has_a_run() // D3
{
    in_every_order(|asker, mut keys| {
        asker.ask(1, 0).expect("the queue is open");
        let claim = next(&mut keys).expect("a key");
        let ends = thread::spawn(move || claim.done());
        let asks = thread::spawn(move || asker.ask(1, 1));
        let again = next(&mut keys).expect("one more run");
        assert_eq!(again.cause().0, 0b10);
        again.done();
        join(ends);
        join(asks).expect("the queue is open");
    });
}

#[test]
fn a_dropped_claim_comes_back_with_its_causes() // D14
{
    in_every_order(|asker, mut keys| {
        asker.ask(1, 0).expect("the queue is open");
        let claim = next(&mut keys).expect("a key");
        let drops = thread::spawn(move || drop(claim));
        let asks = thread::spawn(move || asker.ask(1, 1));
        let mut seen = 0;
        while seen != 0b11 {
            let claim = next(&mut keys).expect("the failed run, and what was asked for");
            seen |= claim.cause().0;
            claim.done();
        }
        join(drops);
        join(asks).expect("the queue is open");
    });
}

#[test]
fn a_request_during_the_close_is_refused_or_has_its_run() // D10
{
    in_every_order(|asker, mut keys| {
        let closer = asker.handle.clone();
        let asks = thread::spawn(move || asker.ask(1, 0));
        let closes = thread::spawn(move || closer.close());
        let claim = next(&mut keys);
        let ran = claim.is_some();
        if let Some(claim) = claim {
            claim.done();
            assert!(next(&mut keys).is_none(), "the end");
        }
        assert_eq!(join(asks).is_ok(), ran);
        join(closes);
    });
}

#[test]
fn a_release_after_the_close_is_not_lost() // D27
{
    in_every_order(|asker, mut keys| {
        asker.ask(1, 0).expect("the queue is open");
        let claim = next(&mut keys).expect("a key");
        let closes = thread::spawn(move || {
            asker.handle.close();
            asker
        });
        let releases = thread::spawn(move || claim.release());
        // The stream may end before the release; what is released can be taken all the same.
        let first = next(&mut keys);
        join(releases);
        let asker = join(closes);
        first.or_else(|| next(&mut keys)).expect("what was released").done();
        assert!(next(&mut keys).is_none());
        assert!(asker.handle.is_empty());
    });
}

#[test]
fn a_consumer_that_leaves_takes_everything_with_it() {
    in_every_order(|asker, mut keys| {
        asker.ask(1, 0).expect("the queue is open");
        let claim = next(&mut keys).expect("a key");
        let fails = thread::spawn(move || drop(claim));
        let asks = {
            let asker = asker.clone();
            thread::spawn(move || asker.ask(1, 1))
        };
        drop(keys);
        join(fails);
        // Taken before the end, or refused: either way nobody holds it any more.
        let _ = join(asks);
        assert_eq!(asker.ask(1, 2), Err(Closed));
        assert!(asker.handle.is_empty());
    });
}

#[test]
fn the_last_handle_may_go_while_the_consumer_waits() {
    in_every_order(|asker, mut keys| {
        let asks = thread::spawn(move || {
            asker.ask(1, 0).expect("the queue is open");
            drop(asker);
        });
        next(&mut keys).expect("a key").done();
        join(asks);
        let handle = keys.handle();
        let closes = thread::spawn(move || handle.close());
        assert!(next(&mut keys).is_none());
        join(closes);
    });
}

#[test]
fn whoever_waits_for_the_end_of_all_work_is_woken() // D11
{
    in_every_order(|asker, mut keys| {
        for key in [1, 2] {
            asker.ask(key, 0).expect("the queue is open");
        }
        let claims = [next(&mut keys), next(&mut keys)].map(|claim| claim.expect("a key"));
        let ends = claims.map(|claim| thread::spawn(move || claim.done()));
        block_on(asker.handle.idle());
        assert_eq!(asker.handle.stats().running, 0);
        for ends in ends {
            join(ends);
        }
    });
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn an_earlier_deadline_wakes_a_consumer_that_sleeps_for_a_later_one() // D6, D8
{
    // The sleep needs a timer, whose clock stands still.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    let _inside = runtime.enter();
    in_every_order(|asker, mut keys| {
        asker.handle.add_after(1, asker.cause(0), Duration::from_secs(60)).expect("the queue is open");
        let asks = {
            let asker = asker.clone();
            let late = asker.cause(1);
            thread::spawn(move || asker.handle.add_after(2, late, Duration::from_secs(1)))
        };
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        assert!(keys.poll_next_unpin(&mut Context::from_waker(&waker)).is_pending());
        join(asks).expect("the queue is open");
        let alarm = asker.handle.0.consume(|inner, _| inner.alarm);
        assert!(
            alarm <= tick::rounded_up(Duration::from_secs(1)) || count.0.load(Ordering::SeqCst) == 1,
            "it sleeps until {alarm}"
        );
    });
}
