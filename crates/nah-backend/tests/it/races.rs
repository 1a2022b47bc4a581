//! Starts, pauses, triggers, registrations and the end, on several threads at once: what is asked for is run once or is
//! left, no run begins where none may, and every call returns.

use std::{
    collections::HashSet,
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use fastrand::Rng;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use nah_backend::{
    KindOptions, KubeBackend, StartError,
    core::BoxError,
    prelude::*,
    trigger::{Classes, QueueOptions, TriggerError},
    watch::{Requeue, WatchError},
};
use nah_testing::ApiServer;
use tokio::{
    runtime::{Builder, Handle},
    task::yield_now,
    time::timeout,
};

use crate::ground::LONG;

/// Longer than anything takes that ends: the clock is the real one.
const LIMIT: Duration = Duration::from_secs(60);
const MOST: usize = 400;

/// Runs `race` for some seeds, each on threads of its own, which it leaves without a task.
fn for_some_seeds<F: Future<Output = ()> + Send + 'static>(seeds: u64, race: fn(Rng) -> F) {
    let first: u64 = std::env::var("NAH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    for seed in first..first + seeds {
        println!("NAH_SEED={seed}");
        let runtime = Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
        runtime.block_on(async {
            // On the thread of the test: a task would share one with what it wakes, and never be beside that.
            timeout(LIMIT, race(Rng::with_seed(seed))).await.expect("it ends");
            // Those of the client and of the server end in their own time.
            let none_is_left = async {
                while Handle::current().metrics().num_alive_tasks() > 0 {
                    yield_now().await;
                }
            };
            timeout(LIMIT, none_is_left).await.expect("a task is left");
        });
    }
}

/// What callbacks have done.
#[derive(Default)]
struct Done {
    inside: Mutex<HashSet<ObjectKey>>,
    keys: Mutex<HashSet<ObjectKey>>,
    wrong: AtomicUsize,
    ended: AtomicBool,
}

impl Done {
    /// A run of a key that is asked for once: ends at once, after some turns, with a failure, or not at all.
    async fn run(self: Arc<Self>, key: ObjectKey, may_hang: bool) -> Result<(), BoxError> {
        let twice = !self.inside.lock().unwrap().insert(key.clone());
        self.wrong.fetch_add(usize::from(twice || self.ended.load(Ordering::SeqCst)), Ordering::SeqCst);
        let inside = Inside(&self, key);
        match fastrand::u8(..16) {
            0..8 => {}
            8..12 => yield_now().await,
            12..14 if may_hang => pending().await,
            _ => return Err("by lot".into()),
        }
        let again = !self.keys.lock().unwrap().insert(inside.1.clone());
        self.wrong.fetch_add(usize::from(again), Ordering::SeqCst);
        Ok(())
    }
}

/// A run, also one that is cut off.
struct Inside<'a>(&'a Done, ObjectKey);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.inside.lock().unwrap().remove(&self.1);
    }
}

/// Asks for keys of its own until that is refused, and counts those that were taken.
async fn asks(backend: KubeBackend, name: &'static str, taken: Arc<AtomicUsize>) {
    for at in 0..MOST {
        match backend.trigger::<ConfigMap>(("default", format!("{name}-{at}")), Duration::ZERO) {
            Ok(()) => taken.fetch_add(1, Ordering::SeqCst),
            Err(TriggerError::Stopped) => return,
            Err(error) => panic!("{error}"),
        };
        if at % 4 == 0 {
            yield_now().await;
        }
    }
}

/// Starts and pauses until there is an end.
async fn wavers(backend: KubeBackend) {
    loop {
        match backend.start().await {
            Ok(()) | Err(StartError::Paused) => {}
            Err(StartError::Stopped) => return,
            Err(error) => panic!("{error}"),
        }
        yield_now().await;
        backend.pause().await;
    }
}

/// Registers and unregisters, also with a kind that comes and goes, until that is refused.
async fn registers(backend: KubeBackend) {
    loop {
        let late = backend.watcher("late", |_: Change<ConfigMap>| async { Ok(()) });
        let other = backend.watcher("other", |_: Change<Secret>| async { Ok(()) });
        match (late, other) {
            (Ok(late), Ok(_)) => late.unregister_and_wait().await,
            (Err(WatchError::Stopped), _) | (_, Err(WatchError::Stopped)) => return,
            (late, other) => panic!("{late:?} {other:?}"),
        }
        let _ = backend.trigger::<Secret>(("default", "s"), Duration::ZERO);
        backend.remove_kind(&Secret::kind_of());
        yield_now().await;
    }
}

