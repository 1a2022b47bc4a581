//! Reads through the cache and the overlay, writes through kube-client.

mod exchange;
mod flight;
mod live;
mod warnings;

use std::{
    any::TypeId,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_core::{future::BoxFuture, stream::BoxStream};
use futures_util::FutureExt;
use kube_core::WatchEvent;
use nah_cache::{CacheError, CacheFactory, Found, Informer, InformerFactory, List, ListOptions, RestMapper};
use nah_core::{BadObject, DynamicObject, GroupVersionKind, Object, ObjectKey, Payload, ResourceVersion};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    Error, LiveWatch, Reader, Result, Write, Writer, Written,
    overlays::{KindOverlay, Overlays},
};
use warnings::Warnings;

/// Reads through the cache and the overlay, writes through kube-client. A handle; clones share everything.
///
/// A read after a successful write of any clone shows that write or something newer, and never an object that this
/// client knows to be gone, whatever the cache has seen. It waits for nothing: what the server answered is kept until
/// the cache has caught up. After a write whose result is not known, `get` asks the server.
#[derive(Clone)]
pub struct CachedClient {
    inner: Arc<Inner>,
    unwatched: Unwatched,
}

/// What a cached read of a kind that nobody watches does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unwatched {
    /// Starts its informer and waits for the first sync.
    #[default]
    Start,
    /// Asks the server.
    Live,
    /// Fails.
    Error,
}

struct Inner {
    /// None once it was stopped, so that its connections can close.
    client: Mutex<Option<kube_client::Client>>,
    informers: InformerFactory,
    mapper: Arc<dyn RestMapper>,
    overlays: Arc<Overlays>,
    phase: watch::Sender<Phase>,
    /// Whether it is the open phase, for reads, which ask at no lock.
    open: AtomicBool,
    warnings: Warnings,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Held,
    Stopped,
}

// === impl CachedClient ===

impl CachedClient {
    /// Registers itself as the factory's observer. Reads are answered at once; a facade that starts later calls `hold`.
    ///
    /// One client a factory, made before its first informer: a second one would not see what the cache has caught up
    /// with. `client` is taken as it is; one with kube's default retries repeats writes.
    ///
    /// Requests are not limited. A limit is a layer of `client`, before it is given here: with tower's,
    /// `ClientBuilder::try_from(config)?.with_layer(&RateLimitLayer::new(50, Duration::from_secs(1))).build()`.
    pub fn new(client: kube_client::Client, informers: InformerFactory) -> Self {
        let overlays = Arc::new(Overlays::default());
        informers.observe(overlays.clone());
        let mapper = informers.rest_mapper();
        let phase = watch::Sender::new(Phase::Open);
        let client = Mutex::new(Some(client));
        let (open, warnings) = (AtomicBool::new(true), Warnings::default());
        let inner = Arc::new(Inner { client, informers, mapper, overlays, phase, open, warnings });
        Self { inner, unwatched: Unwatched::default() }
    }

    /// The same client with another policy for kinds that nobody watches.
    #[must_use]
    pub fn unwatched(self, policy: Unwatched) -> Self {
        Self { unwatched: policy, ..self }
    }

    /// Cached reads answer `NotStarted` from now on (the informer of the kind is created all the same).
    pub fn hold(&self) {
        self.enter(Phase::Held);
    }

    /// Cached reads are answered again; those that wait go on.
    pub fn release(&self) {
        self.enter(Phase::Open);
    }

    /// Everything answers `Stopped` from now on. The client that this was made of is let go of; a request that is
    /// under way keeps it until it is answered.
    pub fn stop(&self) {
        self.enter(Phase::Stopped);
        self.inner.overlays.close();
        let client = self.inner.client.lock().take();
        drop(client);
    }

    /// The client underneath.
    fn client(&self) -> Result<kube_client::Client> {
        Ok(self.inner.client.lock().clone().ok_or(CacheError::Stopped)?)
    }

