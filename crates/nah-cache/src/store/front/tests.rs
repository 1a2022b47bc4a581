//! What readers find without a lock, and what they must not.

use std::{
    any::TypeId,
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use k8s_openapi::api::core::v1::Pod;
use nah_core::ObjectKey;

use crate::{
    CacheError,
    store::{
        Listed, Store,
        tests::{delete, list, list_in, pod, put, store, store_of},
    },
};

/// The version that a reader finds, decoded first where it has to be.
fn read(store: &Store, key: &str) -> Result<Option<u64>, CacheError> {
    let found = store.find(&key.parse().expect("a key"), TypeId::of::<Pod>())?;
    let found = found.map(|found| found.view::<Pod>().expect("a Pod's form").expect("a Pod"));
    let version = |pod: std::sync::Arc<Pod>| pod.metadata.resource_version.clone();
    Ok(found.map(|pod| version(pod).and_then(|version| version.parse().ok()).expect("a number")))
}

/// Reads until it is found without a lock.
fn warm(store: &Store, key: &str) {
    let parsed: ObjectKey = key.parse().expect("a key");
    (0..2).for_each(|_| assert!(read(store, key).expect("synced").is_some()));
    assert!(store.shown::<Pod>(&parsed).is_some(), "{key} was read twice");
}

fn shown(store: &Store) -> usize {
    store.shelf.common.as_ref().map_or(0, |common| common.front.len())
}

#[test]
fn what_was_read_twice_is_found_without_a_lock() {
    let store = store();
    list(&store, 1, &[pod("a/x", "1", 1)]);
    assert_eq!(shown(&store), 0);
    warm(&store, "a/x");
    let writing = store.known.write();
    assert_eq!(read(&store, "a/x").expect("synced"), Some(1), "nobody waits for the writer");
    drop(writing);
    // A key that is too long to be kept in place.
    let long = format!("a/{}", "x".repeat(200));
    put(&store, &pod(&long, "2", 2));
    warm(&store, &long);
    assert_eq!(shown(&store), 2);
}

#[test]
fn what_changes_is_shown_at_once_however_hot_it_was() // A2
{
    let store = store();
    list(&store, 1, &[pod("a/x", "1", 1), pod("a/y", "2", 1)]);
    warm(&store, "a/x");
    warm(&store, "a/y");
    let held = store.get(&("a", "x").into()).expect("synced").expect("there");
    put(&store, &pod("a/x", "1", 2));
    assert_eq!(read(&store, "a/x").expect("synced"), Some(2), "though somebody holds the one before");
    warm(&store, "a/x");
    delete(&store, &pod("a/x", "1", 3));
    assert_eq!(read(&store, "a/x").expect("synced"), None);
    assert_eq!(shown(&store), 1, "the other one is as hot as ever");
    drop(held);
    list(&store, 4, &[pod("a/x", "1", 4)]);
    assert_eq!(read(&store, "a/y").expect("synced"), None, "a list has it no more");
    assert_eq!(shown(&store), 0);
}

#[test]
fn a_list_of_which_nothing_is_new_leaves_everything_hot() {
    let store = store();
    list(&store, 1, &[pod("a/x", "1", 1)]);
    warm(&store, "a/x");
    store.replace(None, vec![Listed::Same(("a", "x").into())], 2.into());
    assert!(store.shown::<Pod>(&("a", "x").into()).is_some());
}

#[test]
fn a_scope_that_goes_and_the_end_take_everything_along() {
    let store = store_of(&[Some("a"), Some("b")]);
    for (scope, key) in [("a", "a/x"), ("b", "b/x")] {
        list_in(&store, Some(scope), 1, &[pod(key, "1", 1)]);
        warm(&store, key);
    }
    store.remove_scope(Some("a"));
    assert!(matches!(read(&store, "a/x"), Err(CacheError::OutsideScope { .. })));
    warm(&store, "b/x");
    store.close();
    assert!(matches!(read(&store, "b/x"), Err(CacheError::Stopped)));
    assert_eq!(shown(&store), 0);
}

#[test]
fn kinds_that_share_a_set_do_not_see_each_other() {
    let (one, options) = (store(), crate::KindCacheOptions::default());
    let common = one.shelf.common.clone().expect("a store's");
    let other = Store::new(one.gvk.clone(), one.options.clone(), &options, common);
    other.add_scope(None);
    list(&one, 1, &[pod("a/x", "1", 1)]);
    list(&other, 1, &[pod("a/x", "2", 7)]);
    warm(&one, "a/x");
    warm(&other, "a/x");
    assert_eq!(
        (read(&one, "a/x").expect("synced"), read(&other, "a/x").expect("synced")),
        (Some(1), Some(7))
    );
    assert_eq!(shown(&one), 2);
    drop(other);
    assert_eq!(shown(&one), 1, "what a kind had went with it");
}

/// Ends the readers, also where the writer fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn no_reader_sees_an_older_state_after_a_newer_one() {
    const KEYS: u64 = 8;
    const ROUNDS: u64 = 400;
    let store = store();
    let key = |number: u64| format!("a/{number}");
    let all =
        |version| (0..KEYS).map(|number| pod(&key(number), &number.to_string(), version)).collect::<Vec<_>>();
    list(&store, 1, &all(1));
    let done = AtomicBool::new(false);
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|reader| {
                let (store, done, key) = (&store, &done, &key);
                scope.spawn(move || {
                    let mut rng = fastrand::Rng::with_seed(seed + reader);
                    let (mut newest, mut listed, mut seen) = (vec![0; KEYS as usize], 0, HashSet::new());
                    while !done.load(Relaxed) {
                        let number = rng.u64(..KEYS);
                        let version = read(store, &key(number)).expect("synced").expect("there");
                        let last = std::mem::replace(&mut newest[number as usize], version);
                        assert!(version >= last, "{number}: {version} after {last}");
                        // Of a list, all is seen as soon as one object of it is.
                        assert!(version >= listed, "{number}: {version} after a list at {listed}");
                        if version.is_multiple_of(10) {
                            listed = listed.max(version);
                        }
                        seen.insert(version);
                    }
                    seen.len()
                })
            })
            .collect();
        let mut rng = fastrand::Rng::with_seed(seed);
        let (end, mut held) = (Done(&done), Vec::new());
        for round in 2..ROUNDS {
            // What was there stays decoded.
            held.extend((0..KEYS).map(|number| store.get(&key(number).parse().expect("a key"))));
            if round.is_multiple_of(10) {
                list(&store, round, &all(round));
            } else {
                let number = rng.u64(..KEYS);
                put(&store, &pod(&key(number), &number.to_string(), round));
                assert_eq!(
                    read(&store, &key(number)).expect("synced"),
                    Some(round),
                    "what is written is read"
                );
            }
            std::thread::yield_now();
        }
        drop(end);
        for reader in readers {
            assert!(reader.join().expect("a reader") > 1, "it saw nothing change");
        }
    });
}
