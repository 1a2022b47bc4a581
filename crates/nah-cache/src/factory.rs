//! One informer a kind.

use std::sync::Arc;

use nah_core::{GroupVersionKind, ResourceVersion};

use crate::{
    CacheError, CacheFactory, CacheOptions, Driver, Extract, FieldIndexer, Informer, InformerStatus,
    Observer, RestMapper,
};

#[derive(Clone)]
pub struct InformerFactory;
pub fn informers(client: kube_client::Client, options: CacheOptions) -> (InformerFactory, Driver) {
    todo!()
}
impl CacheFactory for InformerFactory {
    fn informer_for_kind(&self, gvk: &GroupVersionKind) -> Result<Informer, CacheError> {
        todo!()
    }
}
impl FieldIndexer for InformerFactory {
    fn add_index(&self, gvk: &GroupVersionKind, field: &str, extract: Extract) -> Result<(), CacheError> {
        todo!()
    }
}

impl InformerFactory {
    pub fn rest_mapper(&self) -> Arc<dyn RestMapper> {
        todo!()
    }
    /// At most one, before the first informer.
    pub fn observe(&self, observer: Arc<dyn Observer>) {}
    /// The informer of `gvk` if somebody asked for it.
    pub fn existing(&self, gvk: &GroupVersionKind) -> Option<Informer> {
        todo!()
    }
    /// The first list of `gvk` asks for this version or a newer one (the highest version of our own writes).
    pub fn raise_floor(&self, gvk: &GroupVersionKind, version: &ResourceVersion) {}
    pub fn add_namespace(&self, namespace: &str) -> Result<(), CacheError> {
        todo!()
    }
    pub fn remove_namespace(&self, namespace: &str) {}
    /// Ends the kind: its watch, its store, its subscriptions.
    pub fn remove_kind(&self, gvk: &GroupVersionKind) {}
    pub fn status(&self) -> Vec<InformerStatus> {
        todo!()
    }
    /// Ends everything; afterwards every call answers `Stopped`, and no handler or extractor is held.
    pub fn stop(&self) {}
}
