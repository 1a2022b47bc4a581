//! The uids that the informer has lately seen go.

use std::collections::{HashSet, VecDeque};

use nah_core::Uid;

/// A ring of uids: the answer that tells of a deletion often comes after the event that does.
#[derive(Debug)]
pub(super) struct Recent {
    order: VecDeque<Uid>,
    uids: HashSet<Uid>,
    limit: usize,
}

impl Recent {
    pub(super) fn new(limit: usize) -> Self {
        Self { order: VecDeque::new(), uids: HashSet::new(), limit }
    }

    pub(super) fn push(&mut self, uid: Uid) {
        if !self.uids.insert(uid.clone()) {
            return;
        }
        self.order.push_back(uid);
        if self.order.len() > self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.uids.remove(&oldest);
        }
    }

    pub(super) fn contains(&self, uid: &Uid) -> bool {
        self.uids.contains(uid)
    }

    pub(super) fn clear(&mut self) {
        self.order.clear();
        self.uids.clear();
    }
}
