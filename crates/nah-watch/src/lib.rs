//! Callback fan-out for changes of objects.
//!
//! A [`Change`] is one key to look at. The [`Callbacks`] of its kind are called with it one after the other, in the order
//! of their registration, and what they left behind is a [`Report`]: when to look again, and which of them failed.
//! Where changes come from, and when a key is retried, is not known here.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//!
//! use k8s_openapi::api::core::v1::Pod;
//! use nah_core::{Kind, ObjectMeta};
//! use nah_watch::{Callbacks, Change, Meant, Requeue, typed};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let callbacks = Callbacks::new(Pod::kind_of());
//! callbacks.add("greet", typed(|change: Change<Pod>| async move {
//!     assert!(change.object.is_some());
//!     Ok(Requeue(Duration::from_secs(300)))
//! }))?;
//! callbacks.add("fail", typed(|_: Change<Pod>| async { Err::<(), _>("no luck".into()) }))?;
//!
//! let pod = Pod { metadata: ObjectMeta { name: Some("a".into()), ..ObjectMeta::default() }, ..Pod::default() };
//! let report = callbacks.run(Change::of(pod)?.erase()?, &Meant::All).await;
//!
//! assert_eq!(report.requeue_after, Some(Duration::from_secs(300)));
//! assert_eq!(report.to_string(), "handler fail Pod: no luck");
//! assert!(report.wants_retry());
//! # Ok(())
//! # }
//! ```

mod asked;
mod callback;
mod callbacks;
mod change;
mod dispatch;
mod error;
mod guard;
mod held;
mod links;
mod meant;
mod options;
mod outcome;
mod registration;
mod report;

use std::{future::Future, sync::Arc};

use nah_core::{BoxError, GroupVersionKind, Kind};

pub use asked::Asked;
pub use callback::{Callback, CallbackResult, typed};
pub use callbacks::{CallbackId, Callbacks};
pub use change::Change;
pub use error::{CallbackFailure, Ignore, Panicked, Terminal, TimedOut, WatchError};
pub use links::Links;
pub use meant::Meant;
pub use options::{CallbackOptions, WithOptions};
pub use outcome::{IntoOutcome, Outcome, Requeue};
pub use registration::{Registration, RegistrationGuard};
pub use report::Report;

/// Registers callbacks for the changes of a kind.
pub trait Watcher: Send + Sync {
    /// Registers `callback` under a name of its own, behind those that its kind already has.
    ///
    /// It is called for every object there is, at once if its kind is already running, and then for each change. The
    /// registration may be dropped; the callback stays.
    ///
    /// # Errors
    /// A [`WatchError`] where the name is taken or nothing is called back any more.
    fn add_callback(
        &self,
        gvk: &GroupVersionKind,
        name: &str,
        callback: Arc<dyn Callback>,
    ) -> Result<Registration, WatchError>;
}

/// [`Watcher`] for closures and functions.
pub trait WatcherExt: Watcher {
    /// The same watcher, for callbacks that are called with `options`:
    /// `backend.with_options(CallbackOptions::default().time_limit(a_minute)).watcher("slow", ..)`.
    fn with_options(&self, options: CallbackOptions) -> WithOptions<'_, Self> {
        WithOptions::new(self, options)
    }

    /// Registers a closure for a kind that the compiler knows: its last line is `Ok(())`, any error goes through `?`.
    ///
    /// # Errors
    /// As [`Watcher::add_callback`].
    #[doc(alias = "Watcher")]
    fn watcher<K, F, Fut, R>(&self, name: &str, callback: F) -> Result<Registration, WatchError>
    where
        K: Kind,
        F: Fn(Change<K>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = CallbackResult<R>> + Send + 'static,
        R: IntoOutcome,
    {
        self.add_callback(&K::kind_of(), name, typed(callback))
    }

    /// Registers a closure for a kind known at run time only.
    ///
    /// # Errors
    /// As [`Watcher::add_callback`].
    fn watcher_for_kind<F, Fut, R>(
        &self,
        gvk: &GroupVersionKind,
        name: &str,
        callback: F,
    ) -> Result<Registration, WatchError>
    where
        F: Fn(Change) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = CallbackResult<R>> + Send + 'static,
        R: IntoOutcome + 'static,
    {
        self.add_callback(gvk, name, Arc::new(callback))
    }

    /// Registers a function with its context:
    /// `async fn reconcile(context: Arc<Context>, change: Change<Pod>) -> Result<_, MyError>`.
    ///
    /// # Errors
    /// As [`Watcher::add_callback`].
    fn watcher_with<C, K, F, Fut, R, E>(
        &self,
        name: &str,
        context: C,
        function: F,
    ) -> Result<Registration, WatchError>
    where
        C: Clone + Send + Sync + 'static,
        K: Kind,
        F: Fn(C, Change<K>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, E>> + Send + 'static,
        R: IntoOutcome,
        E: Into<BoxError>,
    {
        self.watcher(name, move |change: Change<K>| {
            let run = function(context.clone(), change);
            async move { run.await.map_err(Into::into) }
        })
    }
}

impl<T: Watcher + ?Sized> WatcherExt for T {}

impl<T: Watcher + ?Sized> Watcher for Arc<T> {
    fn add_callback(
        &self,
        gvk: &GroupVersionKind,
        name: &str,
        callback: Arc<dyn Callback>,
    ) -> Result<Registration, WatchError> {
        (**self).add_callback(gvk, name, callback)
    }
}
