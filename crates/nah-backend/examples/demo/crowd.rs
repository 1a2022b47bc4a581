//! The crowd: people who create, change, break and delete Websites, by plain kube and knowing nothing of the operator.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::Context as _;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::time::{Instant, interval, sleep, timeout};

use super::{
    ground::Ground,
    operator::{Website, WebsiteSpec},
    report::Clock,
};

const CLASSES: [&str; 5] = ["blog", "shop", "wiki", "docs", "forum"];

/// What the crowd has done, by what it was.
#[derive(Default)]
pub(crate) struct Done {
    pub(crate) created: AtomicU64,
    pub(crate) changed: AtomicU64,
    pub(crate) broken: AtomicU64,
    pub(crate) deleted: AtomicU64,
}

pub(crate) struct Crowd {
    sites: Api<Website>,
    maps: Api<ConfigMap>,
    deployments: Api<Deployment>,
    clock: std::sync::Arc<Clock>,
    seed: u64,
    pub(crate) done: Done,
}

impl Crowd {
    pub(crate) fn new(ground: &Ground, clock: std::sync::Arc<Clock>, seed: u64) -> Self {
        Self {
            sites: Api::namespaced(ground.client.clone(), &ground.namespace),
            maps: Api::namespaced(ground.client.clone(), &ground.namespace),
            deployments: Api::namespaced(ground.client.clone(), &ground.namespace),
            clock,
            seed,
            done: Done::default(),
        }
    }

    /// Creates `objects` Websites, then stirs them until `duration` is over, and mends at last what it broke.
    pub(crate) async fn run(
        &self,
        objects: usize,
        duration: Duration,
        progress: &indicatif::ProgressBar,
    ) -> anyhow::Result<()> {
        let mut dice = fastrand::Rng::with_seed(self.seed);
        // Name to whether the spec is one that the operator must refuse.
        let mut living = BTreeMap::new();
        let until = Instant::now() + duration;

        progress.set_message("creating");
        for number in 0..objects {
            self.create(&format!("site-{number}"), &mut dice, &mut living).await?;
            progress.inc(1);
        }
        progress.set_message("creating, changing, breaking, deleting");
        let (mut number, mut pace) = (objects, interval(Duration::from_millis(5)));
        while Instant::now() < until {
            pace.tick().await;
            let names: Vec<_> = living.keys().cloned().collect();
            let Some(name) = dice.choice(&names) else { break };
            match dice.u8(0..10) {
                0..5 => self.change(name, &mut dice, &mut living).await?,
                5..8 => self.break_what_it_owns(name, &mut dice).await?,
                8 => {
                    self.delete(name).await?;
                    living.remove(name);
                }
                _ => {
                    self.create(&format!("site-{number}"), &mut dice, &mut living).await?;
                    number += 1;
                }
            }
            progress.inc(1);
        }
        progress.set_message("mending");
        let wrong: Vec<_> =
            living.iter().filter(|(_, wrong)| **wrong).map(|(name, _)| name.clone()).collect();
        for name in wrong {
            self.patch(&name, json!({ "spec": { "replicas": 1 } })).await?;
            progress.inc(1);
        }
        Ok(())
    }

    /// Deletes every Website, and waits until the operator has let go of the last.
    pub(crate) async fn leave(&self) -> anyhow::Result<()> {
        self.sites.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        let gone = async {
            while !self.sites.list(&ListParams::default().limit(1)).await?.items.is_empty() {
                sleep(Duration::from_millis(100)).await;
            }
            anyhow::Ok(())
        };
        timeout(Duration::from_secs(60), gone)
            .await
            .context("the operator does not let go of its Websites")?
    }

    async fn create(
        &self,
        name: &str,
        dice: &mut fastrand::Rng,
        living: &mut BTreeMap<String, bool>,
    ) -> anyhow::Result<()> {
        let class = dice.choice(CLASSES).unwrap_or_default().to_owned();
        let spec = WebsiteSpec { html: format!("<h1>{name}</h1>"), class, replicas: dice.i32(1..4) };
        self.clock.asked(name, 1);
        self.sites
            .create(&PostParams::default(), &Website::new(name, spec))
            .await
            .with_context(|| format!("cannot create {name}"))?;
        self.done.created.fetch_add(1, Ordering::Relaxed);
        living.insert(name.into(), false);
        Ok(())
    }

    async fn change(
        &self,
        name: &str,
        dice: &mut fastrand::Rng,
        living: &mut BTreeMap<String, bool>,
    ) -> anyhow::Result<()> {
        // One in ten changes asks for what cannot be: the operator retries with backoff until it is mended.
        let wrong = dice.u8(0..10) == 0;
        let replicas = if wrong { -1 } else { dice.i32(1..4) };
        let html = format!("<h1>{name}</h1><p>{}</p>", dice.u32(..));
        living.insert(name.into(), wrong);
        self.patch(name, json!({ "spec": { "html": html, "replicas": replicas } })).await
    }

    async fn patch(&self, name: &str, patch: serde_json::Value) -> anyhow::Result<()> {
        let begun = Instant::now();
        let site = self
            .sites
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .with_context(|| format!("cannot change {name}"))?;
        self.clock.asked_at(name, site.metadata.generation.unwrap_or_default(), begun);
        self.done.changed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Takes away or spoils what the operator made; it must come back.
    async fn break_what_it_owns(&self, name: &str, dice: &mut fastrand::Rng) -> anyhow::Result<()> {
        let broken = match dice.u8(0..3) {
            0 => self.maps.delete(name, &DeleteParams::default()).await.map(drop),
            1 => self.deployments.delete(name, &DeleteParams::default()).await.map(drop),
            _ => {
                let spoilt = Patch::Merge(json!({ "data": { "index.html": "spoilt" } }));
                self.maps.patch(name, &PatchParams::default(), &spoilt).await.map(|map| drop(map.name_any()))
            }
        };
        match broken {
            Ok(()) => drop(self.done.broken.fetch_add(1, Ordering::Relaxed)),
            // The operator has not made it yet, or it was broken a moment ago.
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => return Err(error).with_context(|| format!("cannot break {name}")),
        }
        Ok(())
    }

    async fn delete(&self, name: &str) -> anyhow::Result<()> {
        self.sites
            .delete(name, &DeleteParams::default())
            .await
            .with_context(|| format!("cannot delete {name}"))?;
        self.done.deleted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
