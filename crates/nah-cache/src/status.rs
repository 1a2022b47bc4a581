//! What is known of the health of an informer.

use std::time::Duration;

use nah_core::{GroupVersionKind, ResourceVersion};

#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InformerStatus {
    pub gvk: GroupVersionKind,
    pub namespace: Option<String>,
    pub synced: bool,
    pub observed: Option<ResourceVersion>,
    pub last_heard: Option<Duration>,
    pub last_error: Option<String>,
    pub objects: usize,
    pub quarantined: usize,
    pub bytes: usize,
    pub hot_bytes: usize,
}

/// What the reflectors of one kind report, shared with its informer. Beside the [`Store`](crate::store::Store), which
/// knows objects and versions, this knows errors, silence and quarantine.
#[derive(Debug, Default)]
pub(crate) struct Health;

impl Health {
    /// What went wrong last and has not come right since, over all scopes.
    pub(crate) fn last_error(&self) -> Option<String> {
        todo!()
    }
    /// How long ago the server was last heard by the scope that has been silent for the longest.
    pub(crate) fn last_heard(&self) -> Option<Duration> {
        todo!()
    }
    /// How many objects are quarantined.
    pub(crate) fn quarantined(&self) -> usize {
        todo!()
    }
    /// Asks every scope to list again and take every object anew.
    pub(crate) fn refresh(&self) {
        todo!()
    }
}
