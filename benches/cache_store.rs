//! Reads and events of the cache, against `kube_runtime`'s reflector and its `Store`.
#![allow(clippy::unwrap_used, missing_docs)]

mod cluster;

use std::{hint::black_box, pin::pin, time::Duration};

use cluster::{canned, modified, pod};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube_client::Api;
use kube_runtime::{
    reflector::{self, ObjectRef, Store},
    watcher,
};
use nah_cache::{CacheFactoryExt, CacheOptions, Informer, ListOptions, informers};
use nah_core::{ObjectKey, ResourceVersion};
use tokio::{
    runtime::{Builder, Runtime},
    time::Instant,
};

const SIZES: [usize; 2] = [1_000, 10_000];
/// How many events a reflector is given at once.
const BURST: usize = 1_000;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

fn ours(runtime: &Runtime, size: usize) -> Informer<Pod> {
    runtime.block_on(async {
        let (factory, driver) = informers(canned(size).0, CacheOptions::default().hot_bytes(1 << 30));
        tokio::spawn(driver.run());
        let pods = factory.informer::<Pod>().unwrap();
        pods.wait_for_sync().await.unwrap();
        pods
    })
}

fn theirs(size: usize) -> Store<Pod> {
    let (store, mut writer) = reflector::store();
    writer.apply_watcher_event(&watcher::Event::Init);
    for number in 0..size {
        let pod = serde_json::from_value(pod(number, number + 1)).unwrap();
        writer.apply_watcher_event(&watcher::Event::InitApply(pod));
    }
    writer.apply_watcher_event(&watcher::Event::InitDone);
    store
}

fn reads(criterion: &mut Criterion) {
    for size in SIZES {
        let runtime = runtime();
        let (ours, theirs) = (ours(&runtime, size), theirs(size));
        let names: Vec<_> = (0..256)
            .map(|at| at * size / 256)
            .map(|n| (format!("ns-{}", n % 10), format!("pod-{n:06}")))
            .collect();
        let keys: Vec<ObjectKey> = names.iter().map(|(namespace, name)| (namespace, name).into()).collect();
        let refs: Vec<_> =
            names.iter().map(|(namespace, name)| ObjectRef::<Pod>::new(name).within(namespace)).collect();
        keys.iter().for_each(|key| assert!(ours.get(key).unwrap().is_some()));
        refs.iter().for_each(|key| assert!(theirs.get(key).is_some()));

        let mut group = criterion.benchmark_group("get a hot Pod");
        let mut at = 0;
        let mut next = || {
            at = (at + 1) % 256;
            at
        };
        group.bench_function(BenchmarkId::new("nah", size), |b| b.iter(|| ours.get(&keys[next()]).unwrap()));
        group.bench_function(BenchmarkId::new("kube", size), |b| b.iter(|| theirs.get(&refs[next()])));
        group.finish();

        let mut group = criterion.benchmark_group("take a list of the kind");
        let all = ListOptions::default();
        group.bench_function(BenchmarkId::new("nah", size), |b| b.iter(|| ours.list(&all).unwrap().len()));
        group.bench_function(BenchmarkId::new("kube", size), |b| b.iter(|| theirs.state().len()));
        group.finish();

        let mut group = criterion.benchmark_group("walk the names of the kind");
        group.bench_function(BenchmarkId::new("nah", size), |b| {
            let list = || ours.list(&all).unwrap();
            b.iter(|| list().handles().map(|pod| pod.key().name().len()).sum::<usize>());
        });
        group.bench_function(BenchmarkId::new("kube", size), |b| {
            b.iter(|| {
                theirs
                    .state()
                    .iter()
                    .filter_map(|pod| pod.metadata.name.as_ref())
                    .map(String::len)
                    .sum::<usize>()
            });
        });
        group.finish();
    }
}

/// From the line of a watch to the store, with nobody who decodes it on our side and kube's decode on its own.
fn events(criterion: &mut Criterion) {
    let size = 10_000;
    let mut group = criterion.benchmark_group("take an event in");
    group.sample_size(20).measurement_time(Duration::from_secs(8));
    group.bench_function(BenchmarkId::new("nah", size), |b| {
        let runtime = runtime();
        let (client, lines) = runtime.block_on(async { canned(size) });
        let (factory, driver) = informers(client, CacheOptions::default());
        runtime.spawn(driver.run());
        let pods = factory.informer::<Pod>().unwrap();
        runtime.block_on(pods.wait_for_sync()).unwrap();
        let mut version = size;
        b.iter_custom(|iterations| {
            let burst: Vec<_> = (0..BURST).map(|n| modified(n * 7 % size, version + n + 1)).collect();
            version += BURST;
            let begun = Instant::now();
            burst.into_iter().for_each(|line| lines.unbounded_send(line).unwrap());
            runtime.block_on(pods.wait_until_observed(&ResourceVersion::from(version as u64))).unwrap();
            begun.elapsed() * u32::try_from(iterations).unwrap() / BURST as u32
        });
    });
    group.bench_function(BenchmarkId::new("kube", size), |b| {
        let runtime = runtime();
        let (client, lines) = runtime.block_on(async { canned(size) });
        let (store, writer) = reflector::store::<Pod>();
        let pods = Api::<Pod>::all(client);
        let mut events = pin!(reflector::reflector(writer, watcher(pods, watcher::Config::default())));
        let mut next = || runtime.block_on(events.next()).unwrap().unwrap();
        while !matches!(next(), watcher::Event::InitDone) {}
        assert_eq!(store.len(), size);
        let mut version = size;
        b.iter_custom(|iterations| {
            let burst: Vec<_> = (0..BURST).map(|n| modified(n * 7 % size, version + n + 1)).collect();
            version += BURST;
            let begun = Instant::now();
            burst.into_iter().for_each(|line| lines.unbounded_send(line).unwrap());
            for _ in 0..BURST {
                black_box(next());
            }
            begun.elapsed() * u32::try_from(iterations).unwrap() / BURST as u32
        });
    });
    group.finish();
}

criterion_group!(benches, reads, events);
criterion_main!(benches);
