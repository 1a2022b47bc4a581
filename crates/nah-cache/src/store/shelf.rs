//! What the entries of one kind share.

use std::sync::{
    Arc, OnceLock,
    atomic::{
        AtomicU64, AtomicUsize,
        Ordering::{AcqRel, Acquire, Relaxed},
    },
};

use super::{
    encoding::Codec,
    fresh::Fresh,
    front::Front,
    hot::{Forms, Hot},
    trim::Trim,
    upkeep::{Upkeep, Waiting},
    words::Words,
};
use crate::KindCacheOptions;

/// What the entries of all kinds of a factory share.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) hot: Hot,
    pub(crate) front: Front,
    pub(crate) fresh: Fresh,
    pub(crate) words: Words,
    /// The stores that have something to do when nothing else is.
    pub(crate) waiting: Waiting,
}

/// What the entries of one kind share: how they are encoded, where their decoded forms are remembered, and what they
/// cost together.
pub(crate) struct Shelf {
    pub(crate) codec: Codec,
    pub(crate) trim: Trim,
    /// None for objects that no store keeps: they remember what they were decoded as for as long as they live.
    pub(crate) common: Option<Arc<Common>>,
    /// Whether no decoded form is remembered.
    pub(crate) never_hot: bool,
    /// In which decoded forms are to be found without a lock.
    epoch: AtomicU64,
    /// Of entries, their encoded bytes apart.
    entries: AtomicUsize,
    /// Of decoded forms, estimated.
    hot: AtomicUsize,
}

impl Common {
    /// With about `hot_bytes` for decoded objects, and the work that is done beside everything.
    pub(crate) fn new(hot_bytes: usize) -> (Arc<Self>, Upkeep) {
        let (waiting, upkeep) = Upkeep::new();
        let (hot, front) = (Hot::new(hot_bytes), Front::default());
        let (fresh, words) = (Fresh::default(), Words::default());
        (Arc::new(Self { hot, front, fresh, words, waiting }), upkeep)
    }
}

impl Shelf {
    pub(crate) fn new(common: Arc<Common>, options: &KindCacheOptions) -> Arc<Self> {
        Arc::new(Self {
            codec: Codec::default(),
            trim: Trim::new(options),
            never_hot: options.never_hot || !common.hot.keeps(),
            epoch: AtomicU64::new(common.front.epoch()),
            common: Some(common),
            entries: AtomicUsize::new(0),
            hot: AtomicUsize::new(0),
        })
    }

    /// The shelf of objects that no store keeps.
    pub(crate) fn loose() -> &'static Arc<Self> {
        static LOOSE: OnceLock<Arc<Shelf>> = OnceLock::new();
        LOOSE.get_or_init(|| {
            Arc::new(Self {
                codec: Codec::default(),
                trim: Trim::default(),
                common: None,
                never_hot: false,
                epoch: AtomicU64::new(0),
                entries: AtomicUsize::new(0),
                hot: AtomicUsize::new(0),
            })
        })
    }

    /// The epoch in which decoded forms are to be found.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Acquire)
    }

    /// Begins an epoch, in which nothing is shown yet, and says which one is over. The caller keeps others from reading
    /// the store.
    pub(crate) fn begin_epoch(&self) -> u64 {
        let next = self.common.as_ref().map_or(0, |common| common.front.epoch());
        self.epoch.swap(next, AcqRel)
    }

    /// Clears away what was shown in an epoch that is over.
    pub(crate) fn end_epoch(&self, epoch: u64) {
        if let Some(common) = &self.common {
            common.front.end(epoch);
        }
    }

    /// Counts an entry that there is now.
    pub(crate) fn count_entry(&self, bytes: usize) {
        self.entries.fetch_add(bytes, Relaxed);
    }

    /// Counts an entry that there is no more.
    pub(crate) fn discount_entry(&self, bytes: usize) {
        self.entries.fetch_sub(bytes, Relaxed);
    }

    /// What the entries take, their encoded bytes apart.
    pub(crate) fn entry_bytes(&self) -> usize {
        self.entries.load(Relaxed)
    }

    /// The decoded forms of this kind, in bytes (estimated).
    pub(crate) fn hot_bytes(&self) -> usize {
        self.hot.load(Relaxed)
    }

    /// Counts forms that an entry has, and such as it has no more.
    pub(crate) fn count_hot(&self, more: Option<&Forms>, less: Option<&Forms>) {
        let (more, less) = (more.map_or(0, Forms::weight), less.map_or(0, Forms::weight));
        self.hot.fetch_add(more, Relaxed);
        self.hot.fetch_sub(less, Relaxed);
        if let Some(common) = &self.common {
            common.hot.count(more, less);
        }
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        self.end_epoch(self.epoch());
    }
}
