//! Our side of the Pods: sync, settle, list again, and be read.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use nah_cache::{
    Applied, CacheFactoryExt, CacheOptions, FieldIndexerExt, Index, Informer, InformerFactory, ListOptions,
    Observer,
};
use nah_core::{Object, ObjectKey};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{client, control, factory, runtime};
use crate::{
    pods::{Pods, node_name},
    process,
    server::SEED,
};

/// How long the process is left alone before its memory is read.
pub(super) const SETTLE: Duration = Duration::from_secs(5);
/// How many reads a figure is the mean of.
const READS: usize = 5_000;
/// A read that took so long is looked at closely.
const SLOW: Duration = Duration::from_micros(200);

/// Counts complete lists.
#[derive(Default)]
struct Lists(AtomicUsize);

impl Observer for Lists {
    fn applied(&self, _: &Informer, _: Option<&str>, applied: &Applied<'_>) {
        if matches!(applied, Applied::List { .. }) {
            self.0.fetch_add(1, Relaxed);
        }
    }
}

/// What a reader met while something else was going on.
#[derive(Default)]
struct Reads {
    count: u64,
    slowest: Duration,
}

pub(super) fn measure(url: &str, count: usize) -> Result<Value> {
    let runtime = runtime()?;
    runtime.block_on(measured(url, count))
}

async fn measured(url: &str, count: usize) -> Result<Value> {
    let client = client(url)?;
    let bare = process::memory()?;
    let begun = process::cpu();
    let factory = factory(client.clone(), CacheOptions::default());
    let lists = Arc::new(Lists::default());
    factory.observe(lists.clone());
    let by_node = factory.index_path::<Pod>("spec.nodeName")?;
    factory.index_path::<Pod>("status.phase")?;
    factory.index_labels::<Pod>()?;
    let pods = factory.informer::<Pod>()?;
    let started = Instant::now();
    pods.wait_for_sync().await?;
    let sync_wall = started.elapsed();
    let sync_cpu = process::cpu() - begun;
    let sync_peak = process::memory()?.peak;
    sleep(SETTLE).await;
    let settled = process::memory()?;
    let idle_cpu = process::cpu() - begun - sync_cpu;
    ensure!(pods.status().objects == count, "{:?}", pods.status());

    process::reset_peak()?;
    let (events, relist_cpu) = relisted(&client, &lists, &pods).await?;
    let relist_peak = process::memory()?.peak;
    sleep(SETTLE).await;
    // Before the reads of the next list: what they decode and remember is theirs.
    let relisted = process::memory()?;
    let reads = read_while_relisting(&client, &lists, &pods, &by_node, count).await?;

    let status = pods.status();
    let mut found = json!({
        "bare": bare.resident, "sync_wall": sync_wall.as_nanos() as u64, "sync_cpu": sync_cpu.as_nanos() as u64,
        "sync_peak": sync_peak, "settled": settled.resident, "settled_anonymous": settled.anonymous,
        "idle_cpu": idle_cpu.as_nanos() as u64, "encoded": status.bytes,
        "relist_cpu": relist_cpu.as_nanos() as u64, "relist_events": events, "relist_peak": relist_peak,
        "relisted": relisted.resident, "relist_reads": reads.count,
        "relist_slowest_read": reads.slowest.as_nanos() as u64,
    });
    found["by_index"] = by_index(&pods, &by_node, count)?.into();
    found["cold_get"] = cold_gets(&pods, count)?.into();
    found["path_index"] = indexed(&pods, || path(&factory)).await?.into();
    found["closure_index"] = indexed(&pods, || closure(&factory)).await?.into();
    Ok(found)
}

/// A list of which nothing is new: how many events a subscriber was told, and what it cost.
async fn relisted(
    client: &kube_client::Client,
    lists: &Lists,
    pods: &Informer<Pod>,
) -> Result<(usize, Duration)> {
    let mut subscription = pods.clone().typed::<Object>().subscribe()?;
    while !subscription.has_synced() {
        subscription.next().await.context("the subscription ended")??;
    }
    let begun = process::cpu();
    list_again(client, lists).await?;
    let cpu = process::cpu() - begun;
    let mut events = 0;
    while let Ok(event) = tokio::time::timeout(Duration::from_millis(200), subscription.next()).await {
        event.context("the subscription ended")??;
        events += 1;
    }
    Ok((events, cpu))
}

