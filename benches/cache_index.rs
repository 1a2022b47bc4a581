//! Queries by an index, against a scan of `kube_runtime`'s `Store`, and what an index costs when an object arrives.
#![allow(clippy::unwrap_used, missing_docs)]

mod cluster;

use cluster::{PODS_PER_NODE, canned, pod};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use k8s_openapi::api::core::v1::Pod;
use kube_runtime::{reflector, watcher};
use nah_cache::{CacheFactoryExt, CacheOptions, FieldIndexerExt, InformerFactory, ListOptions, informers};
use tokio::runtime::{Builder, Runtime};

const SIZES: [usize; 3] = [1_000, 10_000, 50_000];

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

fn factory(runtime: &Runtime, size: usize) -> InformerFactory {
    runtime.block_on(async {
        let (factory, driver) = informers(canned(size).0, CacheOptions::default());
        tokio::spawn(driver.run());
        factory
    })
}

fn queries(criterion: &mut Criterion) {
    for size in SIZES {
        let runtime = runtime();
        let factory = factory(&runtime, size);
        let by_node = factory.index_path::<Pod>("spec.nodeName").unwrap();
        let by_phase = factory.index_path::<Pod>("status.phase").unwrap();
        let ours = factory.informer::<Pod>().unwrap();
        runtime.block_on(ours.wait_for_sync()).unwrap();
        let (theirs, mut writer) = reflector::store::<Pod>();
        writer.apply_watcher_event(&watcher::Event::Init);
        for number in 0..size {
            let pod = serde_json::from_value(pod(number, number + 1)).unwrap();
            writer.apply_watcher_event(&watcher::Event::InitApply(pod));
        }
        writer.apply_watcher_event(&watcher::Event::InitDone);
        let on_node =
            |pod: &Pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.as_deref() == Some("node-3"));

        let mut group = criterion.benchmark_group("list the Pods of a node");
        let query = ListOptions::default().by(&by_node, "node-3");
        assert_eq!(ours.list(&query).unwrap().len(), PODS_PER_NODE);
        group.bench_function(BenchmarkId::new("nah", size), |b| b.iter(|| ours.list(&query).unwrap().len()));
        group.bench_function(BenchmarkId::new("kube", size), |b| {
            b.iter(|| theirs.state_filter(on_node).len())
        });
        group.finish();

        let mut group = criterion.benchmark_group("list the Pods of a node in a phase");
        let query = query.by(&by_phase, "Running");
        group.bench_function(BenchmarkId::new("nah", size), |b| b.iter(|| ours.list(&query).unwrap().len()));
        let running = |pod: &Pod| {
            on_node(pod)
                && pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running"))
        };
        group.bench_function(BenchmarkId::new("kube", size), |b| {
            b.iter(|| theirs.state_filter(running).len())
        });
        group.finish();

        let mut group = criterion.benchmark_group("list a namespace by label");
        let query = ListOptions::default().in_namespace("ns-3").matching_labels([("app", "app-5")]);
        group.bench_function(BenchmarkId::new("nah", size), |b| b.iter(|| ours.list(&query).unwrap().len()));
        let labelled = |pod: &Pod| {
            pod.metadata.namespace.as_deref() == Some("ns-3")
                && pod
                    .metadata
                    .labels
                    .as_ref()
                    .is_some_and(|labels| labels.get("app").is_some_and(|app| app == "app-5"))
        };
        group.bench_function(BenchmarkId::new("kube", size), |b| {
            b.iter(|| theirs.state_filter(labelled).len())
        });
        group.finish();
    }
}

/// An index is added to a filled cache: each object is asked for its value once.
fn extractors(criterion: &mut Criterion) {
    let size = 2_000;
    let mut group = criterion.benchmark_group("index two thousand Pods");
    group.sample_size(20);
    let runtime = runtime();
    let synced = || {
        // Nothing is remembered, so that each closure decodes as it does when an object arrives.
        let factory = runtime.block_on(async {
            let (factory, driver) = informers(canned(size).0, CacheOptions::default().hot_bytes(1));
            tokio::spawn(driver.run());
            factory
        });
        runtime.block_on(factory.informer::<Pod>().unwrap().wait_for_sync()).unwrap();
        factory
    };
    let mut number = 0;
    let factory = synced();
    group.bench_function(BenchmarkId::new("nah", size), |b| {
        b.iter(|| {
            number += 1;
            let path = nah_cache::Extract::Path("spec.nodeName".into());
            let gvk = <Pod as nah_core::Kind>::kind_of();
            nah_cache::FieldIndexer::add_index(&factory, &gvk, &number.to_string(), path).unwrap();
        });
    });
    let factory = synced();
    group.bench_function(BenchmarkId::new("typed closure", size), |b| {
        b.iter(|| {
            number += 1;
            let node = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
            factory.index_field::<Pod, _>(&number.to_string(), node).unwrap();
        });
    });
    group.finish();
}

criterion_group!(benches, queries, extractors);
criterion_main!(benches);
