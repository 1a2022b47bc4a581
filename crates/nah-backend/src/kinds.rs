//! The kinds with callbacks, and what is still under way of those that were removed.

use std::{collections::HashMap, sync::Arc};

use nah_core::{GroupVersionKind, KindMap, ObjectKey};
use nah_watch::Callbacks;
use tokio_util::task::TaskTracker;

use crate::kind_run::KindRun;

/// The kinds with callbacks.
#[derive(Default)]
pub(crate) struct Kinds {
    pub(crate) known: KindMap<Arc<KindRun>>,
    /// Runs of kinds that were removed: who adds such a kind again has to wait for them.
    pub(crate) leaving: HashMap<GroupVersionKind, TaskTracker>,
    /// The callbacks of kinds that were removed while some of them ran.
    left: Vec<Callbacks>,
}

impl Kinds {
    /// The runs under way (callback, kind, key), those of kinds that were removed included.
    pub(crate) fn running(&self) -> Vec<(String, GroupVersionKind, ObjectKey)> {
        let known = self.known.values().map(|kind| &kind.callbacks);
        let of_kind = |callbacks: &Callbacks| {
            let gvk = callbacks.gvk().clone();
            let named = move |(name, key): (Arc<str>, ObjectKey)| {
                (name.to_string(), GroupVersionKind::clone(&gvk), key)
            };
            callbacks.running().into_iter().map(named)
        };
        known.chain(&self.left).flat_map(of_kind).collect()
    }

    /// Notes that `kind` was removed.
    pub(crate) fn leave(&mut self, kind: &KindRun) {
        self.leaving.retain(|_, runs| !runs.is_empty());
        self.leaving.insert(kind.callbacks.gvk().as_ref().clone(), kind.runs.clone());
        self.left.retain(|callbacks| !callbacks.running().is_empty());
        self.left.push(kind.callbacks.clone());
    }
}
