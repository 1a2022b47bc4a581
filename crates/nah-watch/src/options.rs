//! How a callback is called.

use std::{fmt, sync::Arc, time::Duration};

use futures_core::future::BoxFuture;
use nah_core::GroupVersionKind;

use crate::{Callback, CallbackResult, Change, Outcome, Registration, WatchError, Watcher};

/// How a callback is called: settings of one registration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallbackOptions {
    /// A call that takes longer is dropped at its next await and has failed; none is no limit.
    pub time_limit: Option<Duration>,
    /// Whether its failure brings the key back to it alone.
    pub retried_alone: bool,
}

/// A [`Watcher`] that registers with these options: what [`WatcherExt::with_options`](crate::WatcherExt::with_options)
/// gives.
pub struct WithOptions<'a, W: ?Sized> {
    watcher: &'a W,
    options: CallbackOptions,
}

/// A callback with options of its own.
struct Configured {
    callback: Arc<dyn Callback>,
    options: CallbackOptions,
}

impl CallbackOptions {
    /// Gives each call so much time. One that takes longer is dropped, which ends it at its next await, and counts as
    /// failed with [`TimedOut`](crate::TimedOut). A call that blocks its thread cannot be ended. What the call spawned goes
    /// on. A run that is limited needs tokio's timer, and panics where there is none.
    #[must_use]
    pub fn time_limit(self, limit: Duration) -> Self {
        Self { time_limit: Some(limit), ..self }
    }

    /// Retries a failure for this callback alone: the others are not called again for it.
    ///
    /// The key has one backoff all the same, and one run at a time. So a retry that comes together with something newer
    /// (an event, a trigger, the failure of a callback without this option) is a run for every callback. In a run for
    /// itself alone the callback is called with the object as it is, not with what those before it returned; if it is
    /// taken away meanwhile, the retry calls nobody.
    #[must_use]
    pub fn retried_alone(self) -> Self {
        Self { retried_alone: true, ..self }
    }

    /// What these options leave open is as `wider` says.
    fn within(self, wider: Self) -> Self {
        Self {
            time_limit: self.time_limit.or(wider.time_limit),
            retried_alone: self.retried_alone || wider.retried_alone,
        }
    }
}

impl<'a, W: ?Sized> WithOptions<'a, W> {
    pub(crate) fn new(watcher: &'a W, options: CallbackOptions) -> Self {
        Self { watcher, options }
    }
}

impl<W: Watcher + ?Sized> Watcher for WithOptions<'_, W> {
    fn add_callback(
        &self,
        gvk: &GroupVersionKind,
        name: &str,
        callback: Arc<dyn Callback>,
    ) -> Result<Registration, WatchError> {
        let options = callback.options().within(self.options);
        self.watcher.add_callback(gvk, name, Arc::new(Configured { callback, options }))
    }
}

impl<W: ?Sized> fmt::Debug for WithOptions<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithOptions").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Callback for Configured {
    fn call(&self, change: Change) -> BoxFuture<'_, CallbackResult<Outcome>> {
        self.callback.call(change)
    }

    fn options(&self) -> CallbackOptions {
        self.options
    }
}
