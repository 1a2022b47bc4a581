//! The decoded objects that are kept for the next reader.

use std::{
    any::{Any, TypeId},
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter, sync::Cache};

use super::entry::Entry;

/// How much larger a decoded object is than its JSON: a Pod of 8 KB takes 40 to 110 KB.
const GROWTH: usize = 8;
/// As how many types one object is remembered.
const TYPES: usize = 3;
/// What of the budget is for objects that have been read once.
const GLANCES: usize = 32;
/// The most of it that is, in bytes, however large the budget: a walk over a whole kind keeps no more decoded.
const MOST_GLANCES: usize = 4 << 20;

/// The decoded objects of all kinds of a factory, within one budget.
///
/// What is read for the first time waits in a short queue, through which a list of a whole kind passes without a
/// trace; what is read again, there or later, is kept, until it has not been read for longer than the rest. Sizes are
/// estimated from the encoded ones.
pub(crate) struct Hot {
    kept: Option<Cache<usize, Kept, Weigh, DefaultHashBuilder, Evict>>,
    glances: Mutex<Glances>,
    bytes: AtomicUsize,
    room: usize,
}

/// The decoded forms of one entry.
pub(crate) struct Forms {
    forms: Box<[Arc<dyn Any + Send + Sync>]>,
    weight: usize,
    /// Somebody has had use of it since it was last looked at.
    read: Arc<AtomicBool>,
    /// The epoch in which readers find them without a lock.
    epoch: AtomicU64,
}

#[derive(Clone)]
struct Kept {
    entry: Weak<Entry>,
    forms: Arc<Forms>,
}

/// What has been read once, with its weight. An entry that goes takes its forms along.
struct Glances {
    queue: VecDeque<(Weak<Entry>, Weak<Forms>, usize)>,
    bytes: usize,
    limit: usize,
}

#[derive(Clone)]
struct Weigh;

#[derive(Clone)]
struct Evict;

// === impl Hot ===

impl Hot {
    /// A set of about `limit` bytes; of none, where nothing is to be kept.
    pub(crate) fn new(limit: usize) -> Self {
        let glancing = (limit / GLANCES).min(MOST_GLANCES);
        let glances = Glances { queue: VecDeque::new(), bytes: 0, limit: glancing };
        // A decoded object has some ten kilobytes, most often.
        let options = OptionsBuilder::new()
            .estimated_items_capacity(limit >> 14)
            .weight_capacity((limit - glancing) as u64)
            .build();
        let kept =
            options.map(|options| Cache::with_options(options, Weigh, DefaultHashBuilder::default(), Evict));
        Self { kept: kept.ok(), glances: Mutex::new(glances), bytes: AtomicUsize::new(0), room: limit }
    }

    /// Whether there is room for anything.
    pub(crate) fn keeps(&self) -> bool {
        self.room > 0
    }

    /// The estimated size of what is kept.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// Counts what entries have and have no more.
    pub(crate) fn count(&self, more: usize, less: usize) {
        self.bytes.fetch_add(more, Relaxed);
        self.bytes.fetch_sub(less, Relaxed);
    }

    /// Remembers the forms of an entry: for a moment, or for longer where it has been seen before.
    pub(crate) fn admit(&self, entry: &Weak<Entry>, forms: &Arc<Forms>, seen: bool) {
        if seen {
            return self.keep(entry, forms);
        }
        let mut passed = Vec::new();
        {
            let mut glances = self.glances.lock();
            glances.bytes += forms.weight;
            glances.queue.push_back((entry.clone(), Arc::downgrade(forms), forms.weight));
            while glances.bytes > glances.limit
                && let Some((entry, forms, weight)) = glances.queue.pop_front()
            {
                glances.bytes -= weight;
                passed.extend(forms.upgrade().map(|forms| (entry, forms)));
            }
        }
        for (entry, forms) in passed {
            if forms.read.swap(false, Relaxed) {
                self.keep(&entry, &forms);
            } else {
                Kept { entry, forms }.forget();
            }
        }
    }

    /// Of an entry that is gone.
    pub(crate) fn remove(&self, entry: &Weak<Entry>) {
        if let Some(kept) = &self.kept {
            drop(kept.remove(&id(entry)));
        }
    }

    fn keep(&self, weak: &Weak<Entry>, forms: &Arc<Forms>) {
        // Held until it is in the set: what goes takes itself out.
        let Some(entry) = weak.upgrade().filter(|entry| entry.has_forms(forms)) else { return };
        let admitted = Kept { entry: weak.clone(), forms: forms.clone() };
        let Some(kept) = &self.kept else { return admitted.forget() };
        let mut evicted = Vec::new();
        kept.insert_with_lifecycle(id(weak), admitted, &mut evicted);
        drop(entry);
        // Decoded objects are dropped outside the lock: they are large, and what they are is the user's.
        evicted.into_iter().for_each(Kept::forget);
    }
}

/// No two entries that live are at one address, and the weak handles in here keep addresses from being used again.
fn id(entry: &Weak<Entry>) -> usize {
    entry.as_ptr().addr()
}

impl fmt::Debug for Hot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hot").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

// === impl Kept ===

impl Kept {
    /// Takes the forms away from their entry, if it has none newer.
    fn forget(self) {
        if let Some(entry) = self.entry.upgrade() {
            entry.forget(&self.forms);
        }
    }
}

impl Weighter<usize, Kept> for Weigh {
    fn weight(&self, _: &usize, kept: &Kept) -> u64 {
        kept.forms.weight as u64
    }
}

impl Lifecycle<usize, Kept> for Evict {
    type RequestState = Vec<Kept>;

    /// What was read since it was last looked at gets a second chance.
    fn is_pinned(&self, _: &usize, kept: &Kept) -> bool {
        kept.forms.read.swap(false, Relaxed)
    }

    fn on_evict(&self, evicted: &mut Vec<Kept>, _: usize, kept: Kept) {
        evicted.push(kept);
    }
}

// === impl Forms ===

impl Forms {
    /// `before` and `decoded`, of an object whose JSON has `size` bytes; none where nothing is added.
    pub(crate) fn with(
        before: Option<&Self>,
        decoded: Arc<dyn Any + Send + Sync>,
        size: usize,
    ) -> Option<Self> {
        let before = before.map_or(&[][..], |before| &before.forms);
        if before.len() >= TYPES || before.iter().any(|form| (**form).type_id() == (*decoded).type_id()) {
            return None;
        }
        let forms: Box<[_]> = before.iter().cloned().chain([decoded]).collect();
        let weight = size.saturating_mul(GROWTH).saturating_mul(forms.len());
        Some(Self { forms, weight, read: Arc::default(), epoch: AtomicU64::new(0) })
    }

    pub(crate) fn recall(&self, as_type: TypeId) -> Option<Arc<dyn Any + Send + Sync>> {
        let known = self.forms.iter().find(|form| (***form).type_id() == as_type)?;
        if !self.read.load(Relaxed) {
            self.read.store(true, Relaxed);
        }
        Some(known.clone())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<dyn Any + Send + Sync>> {
        self.forms.iter()
    }

    /// What says that somebody has had use of it; one for each.
    pub(crate) fn read_flag(&self) -> &Arc<AtomicBool> {
        &self.read
    }

    /// Whether this is the first time that they are to be shown in `epoch`.
    pub(crate) fn is_shown_first_in(&self, epoch: u64) -> bool {
        self.epoch.load(Relaxed) != epoch && self.epoch.swap(epoch, Relaxed) != epoch
    }

    pub(crate) fn weight(&self) -> usize {
        self.weight
    }
}

#[cfg(test)]
mod tests;
