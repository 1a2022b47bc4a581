//! Tests of nah-trigger by its public interface.

mod classes;
mod close;
mod delay;
mod failure;
mod look;
mod order;
mod threads;
mod trigger;
mod user_code;
mod wake;

use std::time::Duration;

use futures::{FutureExt, StreamExt};
use nah_trigger::{Backoff, Claim, Merge, Queue, QueueHandle, QueueOptions};

type Handle = QueueHandle<&'static str, nah_core::Causes>;
type Keys = Queue<&'static str, nah_core::Causes>;

const NONE: nah_core::Causes = nah_core::Causes::TRIGGER;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A queue whose delays are exact.
fn queue() -> (Handle, Keys) {
    nah_trigger::queue(QueueOptions::default().with_backoff(Backoff::default().with_jitter(0.0)))
}

/// The next key if one is ready now.
fn take(keys: &mut Keys) -> Option<Claim<&'static str, nah_core::Causes>> {
    keys.next().now_or_never().flatten()
}

/// Every key that is ready now, each done at once.
fn drain(keys: &mut Keys) -> Vec<&'static str> {
    let mut drained = Vec::new();
    while let Some(claim) = take(keys) {
        drained.push(*claim.key());
        claim.done();
    }
    drained
}

/// Panics in a task that works on the claim.
async fn panic_over<C: Merge + Send + 'static>(claim: Claim<&'static str, C>) {
    let worker = tokio::spawn(async move {
        assert_eq!(*claim.key(), "b", "on purpose");
        claim.done();
    });
    assert!(worker.await.is_err_and(|error| error.is_panic()));
}
