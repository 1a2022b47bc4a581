//! Any order of answers: a server that writes, forgets, fails and goes back in time, and the scopes that follow it.

use proptest::prelude::*;

use self::{follower::Follower, world::World};
use super::*;
use crate::store::Store;

mod follower;
mod server;
mod world;

#[derive(Clone, Debug)]
enum Move {
    Put(u8),
    Delete(u8),
    /// Versions below the present one can no longer be watched or paged.
    Compact,
    /// A backup of a few writes ago is restored.
    Restore(u8),
    /// A namespace is cached from now on, or no more.
    Come(u8),
    Leave(u8),
    /// The subscriber hears so many events.
    Hear(u8),
    /// Something happens to one scope, and to no other.
    At(u8, What),
}

#[derive(Clone, Debug)]
enum What {
    /// The next answer is this failure.
    Fail(Reason),
    /// The stream at hand ends in this way.
    Cut(Cut),
    /// It takes so many steps.
    Turn(u8),
    Refresh,
    /// The stream says how far the server is.
    Bookmark,
    /// It breaks down and begins afresh.
    Panic,
}

#[derive(Clone, Copy, Debug)]
enum Cut {
    End,
    Break,
    Error(Reason),
    Garbled,
}

impl What {
    fn turns(&self) -> u8 {
        if let Self::Turn(turns) = self { *turns } else { 0 }
    }

    fn happen(self, follower: &mut Follower, store: &Store, streaming: bool) {
        match self {
            Self::Fail(reason) => follower.wire.fail = Some(reason),
            Self::Cut(cut) => follower.wire.cut = Some(cut),
            Self::Turn(_) => {}
            Self::Refresh => follower.wire.refresh = true,
            Self::Bookmark => follower.wire.bookmark = true,
            Self::Panic => follower.panic(store, streaming),
        }
    }
}

fn reason() -> impl Strategy<Value = Reason> {
    prop_oneof![
        Just(Reason::Expired),
        Just(Reason::TooLarge),
        Just(Reason::Busy),
        Just(Reason::Away),
        Just(Reason::Unsupported),
        Just(Reason::Unserved),
        Just(Reason::Other),
    ]
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let cut =
        prop_oneof![Just(Cut::End), Just(Cut::Break), reason().prop_map(Cut::Error), Just(Cut::Garbled)];
    let what = prop_oneof![
        3 => reason().prop_map(What::Fail),
        3 => cut.prop_map(What::Cut),
        8 => (1..6u8).prop_map(What::Turn),
        1 => Just(What::Refresh),
        1 => Just(What::Bookmark),
        1 => Just(What::Panic),
    ];
    let step = prop_oneof![
        6 => (0..9u8).prop_map(Move::Put),
        3 => (0..9u8).prop_map(Move::Delete),
        1 => Just(Move::Compact),
        1 => (1..5u8).prop_map(Move::Restore),
        1 => (0..3u8).prop_map(Move::Come),
        1 => (0..3u8).prop_map(Move::Leave),
        2 => (1..6u8).prop_map(Move::Hear),
        17 => (any::<u8>(), what).prop_map(|(at, what)| Move::At(at, what)),
    ];
    prop::collection::vec(step, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn at_rest_the_store_is_the_server( // C1, C2, C3, C4, C5, C8, C11, C12, C14, C21, C22, C28
        moves in moves(),
        everywhere in prop::bool::weighted(0.3),
        streaming: bool,
        paged in 1..4usize,
        sorted: bool,
    ) {
        let mut world = World::new(everywhere, streaming, paged, sorted);
        moves.into_iter().for_each(|step| world.play(step));
        world.rest();
    }
}

#[test]
fn a_restored_backup_is_noticed_and_taken_whole() {
    for (streaming, sorted) in [(false, false), (false, true), (true, false)] {
        let mut world = World::new(true, streaming, 2, sorted);
        (0..6).for_each(|name| world.play(Move::Put(name)));
        world.settle();
        world.play(Move::Restore(4));
        assert_eq!(world.followers[0].backwards, 1, "streaming: {streaming}");
        world.rest();
    }
}

#[test]
fn each_namespace_notices_by_itself_that_a_backup_was_restored() // C4, C28
{
    let mut world = World::new(false, false, 2, false);
    world.settle();
    // All in the second namespace: only its scope has seen versions that are gone then.
    [1, 1, 4].into_iter().for_each(|name| world.play(Move::Put(name)));
    world.settle();
    world.play(Move::Restore(2));
    let backwards: Vec<_> = world.followers.iter().map(|follower| follower.backwards).collect();
    assert_eq!(backwards, [0, 1]);
    world.rest();
}

#[test]
fn a_version_that_expired_for_one_namespace_makes_no_other_list() // C11, C28
{
    let mut world = World::new(false, false, 2, false);
    [0, 1].into_iter().for_each(|name| world.play(Move::Put(name)));
    world.settle();
    let before = world.followers[1].lists;
    world.play(Move::At(0, What::Cut(Cut::Error(Reason::Expired))));
    world.play(Move::Put(0));
    world.settle();
    assert_eq!((world.followers[0].lists, world.followers[1].lists), (2, before));
    world.rest();
}
