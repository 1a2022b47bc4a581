//! The shared informer of a kind.

use std::{any::TypeId, fmt, future::Future, marker::PhantomData, sync::Arc};

use nah_core::{DecodeError, GroupVersionKind, Object, ObjectKey, ResourceVersion, View};

use crate::{
    CacheError, Event, Explanation, Extract, Found, HandlerOptions, HandlerRegistration, InformerStatus,
    KindMemory, List, ListOptions, Subscription, driver::Tasks, handler, status::Health, store::Store,
};

/// How many objects an index is built over before the call that adds it returns; the rest is a task's.
const INDEXED_AT_ONCE: usize = 1024;
/// How many are indexed between two turns of others: writers and readers wait for no more than these.
const INDEXED_IN_TURN: usize = 64;

/// The shared informer of a kind, read as `V`. Cloneable; the fastest way to read a kind often.
///
/// One list and one watch serve every informer of a kind, whatever it is read as, and reads copy nothing. Objects of
/// one key change in the server's order; between keys there is no order. Before a subscriber or handler is told of
/// something, a read shows it.
pub struct Informer<V = Object> {
    shared: Arc<Shared>,
    view: PhantomData<fn() -> V>,
}

struct Shared {
    store: Arc<Store>,
    health: Arc<Health>,
    tasks: Tasks,
}

impl Informer {
    /// The informer of a kind whose parts the factory has made.
    pub(crate) fn new(store: Arc<Store>, health: Arc<Health>, tasks: Tasks) -> Self {
        Self { shared: Arc::new(Shared { store, health, tasks }), view: PhantomData }
    }

    /// As [`FieldIndexer::add_index`](crate::FieldIndexer::add_index).
    pub(crate) fn add_index(&self, field: &str, extract: Extract) -> Result<(), CacheError> {
        let Some(mut build) = self.shared.store.add_index(field, extract)? else { return Ok(()) };
        if let Some(_turn) = self.shared.store.turn_now() {
            for _ in 0..INDEXED_AT_ONCE / INDEXED_IN_TURN {
                if build.step(INDEXED_IN_TURN) {
                    return Ok(());
                }
            }
        }
        let store = self.shared.store.clone();
        self.shared.tasks.submit(Box::pin(async move {
            loop {
                let turn = store.turn().await;
                if build.step(INDEXED_IN_TURN) {
                    return;
                }
                drop(turn);
                handler::yield_now().await;
            }
        }))
    }
}

impl<V: View> Informer<V> {
    /// The same informer, read as `W`.
    pub fn typed<W: View>(self) -> Informer<W> {
        Informer { shared: self.shared, view: PhantomData }
    }

    /// The kind.
    pub fn gvk(&self) -> &GroupVersionKind {
        self.shared.store.gvk()
    }

    /// Whether its objects live in namespaces, as discovery said last; none before that.
    #[doc(alias = "IsObjectNamespaced")]
    pub fn is_namespaced(&self) -> Option<bool> {
        self.shared.health.is_namespaced()
    }

    /// The object at `key`, or none where there is none. The namespace of a key is ignored for a cluster-scoped kind.
    ///
    /// Never waits.
    ///
    /// # Errors
    /// [`CacheError::NotSynced`] before the first list, [`CacheError::OutsideScope`] for a namespace that is not
    /// cached, [`CacheError::Decode`] where the object does not read as `V`, [`CacheError::Stopped`].
    #[doc(alias = "GetByKey")]
    pub fn get(&self, key: &ObjectKey) -> Result<Option<V::Handle>, CacheError> {
        let store = &self.shared.store;
        if let Some(shown) = store.shown::<V>(key) {
            return Ok(Some(shown));
        }
        let found = store.look_up(key, TypeId::of::<V>()).map_err(|error| self.explained(error))?;
        Ok(found.and_then(Found::view::<V>).transpose()?)
    }

    /// As [`get`](Self::get), of a type that is known by its id: its decoded form where that is remembered, or else the
    /// object.
    ///
    /// # Errors
    /// As [`get`](Self::get), but nothing is decoded.
    pub fn find(&self, key: &ObjectKey, form: TypeId) -> Result<Option<Found>, CacheError> {
        self.shared.store.find(key, form).map_err(|error| self.explained(error))
    }

    /// The objects that `options` select, sorted by key, of one moment.
    ///
    /// Never waits. By namespace, owner or index it costs what the smallest of them has; what else is asked for is
    /// asked of each object that it names, labels without an index too: [`explain`](Self::explain) tells.
    ///
    /// # Errors
    /// As [`get`](Self::get), and [`CacheError::NoIndex`] for a field without an index. An index that is still being
    /// built is [`CacheError::NotSynced`].
    #[doc(alias = "GetIndexer")]
    #[doc(alias = "GetStore")]
    pub fn list(&self, options: &ListOptions) -> Result<List<V>, CacheError> {
        let list = self.shared.store.list(options).map_err(|error| self.explained(error))?;
        Ok(list.typed())
    }

