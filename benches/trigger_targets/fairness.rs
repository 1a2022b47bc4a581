//! Keys that ask for themselves again as soon as they have run: who runs how often.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use benches::targets::{Row, Unit};
use futures::{StreamExt, stream, stream::FuturesUnordered};
use k8s_openapi::api::core::v1::ConfigMap;
use kube_runtime::{
    applier,
    controller::{Action, Config},
    reflector::store,
    watcher::Event,
};
use nah_core::{Causes, ObjectMeta};
use nah_trigger::Lane;
use tokio::{runtime::Builder, task::yield_now};

use crate::{key, name, queue, reference};

const KEYS: usize = 1_000;
const RUNS: usize = 50_000;

pub(crate) fn rows() -> Vec<Row> {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let of = |concurrency: u16| {
        let ours = spread(&runtime.block_on(nah(concurrency)));
        let theirs = runtime.block_on(kube(concurrency));
        let idle = theirs.iter().filter(|runs| **runs == 0).count();
        eprintln!("targets:   {concurrency} at once: {idle} of {KEYS} keys never ran under kube");
        let measure =
            format!("{KEYS} keys that re-trigger themselves, {concurrency} at once: most less least");
        Row::new(measure, Unit::Count, ours).beside("kube", spread(&theirs)).at_most(1.0)
    };
    vec![of(1), of(8)]
}

/// How much more often the busiest key has run than the one that had the fewest runs.
fn spread(runs: &[usize]) -> f64 {
    let (most, least) = (runs.iter().max(), runs.iter().min());
    (most.unwrap_or(&0) - least.unwrap_or(&0)) as f64
}

async fn nah(concurrency: u16) -> Vec<usize> {
    let (handle, mut keys) = queue();
    for at in 0..KEYS {
        handle.add(key(at), Causes::TRIGGER, Lane::Fresh).unwrap();
    }
    let mut runs = vec![0; KEYS];
    let mut running = FuturesUnordered::new();
    let mut count = 0;
    while count < RUNS {
        tokio::select! {
            Some(claim) = keys.next(), if running.len() < usize::from(concurrency) => {
                let at: usize = claim.key().name()["object-".len()..].parse().unwrap();
                runs[at] += 1;
                count += 1;
                let handle = &handle;
                running.push(async move {
                    yield_now().await;
                    handle.add(claim.key().clone(), Causes::TRIGGER, Lane::Fresh).unwrap();
                    claim.done();
                });
            }
            Some(()) = running.next() => {}
        }
    }
    runs
}

async fn kube(concurrency: u16) -> Vec<usize> {
    let (reader, mut writer) = store::<ConfigMap>();
    writer.apply_watcher_event(&Event::Init);
    for at in 0..KEYS {
        let metadata =
            ObjectMeta { name: Some(name(at)), namespace: Some("default".into()), ..ObjectMeta::default() };
        writer.apply_watcher_event(&Event::InitApply(ConfigMap { metadata, ..ConfigMap::default() }));
    }
    writer.apply_watcher_event(&Event::InitDone);
    let runs = Arc::new(Mutex::new(vec![0; KEYS]));
    let requests = stream::iter((0..KEYS).map(|at| Ok::<_, Infallible>(reference(at))));
    let reconcile = |object: Arc<ConfigMap>, runs: Arc<Mutex<Vec<usize>>>| {
        Box::pin(async move {
            let name = object.metadata.name.as_deref().unwrap();
            let at: usize = name["object-".len()..].parse().unwrap();
            runs.lock().unwrap()[at] += 1;
            yield_now().await;
            Ok::<_, Infallible>(Action::requeue(Duration::ZERO))
        })
    };
    let results = applier(
        reconcile,
        |_, error, _| match *error {},
        runs.clone(),
        reader,
        requests.chain(stream::pending()),
        Config::default().concurrency(concurrency),
    );
    results.take(RUNS).for_each(|_| async {}).await;
    let runs = runs.lock().unwrap();
    runs.clone()
}
