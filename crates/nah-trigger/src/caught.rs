//! Keeps a panic in code of others from what calls it.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// What `run` gives, or none where it panics: the panic hook has told of that.
///
/// What `run` borrows may be half changed then, and must be nothing but the user's own.
pub(crate) fn caught<R>(run: impl FnOnce() -> R) -> Option<R> {
    let payload = match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => return Some(result),
        Err(payload) => payload,
    };
    // What it panicked with may panic as well when it is dropped, and what that panics with is let be.
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(another);
    }
    None
}
