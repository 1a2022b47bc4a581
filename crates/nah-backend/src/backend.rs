//! The documented interface.

use std::{future::Future, sync::Arc, time::Duration};

use futures_core::future::BoxFuture;
use futures_util::StreamExt as _;
use kube_runtime::wait::Condition;
use nah_cache::{
    CacheError, CacheFactory, CacheFactoryExt as _, Event, FieldIndexer, HandlerRegistration, InformerStatus,
};
use nah_client::{LiveWatch, OptionalExt as _, Reader, ReaderExt as _, Result, Writer};
use nah_core::{BoxError, Kind, Object, ObjectKey};
use nah_trigger::Trigger;
use nah_watch::Watcher;

use crate::{Shutdown, StartError, ownership};

/// Everything an operator needs of a cluster; dyn-compatible.
///
/// Reads come from shared informers and show every write made through this backend at once. Writes go to the API
/// server. Callbacks run once a key at a time. See `docs/semantics.md` for what can be relied on.
pub trait Backend:
    Trigger + Watcher + CacheFactory + FieldIndexer + Reader + Writer + LiveWatch + 'static
{
    /// Syncs every known kind: reads work from then on, no callback runs. A replica that waits for leadership stays
    /// here with a warm cache.
    ///
    /// # Errors
    /// [`StartError::NotSynced`] names the kinds that were not synced in time and why; `Stopped` after a shutdown.
    ///
    /// # Panics
    /// Outside a tokio runtime with its timer.
    #[doc(alias = "Preload")]
    fn preload(&self) -> BoxFuture<'_, std::result::Result<(), StartError>>;

    /// Preloads, then lets callbacks run. Returns once every kind that is known by then is synced; work goes on in
    /// the background. Idempotent, also concurrently.
    ///
    /// # Errors
    /// As [`preload`](Self::preload), and [`StartError::Paused`] where a [`pause`](Self::pause) comes before its end;
    /// a failed start can be tried again.
    #[doc(alias = "Start")]
    fn start(&self) -> BoxFuture<'_, std::result::Result<(), StartError>>;

    /// Preloads, and starts once `gate` is ready: a lease that is won, a migration that is done. The cache is warm
    /// meanwhile, and no callback runs. Preloading and waiting for the gate go on side by side.
    ///
    /// # Errors
    /// As [`start`](Self::start), and [`StartError::Gate`] with the gate's own error. A shutdown ends the wait, and so
    /// does a [`pause`](Self::pause): the gate is dropped.
    #[doc(alias = "LeaderElection")]
    fn start_when<'a>(
        &'a self,
        gate: BoxFuture<'a, std::result::Result<(), BoxError>>,
    ) -> BoxFuture<'a, std::result::Result<(), StartError>>;

    /// Goes back to preloaded: running callbacks end, keys stay queued, reads stay warm. For a leader that is none
    /// any more; [`start`](Self::start) goes on. A start that is under way gives up. Called from inside a callback it
    /// does not wait for the callbacks; a task that a callback spawned is not inside, and must not be waited for there.
    ///
    /// The kinds are followed meanwhile, and the queues keep what is to be told: of what comes and goes during a long pause
    /// its key and its last state.
    fn pause(&self) -> BoxFuture<'_, ()>;

    /// Ends everything: callbacks first, which have `grace` to finish and are then cut off at their next await; then
    /// handlers, informers, connections. When it returns no task of the backend is left, no connection of a client of
    /// its own is open, and every call answers `Stopped`. (A request of somebody outside a callback keeps its
    /// connection until it is answered, and a live watch until it is polled or dropped; they are waited for, for five
    /// seconds. Handles that `client` gave out keep theirs.)
    ///
    /// A callback that blocks its thread cannot be cut off: five seconds after `grace` it is left behind and named in
    /// [`Shutdown::blocked`]; so is a handler, which is counted in [`Shutdown::tasks_left`]. Called from inside a callback
    /// of this backend it only signals. Of several calls each waits for the end and is told all that it left, and the
    /// shortest `grace` counts; where the future of one is dropped, another call finishes.
    fn shutdown(&self, grace: Duration) -> BoxFuture<'_, Shutdown>;

    /// How each informer is doing.
    fn status(&self) -> Vec<InformerStatus>;

    /// A handle that triggers and does not keep the backend alive: for handlers, timers and threads of one's own.
    fn trigger_handle(&self) -> Arc<dyn Trigger>;
}

