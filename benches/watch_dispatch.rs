//! A run over the callbacks of a key, against the same calls with nothing around them; and the whole way of a key from
//! the queue to a callback, against kube's `applier`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{collections::HashMap, convert::Infallible, hint::black_box, sync::Arc, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures::{FutureExt, StreamExt, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube_runtime::{
    controller::{Action, Config, ReconcileReason, ReconcileRequest, applier},
    reflector::{ObjectRef, Store, store},
    watcher::Event,
};
use nah_core::{BoxError, Causes, Kind, Object, ObjectKey, ObjectMeta};
use nah_trigger::{Lane, QueueOptions};
use nah_watch::{Callback, Callbacks, Change, Meant};
use tokio::{
    runtime::{Builder, Runtime},
    task::yield_now,
};

fn config_map(at: usize) -> ConfigMap {
    let metadata = ObjectMeta {
        name: Some(format!("object-{at:07}")),
        namespace: Some("default".into()),
        uid: Some(format!("uid-{at}")),
        resource_version: Some("1".into()),
        ..ObjectMeta::default()
    };
    ConfigMap { metadata, ..ConfigMap::default() }
}

fn callback() -> Arc<dyn Callback> {
    Arc::new(|change: Change| async move {
        black_box(&change.object);
        Ok::<(), BoxError>(())
    })
}

async fn gives_way(_: Change) -> Result<(), BoxError> {
    yield_now().await;
    Ok(())
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

/// Callbacks a kind, and kinds: a kind's list is its own, so neither should cost the other anything.
fn run(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("watch_dispatch");
    for (kinds, count) in [(1, 1), (1, 8), (1, 64), (100, 8)] {
        let lists: Vec<_> = (0..kinds).map(|_| Callbacks::new(ConfigMap::kind_of())).collect();
        for list in &lists {
            for at in 0..count {
                list.add(&format!("callback-{at}"), callback()).unwrap();
            }
        }
        let bare: Vec<_> = (0..count).map(|_| callback()).collect();
        let object = Object::from_typed(Arc::new(config_map(0))).unwrap();
        let change = Change::new(ConfigMap::kind_of(), object.key().clone(), Some(object));
        let size = format!("{kinds}x{count}");
        group.throughput(Throughput::Elements(kinds * count));
        group.bench_function(BenchmarkId::new("nah", &size), |bencher| {
            bencher.iter(|| {
                for list in &lists {
                    black_box(list.run(change.clone(), &Meant::All).now_or_never().unwrap());
                }
            });
        });
        group.bench_function(BenchmarkId::new("bare_calls", &size), |bencher| {
            bencher.iter(|| {
                for _ in 0..kinds {
                    for callback in &bare {
                        drop(black_box(callback.call(change.clone()).now_or_never()));
                    }
                }
            });
        });
    }
}

/// A key from the request to the end of a callback that does nothing, ten at once, the object from a map.
fn whole_way(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("watch_whole_way");
    for size in [100, 10_000] {
        group.throughput(Throughput::Elements(size as u64)).sample_size(10);
        let runtime = runtime();
        let objects = objects(size);
        let callbacks = Callbacks::new(ConfigMap::kind_of());
        callbacks.add("no-op", callback()).unwrap();
        group.bench_function(BenchmarkId::new("nah", size), |bencher| {
            bencher.iter(|| runtime.block_on(ours(&objects, &callbacks, 10)));
        });

        let (reader, keys) = rival_store(size);
        group.bench_function(BenchmarkId::new("kube_applier", size), |bencher| {
            bencher.iter(|| runtime.block_on(rival(&keys, reader.clone(), 10, false)));
        });
    }
}

fn objects(size: usize) -> HashMap<ObjectKey, Object> {
    (0..size)
        .map(|at| Object::from_typed(Arc::new(config_map(at))).unwrap())
        .map(|object| (object.key().clone(), object))
        .collect()
}

fn rival_store(size: usize) -> (Store<ConfigMap>, Vec<ObjectRef<ConfigMap>>) {
    let (reader, mut writer) = store::<ConfigMap>();
    writer.apply_watcher_event(&Event::Init);
    for at in 0..size {
        writer.apply_watcher_event(&Event::InitApply(config_map(at)));
    }
    writer.apply_watcher_event(&Event::InitDone);
    (reader, (0..size).map(|at| ObjectRef::from_obj(&config_map(at))).collect())
}

async fn ours(objects: &HashMap<ObjectKey, Object>, callbacks: &Callbacks, at_once: usize) {
    let (handle, keys) = nah_trigger::queue::<ObjectKey, Causes>(QueueOptions::default());
    for key in objects.keys() {
        handle.add(key.clone(), Causes::EVENT, Lane::Fresh).unwrap();
    }
    handle.close();
    keys.for_each_concurrent(at_once, |claim| async move {
        let object = objects.get(claim.key()).cloned();
        let change =
            Change::new(callbacks.gvk().clone(), claim.key().clone(), object).caused_by(*claim.cause());
        let report = callbacks.run(change, &Meant::All).await;
        assert!(report.is_ok());
        claim.done();
    })
    .await;
}

async fn rival(keys: &[ObjectRef<ConfigMap>], reader: Store<ConfigMap>, at_once: u16, gives_way: bool) {
    let requests = stream::iter(keys.iter().map(|key| {
        let reason = ReconcileReason::ObjectUpdated;
        Ok::<_, Infallible>(ReconcileRequest { obj_ref: key.clone(), reason })
    }));
    // It drops what waits when its requests end.
    let requests = requests.chain(stream::pending());
    let reconciled = applier(
        move |object: Arc<ConfigMap>, _: Arc<()>| {
            async move {
                black_box(&object);
                if gives_way {
                    yield_now().await;
                }
                Ok::<_, Infallible>(Action::await_change())
            }
            .boxed()
        },
        |_, _, _| Action::requeue(Duration::from_secs(1)),
        Arc::new(()),
        reader,
        requests,
        Config::default().concurrency(at_once),
    );
    let count = reconciled.take(keys.len()).count().await;
    assert_eq!(count, keys.len());
}

/// The same with a callback that gives way once, so that as many are in flight as may be: what one costs must not depend
/// on how many others there are.
fn in_flight(criterion: &mut Criterion) {
    const KEYS: usize = 40_000;
    let mut group = criterion.benchmark_group("watch_in_flight");
    group.throughput(Throughput::Elements(KEYS as u64)).sample_size(10);
    let runtime = runtime();
    let objects = objects(KEYS);
    let callbacks = Callbacks::new(ConfigMap::kind_of());
    callbacks.add("gives way", Arc::new(gives_way)).unwrap();
    let (reader, keys) = rival_store(KEYS);
    for at_once in [10_u16, 20_000] {
        group.bench_function(BenchmarkId::new("nah", at_once), |bencher| {
            bencher.iter(|| runtime.block_on(ours(&objects, &callbacks, usize::from(at_once))));
        });
        group.bench_function(BenchmarkId::new("kube_applier", at_once), |bencher| {
            bencher.iter(|| runtime.block_on(rival(&keys, reader.clone(), at_once, true)));
        });
    }
}

criterion_group!(benches, run, whole_way, in_flight);
criterion_main!(benches);
