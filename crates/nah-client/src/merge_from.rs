//! A merge patch that makes one state of an object of another (pure).

use kube_core::params::Patch;
use nah_core::{BadObject, Payload};
use serde_json::{Map, Value, json};

use crate::{Error, Result};

/// The merge patch that makes `after` of `before`: what differs, and null for what is gone. Lists are replaced whole.
/// It applies to whatever version the server has; fields that `O` does not know stay as they are.
///
/// [`modify`](crate::ReadWriteExt::modify) reads, edits, locks and tries again; this is for those who have both states.
///
/// # Errors
/// Where one of them cannot be serialized.
#[doc(alias = "MergeFrom")]
#[doc(alias = "MergeFromWithOptions")]
pub fn merge_from<O: Payload>(before: &O, after: &O) -> Result<Patch<Value>> {
    let value = |object| serde_json::to_value(object).map_err(Error::unsent);
    let patch = difference(&value(before)?, &value(after)?).unwrap_or_else(|| json!({}));
    Ok(Patch::Merge(patch))
}

/// As [`merge_from`], with the version of `before`: a conflict where the server has another one.
///
/// # Errors
/// As that, and a bad request where `before` has no version.
#[doc(alias = "MergeFromWithOptimisticLock")]
pub fn merge_from_locked<O: Payload>(before: &O, after: &O) -> Result<Patch<Value>> {
    let Some(version) = &before.meta().resource_version else {
        let gvk = before.gvk().map_err(BadObject::from)?;
        let key = before.meta().name.clone().unwrap_or_default();
        return Err(Error::bad_request(&gvk, key, "an object without a version locks nothing"));
    };
    let mut patch = match merge_from(before, after)? {
        Patch::Merge(Value::Object(patch)) => patch,
        _ => Map::new(),
    };
    let metadata = patch.entry("metadata").or_insert_with(|| json!({}));
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.insert("resourceVersion".into(), json!(version));
    }
    Ok(Patch::Merge(Value::Object(patch)))
}

/// What RFC 7396 makes `after` of `before` with; none where they are equal.
fn difference(before: &Value, after: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        return (before != after).then(|| after.clone());
    };
    let gone = old.keys().filter(|name| !new.contains_key(*name)).map(|name| (name.clone(), Value::Null));
    let changed = new.iter().filter_map(|(name, after)| {
        let change = match old.get(name) {
            Some(before) => difference(before, after)?,
            None => after.clone(),
        };
        Some((name.clone(), change))
    });
    let patch: Map<_, _> = gone.chain(changed).collect();
    (!patch.is_empty()).then_some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_map, prelude::*};

    use super::*;

    /// JSON without nulls, which a merge patch cannot set.
    fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            (0..4).prop_map(Value::from),
            "[ab]{0,2}".prop_map(Value::from),
        ];
        let tree = leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                btree_map("[a-d]", inner, 0..4).prop_map(|map| json!(map)),
            ]
        });
        btree_map("[a-d]", tree, 0..4).prop_map(|map| json!(map))
    }

    proptest! {
        #[test]
        fn what_differs_makes_the_one_of_the_other(before in document(), after in document()) {
            let mut made = before.clone();
            match difference(&before, &after) {
                Some(patch) => json_patch::merge(&mut made, &patch),
                None => prop_assert_eq!(&before, &after),
            }
            prop_assert_eq!(made, after);
        }
    }
}
