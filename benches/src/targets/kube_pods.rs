//! kube-runtime's side of the Pods: its watcher, its reflector, its store, as they are or stripped as its docs advise.

use std::hint::black_box;

use anyhow::{Result, ensure};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube_client::Api;
use kube_runtime::{
    WatchStreamExt,
    reflector::{self, ObjectRef},
    watcher,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{client, nah_pods::SETTLE, runtime};
use crate::{
    pods::{Pods, node_name},
    process,
    server::SEED,
};

pub(super) fn measure(url: &str, count: usize, stripped: bool) -> Result<Value> {
    runtime()?.block_on(measured(url, count, stripped))
}

async fn measured(url: &str, count: usize, stripped: bool) -> Result<Value> {
    let client = client(url)?;
    let bare = process::memory()?;
    let begun = process::cpu();
    let (store, writer) = reflector::store::<Pod>();
    let events = watcher(Api::<Pod>::all(client), watcher::Config::default());
    let events = match stripped {
        true => events.modify(|pod| pod.metadata.managed_fields = None).boxed(),
        false => events.boxed(),
    };
    let driven = tokio::spawn(events.reflect(writer).try_for_each(|_| std::future::ready(Ok(()))));
    let started = Instant::now();
    store.wait_until_ready().await?;
    let sync_wall = started.elapsed();
    let sync_cpu = process::cpu() - begun;
    let sync_peak = process::memory()?.peak;
    sleep(SETTLE).await;
    let settled = process::memory()?;
    ensure!(store.len() == count && !driven.is_finished(), "{} Pods", store.len());

    let node = node_name(0);
    let on_node = |pod: &Pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.as_ref() == Some(&node));
    let begun = process::thread_cpu();
    for _ in 0..10 {
        black_box(store.state_filter(on_node));
    }
    let scan = (process::thread_cpu() - begun).as_nanos() as f64 / 10.0;

    let pods = Pods::new(SEED, count);
    let keys: Vec<ObjectRef<Pod>> = (0..1_000)
        .map(|at| pods.name(at * 7919 % count))
        .map(|(namespace, name)| ObjectRef::new(&name).within(&namespace))
        .collect();
    let begun = process::thread_cpu();
    for key in &keys {
        black_box(store.get(key).map(|pod| (*pod).clone()));
    }
    let deep_copy = (process::thread_cpu() - begun).as_nanos() as f64 / 1_000.0;
    Ok(json!({
        "bare": bare.resident, "sync_wall": sync_wall.as_nanos() as u64, "sync_cpu": sync_cpu.as_nanos() as u64,
        "sync_peak": sync_peak, "settled": settled.resident, "settled_anonymous": settled.anonymous, "scan": scan,
        "deep_copy": deep_copy,
    }))
}
