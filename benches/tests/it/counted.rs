//! What a piece of work asks of the allocator.

use std::{
    alloc::System,
    future::Future,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use stats_alloc::{INSTRUMENTED_SYSTEM, Stats, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What a piece of work took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub(crate) allocations: f64,
    /// What it asked for, given back or not.
    pub(crate) requested: f64,
    /// What it has not given back.
    pub(crate) kept: f64,
}

impl Counted {
    /// As much for each of `count`.
    pub(crate) fn each(self, count: usize) -> Self {
        let count = count as f64;
        Self {
            allocations: self.allocations / count,
            requested: self.requested / count,
            kept: self.kept / count,
        }
    }
}

/// The allocator is everybody's: guards take turns.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn counted<T>(work: impl FnOnce() -> T) -> (T, Counted) {
    let before = ALLOCATOR.stats();
    let done = work();
    (done, since(before))
}

pub(crate) async fn counted_async<T>(work: impl Future<Output = T>) -> (T, Counted) {
    let before = ALLOCATOR.stats();
    let done = work.await;
    (done, since(before))
}

/// The most that was held beyond what was held before, while `work` ran.
pub(crate) fn peak<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let (stop, before) = (AtomicBool::new(false), held());
    std::thread::scope(|scope| {
        let watched = scope.spawn(|| {
            let mut most = before;
            while !stop.load(Relaxed) {
                most = most.max(held());
                std::thread::park_timeout(Duration::from_micros(100));
            }
            most
        });
        let done = work();
        stop.store(true, Relaxed);
        (done, watched.join().expect("it only looks") - before)
    })
}

pub(crate) fn held() -> f64 {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated as f64 - stats.bytes_deallocated as f64
}

fn since(before: Stats) -> Counted {
    let stats = ALLOCATOR.stats() - before;
    Counted {
        allocations: (stats.allocations + stats.reallocations) as f64,
        requested: stats.bytes_allocated as f64,
        kept: stats.bytes_allocated as f64 - stats.bytes_deallocated as f64,
    }
}
