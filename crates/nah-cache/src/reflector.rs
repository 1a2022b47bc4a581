//! Drives one scope of a kind: requests, deadlines, waits.

use std::{collections::HashMap, future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use http::{Request, Response};
use http_body_util::{BodyExt, BodyStream};
use kube_client::client::Body;
use nah_core::{ObjectKey, ResourceVersion};
use serde_json::value::RawValue;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::{
    codec::{AnyDelimiterCodec, FramedRead},
    io::StreamReader,
};

mod backoff;
mod failure;
mod line;
mod page;
mod request;
mod sync;

pub(crate) use backoff::Backoff;

use self::{
    failure::{Failure, Reason},
    line::{Line, Unreadable},
    page::{Page, Peek},
    request::Target,
    sync::{Change, Effect, Input, Item, Mood, Next, Rules, Step, Sync},
};
use crate::{
    Applied, CacheError,
    factory::{Kind, Shared},
    store::{Listed, Removed, Seen},
};

/// Objects taken in between two looks at what else there is to do.
const BATCH: usize = 64;

/// etcd takes objects of up to 1.5 MiB; a watch event holds one.
const LONGEST_LINE: usize = 16 << 20;

/// Keeps the part of the store that belongs to one scope as the server has it.
pub(crate) struct Reflector {
    shared: Arc<Shared>,
    kind: Arc<Kind>,
    /// None is everywhere.
    scope: Option<Arc<str>>,
    refreshes: watch::Receiver<u64>,
    /// Items of the list at hand that cannot be read.
    bad: HashMap<ObjectKey, String>,
}

/// An open watch.
struct Watch {
    /// Held until everything that there is has been said.
    permit: Option<OwnedSemaphorePermit>,
    lines: BoxStream<'static, Result<bytes::BytesMut, String>>,
    /// The server ends it before, or is gone.
    deadline: Instant,
    taken: usize,
}

impl Item for Listed {
    fn key(&self) -> &ObjectKey {
        match self {
            Self::Same(key) => key,
            Self::New(object) => object.key(),
        }
    }
}

impl Reflector {
    pub(crate) fn new(shared: Arc<Shared>, kind: Arc<Kind>, scope: Option<Arc<str>>) -> Self {
        let refreshes = kind.health.refreshes();
        Self { shared, kind, scope, refreshes, bad: HashMap::new() }
    }

    /// Lists and watches until it is dropped.
    pub(crate) async fn run(mut self) {
        let shared = self.shared.clone();
        let started = Instant::now();
        let rules = Rules { streaming: shared.may_stream(), page: self.kind.page_size };
        let mut sync = Sync::new(rules);
        sync.set_floor(shared.floor(&self.kind.gvk));
        let mut watch = None;
        let mut refreshes = self.refreshes.clone();
        refreshes.mark_unchanged();
        let mut input = Input::Start;
        loop {
            let Step { effect, mood, next } = sync.step(started.elapsed(), fastrand::f64(), input);
            if let Some(effect) = effect {
                self.perform(effect);
            }
            match mood {
                Some(Mood::Well) => self.kind.health.well(&self.scope),
                Some(Mood::Failed(failure)) => self.complain(&failure),
                None => {}
            }
            input = match next {
                Next::List { version, limit, token } => {
                    watch = None;
                    self.list(&sync, version.as_ref(), limit, token.as_deref()).await
                }
                Next::Open { version, initial, timeout } => {
                    watch = None;
                    match self.open(version.as_ref(), initial, timeout).await {
                        Ok(opened) => {
                            watch = Some(opened);
                            Input::Opened
                        }
                        Err(failure) => {
                            if initial && failure.reason == Reason::Unsupported {
                                shared.forbid_streaming();
                            }
                            Input::OpenFailed(failure)
                        }
                    }
                }
                Next::Read => match &mut watch {
                    Some(watch) => tokio::select! {
                        biased;
                        () = changed(&mut refreshes) => Input::Refresh,
                        input = self.read(&sync, watch) => input,
                    },
                    None => Input::Ended,
                },
                Next::Wait(wait) => {
                    watch = None;
                    if !shared.may_stream() {
                        sync.forbid_streaming();
                    }
                    tokio::select! {
                        () = changed(&mut refreshes) => Input::Refresh,
                        () = sleep(wait) => Input::Waited,
                    }
                }
            };
            if !matches!(input, Input::ListFailed(_) | Input::OpenFailed(_) | Input::Waited | Input::Refresh)
            {
                self.kind.health.heard(&self.scope);
            }
        }
    }

    /// The store first, then those who keep step with it.
    fn perform(&mut self, effect: Effect<Listed>) {
        let (store, scope) = (&self.kind.store, self.scope.as_deref());
        match effect {
            Effect::Commit { items, version, backwards } => {
                let removed = store.replace(scope, items, version.clone());
                self.kind.health.listed(&self.scope, std::mem::take(&mut self.bad));
                self.tell(&Applied::List { removed: &removed, version: &version, backwards });
            }
            Effect::Apply { change, version } => {
                let seen = match change {
                    Change::Upsert(Listed::New(object)) => Seen::Upsert(object),
                    Change::Delete(Listed::New(object)) => Seen::Delete(object),
                    // Only the items of a list are compared.
                    Change::Upsert(Listed::Same(_)) | Change::Delete(Listed::Same(_)) => return,
                };
                let removed: Removed = store.apply(scope, seen);
                self.tell(&Applied::Event { removed: &removed, version: version.as_ref() });
            }
            Effect::Bookmark(version) => {
                store.bookmark(scope, version.clone());
                self.tell(&Applied::Bookmark { version: &version });
            }
        }
    }

    fn tell(&self, applied: &Applied<'_>) {
        if let Some(observer) = self.shared.observer() {
            observer.applied(&self.kind.gvk, self.scope.as_deref(), applied);
        }
    }

    fn complain(&self, failure: &Failure) {
        let (kind, scope) = (&self.kind.gvk.kind, self.scope.as_deref());
        tracing::warn!(%kind, scope, error = %failure, "cannot list or watch");
        self.kind.health.failed(&self.scope, failure.to_string());
    }

    // === requests ===

    async fn list(
        &mut self,
        sync: &Sync<Listed>,
        version: Option<&ResourceVersion>,
        limit: Option<u32>,
        token: Option<&str>,
    ) -> Input<Listed> {
        if token.is_none() {
            self.bad.clear();
        }
        match self.page(sync, version, limit, token).await {
            Ok(page) => page,
            Err(failure) => Input::ListFailed(failure),
        }
    }

    async fn page(
        &mut self,
        sync: &Sync<Listed>,
        version: Option<&ResourceVersion>,
        limit: Option<u32>,
        token: Option<&str>,
    ) -> Result<Input<Listed>, Failure> {
        let response = self.send(|target| target.list(version, limit, token)).await?;
        let shared = self.shared.clone();
        // After the answer has begun, so that a server that does not answer for one kind holds nobody else up.
        let _permit = acquire(&shared.lists).await;
        let body = collect(response.into_body(), shared.options.timeouts.silence).await?;
        let page = Page::parse(&body)?;
        let anew = sync.is_anew(Some(&page.version));
        let mut items = Vec::with_capacity(page.items.len());
        for (index, raw) in page.items.iter().enumerate() {
            if index % BATCH == BATCH - 1 {
                yield_now().await;
            }
            let peek = Peek::parse(raw.get())
                .map_err(|error| Failure::other(format!("cannot read item: {error}")))?;
            items.extend(self.take(raw, &peek, !anew));
        }
        Ok(Input::Page { items, version: page.version, next: page.next })
    }

    /// An item of a list. What cannot be read stays as the store has it, if it has it.
    fn take(&mut self, raw: &RawValue, peek: &Peek<'_>, compare: bool) -> Option<Listed> {
        let store = &self.kind.store;
        if compare && store.holds(&peek.key, peek.uid.as_deref(), peek.version.as_deref()) {
            self.bad.remove(&peek.key);
            return Some(Listed::Same(peek.key.clone()));
        }
        match store.admit(raw.get().as_bytes()) {
            Ok(object) => {
                self.bad.remove(&peek.key);
                Some(Listed::New(object))
            }
            Err(error) => {
                self.bad.insert(peek.key.clone(), error.to_string());
                store.has(&peek.key).then(|| Listed::Same(peek.key.clone()))
            }
        }
    }

    async fn open(
        &mut self,
        version: Option<&ResourceVersion>,
        initial: bool,
        timeout: Duration,
    ) -> Result<Watch, Failure> {
        if initial {
            self.bad.clear();
        }
        let response = self.send(|target| target.watch(version, initial, timeout)).await?;
        let deadline = Instant::now() + timeout + self.shared.options.timeouts.overtime;
        let chunks = BodyStream::new(response.into_body())
            .try_filter_map(|frame| std::future::ready(Ok(frame.into_data().ok())))
            .map_err(std::io::Error::other);
        let codec = AnyDelimiterCodec::new_with_max_length(b"\n".to_vec(), Vec::new(), LONGEST_LINE);
        let lines = FramedRead::new(StreamReader::new(chunks), codec);
        let lines = lines.map_ok(Into::into).map_err(|error| error.to_string()).boxed();
        let permit = if initial { acquire(&self.shared.lists).await } else { None };
        Ok(Watch { permit, lines, deadline, taken: 0 })
    }

    /// The next thing that a watch says.
    async fn read(&mut self, sync: &Sync<Listed>, watch: &mut Watch) -> Input<Listed> {
        watch.taken += 1;
        if watch.taken.is_multiple_of(BATCH) {
            yield_now().await;
        }
        let listing = sync.is_listing();
        if !listing {
            watch.permit = None;
        }
        let deadline = match listing {
            true => Instant::now() + self.shared.options.timeouts.silence,
            false => watch.deadline,
        };
        loop {
            let line = match timeout_at(deadline, watch.lines.next()).await {
                Ok(Some(Ok(line))) => line.freeze(),
                Ok(Some(Err(error))) if error.contains("chunk length") => {
                    return Input::Garbled(Failure::other("watch sent a line without an end"));
                }
                // A cut connection says no more than an end: what is missing comes again from the last version.
                Ok(Some(Err(_)) | None) => return Input::Ended,
                Err(_) if listing => {
                    return Input::ErrorEvent(Failure::other("watch does not say what there is"));
                }
                Err(_) => return Input::Ended,
            };
            if line.trim_ascii().is_empty() {
                continue;
            }
            return match Line::parse(&line) {
                Ok(Line::Added(raw)) => self.event(sync, &line, raw, true, Change::Upsert),
                Ok(Line::Modified(raw)) => self.event(sync, &line, raw, false, Change::Upsert),
                Ok(Line::Deleted(raw)) => self.event(sync, &line, raw, false, Change::Delete),
                Ok(Line::Bookmark { version, initial_end }) => Input::Bookmark { version, initial_end },
                Ok(Line::Error(failure)) => Input::ErrorEvent(failure),
                Err(Unreadable::Cut) => Input::Ended,
                Err(Unreadable::Garbled(failure)) => Input::Garbled(failure),
            };
        }
    }

    fn event(
        &mut self,
        sync: &Sync<Listed>,
        line: &bytes::Bytes,
        raw: &RawValue,
        added: bool,
        change: fn(Listed) -> Change<Listed>,
    ) -> Input<Listed> {
        let deleted = matches!(change(Listed::Same(ObjectKey::cluster("?"))), Change::Delete(_));
        let peek = match Peek::parse(raw.get()) {
            Ok(peek) => peek,
            Err(error) => return Input::Garbled(Failure::other(format!("cannot read watch event: {error}"))),
        };
        if let Some(kind) = peek.kind.as_deref().filter(|kind| *kind != self.kind.gvk.kind) {
            self.complain(&Failure::other(format!("watch sent a {kind}")));
            return Input::Skipped { deleted: false, version: None };
        }
        let version = peek.version.as_deref().map(ResourceVersion::from);
        if sync.is_listing() {
            return match self.take(raw, &peek, !sync.is_anew(None)) {
                Some(item) => Input::Event { change: change(item), added, version },
                None => Input::Skipped { deleted, version },
            };
        }
        match self.kind.store.admit(raw.get().as_bytes()) {
            Ok(object) => {
                self.kind.health.healed(&self.scope, &peek.key);
                Input::Event { change: change(Listed::New(object)), added, version }
            }
            Err(error) => {
                tracing::warn!(error = %error, "keeping the last good state");
                self.kind.health.spoiled(&self.scope, peek.key, error.to_string());
                Input::Skipped { deleted, version }
            }
        }
    }

    /// Sends a request about the resource that serves the kind now, and waits for a good answer to begin.
    async fn send(
        &self,
        request: impl FnOnce(&Target<'_>) -> http::Result<Request<Body>>,
    ) -> Result<Response<Body>, Failure> {
        let gvk = &self.kind.gvk;
        let timeouts = self.shared.options.timeouts;
        let mapping = match self.shared.mapper.lookup(gvk).await {
            Ok(mapping) => mapping,
            Err(error @ CacheError::UnknownKind { .. }) => {
                return Err(Failure { reason: Reason::Unserved, ..Failure::other(error) });
            }
            Err(error) => return Err(Failure::busy(error)),
        };
        let target =
            Target { mapping: &mapping, namespace: self.scope.as_deref(), selectors: &self.kind.selectors };
        let request = request(&target).map_err(Failure::other)?;
        let response = match timeout(timeouts.answer, self.shared.client.send(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(Failure::busy(chain(&error))),
            Err(_) => return Err(Failure::busy("server does not answer")),
        };
        if response.status().is_success() {
            return Ok(response);
        }
        let code = response.status();
        let seconds = response.headers().get(http::header::RETRY_AFTER);
        let seconds = seconds.and_then(|seconds| seconds.to_str().ok()?.parse().ok());
        let body = collect(response.into_body(), timeouts.silence).await.unwrap_or_default();
        let failure = Failure::answered(code, seconds.map(Duration::from_secs), &body);
        if failure.reason == Reason::Unserved {
            self.shared.mapper.forget(gvk);
        }
        Err(failure)
    }
}

// === helpers ===

async fn acquire(permits: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    permits.clone().acquire_owned().await.ok()
}

/// Waits for a refresh; for ever where none can come any more.
async fn changed(refreshes: &mut watch::Receiver<u64>) {
    if refreshes.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The whole body, unless the server falls silent in it.
async fn collect(body: Body, silence: Duration) -> Result<bytes::Bytes, Failure> {
    let mut body = pin!(body);
    let mut first: Option<bytes::Bytes> = None;
    let mut whole = bytes::BytesMut::new();
    loop {
        let frame = match timeout(silence, body.frame()).await {
            Ok(Some(frame)) => frame.map_err(|error| Failure::busy(format!("list was cut: {error}")))?,
            Ok(None) => break,
            Err(_) => return Err(Failure::busy("server fell silent in a list")),
        };
        let Ok(data) = frame.into_data() else { continue };
        // A body in one piece is not copied.
        match first.take() {
            None if whole.is_empty() => first = Some(data),
            None => whole.extend_from_slice(&data),
            Some(earlier) => {
                whole.extend_from_slice(&earlier);
                whole.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| whole.freeze()))
}

/// Lets other tasks of the thread run.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// An error and what it comes from: "connection refused" stands at the end.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| match cause.to_string() {
        cause if text.contains(&cause) => text,
        cause => format!("{text}: {cause}"),
    })
}
