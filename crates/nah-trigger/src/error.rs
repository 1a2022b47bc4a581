//! Why a request is refused.

use nah_core::{BadKey, GroupVersionKind, ObjectKey};

/// A request came too late: its queue is closed, or nobody takes keys from it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("queue is closed")]
pub struct Closed;

/// Why a trigger is refused: it could never become a callback.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TriggerError {
    /// Nothing is called back any more.
    #[error("backend has stopped")]
    Stopped,
    /// Nobody would be called back.
    #[error("no callback is registered for {}", gvk.kind)]
    NoCallback {
        /// The kind asked for.
        gvk: GroupVersionKind,
    },
    /// The cache would show nothing, and a callback would take that for a deletion.
    #[error("{key} lies outside the namespaces cached for {}", gvk.kind)]
    OutsideScope {
        /// The kind asked for.
        gvk: GroupVersionKind,
        /// The key asked for.
        key: ObjectKey,
    },
    /// No object can have that key.
    #[error("cannot trigger {}: {source}", gvk.kind)]
    Key {
        /// The kind asked for.
        gvk: GroupVersionKind,
        /// What is wrong with the key.
        source: BadKey,
    },
}
