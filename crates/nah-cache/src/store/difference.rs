//! A list taken in as a difference: compared with what is held, built beside it, put in its place, told.

use std::{mem, ops::Range, panic::resume_unwind, sync::Arc};

use nah_core::{Object, ObjectKey, ResourceVersion};
use tokio::{runtime::Handle, sync::OwnedMutexGuard};

use super::{
    Arrival, Listed, Removed, Spine, Store,
    commit::upsert,
    entry::Entry,
    known::{Extractors, Filing, Known},
};
use crate::subscription::{Backlog, Change};

/// How many objects are compared, built and told where they came; more keep a thread busy for longer than others should
/// wait for theirs.
const AT_ONCE: usize = if cfg!(test) { 16 } else { 512 };
/// How many objects are taken in between two looks at whether anybody still wants them.
const STRETCH: usize = 1024;

/// Whoever has it may change the objects of a store; nobody else does meanwhile. Readers need none.
pub(crate) type Turn = OwnedMutexGuard<()>;

/// Why the objects of a scope change.
#[derive(Clone, Debug)]
pub(super) enum Why {
    /// There was a complete list at this version.
    Listed(ResourceVersion),
    /// The scope is cached no more. What leaves the cache is not gone, and who is told "gone" may destroy what belongs
    /// to it: subscribers are told nothing.
    Left,
}

/// What changes in a scope.
pub(super) struct Difference {
    scope: Box<str>,
    why: Why,
    gone: Vec<ObjectKey>,
    arrivals: Vec<Arrival>,
}

/// What there will be to read, and what there is to be told of it then.
pub(super) struct Next {
    scope: Box<str>,
    why: Why,
    known: Known,
    changes: Vec<Change>,
    /// Nothing was there before.
    fills: bool,
    /// The scope had not been listed before.
    initial: bool,
}

/// What became of what was built.
pub(super) enum Placed {
    There(News),
    /// An index came in between, whose values it has not.
    Stale(Next),
    /// The store is closed, or the scope is not there any more.
    Unwanted(Next),
}

/// What is there to read, and has to be told.
pub(super) struct News {
    why: Why,
    /// Those who have seen the store as it was before.
    told: Vec<Arc<Backlog>>,
    changes: Vec<Change>,
    /// The content of a store that was empty before.
    filled: Option<Spine<Object>>,
    initial: bool,
    synced: bool,
    last: Known,
    /// The epoch that is over, of what readers find without a lock.
    over: Option<u64>,
}

impl Store {
    /// Waits until nobody else changes the objects.
    pub(crate) async fn turn(&self) -> Turn {
        self.turn.clone().lock_owned().await
    }

    /// The turn, where nobody has it.
    pub(crate) fn turn_now(&self) -> Option<Turn> {
        self.turn.clone().try_lock_owned().ok()
    }

    /// Takes in a complete list of `scope` at `version`, as a difference, atomically for readers; tells subscribers
    /// deletions (tombstones) first, then adds and updates. Also marks the scope as synced.
    ///
    /// Long work is done on a thread that may be kept busy. Where this is dropped before the list is in its place,
    /// nothing has happened; afterwards, it is told all the same.
    pub(crate) async fn commit<I>(
        self: &Arc<Self>,
        scope: Option<&str>,
        items: I,
        count: usize,
        version: ResourceVersion,
    ) -> Removed
    where
        I: IntoIterator<Item = Listed> + Send + 'static,
    {
        let turn = self.turn().await;
        let (store, scope) = (self.clone(), Box::from(scope.unwrap_or_default()));
        let is_much = count + self.known.read().objects.len() > AT_ONCE;
        let compare = move || store.compare(scope, items, version);
        let difference = apart(is_much, compare).await;
        self.take_in(difference, is_much, turn).await
    }

    /// Forgets a scope and its objects.
    pub(crate) async fn leave(self: &Arc<Self>, scope: Option<&str>) -> Removed {
        let turn = self.turn().await;
        let (store, scope) = (self.clone(), Box::from(scope.unwrap_or_default()));
        let is_much = self.known.read().objects.len() > AT_ONCE;
        let difference = apart(is_much, move || store.everything_of(scope)).await;
        self.take_in(difference, is_much, turn).await
    }

    /// As [`commit`](Self::commit), on this thread, where nobody else changes the store.
    #[cfg(test)]
    pub(crate) fn replace(
        &self,
        scope: Option<&str>,
        items: Vec<Listed>,
        version: ResourceVersion,
    ) -> Removed {
        let scope = Box::from(scope.unwrap_or_default());
        self.take_in_here(self.compare(scope, items, version))
    }

