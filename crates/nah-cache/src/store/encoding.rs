//! How an object's bytes are kept: as they are, or compressed with a dictionary of their kind.

mod codec;
mod contexts;
mod dictionary;
mod strip;

use std::sync::Arc;

use nah_core::BoxError;

pub(crate) use codec::{Codec, Training};
pub(crate) use contexts::Buffer;
pub(crate) use dictionary::{Dictionary, Generation};
pub(crate) use strip::strip;

/// An object's JSON as it is kept.
pub(crate) enum Encoded {
    Plain(Box<[u8]>),
    /// A zstd frame, and the dictionary to read it with.
    Packed(Box<[u8]>, Arc<Dictionary>),
}

impl Encoded {
    /// How many bytes it takes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Plain(bytes) | Self::Packed(bytes, _) => bytes.len(),
        }
    }

    /// The JSON, instead of what is in `buffer`.
    pub(crate) fn read_into(&self, buffer: &mut Vec<u8>) -> Result<(), BoxError> {
        buffer.clear();
        match self {
            Self::Plain(bytes) => buffer.extend_from_slice(bytes),
            Self::Packed(bytes, dictionary) => dictionary.unpack(bytes, buffer)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