    /// What the server has warned of in its answers to this client, each text once, the oldest first: fields it does
    /// not know, versions that will go. The last 256 are kept; each is logged when it first comes.
    #[doc(alias = "WarningHandler")]
    pub fn warnings(&self) -> Vec<String> {
        self.inner.warnings.all()
    }

    /// Waits until the cache itself holds this state of `object` or a newer one, for those who read the informer and
    /// not the client. Reads of the client show own writes without it. Starts the kind as a read does.
    ///
    /// # Errors
    /// A bad request for an object without a version; [`Error::Unwatched`], `UnknownKind`, `OutsideScope`, `Stopped`.
    pub async fn wait_until_observed<O: Payload>(&self, object: &O) -> Result<()> {
        let gvk = object.gvk().map_err(BadObject::from)?;
        let key = object.key().map_err(BadObject::from)?;
        let Some(version) = object.meta().resource_version.as_deref().map(ResourceVersion::from) else {
            return Err(Error::bad_request(
                &gvk,
                key.as_str(),
                "an object without a version was never stored",
            ));
        };
        self.clone().wait(gvk.clone()).await?;
        let informer = self.inner.informers.existing(&gvk).ok_or_else(|| Error::Unwatched(gvk.clone()))?;
        Ok(informer.wait_until_observed_in(key.namespace(), &version).await?)
    }

    fn enter(&self, phase: Phase) {
        self.inner.phase.send_if_modified(|now| {
            let changes = *now != Phase::Stopped && *now != phase;
            if changes {
                *now = phase;
                self.inner.open.store(phase == Phase::Open, Ordering::Release);
            }
            changes
        });
    }

    fn phase(&self) -> Phase {
        *self.inner.phase.borrow()
    }

    fn is_open(&self) -> bool {
        self.inner.open.load(Ordering::Acquire)
    }

    fn running(&self) -> Result<()> {
        match self.phase() {
            Phase::Stopped => Err(CacheError::Stopped.into()),
            Phase::Open | Phase::Held => Ok(()),
        }
    }

    /// Reads from the kind's informer.
    fn cached<T>(
        &self,
        gvk: &GroupVersionKind,
        what: impl Fn() -> String,
        read: impl Fn(&KindOverlay, &Informer) -> Result<T>,
    ) -> Result<T> {
        if self.is_open()
            && let Some(answer) = self.inner.overlays.read(gvk, &read)
            && !matches!(answer, Err(Error::Cache(CacheError::Stopped)))
        {
            return answer;
        }
        match self.phase() {
            Phase::Stopped => return Err(CacheError::Stopped.into()),
            Phase::Held if self.unwatched == Unwatched::Start => {
                self.inner.informers.informer_for_kind(gvk)?;
                return Err(Error::NotStarted);
            }
            Phase::Held => return Err(Error::NotStarted),
            Phase::Open => {}
        }
        let kind = self.inner.overlays.kind(gvk);
        if let Some(informer) = kind.informer() {
            match read(&kind, &informer) {
                // The kind was removed from the cache. It may be back.
                Err(Error::Cache(CacheError::Stopped)) => kind.set_informer(None),
                answer => return answer,
            }
        }
        if let Some(informer) = self.inner.informers.existing(gvk) {
            kind.set_informer(Some(informer.clone()));
            return read(&kind, &informer);
        }
        Err(match self.unwatched {
            Unwatched::Start => CacheError::NotSynced { gvk: gvk.clone(), last_error: None }.into(),
            Unwatched::Live => Error::Unsure { gvk: gvk.clone(), key: what() },
            Unwatched::Error => Error::Unwatched(gvk.clone()),
        })
    }

    /// Reads what is at `key`.
    fn found<T>(
        &self,
        gvk: &GroupVersionKind,
        key: &ObjectKey,
        read: impl Fn(&KindOverlay, &Informer) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let found = self.cached(gvk, || key.to_string(), read);
        if !matches!(found, Ok(Some(_))) {
            // What is found has a key that is one.
            key.check().map_err(|source| Error::Key { gvk: gvk.clone(), key: key.to_string(), source })?;
        }
        found
    }

