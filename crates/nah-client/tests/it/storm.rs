//! Many writers on many threads, each the only one of its objects: it reads exactly what it wrote, at once, whatever
//! the informer does meanwhile. The seed of a failure is printed.

use std::{collections::BTreeMap, time::Duration};

use fastrand::Rng;
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_core::params::{Patch, PatchParams};
use nah_cache::{CacheFactoryExt, CacheOptions, Event, FieldIndexerExt, ListOptions};
use nah_client::{OptionalExt, ReadWriteExt, ReaderExt, WriterExt};
use nah_core::ObjectKey;
use nah_testing::{ApiServer, Fault};
use serde_json::json;

use crate::{World, data, edited, labelled};

const WRITERS: usize = 4;
const STEPS: usize = 120;
const NAMES: usize = 3;

/// The only one that writes the objects of its names, and what it has left there.
struct Owner {
    client: nah_client::CachedClient,
    space: &'static str,
    app: String,
    index: nah_cache::Index<ConfigMap>,
    rng: Rng,
    left: BTreeMap<String, String>,
}

impl Owner {
    fn key(&self, name: &str) -> ObjectKey {
        ObjectKey::from((self.space, name))
    }

    async fn step(&mut self, at: usize) {
        let name = format!("{}-{}", self.app, self.rng.usize(..NAMES));
        let value = format!("{}-{at}", self.app);
        if !self.left.contains_key(&name) {
            let mut map = labelled(&name, &self.app);
            map.metadata.namespace = Some(self.space.into());
            map.data = Some(BTreeMap::from([("value".into(), value.clone())]));
            if self.rng.bool() {
                map.metadata.finalizers = Some(vec!["example.com/f".into()]);
            }
            self.client.create(&map).await.unwrap();
            self.left.insert(name, value);
            return;
        }
        match self.rng.usize(..5) {
            0 => {
                let found = self.client.get::<ConfigMap>(self.key(&name)).await.unwrap();
                self.client.update(&edited(&found, &value)).await.unwrap();
            }
            1 => {
                let patch = Patch::Merge(json!({ "data": { "value": value } }));
                self.client
                    .patch::<ConfigMap>(self.key(&name), &patch, &PatchParams::default())
                    .await
                    .unwrap();
            }
            2 => {
                let edit = |map: &mut ConfigMap| {
                    map.data.get_or_insert_default().insert("value".into(), value.clone());
                };
                self.client.modify::<ConfigMap>(self.key(&name), edit).await.unwrap();
            }
            _ => {
                let found = self.client.get::<ConfigMap>(self.key(&name)).await.unwrap();
                self.client.delete(&*found).await.unwrap();
                if found.metadata.finalizers.is_some() {
                    let free = |map: &mut ConfigMap| map.metadata.finalizers = None;
                    self.client.modify::<ConfigMap>(self.key(&name), free).await.unwrap();
                }
                self.left.remove(&name);
                return;
            }
        }
        self.left.insert(name, value);
    }

    async fn check(&self) {
        for at in 0..NAMES {
            let name = format!("{}-{at}", self.app);
            let found = self.client.get::<ConfigMap>(self.key(&name)).await.optional().unwrap();
            assert_eq!(found.and_then(|map| data(&map)).as_ref(), self.left.get(&name), "get {name}");
        }
        let app = [("app", self.app.as_str())];
        for options in [
            ListOptions::default().in_namespace(self.space).matching_labels(app),
            ListOptions::default().matching_labels(app).limit(NAMES),
            ListOptions::default().by(&self.index, &self.app),
        ] {
            let list = self.client.list::<ConfigMap>(options.clone()).await.unwrap();
            let listed: BTreeMap<_, _> =
                list.decoded().map(|map| (map.metadata.name.clone().unwrap(), data(&map).unwrap())).collect();
            assert_eq!(listed, self.left, "{options:?}");
            assert_eq!(listed.len(), list.len());
        }
    }
}

/// What a subscriber was told, which must make sense by itself.
fn told(known: &mut BTreeMap<String, String>, event: &Event) {
    let uid = |object: &nah_core::Object| object.uid().unwrap().to_string();
    let name = event.key().to_string();
    match event {
        Event::Added { object, .. } => {
            assert_eq!(known.insert(name.clone(), uid(object)), None, "{name} added twice");
        }
        Event::Updated { old, new, .. } => {
            assert_eq!(known.insert(name, uid(new)), Some(uid(old)));
            assert_eq!(uid(old), uid(new));
        }
        Event::Deleted { last, .. } => assert_eq!(known.remove(&name), Some(uid(last))),
        _ => panic!("an event of an unknown kind"),
    }
}

