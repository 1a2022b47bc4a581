//! Drives one scope of a kind: requests, deadlines, waits.

use std::{collections::HashMap, sync::Arc};

use nah_core::{Object, ObjectKey, Outline, ResourceVersion, Stamp, Uid};
use tokio::{
    sync::broadcast,
    time::{Instant, sleep, timeout_at},
};

mod ahead;
mod backoff;
mod failure;
#[cfg(any(test, fuzzing))]
#[allow(unreachable_pub, reason = "public where a fuzzer builds it")]
pub mod fuzz;
mod line;
mod lines;
mod page;
mod remote;
mod request;
mod sync;

pub(crate) use backoff::Backoff;

use self::{
    ahead::Ahead,
    failure::{Failure, Reason},
    line::{Line, Unreadable, Verb},
    page::{Head, Piece, Splitter},
    remote::{Heard, Remote, Watch, after},
    sync::{Change, Effect, Input, Item, Items, Mood, Next, Rules, Step, Sync},
};
use crate::{
    Applied, ScopeState,
    factory::{Kind, Shared},
    status::refreshed,
    store::{Listed, Removed, Seen},
};

/// The kind of an object of which only metadata was asked for.
const METADATA: &str = "PartialObjectMetadata";

/// So much of an item says which it is, in the order in which the server writes the fields of its own kinds.
const BEGINNING: usize = 2 << 10;

/// Objects taken in between two looks at what else there is to do.
const BATCH: usize = 64;

/// Keeps the part of the store that belongs to one scope as the server has it.
pub(crate) struct Reflector {
    remote: Remote,
    refreshes: broadcast::Receiver<()>,
    /// Items of the list at hand that cannot be read.
    bad: HashMap<ObjectKey, String>,
    /// The page that comes next.
    ahead: Ahead,
    /// When the list at hand has to be complete.
    complete: Instant,
    /// Lines of watches so far.
    taken: usize,
}

impl Item for Listed {
    fn key(&self) -> &ObjectKey {
        match self {
            Self::Same(key) => key,
            Self::New(arrival) => arrival.object.key(),
        }
    }
}

impl Reflector {
    pub(crate) fn new(shared: Arc<Shared>, kind: Arc<Kind>, scope: Option<Arc<str>>) -> Self {
        let refreshes = kind.health.refreshes();
        let (bad, ahead, complete) = (HashMap::new(), Ahead::default(), Instant::now());
        Self { remote: Remote { shared, kind, scope }, refreshes, bad, ahead, complete, taken: 0 }
    }

    /// Lists and watches until it is dropped; `recovers` where another one of the same scope has broken down.
    pub(crate) async fn run(&mut self, recovers: bool) {
        let shared = self.remote.shared.clone();
        let started = Instant::now();
        let rules = Rules { streaming: shared.may_stream(), page: self.remote.kind.page_size };
        let mut sync = Sync::new(rules);
        sync.set_floor(shared.floor(&self.remote.kind.gvk));
        if recovers {
            sync.recover(self.remote.kind.store.observed_in(self.remote.scope.as_deref()));
        }
        let mut watch = None;
        let mut refreshes = self.refreshes.resubscribe();
        let mut input = Input::Start;
        loop {
            let Step { effect, mood, next } = sync.step(started.elapsed(), fastrand::f64(), input);
            if let Some(effect) = effect {
                self.perform(effect, &sync).await;
            }
            match mood {
                Some(Mood::Well) => self.remote.kind.health.well(&self.remote.scope),
                Some(Mood::Failed(failure)) => self.complain(&failure),
                None => {}
            }
            if let Some(state) = state(&next) {
                self.remote.kind.health.turn(&self.remote.scope, state);
            }
            input = match next {
                Next::List { version, limit, token } => {
                    watch = None;
                    // On the heap, here and below: these are large, and most of the time there is none of them.
                    let complete = self.list_deadline(token.is_none());
                    let list = timeout_at(complete, Box::pin(self.list(&sync, version, limit, token)));
                    let late = |_| Err(Failure::away("server has not completed the list in time"));
                    list.await.unwrap_or_else(late).unwrap_or_else(Input::ListFailed)
                }
                Next::Probe => {
                    watch = None;
                    Box::pin(self.probe()).await.unwrap_or_else(Input::ListFailed)
                }
                Next::Open { version, initial, timeout } => {
                    watch = None;
                    if initial {
                        self.bad.clear();
                    }
                    match Box::pin(self.remote.watch(version.as_ref(), initial, timeout)).await {
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
                        () = refreshed(&mut refreshes) => Input::Refresh,
                        input = self.read(&sync, watch) => input,
                    },
                    None => self.ended(),
                },
                Next::Wait(wait) => {
                    watch = None;
                    if !shared.may_stream() {
                        sync.forbid_streaming();
                    }
                    tokio::select! {
                        biased;
                        () = refreshed(&mut refreshes) => Input::Refresh,
                        () = sleep(wait) => Input::Waited,
                    }
                }
            };
            if !matches!(input, Input::ListFailed(_) | Input::OpenFailed(_) | Input::Waited | Input::Refresh)
            {
                self.remote.kind.health.heard(&self.remote.scope);
            }
        }
    }

