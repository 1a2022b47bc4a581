//! The decoded objects that are kept for the next reader.

use std::{
    any::{Any, TypeId},
    collections::VecDeque,
    fmt,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use parking_lot::{Mutex, RwLock};

/// How much larger a decoded object is than its JSON: a Pod of 8 KB takes 40 to 110 KB.
const GROWTH: usize = 8;
/// As how many types one object is remembered.
const TYPES: usize = 3;
/// The budget where none is set.
const DEFAULT_BYTES: usize = 64 << 20;

/// The decoded objects of all kinds of a factory, within one budget.
///
/// What was read since it was last looked at gets a second chance, everything else goes in the order in which it was
/// decoded. Sizes are estimated from the encoded ones.
pub(crate) struct Hot {
    limit: usize,
    bytes: AtomicUsize,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    slots: VecDeque<Weak<Slot>>,
    /// How long the queue may grow before the slots of dead entries are swept out of it.
    sweep_at: usize,
}

/// The decoded forms of one entry, allocated at the first decode.
pub(crate) struct Memo {
    hot: Arc<Hot>,
    weight: usize,
    slot: OnceLock<Arc<Slot>>,
}

struct Slot {
    hot: Arc<Hot>,
    weight: usize,
    read: AtomicBool,
    forms: RwLock<Vec<Arc<dyn Any + Send + Sync>>>,
}

// === impl Hot ===

impl Hot {
    /// A set of about `limit` bytes; 0 is the default of 64 MiB.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        let limit = if limit == 0 { DEFAULT_BYTES } else { limit };
        Arc::new(Self { limit, bytes: AtomicUsize::new(0), queue: Mutex::default() })
    }

    /// One set for objects that no store keeps: each goes with its handles, so there is nothing to bound.
    pub(crate) fn unbounded() -> Arc<Self> {
        static UNBOUNDED: OnceLock<Arc<Hot>> = OnceLock::new();
        UNBOUNDED.get_or_init(|| Self::new(usize::MAX)).clone()
    }

    /// The estimated size of what is kept.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    fn admit(&self, slot: &Arc<Slot>) {
        if self.limit == usize::MAX {
            return;
        }
        let mut evicted = Vec::new();
        let mut queue = self.queue.lock();
        queue.slots.push_back(Arc::downgrade(slot));
        if queue.slots.len() > queue.sweep_at {
            queue.slots.retain(|slot| slot.strong_count() > 0);
            queue.sweep_at = 2 * queue.slots.len() + 64;
        }
        // Each slot is looked at twice at most: the first look takes its second chance away.
        let mut looks = 2 * queue.slots.len();
        while self.bytes() > self.limit
            && looks > 0
            && let Some(oldest) = queue.slots.pop_front()
        {
            looks -= 1;
            let Some(slot) = oldest.upgrade() else { continue };
            if slot.read.swap(false, Relaxed) {
                queue.slots.push_back(oldest);
            } else {
                evicted.push(slot.forget());
            }
        }
        drop(queue);
        // Decoded objects are dropped outside the lock: they are large.
        drop(evicted);
    }
}

impl fmt::Debug for Hot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hot")
            .field("limit", &self.limit)
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

// === impl Memo ===

impl Memo {
    pub(crate) fn new(hot: &Arc<Hot>, encoded: usize) -> Self {
        Self { hot: hot.clone(), weight: encoded.saturating_mul(GROWTH), slot: OnceLock::new() }
    }

    pub(crate) fn recall(&self, as_type: TypeId) -> Option<Arc<dyn Any + Send + Sync>> {
        let slot = self.slot.get()?;
        let known = slot.forms.read().iter().find(|form| (***form).type_id() == as_type).cloned()?;
        if !slot.read.load(Relaxed) {
            slot.read.store(true, Relaxed);
        }
        Some(known)
    }

    pub(crate) fn remember(&self, decoded: Arc<dyn Any + Send + Sync>) {
        let slot = self.slot.get_or_init(|| {
            let (hot, weight) = (self.hot.clone(), self.weight);
            Arc::new(Slot { hot, weight, read: AtomicBool::new(false), forms: RwLock::default() })
        });
        let mut forms = slot.forms.write();
        if forms.len() >= TYPES || forms.iter().any(|form| (**form).type_id() == (*decoded).type_id()) {
            return;
        }
        let first = forms.is_empty();
        forms.push(decoded);
        // Before anybody can take away what is not counted yet.
        self.hot.bytes.fetch_add(self.weight, Relaxed);
        drop(forms);
        if first {
            self.hot.admit(slot);
        }
    }
}

impl Slot {
    fn forget(&self) -> Vec<Arc<dyn Any + Send + Sync>> {
        let forms = std::mem::take(&mut *self.forms.write());
        self.hot.bytes.fetch_sub(self.weight.saturating_mul(forms.len()), Relaxed);
        forms
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.forget();
    }
}

#[cfg(test)]
mod tests {
    //! What is kept, and what goes.

    use std::{any::TypeId, sync::Arc};

    use super::{GROWTH, Hot, Memo};

    fn knows(memo: &Memo) -> bool {
        memo.recall(TypeId::of::<u32>()).is_some()
    }

    #[test]
    fn stays_within_its_budget() {
        let hot = Hot::new(10 * GROWTH);
        let memos: Vec<Memo> = (0..100).map(|_| Memo::new(&hot, 1)).collect();
        for memo in &memos {
            memo.remember(Arc::new(7u32));
            assert!(hot.bytes() <= 10 * GROWTH);
        }
        assert_eq!(memos.iter().filter(|memo| knows(memo)).count(), 10);
    }

    #[test]
    fn what_is_read_stays_longer() {
        let hot = Hot::new(10 * GROWTH);
        let favourite = Memo::new(&hot, 1);
        favourite.remember(Arc::new(7u32));
        let memos: Vec<Memo> = (0..100).map(|_| Memo::new(&hot, 1)).collect();
        for memo in &memos {
            assert!(knows(&favourite));
            memo.remember(Arc::new(7u32));
        }
        assert!(knows(&favourite));
    }

    #[test]
    fn an_entry_that_goes_takes_its_forms_along() {
        let hot = Hot::new(1000 * GROWTH);
        for _ in 0..10_000 {
            let memo = Memo::new(&hot, 1);
            memo.remember(Arc::new(7u32));
            memo.remember(Arc::new("seven"));
        }
        assert_eq!(hot.bytes(), 0);
        assert!(hot.queue.lock().slots.len() <= 100);
    }

    #[test]
    fn several_types_are_remembered() {
        let memo = Memo::new(&Hot::new(0), 1);
        memo.remember(Arc::new(7u32));
        memo.remember(Arc::new("seven"));
        assert!(knows(&memo) && memo.recall(TypeId::of::<&str>()).is_some());
        assert!(memo.recall(TypeId::of::<u8>()).is_none());
    }

    #[test]
    fn what_is_forgotten_can_be_remembered_again() {
        let hot = Hot::new(GROWTH);
        let (first, second) = (Memo::new(&hot, 1), Memo::new(&hot, 1));
        first.remember(Arc::new(7u32));
        second.remember(Arc::new(7u32));
        assert!(!knows(&first));
        first.remember(Arc::new(7u32));
        assert!(knows(&first) && !knows(&second));
    }
}
