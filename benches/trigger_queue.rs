//! Delays in the queue, against `tokio_util`'s `DelayQueue` with the map that keeping the earliest deadline takes.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{collections::HashMap, hint::black_box, time::Duration};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures::{FutureExt, StreamExt};
use nah_core::{Causes, ObjectKey};
use nah_trigger::{Claim, Lane, Queue, QueueHandle, QueueOptions};
use tokio::{
    runtime::{Builder, Runtime},
    task::unconstrained,
    time::{Instant, advance},
};
use tokio_util::time::{DelayQueue, delay_queue};

/// Unoptimized, `DelayQueue` looks through a whole slot for each key that it moves.
const SIZES: &[usize] = if cfg!(debug_assertions) { &[100] } else { &[100, 10_000, 1_000_000] };
const DAY: Duration = Duration::from_secs(86_400);
const LOOK: Duration = Duration::from_millis(10);

type Ours = (QueueHandle<ObjectKey, Causes>, Queue<ObjectKey, Causes>);

fn ours() -> Ours {
    nah_trigger::queue(QueueOptions::default())
}

/// A queue in which every key waits for its delay, or a part of it.
fn filled(delays: &[(ObjectKey, Duration)], part: u32) -> Ours {
    let (handle, keys) = ours();
    for (key, delay) in delays {
        handle.add_after(key.clone(), Causes::TRIGGER, *delay / part).unwrap();
    }
    (handle, keys)
}

/// What a user of `DelayQueue` writes: the queue, and where in it each key lies.
#[derive(Default)]
struct Rival {
    queue: DelayQueue<ObjectKey>,
    known: HashMap<ObjectKey, (delay_queue::Key, Instant, Causes)>,
}

impl Rival {
    /// As [`filled`].
    fn filled(delays: &[(ObjectKey, Duration)], part: u32) -> Self {
        let mut rival = Self::default();
        for (key, delay) in delays {
            rival.add_after(key.clone(), Causes::TRIGGER, *delay / part);
        }
        rival
    }

    fn add_after(&mut self, key: ObjectKey, causes: Causes, delay: Duration) {
        let deadline = Instant::now() + delay;
        match self.known.get_mut(&key) {
            None => {
                let place = self.queue.insert_at(key.clone(), deadline);
                self.known.insert(key, (place, deadline, causes));
            }
            Some((place, known, merged)) => {
                *merged |= causes;
                if deadline < *known {
                    self.queue.reset_at(place, deadline);
                    *known = deadline;
                }
            }
        }
    }

    fn pop(&mut self) -> Option<(ObjectKey, Causes)> {
        let expired = self.queue.next().now_or_never().flatten()?;
        let (_, _, causes) = self.known.remove(expired.get_ref())?;
        Some((expired.into_inner(), causes))
    }
}

fn pop(keys: &mut Queue<ObjectKey, Causes>) -> Option<Claim<ObjectKey, Causes>> {
    keys.next().now_or_never().flatten()
}

/// Keys with delays between a second and an hour.
fn delays(count: usize) -> Vec<(ObjectKey, Duration)> {
    let mut random = fastrand::Rng::with_seed(7);
    let key = |at| ObjectKey::from(("default", format!("object-{at:07}")));
    (0..count).map(|at| (key(at), Duration::from_millis(random.u64(1_000..3_600_000)))).collect()
}

/// A clock that stands still until it is moved, so that neither side sleeps.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

fn insert(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("trigger_queue_insert");
    let runtime = runtime();
    let _inside = runtime.enter();
    for &size in SIZES {
        let delays = delays(size);
        group.throughput(Throughput::Elements(size as u64)).sample_size(10);
        group.bench_function(BenchmarkId::new("nah", size), |bencher| {
            bencher.iter_batched(
                ours,
                |(handle, keys)| {
                    for (key, delay) in &delays {
                        handle.add_after(key.clone(), Causes::TRIGGER, *delay).unwrap();
                    }
                    (handle, keys)
                },
                BatchSize::LargeInput,
            );
        });
        group.bench_function(BenchmarkId::new("delay_queue", size), |bencher| {
            bencher.iter_batched(
                Rival::default,
                |mut rival| {
                    for (key, delay) in &delays {
                        rival.add_after(key.clone(), Causes::TRIGGER, *delay);
                    }
                    rival
                },
                BatchSize::LargeInput,
            );
        });
    }
}

