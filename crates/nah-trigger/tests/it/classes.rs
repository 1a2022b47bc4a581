//! Classes of keys that take turns.

use std::cell::RefCell;

use nah_core::ObjectKey;
use nah_trigger::{Classes, Lane, QueueOptions};

use super::*;

type Tenants = (QueueHandle<(u8, u32), ()>, Queue<(u8, u32), ()>);

/// Keys of tenants, who take turns.
fn tenants(weights: impl Fn(u8) -> u32 + Send + Sync + 'static) -> Tenants {
    let classes = Classes::by(|key: &(u8, u32)| key.0).with_weights(move |key| weights(key.0));
    nah_trigger::queue(QueueOptions::default().with_classes(classes))
}

fn next<K: Clone + Eq + std::hash::Hash>(keys: &mut Queue<K, ()>) -> Option<Claim<K, ()>> {
    keys.next().now_or_never().flatten()
}

#[tokio::test(start_paused = true)]
async fn a_tenant_with_many_keys_delays_the_key_of_another_by_one_turn() // D23, D24
{
    let (handle, mut keys) = tenants(|_| 1);
    for number in 0..100_000 {
        handle.add((1, number), (), Lane::Fresh).unwrap();
    }
    next(&mut keys).unwrap().done();
    handle.add((2, 0), (), Lane::Fresh).unwrap();
    let order = [next(&mut keys), next(&mut keys)].map(|claim| {
        let claim = claim.unwrap();
        let key = *claim.key();
        claim.done();
        key
    });
    assert_eq!(order, [(1, 1), (2, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_asks_for_itself_waits_for_every_other_tenant() // D23
{
    let (handle, mut keys) = tenants(|_| 1);
    for tenant in 0..4 {
        handle.add((tenant, 0), (), Lane::Fresh).unwrap();
    }
    let mut runs = [0; 4];
    for _ in 0..400 {
        let claim = next(&mut keys).unwrap();
        runs[usize::from(claim.key().0)] += 1;
        handle.add(*claim.key(), (), Lane::Fresh).unwrap();
        claim.done();
    }
    assert_eq!(runs, [100; 4]);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_has_turns_by_its_weight_however_many_keys_the_others_have() // D23
{
    let (handle, mut keys) = tenants(|tenant| if tenant == 0 { 3 } else { 1 });
    for number in 0..1_000 {
        for tenant in 0..3 {
            handle.add((tenant, number), (), Lane::Fresh).unwrap();
        }
    }
    let mut runs = [0; 3];
    for _ in 0..500 {
        let claim = next(&mut keys).unwrap();
        runs[usize::from(claim.key().0)] += 1;
        claim.done();
    }
    assert_eq!(runs, [300, 100, 100]);
}

#[tokio::test(start_paused = true)]
async fn a_turn_may_have_no_end() // D23
{
    let (handle, mut keys) = tenants(|_| u32::MAX);
    handle.add((0, 1), (), Lane::Fresh).unwrap();
    let claim = next(&mut keys).unwrap();
    for at in [2, 3] {
        handle.add((0, at), (), Lane::Fresh).unwrap();
        handle.add((1, at), (), Lane::Fresh).unwrap();
    }
    claim.release();
    for at in [1, 2, 3] {
        let claim = next(&mut keys).unwrap();
        assert_eq!(*claim.key(), (0, at));
        claim.done();
    }
}

#[tokio::test(start_paused = true)]
async fn what_falls_due_or_is_retried_takes_turns_as_well() // D23
{
    let (handle, mut keys) = tenants(|_| 1);
    for number in 0..3 {
        handle.add_after((1, number), (), seconds(1)).unwrap();
    }
    handle.add((2, 0), (), Lane::Fresh).unwrap();
    next(&mut keys).unwrap().retry();
    tokio::time::advance(seconds(1)).await;
    let mut order = Vec::new();
    while let Some(claim) = next(&mut keys) {
        order.push(*claim.key());
        claim.done();
    }
    assert_eq!(order, [(2, 0), (1, 0), (1, 1), (1, 2)], "the retry was due first");
}

#[tokio::test(start_paused = true)]
async fn namespaces_are_classes() {
    let options = QueueOptions::default().with_classes(Classes::by_namespace());
    let (handle, mut keys) = nah_trigger::queue::<ObjectKey, ()>(options);
    let wanted = [("a", "1"), ("a", "2"), ("a", "3"), ("b", "1"), ("b", "2")].map(ObjectKey::from);
    for key in wanted.iter().cloned().chain([ObjectKey::cluster("node")]) {
        handle.add(key, (), Lane::Fresh).unwrap();
    }
    let mut order = Vec::new();
    while let Some(claim) = next(&mut keys) {
        order.push(claim.key().to_string());
        claim.done();
    }
    assert_eq!(order, ["a/1", "b/1", "node", "a/2", "b/2", "a/3"]);
}

/// A function of the user's own that calls the queue.
#[tokio::test(start_paused = true)]
async fn a_class_is_asked_for_without_a_lock() {
    thread_local!(static HANDLE: RefCell<Option<QueueHandle<u8, ()>>> = const { RefCell::new(None) });
    let classes = Classes::by(|key: &u8| {
        HANDLE.with_borrow(|handle| handle.as_ref().map(QueueHandle::len));
        *key
    });
    let (handle, mut keys) = nah_trigger::queue::<u8, ()>(QueueOptions::default().with_classes(classes));
    HANDLE.set(Some(handle.clone()));
    handle.add(1, (), Lane::Fresh).unwrap();
    handle.add_after(1, (), seconds(1)).unwrap();
    next(&mut keys).unwrap().done();
}
