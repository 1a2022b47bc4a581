//! Tests of the ledger, by hand and against a model.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Deref,
};

use proptest::prelude::*;

use super::*;
use crate::{Backoff, QueueStats};

/// The numbers of the requests that a turn is for, so that a lost one is seen.
type Numbers = BTreeSet<u32>;

impl Merge for Numbers {
    fn merge(&mut self, newer: Self) {
        self.extend(newer);
    }
}

/// A ledger that is told the time in milliseconds.
struct InMillis<K, C>(Ledger<K, C>);

fn tick(millis: u64) -> u64 {
    if millis == u64::MAX { millis } else { tick::rounded_up(Duration::from_millis(millis)) }
}

impl<K: Clone + Eq + Hash, C: Merge> InMillis<K, C> {
    fn of(options: &QueueOptions<K>) -> Self {
        Self(Ledger::new(options))
    }

    fn add(&mut self, now: u64, key: K, cause: C, lane: Lane) -> bool {
        self.0.add(tick(now), key, cause, lane)
    }

    fn add_after(&mut self, now: u64, key: K, cause: C, deadline: u64) -> bool {
        self.0.add_after(tick(now), key, cause, tick(deadline))
    }

    fn cancel(&mut self, now: u64, key: &K) -> bool {
        self.0.cancel(tick(now), key)
    }

    fn claim(&mut self, now: u64) -> Option<Claimed<K, C>> {
        self.0.claim(tick(now))
    }

    fn done(&mut self, now: u64, id: Id) {
        self.0.done(tick(now), id);
    }

    fn retry(&mut self, now: u64, id: Id, turn: Turn<C>) -> Duration {
        let entry = &self.0.entries[id.index()];
        let early = entry.retry.is_some() || matches!(entry.state, State::Running { retry_due: true, .. });
        self.fail(now, id, turn, early)
    }

    /// Fails a claim that was handed out before its retry, or was not.
    fn fail(&mut self, now: u64, id: Id, mut turn: Turn<C>, early: bool) -> Duration {
        turn.cause.retried();
        let failures = self.0.entries[id.index()].failures + 1;
        let wait = (!early).then(|| {
            let time = Backoff::default().delay(failures, 0.0);
            Wait { time, until: tick(now + time.as_millis() as u64) }
        });
        self.0.retry(tick(now), id, turn, wait)
    }

    fn release(&mut self, now: u64, id: Id, turn: Turn<C>) {
        self.0.release(tick(now), id, turn);
    }

    fn advance(&mut self, now: u64) {
        self.0.advance(tick(now));
    }

    fn stats(&mut self, now: u64) -> QueueStats {
        self.0.stats(tick(now))
    }

    fn close(&mut self, now: u64) -> impl Sized + use<K, C> {
        self.0.close(tick(now))
    }
}

