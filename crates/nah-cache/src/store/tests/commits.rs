//! Versions, scopes and what a list or event takes away.

use nah_core::{ResourceVersion, Uid};

use super::*;
use crate::CacheError;

fn version(n: u64) -> Option<ResourceVersion> {
    Some(ResourceVersion::from(n))
}

fn removed(keys: &[(&str, &str)]) -> super::super::Removed {
    keys.iter().map(|(key, uid)| (key.parse().expect("a key"), Some(Uid::from(*uid)))).collect()
}

#[test]
fn the_last_write_wins_whatever_its_version() // A2
{
    let store = store();
    list(&store, 10, &[pod("a/x", "1", 9)]);
    put(&store, &with(pod("a/x", "1", 5), "/spec/v", 2));
    assert!(store.holds(&("a", "x").into(), Some("1"), Some("5")));
    assert_eq!(store.observed_in(None), version(10), "and the clock does not go back");
}

#[test]
fn holds_compares_uid_and_version() // C14
{
    let store = store();
    list(&store, 10, &[pod("a/x", "1", 9)]);
    let holds = |uid, version| store.holds(&("a", "x").into(), uid, version);
    assert!(holds(Some("1"), Some("9")));
    assert!(!holds(Some("2"), Some("9")) && !holds(Some("1"), Some("8")) && !holds(None, Some("9")));
    assert!(!store.holds(&("a", "y").into(), Some("1"), Some("9")));
    assert!(store.has(&("a", "x").into()) && !store.has(&("a", "y").into()));
}

#[test]
fn observed_follows_lists_events_and_bookmarks() // A15, C16, C17
{
    let store = store();
    assert_eq!(store.observed_in(None), None);
    list(&store, 10, &[]);
    assert_eq!(store.observed_in(None), version(10));
    put(&store, &pod("a/x", "1", 12));
    assert_eq!(store.observed_in(Some("a")), version(12));
    delete(&store, &pod("a/x", "1", 15));
    assert_eq!(store.observed_in(None), version(15));
    store.bookmark(None, ResourceVersion::from(20));
    assert_eq!(store.observed_in(None), version(20));
    delete(&store, &pod("a/unknown", "1", 22));
    assert_eq!(store.observed_in(None), version(22));
    put(&store, &pod("a/x", "1", 21));
    store.bookmark(None, ResourceVersion::from(14));
    assert_eq!(store.observed_in(None), version(22), "what comes late does not take it back");
    list(&store, 3, &[]);
    assert_eq!(store.observed_in(None), version(3), "a restored backup takes the clock back");
}

#[test]
fn over_several_scopes_the_lowest_version_is_observed() // C27
{
    let store = store_of(&[Some("a"), Some("b")]);
    list_in(&store, Some("a"), 9, &[]);
    assert_eq!(store.observed_in(None), None);
    list_in(&store, Some("b"), 10, &[]);
    assert_eq!((store.observed_in(None), store.observed_in(Some("b"))), (version(9), version(10)));
    assert_eq!(store.observed_in(Some("c")), None);
    let observed = |n: u64| store.has_observed(&ResourceVersion::from(n)).expect("open");
    assert!(observed(9) && !observed(10));
    store.bookmark(Some("a"), ResourceVersion::from(11));
    assert!(observed(10) && !observed(11));
}

#[test]
fn a_version_that_is_no_number_fails_open() // F42
{
    let store = store();
    assert!(!store.has_observed(&"abc".into()).expect("open"));
    list(&store, 1, &[]);
    assert!(store.has_observed(&"abc".into()).expect("open"));
}

#[test]
fn a_list_takes_away_what_it_does_not_have() // A5, B7
{
    let store = store();
    list(&store, 1, &[pod("a/x", "1", 1), pod("a/y", "2", 1), pod("b/x", "3", 1)]);
    assert_eq!(list(&store, 2, &[pod("a/y", "2", 1)]), removed(&[("a/x", "1"), ("b/x", "3")]));
    assert_eq!(select(&store, ListOptions::default()), ["a/y"]);
}

#[test]
fn what_a_list_says_is_the_same_stays() // C14
{
    let store = store();
    list(&store, 1, &[pod("a/x", "1", 1), pod("a/y", "2", 1)]);
    let before = store.get(&("a", "x").into()).expect("synced").expect("there");
    let items = vec![Listed::Same(("a", "x").into()), Listed::New(arrived(&store, &pod("a/z", "3", 2)))];
    assert_eq!(store.replace(None, items, ResourceVersion::from(2)), removed(&[("a/y", "2")]));
    let after = store.get(&("a", "x").into()).expect("synced").expect("there");
    assert!(std::ptr::eq(before.head(), after.head()));
    assert_eq!(select(&store, ListOptions::default()), ["a/x", "a/z"]);
}

