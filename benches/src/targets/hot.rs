//! Reads of what is known decoded, by two readers, while ten thousand objects a second change.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Result, anyhow, ensure};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::{Api, Client};
use kube_runtime::{
    WatchStreamExt,
    reflector::{self, ObjectRef},
    watcher,
};
use nah_cache::{CacheFactoryExt, CacheOptions};
use nah_core::ObjectKey;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    client, control, factory, get, play,
    row::{Row, Unit},
};
use crate::{
    config_maps, process,
    server::{Kind, SEED, Server},
};

const OBJECTS: usize = 100_000;
/// How many of them are read: what is read often fits into the set of decoded objects, which is what makes it hot.
const HOT: usize = 4_000;
const READERS: u64 = 2;
const WRITES_PER_SECOND: usize = 10_000;
const SECONDS: u64 = 4;

pub(super) fn rows() -> Result<Vec<Row>> {
    let measured = |role| -> Result<Value> {
        let server = Server::start(Kind::ConfigMaps, OBJECTS)?;
        play(role, &server.url, OBJECTS)
    };
    let (ours, theirs) = (measured("nah-hot")?, measured("kube-hot")?);
    let row = Row::new("get, hot: reads a second of a reader's CPU", Unit::PerSecond, get(&ours, "reads")?);
    Ok(vec![row.beside("kube's Store", get(&theirs, "reads")?).times(1.3)])
}

pub(super) fn nah(url: &str, count: usize) -> Result<Value> {
    threads()?.block_on(async {
        let client = client(url)?;
        let factory = factory(client.clone(), CacheOptions::default());
        let maps = factory.informer::<ConfigMap>()?;
        maps.wait_for_sync().await?;
        let keys: Vec<ObjectKey> =
            hot(count).map(config_maps::name).map(|(namespace, name)| (&namespace, &name).into()).collect();
        for key in keys.iter().chain(&keys) {
            ensure!(maps.get(key)?.is_some(), "{key} is not there");
        }
        let read = |at: usize| maps.get(&keys[at]).ok().flatten().is_some();
        let (mut found, written) = (read_while_writing(&client, count, read).await?, maps.observed(None));
        let written = written.and_then(|version| version.number()).unwrap_or_default();
        found["writes"] = written.saturating_sub(count as u64).into();
        Ok(found)
    })
}

pub(super) fn kube(url: &str, count: usize) -> Result<Value> {
    threads()?.block_on(async {
        let client = client(url)?;
        let (store, writer) = reflector::store::<ConfigMap>();
        let events = watcher(Api::<ConfigMap>::all(client.clone()), watcher::Config::default());
        let writes = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counter = writes.clone();
        tokio::spawn(events.reflect(writer).try_for_each(move |event| {
            counter.fetch_add(usize::from(matches!(event, watcher::Event::Apply(_))), Relaxed);
            std::future::ready(Ok(()))
        }));
        store.wait_until_ready().await?;
        let keys: Vec<ObjectRef<ConfigMap>> = hot(count)
            .map(config_maps::name)
            .map(|(namespace, name)| ObjectRef::new(&name).within(&namespace))
            .collect();
        let read = |at: usize| store.get(&keys[at]).is_some();
        let mut found = read_while_writing(&client, count, read).await?;
        found["writes"] = writes.load(Relaxed).into();
        Ok(found)
    })
}

/// The numbers of those that are read, spread over all.
fn hot(count: usize) -> impl Iterator<Item = usize> {
    (0..HOT).map(move |at| at * (count / HOT))
}

/// The writes have a thread of their own, as in a process that reads from others.
fn threads() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?)
}

/// Reads at random from two threads while this one takes the writes in.
async fn read_while_writing(
    client: &Client,
    count: usize,
    read: impl Fn(usize) -> bool + Send + std::marker::Sync,
) -> Result<Value> {
    let stop = AtomicBool::new(false);
    let (stop, read) = (&stop, &read);
    let handle = tokio::runtime::Handle::current();
    let writes = WRITES_PER_SECOND * SECONDS as usize;
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|reader| {
                scope.spawn(move || {
                    let mut rng = fastrand::Rng::with_seed(SEED + reader);
                    let (begun, mut reads) = (process::thread_cpu(), 0_u64);
                    while !stop.load(Relaxed) {
                        for _ in 0..64 {
                            assert!(black_box(read(rng.usize(..HOT))));
                        }
                        reads += 64;
                    }
                    reads as f64 / (process::thread_cpu() - begun).as_secs_f64()
                })
            })
            .collect();
        let driven = tokio::task::block_in_place(|| {
            handle.block_on(async {
                let from = count + 1;
                control(client, &format!("events?count={writes}&rate={WRITES_PER_SECOND}&from={from}"))
                    .await?;
                sleep(Duration::from_secs(SECONDS)).await;
                anyhow::Ok(())
            })
        });
        stop.store(true, Relaxed);
        let rates: Result<Vec<f64>> = readers
            .into_iter()
            .map(|reader| reader.join().map_err(|_| anyhow!("a reader panicked")))
            .collect();
        driven?;
        let rates = rates?;
        Ok(json!({"reads": rates.iter().sum::<f64>() / rates.len() as f64}))
    })
}
