//! Tests of the lanes.

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
