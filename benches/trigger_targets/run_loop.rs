//! The whole way of a key, both sides as they are shipped: from the request through the queue, the read of the object and
//! a task of its own to the end of a callback, and on to the next.

use std::{
    convert::Infallible,
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use benches::targets::{Row, Unit};
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube_runtime::{
    controller::{Action, Config, ReconcileReason, ReconcileRequest, applier},
    reflector::store,
    watcher::Event,
};
use nah_backend::{KubeBackend, prelude::*};
use nah_core::{Kind, Object, ObjectMeta};
use nah_testing::ApiServer;
use serde_json::json;
use tokio::{
    runtime::{Builder, Runtime},
    sync::Notify,
};

use crate::{cpu, key, name, reference};

/// What a large operator has of a kind.
const KEYS: usize = 10_000;
/// Twice what is in flight, and more than a cache of the processor holds.
const MANY_KEYS: usize = 40_000;
/// As many as kube's `Config::concurrency` is asked for here, and more than any operator runs.
const MANY: usize = 20_000;
/// kube's answers take some hundred microseconds each among so many: enough to see it, and not to wait for it.
const KUBE_ENDS: usize = 2_000;

pub(crate) fn rows() -> Vec<Row> {
    let nanoseconds = |time: Duration| time.as_nanos() as f64;
    let row = |measure: &str, ours: Duration| Row::new(measure, Unit::Nanoseconds, nanoseconds(ours));
    let both = |at_once, end, keys, runtime: fn() -> Runtime| {
        let theirs = if at_once == MANY { KUBE_ENDS } else { keys / 2 };
        let [ours, theirs] = [keys / 2, theirs].map(|ends| if end == End::AtOnce { keys } else { ends });
        (nah(at_once, end, keys, ours, runtime()), kube(at_once, end, keys, theirs, runtime()))
    };
    let at_once = both(10, End::AtOnce, KEYS, one);
    let more = both(10, End::AtOnce, MANY_KEYS, one);
    let threads = both(10, End::AtOnce, KEYS, two);
    let few = both(10, End::OneByOne, MANY_KEYS, one);
    let many = both(MANY, End::OneByOne, MANY_KEYS, one);
    vec![
        row("10,000 immediate keys: processor time a key", at_once.0)
            .beside("kube", nanoseconds(at_once.1))
            .at_most(1.2e3),
        row("40,000 immediate keys", more.0).beside("kube", nanoseconds(more.1)),
        row("10,000 immediate keys, two threads", threads.0).beside("kube", nanoseconds(threads.1)),
        row("callbacks that end one by one, 10 in flight", few.0).beside("kube", nanoseconds(few.1)),
        row("callbacks that end one by one, 20,000 in flight", many.0)
            .beside("kube", nanoseconds(many.1))
            .times(10.0),
        row("20,000 in flight", many.0).beside("ten in flight", nanoseconds(few.0)).times(1.0),
    ]
}

/// When a callback ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    AtOnce,
    /// When it is its turn: one, and then the next.
    OneByOne,
}

/// What the callbacks of both sides do: they count, and wait for their turn if they have to.
#[derive(Debug, Default)]
struct Ends {
    one_by_one: AtomicBool,
    turn: Notify,
    begun: AtomicUsize,
    ended: AtomicUsize,
    progress: Notify,
}

impl Ends {
    async fn callback(&self) {
        self.begun.fetch_add(1, Relaxed);
        if self.one_by_one.load(Relaxed) {
            self.progress.notify_one();
            self.turn.notified().await;
        }
        self.ended.fetch_add(1, Relaxed);
        self.progress.notify_one();
    }

    /// The processor time of each of `count` keys.
    async fn each(&self, end: End, at_once: usize, count: usize, ask_for_all: impl FnOnce()) -> Duration {
        let [begun, ended] = [&self.begun, &self.ended].map(|counter| counter.load(Relaxed));
        self.one_by_one.store(end == End::OneByOne, Relaxed);
        let mut before = cpu();
        ask_for_all();
        match end {
            End::AtOnce => self.reach(&self.ended, ended + count).await,
            End::OneByOne => {
                self.reach(&self.begun, begun + at_once).await;
                before = cpu();
                for one in 1..=count {
                    self.turn.notify_one();
                    self.reach(&self.ended, ended + one).await;
                }
            }
        }
        (cpu() - before) / u32::try_from(count).unwrap()
    }