    /// The store first, then those who keep step with it.
    async fn perform(&mut self, effect: Effect<Listed>, sync: &Sync<Listed>) {
        let store = &self.remote.kind.store;
        match effect {
            Effect::Commit { items, version, backwards } => {
                Box::pin(self.commit(items, version, backwards, sync)).await;
            }
            Effect::Apply { change, version } => {
                // Most of the time it is nobody's.
                let _turn = match store.turn_now() {
                    Some(turn) => turn,
                    None => Box::pin(store.turn()).await,
                };
                self.apply(change, version.as_ref());
            }
            Effect::Bookmark(version) => {
                store.bookmark(self.remote.scope.as_deref(), version.clone());
                self.tell(&Applied::Bookmark { version: &version });
            }
        }
    }

    async fn commit(
        &mut self,
        items: Items<Listed>,
        version: ResourceVersion,
        backwards: bool,
        sync: &Sync<Listed>,
    ) {
        let (store, scope, count) = (&self.remote.kind.store, self.remote.scope.as_deref(), items.len());
        let removed = store.commit(scope, items, count, version.clone()).await;
        store.ask_for_upkeep();
        let bad = std::mem::take(&mut self.bad);
        self.remote.kind.health.listed(&self.remote.scope, sync.cause(), bad);
        self.tell(&Applied::List { removed: &removed, version: &version, backwards });
    }

    fn apply(&self, change: Change<Listed>, version: Option<&ResourceVersion>) {
        let seen = match change {
            Change::Upsert(Listed::New(object)) => Seen::Upsert(object),
            Change::Delete(Listed::New(object)) => Seen::Delete(object),
            // Only the items of a list are compared.
            Change::Upsert(Listed::Same(_)) | Change::Delete(Listed::Same(_)) => return,
        };
        let removed: Removed = self.remote.kind.store.apply(self.remote.scope.as_deref(), seen);
        self.tell(&Applied::Event { removed: &removed, version });
    }

    fn tell(&self, applied: &Applied<'_>) {
        if let Some(observer) = self.remote.shared.observer() {
            observer.applied(&self.remote.kind.informer, self.remote.scope.as_deref(), applied);
        }
    }

    fn complain(&self, failure: &Failure) {
        let (kind, scope) = (&self.remote.kind.gvk.kind, self.remote.scope.as_deref());
        tracing::warn!(%kind, scope, error = %failure, "cannot list or watch");
        let state =
            if failure.reason == Reason::Unserved { ScopeState::Unserved } else { ScopeState::Waiting };
        self.remote.kind.health.failed(&self.remote.scope, state, failure.to_string());
    }

    /// When the list has to be complete of which the next page is asked for; `begins` where that is the first one.
    fn list_deadline(&mut self, begins: bool) -> Instant {
        if begins {
            self.bad.clear();
            self.complete = after(self.remote.shared.options.timeouts.list);
        }
        self.complete
    }

