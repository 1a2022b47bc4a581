//! What a queue holds in memory. A test binary of its own, because its allocator counts.

use std::{alloc::System, time::Duration};

use futures::{FutureExt, StreamExt};
use nah_core::{Causes, ObjectKey};
use nah_trigger::{Lane, Queue, QueueHandle, QueueOptions};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Tables double as they grow, so a power of two, nearly, shows what a million shows: as full as 2²⁰ entries are then.
const KEYS: usize = 125_000;

/// Bytes that are held now.
fn held() -> isize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated as isize - stats.bytes_deallocated as isize
}

fn queue() -> (QueueHandle<ObjectKey, Causes>, Queue<ObjectKey, Causes>) {
    nah_trigger::queue(QueueOptions::default())
}

/// Keys, and the bytes of their texts.
fn keys() -> (Vec<ObjectKey>, isize) {
    let mut keys = Vec::with_capacity(KEYS);
    let before = held();
    keys.extend((0..KEYS).map(|at| ObjectKey::from(("default", format!("object-{at:07}")))));
    (keys, held() - before)
}

fn each(bytes: isize) -> f64 {
    bytes as f64 / KEYS as f64
}

#[test]
fn a_key_costs_little_and_nothing_once_it_is_gone() {
    // All in one test: another that runs beside it would be counted, too.
    let empty = held();
    let (handle, mut consumer) = queue();
    let (keys, texts) = keys();
    for (at, key) in keys.into_iter().enumerate() {
        // Longer than the test takes, because its clock is the real one.
        let delay = Duration::from_millis(3_600_000 + at as u64 * 29);
        handle.add_after(key, Causes::TRIGGER, delay).unwrap();
    }
    let delayed = each(held() - empty - texts);
    println!("a delayed key: {delayed:.1} B over its text");
    assert!(delayed <= 96.0, "{delayed} B");

    // The same keys have to run now as well.
    for (key, _) in handle.list() {
        handle.add(key, Causes::EVENT, Lane::Fresh).unwrap();
    }
    let ready = each(held() - empty - texts);
    println!("a key that is delayed and ready: {ready:.1} B over its text");
    assert!(ready <= 112.0, "{ready} B");

    while let Some(claim) = consumer.next().now_or_never().flatten() {
        assert!(handle.cancel(claim.key()));
        claim.done();
    }
    let left = held() - empty;
    println!("all gone: {left} B");
    assert!(left < 256 * 1_024, "{left} B are held of keys that are gone");
}
