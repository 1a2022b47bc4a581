//! Kinds to resources.

use futures_core::future::BoxFuture;
use nah_core::{ApiResource, GroupVersionKind};

use crate::CacheError;

/// Kind to resource, by discovery: the cache needs it to list, so it lives here and not in nah-client.
pub trait RestMapper: Send + Sync {
    fn mapping(&self, gvk: &GroupVersionKind) -> BoxFuture<'_, Result<Mapping, CacheError>>;
    /// Forgets what it knows: a miss and a CRD's change do so by themselves.
    fn reset(&self);
}
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Mapping {
    pub resource: ApiResource,
    pub namespaced: bool,
}
