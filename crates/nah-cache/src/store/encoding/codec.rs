//! How the objects of one kind are encoded: as they are while they are few, then with a dictionary of their own.

use std::{
    mem,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use nah_core::BoxError;
use parking_lot::{Mutex, RwLock};

use super::{
    Encoded,
    dictionary::{Dictionary, Generation},
};

/// How many bytes of a kind are kept as they are before a dictionary pays for itself.
const WORTHWHILE: usize = 4 << 20;
/// How many bytes of objects a dictionary is made from.
const SAMPLES: usize = 1 << 20;
/// What of one object goes into it at most.
const SAMPLE: usize = 64 << 10;

/// How many times more objects than its samples were taken from call for a look at whether a dictionary still is good.
const OUTGROWN: usize = 4;

/// The encoding of one kind.
#[derive(Default)]
pub(crate) struct Codec {
    current: RwLock<Option<Arc<Generation>>>,
    /// What some objects are still read with.
    previous: Mutex<Weak<Dictionary>>,
    is_training: AtomicBool,
    /// Of how many objects the present dictionary was made, or found to be good enough.
    objects: AtomicUsize,
    /// How many times more than at first it takes until a training that failed is tried again.
    patience: AtomicUsize,
    plain: AtomicUsize,
    packed: AtomicUsize,
    packs: AtomicU64,
    unpacks: AtomicU64,
}

/// A training that is due: at most one a kind at a time.
pub(crate) struct Training {
    samples: Vec<u8>,
    sizes: Vec<usize>,
}

impl Codec {
    /// Whether a dictionary is to be made: the first when the kind is large enough, a new one when the objects have
    /// become others and nothing needs the one before the present any more. Who hears yes makes it, and says so with
    /// [`adopt`](Self::adopt).
    pub(crate) fn wants_training(&self) -> bool {
        let due = match &*self.current.read() {
            None => self.plain() >= WORTHWHILE << self.patience.load(Relaxed).min(16),
            Some(generation) => self.previous.lock().strong_count() == 0 && generation.has_drifted(),
        };
        due && !self.is_training.swap(true, Relaxed)
    }

    /// Whether the kind has become so much larger since its dictionary was made that another one may be better, and
    /// nothing needs the one before the present any more. Who hears yes does as after
    /// [`wants_training`](Self::wants_training).
    pub(crate) fn wants_better(&self, objects: usize) -> bool {
        let due = self.is_outgrown(objects) && self.previous.lock().strong_count() == 0;
        due && !self.is_training.swap(true, Relaxed)
    }

    /// Whether it has become so much larger.
    pub(crate) fn is_outgrown(&self, objects: usize) -> bool {
        self.is_trained() && objects / OUTGROWN >= self.objects.load(Relaxed).max(1)
    }

    /// The generation that a training made of so many objects is the present one from now on; none of one that failed,
    /// was left or would be no better.
    pub(crate) fn adopt(&self, trained: Option<Generation>, objects: usize) {
        if trained.is_some() || self.is_trained() {
            self.objects.store(objects, Relaxed);
        }
        if let Some(generation) = trained {
            let before = self.current.write().replace(Arc::new(generation));
            let before = before.map(|before| Arc::downgrade(before.dictionary()));
            *self.previous.lock() = before.unwrap_or_default();
        } else {
            self.patience.fetch_add(1, Relaxed);
        }
        self.is_training.store(false, Relaxed);
    }

    pub(crate) fn is_trained(&self) -> bool {
        self.current.read().is_some()
    }

    /// Whether something is not encoded as it would be now.
    pub(crate) fn is_behind(&self) -> bool {
        self.is_trained() && (self.plain() > 0 || self.previous.lock().strong_count() > 0)
    }

    pub(crate) fn generation(&self) -> Option<Arc<Generation>> {
        self.current.read().clone()
    }

    /// `json` packed; none where that does not make it smaller.
    pub(crate) fn pack(&self, generation: &Generation, json: &[u8]) -> Option<Encoded> {
        self.packs.fetch_add(1, Relaxed);
        generation.pack(json).ok().filter(|packed| packed.len() < json.len())
    }

    pub(crate) fn read(&self, encoded: &Encoded, buffer: &mut Vec<u8>) -> Result<(), BoxError> {
        if matches!(encoded, Encoded::Packed(..)) {
            self.unpacks.fetch_add(1, Relaxed);
        }
        encoded.read_into(buffer)
    }

    /// Counts what is kept.
    pub(crate) fn count(&self, encoded: &Encoded) {
        self.counter(encoded).fetch_add(encoded.len(), Relaxed);
    }

    /// Counts what is kept no more.
    pub(crate) fn discount(&self, encoded: &Encoded) {
        self.counter(encoded).fetch_sub(encoded.len(), Relaxed);
    }

    fn counter(&self, encoded: &Encoded) -> &AtomicUsize {
        match encoded {
            Encoded::Plain(_) => &self.plain,
            Encoded::Packed(..) => &self.packed,
        }
    }

    /// Bytes kept as they are.
    pub(crate) fn plain(&self) -> usize {
        self.plain.load(Relaxed)
    }

    /// Bytes kept in all.
    pub(crate) fn bytes(&self) -> usize {
        self.plain() + self.packed.load(Relaxed)
    }

    /// The dictionaries that are alive, in bytes.
    pub(crate) fn dictionary_bytes(&self) -> usize {
        let present = self.current.read().as_ref().map_or(0, |it| it.bytes() + it.dictionary().bytes());
        present + self.previous.lock().upgrade().map_or(0, |dictionary| dictionary.bytes())
    }

    /// How often an object was compressed, and how often decompressed.
    #[cfg(test)]
    pub(crate) fn operations(&self) -> (u64, u64) {
        (self.packs.load(Relaxed), self.unpacks.load(Relaxed))
    }
}

impl Training {
    pub(crate) fn new() -> Self {
        Self { samples: Vec::new(), sizes: Vec::new() }
    }

    /// How many of so many objects, of so many bytes in all, are to be looked at: one of the answer.
    pub(crate) fn stride(bytes: usize) -> usize {
        bytes.div_ceil(SAMPLES).max(1)
    }

    pub(crate) fn add(&mut self, json: &[u8]) {
        let sample = &json[..json.len().min(SAMPLE)];
        if self.samples.len() + sample.len() <= 2 * SAMPLES {
            self.samples.extend_from_slice(sample);
            self.sizes.push(sample.len());
        }
    }

    /// Makes the dictionary: a tenth of a second of pure work. None where there is nothing to learn from, or what it
    /// makes of the samples is not a tenth smaller than what `rival` does.
    pub(crate) fn run(mut self, rival: Option<&Generation>) -> Option<Generation> {
        let samples = mem::take(&mut self.samples);
        if samples.is_empty() {
            return None;
        }
        Generation::train(&samples, &self.sizes, rival).ok().flatten()
    }
}
