//! Which class a key belongs to, and how many keys a turn of that class is.

use std::{
    fmt,
    hash::{BuildHasher, Hash, RandomState},
    sync::Arc,
};

use nah_core::{ObjectKey, panics::quietly};

/// Classes of keys that take turns, so that one class with many keys does not make those of another wait.
///
/// A class is any hashable value that is made of the key alone, such as its namespace. A turn is one key, or as many as
/// the weight of the class. Within a class keys are first in, first out; each lane has a round of its own. A class
/// exists while the queue knows one of its keys.
///
/// ```
/// use nah_trigger::{Classes, QueueOptions};
///
/// // Pages to fetch: four of our own site in a row, then one of each other that waits.
/// let by_host = Classes::by(|page: &(String, u64)| page.0.clone())
///     .with_weights(|(host, _)| if host == "our.site" { 4 } else { 1 });
/// let options = QueueOptions::default().with_classes(by_host);
/// # drop(options);
/// ```
pub struct Classes<K> {
    of: Arc<HashClass<K>>,
    weight: Option<Arc<Weight<K>>>,
    /// Keyed, so that nobody can name a class that shares the turns of another.
    hasher: RandomState,
}

type HashClass<K> = dyn Fn(&K, &RandomState) -> u64 + Send + Sync;
type Weight<K> = dyn Fn(&K) -> u32 + Send + Sync;

/// The class of one key. Two classes that share a hash would share their turns and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class {
    pub(crate) hash: u64,
    /// Keys in one turn, one at the least.
    pub(crate) weight: u32,
}

impl<K> Classes<K> {
    /// Classes by a value made of the key. Called once a request, before the queue is locked. The keys over which it
    /// panics are a class of their own.
    pub fn by<G: Hash>(class: impl Fn(&K) -> G + Send + Sync + 'static) -> Self {
        Self {
            of: Arc::new(move |key, hasher| hasher.hash_one(class(key))),
            weight: None,
            hasher: RandomState::new(),
        }
    }

    /// The same classes, of which some have more keys in a turn. The weight, too, is one of the class: it must be the same
    /// for all its keys, or the last one asked for counts. Zero is one.
    #[must_use]
    pub fn with_weights(self, weight: impl Fn(&K) -> u32 + Send + Sync + 'static) -> Self {
        Self { weight: Some(Arc::new(weight)), ..self }
    }

    pub(crate) fn of(&self, key: &K) -> Class {
        // Whoever asks for a key (a stream of events, say) must not end because of one key that has no class.
        let weight = self.weight.as_ref().and_then(|weight| quietly(|| weight(key)));
        Class {
            hash: quietly(|| (self.of)(key, &self.hasher)).unwrap_or_default(),
            weight: weight.map_or(1, |weight| weight.max(1)),
        }
    }
}

impl Classes<ObjectKey> {
    /// A class for each namespace, and one for what is in none.
    pub fn by_namespace() -> Self {
        Self {
            of: Arc::new(|key, hasher| hasher.hash_one(key.namespace())),
            weight: None,
            hasher: RandomState::new(),
        }
    }
}

impl<K> Clone for Classes<K> {
    fn clone(&self) -> Self {
        Self { of: self.of.clone(), weight: self.weight.clone(), hasher: self.hasher.clone() }
    }
}

impl<K> fmt::Debug for Classes<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Classes").finish_non_exhaustive()
    }
}
