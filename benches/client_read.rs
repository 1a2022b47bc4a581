//! Reads through the client against those of its own informer, with nothing and with ten thousand writes between them,
//! and against `kube::Api`, whose reads are requests (to a server in this process: no network is in its way).
#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]

mod cluster;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use cluster::{canned, pod};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use k8s_openapi::api::core::v1::Pod;
use kube_client::{
    Api, Client,
    api::{Patch, PatchParams},
    client::Body,
};
use nah_cache::{CacheFactoryExt as _, CacheOptions, Informer, ListOptions, informers};
use nah_client::{CachedClient, Reader as _, ReaderExt as _, WriterExt as _};
use nah_core::{Kind as _, ObjectKey};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tower::{BoxError, service_fn};

const PODS: usize = 10_000;

fn name(number: usize) -> (String, String) {
    (format!("ns-{}", number % 10), format!("pod-{number:06}"))
}

/// A client whose reads come from the canned server, and whose patches are answered by what is newer than that.
fn patched() -> Client {
    let inner = canned(PODS).0;
    let service = service_fn(move |request: http::Request<Body>| {
        let inner = inner.clone();
        async move {
            let path = request.uri().path().to_owned();
            let number = path.rsplit_once("/pod-").and_then(|(_, number)| number.parse::<usize>().ok());
            let Some(number) = number else { return inner.send(request).await.map_err(BoxError::from) };
            let version =
                if request.method() == http::Method::PATCH { 1_000_000 + number } else { number + 1 };
            let body = Body::from(pod(number, version).to_string().into_bytes());
            Ok(http::Response::new(body))
        }
    });
    Client::new(service, "default")
}

/// A client and its informer; with `writes` there are that many of its own that the cache has not caught up with.
fn ground(runtime: &Runtime, writes: usize) -> (CachedClient, Informer<Pod>) {
    runtime.block_on(async {
        let client = patched();
        let (factory, driver) = informers(client.clone(), CacheOptions::default().hot_bytes(1 << 30));
        let cached = CachedClient::new(client, factory.clone());
        tokio::spawn(driver.run());
        let pods = factory.informer::<Pod>().unwrap();
        pods.wait_for_sync().await.unwrap();
        let patch = Patch::Merge(json!({ "metadata": { "labels": { "seen": "1" } } }));
        for number in 0..writes {
            cached.patch::<Pod>(name(number), &patch, &PatchParams::default()).await.unwrap();
        }
        (cached, pods)
    })
}

fn reads(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let keys: Vec<ObjectKey> = (0..256).map(|at| name(at * PODS / 256).into()).collect();
    let gvk = Pod::kind_of();
    let all = ListOptions::default();
    let few = ListOptions::default().in_namespace("ns-3").limit(100);
    let (quiet, pods) = ground(&runtime, 0);
    let (busy, _busy_pods) = ground(&runtime, PODS);
    let mut at = 0;
    let mut next = || {
        at = (at + 1) % 256;
        at
    };

    // Warm, and what it should be.
    for key in &keys {
        for _ in 0..2 {
            pods.get(key).unwrap().unwrap();
            runtime.block_on(quiet.get::<Pod>(key)).unwrap();
            runtime.block_on(busy.get::<Pod>(key)).unwrap();
        }
        let version = |client: &CachedClient| {
            client.lookup(&gvk, key).unwrap().unwrap().resource_version().unwrap().number()
        };
        assert!(version(&quiet).unwrap() <= PODS as u64 && version(&busy).unwrap() > PODS as u64);
    }

    let mut group = criterion.benchmark_group("look a Pod up");
    group.bench_function(BenchmarkId::new("nah", PODS), |b| {
        b.iter(|| quiet.lookup(&gvk, &keys[next()]).unwrap())
    });
    group.bench_function(BenchmarkId::new("informer alone", PODS), |b| {
        let handles = pods.clone().typed::<nah_core::Object>();
        b.iter(|| handles.get(&keys[next()]).unwrap());
    });
    group.bench_function(BenchmarkId::new("nah, 10k writes in the overlay", PODS), |b| {
        b.iter(|| busy.lookup(&gvk, &keys[next()]).unwrap());
    });
    group.finish();

    let mut group = criterion.benchmark_group("get a hot Pod through the client");
    group.bench_function(BenchmarkId::new("nah", PODS), |b| {
        b.iter(|| runtime.block_on(quiet.get::<Pod>(&keys[next()])).unwrap());
    });
    group.bench_function(BenchmarkId::new("informer alone", PODS), |b| {
        b.iter(|| runtime.block_on(async { pods.get(&keys[next()]).unwrap() }));
    });
    group.bench_function(BenchmarkId::new("nah, 10k writes in the overlay", PODS), |b| {
        b.iter(|| runtime.block_on(busy.get::<Pod>(&keys[next()])).unwrap());
    });
    let names: Vec<_> = (0..256).map(|at| name(at * PODS / 256)).collect();
    let client = runtime.block_on(async { patched() });
    let apis: Vec<Api<Pod>> = (0..10).map(|n| Api::namespaced(client.clone(), &format!("ns-{n}"))).collect();
    group.bench_function(BenchmarkId::new("kube, live", PODS), |b| {
        b.iter(|| {
            let (namespace, name) = &names[next()];
            let api = &apis[namespace[3..].parse::<usize>().unwrap()];
            runtime.block_on(api.get(name)).unwrap()
        });
    });
    group.finish();

    for (what, options) in
        [("list the kind through the client", &all), ("list a hundred of a namespace", &few)]
    {
        let mut group = criterion.benchmark_group(what);
        group.bench_function(BenchmarkId::new("nah", PODS), |b| {
            b.iter(|| quiet.select(&gvk, options).unwrap().len());
        });
        group.bench_function(BenchmarkId::new("informer alone", PODS), |b| {
            b.iter(|| black_box(&pods).list(options).unwrap().len());
        });
        group.bench_function(BenchmarkId::new("nah, 10k writes in the overlay", PODS), |b| {
            b.iter(|| busy.select(&gvk, options).unwrap().len());
        });
        // What was merged is of no use after a write.
        let patch = Patch::Merge(json!({ "metadata": { "labels": { "seen": "2" } } }));
        let parameters = PatchParams::default();
        group.bench_function(
            BenchmarkId::new("nah, 10k writes in the overlay, another before each list", PODS),
            |b| {
                b.iter_custom(|times| {
                    let mut taken = Duration::ZERO;
                    for _ in 0..times {
                        let write = busy.patch::<Pod>(name(next()), &patch, &parameters);
                        runtime.block_on(write).unwrap();
                        let begin = Instant::now();
                        black_box(busy.select(&gvk, options).unwrap().len());
                        taken += begin.elapsed();
                    }
                    taken
                });
            },
        );
        group.finish();
    }
}

criterion_group!(benches, reads);
criterion_main!(benches);