    async fn wait(self, gvk: GroupVersionKind) -> Result<()> {
        let mut phase = self.inner.phase.subscribe();
        let phase_is = async |phase: &mut watch::Receiver<Phase>, wanted: fn(&Phase) -> bool| {
            phase.wait_for(wanted).await.map_err(|_| CacheError::Stopped)?;
            Result::Ok(())
        };
        phase_is(&mut phase, |phase| *phase != Phase::Held).await?;
        self.running()?;
        if self.inner.informers.existing(&gvk).is_none() && self.unwatched != Unwatched::Start {
            return match self.unwatched {
                Unwatched::Live => Ok(()),
                Unwatched::Start | Unwatched::Error => Err(Error::Unwatched(gvk)),
            };
        }
        let synced = async {
            // A kind that is not served would be waited for until it is. What else keeps discovery from answering
            // may pass, and the informer asks again.
            if let Err(error @ CacheError::UnknownKind { .. }) = self.inner.mapper.mapping(&gvk).await {
                return Err(error.into());
            }
            let informer = self.inner.informers.informer_for_kind(&gvk)?;
            Result::Ok(informer.wait_for_sync().await?)
        };
        tokio::select! {
            synced = synced => synced,
            stopped = phase_is(&mut phase, |phase| *phase == Phase::Stopped) => {
                stopped.and(Err(CacheError::Stopped.into()))
            }
        }
    }
}

impl Reader for CachedClient {
    fn lookup(&self, gvk: &GroupVersionKind, key: &ObjectKey) -> Result<Option<Object>> {
        self.found(gvk, key, |kind, informer| kind.get(informer, key))
    }

    fn find(&self, gvk: &GroupVersionKind, key: &ObjectKey, form: TypeId) -> Result<Option<Found>> {
        self.found(gvk, key, |kind, informer| kind.find(informer, key, form))
    }

    fn select(&self, gvk: &GroupVersionKind, options: &ListOptions) -> Result<List> {
        self.cached(gvk, String::new, |kind, informer| kind.list(informer, options))
    }

    fn ready(&self, gvk: &GroupVersionKind) -> BoxFuture<'_, Result<()>> {
        self.clone().wait(gvk.clone()).boxed()
    }

    fn fetch(&self, gvk: &GroupVersionKind, key: &ObjectKey) -> BoxFuture<'_, Result<Option<Object>>> {
        live::get(self, gvk.clone(), key.clone(), false).boxed()
    }

    fn fetch_metadata(
        &self,
        gvk: &GroupVersionKind,
        key: &ObjectKey,
    ) -> BoxFuture<'_, Result<Option<Object>>> {
        live::get(self, gvk.clone(), key.clone(), true).boxed()
    }

    fn fetch_subresource(
        &self,
        gvk: &GroupVersionKind,
        key: &ObjectKey,
        subresource: &str,
    ) -> BoxFuture<'_, Result<Option<Object>>> {
        live::subresource(self, gvk.clone(), key.clone(), subresource.to_owned()).boxed()
    }

    fn fetch_list(&self, gvk: &GroupVersionKind, options: ListOptions) -> BoxFuture<'_, Result<List>> {
        live::list(self, gvk.clone(), options).boxed()
    }
}

impl LiveWatch for CachedClient {
    fn watch(
        &self,
        gvk: &GroupVersionKind,
        options: ListOptions,
    ) -> BoxStream<'static, Result<WatchEvent<DynamicObject>>> {
        live::watch(self.clone(), gvk.clone(), options)
    }
}

impl Writer for CachedClient {
    fn write(&self, write: Write) -> BoxFuture<'_, Result<Written>> {
        flight::write(self, write).boxed()
    }
}

impl fmt::Debug for CachedClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedClient")
            .field("phase", &self.phase())
            .field("unwatched", &self.unwatched)
            .finish()
    }
}
