//! Lists that are brought up to date rather than made anew: each shows what gets show, whatever came in between. The seed
//! of a failure is printed.

use std::{collections::BTreeMap, time::Duration};

use fastrand::Rng;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_core::params::{Patch, PatchParams};
use nah_cache::{CacheOptions, FieldIndexerExt, Index, ListOptions};
use nah_client::{Error, OptionalExt, Reader, ReaderExt, WriterExt};
use nah_core::{Kind, ObjectKey};
use nah_testing::{ApiServer, Fault};
use serde_json::json;
use tokio::task::yield_now;

use crate::{World, edited, labelled};

/// More than are as well merged anew.
const NAMES: usize = 60;
const SPACES: [&str; 2] = ["default", "kube-system"];
const APPS: [&str; 2] = ["a", "b"];
const STEPS: usize = 200;

struct Run {
    world: World,
    index: Index<ConfigMap>,
    rng: Rng,
    values: u64,
}

impl Run {
    async fn new(seed: u64) -> Self {
        let world = World::with(ApiServer::new(), CacheOptions::default());
        let index = world.informers.index_path::<ConfigMap>("data.value").unwrap();
        world.blind::<ConfigMap>().await;
        Self { world, index, rng: Rng::with_seed(seed), values: 0 }
    }

    fn key(&mut self) -> ObjectKey {
        let name = format!("m{:02}", self.rng.usize(..NAMES));
        ObjectKey::from((SPACES[self.rng.usize(..2)], name))
    }

    fn value(&mut self) -> String {
        self.values += 1;
        (self.values % 3).to_string()
    }

    async fn write(&mut self) {
        let (key, value) = (self.key(), self.value());
        let client = &self.world.client;
        let Some(found) = client.get::<ConfigMap>(&key).await.optional().unwrap() else {
            let mut map = labelled(key.name(), APPS[self.rng.usize(..2)]);
            map.metadata.namespace = key.namespace().map(str::to_owned);
            map.data = Some(BTreeMap::from([("value".into(), value)]));
            client.create(&map).await.unwrap();
            return;
        };
        match self.rng.usize(..6) {
            0 => drop(client.delete(&*found).await),
            1 => {
                // Somebody else does, and nobody here hears of it yet.
                let namespace = key.namespace().unwrap_or_default();
                drop(self.world.server.delete("v1", "ConfigMap", namespace, key.name()));
            }
            2 => {
                let app = APPS[self.rng.usize(..2)];
                let patch = Patch::Merge(json!({ "metadata": { "labels": { "app": app } } }));
                drop(client.patch::<ConfigMap>(&key, &patch, &PatchParams::default()).await);
            }
            3 => {
                self.world.server.inject(Fault::drop_answer().on("update").of("configmaps").times(1));
                drop(client.update(&edited(&found, &value)).await);
            }
            _ => drop(client.update(&edited(&found, &value)).await),
        }
    }

    fn selections(&self) -> Vec<ListOptions> {
        let all = ListOptions::default;
        vec![
            all(),
            all().in_namespace("kube-system"),
            all().in_namespace("kube-system").limit(7),
            all().matching_labels([("app", "a")]),
            all().by(&self.index, "1"),
            all().by(&self.index, "2").in_namespace("default").limit(3),
        ]
    }

    /// Every list shows what gets show, in order.
    fn check(&self) {
        let (client, gvk) = (&self.world.client, ConfigMap::kind_of());
        let mut shown = Vec::new();
        let mut unsure = Vec::new();
        for space in SPACES {
            for name in 0..NAMES {
                let key = ObjectKey::from((space, format!("m{name:02}")));
                match client.lookup(&gvk, &key) {
                    Ok(found) => shown.extend(found),
                    Err(Error::Unsure { .. }) => unsure.push(key),
                    Err(error) => panic!("{error}"),
                }
            }
        }
        shown.sort_by(|a, b| a.key().cmp(b.key()));
        for options in self.selections() {
            let list = client.select(&gvk, &options).unwrap();
            let covers =
                |key: &ObjectKey| options.namespace().is_none_or(|wanted| key.namespace() == Some(wanted));
            let doubted: Vec<_> = unsure.iter().filter(|key| covers(key)).cloned().collect();
            assert_eq!(list.unsure(), doubted, "{options:?}");
            let informer = self.world.informers.existing(&gvk).unwrap();
            let wanted = shown.iter().filter(|object| informer.matches(object, &options).unwrap());
            let limit = options.limit_of().unwrap_or(usize::MAX);
            let state = |object: &nah_core::Object| {
                (object.key().clone(), object.resource_version().map(ToString::to_string))
            };
            let sure = |(key, _): &(ObjectKey, Option<String>)| !unsure.contains(key);
            let listed: Vec<_> = list.handles().map(state).collect();
            assert!(listed.len() <= limit && listed.is_sorted(), "{options:?}");
            if limit == usize::MAX || unsure.is_empty() {
                let listed: Vec<_> = listed.into_iter().filter(sure).collect();
                assert_eq!(listed, wanted.map(state).take(limit).collect::<Vec<_>>(), "{options:?}");
            }
        }
    }

    async fn step(&mut self) {
        match self.rng.usize(..20) {
            // The informer hears of a few things more, and nothing shows that it has heard of them only in part.
            0..2 => {
                self.world.server.release_watches("");
                for _ in 0..self.rng.usize(..20) {
                    yield_now().await;
                    self.check();
                }
                self.world.server.hold_watches("");
            }
            2 => {
                self.world.catch_up::<ConfigMap>().await;
                self.check();
                self.world.server.hold_watches("");
            }
            3 => tokio::time::advance(Duration::from_secs(1)).await,
            _ => self.write().await,
        }
        if self.rng.usize(..4) > 0 {
            self.check();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_kept_shows_what_gets_show() // F47, Q5
{
    for seed in 0..5 {
        let mut run = Run::new(seed).await;
        for step in 0..STEPS {
            eprintln!("seed {seed}, step {step}");
            run.step().await;
        }
        // Nothing of what is kept is needed any more.
        run.world.catch_up::<ConfigMap>().await;
        run.check();
    }
}