impl<K, C> Deref for InMillis<K, C> {
    type Target = Ledger<K, C>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

const SECOND: u64 = 1_000;

fn exact<K>() -> QueueOptions<K> {
    QueueOptions::default().with_backoff(Backoff::default().with_jitter(0.0))
}

fn ledger() -> InMillis<u8, Numbers> {
    InMillis::of(&exact())
}

fn asked(numbers: impl IntoIterator<Item = u32>) -> Numbers {
    numbers.into_iter().collect()
}

fn claim_of(ledger: &mut InMillis<u8, Numbers>, now: u64, key: u8) -> Claimed<u8, Numbers> {
    let claimed = ledger.claim(now).expect("a key is ready");
    assert_eq!(claimed.key, key);
    claimed
}

#[test]
fn a_retry_carries_what_the_failed_run_was_for() {
    let mut ledger = ledger();
    ledger.add(0, 1, asked([1]), Lane::Fresh);
    let claimed = claim_of(&mut ledger, 0, 1);
    ledger.retry(0, claimed.id, claimed.turn);
    assert!(ledger.claim(499).is_none());
    assert_eq!(claim_of(&mut ledger, 500, 1).turn.cause, asked([1]));
}

#[test]
fn a_run_before_the_retry_is_for_the_retry_too() {
    // D15
    let mut ledger = ledger();
    ledger.add(0, 1, asked([1]), Lane::Fresh);
    let claimed = claim_of(&mut ledger, 0, 1);
    ledger.retry(0, claimed.id, claimed.turn);
    ledger.add(100, 1, asked([2]), Lane::Fresh);
    let claimed = claim_of(&mut ledger, 100, 1);
    assert_eq!(claimed.turn.cause, asked([1, 2]));
    assert_eq!(claimed.failures, 1);
    ledger.done(100, claimed.id);
    assert!(ledger.claim(u64::MAX).is_none());
}

/// Requests in the order in which they were merged, so that the newest counts.
impl Merge for Vec<u32> {
    fn merge(&mut self, newer: Self) {
        self.extend(newer);
    }
}

#[test]
fn a_retry_that_falls_due_is_older_than_the_requests_that_wait() {
    let mut ledger = InMillis::of(&exact());
    ledger.add(0, 1u8, vec![1], Lane::Fresh);
    let claimed = ledger.claim(0).expect("a key is ready");
    ledger.retry(0, claimed.id, claimed.turn);
    ledger.add(100, 1, vec![2], Lane::Fresh);
    let claimed = ledger.claim(500).expect("a key is ready");
    assert_eq!(claimed.turn.cause, [1, 2]);
}

#[test]
fn a_retry_that_falls_due_under_an_early_run_comes_at_once_when_that_fails() {
    let mut ledger = ledger();
    ledger.add(0, 1, asked([1]), Lane::Fresh);
    let first = claim_of(&mut ledger, 0, 1);
    ledger.retry(0, first.id, first.turn);
    ledger.add(100, 1, asked([2]), Lane::Fresh);
    let early = claim_of(&mut ledger, 100, 1);
    assert_eq!(ledger.retry(600, early.id, early.turn), Duration::ZERO);
    let retry = claim_of(&mut ledger, 600, 1);
    assert_eq!((retry.turn.cause.clone(), retry.failures), (asked([1, 2]), 1));
    // That run was the retry: its failure counts.
    assert_eq!(ledger.retry(600, retry.id, retry.turn), Duration::from_secs(1));
}

#[test]
fn a_retry_that_falls_due_under_an_early_run_is_dropped_when_that_succeeds() {
    // D15
    let mut ledger = ledger();
    ledger.add(0, 1, asked([1]), Lane::Fresh);
    let first = claim_of(&mut ledger, 0, 1);
    ledger.retry(0, first.id, first.turn);
    ledger.add(100, 1, asked([2]), Lane::Fresh);
    let early = claim_of(&mut ledger, 100, 1);
    ledger.done(600, early.id);
    assert!(ledger.claim(u64::MAX).is_none());
    assert!(ledger.entries.is_empty());
}

#[test]
fn a_released_early_run_leaves_nothing_of_the_retry_behind() {
    let mut ledger = ledger();
    ledger.add(0, 1, asked([1]), Lane::Fresh);
    let first = claim_of(&mut ledger, 0, 1);
    ledger.retry(0, first.id, first.turn);
    ledger.add(100, 1, asked([2]), Lane::Fresh);
    let early = claim_of(&mut ledger, 100, 1);
    ledger.release(200, early.id, early.turn);
    // The retry falls due while the key waits: one run for both.
    let claimed = claim_of(&mut ledger, 600, 1);
    assert_eq!(claimed.turn.cause, asked([1, 2]));
    ledger.done(600, claimed.id);
    assert!(ledger.claim(u64::MAX).is_none());
    assert!(ledger.entries.is_empty());
}

#[test]
fn a_retry_comes_back_in_the_lane_it_failed_in() {
    let mut ledger = ledger();
    ledger.add(0, 1, asked([1]), Lane::Background);
    let claimed = claim_of(&mut ledger, 0, 1);
    ledger.retry(0, claimed.id, claimed.turn);
    assert_eq!(ledger.stats(SECOND).background, 1);
}

#[test]
fn nothing_is_kept_of_a_key_that_has_nothing_left() {
    let mut ledger = ledger();
    for key in 0..100 {
        ledger.add(0, key, asked([1]), Lane::Fresh);
        ledger.add_after(0, key, asked([2]), 10);
    }
    for key in 0..100 {
        let claimed = claim_of(&mut ledger, 0, key);
        ledger.done(0, claimed.id);
    }
    assert_eq!(ledger.entries.len(), 100);
    for key in 0..100 {
        assert!(ledger.cancel(5, &key));
    }
    assert!(ledger.entries.is_empty() && ledger.index.is_empty() && ledger.wheel.len() == 0);
}

#[test]
fn gives_back_the_memory_of_a_burst() {
    let mut ledger: InMillis<u32, ()> = InMillis::of(&exact());
    for key in 0..50_000 {
        ledger.add(0, key, (), Lane::Fresh);
    }
    while let Some(claimed) = ledger.claim(0) {
        ledger.done(0, claimed.id);
    }
    assert!(ledger.entries.capacity() <= KEPT && ledger.index.capacity() <= KEPT);
}

/// The same rules with nothing but maps and a scan: slow, and short enough to be seen to be right.
#[derive(Default)]
struct Model {
    keys: BTreeMap<u8, ModelKey>,
    lanes: [VecDeque<u8>; 2],
    in_a_row: u32,
    closed: bool,
}

#[derive(Default)]
struct ModelKey {
    turn: Option<Numbers>,
    running: Option<Numbers>,
    again: Option<(Numbers, Lane)>,
    /// The order of requests breaks ties of deadlines.
    trigger: Option<(u64, u32, Numbers)>,
    retry: Option<(u64, u32, Numbers, Lane)>,
    early: bool,
    failures: u32,
    lane: Option<Lane>,
}

impl Model {
    fn ask(&mut self, key: u8, asked: Numbers, lane: Lane) {
        let known = self.keys.entry(key).or_default();
        if known.running.is_some() {
            let again = known.again.get_or_insert((Numbers::new(), lane));
            again.0.extend(asked);
            again.1 = again.1.min(lane);
            return;
        }
        let waits = known.turn.is_some();
        known.turn.get_or_insert_default().extend(asked);
        let lifted = waits && lane == Lane::Fresh && self.lanes[1].contains(&key);
        if lifted {
            self.lanes[1].retain(|other| *other != key);
        }
        if lifted || !waits {
            self.lanes[lane as usize].push_back(key);
        }
    }

