//! What a read of the cache can fail with.

use std::{error::Error, sync::Arc};

use nah_core::{DecodeError, GroupVersionKind};

/// Why the cache has no answer. Never an absence: what is not there is `Ok(None)` or an empty list.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The informer or its factory has been stopped.
    #[error("backend has stopped")]
    Stopped,
    /// The kind has not been listed yet, or an index of it is not whole yet; `last_error` says why if it was tried.
    #[error("{} is not synced yet{}", gvk.kind, Because(last_error.as_deref()))]
    NotSynced {
        /// The kind.
        gvk: GroupVersionKind,
        /// What the last list or watch failed with.
        last_error: Option<String>,
    },
    /// A field was asked for that has no index. An index may be added at any time.
    #[error(
        "{kind} has no index {index:?}: index_path::<{kind}>({index:?}) adds one by its path, index_field by a function",
        kind = gvk.kind
    )]
    NoIndex {
        /// The kind.
        gvk: GroupVersionKind,
        /// The name of the index, or the path.
        index: String,
    },
    /// The kind has an index of this name already.
    #[error("indexer conflict: {} has an index {index:?} already", gvk.kind)]
    IndexConflict {
        /// The kind.
        gvk: GroupVersionKind,
        /// The name of the index.
        index: String,
    },
    /// The namespace is none of those that are cached, so nothing is known of what is in it.
    #[error("namespace {namespace:?} is outside the cache of {}", gvk.kind)]
    OutsideScope {
        /// The kind.
        gvk: GroupVersionKind,
        /// The namespace asked for; empty for the cluster scope.
        namespace: String,
    },
    /// A selector's text does not parse.
    #[error("bad selector {0}")]
    Selector(String),
    /// The path of a field does not parse.
    #[error("bad path {0}")]
    Path(String),
    /// The object is there and does not read as what was asked for.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The server does not serve this kind in this version (yet).
    #[error("server does not serve {} in {}", gvk.kind, gvk.api_version())]
    UnknownKind {
        /// The kind.
        gvk: GroupVersionKind,
    },
    /// The server did not say which kinds it serves.
    #[error("cannot discover {}: {source}", gvk.kind)]
    Discovery {
        /// The kind.
        gvk: GroupVersionKind,
        /// What went wrong.
        source: Arc<dyn Error + Send + Sync>,
    },
}

struct Because<'a>(Option<&'a str>);

impl std::fmt::Display for Because<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |error| write!(f, ": {error}"))
    }
}
