//! The journal of all requests that a server was asked.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// What a server was asked, in order. A cheap handle: clones read the same journal.
#[derive(Clone, Debug, Default)]
pub struct Journal(Arc<Mutex<Entries>>);

/// One request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Request {
    /// When it came, since the server was made.
    pub at: Duration,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// The API group; empty of the core group, and of requests for no resource.
    pub group: String,
    /// The API version.
    pub version: String,
    /// The plural of the resource; empty of requests for no resource, as discovery.
    pub resource: String,
    /// The subresource, or empty.
    pub subresource: String,
    /// The namespace, or empty.
    pub namespace: String,
    /// The name of the object, or empty.
    pub name: String,
    /// The path, without the query.
    pub path: String,
    /// The query as it came.
    pub query: String,
    /// The content type of the body, or empty.
    pub content_type: String,
    /// The Accept header, or empty.
    pub accept: String,
    /// Who asked.
    pub user_agent: String,
    /// The HTTP code of the answer; 0 as long as there is none, and for good where a fault took it.
    pub code: u16,
}

#[derive(Debug, Default)]
struct Entries {
    requests: Vec<Request>,
    /// How many were cleared before the first one: keeps late answers from hitting newer entries.
    cleared: usize,
}

// === impl Journal ===

impl Journal {
    /// All requests since the start or the last [`clear`](Self::clear).
    pub fn requests(&self) -> Vec<Request> {
        self.0.lock().requests.clone()
    }

    /// The requests that `keep` keeps.
    pub fn filter(&self, mut keep: impl FnMut(&Request) -> bool) -> Vec<Request> {
        self.0.lock().requests.iter().filter(|request| keep(request)).cloned().collect()
    }

    /// How many requests there were of a verb for a resource (`("list", "pods")`).
    pub fn count(&self, verb: &str, resource: &str) -> usize {
        let entries = self.0.lock();
        entries.requests.iter().filter(|request| request.verb == verb && request.resource == resource).count()
    }

    /// How many requests there were.
    pub fn len(&self) -> usize {
        self.0.lock().requests.len()
    }

    /// Whether there was no request.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets what was asked until now.
    pub fn clear(&self) {
        let mut entries = self.0.lock();
        entries.cleared += entries.requests.len();
        entries.requests.clear();
    }

    pub(crate) fn enter(&self, request: Request) -> usize {
        let mut entries = self.0.lock();
        entries.requests.push(request);
        entries.cleared + entries.requests.len() - 1
    }

    pub(crate) fn answered(&self, entry: usize, code: u16) {
        let mut entries = self.0.lock();
        let at = entry.checked_sub(entries.cleared);
        if let Some(request) = at.and_then(|at| entries.requests.get_mut(at)) {
            request.code = code;
        }
    }
}
