//! Random histories over the real cache: two writers, faults, deletions, relists. The seed of a failure is printed.

use std::{collections::BTreeMap, time::Duration};

use fastrand::Rng;
use k8s_openapi::api::core::v1::ConfigMap;
use nah_cache::{CacheFactoryExt, ListOptions};
use nah_client::{OptionalExt, ReaderExt, Result, WriterExt};
use nah_testing::Fault;

use crate::{World, config_map, data, edited, held, key, labelled, truth};

/// What a write that succeeded has left: a version, or nothing of this uid.
#[derive(Clone, Debug, Default)]
struct Fact {
    version: u64,
    dead: Vec<String>,
}

fn version(map: &ConfigMap) -> u64 {
    map.metadata.resource_version.as_ref().unwrap().parse().unwrap()
}

struct Run {
    world: World,
    rng: Rng,
    facts: BTreeMap<String, Fact>,
}

impl Run {
    fn name(&mut self) -> String {
        ["a", "b", "c"][self.rng.usize(..3)].into()
    }

    fn wrote(&mut self, name: &str, written: Result<std::sync::Arc<ConfigMap>>) {
        let Ok(map) = written else { return };
        let fact = self.facts.entry(name.into()).or_default();
        let ended = map.metadata.deletion_timestamp.is_some() && map.metadata.finalizers.is_none();
        match ended {
            true => fact.dead.push(map.metadata.uid.clone().unwrap()),
            false => fact.version = fact.version.max(version(&map)),
        }
    }

    async fn step(&mut self) {
        let (name, value) = (self.name(), self.rng.u32(..).to_string());
        let found = self.world.client.get::<ConfigMap>(key(&name)).await.optional().unwrap();
        match self.rng.usize(..12) {
            0 | 1 => {
                let map = if self.rng.bool() { labelled(&name, "web") } else { held(&name) };
                let written = self.world.client.create(&map).await;
                self.wrote(&name, written);
            }
            2..=4 => {
                let Some(found) = found else { return };
                let mut map = edited(&found, &value);
                if self.rng.bool() {
                    map.metadata.finalizers = None;
                }
                let written = self.world.client.update(&map).await;
                self.wrote(&name, written);
            }
            5 => {
                let Some(found) = found else { return };
                let lives = found.metadata.finalizers.is_some();
                let uid = found.metadata.uid.clone().unwrap();
                let params =
                    kube_core::params::Preconditions { uid: Some(uid.clone()), resource_version: None };
                let params = kube_core::params::DeleteParams::default().preconditions(params);
                if self.world.client.delete_with(&*found, &params).await.is_ok() && !lives {
                    // Somebody may have put a finalizer on it meanwhile, but nobody here does.
                    self.facts.entry(name).or_default().dead.push(uid);
                }
            }
            6 => {
                let mut theirs = serde_json::to_value(config_map(&name, &value)).unwrap();
                (theirs["apiVersion"], theirs["kind"]) = ("v1".into(), "ConfigMap".into());
                drop(self.world.server.apply(&theirs));
            }
            7 => drop(self.world.server.delete("v1", "ConfigMap", "default", &name)),
            8 => {
                let fault = match self.rng.usize(..4) {
                    0 => Fault::drop_answer().on("update"),
                    1 => Fault::answer(503).on("delete"),
                    2 => Fault::drop_answer().on("create"),
                    _ => Fault::answer(503).on("update"),
                };
                self.world.server.inject(fault.of("configmaps"));
            }
            9 => self.world.server.cut_watches("configmaps"),
            10 => {
                self.world.server.compact();
                self.world.server.cut_watches("configmaps");
            }
            _ => tokio::time::sleep(Duration::from_millis(self.rng.u64(..3_000))).await,
        }
    }

    async fn check(&self) {
        let list = self
            .world
            .client
            .list::<ConfigMap>(ListOptions::default().in_namespace("default"))
            .await
            .unwrap();
        let listed: Vec<_> = list.decoded().collect();
        for (name, fact) in &self.facts {
            let found = self.world.client.get::<ConfigMap>(key(name)).await.optional().unwrap();
            if let Some(found) = found {
                let uid = found.metadata.uid.as_ref().unwrap();
                assert!(!fact.dead.contains(uid), "{name}: shows {uid}, known to be gone");
                assert!(version(&found) >= fact.version, "{name}: shows {} after {fact:?}", version(&found));
            }
            let row = listed.iter().find(|map| map.metadata.name.as_ref() == Some(name));
            if let Some(row) = row {
                assert!(
                    !fact.dead.contains(row.metadata.uid.as_ref().unwrap()),
                    "{name}: listed, known to be gone"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn reads_keep_their_promise_over_the_real_cache() // F40, F46, Q2, Q3, Q4
{
    let runs = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(40);
    let first = std::env::var("RACE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    for seed in first..first + runs {
        println!("RACE_SEED={seed}");
        let world = World::new();
        let lag = 1 + seed % 3;
        world.server.inject(Fault::lag(Duration::from_secs(lag)).of("configmaps").always());
        let mut run = Run { world, rng: Rng::with_seed(seed), facts: BTreeMap::new() };
        run.world.informers.informer::<ConfigMap>().unwrap().wait_for_sync().await.unwrap();
        for _ in 0..60 {
            run.step().await;
            run.check().await;
        }
        // Quiet: the cache is right by itself.
        run.world.server.clear_faults();
        tokio::time::sleep(Duration::from_secs(120)).await;
        for name in ["a", "b", "c"] {
            let found = run.world.client.get::<ConfigMap>(key(name)).await.optional().unwrap();
            let cached = run.world.informers.informer::<ConfigMap>().unwrap().get(&key(name)).unwrap();
            assert_eq!(found.as_ref().and_then(|map| data(map)), truth(&run.world.server, name));
            assert_eq!(
                found.and_then(|map| map.metadata.uid.clone()),
                cached.and_then(|map| map.metadata.uid.clone())
            );
        }
        run.world.client.stop();
        run.world.informers.stop();
    }
}
