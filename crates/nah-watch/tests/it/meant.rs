//! Runs that are for some callbacks only.

use super::*;

#[tokio::test]
async fn a_late_callback_is_shown_what_is_there_alone() {
    // E18, E19, Q19
    let (callbacks, log) = (pods(), Log::default());
    noting(&callbacks, &log, "early");
    let late = noting(&callbacks, &log, "late");
    callbacks.run(change("x"), &Meant::only(late.id())).await;
    assert_eq!(log.take(), ["late"]);
}

#[tokio::test]
async fn a_replayed_callback_sees_the_object_itself() {
    // E19
    let (callbacks, log) = (pods(), Log::default());
    on(&callbacks, "early", |_| async { Ok(labelled(pod("x"), "early")) });
    let late = seeing(&callbacks, &log, "late");
    callbacks.run(change("x"), &Meant::only(late.id())).await;
    callbacks.run(change("x"), &Meant::All).await;
    assert_eq!(log.take(), ["late sees plain", "late sees early"]);
}

#[tokio::test]
async fn several_replays_merge_and_keep_the_order() {
    let (callbacks, log) = (pods(), Log::default());
    let first = noting(&callbacks, &log, "first");
    noting(&callbacks, &log, "second");
    let third = noting(&callbacks, &log, "third");
    let mut meant = Meant::only(third.id());
    meant.merge(Meant::only(first.id()));
    callbacks.run(change("x"), &meant).await;
    assert_eq!(log.take(), ["first", "third"]);
}

#[test]
fn all_wins_over_some() {
    let callbacks = pods();
    let some = Meant::only(failing(&callbacks, "a", "").id());
    let merged = |mut older: Meant, newer: &Meant| {
        older.merge(newer.clone());
        older
    };
    assert_eq!(merged(some.clone(), &Meant::All), Meant::All);
    assert_eq!(merged(Meant::All, &some), Meant::All);
    assert_eq!(merged(some.clone(), &some), some);
    assert_eq!(Meant::default(), Meant::All);
}

#[tokio::test]
async fn a_callback_that_is_gone_drops_out() {
    let (callbacks, log) = (pods(), Log::default());
    let (stays, goes) = (noting(&callbacks, &log, "stays"), noting(&callbacks, &log, "goes"));
    let mut meant = Meant::only(goes.id());
    goes.unregister();
    callbacks.run(change("x"), &meant).await;
    meant.merge(Meant::only(stays.id()));
    callbacks.run(change("x"), &meant).await;
    assert_eq!(log.take(), ["stays"]);
}

#[test]
fn callbacks_may_come_and_go_without_end_while_a_key_waits() // E19
{
    let callbacks = pods();
    let early = failing(&callbacks, "early", "");
    let mut named = Vec::new();
    let mut meant = Meant::default();
    for at in 0..1_000 {
        let late = callbacks.add("late", typed(|_: Change<Pod>| async { Ok(()) })).unwrap();
        named.push(late.id());
        match at {
            0 => meant = Meant::only(late.id()),
            // As requests come merged from elsewhere: a crowd into one, and one into a crowd.
            _ if at % 2 == 0 => meant.merge(Meant::only(late.id())),
            _ => {
                meant = {
                    let mut newer = Meant::only(late.id());
                    newer.merge(meant);
                    newer
                }
            }
        }
        late.unregister();
        assert!(named.iter().all(|id| meant.includes(*id)) && !meant.includes(early.id()));
        assert!(!matches!(&meant, Meant::Only(ids) if ids.len() > 32), "{meant:?}");
    }
    let mut crowd = meant.clone();
    crowd.merge(meant.clone());
    assert_eq!(crowd, meant);
    crowd.merge(Meant::only(early.id()));
    assert!(crowd.includes(early.id()) && named.iter().all(|id| crowd.includes(*id)));
    crowd.merge(Meant::All);
    assert_eq!(crowd, Meant::All);
    let mut all = Meant::All;
    all.merge(meant);
    assert_eq!(all, Meant::All);
}

#[test]
fn of_two_crowds_the_earlier_one_counts() // E19
{
    let callbacks = pods();
    let crowd = |names: std::ops::Range<usize>| {
        let mut ids = names.map(|at| failing(&callbacks, &at.to_string(), "").id());
        let first = ids.next().unwrap();
        let mut meant = Meant::only(first);
        ids.for_each(|id| meant.merge(Meant::only(id)));
        (first, meant)
    };
    let early = failing(&callbacks, "early", "").id();
    let ((first, older), (second, newer)) = (crowd(0..40), crowd(40..80));
    assert_eq!((&older, &newer), (&Meant::Since(first), &Meant::Since(second)));
    let one = || Meant::only(second);
    for (mut meant, merged) in [
        (older.clone(), newer.clone()),
        (newer.clone(), older.clone()),
        (one(), older.clone()),
        (older.clone(), one()),
    ] {
        meant.merge(merged);
        assert_eq!(meant, Meant::Since(first));
    }
    for (mut meant, merged) in [(Meant::only(early), newer.clone()), (newer.clone(), Meant::only(early))] {
        meant.merge(merged);
        assert_eq!(meant, Meant::Since(early));
    }
}

#[test]
fn callbacks_of_two_kinds_have_different_ids() {
    let (one, other) = (pods(), Callbacks::new(ConfigMap::kind_of()));
    assert_ne!(
        failing(&one, "a", "").id(),
        other.add("a", typed(|_: Change<ConfigMap>| async { Ok(()) })).unwrap().id()
    );
}
