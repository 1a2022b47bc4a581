//! A dictionary of one kind: what its objects have in common.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use nah_core::BoxError;
use zstd_safe::{CDict, DDict};

use super::{Encoded, contexts};

/// The size of a dictionary. Four times as much saves a hundredth of a Pod, and costs four times as much a kind.
const SIZE: usize = 16 << 10;
/// zstd's level: the next ones save a tenth of the bytes and cost twice the time.
const LEVEL: i32 = 1;
/// One of so many samples is kept from the training, to measure what the dictionary is worth.
const HELD_OUT: usize = 8;
/// How many bytes of objects are looked at before a dictionary is said to have drifted.
const WINDOW: usize = 4 << 20;

/// What is needed to read frames. Holds fragments of objects, so it is never shared between kinds, and never shown.
pub(crate) struct Dictionary {
    decoder: DDict<'static>,
}

/// What is needed to write frames: held by the kind alone, and gone with the next generation.
pub(crate) struct Generation {
    dictionary: Arc<Dictionary>,
    encoder: CDict<'static>,
    /// Bytes in and bytes out, where the dictionary was new.
    expected: (usize, usize),
    taken: AtomicUsize,
    given: AtomicUsize,
}

impl Dictionary {
    /// The size in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.decoder.sizeof()
    }

    pub(super) fn unpack(&self, frame: &[u8], buffer: &mut Vec<u8>) -> Result<(), BoxError> {
        contexts::unpack(frame, &self.decoder, buffer)
    }
}

impl Generation {
    /// A generation that knows what `samples`, one after the other and of these sizes, have in common. Takes long.
    ///
    /// Where zstd finds nothing (few large objects), the dictionary is empty. None where it saves less than a tenth of
    /// what `rival` makes of samples that neither was taught.
    pub(super) fn train(
        samples: &[u8],
        sizes: &[usize],
        rival: Option<&Self>,
    ) -> Result<Option<Self>, BoxError> {
        let (mut taught, mut taught_sizes, mut held_out) = (Vec::new(), Vec::new(), Vec::new());
        let mut rest = samples;
        for (at, size) in sizes.iter().enumerate() {
            let (sample, behind) = rest.split_at_checked(*size).ok_or("samples are shorter than they say")?;
            rest = behind;
            if at % HELD_OUT == HELD_OUT - 1 {
                held_out.push(sample);
            } else {
                taught.extend_from_slice(sample);
                taught_sizes.push(*size);
            }
        }
        let mut content = Vec::with_capacity(SIZE);
        if zstd_safe::train_from_buffer(&mut content, &taught, &taught_sizes).is_err() {
            content.clear();
        }
        let encoder = CDict::try_create(&content, LEVEL).ok_or("zstd has no memory for a dictionary")?;
        let decoder = DDict::try_create(&content).ok_or("zstd has no memory for a dictionary")?;
        let (mut expected, mut rivals) = ((0, 0), 0);
        for sample in held_out {
            expected.0 += sample.len();
            expected.1 += contexts::pack(sample, &encoder)?.len();
            if let Some(rival) = rival {
                rivals += contexts::pack(sample, &rival.encoder)?.len();
            }
        }
        if rival.is_some() && 10 * expected.1 > 9 * rivals {
            return Ok(None);
        }
        let dictionary = Arc::new(Dictionary { decoder });
        let (taken, given) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Ok(Some(Self { dictionary, encoder, expected, taken, given }))
    }

    /// Whether `encoded` was written by this generation.
    pub(crate) fn wrote(&self, encoded: &Encoded) -> bool {
        matches!(encoded, Encoded::Packed(_, dictionary) if Arc::ptr_eq(dictionary, &self.dictionary))
    }

    pub(super) fn pack(&self, json: &[u8]) -> Result<Encoded, BoxError> {
        let frame = contexts::pack(json, &self.encoder)?;
        self.taken.fetch_add(json.len(), Relaxed);
        self.given.fetch_add(frame.len(), Relaxed);
        Ok(Encoded::Packed(frame, self.dictionary.clone()))
    }

    pub(super) fn dictionary(&self) -> &Arc<Dictionary> {
        &self.dictionary
    }

    /// The size in memory of what it writes with.
    pub(super) fn bytes(&self) -> usize {
        self.encoder.sizeof()
    }

    /// Whether the objects of late come out half as large again as those of the first days: they have become others.
    pub(super) fn has_drifted(&self) -> bool {
        if self.taken.load(Relaxed) < WINDOW {
            return false;
        }
        let (taken, given) = (self.taken.swap(0, Relaxed), self.given.swap(0, Relaxed));
        let (expected_in, expected_out) = self.expected;
        2 * given as u128 * expected_in as u128 > 3 * taken as u128 * expected_out as u128
    }
}
