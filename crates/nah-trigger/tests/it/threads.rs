//! A queue that is used from many threads.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use nah_trigger::Lane;

use super::*;

#[test]
fn a_handle_works_on_a_thread_without_a_runtime() {
    // D20, D21
    let (handle, mut keys) = queue();
    thread::spawn(move || {
        handle.add_after("later", NONE, seconds(3_600)).unwrap();
        handle.add("now", NONE, Lane::Fresh).unwrap();
        handle.cancel(&"later");
        handle.close();
    })
    .join()
    .unwrap();
    // Without a delay the stream needs no runtime either.
    futures::executor::block_on(async {
        keys.next().await.unwrap().done();
        assert!(keys.next().await.is_none());
    });
}

#[test]
fn handles_and_claims_can_be_sent_and_shared() {
    fn check<T: Send + Sync>() {}
    check::<Handle>();
    check::<Keys>();
    check::<Claim<String, nah_core::Causes>>();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_workers_never_share_a_key_and_see_every_request() {
    // D2, D3
    const KEYS: usize = 16;
    const REQUESTS: u64 = 4_000;
    let (handle, mut keys) = nah_trigger::queue::<usize, ()>(QueueOptions::default());
    let asked: Arc<[AtomicU64; KEYS]> = Arc::new(Default::default());
    let seen: Arc<[AtomicU64; KEYS]> = Arc::new(Default::default());
    let held = Arc::new(Mutex::new(HashSet::new()));

    let requesters: Vec<_> = (0..4)
        .map(|seed| {
            let (handle, asked) = (handle.clone(), asked.clone());
            tokio::spawn(async move {
                let mut random = fastrand::Rng::with_seed(seed);
                for _ in 0..REQUESTS {
                    let key = random.usize(..KEYS);
                    asked[key].fetch_add(1, Ordering::SeqCst);
                    handle.add(key, (), Lane::Fresh).unwrap();
                    if random.u8(..16) == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            })
        })
        .collect();

    let worker = tokio::spawn({
        let (asked, seen) = (asked.clone(), seen.clone());
        async move {
            let slots = Arc::new(tokio::sync::Semaphore::new(4));
            loop {
                let slot = slots.clone().acquire_owned().await.unwrap();
                let Some(claim) = keys.next().await else { break };
                let (asked, seen, held) = (asked.clone(), seen.clone(), held.clone());
                tokio::spawn(async move {
                    let key = *claim.key();
                    assert!(held.lock().unwrap().insert(key), "key {key} twice at once");
                    seen[key].store(asked[key].load(Ordering::SeqCst), Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    held.lock().unwrap().remove(&key);
                    claim.done();
                    drop(slot);
                });
            }
        }
    });
    for requester in requesters {
        requester.await.unwrap();
    }
    handle.close();
    worker.await.unwrap();
    handle.idle().await;
    for key in 0..KEYS {
        assert_eq!(seen[key].load(Ordering::SeqCst), asked[key].load(Ordering::SeqCst), "key {key}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_may_ask_for_its_own_key() {
    // D20
    let (handle, mut keys) = queue();
    handle.add("a", NONE, Lane::Fresh).unwrap();
    for _ in 0..3 {
        let claim = keys.next().await.unwrap();
        handle.add(claim.key(), NONE, Lane::Fresh).unwrap();
        handle.add_after(claim.key(), NONE, seconds(60)).unwrap();
        claim.done();
    }
    assert_eq!(handle.len(), 1);
}
