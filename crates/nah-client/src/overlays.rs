//! The overlays of all kinds, kept in step with their informers.

mod memo;

use std::{
    any::TypeId,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use arc_swap::{ArcSwap, ArcSwapOption};
use nah_cache::{Applied, Found, Informer, List, ListOptions, Observer};
use nah_core::{GroupVersionKind, KindMap, Object, ObjectKey, ResourceVersion};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    Error, Result,
    overlay::{Grounds, Held, Limits, Overlay, Said, Sent, merge},
};
use memo::{Kept, Memo, Moment};

/// How often a list of several namespaces is taken again because the cache moved on meanwhile.
const LOOKS: usize = 16;
/// Up to how many keys a list is as well merged anew.
const FEW: usize = if cfg!(test) { 1 } else { 16 };
/// After how many changes of the cache a list is not kept any more: it keeps what was replaced since.
const FAR: u64 = 4096;

/// Read without a lock: every read of every kind comes through here.
#[derive(Default)]
pub(crate) struct Overlays {
    kinds: ArcSwap<Kinds>,
    /// Whoever holds this may change `kinds`; nobody else comes or goes meanwhile.
    changes: Mutex<()>,
}

type Kinds = KindMap<Arc<KindOverlay>>;

/// The overlay of one kind, and the informer it lies over.
pub(crate) struct KindOverlay {
    gvk: GroupVersionKind,
    informer: ArcSwapOption<Informer>,
    /// Whether the overlay holds anything at all: while it does not, reads take no lock.
    busy: AtomicBool,
    overlay: Mutex<Overlay>,
    /// Counts the changes of the overlay; moves under its lock.
    changed: AtomicU64,
    memo: Mutex<Memo>,
}

// === impl Overlays ===

impl Overlays {
    pub(crate) fn kind(&self, gvk: &GroupVersionKind) -> Arc<KindOverlay> {
        if let Some(kind) = self.kinds.load().get(gvk) {
            return kind.clone();
        }
        let changes = self.changes.lock();
        let mut kinds = Kinds::clone(&self.kinds.load());
        if let Some(kind) = kinds.get(gvk) {
            return kind.clone();
        }
        // What was removed in another version is not there in this one.
        let mut overlay = Overlay::new(Limits::default());
        kinds
            .values()
            .filter(|other| other.is_of(gvk))
            .for_each(|other| overlay.inherit(&other.overlay.lock()));
        let kind = Arc::new(KindOverlay {
            gvk: gvk.clone(),
            informer: ArcSwapOption::empty(),
            busy: AtomicBool::new(!overlay.is_empty()),
            overlay: Mutex::new(overlay),
            changed: AtomicU64::new(0),
            memo: Mutex::default(),
        });
        kinds.insert(gvk.clone(), kind.clone());
        self.kinds.store(Arc::new(kinds));
        drop(changes);
        kind
    }

    /// What `read` finds in the overlay of a kind that is there, with its informer.
    pub(crate) fn read<T>(
        &self,
        gvk: &GroupVersionKind,
        read: impl FnOnce(&KindOverlay, &Informer) -> T,
    ) -> Option<T> {
        let kinds = self.kinds.load();
        let kind = kinds.get(gvk)?;
        let informer = kind.informer.load();
        Some(read(kind, informer.as_ref()?))
    }

    /// The same kind in other versions: one object, several stores.
    pub(crate) fn other_versions(&self, gvk: &GroupVersionKind) -> Vec<Arc<KindOverlay>> {
        // A kind that is being made may have missed what was just removed: it is waited for.
        let changes = self.changes.lock();
        let kinds = self.kinds.load();
        drop(changes);
        kinds.values().filter(|kind| kind.is_of(gvk) && kind.gvk != *gvk).cloned().collect()
    }

    /// Lets go of every informer.
    pub(crate) fn close(&self) {
        let changes = self.changes.lock();
        let kinds = self.kinds.swap(Arc::default());
        drop(changes);
        drop(kinds);
    }
}

impl Observer for Overlays {
    fn applied(&self, informer: &Informer, namespace: Option<&str>, applied: &Applied<'_>) {
        let kind = self.kind(informer.gvk());
        if kind.informer.load().is_none() {
            kind.set_informer(Some(informer.clone()));
        }
        let held = |key: &ObjectKey| held(informer, key);
        let number = |version: &ResourceVersion| version.number();
        let now = Instant::now();
        kind.change(|overlay| match applied {
            Applied::Event { removed, version } => {
                overlay.event(now, namespace, removed, version.and_then(number), held);
            }
            Applied::Bookmark { version } => overlay.event(now, namespace, &[], number(version), held),
            Applied::List { removed, version, backwards } => {
                overlay.list(now, namespace, removed, number(version), *backwards, held);
            }
            Applied::Left => overlay.left(namespace),
            // What this crate does not know yet moves no version.
            _ => {}
        });
    }
}

// === impl KindOverlay ===

impl KindOverlay {
    pub(crate) fn gvk(&self) -> &GroupVersionKind {
        &self.gvk
    }

