//! A write as a difference: read, edit, send what changed.

mod merge;

use std::{future::Future, sync::Arc};

use nah_core::{Kind, Object, ObjectKey};
use serde_json::{Value, json};

use crate::{Error, Reader, ReaderExt, Result, Verb, Write, Writer, read::live};
use merge::merge;

/// How often an object that others keep changing is edited before the conflict is returned.
const TRIES: usize = 8;

/// The write we recommend: it cannot lose what the type here does not know.
pub trait ReadWriteExt: Reader + Writer {
    /// Reads, edits and sends only the difference, with the version it was read at; on a conflict reads live
    /// and edits again. Fields that `K` does not know, and fields a transform took away, stay as they are.
    ///
    /// Where the edit changes nothing, nothing is sent. `edit` may run several times, each on a fresh value.
    ///
    /// # Errors
    /// [`Error::is_not_found`] where there is no object, [`Error::is_conflict`] or [`Error::is_invalid`] where others
    /// were faster eight times.
    #[doc(alias = "RetryOnConflict")]
    #[doc(alias = "CreateOrUpdate")]
    fn modify<K: Kind>(
        &self,
        key: impl Into<ObjectKey>,
        edit: impl FnMut(&mut K) + Send,
    ) -> impl Future<Output = Result<Arc<K>>> + Send {
        modify(self, key.into(), edit, None)
    }

    /// As [`modify`](Self::modify), of the status alone; other edits are not sent.
    #[doc(alias = "Status")]
    fn modify_status<K: Kind>(
        &self,
        key: impl Into<ObjectKey>,
        edit: impl FnMut(&mut K) + Send,
    ) -> impl Future<Output = Result<Arc<K>>> + Send {
        modify(self, key.into(), edit, Some("status"))
    }
}

impl<T: Reader + Writer + ?Sized> ReadWriteExt for T {}

async fn modify<K: Kind, T: Reader + Writer + ?Sized>(
    client: &T,
    key: ObjectKey,
    mut edit: impl FnMut(&mut K) + Send,
    subresource: Option<&str>,
) -> Result<Arc<K>> {
    let gvk = K::kind_of();
    let mut object = client.get_for_kind(&gvk, &key).await?;
    if object.is_trimmed() {
        // The steps of a patch count in what the server has, not in what the cache keeps of it.
        object = live(client, &gvk, &key, K::metadata_api()).await?;
    }
    let mut tries = 1;
    loop {
        let Some(patch) = difference::<K>(&object, &mut edit, subresource)? else {
            return Ok(object.decode()?);
        };
        let mut write = Write::at(Verb::JsonPatch, &gvk, object.key()).body(patch).answered_as::<K>();
        write.subresource = subresource.map(Into::into);
        let error = match client.write(write).await {
            Ok(written) => return written.decode(),
            // A test that fails is an invalid patch; so is a patch that is simply invalid.
            Err(error) if tries < TRIES && (error.is_conflict() || error.is_invalid()) => error,
            Err(error) => return Err(error),
        };
        let newer = live(client, &gvk, &key, K::metadata_api()).await?;
        if !error.is_conflict() && newer.resource_version() == object.resource_version() {
            return Err(error);
        }
        object = newer;
        tries += 1;
    }
}

/// The JSON patch that does to `object` what `edit` does to its decoded form; none where that is nothing.
fn difference<K: Kind>(
    object: &Object,
    edit: &mut impl FnMut(&mut K),
    subresource: Option<&str>,
) -> Result<Option<Vec<u8>>> {
    let mut value = K::clone(&*object.decode::<K>()?);
    let before = serde_json::to_value(&value).map_err(Error::unsent)?;
    edit(&mut value);
    let after = serde_json::to_value(&value).map_err(Error::unsent)?;
    let whole: Value = object.project()?;
    let mut target = whole.clone();
    match subresource {
        Some(part) => {
            let (before, after) = (part_of(&before, part), part_of(&after, part));
            merge(&mut target, &json!({ part: before }), &json!({ part: after }));
        }
        None => merge(&mut target, &before, &after),
    }
    let steps = json_patch::diff(&whole, &target).0;
    if steps.is_empty() {
        return Ok(None);
    }
    let mut patch = Vec::with_capacity(steps.len() + 1);
    if let Some(version) = object.resource_version() {
        patch.push(json!({ "op": "test", "path": "/metadata/resourceVersion", "value": version.as_str() }));
    }
    patch.extend(steps.iter().map(|step| json!(step)));
    Ok(Some(serde_json::to_vec(&patch).map_err(Error::unsent)?))
}

fn part_of(value: &Value, part: &str) -> Value {
    value.get(part).cloned().unwrap_or_else(|| json!({}))
}
