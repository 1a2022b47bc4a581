//! Watches: what changed since a version, as it changes.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::{
    kinds::Resource,
    list::{is_selected, parse_version, read_selector},
    objects::{Change, Stored},
    request::Query,
    select::Selector,
    shape::Shape,
    shared::{Lease, Shared},
    signal::Listener,
    state::State,
    status::Status,
};

/// One watch that runs.
pub(crate) struct Watch {
    shared: Arc<Shared>,
    resource: Arc<Resource>,
    options: WatchOptions,
    shape: Shape,
    /// Everything up to this version was looked at.
    cursor: u64,
    pending: VecDeque<Line>,
    changed: Listener<u64>,
    lease: Lease,
    deadline: Instant,
    next_bookmark: Option<Instant>,
    bookmark_every: Duration,
    is_over: bool,
    has_columns: bool,
}

/// What is asked of a watch.
#[derive(Clone, Debug)]
pub(crate) struct WatchOptions {
    prefix: Option<String>,
    selector: Selector,
    start: Start,
    bookmarks: bool,
    timeout: Option<u64>,
}

/// One line of a watch.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) bytes: Vec<u8>,
    /// When the change was made that the line tells of.
    pub(crate) at: Option<Instant>,
}

/// Where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// With all objects that there are.
    Objects,
    /// With all objects, and a bookmark that says when they end; not before the version.
    List(u64),
    /// After a version.
    After(u64),
    /// With what comes from now on.
    Now,
}

// === impl WatchOptions ===

impl WatchOptions {
    /// Reads the options of a watch.
    ///
    /// # Errors
    /// 400 or 422 as the real server answers options that do not fit.
    pub(crate) fn read(resource: &Resource, namespace: Option<&str>, query: &Query) -> Result<Self, Status> {
        let selector = read_selector(resource, query)?;
        let version = query.get("resourceVersion").map(parse_version).transpose()?.unwrap_or_default();
        let matching = query.get("resourceVersionMatch");
        // Whatever its value, the parameter asks for the rules of streaming lists.
        let is_list = query.get("sendInitialEvents").is_some();
        let start = match (is_list, matching) {
            (true, Some("NotOlderThan")) if query.flag("sendInitialEvents") => Start::List(version),
            (true, Some("NotOlderThan")) if version == 0 => Start::Now,
            (true, Some("NotOlderThan")) => Start::After(version),
            (true, _) => {
                let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
                return Err(Status::invalid_options("resourceVersionMatch", why));
            }
            (false, Some(_)) => {
                let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
                return Err(Status::invalid_options("resourceVersionMatch", why));
            }
            (false, None) if version == 0 => Start::Objects,
            (false, None) => Start::After(version),
        };
        Ok(Self {
            prefix: namespace.map(|namespace| format!("{namespace}/")),
            selector,
            start,
            bookmarks: query.flag("allowWatchBookmarks"),
            timeout: query.number("timeoutSeconds")?.filter(|seconds| *seconds > 0),
        })
    }

    /// The version that must be reached before the watch can start.
    pub(crate) fn waits_for(&self) -> Option<u64> {
        match self.start {
            Start::List(version) => Some(version),
            _ => None,
        }
    }

    fn selects(&self, stored: &Stored) -> bool {
        is_selected(&self.selector, stored)
    }

    fn covers(&self, key: &str) -> bool {
        self.prefix.as_ref().is_none_or(|prefix| key.starts_with(prefix.as_str()))
    }
}

// === impl Watch ===