    /// Whether this is the kind of `gvk`, in whatever version.
    fn is_of(&self, gvk: &GroupVersionKind) -> bool {
        self.gvk.kind == gvk.kind && self.gvk.group == gvk.group
    }

    pub(crate) fn informer(&self) -> Option<Informer> {
        self.informer.load().as_deref().cloned()
    }

    /// Lies over this informer from now on.
    pub(crate) fn set_informer(&self, informer: Option<Informer>) {
        if let Some(informer) = &informer {
            let selective = !informer.is_whole();
            self.overlay.lock().set_selective(selective);
        }
        self.informer.store(informer.map(Arc::new));
    }

    fn change<T>(&self, change: impl FnOnce(&mut Overlay) -> T) -> T {
        let mut overlay = self.overlay.lock();
        let changed = change(&mut overlay);
        self.changed.fetch_add(1, Ordering::Release);
        self.busy.store(!overlay.is_empty(), Ordering::Release);
        let is_known = |grounds: &Grounds| !overlay.is_empty() && grounds.are_known_to(&overlay);
        let moment = self.informer.load().as_ref().map_or(0, |informer| informer.moment());
        // Dropped where no lock is held.
        let old = self.memo.lock().forget(|grounds, at| is_known(grounds) && moment.abs_diff(at.cache) < FAR);
        drop(overlay);
        drop(old);
        changed
    }

    fn moment(&self, informer: &Informer) -> Moment {
        Moment { cache: informer.moment(), overlay: self.changed.load(Ordering::Acquire) }
    }

    fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    /// A request about `key` is about to be sent.
    pub(crate) fn send(&self, key: Option<&ObjectKey>) -> Sent {
        let informer = self.informer();
        // Under the lock of the overlay, so that what the store has seen by now the overlay will be told of. What a
        // read shows does not change.
        let mut overlay = self.overlay.lock();
        let held = informer.as_ref().zip(key).and_then(|(informer, key)| held(informer, key));
        overlay.send(key, held.as_ref())
    }

    /// What the answer to `sent` says about `key`.
    pub(crate) fn answer(&self, sent: &Sent, key: &ObjectKey, said: Said) {
        self.take(Some(sent), key, said);
    }

    /// What the answer to a request says about `key` that was sent before this overlay was there.
    pub(crate) fn answer_late(&self, key: &ObjectKey, said: Said) {
        self.take(None, key, said);
    }

    fn take(&self, sent: Option<&Sent>, key: &ObjectKey, said: Said) {
        let informer = self.informer();
        let said = match (said, &informer) {
            (Said::Whole { object, .. }, Some(informer)) => {
                let in_scope = informer.in_scope(&object);
                // What is shown instead of the cache's state lacks what that would lack.
                let object = informer.trimmed(&object).unwrap_or(object);
                Said::Whole { object, in_scope }
            }
            (said, _) => said,
        };
        self.change(|overlay| {
            // What the cache will never hold it can never catch up with. Under the lock of the overlay, which is told
            // of a namespace that leaves after the store has let go of it.
            if informer.as_ref().is_some_and(|informer| !informer.covers(key.namespace())) {
                return;
            }
            let held = informer.as_ref().and_then(|informer| held(informer, key));
            let (now, live) = (Instant::now(), informer.is_some());
            match sent {
                Some(sent) => overlay.answer(now, sent, key, said, held.as_ref(), live),
                None => overlay.answer_late(now, key, said, held.as_ref(), live),
            }
        });
    }

    /// The keys whose objects a deletion of many in this namespace may remove.
    pub(crate) fn keys(&self, options: &ListOptions) -> Vec<ObjectKey> {
        let Some(informer) = self.informer() else { return Vec::new() };
        // Without its fields: the cache may have no index for them, and too many keys do no harm.
        let cached = ListOptions::default()
            .in_namespace(options.namespace().unwrap_or_default())
            .matching(options.labels().clone());
        let listed = self.list(&informer, &cached).ok();
        listed.iter().flat_map(|list| list.handles().map(|object| object.key().clone())).collect()
    }

    /// As [`get`](Self::get), decoded as the type of this id where that takes no decode.
    pub(crate) fn find(&self, informer: &Informer, key: &ObjectKey, form: TypeId) -> Result<Option<Found>> {
        match self.is_busy() {
            true => Ok(self.get(informer, key)?.map(Found::Object)),
            false => Ok(informer.find(key, form)?),
        }
    }

    /// What the cache and the overlay know of `key`.
    pub(crate) fn get(&self, informer: &Informer, key: &ObjectKey) -> Result<Option<Object>> {
        if !self.is_busy() {
            return Ok(informer.get(key)?);
        }
        // The store ignores the namespace of a cluster-scoped key; so must the overlay.
        let cluster = || ObjectKey::cluster(key.name());
        let bare = (informer.is_namespaced() == Some(false) && key.namespace().is_some()).then(cluster);
        let key = bare.as_ref().unwrap_or(key);
        // The overlay first, then the store: the store applies before the overlay forgets.
        let overlay = self.overlay.lock();
        let look = overlay.look(key, observed(informer, key.namespace()));
        let held = informer.get(key)?;
        let hidden = overlay.hides(held.as_ref().and_then(Object::uid));
        let unsure = || Error::Unsure { gvk: self.gvk.clone(), key: key.to_string() };
        look.over(held, hidden).ok_or_else(unsure)
    }

