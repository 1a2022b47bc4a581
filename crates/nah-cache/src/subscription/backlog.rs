//! What a subscriber has not been told yet, merged by key.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    task::{Context, Poll, Waker},
};

use nah_core::{Object, ObjectKey, Uid};
use parking_lot::Mutex;

use crate::{
    Event,
    store::{Slot, Spine},
};

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
/// subscriber knows plus what there is, however far behind it is. The first snapshot is not copied into it: a cursor
/// walks over the store's own chunks, and what changes ahead of the cursor waits for it.
pub(crate) struct Backlog(Mutex<State>);

#[derive(Default)]
struct State {
    snapshot: Option<Snapshot>,
    pending: HashMap<ObjectKey, Pending>,
    /// Keys by their first change that was not told; those that wait for the cursor are not in it.
    order: BTreeMap<u64, ObjectKey>,
    next: u64,
    /// Everything numbered below was there at first.
    synced_at: Option<u64>,
    /// The second half of an end and a beginning under one key.
    second: Option<Event>,
    news: bool,
    closed: bool,
    waker: Option<Waker>,
}

struct Snapshot {
    objects: Spine<Slot>,
    next: usize,
    initial: bool,
}

struct Pending {
    /// None: waits for the cursor, which will come to its key.
    number: Option<u64>,
    /// What the subscriber saw last.
    seen: Option<Object>,
    /// How that ended, if it did.
    end: Option<(Object, bool)>,
    now: Option<Object>,
    initial: bool,
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
    pub(crate) fn new(objects: Spine<Slot>, synced: bool) -> Self {
        let snapshot = Snapshot { objects, next: 0, initial: true };
        let synced_at = synced.then_some(0);
        Self(Mutex::new(State { snapshot: Some(snapshot), synced_at, ..State::default() }))
    }

    /// Takes over the whole content of a store that was empty before; false where there is something pending, which
    /// must be told first.
    pub(crate) fn begin(&self, objects: &Spine<Slot>, initial: bool) -> bool {
        let mut state = self.0.lock();
        let busy = state.snapshot.as_ref().is_some_and(|snapshot| snapshot.next < snapshot.objects.len());
        if busy || !state.pending.is_empty() || state.second.is_some() {
            return false;
        }
        state.snapshot = Some(Snapshot { objects: objects.clone(), next: 0, initial });
        state.news = true;
        true
    }

    pub(crate) fn push(&self, change: Change) {
        let mut state = self.0.lock();
        if !state.closed {
            state.push(change);
            state.news = true;
        }
    }

    /// Takes keys out of the backlog that nothing more will be told of.
    pub(crate) fn forget(&self, keys: &[ObjectKey]) {
        let mut state = self.0.lock();
        for key in keys {
            state.forget(key);
        }
        state.news = true;
    }

    /// Everything that was there at first has been pushed.
    pub(crate) fn synced(&self) {
        let mut state = self.0.lock();
        state.synced_at = state.synced_at.or(Some(state.next));
        state.news = true;
    }

    /// Everything that was there at first has been handed out.
    pub(crate) fn has_synced(&self) -> bool {
        self.0.lock().has_synced()
    }

    /// Whom to wake, if there is something new.
    pub(crate) fn news(&self) -> Option<Waker> {
        let mut state = self.0.lock();
        if std::mem::take(&mut state.news) { state.waker.take() } else { None }
    }

    /// Ends the subscription and drops what was not told.
    pub(crate) fn close(&self) {
        let mut state = self.0.lock();
        let waker = state.waker.take();
        // What was not handed out by now never will be: the answer of `has_synced` stays.
        let synced_at = state.has_synced().then_some(0);
        let last = std::mem::replace(&mut *state, State { closed: true, synced_at, ..State::default() });
        drop(state);
        drop(last);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<Option<Event>> {
        let mut state = self.0.lock();
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
        event.map_or(Poll::Pending, |event| Poll::Ready(Some(event)))
    }

    /// How many keys wait.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.lock().pending.len()
    }
}

// === impl State ===

impl State {
    fn has_synced(&self) -> bool {
        self.snapshot.as_ref().is_none_or(|snapshot| snapshot.next >= snapshot.objects.len())
            && self.second.is_none()
            && self.synced_at.is_some_and(|at| self.order.keys().next().is_none_or(|first| *first >= at))
    }

    fn push(&mut self, change: Change) {
        let Change { old, now, end, initial } = change;
        let Some(key) = old.as_ref().or(now.as_ref()).map(|object| object.key().clone()) else { return };
        // What the snapshot still has ahead is not known to the subscriber.
        let ahead = old.is_some() && self.is_ahead(&key);
        match self.pending.entry(key) {
            Entry::Vacant(vacant) if ahead => {
                vacant.insert(Pending { number: None, seen: None, end: None, now, initial: true });
            }
            Entry::Vacant(vacant) => {
                let number = self.next;
                self.next += 1;
                self.order.insert(number, vacant.key().clone());
                vacant.insert(Pending { number: Some(number), seen: old, end, now, initial });
            }
            Entry::Occupied(mut occupied) => {
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
                } else if pending.now.is_none()
                    && let Some(number) = pending.number
                {
                    self.order.remove(&number);
                    occupied.remove();
                }
            }
        }
    }

    fn is_ahead(&self, key: &ObjectKey) -> bool {
        let next = self.snapshot.as_ref().and_then(|snapshot| snapshot.objects.at(snapshot.next));
        next.is_some_and(|slot| slot.key <= *key)
    }

    fn forget(&mut self, key: &ObjectKey) {
        if self.second.as_ref().is_some_and(|second| second.key() == key) {
            self.second = None;
        }
        // An end that was seen stays one: the subscriber was shown what ended.
        if let Some(pending) = self.pending.get_mut(key).filter(|pending| pending.end.is_some()) {
            pending.now = None;
        } else if let Some(Pending { number: Some(number), .. }) = self.pending.remove(key) {
            self.order.remove(&number);
        } else if self.is_ahead(key) {
            let skipped = Pending { number: None, seen: None, end: None, now: None, initial: true };
            self.pending.insert(key.clone(), skipped);
        }
    }

    /// The next event, and a snapshot that is at its end.
    fn pop(&mut self) -> (Option<Event>, Option<Snapshot>) {
        if let Some(second) = self.second.take() {
            return (Some(second), None);
        }
        while let Some(snapshot) = &mut self.snapshot {
            let Some(slot) = snapshot.objects.at(snapshot.next) else { break };
            snapshot.next += 1;
            let initial = snapshot.initial;
            let object = match self.pending.remove(&slot.key) {
                Some(pending) => pending.now,
                None => Some(slot.object.clone()),
            };
            if let Some(object) = object {
                return (Some(Event::Added { object, initial }), None);
            }
        }
        let done = self.snapshot.take();
        while let Some((_, key)) = self.order.pop_first() {
            let event = self.pending.remove(&key).and_then(|pending| self.event(key, pending));
            if event.is_some() {
                return (event, done);
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
}