impl Watch {
    /// Begins a watch. A version that is too old is told as the first and only event, as the real server
    /// does.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        resource: Arc<Resource>,
        options: WatchOptions,
        shape: Shape,
        failed: Option<Status>,
    ) -> Self {
        let lease = shared.lease(Some(&resource.plural));
        let mut state = shared.state.lock();
        let version = state.objects.version();
        let bookmark_every = Duration::from_secs(state.options.bookmark_seconds.max(1));
        let changed = state.objects.collection(&resource.storage()).subscribe();
        // Real servers end a watch after half an hour to an hour.
        let timeout = options.timeout.unwrap_or_else(|| fastrand::u64(1_800..3_600));
        let now = Instant::now();
        let mut watch = Self {
            shared: shared.clone(),
            resource,
            shape,
            cursor: version,
            pending: VecDeque::new(),
            changed,
            lease,
            deadline: now + Duration::from_secs(timeout),
            next_bookmark: options.bookmarks.then_some(now + bookmark_every),
            bookmark_every,
            is_over: false,
            has_columns: false,
            options,
        };
        match failed {
            Some(status) => watch.fail(&status),
            None => watch.begin(&mut state),
        }
        drop(state);
        watch
    }

    /// What tells the stream that it has to end.
    pub(crate) fn lease(&self) -> Lease {
        self.lease.clone()
    }

    /// The next line; none at the end of the watch.
    pub(crate) async fn next(&mut self) -> Option<Line> {
        loop {
            self.lease.released().await;
            if let Some(line) = self.pending.pop_front() {
                return Some(line);
            }
            if self.is_over {
                return None;
            }
            self.changed.mark_unchanged();
            self.collect();
            if !self.pending.is_empty() || self.is_over {
                continue;
            }
            let far = self.deadline + self.bookmark_every;
            tokio::select! {
                biased;
                _ = self.changed.changed() => {}
                () = sleep_until(self.deadline) => self.is_over = true,
                () = sleep_until(self.next_bookmark.unwrap_or(far)) => {
                    self.collect();
                    self.bookmark(false);
                    self.next_bookmark = Some(Instant::now() + self.bookmark_every);
                }
            }
        }
    }

    fn begin(&mut self, state: &mut State) {
        let collection = state.objects.collection(&self.resource.storage());
        match self.options.start {
            Start::After(version) if !collection.remembers(version) => {
                self.fail(&Status::too_old(version, self.cursor));
            }
            Start::Now => {}
            // A version that is still to come: whatever has a smaller one is not told.
            Start::After(version) => self.cursor = version,
            Start::Objects | Start::List(_) => {
                let items: Vec<_> = collection
                    .items()
                    .iter()
                    .filter(|(key, stored)| self.options.covers(key) && self.options.selects(stored))
                    .map(|(_, stored)| stored.clone())
                    .collect();
                for stored in items {
                    self.push("ADDED", &stored, None);
                }
                if matches!(self.options.start, Start::List(_)) && self.options.bookmarks {
                    self.bookmark(true);
                }
            }
        }
    }

    /// Takes in what changed since the last time.
    fn collect(&mut self) {
        let shared = self.shared.clone();
        let mut state = shared.state.lock();
        let resource = &self.resource;
        let is_served = state.kinds.find(&resource.group, &resource.version, &resource.plural).is_some();
        let version = state.objects.version();
        let collection = state.objects.collection(&resource.storage());
        let Some(changes) = collection.since(self.cursor) else {
            return self.fail(&Status::too_old(self.cursor, version));
        };
        let changes: Vec<_> = changes.filter(|change| self.options.covers(&change.key)).cloned().collect();
        for change in changes {
            self.tell(&change);
        }
        self.cursor = self.cursor.max(version);
        self.is_over |= !is_served;
    }

    fn tell(&mut self, change: &Change) {
        let before = change.before.as_ref().filter(|stored| self.options.selects(stored));
        let after = change.after.as_ref().filter(|stored| self.options.selects(stored));
        let at = Some(change.at);
        match (before, after) {
            (None, None) => {}
            (None, Some(after)) => self.push("ADDED", after, at),
            (Some(_), Some(after)) => self.push("MODIFIED", after, at),
            (Some(before), None) => {
                // Gone, or gone out of the selector: the object as it was, under the version of the change.
                let gone = Stored::new(before.at_version(change.version));
                self.push("DELETED", &gone, at);
            }
        }
    }

    fn bookmark(&mut self, ends_initial_events: bool) {
        let now = self.shared.now();
        let object = self.shape.bookmark(&self.resource, self.cursor, ends_initial_events, now);
        self.push_bytes("BOOKMARK", &object, None);
    }

    /// Tells an error, and ends.
    fn fail(&mut self, status: &Status) {
        self.push_bytes("ERROR", status.to_json().to_string().as_bytes(), None);
        self.is_over = true;
    }

    fn push(&mut self, event: &str, stored: &Stored, at: Option<Instant>) {
        let first = !std::mem::replace(&mut self.has_columns, true);
        let object = self.shape.event(&self.resource, stored, self.shared.now(), first);
        self.push_bytes(event, &object, at);
    }

    fn push_bytes(&mut self, event: &str, object: &[u8], at: Option<Instant>) {
        let mut bytes = format!("{{\"type\":\"{event}\",\"object\":").into_bytes();
        bytes.extend_from_slice(object);
        bytes.extend_from_slice(b"}\n");
        self.pending.push_back(Line { bytes, at });
    }
}
