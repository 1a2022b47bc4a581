//! A second look at everything.

use super::*;

const NOTHING: [&str; 0] = [];

/// A subscriber who has been told of `x`, `y` and `z`.
fn three() -> (Arc<Store>, Subscription) {
    let store = store();
    list(&store, 1, &["a/x", "a/y", "a/z"].map(|key| pod(key, key, 1)));
    let mut events = subscribe(&store);
    told(&mut events);
    (store, events)
}

fn next(events: &mut Subscription) -> String {
    use futures_util::StreamExt as _;
    let event = events.next().now_or_never().expect("ready").expect("open");
    text(&event.expect("a handle needs no decode"))
}

#[test]
fn a_second_look_shows_everything_once_more() // B25
{
    let (_store, mut events) = three();
    events.resync();
    events.resync();
    assert_eq!(told(&mut events), ["a/x 1>1", "a/y 1>1", "a/z 1>1"]);
    assert_eq!(told(&mut events), NOTHING);
    events.resync();
    assert_eq!(told(&mut events).len(), 3);
}

#[test]
fn what_has_a_change_pending_is_not_looked_at() // B26
{
    let (store, mut events) = three();
    put(&store, &pod("a/x", "a/x", 2));
    put(&store, &pod("a/new", "a/new", 3));
    events.resync();
    assert_eq!(told(&mut events), ["a/y 1>1", "a/x 1>2", "a/z 1>1", "+a/new@3 later"]);
}

#[test]
fn what_changes_before_its_turn_comes_is_not_shown_as_it_was() // B26
{
    let (store, mut events) = three();
    events.resync();
    assert_eq!(next(&mut events), "a/x 1>1");
    put(&store, &pod("a/z", "a/z", 2));
    delete(&store, &pod("a/y", "a/y", 3));
    put(&store, &pod("a/new", "a/new", 4));
    delete(&store, &pod("a/new", "a/new", 5));
    assert_eq!(told(&mut events), ["a/z 1>2", "-a/y@3"]);
    events.resync();
    assert_eq!(told(&mut events), ["a/x 1>1", "a/z 2>2"]);
}

#[test]
fn what_was_never_shown_is_not_shown_a_second_time() // B26
{
    let (store, mut events) = three();
    put(&store, &pod("a/b", "a/b", 2));
    events.resync();
    delete(&store, &pod("a/b", "a/b", 3));
    assert_eq!(told(&mut events), ["a/x 1>1", "a/y 1>1", "a/z 1>1"]);
}

#[test]
fn changes_and_second_looks_take_turns() // B25
{
    let (store, mut events) = three();
    events.resync();
    let order: Vec<_> = (2..8)
        .map(|version| {
            put(&store, &pod("b/busy", "b", version));
            next(&mut events)
        })
        .collect();
    assert_eq!(order, ["a/x 1>1", "+b/busy@3 later", "a/y 1>1", "b/busy 3>5", "a/z 1>1", "b/busy 5>7"]);
}

#[test]
fn a_namespace_that_has_left_is_not_looked_at() // B25, C26
{
    let store = store_of(&[Some("a"), Some("b")]);
    list_in(&store, Some("a"), 1, &[pod("a/x", "1", 1)]);
    list_in(&store, Some("b"), 1, &[pod("b/x", "2", 1)]);
    let mut events = subscribe(&store);
    told(&mut events);
    events.resync();
    store.remove_scope(Some("b"));
    assert_eq!(told(&mut events), ["a/x 1>1"]);
}

#[test]
fn before_the_first_list_there_is_nothing_to_look_at() // B25
{
    let store = store();
    let mut events = subscribe(&store);
    events.resync();
    list(&store, 1, &[pod("a/x", "1", 1)]);
    events.resync();
    assert_eq!(told(&mut events), ["+a/x@1"]);
}
