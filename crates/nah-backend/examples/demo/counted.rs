//! What the operator reads and writes by, counted: a layer over a backend is two traits.

use std::sync::atomic::{AtomicU64, Ordering};

use futures_core::future::BoxFuture;
use nah_backend::{
    Reader, WeakBackend, Writer,
    cache::{CacheError, List},
    client::{Result, Write, Written},
    prelude::*,
};

/// A backend that counts what is asked of it, and is not kept alive by that.
pub(crate) struct Counted {
    backend: WeakBackend,
    pub(crate) reads: AtomicU64,
    pub(crate) live_reads: AtomicU64,
    pub(crate) writes: AtomicU64,
}

impl Counted {
    pub(crate) fn new(backend: WeakBackend) -> Self {
        let zero = AtomicU64::default;
        Self { backend, reads: zero(), live_reads: zero(), writes: zero() }
    }

    fn backend(&self, counter: &AtomicU64) -> Result<nah_backend::KubeBackend> {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(self.backend.upgrade().ok_or(CacheError::Stopped)?)
    }
}

impl Reader for Counted {
    fn lookup(&self, gvk: &GroupVersionKind, key: &ObjectKey) -> Result<Option<Object>> {
        self.backend(&self.reads)?.lookup(gvk, key)
    }

    fn select(&self, gvk: &GroupVersionKind, options: &ListOptions) -> Result<List> {
        self.backend(&self.reads)?.select(gvk, options)
    }

    fn ready(&self, gvk: &GroupVersionKind) -> BoxFuture<'_, Result<()>> {
        let gvk = gvk.clone();
        Box::pin(async move { self.backend.upgrade().ok_or(CacheError::Stopped)?.ready(&gvk).await })
    }

    fn fetch(&self, gvk: &GroupVersionKind, key: &ObjectKey) -> BoxFuture<'_, Result<Option<Object>>> {
        let (gvk, key) = (gvk.clone(), key.clone());
        Box::pin(async move { self.backend(&self.live_reads)?.fetch(&gvk, &key).await })
    }

    fn fetch_metadata(
        &self,
        gvk: &GroupVersionKind,
        key: &ObjectKey,
    ) -> BoxFuture<'_, Result<Option<Object>>> {
        let (gvk, key) = (gvk.clone(), key.clone());
        Box::pin(async move { self.backend(&self.live_reads)?.fetch_metadata(&gvk, &key).await })
    }

    fn fetch_list(&self, gvk: &GroupVersionKind, options: ListOptions) -> BoxFuture<'_, Result<List>> {
        let gvk = gvk.clone();
        Box::pin(async move { self.backend(&self.live_reads)?.fetch_list(&gvk, options).await })
    }
}

impl Writer for Counted {
    fn write(&self, write: Write) -> BoxFuture<'_, Result<Written>> {
        Box::pin(async move { self.backend(&self.writes)?.write(write).await })
    }
}