    fn advance(&mut self, now: u64) {
        while let Some((_, _, key, is_trigger)) = self
            .keys
            .iter()
            .flat_map(|(key, known)| {
                let trigger = known.trigger.iter().map(|(at, order, _)| (*at, *order, *key, true));
                let retry = known.retry.iter().map(|(at, order, ..)| (*at, *order, *key, false));
                trigger.chain(retry)
            })
            .filter(|(at, ..)| *at <= now)
            .min()
        {
            let known = self.keys.get_mut(&key).unwrap();
            if is_trigger {
                let (_, _, asked) = known.trigger.take().unwrap();
                self.ask(key, asked, Lane::Fresh);
            } else if known.running.is_some() {
                // Stays due under the early run; never found again, because time does not go back.
                known.retry.as_mut().unwrap().0 = u64::MAX;
            } else {
                let (_, _, asked, lane) = known.retry.take().unwrap();
                self.ask(key, asked, lane);
            }
        }
    }

    fn claim(&mut self) -> Option<(u8, Numbers, u32)> {
        let due = self.in_a_row + 1 >= 3;
        let lane = if !self.lanes[1].is_empty() && (due || self.lanes[0].is_empty()) { 1 } else { 0 };
        let key = self.lanes[lane].pop_front()?;
        self.in_a_row = if lane == 0 { self.in_a_row + 1 } else { 0 };
        let known = self.keys.get_mut(&key).unwrap();
        let mut asked = known.turn.take().unwrap();
        let mut lane = [Lane::Fresh, Lane::Background][lane];
        known.early = known.retry.is_some();
        if let Some((_, _, more, retry_lane)) = &mut known.retry {
            asked.append(more);
            lane = lane.min(*retry_lane);
        }
        known.running = Some(asked.clone());
        known.lane = Some(lane);
        Some((key, asked, known.failures))
    }

