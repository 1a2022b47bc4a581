//! Callback fan-out for changes of objects.
#![allow(dead_code, unused_variables, missing_docs, clippy::all, missing_debug_implementations, clippy::todo)]

use futures_core::future::BoxFuture;
use nah_core::*;
use std::{fmt, future::Future, sync::Arc, time::Duration};

/// One key to look at: the object as it is now, or none, and why.
#[non_exhaustive]
pub struct Change<V: View = Object> {
    pub gvk: Arc<GroupVersionKind>,
    pub key: ObjectKey,
    pub object: Option<V::Handle>,
    /// The last state known of what is gone: where there is no object, or where one with another uid now stands
    /// in its place. Kept until a run succeeds. A handle: decode it if you need it.
    pub last_known: Option<Object>,
    pub causes: Causes,
    /// Failures of this key in a row before this run.
    pub failures: u32,
    /// False where no object may also mean that it left the cache's selector: look live before you destroy anything.
    pub certain: bool,
}
impl Change {
    pub fn decode<V: View>(self) -> Result<Change<V>, DecodeError> {
        let object = self.object.as_ref().map(V::view).transpose()?;
        let Self { gvk, key, last_known, causes, failures, certain, .. } = self;
        Ok(Change { gvk, key, object, last_known, causes, failures, certain })
    }
}
impl<K: Kind> Change<K> {
    /// A change to `object`, as an event would make it.
    pub fn of(object: impl Into<Arc<K>>) -> Result<Self, BadKey> {
        let object = object.into();
        let key = object.key()?;
        Ok(Self { object: Some(object), ..Self::gone(key) })
    }
    /// A change that finds nothing at `key`.
    pub fn gone(key: impl Into<ObjectKey>) -> Self {
        Self {
            gvk: K::kind_of(),
            key: key.into(),
            object: None,
            last_known: None,
            causes: Causes::EVENT,
            failures: 0,
            certain: true,
        }
    }
    pub fn caused_by(self, causes: Causes) -> Self {
        Self { causes, ..self }
    }
}
impl<V: View> Clone for Change<V> {
    fn clone(&self) -> Self {
        Self {
            gvk: self.gvk.clone(),
            key: self.key.clone(),
            object: self.object.clone(),
            last_known: self.last_known.clone(),
            causes: self.causes,
            failures: self.failures,
            certain: self.certain,
        }
    }
}
impl<V: View> fmt::Debug for Change<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.gvk.kind, self.key, self.causes)
    }
}

/// What a callback leaves behind.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// Input of the next callback.
    pub object: Option<Object>,
    /// Look at the key again then, as `trigger` with that delay would.
    pub requeue_after: Option<Duration>,
}
/// `Ok(Requeue(five_minutes))`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requeue(pub Duration);
pub trait IntoOutcome {
    fn into_outcome(self) -> Result<Outcome, BadObject>;
}
impl IntoOutcome for Outcome {
    fn into_outcome(self) -> Result<Outcome, BadObject> {
        Ok(self)
    }
}
impl IntoOutcome for () {
    fn into_outcome(self) -> Result<Outcome, BadObject> {
        Ok(Outcome::default())
    }
}
impl IntoOutcome for Requeue {
    fn into_outcome(self) -> Result<Outcome, BadObject> {
        Ok(Outcome { requeue_after: Some(self.0), ..Outcome::default() })
    }
}
impl IntoOutcome for Object {
    fn into_outcome(self) -> Result<Outcome, BadObject> {
        Ok(Outcome { object: Some(self), ..Outcome::default() })
    }
}
impl<T: Payload> IntoOutcome for Arc<T> {
    fn into_outcome(self) -> Result<Outcome, BadObject> {
        Object::from_typed(self)?.into_outcome()
    }
}
impl<T: IntoOutcome> IntoOutcome for Option<T> {
    fn into_outcome(self) -> Result<Outcome, BadObject> {
        self.map_or_else(|| Ok(Outcome::default()), T::into_outcome)
    }
}

/// An error that counts as success for its callback.
#[derive(Debug, thiserror::Error)]
#[error("ignored")]
pub struct Ignore;
/// An error that waiting will not cure: reported, and not retried until the object changes.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Terminal(#[source] pub BoxError);

