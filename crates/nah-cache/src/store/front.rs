//! The decoded objects that readers find at once, under no lock.

use std::{
    any::Any,
    fmt,
    hash::{Hash, Hasher},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use foldhash::fast::RandomState;
use nah_core::ObjectKey;
use papaya::{Equivalent, HashMap};

use super::hot::Forms;
use crate::found::Form;

/// How long a key is kept in place: most Pods' keys are no longer.
const SHORT: usize = 62;

/// The decoded forms that have been read again, of all kinds of a factory, by their keys.
///
/// It holds what the stores hold now, and no more: a store takes an object out while it changes it, and nobody puts one
/// in meanwhile. It keeps no form alive: what an entry forgets is gone, even where its place is still here.
pub(crate) struct Front {
    places: HashMap<Place, Ready, RandomState>,
    epochs: AtomicU64,
}

/// Where the forms of an object are: its key, and the time of its kind in which they are to be found.
///
/// A kind of which much changes at once has a new epoch, and nothing is found of the one before.
#[derive(PartialEq, Eq)]
struct Place {
    epoch: u64,
    key: Text,
}

/// The text of a key, in place where it is short: a reader that has found the place has it at hand.
#[derive(PartialEq, Eq)]
enum Text {
    Short(u8, [u8; SHORT]),
    Long(ObjectKey),
}

/// A place that is looked for.
struct Sought<'a>(u64, &'a ObjectKey);

/// The forms of one object. Most are read as one type.
struct Ready {
    first: Weak<dyn Any + Send + Sync>,
    others: Box<[Weak<dyn Any + Send + Sync>]>,
    /// That of the forms: somebody has had use of them.
    read: Arc<AtomicBool>,
}

// === impl Front ===

impl Front {
    /// An epoch that has not been before.
    pub(crate) fn epoch(&self) -> u64 {
        self.epochs.fetch_add(1, Relaxed) + 1
    }

    /// What `view` makes of a decoded form of the object of `key`.
    pub(crate) fn get<T>(&self, epoch: u64, key: &ObjectKey, view: impl Fn(Form) -> Option<T>) -> Option<T> {
        let guard = self.places.guard();
        let ready = self.places.get(&Sought(epoch, key), &guard)?;
        let view = |weak: &Weak<_>| view(weak.upgrade()?);
        let found = view(&ready.first).or_else(|| ready.others.iter().find_map(view))?;
        if !ready.read.load(Relaxed) {
            ready.read.store(true, Relaxed);
        }
        Some(found)
    }

    pub(crate) fn put(&self, epoch: u64, key: &ObjectKey, forms: &Forms) {
        let mut all = forms.iter().map(Arc::downgrade);
        let Some(first) = all.next() else { return };
        let ready = Ready { first, others: all.collect(), read: forms.read_flag().clone() };
        self.places.pin().insert(Place { epoch, key: key.into() }, ready);
    }

    /// Takes an object out, whatever its forms are.
    pub(crate) fn take(&self, epoch: u64, key: &ObjectKey) {
        self.places.pin().remove(&Sought(epoch, key));
    }

    /// Takes these forms out.
    pub(crate) fn forget(&self, epoch: u64, key: &ObjectKey, forms: &Forms) {
        let same = |_: &Place, ready: &Ready| Arc::ptr_eq(&ready.read, forms.read_flag());
        _ = self.places.pin().remove_if(&Sought(epoch, key), same);
    }

    /// Takes out what is left of an epoch that is over.
    pub(crate) fn end(&self, epoch: u64) {
        if !self.places.is_empty() {
            self.places.pin().retain(|place, _| place.epoch != epoch);
        }
    }

    /// How many objects readers find without a lock.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }
}

impl Default for Front {
    fn default() -> Self {
        Self { places: HashMap::with_hasher(RandomState::default()), epochs: AtomicU64::new(0) }
    }
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front").field("objects", &self.places.len()).finish_non_exhaustive()
    }
}

// === impl Place ===

impl Hash for Place {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(self.epoch, self.key.bytes(), state);
    }
}

impl Hash for Sought<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(self.0, self.1.as_str().as_bytes(), state);
    }
}

impl Equivalent<Place> for Sought<'_> {
    fn equivalent(&self, place: &Place) -> bool {
        self.0 == place.epoch && self.1.as_str().as_bytes() == place.key.bytes()
    }
}

fn hash(epoch: u64, key: &[u8], state: &mut impl Hasher) {
    state.write_u64(epoch);
    state.write(key);
}

// === impl Text ===

impl Text {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Short(len, bytes) => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Self::Long(key) => key.as_str().as_bytes(),
        }
    }
}

impl From<&ObjectKey> for Text {
    fn from(key: &ObjectKey) -> Self {
        let (text, mut bytes) = (key.as_str().as_bytes(), [0; SHORT]);
        match (u8::try_from(text.len()), bytes.get_mut(..text.len())) {
            (Ok(len), Some(place)) => {
                place.copy_from_slice(text);
                Self::Short(len, bytes)
            }
            _ => Self::Long(key.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
