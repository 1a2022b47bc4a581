//! What an update costs, from the bytes of the watch to a handler that takes it typed.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube_client::{Api, Client};
use kube_runtime::{WatchStreamExt, reflector, watcher};
use nah_cache::{CacheFactoryExt, CacheOptions, Event};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    client, control, factory, get, play,
    row::{Row, Unit},
    runtime, setting,
};
use crate::{
    process,
    server::{Kind, Server},
};

/// How many Pods there are; each is updated once a round.
const PODS: usize = 10_000;
const ROUNDS: usize = 3;

pub(super) fn rows() -> Result<Vec<Row>> {
    let count = PODS.min(setting("NAH_BENCH_PODS", PODS)?);
    let measured = |role| -> Result<f64> {
        // A server each, so that both begin at the same version.
        let server = Server::start(Kind::Pods, count)?;
        get(&play(role, &server.url, count)?, "event_cpu")
    };
    let (ours, theirs) = (measured("nah-events")?, measured("kube-events")?);
    let row = Row::new("CPU of an update event to a typed handler", Unit::Nanoseconds, ours);
    Ok(vec![row.beside("kube's reflector + subscriber", theirs).times(1.0 / 0.7)])
}

pub(super) fn nah(url: &str, count: usize) -> Result<Value> {
    runtime()?.block_on(async {
        let client = client(url)?;
        let factory = factory(client.clone(), CacheOptions::default());
        let pods = factory.informer::<Pod>()?;
        let seen = Arc::new(AtomicUsize::new(0));
        let counter = seen.clone();
        let registration = pods.add_event_handler(move |event: Event<Pod>| {
            if let Event::Updated { new, .. } = event {
                black_box(&new.status);
                counter.fetch_add(1, Relaxed);
            }
        })?;
        registration.wait_for_sync().await;
        updated(&client, count, &seen).await
    })
}

pub(super) fn kube(url: &str, count: usize) -> Result<Value> {
    runtime()?.block_on(async {
        let client = client(url)?;
        let (store, writer) = reflector::store_shared::<Pod>(1024);
        let mut updates = writer.subscribe().context("the store is not shared")?;
        let seen = Arc::new(AtomicUsize::new(0));
        let counter = seen.clone();
        tokio::spawn(async move {
            while let Some(pod) = updates.next().await {
                black_box(&pod.status);
                counter.fetch_add(1, Relaxed);
            }
        });
        let events = watcher(Api::<Pod>::all(client.clone()), watcher::Config::default());
        tokio::spawn(events.reflect_shared(writer).try_for_each(|_| std::future::ready(Ok(()))));
        store.wait_until_ready().await?;
        // It tells of what is there first as if it had changed.
        while seen.load(Relaxed) < count {
            sleep(Duration::from_millis(5)).await;
        }
        seen.store(0, Relaxed);
        updated(&client, count, &seen).await
    })
}

/// Has every Pod updated, some times over, and tells what that cost an event.
async fn updated(client: &Client, count: usize, seen: &AtomicUsize) -> Result<Value> {
    let mut best = f64::INFINITY;
    for round in 0..ROUNDS {
        sleep(Duration::from_millis(500)).await;
        let (begun, before) = (process::cpu(), seen.load(Relaxed));
        control(client, &format!("events?count={count}&from={}", (round + 1) * count + 1)).await?;
        let patience = Instant::now() + Duration::from_secs(120);
        while seen.load(Relaxed) < before + count {
            ensure!(Instant::now() < patience, "{} of {count} updates came", seen.load(Relaxed) - before);
            sleep(Duration::from_millis(5)).await;
        }
        best = best.min((process::cpu() - begun).as_nanos() as f64 / count as f64);
    }
    Ok(json!({ "event_cpu": best }))
}