    /// As [`leave`](Self::leave).
    #[cfg(test)]
    pub(crate) fn remove_scope(&self, scope: Option<&str>) -> Removed {
        self.take_in_here(self.everything_of(scope.unwrap_or_default().into()))
    }

    #[cfg(test)]
    fn take_in_here(&self, difference: Difference) -> Removed {
        let mut next = self.build(difference);
        loop {
            let Some(built) = next else { return Removed::new() };
            match self.put_in_place(built) {
                Placed::There(news) => return self.tell(news),
                Placed::Stale(built) => next = self.build(built.again()),
                Placed::Unwanted(_) => return Removed::new(),
            }
        }
    }

    async fn take_in(self: &Arc<Self>, difference: Difference, is_much: bool, turn: Turn) -> Removed {
        let store = self.clone();
        let mut next = apart(is_much, move || store.build(difference)).await;
        let news = loop {
            let Some(built) = next else { return Removed::new() };
            let store = self.clone();
            next = match self.put_in_place(built) {
                Placed::There(news) => break news,
                Placed::Stale(built) => apart(is_much, move || store.build(built.again())).await,
                Placed::Unwanted(built) => {
                    apart(is_much, move || drop(built)).await;
                    None
                }
            };
        };
        let store = self.clone();
        // Nothing is awaited in between: what can be read will be told.
        apart(is_much, move || {
            let removed = store.tell(news);
            drop(turn);
            removed
        })
        .await
    }

    /// What a complete list of a scope changes there.
    pub(super) fn compare(
        &self,
        scope: Box<str>,
        items: impl IntoIterator<Item = Listed>,
        version: ResourceVersion,
    ) -> Difference {
        let known = self.known.read().clone();
        let (mut listed, mut arrivals, fills) = (Vec::new(), Vec::new(), known.objects.is_empty());
        for item in items {
            match item {
                Listed::Same(key) => listed.push(key),
                Listed::New(arrival) => {
                    if !fills {
                        listed.push(arrival.object.key().clone());
                    }
                    arrivals.push(arrival);
                }
            }
        }
        listed.sort_unstable();
        let gone = vanished(&known.objects, known.ranks(namespace(&scope)), &listed);
        Difference { scope, why: Why::Listed(version), gone, arrivals }
    }

    pub(super) fn everything_of(&self, scope: Box<str>) -> Difference {
        let known = self.known.read().clone();
        let own = known.objects.range(known.ranks(namespace(&scope)));
        let gone = own.map(|object| object.key().clone()).collect();
        Difference { scope, why: Why::Left, gone, arrivals: Vec::new() }
    }

    /// What there will be to read; none where nobody wants it any more. The caller has the turn.
    ///
    /// Extractors are users' code, so they run here, under no lock; those that came after an object was read run now.
    pub(super) fn build(&self, difference: Difference) -> Option<Next> {
        let Difference { scope, why, gone, arrivals } = difference;
        let mut known = self.known.read().clone();
        let initial = !known.scopes.get(&scope)?.synced;
        let extractors = known.extractors.clone();
        let (mut filings, mut arrivals) = (Vec::with_capacity(arrivals.len()), arrivals.into_iter());
        while arrivals.len() > 0 {
            if self.known.read().closed {
                return None;
            }
            let some = arrivals.by_ref().take(STRETCH);
            filings.extend(some.map(|arrival| self.filing(arrival, &extractors)));
        }
        let fills = known.objects.is_empty();
        let mut changes = Vec::new();
        if fills {
            known.fill(filings);
        } else {
            let ended = gone.iter().filter_map(|key| known.take(key));
            changes.extend(ended.map(|old| Change::ended(old, None)));
            let mut filings = filings.into_iter();
            while filings.len() > 0 {
                if self.known.read().closed {
                    return None;
                }
                let some = filings.by_ref().take(STRETCH);
                changes.extend(some.filter_map(|filing| upsert(&mut known, filing, initial)));
            }
        }
        Some(Next { scope, why, known, changes, fills, initial })
    }

    /// An arrival with its values in the indexes of these extractors.
    pub(super) fn filing(&self, arrival: Arrival, extractors: &Extractors) -> Filing {
        let arrival = match Arc::ptr_eq(&arrival.extractors, extractors) {
            true => arrival,
            false => self.arrival(arrival.object, None, extractors),
        };
        Filing { object: arrival.object, values: arrival.values }
    }

