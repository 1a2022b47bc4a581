//! The body of an object that the store keeps.

use std::{
    any::{Any, TypeId},
    borrow::Cow,
    sync::Arc,
};

use bytes::Bytes;
use nah_core::{Body, DecodeError, GroupVersionKind, Head, Object};

use super::{
    encoding,
    hot::{Hot, Memo},
};

/// An object as bytes, with its head read and decoded forms that may be forgotten.
pub(crate) struct Entry {
    head: Head,
    json: Box<[u8]>,
    memo: Memo,
}

impl Entry {
    /// Reads the head of `json` and keeps the rest encoded.
    ///
    /// The bytes are copied: what comes from the wire is a slice of a whole page, which one object must not keep.
    pub(crate) fn admit(
        gvk: &Arc<GroupVersionKind>,
        json: &[u8],
        hot: &Arc<Hot>,
    ) -> Result<Object, DecodeError> {
        let head = Head::peek(gvk, json)?;
        let json = encoding::strip(gvk, json)
            .map_err(|error| DecodeError::new(gvk.clone(), head.key.clone(), error.source))?;
        let memo = Memo::new(hot, json.len());
        Ok(Object::new(Self { head, json, memo }))
    }
}

impl Body for Entry {
    fn head(&self) -> &Head {
        &self.head
    }

    fn json(&self) -> Result<Cow<'_, [u8]>, DecodeError> {
        Ok(Cow::Borrowed(&self.json))
    }

    fn recall(&self, as_type: TypeId) -> Option<Arc<dyn Any + Send + Sync>> {
        self.memo.recall(as_type)
    }

    fn remember(&self, decoded: Arc<dyn Any + Send + Sync>) {
        self.memo.remember(decoded);
    }
}

/// An object of `gvk` as the cache would keep it: head read, managedFields dropped, apiVersion and kind set.
///
/// Other crates use it for what a write answered. It remembers what it was decoded as for as long as it lives.
///
/// # Errors
/// A [`DecodeError`] where the text is no JSON object with a `metadata.name`.
pub fn admit(gvk: &Arc<GroupVersionKind>, json: Bytes) -> Result<Object, DecodeError> {
    Entry::admit(gvk, &json, &Hot::unbounded())
}
