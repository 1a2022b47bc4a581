//! What a subscriber has not been told yet, merged by key.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    task::{Context, Poll, Waker},
    time::Duration,
};

use nah_core::{Object, ObjectKey, Uid};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    meter::{Meter, SubscriberStatus},
    walk::Walk,
};
use crate::{Event, store::Spine};

/// What a map that is empty may keep for the next time.
const KEPT: usize = 1024;

/// What happened at one key: what was there, what is there, and how what was there ended.
#[derive(Clone)]
pub(crate) struct Change {
    old: Option<Object>,
    now: Option<Object>,
    /// The last state of `old`, where it ended, and whether that is only the last one known.
    end: Option<(Object, bool)>,
    initial: bool,
}

/// What a subscriber has not been told yet.
///
/// At most one entry a key: what the subscriber saw last, and what is now. So the backlog is bounded by what the
/// subscriber knows plus what there is, however far behind it is. The first snapshot is not copied into it: it is
/// walked over, and what changes ahead of the walk changes there.
pub(crate) struct Backlog {
    state: Mutex<State>,
    pub(crate) meter: Meter,
}

struct State {
    /// What was there at first, and whether that was the first list.
    first: Option<(Walk, bool)>,
    /// A second look at what the subscriber knows.
    look: Option<Walk>,
    /// Whose turn it is: that of the second look, or of what changed.
    looks: bool,
    pending: HashMap<ObjectKey, Pending>,
    /// Keys by their first change that was not told.
    order: BTreeMap<u64, ObjectKey>,
    next: u64,
    /// Everything numbered below was there at first.
    synced_at: Option<u64>,
    /// The second half of an end and a beginning under one key.
    second: Option<Event>,
    /// When what was there at first was taken over.
    began: Instant,
    news: bool,
    closed: bool,
    waker: Option<Waker>,
}

struct Pending {
    number: u64,
    /// What the subscriber saw last.
    seen: Option<Object>,
    /// How that ended, if it did.
    end: Option<(Object, bool)>,
    now: Option<Object>,
    initial: bool,
    /// When the first change came that was not told.
    since: Instant,
}

// === impl Change ===

impl Change {
    pub(crate) fn added(object: Object, initial: bool) -> Self {
        Self { old: None, now: Some(object), end: None, initial }
    }

    /// An update; or, where the uids differ, the end of the one (which nobody saw) and the beginning of the other.
    pub(crate) fn updated(old: Object, now: Object) -> Self {
        let end = (!same_uid(&old, &now)).then(|| (old.clone(), true));
        Self { old: Some(old), now: Some(now), end, initial: false }
    }

    /// The end of `old`, with its final state where that was seen.
    pub(crate) fn ended(old: Object, last: Option<Object>) -> Self {
        let end = match last {
            Some(last) if same_uid(&old, &last) => (last, false),
            _ => (old.clone(), true),
        };
        Self { old: Some(old), now: None, end: Some(end), initial: false }
    }

    /// The state that is not the present one any more.
    pub(crate) fn old(&self) -> Option<&Object> {
        self.old.as_ref()
    }

    /// The state that is the present one.
    pub(crate) fn now(&self) -> Option<&Object> {
        self.now.as_ref()
    }

    /// What this took away.
    pub(crate) fn removed(&self) -> Option<(ObjectKey, Option<Uid>)> {
        let old = self.old.as_ref().filter(|_| self.end.is_some())?;
        Some((old.key().clone(), old.uid().cloned()))
    }
}

/// Whether two objects under one key are the same one. Without a uid there is nothing to tell them apart by.
fn same_uid(a: &Object, b: &Object) -> bool {
    a.uid().zip(b.uid()).is_none_or(|(a, b)| a == b)
}

// === impl Backlog ===

impl Backlog {
    /// A backlog that begins with `objects`.
    pub(crate) fn new(objects: Spine<Object>, synced: bool) -> Self {
        let state =
            State { first: Some((Walk::new(objects), true)), synced_at: synced.then_some(0), ..State::new() };
        Self { state: Mutex::new(state), meter: Meter::default() }
    }