/// Has the server end the watch with 410, and waits for the list that follows.
async fn list_again(client: &kube_client::Client, lists: &Lists) -> Result<()> {
    let before = lists.0.load(Relaxed);
    control(client, "expire").await?;
    let patience = Instant::now() + Duration::from_secs(120);
    while lists.0.load(Relaxed) == before {
        ensure!(Instant::now() < patience, "no list came");
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

async fn read_while_relisting(
    client: &kube_client::Client,
    lists: &Lists,
    pods: &Informer<Pod>,
    by_node: &Index<Pod>,
    count: usize,
) -> Result<Reads> {
    let keys = keys(count, 64);
    for key in &keys {
        // Twice, so that the decoded form stays.
        pods.get(key)?;
        pods.get(key)?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let reader = {
        let (pods, by_node, stop) = (pods.clone(), by_node.clone(), stop.clone());
        std::thread::spawn(move || read(&pods, &by_node, &keys, &stop))
    };
    list_again(client, lists).await?;
    stop.store(true, Relaxed);
    reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))?
}

/// Reads until told to stop, one at a time: a Pod that is known decoded, a node's Pods, the list of all.
fn read(pods: &Informer<Pod>, by_node: &Index<Pod>, keys: &[ObjectKey], stop: &AtomicBool) -> Result<Reads> {
    let (all, node) = (ListOptions::default(), ListOptions::default().by(by_node, node_name(0)));
    let mut reads = Reads::default();
    let mut waits = process::waits()?;
    let mut one = |read: &dyn Fn() -> Result<()>, reads: &mut Reads| -> Result<()> {
        let (cpu, begun) = (process::thread_cpu(), Instant::now());
        read()?;
        let (elapsed, cpu) = (begun.elapsed(), process::thread_cpu() - cpu);
        reads.count += 1;
        let mut took = elapsed;
        if elapsed > SLOW {
            // One that waited for a lock gave its processor away; one that did not was merely put off it by others.
            let now = process::waits()?;
            took = if now > waits { elapsed } else { cpu };
            waits = now;
        }
        reads.slowest = reads.slowest.max(took);
        Ok(())
    };
    while !stop.load(Relaxed) {
        for key in keys {
            one(&|| Ok(_ = black_box(pods.get(key)?)), &mut reads)?;
        }
        one(&|| Ok(_ = black_box(pods.list(&node)?)), &mut reads)?;
        one(&|| Ok(_ = black_box(pods.list(&all)?)), &mut reads)?;
    }
    Ok(reads)
}

/// Nanoseconds for the Pods of a node, walked.
fn by_index(pods: &Informer<Pod>, by_node: &Index<Pod>, count: usize) -> Result<f64> {
    let nodes = Pods::new(SEED, count).nodes();
    let queries: Vec<_> =
        (0..nodes).map(|node| ListOptions::default().by(by_node, node_name(node))).collect();
    let mut rng = fastrand::Rng::with_seed(SEED);
    let (begun, mut walked) = (process::thread_cpu(), 0);
    for _ in 0..READS {
        let list = pods.list(&queries[rng.usize(..nodes)])?;
        walked += black_box(list.handles().filter(|pod| !pod.key().name().is_empty()).count());
    }
    let took = process::thread_cpu() - begun;
    ensure!(walked >= READS * count.min(crate::pods::PODS_PER_NODE), "{walked} Pods in {READS} lists");
    Ok(took.as_nanos() as f64 / READS as f64)
}

/// Nanoseconds for a typed Pod that nobody has read before.
fn cold_gets(pods: &Informer<Pod>, count: usize) -> Result<f64> {
    let keys = keys(count, READS.min(count / 2));
    let begun = process::thread_cpu();
    for key in &keys {
        ensure!(black_box(pods.get(key)?).is_some(), "{key} is not there");
    }
    Ok((process::thread_cpu() - begun).as_nanos() as f64 / keys.len() as f64)
}

/// Nanoseconds an object for a further index.
async fn indexed(pods: &Informer<Pod>, add: impl FnOnce() -> Result<()>) -> Result<f64> {
    let begun = process::cpu();
    add()?;
    pods.wait_for_sync().await?;
    Ok((process::cpu() - begun).as_nanos() as f64 / pods.status().objects as f64)
}

fn path(factory: &InformerFactory) -> Result<()> {
    factory.index_path::<Pod>("spec.schedulerName")?;
    Ok(())
}

fn closure(factory: &InformerFactory) -> Result<()> {
    let scheduler = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.scheduler_name.clone());
    factory.index_field::<Pod, _>("scheduler", scheduler)?;
    Ok(())
}

/// The keys of so many Pods, spread over all of them; other ones for another number.
fn keys(count: usize, wanted: usize) -> Vec<ObjectKey> {
    let pods = Pods::new(SEED, count);
    let step = (count / wanted.max(1)).max(1);
    let number = |at: usize| (at * step + wanted % step) % count;
    (0..wanted).map(|at| pods.name(number(at))).map(|(namespace, name)| (&namespace, &name).into()).collect()
}