    /// Which index answers `options`, and how many objects are looked at for it. Answers the query to know.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub fn explain(&self, options: &ListOptions) -> Result<Explanation, CacheError> {
        self.shared.store.explain(options).map_err(|error| self.explained(error))
    }

    /// The values of the index `field` that have an object, sorted.
    ///
    /// # Errors
    /// [`CacheError::NoIndex`], [`CacheError::NotSynced`] while it is being built, [`CacheError::Stopped`].
    #[doc(alias = "ListIndexFuncValues")]
    pub fn index_values(&self, field: &str) -> Result<Vec<String>, CacheError> {
        self.shared.store.index_values(field).map_err(|error| self.explained(error))
    }

    /// A snapshot as `Added` events, then everything after it. Dropping it unsubscribes.
    ///
    /// # Errors
    /// [`CacheError::Stopped`].
    pub fn subscribe(&self) -> Result<Subscription<V>, CacheError> {
        Subscription::new(self.shared.store.clone())
    }

    /// A handler on a task of its own (the driver's, or the backend's). It must not block its thread: what
    /// waits belongs in a subscription.
    ///
    /// It is told what a [`subscribe`](Self::subscribe) yields, one event after the other. A panic in it is logged and
    /// counted and ends nothing; an object that does not read as `V` is logged and left out.
    ///
    /// # Errors
    /// [`CacheError::Stopped`].
    #[doc(alias = "AddEventHandler")]
    pub fn add_event_handler(
        &self,
        handler: impl FnMut(Event<V>) + Send + 'static,
    ) -> Result<HandlerRegistration, CacheError> {
        self.add_event_handler_with(HandlerOptions::default(), handler)
    }

    /// As [`add_event_handler`](Self::add_event_handler), with a name, a filter or a periodic second look.
    ///
    /// # Errors
    /// [`CacheError::Stopped`].
    #[doc(alias = "AddEventHandlerWithOptions")]
    #[doc(alias = "AddEventHandlerWithResyncPeriod")]
    pub fn add_event_handler_with(
        &self,
        options: HandlerOptions,
        handler: impl FnMut(Event<V>) + Send + 'static,
    ) -> Result<HandlerRegistration, CacheError> {
        let (registration, task) = handler::attach(self.subscribe()?, options, handler);
        self.shared.tasks.submit(Box::pin(task))?;
        Ok(registration)
    }

    /// Whether the kind has been listed completely, in every namespace that is cached. A lost connection does not
    /// change it, nor does the end.
    #[doc(alias = "HasSynced")]
    pub fn has_synced(&self) -> bool {
        self.shared.store.has_synced()
    }

    /// Waits until the kind has been listed completely and its indexes are whole.
    ///
    /// # Errors
    /// [`CacheError::Stopped`] if that comes first.
    #[doc(alias = "HasSyncedChecker")]
    #[doc(alias = "WaitForCacheSync")]
    pub fn wait_for_sync(&self) -> impl Future<Output = Result<(), CacheError>> + Send + use<V> {
        wait(self.shared.store.clone(), |store| store.is_ready())
    }

    /// Waits until everything written up to `version` is in the cache.
    ///
    /// With several namespaces, in each of them: a quiet one moves by the server's bookmarks only, once a minute or
    /// so. A version that is no number counts as seen once the kind is synced.
    ///
    /// # Errors
    /// [`CacheError::Stopped`] if that comes first.
    pub fn wait_until_observed(
        &self,
        version: &ResourceVersion,
    ) -> impl Future<Output = Result<(), CacheError>> + Send + use<V> {
        let version = version.clone();
        wait(self.shared.store.clone(), move |store| store.has_observed(&version))
    }

    /// As [`wait_until_observed`](Self::wait_until_observed), of one namespace alone; none is the cluster scope.
    ///
    /// # Errors
    /// [`CacheError::OutsideScope`] for a namespace that is not cached, or not any more; [`CacheError::Stopped`].
    pub fn wait_until_observed_in(
        &self,
        namespace: Option<&str>,
        version: &ResourceVersion,
    ) -> impl Future<Output = Result<(), CacheError>> + Send + use<V> {
        let (namespace, version) = (namespace.map(str::to_owned), version.clone());
        wait(self.shared.store.clone(), move |store| store.has_observed_in(namespace.as_deref(), &version))
    }

    /// Lists again and takes every object anew, the ones with an unchanged version too.
    pub fn refresh(&self) {
        self.shared.health.refresh();
    }

    /// How the informer is.
    pub fn status(&self) -> InformerStatus {
        let Shared { store, health, .. } = &*self.shared;
        let (objects, bytes) = store.size();
        let scopes = health.scopes(|namespace| store.observed_in(namespace));
        let indexes = store.indexes();
        let unordered =
            |scope: &crate::ScopeStatus| scope.observed.as_ref().is_some_and(|at| at.number().is_none());
        InformerStatus {
            gvk: (**store.gvk()).clone(),
            namespace: store.only_namespace(),
            synced: store.has_synced(),
            unordered: scopes.iter().any(unordered),
            state: scopes.iter().map(|scope| scope.state).max().unwrap_or_default(),
            scopes,
            observed: store.observed_in(None).filter(|_| store.scopes() == 1),
            last_heard: health.last_heard(),
            last_error: health.last_error(),
            objects,
            quarantined: health.quarantined(),
            bytes,
            hot_bytes: store.hot_bytes(),
            index_bytes: store.index_bytes(),
            index_failures: indexes.iter().map(|index| index.failures).sum(),
            transform_failures: store.transform_failures(),
            indexes,
            subscribers: store.subscribers(),
        }
    }

    /// What the cache would keep of `object`, which came another way: without what the kind's transform drops.
    ///
    /// # Errors
    /// A [`DecodeError`] where the encoded form cannot be read back.
    pub fn trimmed(&self, object: &Object) -> Result<Object, DecodeError> {
        self.shared.store.trimmed(object)
    }

    /// What the kind costs in memory.
    pub fn memory(&self) -> KindMemory {
        self.shared.store.memory()
    }

    /// The objects whose newest state cannot be read, each with what is wrong with it. The last good state of each is
    /// what reads show.
    pub fn quarantined(&self) -> Vec<(ObjectKey, String)> {
        self.shared.health.quarantine()
    }

    /// The version up to which the cache has seen the scope of `namespace`; moves only after the store applied it.
    ///
    /// Over several namespaces, none asks for the lowest of theirs.
    #[doc(alias = "LastSyncResourceVersion")]
    #[doc(alias = "LastStoreSyncResourceVersion")]
    pub fn observed(&self, namespace: Option<&str>) -> Option<ResourceVersion> {
        self.shared.store.observed_in(namespace)
    }

    /// Whether `object` would be in the answer of `list(options)`: evaluates namespace, labels, owner, fields (by the
    /// extractors of the indexes). For objects that the cache has not seen yet.
    ///
    /// # Errors
    /// [`CacheError::NoIndex`] for a field without an index, [`CacheError::Stopped`].
    pub fn matches(&self, object: &Object, options: &ListOptions) -> Result<bool, CacheError> {
        self.shared.store.matches(object, options)
    }

    /// Whether the cache holds objects of this namespace (cluster scope: none) and these labels and fields.
    pub fn in_scope(&self, object: &Object) -> bool {
        self.shared.store.in_scope(object)
    }

    /// Whether the cache holds objects of `namespace`; none is the cluster scope. A kind has objects in namespaces or
    /// in the cluster scope, never in both.
    pub fn covers(&self, namespace: Option<&str>) -> bool {
        self.shared.store.covers(namespace)
    }

    /// A number that is another one after each change of what a read may show: of objects, scopes, versions and
    /// indexes. What was read before and after which it was the same is what a read would show now.
    pub fn moment(&self) -> u64 {
        self.shared.store.moment()
    }

    /// Whether no selector keeps objects out of the cache: what it does not hold is then not there.
    pub fn is_whole(&self) -> bool {
        self.shared.store.is_whole()
    }

    /// The same error, with what keeps the kind from being synced.
    fn explained(&self, error: CacheError) -> CacheError {
        match error {
            CacheError::NotSynced { gvk, last_error: None } => {
                CacheError::NotSynced { gvk, last_error: self.shared.health.last_error() }
            }
            error => error,
        }
    }
}

/// Waits until `done`, looking again after each change of the store.
async fn wait(
    store: Arc<Store>,
    done: impl Fn(&Store) -> Result<bool, CacheError>,
) -> Result<(), CacheError> {
    // From before the first look, so that no change falls between a look and the wait.
    let mut progress = store.progress();
    while !done(&store)? {
        progress.changed().await.map_err(|_| CacheError::Stopped)?;
    }
    Ok(())
}

impl<V> Clone for Informer<V> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), view: PhantomData }
    }
}

impl<V> fmt::Debug for Informer<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Informer").field(&self.shared.store).finish()
    }
}

#[cfg(test)]
pub(crate) mod tests;
