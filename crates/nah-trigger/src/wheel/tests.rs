//! Tests of the wheel, by hand and against a sorted map.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn drain(wheel: &mut Wheel<u32>, now: u64) -> Vec<(u64, u32)> {
    let mut due = Vec::new();
    while wheel.expire(now, &mut due) {}
    due
}

#[test]
fn fires_in_the_order_of_deadlines_whatever_the_order_of_inserts() {
    // D8
    let mut wheel = Wheel::new();
    for deadline in [5_000_000, 3, 64, 4_096, 63, 65, 1] {
        wheel.insert(deadline, deadline as u32);
    }
    let fired: Vec<_> = drain(&mut wheel, u64::MAX).into_iter().map(|(deadline, _)| deadline).collect();
    assert_eq!(fired, [1, 3, 63, 64, 65, 4_096, 5_000_000]);
}

#[test]
fn fires_equal_deadlines_first_in_first_out() {
    let mut wheel = Wheel::new();
    wheel.insert(10_000, 0);
    assert_eq!(drain(&mut wheel, 9_990), []);
    wheel.insert(10_000, 1);
    assert_eq!(drain(&mut wheel, 9_999), []);
    wheel.insert(10_000, 2);
    assert_eq!(drain(&mut wheel, 10_000), [(10_000, 0), (10_000, 1), (10_000, 2)]);
}

#[test]
fn takes_a_deadline_that_has_passed_as_due() {
    let mut wheel = Wheel::new();
    assert_eq!(drain(&mut wheel, 1_000), []);
    wheel.insert(3, 7);
    assert_eq!(wheel.next(), Some(1_000));
    assert_eq!(drain(&mut wheel, 1_000), [(1_000, 7)]);
}

#[test]
fn holds_deadlines_as_far_as_ticks_can_be_counted() {
    let mut wheel = Wheel::new();
    let century = 100 * 365 * 24 * 3_600 * 1_000;
    wheel.insert(u64::MAX, 1);
    wheel.insert(century, 0);
    assert_eq!(drain(&mut wheel, century - 1), []);
    assert_eq!(drain(&mut wheel, century), [(century, 0)]);
    assert_eq!(drain(&mut wheel, u64::MAX - 1), []);
    assert_eq!(drain(&mut wheel, u64::MAX), [(u64::MAX, 1)]);
}

#[test]
fn wakes_a_few_times_for_a_far_deadline_not_every_tick() {
    let mut wheel = Wheel::new();
    let year = 365 * 24 * 3_600 * 1_000;
    wheel.insert(year, 0);
    let mut wakes = 0;
    while let Some(next) = wheel.next() {
        wakes += 1;
        drain(&mut wheel, next);
    }
    assert!(wakes <= 7, "{wakes} wakes");
}

#[test]
fn gives_back_the_memory_of_a_burst() {
    let mut wheel = Wheel::new();
    for deadline in 0..100_000 {
        wheel.insert(deadline, 0);
    }
    assert_eq!(drain(&mut wheel, 100_000).len(), 100_000);
    assert!(wheel.timers.capacity() <= crate::ledger::KEPT);
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u64),
    Reset(usize, u64),
    Remove(usize),
    Advance(u64),
}

/// Distances of every magnitude, the boundaries of the levels among them.
fn distance() -> impl Strategy<Value = u64> {
    let magnitude =
        (0u32..64, 0u64..4).prop_map(|(bits, off)| (1u64 << bits).wrapping_add(off).wrapping_sub(2));
    prop_oneof![0u64..200, magnitude, any::<u64>()]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => distance().prop_map(Step::Insert),
        2 => (any::<usize>(), distance()).prop_map(|(at, distance)| Step::Reset(at, distance)),
        2 => any::<usize>().prop_map(Step::Remove),
        3 => (0u64..1 << 20).prop_map(Step::Advance),
        1 => distance().prop_map(|distance| Step::Advance(distance >> 8)),
        1 => distance().prop_map(Step::Advance),
    ]
}

proptest! {
    #[test]
    fn behaves_as_a_sorted_map(steps in prop::collection::vec(step(), 1..200)) {
        let mut wheel = Wheel::new();
        // The order of insertion breaks ties, and a reset is a new insertion.
        let mut model = BTreeMap::new();
        let mut ids: Vec<(Id, (u64, u32))> = Vec::new();
        let (mut now, mut sequence) = (0u64, 0u32);
        for step in steps {
            sequence += 1;
            match step {
                Step::Insert(distance) => {
                    let deadline = now.saturating_add(distance);
                    let id = wheel.insert(deadline, sequence);
                    model.insert((deadline, sequence), sequence);
                    ids.push((id, (deadline, sequence)));
                }
                Step::Reset(at, distance) if !ids.is_empty() => {
                    let at = at % ids.len();
                    let (id, entry) = ids[at];
                    let deadline = now.saturating_add(distance);
                    wheel.reset(id, deadline);
                    let payload = model.remove(&entry).unwrap();
                    model.insert((deadline, sequence), payload);
                    ids[at] = (id, (deadline, sequence));
                }
                Step::Remove(at) if !ids.is_empty() => {
                    let (id, entry) = ids.swap_remove(at % ids.len());
                    prop_assert_eq!(Some(wheel.remove(id)), model.remove(&entry));
                }
                Step::Advance(distance) => {
                    now = now.saturating_add(distance);
                    for (deadline, payload) in drain(&mut wheel, now) {
                        let (expected, model_payload) = model.pop_first().unwrap();
                        prop_assert_eq!((deadline, payload), (expected.0, model_payload));
                        ids.retain(|(_, entry)| *entry != expected);
                    }
                    prop_assert!(model.first_key_value().is_none_or(|((deadline, _), _)| *deadline > now));
                }
                Step::Reset(..) | Step::Remove(_) => {}
            }
            prop_assert_eq!(wheel.len(), model.len());
            let earliest = model.first_key_value().map(|((deadline, _), _)| *deadline);
            match (wheel.next(), earliest) {
                (None, None) => {}
                (Some(next), Some(earliest)) => prop_assert!(now <= next.max(now) && next <= earliest),
                (next, earliest) => prop_assert!(false, "{:?} {:?}", next, earliest),
            }
        }
    }
}