/// Cuts, holds and lets go; waits in between where time is paused, and only yields where it is real.
async fn trouble(server: ApiServer, mut rng: Rng, paused: bool) {
    for at in 0.. {
        match rng.usize(..40) {
            0 => server.cut_watches("configmaps"),
            1 if paused || at < 400 => {
                server.compact();
                server.cut_watches("configmaps");
            }
            2 => server.hold_watches("configmaps"),
            3 if paused => drop(server.inject(Fault::answer(503).on("list").of("configmaps"))),
            _ => server.release_watches("configmaps"),
        }
        match paused {
            true => tokio::time::sleep(Duration::from_millis(rng.u64(..300))).await,
            false => tokio::task::yield_now().await,
        }
    }
}

async fn storm(world: World, spaces: &[&'static str], seed: u64, paused: bool) {
    println!("RACE_SEED={seed}");
    let index = world.informers.index_path::<ConfigMap>("metadata.labels.app").unwrap();
    let informer = world.informers.informer::<ConfigMap>().unwrap();
    let mut events = informer.subscribe().unwrap().typed::<nah_core::Object>();
    let reader = tokio::spawn(async move {
        let mut known = BTreeMap::new();
        while let Some(event) = events.next().await {
            told(&mut known, &event.unwrap());
            tokio::task::yield_now().await;
        }
    });
    let trouble = tokio::spawn(trouble(world.server.clone(), Rng::with_seed(seed), paused));
    let owner = |at: usize| Owner {
        client: world.client.clone(),
        space: spaces[at % spaces.len()],
        app: format!("app{at}"),
        index: index.clone(),
        rng: Rng::with_seed(seed * 100 + at as u64),
        left: BTreeMap::new(),
    };
    let owners = (0..WRITERS).map(owner).map(|mut owner| {
        tokio::spawn(async move {
            for at in 0..STEPS {
                owner.step(at).await;
                owner.check().await;
                if paused {
                    tokio::time::sleep(Duration::from_millis(owner.rng.u64(..100))).await;
                }
            }
            owner.left
        })
    });
    let owners: Vec<_> = owners.collect();
    let mut left = BTreeMap::new();
    for owner in owners {
        left.extend(owner.await.unwrap());
    }
    trouble.abort();
    drop(trouble.await);
    world.server.clear_faults();
    world.server.release_watches("configmaps");
    informer.wait_until_observed(&world.server.version().into()).await.unwrap();
    let cached = informer.list(&ListOptions::default()).unwrap();
    let cached: BTreeMap<_, _> = cached
        .decoded()
        .filter_map(|map| Some((map.metadata.name.clone()?, data(&map)?)))
        .filter(|(name, _)| name.starts_with("app"))
        .collect();
    assert_eq!(cached, left);
    world.client.stop();
    world.informers.stop();
    reader.await.unwrap();
}

fn first_seed() -> u64 {
    std::env::var("RACE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_writer_reads_what_it_wrote_on_many_threads() // F40, F45, F47, B10
{
    let world = World::with(ApiServer::new(), CacheOptions::default());
    storm(world, &["default"], first_seed(), false).await;
}

#[tokio::test(start_paused = true)]
async fn each_writer_reads_what_it_wrote_in_several_namespaces() // F40, F45, F47, C28
{
    for seed in first_seed()..first_seed() + 8 {
        let server = ApiServer::new();
        server.inject(Fault::lag(Duration::from_millis(10 * seed)).of("configmaps").always());
        let options = CacheOptions::default().namespaces(["default", "kube-public"]);
        storm(World::with(server, options), &["default", "kube-public"], seed, true).await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_writer_reads_what_it_wrote_through_a_selector() // F40, F45, F47, Q11
{
    for seed in first_seed()..first_seed() + 8 {
        let server = ApiServer::new();
        server.inject(Fault::lag(Duration::from_millis(10 * seed)).of("configmaps").always());
        let labels: kube_core::Selector = kube_core::Expression::Exists("app".into()).into();
        let options = CacheOptions::default().labels(labels);
        storm(World::with(server, options), &["default"], seed, true).await;
    }
}