async fn race_to_the_end(mut rng: Rng) {
    let server = ApiServer::new();
    let backend = KubeBackend::with_client(server.client()).workers(1 + rng.usize(..4)).build();
    let (grace, from_inside) = (if rng.bool() { Duration::ZERO } else { LONG }, rng.bool());
    let (done, taken) = (Arc::new(Done::default()), Arc::new(AtomicUsize::new(0)));
    let (theirs, weak) = (done.clone(), backend.downgrade());
    let ends_at = rng.usize(..MOST);
    backend
        .watcher("c", move |change: Change<ConfigMap>| {
            let (done, weak) = (theirs.clone(), weak.clone());
            async move {
                if from_inside
                    && change.key.name() == format!("a-{ends_at}")
                    && let Some(backend) = weak.upgrade()
                {
                    backend.shutdown(grace).await;
                }
                done.run(change.key, grace.is_zero()).await
            }
        })
        .unwrap();
    if rng.bool() {
        backend.preload().await.unwrap();
    }
    let crowd = [
        tokio::spawn(asks(backend.clone(), "a", taken.clone())),
        tokio::spawn(asks(backend.clone(), "b", taken.clone())),
        tokio::spawn(wavers(backend.clone())),
        tokio::spawn(wavers(backend.clone())),
        tokio::spawn(registers(backend.clone())),
    ];
    while taken.load(Ordering::SeqCst) < ends_at {
        yield_now().await;
    }
    let (first, second) = tokio::join!(backend.shutdown(grace), backend.shutdown(grace));
    done.ended.store(true, Ordering::SeqCst);
    assert!(done.inside.lock().unwrap().is_empty());
    for one in crowd {
        one.await.unwrap();
    }
    let (ran, taken) = (done.keys.lock().unwrap().len(), taken.load(Ordering::SeqCst));
    // The other kind was asked for one key at most, which may be left too.
    for left in [&first, &second] {
        assert!(
            (0..=1).contains(&(ran + left.keys_left - taken)),
            "{ran} ran, {} left, {taken} taken",
            left.keys_left
        );
        assert_eq!((left.tasks_left, left.blocked.len()), (0, 0));
    }
    assert_eq!(done.wrong.load(Ordering::SeqCst), 0, "a key ran twice, or after the end");
    assert!(backend.downgrade().upgrade().is_none());
    assert_eq!(Arc::strong_count(&done), 1, "the callback is dropped");
}

#[test]
fn every_key_is_run_once_or_left_whenever_the_end_comes() // D2, D27, G9, G10, G11, G17
{
    for_some_seeds(24, race_to_the_end);
}

/// A pause, each time at another moment of a start. Somebody keeps the queue locked for most of the time, so that whoever
/// is about to take a key is held up there.
async fn pauses_while_keys_are_taken(mut rng: Rng) {
    const KEYS: usize = 300;
    let server = ApiServer::new();
    // A look at the numbers of a queue goes through its classes: each key is one.
    let classes = Classes::by(|key: &ObjectKey| key.name().to_owned());
    let options = KindOptions::default().workers(1).queue(QueueOptions::default().with_classes(classes));
    let backend = KubeBackend::with_client(server.client()).kind::<ConfigMap>(options).build();
    let (begun, inside) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (theirs, now) = (begun.clone(), inside.clone());
    backend
        .watcher("c", move |_: Change<ConfigMap>| {
            theirs.fetch_add(1, Ordering::SeqCst);
            now.fetch_add(1, Ordering::SeqCst);
            let now = now.clone();
            async move {
                yield_now().await;
                now.fetch_sub(1, Ordering::SeqCst);
                // There are always as many to look at.
                Ok(Requeue(Duration::ZERO))
            }
        })
        .unwrap();
    let ask = |at: usize| backend.trigger::<ConfigMap>(("default", format!("{at}")), Duration::ZERO).unwrap();
    (0..KEYS).for_each(ask);
    backend.preload().await.unwrap();
    let (looks, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let looker = {
        let (backend, looks, over) = (backend.clone(), looks.clone(), over.clone());
        thread::spawn(move || {
            while !over.load(Ordering::SeqCst) {
                backend.queue_stats(&ConfigMap::kind_of());
                looks.fetch_add(1, Ordering::SeqCst);
            }
        })
    };
    let mut ran = 0;
    for round in 0..100 {
        backend.start().await.unwrap();
        let looked = looks.load(Ordering::SeqCst);
        let moment = rng.usize(..8);
        while looks.load(Ordering::SeqCst) < looked + moment {
            yield_now().await;
        }
        backend.pause().await;
        let (running, before) = (inside.load(Ordering::SeqCst), begun.load(Ordering::SeqCst));
        let looked = looks.load(Ordering::SeqCst);
        while looks.load(Ordering::SeqCst) < looked + 16 {
            yield_now().await;
        }
        ran = begun.load(Ordering::SeqCst);
        let late = (running, ran - before);
        if late != (0, 0) {
            over.store(true, Ordering::SeqCst);
            panic!("round {round}: running, begun after a pause: {late:?}");
        }
    }
    over.store(true, Ordering::SeqCst);
    looker.join().unwrap();
    assert!(ran > 0);
    backend.shutdown(LONG).await;
}

#[test]
fn no_run_begins_after_a_pause_whatever_was_under_way() // G11, Q21
{
    for_some_seeds(1, pauses_while_keys_are_taken);
}