    /// What the cache and the overlay know of what `options` select.
    pub(crate) fn list(&self, informer: &Informer, options: &ListOptions) -> Result<List> {
        if !self.is_busy() {
            return Ok(informer.list(options)?);
        }
        let before = self.moment(informer);
        if let Some(list) = self.memo.lock().recall(options, before) {
            return Ok(list);
        }
        let kept = match self.kept_up(informer, options, before)? {
            Some(kept) => kept,
            None => Kept { moment: before, list: self.merged(informer, options)?, grounds: None },
        };
        let list = kept.list.clone();
        let mut memo = self.memo.lock();
        // A change that is not seen here forgets it later.
        let old = self.is_busy().then(|| memo.remember(options, kept));
        drop(memo);
        drop(old);
        Ok(list)
    }

    /// The same list as the last time, with what has changed in the cache and the overlay since; none where it is as
    /// well made anew.
    fn kept_up(&self, informer: &Informer, options: &ListOptions, moment: Moment) -> Result<Option<Kept>> {
        let selects = !options.labels().selects_all()
            || options.owner().is_some()
            || !(options.fields().is_empty() && options.field_sets().is_empty());
        if selects && options.limit_of().is_some() {
            return Ok(None); // The cache need not go on when it has found as many.
        }
        let earlier = self.memo.lock().grounds(options);
        let everything = options.clone().limit(0);
        let mut looks = 0;
        // What the cache has seen by the time of the list, the overlay must not have forgotten before: it is asked at
        // the same moment. To search for what is selected takes too long for that; it is seen whether something has moved.
        let (overlay, cached) = loop {
            let overlay = self.overlay.lock();
            if overlay.len() <= FEW {
                return Ok(None);
            }
            if !selects {
                let cached = informer.list(&everything)?;
                break (overlay, cached);
            }
            let before = overlay.position();
            drop(overlay);
            let cached = informer.list(&everything)?;
            let overlay = self.overlay.lock();
            if overlay.position() == before {
                break (overlay, cached);
            }
            looks += 1;
            if looks == LOOKS {
                return Ok(None);
            }
        };
        let Some(seen) = cached.resource_version().and_then(ResourceVersion::number) else {
            return Ok(None);
        };
        // A key without a namespace is of a kind that has none, for which the namespace is ignored.
        let is_of = |own: &str| options.namespace().is_none_or(|wanted| own == wanted);
        let covers = |key: &ObjectKey| key.namespace().is_none_or(is_of);
        let decided = Grounds::decide(earlier, &overlay, cached, seen, covers);
        drop(overlay);
        let grounds = decided.settle(|object| informer.matches(object, options))?;
        let list = grounds.list();
        let list = match options.limit_of() {
            Some(limit) => list.truncated(limit),
            None => list,
        };
        Ok(Some(Kept { moment, list, grounds: Some(grounds) }))
    }

    fn merged(&self, informer: &Informer, options: &ListOptions) -> Result<List> {
        let mut looks = 0;
        loop {
            let seen = |namespace: Option<&str>| observed(informer, namespace);
            let mut changes = self.overlay.lock().changes(options.namespace(), seen);
            if changes.is_empty() {
                return Ok(informer.list(options)?);
            }
            // Each change takes away one object at most.
            let limit = options.limit_of().map_or(0, |limit| limit.saturating_add(changes.len()));
            let list = informer.list(&options.clone().limit(limit))?;
            looks += 1;
            // What the cache had seen by then is in the list, or was seen to go. A list of one scope says how far that
            // is; of several, none may have moved meanwhile.
            match list.resource_version().and_then(ResourceVersion::number) {
                Some(seen) => changes.present.retain(|(_, version)| *version > seen),
                None => {
                    let moved = |(object, version): &(Object, u64)| {
                        *version <= observed(informer, object.key().namespace())
                    };
                    if changes.present.iter().any(moved) && looks < LOOKS {
                        continue;
                    }
                }
            }
            let merged = merge(list, changes, |object: &Object| informer.matches(object, options))?;
            return Ok(match options.limit_of() {
                Some(limit) => merged.truncated(limit),
                None => merged,
            });
        }
    }
}

fn held(informer: &Informer, key: &ObjectKey) -> Option<Held> {
    informer.get(key).ok().flatten().as_ref().map(Held::from)
}

fn observed(informer: &Informer, namespace: Option<&str>) -> u64 {
    // Of several scopes, none has the lowest: what a namespace has seen is asked of that namespace.
    informer.observed(namespace).as_ref().and_then(ResourceVersion::number).unwrap_or(0)
}
