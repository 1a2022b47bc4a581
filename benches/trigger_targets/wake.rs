//! What one key costs from the request to the end of its claim, a consumer woken for it, beside so many others: processor
//! time.

use std::time::Duration;

use benches::targets::{Row, Unit};
use futures::StreamExt;
use nah_core::Causes;
use nah_trigger::Lane;
use tokio::{
    runtime::{Builder, Runtime},
    task::unconstrained,
};

use crate::{cpu, key, queue};

const FEW: usize = 100;
const MANY: usize = 100_000;
const WAKES: usize = 100_000;
/// Rounds of which the fastest counts.
const ROUNDS: usize = 5;

pub(crate) fn rows() -> Vec<Row> {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let flat = |measure: &str, wake: fn(&Runtime, usize) -> f64| {
        let (few, many) = (wake(&runtime, FEW), wake(&runtime, MANY));
        let of = |count, nanoseconds| {
            Row::new(format!("a wake, {count} {measure}"), Unit::Nanoseconds, nanoseconds)
        };
        [of(FEW, few), of(MANY, many).at_most(few * 1.5)]
    };
    [flat("delayed", pending), flat("in flight", in_flight)].into_iter().flatten().collect()
}

fn pending(runtime: &Runtime, others: usize) -> f64 {
    wakes(runtime, others, 0)
}

fn in_flight(runtime: &Runtime, others: usize) -> f64 {
    wakes(runtime, 0, others)
}

/// Nanoseconds of processor time a wake.
fn wakes(runtime: &Runtime, delayed: usize, claimed: usize) -> f64 {
    runtime.block_on(unconstrained(async move {
        let (handle, mut keys) = queue();
        for at in 0..delayed {
            let delay = Duration::from_millis(3_600_000 + at as u64 * 29);
            handle.add_after(key(at), Causes::TRIGGER, delay).unwrap();
        }
        let mut held = Vec::with_capacity(claimed);
        for at in 0..claimed {
            handle.add(key(at), Causes::EVENT, Lane::Fresh).unwrap();
            held.push(keys.next().await.unwrap());
        }
        let own: Vec<_> = (0..64).map(|at| key(MANY + at)).collect();
        let mut best = f64::INFINITY;
        for _ in 0..ROUNDS {
            let start = cpu();
            for at in 0..WAKES {
                assert!(futures::poll!(keys.next()).is_pending());
                handle.add(own[at % own.len()].clone(), Causes::EVENT, Lane::Fresh).unwrap();
                keys.next().await.unwrap().done();
            }
            best = best.min((cpu() - start).as_nanos() as f64 / WAKES as f64);
        }
        drop(held);
        best
    }))
}