    fn end(&mut self, key: u8) {
        let known = self.keys.get_mut(&key).unwrap();
        known.running = None;
        if let Some((asked, lane)) = known.again.take() {
            self.ask(key, asked, lane);
        }
    }

    fn done(&mut self, key: u8) {
        let known = self.keys.get_mut(&key).unwrap();
        known.failures = 0;
        known.retry = None;
        self.end(key);
    }

    fn retry(&mut self, key: u8, now: u64, order: u32) -> u64 {
        let known = self.keys.get_mut(&key).unwrap();
        let asked = known.running.take().unwrap();
        let lane = known.lane.unwrap();
        let mut at_once = false;
        let wait = match &mut known.retry {
            Some((u64::MAX, ..)) => {
                known.retry = None;
                at_once = true;
                0
            }
            Some((at, _, kept, kept_lane)) => {
                *kept = asked.clone();
                *kept_lane = lane.min(*kept_lane);
                *at - now
            }
            // The retry that it came before went with the end.
            None if known.early => {
                at_once = known.again.is_some();
                0
            }
            None => {
                known.failures += 1;
                let wait = (500u64 << (known.failures - 1).min(20)).min(900_000);
                if !self.closed {
                    known.retry = Some((now + wait, order, asked.clone(), lane));
                }
                at_once = self.closed && known.again.is_some();
                wait
            }
        };
        let again = known.again.take();
        if at_once {
            let fresher = again.as_ref().map_or(lane, |(_, again)| lane.min(*again));
            self.ask(key, asked, fresher);
        }
        if let Some((asked, lane)) = again {
            self.ask(key, asked, lane);
        }
        wait
    }

    fn release(&mut self, key: u8) {
        let known = self.keys.get_mut(&key).unwrap();
        let mut asked = known.running.take().unwrap();
        let mut lane = known.lane.unwrap();
        if let Some((more, again)) = known.again.take() {
            asked.extend(more);
            lane = lane.min(again);
        }
        if known.retry.as_ref().is_some_and(|(at, ..)| *at == u64::MAX) {
            known.retry = None;
        }
        known.turn = Some(asked);
        self.lanes[lane as usize].push_front(key);
    }

    fn close(&mut self) {
        self.closed = true;
        for known in self.keys.values_mut() {
            known.trigger = None;
            // What fell due under an early run is no delay any more.
            known.retry = known.retry.take().filter(|(at, ..)| *at == u64::MAX);
        }
    }

