//! Tests of the lanes and the classes, by hand and against a model.

use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;

fn ready(share: u32, fresh: usize, background: usize) -> Ready {
    let mut ready = Ready::new(share);
    for index in 0..background {
        ready.push_back(Lane::Background, Id::of(1_000 + index));
    }
    for index in 0..fresh {
        ready.push_back(Lane::Fresh, Id::of(index));
    }
    ready
}

fn order(ready: &mut Ready) -> Vec<usize> {
    std::iter::from_fn(|| ready.pop()).map(Id::index).collect()
}

#[test]
fn one_of_so_many_comes_from_the_background() {
    let mut ready = ready(4, 7, 3);
    assert_eq!(order(&mut ready), [0, 1, 2, 1_000, 3, 4, 5, 1_001, 6, 1_002]);
    assert_eq!(ready.len(), 0);
}

#[test]
fn the_background_has_every_turn_while_nothing_is_fresh() {
    let mut ready = ready(8, 0, 3);
    assert_eq!(order(&mut ready), [1_000, 1_001, 1_002]);
}

#[test]
fn a_share_of_none_or_one_serves_the_background_first() {
    for share in [0, 1] {
        let mut ready = ready(share, 2, 2);
        assert_eq!(order(&mut ready), [1_000, 1_001, 0, 1]);
    }
}

#[test]
fn a_lifted_id_stands_behind_the_fresh_ones() {
    let mut ready = ready(8, 2, 3);
    ready.lift(Id::of(1_001));
    assert_eq!(ready.background_len(), 2);
    assert_eq!(order(&mut ready), [0, 1, 1_001, 1_000, 1_002]);
}

#[test]
fn an_id_put_in_front_is_next() {
    let mut ready = ready(8, 2, 0);
    let first = ready.pop().unwrap();
    ready.push_front(Lane::Fresh, first);
    ready.push_front(Lane::Fresh, Id::of(9));
    assert_eq!(order(&mut ready), [9, 0, 1]);
}

/// An id in each of so many places of so many classes, class by class.
fn classed(weights: &[u32], each: usize) -> Ready {
    let mut ready = Ready::new(8);
    for (class, weight) in weights.iter().enumerate() {
        for place in 0..each {
            let id = Id::of(class * 100 + place);
            ready.enter(id, Class { hash: class as u64, weight: *weight });
            ready.push_back(Lane::Fresh, id);
        }
    }
    ready
}

#[test]
fn classes_take_turns_and_each_is_first_in_first_out() // D23
{
    let mut ready = classed(&[1, 1, 1], 3);
    assert_eq!(order(&mut ready), [0, 100, 200, 1, 101, 201, 2, 102, 202]);
}

#[test]
fn a_turn_is_as_many_ids_as_the_weight_of_the_class() // D23
{
    let mut ready = classed(&[2, 1, 0], 4);
    let expected = [0, 1, 100, 200, 2, 3, 101, 201, 102, 202, 103, 203];
    assert_eq!(order(&mut ready), expected);
}

#[test]
fn ids_without_a_class_are_one_class() {
    let mut ready = classed(&[1], 2);
    for index in [901, 902] {
        ready.push_back(Lane::Fresh, Id::of(index));
    }
    assert_eq!(order(&mut ready), [0, 901, 1, 902]);
}

#[test]
fn a_released_id_is_next_and_its_class_loses_no_turn() {
    let mut ready = classed(&[2, 1], 3);
    let first = ready.pop().unwrap();
    assert_eq!(first.index(), 0);
    ready.push_front(Lane::Fresh, first);
    assert_eq!(order(&mut ready), [0, 1, 100, 2, 101, 102]);

    let mut ready = classed(&[1, 1], 3);
    let first = ready.pop().unwrap();
    ready.push_front(Lane::Fresh, first);
    assert_eq!(order(&mut ready), [0, 100, 1, 101, 2, 102]);
}

#[test]
fn a_class_lives_as_long_as_its_ids() {
    let mut ready = classed(&[1, 1], 2);
    let ids: Vec<_> = std::iter::from_fn(|| ready.pop()).collect();
    assert_eq!(ready.members.len(), 2, "what has had its turn is still known");
    let left = ids.into_iter().map(|id| {
        ready.leave(id);
        ready.members.len()
    });
    assert_eq!(left.collect::<Vec<_>>(), [2, 2, 1, 0]);
}

#[test]
fn a_new_weight_counts_from_the_next_turn_on() {
    let mut ready = classed(&[1, 1], 4);
    ready.enter(Id::of(0), Class { hash: 0, weight: 2 });
    assert_eq!(order(&mut ready), [0, 100, 1, 2, 101, 3, 102, 103]);
}

/// Lanes and classes as lists that are looked through.
#[derive(Debug, Default)]
struct Model {
    /// By lane, the classes in the order of their turns: what is left of the turn, and who waits.
    lanes: [Vec<(usize, u32, VecDeque<usize>)>; 2],
    in_a_row: u32,
}

const SHARE: u32 = 4;

fn weight(class: usize) -> u32 {
    class as u32 % 3 + 1
}

impl Model {
    fn push(&mut self, lane: usize, class: usize, id: usize) {
        match self.lanes[lane].iter_mut().find(|known| known.0 == class) {
            Some(known) => known.2.push_back(id),
            None => self.lanes[lane].push((class, weight(class), [id].into())),
        }
    }

