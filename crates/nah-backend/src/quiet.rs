//! Keeps a panic in code of others from what goes on around it.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// What `run` gives, or none where it panics. The panic hook has told of that; whoever listens to what is logged may be
/// the very one who panicked, so nothing more is said.
pub(crate) fn quietly<R>(run: impl FnOnce() -> R) -> Option<R> {
    let payload = match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => return Some(result),
        Err(payload) => payload,
    };
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(another);
    }
    None
}