    async fn reach(&self, counter: &AtomicUsize, count: usize) {
        while counter.load(Relaxed) < count {
            self.progress.notified().await;
        }
    }
}

/// One thread, so that nothing is told of what it costs to wake another.
fn one() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

/// What `#[tokio::main]` makes on two cores.
fn two() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap()
}

/// Runs on a thread of the runtime, as what is not `main` does.
fn on<F: Future<Output: Send> + Send + 'static>(runtime: Runtime, run: F) -> F::Output {
    runtime.block_on(runtime.spawn(run)).unwrap()
}

fn nah(at_once: usize, end: End, keys: usize, count: usize, runtime: Runtime) -> Duration {
    on(runtime, async move {
        let server = ApiServer::new();
        for at in 0..keys {
            let metadata = json!({ "namespace": "default", "name": name(at) });
            server.create(&json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata })).unwrap();
        }
        let backend =
            KubeBackend::with_client(server.client()).workers(at_once).callbacks_at_once(at_once).build();
        let ends = Arc::new(Ends::default());
        let of_callback = ends.clone();
        let gvk = ConfigMap::kind_of();
        backend
            .watcher_for_kind(&gvk, "waits", move |change: Change<Object>| {
                let ends = of_callback.clone();
                async move {
                    black_box(&change.object);
                    ends.callback().await;
                    Ok(())
                }
            })
            .unwrap();
        backend.start().await.unwrap();
        // What is there is shown first, and read by then.
        ends.reach(&ends.ended, keys).await;
        let keys: Vec<_> = (0..keys).map(key).collect();
        let ask_for_all = || {
            for key in &keys {
                backend.trigger_for_kind(&gvk, key, Duration::ZERO).unwrap();
            }
        };
        let each = ends.each(end, at_once, count, ask_for_all).await;
        backend.shutdown(Duration::ZERO).await;
        each
    })
}

/// As `Controller` does it: a task for each.
fn kube(at_once: usize, end: End, keys: usize, count: usize, runtime: Runtime) -> Duration {
    on(runtime, async move {
        let (reader, mut writer) = store::<ConfigMap>();
        writer.apply_watcher_event(&Event::Init);
        for at in 0..keys {
            let metadata = ObjectMeta {
                name: Some(name(at)),
                namespace: Some("default".into()),
                ..ObjectMeta::default()
            };
            writer.apply_watcher_event(&Event::InitApply(ConfigMap { metadata, ..ConfigMap::default() }));
        }
        writer.apply_watcher_event(&Event::InitDone);
        let ends = Arc::new(Ends::default());
        let of_callback = ends.clone();
        let (asked, requests) = futures::channel::mpsc::unbounded();
        let reconciled = applier(
            move |object: Arc<ConfigMap>, _: Arc<()>| {
                let ends = of_callback.clone();
                let run = tokio::spawn(async move {
                    black_box(&object);
                    ends.callback().await;
                });
                async move { run.await.map(|()| Action::await_change()) }.boxed()
            },
            |_, _, _| Action::requeue(Duration::from_secs(1)),
            Arc::new(()),
            reader,
            requests,
            Config::default().concurrency(at_once.try_into().unwrap()),
        );
        let reconciling = tokio::spawn(reconciled.for_each(async |reconciled| {
            assert!(reconciled.is_ok());
        }));
        let keys: Vec<_> = (0..keys).map(reference).collect();
        let ask_for_all = || {
            for key in &keys {
                let (obj_ref, reason) = (key.clone(), ReconcileReason::ObjectUpdated);
                asked.unbounded_send(Ok::<_, Infallible>(ReconcileRequest { obj_ref, reason })).unwrap();
            }
        };
        let each = ends.each(end, at_once, count, ask_for_all).await;
        reconciling.abort();
        each
    })
}