    fn waiting(&self) -> usize {
        self.keys.values().filter(|known| known.turn.is_some() || known.again.is_some()).count()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Add(u8, bool),
    AddAfter(u8, u64),
    Cancel(u8),
    Claim,
    Done(usize),
    Retry(usize),
    Release(usize),
    Advance(u64),
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0u8..6;
    prop_oneof![
        60 => (key.clone(), any::<bool>()).prop_map(|(key, fresh)| Step::Add(key, fresh)),
        40 => (key.clone(), prop_oneof![Just(0), 1u64..3_000]).prop_map(|(key, delay)| Step::AddAfter(key, delay)),
        10 => key.prop_map(Step::Cancel),
        80 => Just(Step::Claim),
        40 => any::<usize>().prop_map(Step::Done),
        40 => any::<usize>().prop_map(Step::Retry),
        10 => any::<usize>().prop_map(Step::Release),
        40 => prop_oneof![0u64..100, 0u64..4_000].prop_map(Step::Advance),
        1 => Just(Step::Close),
    ]
}

proptest! {
    #[test]
    fn behaves_as_the_model(steps in prop::collection::vec(step(), 1..300)) {
        // D1, D2, D3, D4, D5, D6, D8, D9, D10, D12, D14, D15
        let mut ledger: InMillis<u8, Numbers> = InMillis::of(&exact().with_background_share(3));
        let mut model = Model::default();
        let mut held: Vec<Claimed<u8, Numbers>> = Vec::new();
        let (mut now, mut order) = (0u64, 0u32);
        for step in steps {
            order += 1;
            model.advance(now);
            match step {
                Step::Add(key, fresh) => {
                    let lane = if fresh { Lane::Fresh } else { Lane::Background };
                    ledger.add(now, key, asked([order]), lane);
                    if !model.closed {
                        model.ask(key, asked([order]), lane);
                    }
                }
                Step::AddAfter(key, delay) => {
                    ledger.add_after(now, key, asked([order]), now + delay);
                    if model.closed {
                    } else if delay == 0 {
                        model.ask(key, asked([order]), Lane::Fresh);
                    } else {
                        let known = model.keys.entry(key).or_default();
                        let pending = known.trigger.get_or_insert((u64::MAX, order, Numbers::new()));
                        pending.2.insert(order);
                        if now + delay < pending.0 {
                            (pending.0, pending.1) = (now + delay, order);
                        }
                    }
                }
                Step::Cancel(key) => {
                    let expected = model.keys.get_mut(&key).is_some_and(|known| known.trigger.take().is_some());
                    prop_assert_eq!(ledger.cancel(now, &key), expected);
                }
                Step::Claim => {
                    let claimed = ledger.claim(now);
                    let seen = claimed.as_ref().map(|c| (c.key, c.turn.cause.clone(), c.failures));
                    prop_assert_eq!(seen, model.claim());
                    held.extend(claimed);
                }
                Step::Done(at) if !held.is_empty() => {
                    let claimed = held.swap_remove(at % held.len());
                    ledger.done(now, claimed.id);
                    model.done(claimed.key);
                }
                Step::Retry(at) if !held.is_empty() => {
                    let claimed = held.swap_remove(at % held.len());
                    let wait = ledger.fail(now, claimed.id, claimed.turn, claimed.early);
                    let expected = model.retry(claimed.key, now, order);
                    prop_assert_eq!(wait, Duration::from_millis(expected));
                }
                Step::Release(at) if !held.is_empty() => {
                    let claimed = held.swap_remove(at % held.len());
                    ledger.release(now, claimed.id, claimed.turn);
                    model.release(claimed.key);
                }
                Step::Advance(by) => {
                    now += by;
                    ledger.advance(now);
                    model.advance(now);
                }
                Step::Close => {
                    drop(ledger.close(now));
                    model.close();
                }
                Step::Done(_) | Step::Retry(_) | Step::Release(_) => {}
            }
            prop_assert_eq!(ledger.len(), model.waiting());
            prop_assert_eq!(ledger.stats(now).running, held.len());
        }
        // Whatever happened: once all is done, nothing is left of any key.
        for claimed in held {
            ledger.done(now, claimed.id);
        }
        while let Some(claimed) = ledger.claim(u64::MAX) {
            ledger.done(u64::MAX, claimed.id);
        }
        prop_assert!(ledger.entries.is_empty() && ledger.index.is_empty());
        prop_assert!(ledger.is_idle() && ledger.wheel.len() == 0);
    }
}
