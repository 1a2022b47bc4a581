//! The body of an object that the store keeps.

use std::{
    any::{Any, TypeId},
    borrow::Cow,
    mem,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use nah_core::{Body, BoxError, DecodeError, GroupVersionKind, Head, Object, ObjectKey, Outline};
use parking_lot::RwLock;

use super::{
    encoding::{Buffer, Encoded, Generation},
    hot::Forms,
    known::Values,
    shelf::Shelf,
    trim::{Trim, outline},
};

/// An object as bytes, with its head read and decoded forms that may be forgotten.
///
/// What it says never changes; how it is encoded does, while it is read.
pub(crate) struct Entry {
    head: Head,
    shelf: Arc<Shelf>,
    me: Weak<Self>,
    state: RwLock<State>,
    /// Of the JSON.
    size: u32,
    /// It was decoded before.
    seen: AtomicBool,
    /// Its decoded forms have been shown to readers that take no lock.
    shown: AtomicBool,
}

struct State {
    encoded: Encoded,
    forms: Option<Arc<Forms>>,
    /// Under which the store has filed it. They are remembered, for an extractor may say something else the next time.
    values: Option<Values>,
}

impl Entry {
    /// Keeps what there is to be kept of an object: encoded by `generation`, or uncompressed for now.
    ///
    /// The bytes are copied: what comes from the wire is a slice of a whole page, which one object must not keep.
    pub(crate) fn admit(
        gvk: &Arc<GroupVersionKind>,
        outline: &Outline<'_>,
        trim: &Trim,
        shelf: &Arc<Shelf>,
        generation: Option<&Generation>,
    ) -> Result<Arc<Self>, DecodeError> {
        let mut json = Buffer::borrow();
        let mut head = trim.apply(gvk, outline, &mut json)?;
        if let Some(common) = &shelf.common {
            common.words.share(&mut head);
        }
        let size = u32::try_from(json.len()).unwrap_or(u32::MAX);
        let packed = generation.and_then(|generation| shelf.codec.pack(generation, &json));
        let encoded = packed.unwrap_or_else(|| Encoded::Plain(json.as_slice().into()));
        shelf.codec.count(&encoded);
        let state = RwLock::new(State { encoded, forms: None, values: None });
        let (shelf, seen, shown) = (shelf.clone(), AtomicBool::new(false), AtomicBool::new(false));
        shelf.count_entry(Self::bytes(&head));
        Ok(Arc::new_cyclic(|me| Self { head, shelf, me: me.clone(), state, size, seen, shown }))
    }

    /// What an entry takes beside its encoded bytes: itself behind two counts, and the texts of its head.
    fn bytes(head: &Head) -> usize {
        size_of::<Self>() + 2 * size_of::<usize>() + head.heap_bytes()
    }

    pub(crate) fn key(&self) -> &ObjectKey {
        &self.head.key
    }

    /// The entry that an object of a store is.
    pub(crate) fn of(object: &Object) -> Option<&Self> {
        object.body()
    }

    /// A handle of it.
    pub(crate) fn object(&self) -> Option<Object> {
        self.shared().map(Object::from_body)
    }

    /// Itself, shared; none while it is dropped.
    pub(crate) fn shared(&self) -> Option<Arc<Self>> {
        self.me.upgrade()
    }

    /// Remembers the values that the store has filed it under, and gives back those that it had.
    pub(crate) fn file(&self, values: Option<Values>) -> Option<Values> {
        mem::replace(&mut self.state.write().values, values)
    }

    /// The values that the store has filed it under.
    pub(crate) fn values(&self) -> Option<Values> {
        self.state.read().values.clone()
    }

    /// The size of its JSON.
    pub(crate) fn size(&self) -> usize {
        self.size as usize
    }

    /// Encodes it as its kind does now; false where it is so already, or cannot be.
    pub(crate) fn pack(&self) -> bool {
        let codec = &self.shelf.codec;
        let Some(generation) = codec.generation() else { return false };
        let mut json = Buffer::borrow();
        let was_plain = {
            let state = self.state.read();
            if generation.wrote(&state.encoded) || codec.read(&state.encoded, &mut json).is_err() {
                return false;
            }
            matches!(state.encoded, Encoded::Plain(_))
        };
        // Under no lock: a reader must not wait for it.
        let encoded = match codec.pack(&generation, &json) {
            Some(packed) => packed,
            None if was_plain => return false,
            None => Encoded::Plain(json.as_slice().into()),
        };
        codec.count(&encoded);
        let old = mem::replace(&mut self.state.write().encoded, encoded);
        codec.discount(&old);
        true
    }

    /// Hands the JSON to `read`.
    pub(crate) fn with_json<R>(&self, read: impl FnOnce(&mut Vec<u8>) -> R) -> Result<R, DecodeError> {
        let mut json = Buffer::borrow();
        let filled = self.shelf.codec.read(&self.state.read().encoded, &mut json);
        filled.map_err(|error| self.error(error))?;
        Ok(read(&mut json))
    }

    /// Shows its decoded forms to readers that take no lock. The caller holds the store's, and the object is in there.
    pub(crate) fn show(&self) {
        let (Some(common), epoch) = (&self.shelf.common, self.shelf.epoch()) else { return };
        // Under this lock: what is forgotten afterwards is also taken out again.
        let state = self.state.read();
        if let Some(forms) = state.forms.as_ref().filter(|forms| forms.is_shown_first_in(epoch)) {
            common.front.put(epoch, &self.head.key, forms);
            self.shown.store(true, Relaxed);
        }
    }

    /// Takes what [`show`](Self::show) has shown away from readers. The caller keeps others from reading the store.
    pub(crate) fn hide(&self) {
        if let Some(common) = self.shelf.common.as_ref().filter(|_| self.shown.load(Relaxed)) {
            common.front.take(self.shelf.epoch(), &self.head.key);
        }
    }

    /// Whether its decoded forms are these.
    pub(crate) fn has_forms(&self, forms: &Arc<Forms>) -> bool {
        self.state.read().forms.as_ref().is_some_and(|own| Arc::ptr_eq(own, forms))
    }

    /// Forgets its decoded forms, if they are these.
    pub(crate) fn forget(&self, forms: &Arc<Forms>) {
        let taken = self.state.write().forms.take_if(|own| Arc::ptr_eq(own, forms));
        self.shelf.count_hot(None, taken.as_deref());
        if let Some(common) = self.shelf.common.as_ref().filter(|_| self.shown.load(Relaxed)) {
            common.front.forget(self.shelf.epoch(), &self.head.key, forms);
        }
    }

    fn error(&self, source: BoxError) -> DecodeError {
        DecodeError::new(self.head.gvk.clone(), self.head.key.clone(), source)
    }
}

impl Body for Entry {
    fn head(&self) -> &Head {
        &self.head
    }

    fn json(&self) -> Result<Cow<'_, [u8]>, DecodeError> {
        self.with_json(|json| Cow::Owned(json.as_slice().to_vec()))
    }

    fn lend(&self, read: &mut dyn FnMut(&[u8])) -> Result<(), DecodeError> {
        self.with_json(|json| read(json))
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }

    fn recall(&self, as_type: TypeId) -> Option<Arc<dyn Any + Send + Sync>> {
        self.state.read().forms.as_ref()?.recall(as_type)
    }

    fn remember(&self, decoded: Arc<dyn Any + Send + Sync>) {
        if self.shelf.never_hot {
            return;
        }
        let before = self.state.read().forms.clone();
        let Some(forms) = Forms::with(before.as_deref(), decoded, self.size()) else { return };
        let forms = Arc::new(forms);
        // Before anybody can take away what is not counted yet.
        self.shelf.count_hot(Some(&forms), None);
        let old = self.state.write().forms.replace(forms.clone());
        self.shelf.count_hot(None, old.as_deref());
        if let Some(common) = &self.shelf.common {
            common.hot.admit(&self.me, &forms, self.seen.swap(true, Relaxed));
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        self.shelf.codec.discount(&state.encoded);
        self.shelf.discount_entry(Self::bytes(&self.head));
        if let Some(forms) = state.forms.take() {
            self.shelf.count_hot(None, Some(&forms));
            if let Some(common) = &self.shelf.common {
                common.hot.remove(&self.me);
            }
        }
    }
}

/// An object of `gvk` as the cache would keep it: head read, managedFields dropped, apiVersion and kind set.
///
/// Other crates use it for what a write answered. It remembers what it was decoded as for as long as it lives.
///
/// # Errors
/// A [`DecodeError`] where the text is no JSON object with a `metadata.name`.
pub fn admit(gvk: &Arc<GroupVersionKind>, json: Bytes) -> Result<Object, DecodeError> {
    let loose = Shelf::loose();
    Entry::admit(gvk, &outline(gvk, &json)?, &loose.trim, loose, None).map(Object::from_body)
}