    /// Takes over the whole content of a store that was empty before; false where there is something pending, which
    /// must be told first.
    pub(crate) fn begin(&self, objects: &Spine<Object>, initial: bool) -> bool {
        let mut state = self.state.lock();
        let busy = state.first.as_ref().is_some_and(|(walk, _)| walk.left() > 0);
        if busy || !state.pending.is_empty() || state.second.is_some() {
            return false;
        }
        state.first = Some((Walk::new(objects.clone()), initial));
        state.began = Instant::now();
        state.news = true;
        true
    }

    pub(crate) fn push(&self, change: Change) {
        let mut state = self.state.lock();
        if !state.closed {
            state.push(change);
            state.news = true;
        }
    }

    /// Shows each of `objects`, the whole content of the store, a second time, unless it changes before its turn
    /// comes. Nothing while it is still shown for the first time, or for the second.
    pub(crate) fn look_again(&self, objects: Spine<Object>) {
        let mut state = self.state.lock();
        if !state.has_synced() || state.look.is_some() || state.closed {
            return;
        }
        let mut look = Walk::new(objects);
        // What is pending will be told, and may not have been told before.
        state.pending.keys().for_each(|key| _ = look.change(key, None));
        state.look = Some(look);
        state.looks = false;
        state.news = true;
    }

    /// Takes keys out of the backlog that nothing more will be told of.
    pub(crate) fn forget(&self, keys: &[ObjectKey]) {
        let mut state = self.state.lock();
        for key in keys {
            state.forget(key);
        }
        state.news = true;
    }

    /// Everything that was there at first has been pushed.
    pub(crate) fn synced(&self) {
        let mut state = self.state.lock();
        state.synced_at = state.synced_at.or(Some(state.next));
        state.news = true;
    }

    /// Everything that was there at first has been handed out.
    pub(crate) fn has_synced(&self) -> bool {
        self.state.lock().has_synced()
    }

    /// How many objects wait, and for how long the one that waits longest has.
    fn waiting(&self) -> (usize, Option<Duration>) {
        let state = self.state.lock();
        let first = state.first.as_ref().map_or(0, |(walk, _)| walk.left());
        let oldest = state.order.values().next().and_then(|key| state.pending.get(key));
        let since = if first > 0 { Some(state.began) } else { oldest.map(|pending| pending.since) };
        let look = state.look.as_ref().map_or(0, Walk::left);
        let second = usize::from(state.second.is_some());
        (first + state.pending.len() + look + second, since.map(|since| since.elapsed()))
    }

    pub(crate) fn status(&self) -> SubscriberStatus {
        self.meter.status(self.has_synced(), self.waiting())
    }

    /// Whom to wake, if there is something new.
    pub(crate) fn news(&self) -> Option<Waker> {
        let mut state = self.state.lock();
        if std::mem::take(&mut state.news) { state.waker.take() } else { None }
    }

    /// Ends the subscription and drops what was not told.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        let waker = state.waker.take();
        // What was not handed out by now never will be: the answer of `has_synced` stays.
        let synced_at = state.has_synced().then_some(0);
        let last = std::mem::replace(&mut *state, State { closed: true, synced_at, ..State::new() });
        drop(state);
        drop(last);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<Option<Event>> {
        let mut state = self.state.lock();
        if state.closed {
            return Poll::Ready(None);
        }
        let (event, done) = state.pop();
        if event.is_none() {
            state.waker = Some(context.waker().clone());
        }
        drop(state);
        // The last hold on a snapshot, perhaps: dropped outside the lock.
        drop(done);
        let Some(event) = event else { return Poll::Pending };
        self.meter.told();
        Poll::Ready(Some(event))
    }

    /// How many keys wait, and how many entries there is room for.
    #[cfg(test)]
    pub(crate) fn len(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.pending.len(), state.pending.capacity())
    }
}

// === impl State ===

impl State {
    fn new() -> Self {
        Self {
            first: None,
            look: None,
            looks: false,
            pending: HashMap::new(),
            order: BTreeMap::new(),
            next: 0,
            synced_at: None,
            second: None,
            began: Instant::now(),
            news: false,
            closed: false,
            waker: None,
        }
    }

