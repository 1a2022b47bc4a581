//! What is called when an object changes.

use std::{future::Future, sync::Arc};

use futures_core::future::BoxFuture;
use nah_core::{BoxError, Kind};

use crate::{CallbackOptions, Change, IntoOutcome, Outcome, Terminal};

/// What a callback returns: anything that says what it leaves behind, and any error.
pub type CallbackResult<R = ()> = Result<R, BoxError>;

/// What is called when an object changes. Every closure of a [`Change`] that returns a future is one.
///
/// Calls for one key never overlap; calls for different keys do.
pub trait Callback: Send + Sync + 'static {
    /// Looks at one key.
    fn call(&self, change: Change) -> BoxFuture<'_, CallbackResult<Outcome>>;

    /// How it is called. Asked once, at its registration.
    fn options(&self) -> CallbackOptions {
        CallbackOptions::default()
    }
}

impl<F, Fut, R> Callback for F
where
    F: Fn(Change) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = CallbackResult<R>> + Send + 'static,
    R: IntoOutcome,
{
    fn call(&self, change: Change) -> BoxFuture<'_, CallbackResult<Outcome>> {
        let run = self(change);
        Box::pin(async move { Ok(run.await?.into_outcome()?) })
    }
}

/// A callback from a closure for a kind that the compiler knows.
///
/// An object that does not parse as `K` is a [`Terminal`] error: it will parse no better until it changes.
pub fn typed<K, F, Fut, R>(callback: F) -> Arc<dyn Callback>
where
    K: Kind,
    F: Fn(Change<K>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = CallbackResult<R>> + Send + 'static,
    R: IntoOutcome,
{
    Arc::new(move |change: Change| {
        let run = change.decode().map(&callback).map_err(|error| Terminal(error.into()));
        async move { run?.await }
    })
}
