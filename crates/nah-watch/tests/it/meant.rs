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
fn callbacks_of_two_kinds_have_different_ids() {
    let (one, other) = (pods(), Callbacks::new(ConfigMap::kind_of()));
    assert_ne!(
        failing(&one, "a", "").id(),
        other.add("a", typed(|_: Change<ConfigMap>| async { Ok(()) })).unwrap().id()
    );
}