    /// Takes a page in as it arrives, and asks for the next one as soon as there is said to be one.
    async fn list(
        &mut self,
        sync: &Sync<Listed>,
        version: Option<ResourceVersion>,
        limit: Option<u32>,
        token: Option<String>,
    ) -> Result<Input<Listed>, Failure> {
        let page = match self.ahead.answer(token.as_deref()).await {
            Some(answer) => answer?,
            None => self.remote.clone().ask(version, limit, token).await?,
        };
        let mut listing = self.remote.take_in(page).await;
        let (mut splitter, mut head, mut items) = (Splitter::default(), None::<Head>, Vec::new());
        let (mut taken, mut compared) = (0_usize, false);
        while let Some(arrived) = self.ahead.beside(listing.next()).await? {
            splitter.push(arrived);
            while let Some(piece) = splitter.next()? {
                let raw = match piece {
                    Piece::Item(raw) => raw,
                    Piece::Head(found) => {
                        if let Some(token) = &found.next {
                            let request = self.remote.clone().ask(None, limit, Some(token.clone()));
                            self.ahead.ask(token, Box::pin(request));
                        }
                        head = Some(found);
                        continue;
                    }
                };
                taken += 1;
                if taken.is_multiple_of(BATCH) {
                    self.ahead.beside(self.remote.kind.store.tend()).await;
                }
                let anew = sync.is_anew(head.as_ref().map(|head| &head.version));
                compared |= !anew && head.is_none();
                if let Some(same) = self.same(raw).filter(|_| !anew) {
                    items.push(same);
                    continue;
                }
                let raw = str::from_utf8(raw)
                    .map_err(|error| Failure::other(format!("cannot read list: {error}")))?;
                // An item without a key may be any of those held: then nothing can be said to be gone.
                let outline = Outline::read(raw).map_err(|error| Failure::unreadable("item", error))?;
                if let Some(stranger) = self.stranger(&outline) {
                    return Err(Failure::other(format!("list has {stranger}")));
                }
                items.extend(self.take(&outline, !anew));
            }
        }
        splitter.finish()?;
        let Head { version, next } = head.unwrap_or(Head { version: "".into(), next: None });
        Ok(Input::Page { items, version, next, compared })
    }

    /// Looks only at the version.
    async fn probe(&mut self) -> Result<Input<Listed>, Failure> {
        let page = self.remote.clone().ask(None, Some(1), None).await?;
        let mut listing = self.remote.take_in(page).await;
        let mut splitter = Splitter::default();
        while let Some(arrived) = listing.next().await? {
            splitter.push(arrived);
            while let Some(piece) = splitter.next()? {
                if let Piece::Head(head) = piece {
                    return Ok(Input::Probed(head.version));
                }
            }
        }
        Err(Failure::other("list has no version"))
    }

    /// What an object is that was not asked for.
    fn stranger(&self, outline: &Outline<'_>) -> Option<String> {
        let (key, kind) = (outline.key(), outline.kind());
        let kind = match self.remote.kind.selectors.metadata_only {
            // An item that does not say so would be taken for a whole one without a spec.
            true => Some(kind.as_deref().unwrap_or("whole object")).filter(|kind| *kind != METADATA),
            false => kind.as_deref().filter(|kind| *kind != self.remote.kind.gvk.kind),
        };
        let elsewhere = self.remote.scope.is_some() && key.namespace() != self.remote.scope.as_deref();
        kind.map(|kind| format!("a {kind}"))
            .or_else(|| elsewhere.then(|| format!("{}, which is of another namespace", key)))
    }

    /// An item of a list that the store holds as it is, told by how it begins: most of it is not looked at.
    fn same(&mut self, raw: &[u8]) -> Option<Listed> {
        let store = &self.remote.kind.store;
        if store.is_empty() {
            return None;
        }
        let (beginning, _) = raw.split_at_checked(BEGINNING).unwrap_or((raw, &[]));
        let stamp = stamp(beginning).or_else(|| stamp(raw))?;
        if self.remote.scope.is_some() && stamp.namespace != self.remote.scope.as_deref() {
            return None;
        }
        let key = store.held(&stamp)?;
        self.bad.remove(&key);
        Some(Listed::Same(key))
    }

    /// An item of a list. What cannot be read stays as the store has it, if it has it.
    fn take(&mut self, outline: &Outline<'_>, compare: bool) -> Option<Listed> {
        let (store, key) = (&self.remote.kind.store, outline.key());
        let holds = || store.holds(key, outline.uid().as_deref(), outline.resource_version().as_deref());
        if compare && holds() {
            self.bad.remove(key);
            return Some(Listed::Same(key.clone()));
        }
        match store.admit(outline) {
            Ok(arrival) => {
                self.bad.remove(key);
                Some(match self.is_held(&arrival.object) {
                    true => Listed::Same(key.clone()),
                    false => Listed::New(arrival),
                })
            }
            Err(error) => {
                self.bad.insert(key.clone(), error.to_string());
                store.has(key).then(|| Listed::Same(key.clone()))
            }
        }
    }

