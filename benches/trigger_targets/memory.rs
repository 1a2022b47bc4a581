//! What a delayed key holds in memory, over its text.

use std::time::Duration;

use benches::targets::{Row, Unit};
use futures::{FutureExt, StreamExt, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube_runtime::{
    reflector::ObjectRef,
    scheduler::{ScheduleRequest, scheduler},
};
use nah_core::{Causes, ObjectKey};
use tokio::{runtime::Builder, task::unconstrained, time::Instant};

use crate::{held, key, queue, reference};

const KEYS: usize = 1_000_000;

pub(crate) fn rows() -> Vec<Row> {
    let ours = nah();
    let theirs = kube();
    vec![
        Row::new("1M delayed keys, each over its text", Unit::Bytes, ours)
            .beside("kube", theirs)
            .at_most(96.0),
    ]
}

fn delay(at: usize) -> Duration {
    Duration::from_millis(3_600_000 + at as u64 * 29)
}

/// Keys, and the bytes that they hold outside themselves: their text.
fn made<T>(make: impl Fn(usize) -> T) -> (Vec<T>, isize) {
    let mut keys = Vec::with_capacity(KEYS);
    let before = held();
    keys.extend((0..KEYS).map(make));
    (keys, held() - before)
}

fn nah() -> f64 {
    let before = held();
    let (handle, consumer) = queue();
    let (keys, texts): (Vec<ObjectKey>, _) = made(key);
    for (at, key) in keys.into_iter().enumerate() {
        handle.add_after(key, Causes::TRIGGER, delay(at)).unwrap();
    }
    assert_eq!(handle.stats().delayed, KEYS);
    let each = (held() - before - texts) as f64 / KEYS as f64;
    drop(consumer);
    each
}

fn kube() -> f64 {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(unconstrained(async {
        let before = held();
        let (keys, texts): (Vec<ObjectRef<ConfigMap>>, _) = made(reference);
        let now = Instant::now();
        let mut taken = 0;
        let requests = keys.into_iter().enumerate().map(|(at, message)| {
            taken += 1;
            let run_at = now + delay(at);
            ScheduleRequest { message, run_at }
        });
        let requests = stream::iter(requests).chain(stream::pending());
        let mut scheduler = Box::pin(scheduler(requests));
        assert!(scheduler.as_mut().hold_unless(|_| true).next().now_or_never().is_none());
        let each = (held() - before - texts) as f64 / KEYS as f64;
        drop(scheduler);
        assert_eq!(taken, KEYS);
        each
    }))
}
