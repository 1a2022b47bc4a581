//! What of an object is kept.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use nah_core::{
    BoxError, DecodeError, DynamicObject, GroupVersionKind, Head, ObjectKey, Outline, panics::quietly,
};

use super::encoding;
use crate::{KindCacheOptions, options::Transform};

/// What of each object of a kind is kept: by default everything but `metadata.managedFields`.
#[derive(Debug, Default)]
pub(crate) struct Trim {
    keeps_managed_fields: bool,
    transform: Option<Transform>,
    failures: AtomicU64,
}

impl Trim {
    pub(crate) fn new(options: &KindCacheOptions) -> Self {
        let KindCacheOptions { keeps_managed_fields, transform, .. } = options.clone();
        Self { keeps_managed_fields, transform, failures: AtomicU64::new(0) }
    }

    /// Whether objects lack what only the user knows. `managedFields` are not missed: whoever sends an object without
    /// them changes nothing.
    pub(crate) fn trims(&self) -> bool {
        self.transform.is_some()
    }

    /// How often the transform failed or panicked.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// The head of what is kept of an object, whose JSON goes into `json`.
    pub(crate) fn apply(
        &self,
        gvk: &Arc<GroupVersionKind>,
        outline: &Outline<'_>,
        json: &mut Vec<u8>,
    ) -> Result<Head, DecodeError> {
        let mut head = outline.head(gvk)?;
        encoding::strip(gvk, outline, self.keeps_managed_fields, json)
            .map_err(|error| DecodeError::new(gvk.clone(), head.key.clone(), error))?;
        let Some(transform) = &self.transform else { return Ok(head) };
        match run(transform, gvk, &head, json) {
            Ok((after, trimmed)) => (head, *json) = (after, trimmed),
            Err(error) => {
                self.failures.fetch_add(1, Relaxed);
                tracing::warn!(kind = %gvk.kind, key = %head.key, error, "object is kept untransformed");
            }
        }
        head.trimmed = true;
        Ok(head)
    }
}

/// The outline of an object of kind `gvk`.
pub(super) fn outline<'a>(gvk: &Arc<GroupVersionKind>, json: &'a [u8]) -> Result<Outline<'a>, DecodeError> {
    let read = std::str::from_utf8(json).map_err(BoxError::from);
    read.and_then(|text| Outline::read(text).map_err(BoxError::from)).map_err(|error| {
        // What has no outline has no head, which says more precisely what is wrong.
        Head::peek(gvk, json)
            .err()
            .unwrap_or_else(|| DecodeError::new(gvk.clone(), ObjectKey::cluster("?"), error))
    })
}

fn run(
    transform: &Transform,
    gvk: &Arc<GroupVersionKind>,
    head: &Head,
    json: &[u8],
) -> Result<(Head, Vec<u8>), BoxError> {
    // What a transform leaves broken by a panic is its own: nothing of ours is borrowed mutably here.
    let trimmed = quietly(|| match transform {
        Transform::Bytes(transform) => transform(json),
        Transform::Object(edit) => {
            let mut object: DynamicObject = serde_json::from_slice(json)?;
            edit(&mut object)?;
            Ok(serde_json::to_vec(&object)?)
        }
    });
    let trimmed = trimmed.ok_or("transform panicked")??;
    // Text that is no object, or has lost its kind, is not kept either.
    let outline = outline(gvk, &trimmed)?;
    let (after, mut kept) = (outline.head(gvk)?, Vec::new());
    encoding::strip(gvk, &outline, true, &mut kept)?;
    let same =
        after.key == head.key && after.uid == head.uid && after.resource_version == head.resource_version;
    if same { Ok((after, kept)) } else { Err("transform changed which object it is".into()) }
}