    /// Whether the store holds this very object. The version does not say so after a history that went backwards, nor
    /// do the bytes: in a list the fields stand in another order than in an event.
    fn is_held(&self, object: &Object) -> bool {
        let (store, version) =
            (&self.remote.kind.store, object.resource_version().map(ResourceVersion::as_str));
        if !store.holds(object.key(), object.uid().map(Uid::as_str), version) {
            return false;
        }
        let read = |object: &Object| serde_json::from_slice::<serde_json::Value>(&object.json().ok()?).ok();
        let held = store.get(object.key()).ok().flatten();
        held.and_then(|held| read(&held)).is_some_and(|held| Some(held) == read(object))
    }

    /// The next thing that a watch says.
    async fn read(&mut self, sync: &Sync<Listed>, watch: &mut Watch) -> Input<Listed> {
        self.taken = self.taken.wrapping_add(1);
        if self.taken.is_multiple_of(BATCH) {
            self.remote.kind.store.tend().await;
        }
        let line = match watch.next(sync.is_listing()).await {
            Heard::Line(line) => line,
            Heard::End => return self.ended(),
            Heard::Cut => return Input::Cut,
            // A server that does not know initial events may ignore that they were asked for.
            Heard::Silence => {
                return Input::ErrorEvent(Failure::unsupported("watch does not say what there is"));
            }
            Heard::Late => return Input::Garbled(Failure::away("server has not completed the list in time")),
            Heard::Endless => return Input::Garbled(Failure::other("watch sent a line without an end")),
        };
        match Line::parse(&line) {
            Ok(Line::Object { verb, object }) => self.event(sync, verb, object),
            Ok(Line::Bookmark { version, initial_end }) => Input::Bookmark { version, initial_end },
            Ok(Line::Error(failure)) => Input::ErrorEvent(failure),
            Err(Unreadable::Cut) => Input::Cut,
            Err(Unreadable::Garbled(failure)) => Input::Garbled(failure),
        }
    }

    fn ended(&self) -> Input<Listed> {
        Input::Ended { spoiled: self.remote.kind.health.is_spoiled(&self.remote.scope) }
    }

    fn event(&mut self, sync: &Sync<Listed>, verb: Verb, raw: &str) -> Input<Listed> {
        let (added, deleted) = (verb == Verb::Added, verb == Verb::Deleted);
        let outline = match Outline::read(raw) {
            Ok(outline) => outline,
            Err(error) => return Input::Garbled(Failure::unreadable("watch event", error)),
        };
        if let Some(stranger) = self.stranger(&outline) {
            self.complain(&Failure::other(format!("watch sent {stranger}")));
            return Input::Skipped { deleted: false, version: None };
        }
        let version = outline.resource_version().as_deref().map(ResourceVersion::from);
        if sync.is_listing() {
            let change = match deleted {
                // To leave a list that is not complete yet, the key is enough.
                true => {
                    self.bad.remove(outline.key());
                    Some(Change::Delete(Listed::Same(outline.key().clone())))
                }
                false => self.take(&outline, !sync.is_anew(None)).map(Change::Upsert),
            };
            return match change {
                Some(change) => Input::Event { change, added, version },
                None => Input::Skipped { deleted, version },
            };
        }
        let store = &self.remote.kind.store;
        match if deleted { store.admit_last(&outline) } else { store.admit(&outline) } {
            Ok(arrival) => {
                self.remote.kind.health.healed(&self.remote.scope, outline.key());
                if let Some(version) = version.clone().filter(|_| !deleted && self.is_held(&arrival.object)) {
                    return Input::Bookmark { version, initial_end: false };
                }
                let item = Listed::New(arrival);
                let change = if deleted { Change::Delete(item) } else { Change::Upsert(item) };
                Input::Event { change, added, version }
            }
            Err(error) => {
                tracing::warn!(error = %error, "keeping the last good state");
                self.remote.kind.health.spoiled(&self.remote.scope, outline.key().clone(), error.to_string());
                Input::Skipped { deleted, version }
            }
        }
    }
}

/// What a text that begins so says that it is. It may be cut within a character.
fn stamp(beginning: &[u8]) -> Option<Stamp<'_>> {
    let text = str::from_utf8(beginning);
    let text = text.or_else(|error| str::from_utf8(&beginning[..error.valid_up_to()]));
    Stamp::read(text.ok()?)
}

/// What a scope is doing that does this next.
fn state(next: &Next) -> Option<ScopeState> {
    match next {
        Next::List { token: None, .. } | Next::Open { initial: true, .. } => Some(ScopeState::Listing),
        Next::Open { initial: false, .. } => Some(ScopeState::Watching),
        Next::Wait(_) => Some(ScopeState::Waiting),
        Next::List { .. } | Next::Probe | Next::Read => None,
    }
}
