//! How much of what is cached.

use kube_core::Selector;

#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CacheOptions {
    pub namespaces: Vec<String>,
    pub labels: Selector,
    /// Of decoded objects, over all kinds together.
    pub hot_bytes: usize,
    pub concurrent_lists: usize,
}

/// What of one kind is cached: the namespaces (none means all of them) and the selectors.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    pub(crate) namespaces: Vec<String>,
    pub(crate) labels: Selector,
    pub(crate) fields: Selector,
}
