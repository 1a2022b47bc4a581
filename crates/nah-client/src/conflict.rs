//! Attempts that are made again where somebody else was faster.

use std::{future::Future, time::Duration};

use tokio::time::sleep;

use crate::Result;

/// How often it is attempted in all.
const TRIES: u32 = 5;
/// The longest wait before the second attempt; it doubles.
const FIRST: Duration = Duration::from_millis(10);

/// Runs `attempt` again after a conflict, five times in all, with short waits between.
///
/// For what `modify` cannot do: `attempt` must read, decide and write anew each time. A `get` after a conflict asks the
/// server, so that the next attempt is not made on the same old state.
///
/// # Errors
/// Any error of `attempt` other than a conflict, at once; the conflict of the last attempt.
#[doc(alias = "RetryOnConflict")]
pub async fn retry_on_conflict<T, F>(mut attempt: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut tries = 1;
    loop {
        match attempt().await {
            Err(error) if error.is_conflict() && tries < TRIES => {
                sleep(FIRST.saturating_mul(1 << (tries - 1)).mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                tries += 1;
            }
            outcome => return outcome,
        }
    }
}
