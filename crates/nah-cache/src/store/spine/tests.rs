//! The spine against a `BTreeMap`.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;

use super::{Node, Spine};

type Pairs = Spine<(u32, u32)>;

fn put(spine: &mut Pairs, key: u32, value: u32) -> Option<(u32, u32)> {
    spine.put((key, value), |item| item.0.cmp(&key))
}

fn take(spine: &mut Pairs, key: u32) -> Option<(u32, u32)> {
    spine.take(|item| item.0.cmp(&key))
}

fn pairs(spine: &Pairs) -> Vec<(u32, u32)> {
    spine.iter().copied().collect()
}

/// Every chunk is filled as promised, and the lengths add up.
fn check_shape(node: &Node<(u32, u32)>) -> usize {
    match node {
        Node::Leaf(items) => {
            assert!(items.len() <= super::FULL);
            items.len()
        }
        Node::Branch(children) => {
            assert!(!children.is_empty() && children.len() <= super::FULL);
            for child in children {
                assert_eq!(child.len, check_shape(&child.node));
                assert!(child.len > 0);
            }
            children.iter().map(|child| child.len).sum()
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put(u32, u32),
    Take(u32),
    PutRun(u32, u32),
    TakeRun(u32, u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..3000u32, any::<u32>()).prop_map(|(key, value)| Step::Put(key, value)),
        (0..3000u32).prop_map(Step::Take),
        (0..3000u32, 1..900u32).prop_map(|(from, n)| Step::PutRun(from, n)),
        (0..3000u32, 1..900u32).prop_map(|(from, n)| Step::TakeRun(from, n)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn agrees_with_a_btree_map_and_leaves_clones_alone(steps in prop::collection::vec(step(), 1..60)) { // A4
        let (mut spine, mut model) = (Pairs::default(), BTreeMap::new());
        let mut kept = Vec::new();
        for step in steps {
            kept.push((spine.clone(), model.clone()));
            match step {
                Step::Put(key, value) => {
                    let old = put(&mut spine, key, value).map(|(_, value)| value);
                    prop_assert_eq!(old, model.insert(key, value));
                }
                Step::Take(key) => {
                    prop_assert_eq!(take(&mut spine, key).map(|(_, value)| value), model.remove(&key));
                }
                Step::PutRun(from, n) => {
                    for key in from..from + n {
                        put(&mut spine, key, n);
                        model.insert(key, n);
                    }
                }
                Step::TakeRun(from, n) => {
                    for key in from..from + n {
                        prop_assert_eq!(take(&mut spine, key).is_some(), model.remove(&key).is_some());
                    }
                }
            }
            prop_assert_eq!(check_shape(&spine.root), model.len());
        }
        for (spine, model) in kept.into_iter().chain([(spine, model)]) {
            prop_assert_eq!(spine.len(), model.len());
            prop_assert_eq!(pairs(&spine), model.iter().map(|(key, value)| (*key, *value)).collect::<Vec<_>>());
            for key in (0..4000).step_by(97) {
                let found = spine.get(|item| item.0.cmp(&key)).map(|(_, value)| value);
                prop_assert_eq!(found, model.get(&key));
                let rank = spine.rank(|item| item.0.cmp(&key));
                prop_assert_eq!(rank, model.range(..key).count());
                prop_assert_eq!(spine.at(rank).map(|item| item.0), model.range(key..).next().map(|(key, _)| *key));
            }
        }
    }

    #[test]
    fn a_sorted_input_gives_the_same_spine(n in 0..60_000u32, from in 0..60_000usize, len in 0..2000usize) {
        let spine = Spine::from_sorted((0..n).map(|key| (key, key)));
        check_shape(&spine.root);
        prop_assert_eq!(spine.len(), n as usize);
        let range: Vec<u32> = spine.range(from..from + len).map(|item| item.0).collect();
        let expected: Vec<u32> = (0..n).skip(from).take(len).collect();
        prop_assert_eq!(range, expected);
    }
}

#[test]
fn a_change_copies_one_chunk_a_level() {
    let mut spine = Spine::from_sorted((0..100_000).map(|key| (key, 0)));
    let before = spine.clone();
    put(&mut spine, 50_000, 1);
    let (Node::Branch(old), Node::Branch(new)) = (&*before.root, &*spine.root) else {
        panic!("a hundred thousand items are more than one chunk");
    };
    let copied = old.iter().zip(new).filter(|(old, new)| !Arc::ptr_eq(&old.node, &new.node)).count();
    assert_eq!(copied, 1);
}

#[test]
fn what_is_not_there_is_taken_without_a_copy() {
    let mut spine = Spine::from_sorted((0..1000).map(|key| (key, 0)));
    let before = spine.clone();
    assert_eq!(take(&mut spine, 5000), None);
    assert!(Arc::ptr_eq(&before.root, &spine.root));
}

#[test]
fn what_changed_often_takes_little_more_than_its_items() // A7
{
    let (mut spine, mut number, mut kept) = (Pairs::default(), 1u32, Vec::new());
    for turn in 0..20_000 {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        put(&mut spine, number >> 8, turn);
        if turn % 1000 == 0 {
            kept.push(spine.clone());
        }
    }
    let items = spine.len() * size_of::<(u32, u32)>();
    assert!(spine.bytes() < items * 3 / 2, "{} for {items}", spine.bytes());
    kept.clear();
    let all: Vec<_> = pairs(&spine);
    all.iter().for_each(|(key, _)| _ = take(&mut spine, *key));
    assert_eq!(spine.bytes(), Pairs::default().bytes());
}