    fn has_synced(&self) -> bool {
        self.first.as_ref().is_none_or(|(walk, _)| walk.left() == 0)
            && self.second.is_none()
            && self.synced_at.is_some_and(|at| self.order.keys().next().is_none_or(|first| *first >= at))
    }

    fn push(&mut self, change: Change) {
        let Change { old, now, end, initial } = change;
        let Some(key) = old.as_ref().or(now.as_ref()).map(|object| object.key().clone()) else { return };
        // What has changed is told as a change, so it needs no second look.
        if let Some(look) = &mut self.look {
            look.change(&key, None);
        }
        let mut occupied = match self.pending.entry(key) {
            Entry::Occupied(occupied) => occupied,
            Entry::Vacant(vacant) => {
                // What the first walk has still to come to is not known to the subscriber.
                if let Some((walk, _)) = self.first.as_mut().filter(|_| old.is_some())
                    && walk.change(vacant.key(), now.as_ref())
                {
                    return;
                }
                let number = self.next;
                self.next += 1;
                self.order.insert(number, vacant.key().clone());
                let since = Instant::now();
                vacant.insert(Pending { number, seen: old, end, now, initial, since });
                return;
            }
        };
        let pending = occupied.get_mut();
        pending.now = now;
        if let Some(seen) = &pending.seen {
            // Of several ends only that of what was shown counts; and what left and came back lives.
            if let Some(end) = end.filter(|(last, _)| pending.end.is_none() && same_uid(seen, last)) {
                pending.end = Some(end);
            }
            if pending.now.as_ref().is_some_and(|now| same_uid(seen, now)) {
                pending.end = None;
            }
        } else if pending.now.is_none() {
            self.order.remove(&pending.number);
            occupied.remove();
            self.shrink();
        }
    }

    fn forget(&mut self, key: &ObjectKey) {
        if self.second.as_ref().is_some_and(|second| second.key() == key) {
            self.second = None;
        }
        if let Some(look) = &mut self.look {
            look.change(key, None);
        }
        // An end that was seen stays one: the subscriber was shown what ended.
        if let Some(pending) = self.pending.get_mut(key).filter(|pending| pending.end.is_some()) {
            pending.now = None;
        } else if let Some(Pending { number, .. }) = self.pending.remove(key) {
            self.order.remove(&number);
            self.shrink();
        } else if let Some((walk, _)) = &mut self.first {
            walk.change(key, None);
        }
    }

    /// The next event, and a walk that is at its end.
    fn pop(&mut self) -> (Option<Event>, Option<Walk>) {
        if let Some(second) = self.second.take() {
            return (Some(second), None);
        }
        if let Some((walk, initial)) = &mut self.first
            && let Some(object) = walk.step()
        {
            return (Some(Event::Added { object, initial: *initial }), None);
        }
        let mut done = self.first.take().map(|(walk, _)| walk);
        // In turns, so that neither a stream of changes nor a long look keeps the other waiting.
        self.looks = !self.looks;
        if self.looks || self.order.is_empty() {
            match self.look.as_mut().map(Walk::step) {
                Some(Some(object)) => {
                    return (Some(Event::Updated { old: object.clone(), new: object }), done);
                }
                Some(None) => done = self.look.take(),
                None => {}
            }
        }
        while let Some((_, key)) = self.order.pop_first() {
            let pending = self.pending.remove(&key);
            self.shrink();
            if let Some(event) = pending.and_then(|pending| self.event(key, pending)) {
                return (Some(event), done);
            }
        }
        (None, done)
    }

    fn event(&mut self, key: ObjectKey, pending: Pending) -> Option<Event> {
        let Pending { seen, end, now, initial, .. } = pending;
        let added = |object| Event::Added { object, initial };
        let Some(seen) = seen else { return now.map(added) };
        let Some((last, tombstone)) = end else { return now.map(|new| Event::Updated { old: seen, new }) };
        self.second = now.map(|object| Event::Added { object, initial: false });
        Some(Event::Deleted { key, last, tombstone })
    }

    /// A backlog that was long once does not stay large.
    fn shrink(&mut self) {
        if self.pending.is_empty() && self.pending.capacity() > KEPT {
            self.pending = HashMap::new();
        }
    }
}
