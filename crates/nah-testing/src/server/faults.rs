//! The faults that wait for their requests, and which of them a request meets.

use std::time::Duration;

use crate::{
    fault::{Action, Fault, FaultId},
    journal::Request,
};

/// The faults that wait for their requests.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    armed: Vec<Armed>,
    next: u64,
}

#[derive(Debug)]
struct Armed {
    id: FaultId,
    fault: Fault,
    since: Duration,
    seen: u32,
    hits: u32,
}

// === impl Faults ===

impl Faults {
    pub(crate) fn inject(&mut self, fault: Fault, now: Duration) -> FaultId {
        let id = FaultId(self.next);
        self.next += 1;
        self.armed.push(Armed { id, fault, since: now, seen: 0, hits: 0 });
        id
    }

    pub(crate) fn clear(&mut self) {
        self.armed.clear();
    }

    pub(crate) fn remove(&mut self, id: FaultId) {
        self.armed.retain(|armed| armed.id != id);
    }

    /// Whether a fault still waits for requests.
    pub(crate) fn is_armed(&self, id: FaultId) -> bool {
        self.armed.iter().any(|armed| armed.id == id)
    }

    /// What happens to a request.
    pub(crate) fn hit(&mut self, request: &Request) -> Vec<Action> {
        let mut actions: Vec<Action> = Vec::new();
        for armed in &mut self.armed {
            let age = request.at.saturating_sub(armed.since);
            let fault = &armed.fault;
            let in_time =
                fault.after.is_none_or(|after| age >= after) && fault.until.is_none_or(|until| age <= until);
            if !in_time || !fault.matches(request) {
                continue;
            }
            armed.seen += 1;
            if armed.seen <= fault.skip || fault.times.is_some_and(|times| armed.hits >= times) {
                continue;
            }
            armed.hits += 1;
            actions.push(fault.action.clone());
            if fault.action.is_final() {
                break;
            }
        }
        self.armed.retain(|armed| armed.fault.times.is_none_or(|times| armed.hits < times));
        actions
    }
}