    fn lift(&mut self, class: usize, id: usize) {
        for known in &mut self.lanes[1] {
            known.2.retain(|other| *other != id);
        }
        self.lanes[1].retain(|known| !known.2.is_empty());
        self.push(0, class, id);
    }

    fn pop(&mut self) -> Option<usize> {
        let background = self.in_a_row + 1 >= SHARE || self.lanes[0].is_empty();
        let lane = usize::from(background && !self.lanes[1].is_empty());
        let (class, left, mut ids) = (!self.lanes[lane].is_empty()).then(|| self.lanes[lane].remove(0))?;
        let id = ids.pop_front();
        if !ids.is_empty() && left > 1 {
            self.lanes[lane].insert(0, (class, left - 1, ids));
        } else if !ids.is_empty() {
            self.lanes[lane].push((class, weight(class), ids));
        }
        self.in_a_row = if lane == 0 { self.in_a_row + 1 } else { 0 };
        id
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push(bool, usize),
    Lift(usize),
    Pop,
    Leave(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (any::<bool>(), 0usize..5).prop_map(|(fresh, class)| Step::Push(fresh, class)),
        1 => any::<usize>().prop_map(Step::Lift),
        4 => Just(Step::Pop),
        3 => any::<usize>().prop_map(Step::Leave),
    ]
}

proptest! {
    #[test]
    fn lanes_and_classes_behave_as_lists(steps in prop::collection::vec(step(), 1..300)) {
        // D23
        let mut ready = Ready::new(SHARE);
        let mut model = Model::default();
        // Of each id its class, and the lane that it waits in.
        let mut ids: Vec<(usize, Option<Lane>)> = Vec::new();
        let mut gone = Vec::new();
        for step in steps {
            match step {
                Step::Push(fresh, class) => {
                    let lane = if fresh { Lane::Fresh } else { Lane::Background };
                    // An index is used again, as a slab does, and maybe by another class.
                    let at = gone.pop().unwrap_or(ids.len());
                    ids.resize(ids.len().max(at + 1), (0, None));
                    ids[at] = (class, Some(lane));
                    ready.enter(Id::of(at), Class { hash: class as u64, weight: weight(class) });
                    ready.push_back(lane, Id::of(at));
                    model.push(lane as usize, class, at);
                }
                Step::Lift(at) => {
                    let behind: Vec<_> =
                        (0..ids.len()).filter(|at| ids[*at].1 == Some(Lane::Background)).collect();
                    if !behind.is_empty() {
                        let at = behind[at % behind.len()];
                        ids[at].1 = Some(Lane::Fresh);
                        ready.lift(Id::of(at));
                        model.lift(ids[at].0, at);
                    }
                }
                Step::Pop => {
                    let popped = ready.pop().map(Id::index);
                    prop_assert_eq!(popped, model.pop());
                    if let Some(at) = popped {
                        ids[at].1 = None;
                    }
                }
                Step::Leave(at) => {
                    let idle: Vec<_> =
                        (0..ids.len()).filter(|at| ids[*at].1.is_none() && !gone.contains(at)).collect();
                    if !idle.is_empty() {
                        let at = idle[at % idle.len()];
                        ready.leave(Id::of(at));
                        gone.push(at);
                    }
                }
            }
            let known = (0..ids.len()).filter(|at| !gone.contains(at)).map(|at| ids[at].0);
            prop_assert_eq!(ready.members.len(), known.collect::<BTreeSet<_>>().len());
            prop_assert_eq!(ready.len(), ids.iter().filter(|id| id.1.is_some()).count());
        }
    }

    /// Whatever comes after it, an id that is the first of its class waits for one turn of every other class at most,
    /// and meanwhile for the share of the other lane.
    #[test]
    fn a_single_id_waits_for_one_turn_of_every_other_class( // D23, D24
        crowd in prop::collection::vec((any::<bool>(), 0usize..6), 0..400),
        later in prop::collection::vec((any::<bool>(), 0usize..6), 0..400),
        fresh: bool,
        before in 0usize..40,
    ) {
        let mut ready = Ready::new(SHARE);
        let mut count = 0;
        let mut push = |ready: &mut Ready, fresh: bool, class: usize| {
            let id = Id::of(count);
            count += 1;
            ready.enter(id, Class { hash: class as u64, weight: weight(class) });
            ready.push_back(if fresh { Lane::Fresh } else { Lane::Background }, id);
            id
        };
        for (fresh, class) in crowd {
            push(&mut ready, fresh, class);
        }
        for _ in 0..before {
            ready.pop();
        }
        let single = push(&mut ready, fresh, 9);
        let mut later = later.into_iter();
        let mut waited = 0;
        while ready.pop().is_some_and(|id| id != single) {
            waited += 1;
            // Others come faster than they are served.
            for (fresh, class) in later.by_ref().take(2) {
                push(&mut ready, fresh, class);
            }
        }
        let turns: u32 = (0..6).map(weight).sum();
        // Of every SHARE keys one is of the background, if it has any.
        let bound = if fresh { turns + turns / (SHARE - 1) + 1 } else { (turns + 1) * SHARE };
        prop_assert!(waited <= bound, "{waited} of {bound}");
    }
}