    /// Makes `next` what is read, in one step. The caller has the turn.
    pub(super) fn put_in_place(&self, mut next: Next) -> Placed {
        let mut writer = self.writer.lock();
        let known = self.known.read();
        // Others move by bookmarks, come and go.
        let (mut scopes, was_synced) = (known.scopes.clone(), known.synced());
        let is_there = match &next.why {
            Why::Listed(version) => scopes.get_mut(&next.scope).is_some_and(|progress| {
                (progress.synced, progress.observed) = (true, Some(version.clone()));
                true
            }),
            Why::Left => scopes.remove(&next.scope).is_some(),
        };
        if known.closed || !is_there {
            return Placed::Unwanted(next);
        }
        if !Arc::ptr_eq(&known.extractors, &next.known.extractors) {
            return Placed::Stale(next);
        }
        drop(known);
        next.known.scopes = scopes;
        let Next { why, known, changes, fills, initial, .. } = next;
        self.arriving.lock().clear();
        let filled = fills.then(|| known.objects.clone());
        let synced = known.synced() && !was_synced;
        // Other objects are in it, so what readers find without a lock is over at the same moment.
        let is_other = fills || !changes.is_empty() || matches!(why, Why::Left);
        let mut now = self.known_mut();
        let last = mem::replace(&mut *now, known);
        let over = is_other.then(|| self.shelf.begin_epoch());
        drop(now);
        writer.telling = true;
        let told = writer.subscribers.clone();
        Placed::There(News { why, told, changes, filled, initial, synced, last, over })
    }

    /// Tells those who saw the store as it was before. The caller has the turn still.
    pub(super) fn tell(&self, news: News) -> Removed {
        let News { why, told, changes, filled, initial, synced, last, over } = news;
        over.into_iter().for_each(|epoch| self.shelf.end_epoch(epoch));
        let left: Vec<_> = match why {
            Why::Left => changes.iter().filter_map(Change::old).map(|old| old.key().clone()).collect(),
            Why::Listed(_) => Vec::new(),
        };
        for backlog in &told {
            if let Some(spine) = &filled
                && !backlog.begin(spine, initial)
            {
                for object in spine.iter() {
                    backlog.push(Change::added(object.clone(), initial));
                }
            }
            match why {
                Why::Listed(_) => changes.iter().for_each(|change| backlog.push(change.clone())),
                Why::Left => backlog.forget(&left),
            }
            if synced {
                backlog.synced();
            }
        }
        let mut writer = self.writer.lock();
        writer.telling = false;
        for backlog in mem::take(&mut writer.looks) {
            backlog.look_again(self.known.read().objects.clone());
        }
        let wake = self.news(&writer.subscribers);
        drop(writer);
        changes.iter().for_each(release);
        let removed = changes.iter().filter_map(Change::removed).collect();
        drop((last, changes));
        self.wake(wake);
        if matches!(why, Why::Listed(_)) {
            drop(mem::take(&mut *self.nursery.lock()));
        }
        removed
    }
}

impl Next {
    /// The same difference, to be built once more.
    pub(super) fn again(self) -> Difference {
        let Self { scope, why, known, changes, fills, .. } = self;
        let arrival = |object: &Object| Arrival {
            object: object.clone(),
            values: None,
            extractors: Extractors::default(),
        };
        let arrivals = match fills {
            true => known.objects.iter().map(arrival).collect(),
            false => changes.iter().filter_map(Change::now).map(arrival).collect(),
        };
        let ended = changes.iter().filter(|change| change.now().is_none()).filter_map(Change::old);
        let gone = ended.map(|old| old.key().clone()).collect();
        Difference { scope, why, gone, arrivals }
    }
}

/// Forgets the values of an object that is filed no more.
pub(super) fn release(change: &Change) {
    if let Some(old) = change.old().and_then(Entry::of) {
        old.file(None);
    }
}

fn namespace(scope: &str) -> Option<&str> {
    Some(scope).filter(|scope| !scope.is_empty())
}

/// The keys of these ranks that a list does not have.
fn vanished(objects: &Spine<Object>, ranks: Range<usize>, listed: &[ObjectKey]) -> Vec<ObjectKey> {
    let mut listed = listed.iter().peekable();
    let gone = objects.range(ranks).map(Object::key).filter(|own| {
        while listed.next_if(|key| *key < *own).is_some() {}
        listed.peek().is_none_or(|key| *key != *own)
    });
    gone.cloned().collect()
}

/// Does work here, or where it is much and there is a runtime, on a thread that may be kept busy.
async fn apart<T: Send + 'static>(is_much: bool, work: impl FnOnce() -> T + Send + 'static) -> T {
    let Some(runtime) = Handle::try_current().ok().filter(|_| is_much) else { return work() };
    match runtime.spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime goes down, and whoever waits for this with it.
            Err(_) => std::future::pending().await,
        },
    }
}
