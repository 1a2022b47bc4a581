//! Everything at once on several threads: no key is lost, and none is worked on twice at once.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use nah_backend::{KubeBackend, StartError, prelude::*};
use nah_testing::ApiServer;
use serde_json::json;
use tokio::{
    runtime::{Builder, Handle},
    sync::Notify,
    task::yield_now,
    time::timeout,
};

use crate::ground::{map, map_with};

const KEYS: usize = 5;
const CROWD: u64 = 4;
const ACTS: usize = 80;

/// What the callbacks of one kind have seen.
#[derive(Default)]
struct Seen {
    inside: Mutex<HashSet<ObjectKey>>,
    /// The version of the last run of each key; none where there was no object.
    last: Mutex<HashMap<ObjectKey, Option<String>>>,
    overlaps: AtomicUsize,
    quiet: AtomicBool,
    told: Notify,
}

impl Seen {
    /// A run of `key`, which fails by lot until it is quiet.
    async fn run(self: Arc<Self>, key: ObjectKey, version: Option<String>) -> Result<(), &'static str> {
        if !self.inside.lock().unwrap().insert(key.clone()) {
            self.overlaps.fetch_add(1, Ordering::SeqCst);
        }
        for _ in 0..fastrand::usize(..4) {
            yield_now().await;
        }
        self.inside.lock().unwrap().remove(&key);
        if !self.quiet.load(Ordering::SeqCst) && fastrand::u8(..) < 50 {
            return Err("by lot");
        }
        self.last.lock().unwrap().insert(key, version);
        self.told.notify_one();
        Ok(())
    }
}

fn watch_maps(backend: &KubeBackend, seen: &Arc<Seen>) {
    backend
        .watcher_with("maps", seen.clone(), |seen: Arc<Seen>, change: Change<ConfigMap>| {
            let version = change.object.as_ref().and_then(|map| map.metadata.resource_version.clone());
            seen.run(change.key, version)
        })
        .unwrap();
}

/// One of the crowd. What others do meanwhile makes many of its calls fail, and they may.
async fn act(backend: &KubeBackend, server: &ApiServer, seen: &Arc<Seen>, rng: &mut Rng) {
    let name = format!("m-{}", rng.usize(..KEYS));
    match rng.u8(..12) {
        0..3 => {
            let wanted = map_with(&name, &rng.u32(..).to_string());
            if backend.create(&wanted).await.is_err() {
                let edit = |map: &mut ConfigMap| map.data.clone_from(&wanted.data);
                let _ = backend.modify(("default", &*name), edit).await;
            }
        }
        3 => drop(backend.delete(&map(&name)).await),
        4 => {
            let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "k": rng.u32(..).to_string() },
                "metadata": { "name": name, "namespace": "default" } });
            let _ = server.apply(&object);
        }
        5..8 => {
            let delay = Duration::from_millis(rng.u64(..20));
            backend.trigger::<ConfigMap>(("default", &*name), delay).unwrap();
        }
        8 => backend.pause().await,
        9 => match backend.start().await {
            Ok(()) | Err(StartError::Paused) => {}
            Err(error) => panic!("{error}"),
        },
        10 => {
            let late = format!("late-{}", rng.u64(..));
            let registration = backend.watcher(&late, |_: Change<ConfigMap>| async { Ok(()) }).unwrap();
            yield_now().await;
            if rng.bool() { registration.unregister_and_wait().await } else { registration.unregister() }
        }
        _ => {
            backend.remove_kind(&Secret::kind_of());
            // The name may be taken by another of the crowd.
            let _ =
                backend.watcher_with("secrets", seen.clone(), |seen: Arc<Seen>, change: Change<Secret>| {
                    let version =
                        change.object.as_ref().and_then(|one| one.metadata.resource_version.clone());
                    seen.run(ObjectKey::new(Some("secrets"), change.key.name()), version)
                });
            let _ = backend.trigger::<Secret>(("default", "s"), Duration::ZERO);
        }
    }
}

async fn storm(seed: u64) {
    let server = ApiServer::new();
    let backend = KubeBackend::with_client(server.client()).workers(3).build();
    let secret = json!({ "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": "s", "namespace": "default" } });
    server.create(&secret).unwrap();
    let seen = Arc::new(Seen::default());
    watch_maps(&backend, &seen);
    backend.start().await.unwrap();
    let crowd = (0..CROWD).map(|one| {
        let (backend, server, seen) = (backend.clone(), server.clone(), seen.clone());
        let mut rng = Rng::with_seed(seed * CROWD + one);
        tokio::spawn(async move {
            for _ in 0..ACTS {
                act(&backend, &server, &seen, &mut rng).await;
            }
        })
    });
    for one in crowd.collect::<Vec<_>>() {
        one.await.unwrap();
    }
    seen.quiet.store(true, Ordering::SeqCst);
    // A registration after everything: the kind that came and went is alive.
    backend.remove_kind(&Secret::kind_of());
    let alive = Arc::new(Notify::new());
    let tell = alive.clone();
    backend
        .watcher("alive", move |change: Change<Secret>| {
            if change.object.is_some() {
                tell.notify_one();
            }
            async { Ok(()) }
        })
        .unwrap();
    backend.start().await.unwrap();
    let limit = Duration::from_secs(60);
    timeout(limit, alive.notified()).await.expect("a kind that was added again is alive");

    let is_final = || {
        let truth: HashMap<_, _> = server.list("v1", "ConfigMap").unwrap().iter().map(of).collect();
        let last = seen.last.lock().unwrap();
        let of_maps = last.iter().filter(|(key, _)| key.namespace() == Some("default"));
        truth.keys().all(|key| last.contains_key(key))
            && of_maps.into_iter().all(|(key, version)| truth.get(key) == version.as_ref())
    };
    let ended = timeout(limit, async {
        while !is_final() {
            seen.told.notified().await;
        }
    });
    if ended.await.is_err() {
        panic!("{:?} of {:?}", seen.last.lock().unwrap(), server.list("v1", "ConfigMap").unwrap());
    }
    assert_eq!(seen.overlaps.load(Ordering::SeqCst), 0, "a key was worked on twice at once");
    backend.shutdown(Duration::from_secs(10)).await;
    assert!(seen.inside.lock().unwrap().is_empty());
    assert_eq!(Arc::strong_count(&seen), 1, "the callbacks are dropped");
}

fn of(map: &serde_json::Value) -> (ObjectKey, String) {
    let meta = &map["metadata"];
    let key = ("default", meta["name"].as_str().unwrap()).into();
    (key, meta["resourceVersion"].as_str().unwrap().to_owned())
}

#[test]
fn loses_no_key_and_works_on_none_twice_at_once() // E15, D2, E18, G11, G18
{
    let first: u64 = std::env::var("NAH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    for seed in first..first + 6 {
        println!("NAH_SEED={seed}");
        let runtime = Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::spawn(storm(seed)).await.unwrap();
            // Those of the server and of the storm itself end in their own time.
            let none_is_left = async {
                while Handle::current().metrics().num_alive_tasks() > 0 {
                    yield_now().await;
                }
            };
            timeout(Duration::from_secs(10), none_is_left).await.expect("a task is left");
        });
    }
}