pub type CallbackResult<R = ()> = Result<R, BoxError>;
pub trait Callback: Send + Sync + 'static {
    fn call(&self, change: Change) -> BoxFuture<'_, CallbackResult<Outcome>>;
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

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    #[error("a callback named {name:?} is already registered for {}", gvk.kind)]
    DuplicateName { gvk: GroupVersionKind, name: String },
    #[error("backend has stopped")]
    Stopped,
}
/// A callback's place in its kind. Dropping it changes nothing.
pub struct Registration;
impl Registration {
    pub fn unregister(self) {}
    /// Also waits for a run in progress, unless called from inside it.
    pub async fn unregister_and_wait(self) {}
    pub fn drop_guard(self) -> RegistrationGuard {
        RegistrationGuard(Some(self))
    }
}
/// Unregisters when dropped.
#[must_use]
pub struct RegistrationGuard(Option<Registration>);
impl Drop for RegistrationGuard {
    fn drop(&mut self) {
        if let Some(registration) = self.0.take() {
            registration.unregister();
        }
    }
}

pub trait Watcher: Send + Sync {
    fn add_callback(
        &self,
        gvk: &GroupVersionKind,
        name: &str,
        callback: Arc<dyn Callback>,
    ) -> Result<Registration, WatchError>;
}
pub trait WatcherExt: Watcher {
    /// For closures: their last line is `Ok(())`, any error goes through `?`.
    fn watcher<K, F, Fut, R>(&self, name: &str, callback: F) -> Result<Registration, WatchError>
    where
        K: Kind,
        F: Fn(Change<K>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = CallbackResult<R>> + Send + 'static,
        R: IntoOutcome,
    {
        let typed = move |change: Change| {
            let run = change.decode().map(&callback).map_err(|error| Terminal(error.into()));
            async move { run?.await }
        };
        self.add_callback(&K::kind_of(), name, Arc::new(typed))
    }
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
    /// For functions: `async fn reconcile(context: Arc<Context>, change: Change<Pod>) -> Result<_, MyError>`.
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

/// The callbacks of one kind. A handle; clones share everything.
#[derive(Clone)]
pub struct Callbacks;
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallbackId(u64);
/// Which callbacks a run is for. Merges: `All` wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Meant {
    #[default]
    All,
    Only(std::collections::BTreeSet<CallbackId>),
}
impl Meant {
    pub fn merge(&mut self, newer: Self) {}
}
/// What one run over the callbacks of a key left behind.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// The earliest that any callback asked for.
    pub requeue_after: Option<Duration>,
    pub failures: Vec<CallbackFailure>,
}
impl Report {
    /// Whether any failure is worth a retry (not `Terminal`).
    pub fn wants_retry(&self) -> bool {
        todo!()
    }
}
#[derive(Debug, thiserror::Error)]
#[error("handler {name} {}: {source}", gvk.kind)]
#[non_exhaustive]
pub struct CallbackFailure {
    pub name: Arc<str>,
    pub gvk: Arc<GroupVersionKind>,
    pub source: BoxError,
    pub terminal: bool,
    /// The message and place of a panic.
    pub panicked: bool,
}
impl Callbacks {
    pub fn new(gvk: Arc<GroupVersionKind>) -> Self {
        todo!()
    }
    pub fn add(&self, name: &str, callback: Arc<dyn Callback>) -> Result<Registration, WatchError> {
        todo!()
    }
    pub fn len(&self) -> usize {
        todo!()
    }
    /// Runs the callbacks meant, one after the other in registration order, over a snapshot of the list.
    pub async fn run(&self, change: Change, meant: &Meant) -> Report {
        todo!()
    }
    /// The callbacks running now (names and keys), for a shutdown that cuts them off.
    pub fn running(&self) -> Vec<(Arc<str>, ObjectKey)> {
        todo!()
    }
    /// Drops every callback; `add` answers `Stopped` from now on.
    pub fn close(&self) {}
}
impl Registration {
    pub fn id(&self) -> CallbackId {
        todo!()
    }
}
