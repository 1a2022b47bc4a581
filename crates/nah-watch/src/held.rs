//! A callback as its kind keeps it: dropping it panics nobody.

use std::sync::Arc;

use futures_core::future::BoxFuture;

use crate::{Callback, CallbackResult, Change, Outcome, guard};

/// A callback as its kind keeps it. It goes when the last run that may call it has ended, under whoever that is; so a
/// panic of what it holds is logged.
pub(crate) struct Held(Option<Arc<dyn Callback>>);

impl Held {
    pub(crate) fn new(callback: Arc<dyn Callback>) -> Self {
        Self(Some(callback))
    }

    pub(crate) fn call(&self, change: Change) -> BoxFuture<'_, CallbackResult<Outcome>> {
        match &self.0 {
            Some(callback) => callback.call(change),
            None => unreachable!("it is taken out to be dropped"),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let callback = self.0.take();
        guard::quietly("dropped", || drop(callback));
    }
}