/// What can be built on any [`Backend`].
pub trait BackendExt: Backend {
    /// Makes every change of a `Child`, its deletion included, trigger the `Owner` that its controller reference
    /// names (both owners, where it changed). Reads the references from the heads of objects: nothing is decoded.
    ///
    /// # Errors
    /// Those of [`CacheFactory::informer_for_kind`] for `Child`.
    fn owns<Owner: Kind, Child: Kind>(&self) -> std::result::Result<HandlerRegistration, CacheError> {
        self.triggers::<Child, Owner, _>(ownership::owners::<Owner>)
    }

    /// Makes every change of a `Source` trigger the `Target`s that `map` names. A panic in `map` is logged and costs
    /// that event only.
    ///
    /// # Errors
    /// Those of [`CacheFactory::informer_for_kind`] for `Source`.
    fn triggers<Source: Kind, Target: Kind, Keys: IntoIterator<Item = ObjectKey>>(
        &self,
        map: impl Fn(&Event) -> Keys + Send + Sync + 'static,
    ) -> std::result::Result<HandlerRegistration, CacheError> {
        let trigger = self.trigger_handle();
        let informer = self.informer_for_kind(&Source::kind_of())?;
        informer.typed::<Object>().add_event_handler(move |event| {
            for key in map(&event) {
                ownership::trigger::<Target>(&*trigger, &key);
            }
        })
    }

    /// Waits until `condition`, one of kube-runtime's, holds for the cached object (or its absence), and returns the
    /// object it held for. Asks the server nothing; dropping the future ends the wait.
    ///
    /// # Errors
    /// Those of a read, and a [`DecodeError`](nah_core::DecodeError) of a version that does not parse.
    #[doc(alias = "ByName")]
    #[doc(alias = "BySelector")]
    fn wait_for<K: Kind>(
        &self,
        key: impl Into<ObjectKey>,
        condition: impl Condition<K> + Send,
    ) -> impl Future<Output = Result<Option<Arc<K>>>> + Send {
        let key = key.into();
        async move {
            let mut changes = self.informer::<K>()?.typed::<Object>().subscribe()?;
            loop {
                let object = self.get::<K>(&key).await.optional()?;
                if condition.matches_object(object.as_deref()) {
                    return Ok(object);
                }
                loop {
                    let event = changes.next().await.ok_or(CacheError::Stopped)?;
                    if event?.key() == &key {
                        break;
                    }
                }
            }
        }
    }
}

impl<T: Backend + ?Sized> BackendExt for T {}

impl<T: Backend + ?Sized> Backend for Arc<T> {
    fn preload(&self) -> BoxFuture<'_, std::result::Result<(), StartError>> {
        (**self).preload()
    }

    fn start(&self) -> BoxFuture<'_, std::result::Result<(), StartError>> {
        (**self).start()
    }

    fn start_when<'a>(
        &'a self,
        gate: BoxFuture<'a, std::result::Result<(), BoxError>>,
    ) -> BoxFuture<'a, std::result::Result<(), StartError>> {
        (**self).start_when(gate)
    }

    fn pause(&self) -> BoxFuture<'_, ()> {
        (**self).pause()
    }

    fn shutdown(&self, grace: Duration) -> BoxFuture<'_, Shutdown> {
        (**self).shutdown(grace)
    }

    fn status(&self) -> Vec<InformerStatus> {
        (**self).status()
    }

    fn trigger_handle(&self) -> Arc<dyn Trigger> {
        (**self).trigger_handle()
    }
}