#[test]
fn a_list_of_one_namespace_touches_no_other() // C27
{
    let store = store_of(&[Some("a"), Some("a-b")]);
    list_in(&store, Some("a"), 1, &[pod("a/x", "1", 1)]);
    list_in(&store, Some("a-b"), 2, &[pod("a-b/x", "2", 1)]);
    assert_eq!(list_in(&store, Some("a"), 3, &[]), removed(&[("a/x", "1")]));
    assert_eq!(select(&store, ListOptions::default()), ["a-b/x"]);
}

#[test]
fn a_changed_uid_takes_the_old_one_away() // B9
{
    let store = store();
    list(&store, 1, &[pod("a/x", "1", 1), pod("a/y", "2", 1)]);
    assert_eq!(put(&store, &pod("a/x", "11", 2)), removed(&[("a/x", "1")]));
    assert_eq!(list(&store, 3, &[pod("a/x", "11", 2), pod("a/y", "22", 3)]), removed(&[("a/y", "2")]));
    assert_eq!(put(&store, &pod("a/y", "22", 4)), removed(&[]));
}

#[test]
fn deleting_what_is_not_there_takes_nothing_away() // A3, B5
{
    let store = store();
    list(&store, 1, &[pod("a/x", "1", 1)]);
    assert_eq!(delete(&store, &pod("a/y", "2", 2)), removed(&[]));
    assert_eq!(delete(&store, &pod("a/x", "1", 3)), removed(&[("a/x", "1")]));
    assert_eq!(delete(&store, &pod("a/x", "1", 3)), removed(&[]));
}

#[test]
fn a_kind_without_a_scope_is_not_synced() // B15
{
    let store = scopeless(Scope::default());
    assert!(!store.has_synced());
    list(&store, 1, &[pod("a/x", "1", 1)]);
    assert!(!store.has_synced());
    assert!(matches!(store.list(&ListOptions::default()), Err(CacheError::NotSynced { .. })));
}

#[test]
fn a_removed_scope_takes_its_objects_out_and_tells_nobody() // C27, E29
{
    let store = store_of(&[Some("a"), Some("b")]);
    list_in(&store, Some("a"), 1, &[pod("a/x", "1", 1)]);
    list_in(&store, Some("b"), 2, &[pod("b/x", "2", 1)]);
    let (mut early, mut late) = (subscribe(&store), subscribe(&store));
    assert_eq!(told(&mut early), ["+a/x@1", "+b/x@1"]);
    assert_eq!(store.remove_scope(Some("b")), removed(&[("b/x", "2")]));
    assert_eq!(told(&mut early), [""; 0]);
    assert_eq!(told(&mut late), ["+a/x@1"]);
    assert_eq!(select(&store, ListOptions::default()), ["a/x"]);
    assert_eq!(put(&store, &pod("b/x", "2", 5)), removed(&[]));
    store.apply(Some("b"), Seen::Upsert(arrived(&store, &pod("b/y", "3", 6))));
    assert_eq!(list_in(&store, Some("b"), 7, &[pod("b/y", "3", 6)]), removed(&[]));
    assert_eq!(select(&store, ListOptions::default()), ["a/x"], "a late answer brings nothing back");
    assert_eq!(store.remove_scope(Some("b")), removed(&[]));
}

#[test]
fn an_end_that_was_seen_is_told_although_its_scope_is_removed() // B12, C27
{
    let store = store_of(&[Some("a"), Some("b")]);
    list_in(&store, Some("a"), 1, &[]);
    list_in(&store, Some("b"), 2, &[pod("b/x", "2", 1)]);
    let mut events = subscribe(&store);
    assert_eq!(told(&mut events), ["+b/x@1"]);
    list_in(&store, Some("b"), 5, &[pod("b/x", "3", 4)]);
    store.remove_scope(Some("b"));
    assert_eq!(told(&mut events), ["-b/x@1 tombstone"]);
}

#[test]
fn bytes_are_accounted_for() // A7
{
    let store = store();
    let (x, y) = (pod("a/x", "1", 1), with(pod("a/y", "2", 1), "/spec/text", "y".repeat(1000)));
    let size = |pods: &[&Value]| pods.iter().map(|pod| pod.to_string().len()).sum::<usize>();
    list(&store, 1, &[x.clone(), y.clone()]);
    assert_eq!(store.size(), (2, size(&[&x, &y])));
    put(&store, &y);
    delete(&store, &x);
    assert_eq!(store.size(), (1, size(&[&y])));
    let longer = with(pod("a/y", "2", 2), "/spec/text", "y".repeat(2000));
    put(&store, &longer);
    assert_eq!(store.size(), (1, size(&[&longer])));
    list(&store, 3, &[]);
    assert_eq!(store.size(), (0, 0));
}

#[test]
fn of_two_items_of_one_key_the_later_stands() // A4
{
    let store = store();
    list(&store, 1, &[pod("a/x", "1", 1), pod("a/x", "1", 2)]);
    assert_eq!(store.size().0, 1);
    assert!(store.holds(&("a", "x").into(), Some("1"), Some("2")));
}