fn reset(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("trigger_queue_reset");
    let runtime = runtime();
    let _inside = runtime.enter();
    for &size in SIZES {
        let delays = delays(size);
        group.throughput(Throughput::Elements(size as u64)).sample_size(10);
        group.bench_function(BenchmarkId::new("nah", size), |bencher| {
            bencher.iter_batched(
                || filled(&delays, 1),
                |(handle, keys)| {
                    for (key, delay) in &delays {
                        handle.add_after(key.clone(), Causes::RETRY, *delay / 2).unwrap();
                    }
                    (handle, keys)
                },
                BatchSize::LargeInput,
            );
        });
        group.bench_function(BenchmarkId::new("delay_queue", size), |bencher| {
            bencher.iter_batched(
                || Rival::filled(&delays, 1),
                |mut rival| {
                    for (key, delay) in &delays {
                        rival.add_after(key.clone(), Causes::RETRY, *delay / 2);
                    }
                    rival
                },
                BatchSize::LargeInput,
            );
        });
    }
}

/// All that has fallen due long since. Ours with a claim and its end; theirs with what that is, taken out of the map.
fn pop_due(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("trigger_queue_pop");
    let runtime = runtime();
    for &size in SIZES {
        let delays = delays(size);
        group.throughput(Throughput::Elements(size as u64)).sample_size(10);
        group.bench_function(BenchmarkId::new("nah", size), |bencher| {
            bencher.iter_batched(
                || {
                    let _inside = runtime.enter();
                    let filled = filled(&delays, 1);
                    runtime.block_on(advance(DAY));
                    filled
                },
                |(handle, mut keys)| {
                    let popped = runtime.block_on(unconstrained(async {
                        let mut popped = 0;
                        while let Some(claim) = pop(&mut keys) {
                            black_box(claim.cause());
                            claim.done();
                            popped += 1;
                        }
                        popped
                    }));
                    assert_eq!(popped, size);
                    (handle, keys)
                },
                BatchSize::LargeInput,
            );
        });
        group.bench_function(BenchmarkId::new("delay_queue", size), |bencher| {
            bencher.iter_batched(
                || {
                    let _inside = runtime.enter();
                    let rival = Rival::filled(&delays, 1);
                    runtime.block_on(advance(DAY));
                    rival
                },
                |mut rival| {
                    let popped = runtime.block_on(unconstrained(async {
                        let mut popped = 0;
                        while let Some(expired) = rival.pop() {
                            black_box(expired);
                            popped += 1;
                        }
                        popped
                    }));
                    assert_eq!(popped, size);
                    rival
                },
                BatchSize::LargeInput,
            );
        });
    }
}

/// The same popped as they fall due within a minute, by somebody who looks every 10 ms.
fn pop_polled(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("trigger_queue_pop_polled");
    let runtime = runtime();
    for &size in SIZES {
        let delays = delays(size);
        group.throughput(Throughput::Elements(size as u64)).sample_size(10);
        group.bench_function(BenchmarkId::new("nah", size), |bencher| {
            bencher.iter_batched(
                || {
                    let _inside = runtime.enter();
                    filled(&delays, 60)
                },
                |(handle, mut keys)| {
                    runtime.block_on(unconstrained(async {
                        let mut popped = 0;
                        while popped < size {
                            advance(LOOK).await;
                            while let Some(claim) = pop(&mut keys) {
                                black_box(claim.cause());
                                claim.done();
                                popped += 1;
                            }
                        }
                    }));
                    (handle, keys)
                },
                BatchSize::LargeInput,
            );
        });
        group.bench_function(BenchmarkId::new("delay_queue", size), |bencher| {
            bencher.iter_batched(
                || {
                    let _inside = runtime.enter();
                    Rival::filled(&delays, 60)
                },
                |mut rival| {
                    runtime.block_on(unconstrained(async {
                        let mut popped = 0;
                        while popped < size {
                            advance(LOOK).await;
                            while let Some(expired) = rival.pop() {
                                black_box(expired);
                                popped += 1;
                            }
                        }
                    }));
                    rival
                },
                BatchSize::LargeInput,
            );
        });
    }
}

/// Keys that are due at once: in, out, done. There is no rival for merging, turns and claims in one.
fn immediate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("trigger_queue_immediate");
    let runtime = runtime();
    let _inside = runtime.enter();
    for &size in SIZES {
        let delays = delays(size);
        group.throughput(Throughput::Elements(size as u64)).sample_size(10);
        let (handle, mut keys) = ours();
        group.bench_function(BenchmarkId::new("nah", size), |bencher| {
            bencher.iter(|| {
                for (key, _) in &delays {
                    handle.add(key.clone(), Causes::EVENT, Lane::Fresh).unwrap();
                }
                while let Some(claim) = pop(&mut keys) {
                    black_box(claim.cause());
                    claim.done();
                }
            });
        });
    }
}

criterion_group!(benches, insert, reset, pop_due, pop_polled, immediate);
criterion_main!(benches);
