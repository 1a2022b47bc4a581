//! What a person, or a program, is told at the end.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use nah_backend::{KubeBackend, core::Causes, prelude::*};
use serde::Serialize;
use tokio::time::Instant;

use super::{crowd::Crowd, ground::Ground, operator::Operator, operator::Website};

/// When the crowd asked for something and when the operator was called for it.
#[derive(Default)]
pub(crate) struct Clock {
    requests: Mutex<Requests>,
    latencies: Mutex<Vec<Duration>>,
    waits: Mutex<Vec<Duration>>,
    calls: AtomicU64,
    retries: AtomicU64,
    events: AtomicU64,
}

/// What is between the crowd and the operator, by the name of a Website: a generation, and a time.
#[derive(Default)]
struct Requests {
    /// Sent and not seen by the operator yet.
    asked: HashMap<String, (i64, Instant)>,
    /// The newest that the operator was called with, and when first: it may be called before the crowd has its answer.
    seen: HashMap<String, (i64, Instant)>,
}

impl Clock {
    /// The crowd is about to send what will be this generation of the Website.
    pub(crate) fn asked(&self, name: &str, generation: i64) {
        self.asked_at(name, generation, Instant::now());
    }

    /// The crowd sent it at `at`; only known once the server has answered.
    pub(crate) fn asked_at(&self, name: &str, generation: i64, at: Instant) {
        let mut requests = lock(&self.requests);
        match requests.seen.get(name) {
            Some((seen, first)) if *seen >= generation => lock(&self.latencies).push(*first - at),
            _ => drop(requests.asked.insert(name.to_owned(), (generation, at))),
        }
    }

    /// The operator was called.
    pub(crate) fn called(&self, change: &Change<Website>) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if change.causes.contains(Causes::RETRY) {
            self.retries.fetch_add(1, Ordering::Relaxed);
        }
        if change.causes.contains(Causes::EVENT) {
            self.events.fetch_add(1, Ordering::Relaxed);
            lock(&self.waits).push(change.waited);
        }
        let Some(generation) = change.object.as_ref().and_then(|site| site.metadata.generation) else {
            return;
        };
        let (name, now) = (change.key.name(), Instant::now());
        let mut requests = lock(&self.requests);
        if requests.seen.get(name).is_none_or(|(seen, _)| *seen < generation) {
            requests.seen.insert(name.to_owned(), (generation, now));
        }
        if requests.asked.get(name).is_some_and(|(wanted, _)| generation >= *wanted)
            && let Some((_, at)) = requests.asked.remove(name)
        {
            lock(&self.latencies).push(now - at);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Milliseconds at the median and at the ninety-ninth hundredth.
#[derive(Serialize)]
struct Percentiles {
    samples: usize,
    p50_ms: f64,
    p99_ms: f64,
}

impl Percentiles {
    fn of(samples: &Mutex<Vec<Duration>>) -> Self {
        let mut samples = lock(samples).clone();
        samples.sort_unstable();
        let at = |share: f64| {
            let place = ((samples.len() as f64 * share).ceil() as usize).saturating_sub(1);
            samples.get(place).map_or(0.0, |sample| sample.as_secs_f64() * 1e3)
        };
        Self { samples: samples.len(), p50_ms: at(0.50), p99_ms: at(0.99) }
    }
}

#[derive(Serialize)]
pub(crate) struct Report {
    ground: String,
    seed: u64,
    seconds: f64,
    created: u64,
    changed: u64,
    broken: u64,
    deleted: u64,
    objects: usize,
    events: u64,
    callbacks: u64,
    retries: u64,
    queue_wait: Percentiles,
    write_to_callback: Percentiles,
    cache_reads: u64,
    live_reads: u64,
    writes: u64,
    requests: u64,
    cached_bytes: usize,
    bytes_an_object: usize,
    /// What the server and the cache hold and should not, or should and do not.
    pub(crate) differences: Vec<String>,
}

impl Report {
    pub(crate) fn of(
        backend: &KubeBackend,
        operator: &Operator,
        crowd: &Crowd,
        ground: &Ground,
        took: Duration,
        seed: u64,
        differences: Vec<String>,
    ) -> Self {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let status = backend.status();
        let objects = status.iter().map(|status| status.objects).sum();
        let cached_bytes = status.iter().map(|status| status.bytes).sum();
        Self {
            ground: ground.name.clone(),
            seed,
            seconds: took.as_secs_f64(),
            created: count(&crowd.done.created),
            changed: count(&crowd.done.changed),
            broken: count(&crowd.done.broken),
            deleted: count(&crowd.done.deleted),
            objects,
            events: count(&operator.clock.events),
            callbacks: count(&operator.clock.calls),
            retries: count(&operator.clock.retries),
            queue_wait: Percentiles::of(&operator.clock.waits),
            write_to_callback: Percentiles::of(&operator.clock.latencies),
            cache_reads: count(&operator.api.reads),
            live_reads: count(&operator.api.live_reads),
            writes: count(&operator.api.writes),
            requests: count(&ground.sent),
            cached_bytes,
            bytes_an_object: cached_bytes / usize::max(objects, 1),
            differences,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = |of: &Percentiles| {
            format!("p50 {:.2} ms, p99 {:.2} ms ({} samples)", of.p50_ms, of.p99_ms, of.samples)
        };
        let kinds =
            [Website::kind_of(), ConfigMap::kind_of(), Deployment::kind_of()].map(|gvk| gvk.kind.clone());
        writeln!(f, "{:.1} s on the {}", self.seconds, self.ground)?;
        writeln!(f)?;
        writeln!(
            f,
            "  the crowd            {} created, {} changed, {} broken, {} deleted (seed {})",
            self.created, self.changed, self.broken, self.deleted, self.seed
        )?;
        writeln!(
            f,
            "  cached               {} objects of {}, {} bytes each",
            self.objects,
            kinds.join(", "),
            self.bytes_an_object
        )?;
        writeln!(
            f,
            "  callbacks            {}, {} of them for events, {} retries",
            self.callbacks, self.events, self.retries
        )?;
        writeln!(f, "  wait in the queue    {}", milliseconds(&self.queue_wait))?;
        writeln!(f, "  write to callback    {}", milliseconds(&self.write_to_callback))?;
        writeln!(f, "  reads from the cache {} ({} live)", self.cache_reads, self.live_reads)?;
        writeln!(f, "  requests             {}, {} of them writes", self.requests, self.writes)?;
        writeln!(f)?;
        match &*self.differences {
            [] => writeln!(f, "  the server holds what was asked for, and the cache what the server holds"),
            differences => {
                writeln!(f, "  {} differences:", differences.len())?;
                differences.iter().take(20).try_for_each(|difference| writeln!(f, "    {difference}"))
            }
        }
    }
}
