//! Small objects, from ten thousand to a million: what each costs, and whether a read is as fast as ever.

use std::hint::black_box;

use anyhow::{Result, ensure};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::Api;
use kube_runtime::{WatchStreamExt, reflector, watcher};
use nah_cache::{CacheFactoryExt, CacheOptions, FieldIndexerExt, ListOptions};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    MOST, client, factory, get,
    nah_pods::SETTLE,
    play,
    row::{Row, Unit},
    runtime, setting,
};
use crate::{
    config_maps::{PER_VALUE, shard},
    process,
    server::{Kind, SEED, Server},
};

const LEAST: usize = 10_000;
/// How many the rival has: a million decoded ones would take what few machines have.
const RIVAL: usize = 100_000;
const READS: usize = 20_000;

pub(super) fn rows() -> Result<Vec<Row>> {
    let most = setting("NAH_BENCH_MOST", MOST)?;
    let measured = |role, count| -> Result<Value> {
        let server = Server::start(Kind::ConfigMaps, count)?;
        play(role, &server.url, count)
    };
    let (few, many) = (measured("nah-growth", LEAST)?, measured("nah-growth", most)?);
    let theirs = measured("kube-growth", RIVAL.min(most))?;
    let grown = |field: &str, unit, measure: &str, times: f64| -> Result<Row> {
        let row = Row::new(format!("{measure}, {LEAST} to {most}"), unit, get(&many, field)?);
        Ok(row.beside("ours of 10k", get(&few, field)?).times(1.0 / times))
    };
    Ok(vec![
        grown("cpu", Unit::Nanoseconds, "growth: CPU an object", 1.2)?,
        grown("bytes", Unit::Bytes, "growth: bytes an object", 1.2)?,
        // It walks a hundred rows either way; what is left is memory that is further away.
        grown("by_index", Unit::Nanoseconds, "list by index, 100 objects", 3.0)?,
        Row::new(format!("take a list of all {most}"), Unit::Nanoseconds, get(&many, "take")?)
            .beside("kube's state() of 100k", get(&theirs, "take")?)
            .at_most(1_000.0),
        Row::new(format!("walk a list of all {most}, an item"), Unit::Nanoseconds, get(&many, "walk")?)
            .beside("kube's", get(&theirs, "walk")?),
        Row::new(format!("list by index, 100 of {most}"), Unit::Nanoseconds, get(&many, "by_index")?)
            .beside("kube's scan of 100k", get(&theirs, "scan")?)
            .times(50.0),
    ])
}

pub(super) fn nah(url: &str, count: usize) -> Result<Value> {
    runtime()?.block_on(async {
        let factory = factory(client(url)?, CacheOptions::default());
        let by_shard = factory.index_path::<ConfigMap>("data.shard")?;
        let (bare, begun) = (process::memory()?.resident, process::cpu());
        let maps = factory.informer::<ConfigMap>()?;
        maps.wait_for_sync().await?;
        let cpu = process::cpu() - begun;
        sleep(SETTLE).await;
        let settled = process::memory()?.resident;
        ensure!(maps.status().objects == count, "{:?}", maps.status());

        let all = ListOptions::default();
        let begun = process::thread_cpu();
        for _ in 0..READS {
            black_box(maps.list(&all)?);
        }
        let take = (process::thread_cpu() - begun).as_nanos() as f64 / READS as f64;
        let list = maps.list(&all)?;
        let begun = process::thread_cpu();
        let sorted = list.handles().is_sorted_by(|a, b| a.key() < b.key());
        let walk = (process::thread_cpu() - begun).as_nanos() as f64 / count as f64;
        ensure!(sorted && list.len() == count, "{} objects, sorted: {sorted}", list.len());

        let shards = count / PER_VALUE;
        let queries: Vec<_> =
            (0..shards).map(|number| ListOptions::default().by(&by_shard, shard(number, count))).collect();
        let mut rng = fastrand::Rng::with_seed(SEED);
        let (begun, mut walked) = (process::thread_cpu(), 0);
        for _ in 0..READS {
            let list = maps.list(&queries[rng.usize(..shards)])?;
            walked += black_box(list.handles().filter(|map| !map.key().name().is_empty()).count());
        }
        let by_index = (process::thread_cpu() - begun).as_nanos() as f64 / READS as f64;
        ensure!(walked == READS * PER_VALUE, "{walked} objects in {READS} lists");
        let an_object = |total: f64| total / count as f64;
        Ok(json!({
            "cpu": an_object(cpu.as_nanos() as f64), "bytes": an_object((settled - bare) as f64), "take": take,
            "walk": walk, "by_index": by_index, "settled": settled, "encoded": an_object(maps.status().bytes as f64),
        }))
    })
}

pub(super) fn kube(url: &str, count: usize) -> Result<Value> {
    runtime()?.block_on(async {
        let (store, writer) = reflector::store::<ConfigMap>();
        let (bare, begun) = (process::memory()?.resident, process::cpu());
        let events = watcher(Api::<ConfigMap>::all(client(url)?), watcher::Config::default());
        tokio::spawn(events.reflect(writer).try_for_each(|_| std::future::ready(Ok(()))));
        store.wait_until_ready().await?;
        let cpu = process::cpu() - begun;
        sleep(SETTLE).await;
        let settled = process::memory()?.resident;

        let begun = process::thread_cpu();
        for _ in 0..20 {
            black_box(store.state());
        }
        let take = (process::thread_cpu() - begun).as_nanos() as f64 / 20.0;
        let list = store.state();
        let begun = process::thread_cpu();
        black_box(list.iter().is_sorted_by(|a, b| a.metadata.name.is_some() && b.metadata.name.is_some()));
        let walk = (process::thread_cpu() - begun).as_nanos() as f64 / count as f64;
        let wanted = shard(0, count);
        let of_shard = |map: &ConfigMap| {
            map.data.as_ref().is_some_and(|data| data.get("shard").is_some_and(|shard| *shard == wanted))
        };
        let begun = process::thread_cpu();
        for _ in 0..10 {
            ensure!(black_box(store.state_filter(of_shard)).len() == PER_VALUE);
        }
        let scan = (process::thread_cpu() - begun).as_nanos() as f64 / 10.0;
        let an_object = |total: f64| total / count as f64;
        Ok(json!({
            "cpu": an_object(cpu.as_nanos() as f64), "bytes": an_object((settled - bare) as f64), "take": take,
            "walk": walk, "scan": scan,
        }))
    })
}
