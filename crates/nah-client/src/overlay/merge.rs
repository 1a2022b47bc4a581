//! A list of the cache with what the overlay knows better.

use std::collections::HashMap;

use nah_core::{Object, ObjectKey};

use super::{Changes, version_of};

/// What the cache selected, as the writes of this client left it; sorted by key.
///
/// `matches` says whether a written object belongs in the list. The cache had seen none of the written objects when it
/// selected.
pub(crate) fn merge<'a, E>(
    cached: impl Iterator<Item = &'a Object>,
    changes: &Changes,
    matches: impl Fn(&Object) -> Result<bool, E>,
) -> Result<Vec<Object>, E> {
    let mut written: HashMap<&ObjectKey, (&Object, u64)> =
        changes.present.iter().map(|(object, version)| (object.key(), (object, *version))).collect();
    let mut merged = Vec::new();
    for object in cached {
        let hidden = object.uid().is_some_and(|uid| changes.hidden.contains(uid));
        // A version that is no number cannot be older: the cache wins.
        let version = version_of(object).unwrap_or(u64::MAX);
        match written.remove(object.key()) {
            Some((newer, at)) if at > version || hidden => {
                if matches(newer)? {
                    merged.push(newer.clone());
                }
            }
            _ if hidden => {}
            _ if changes.absent.get(object.key()).is_some_and(|absent| *absent > version) => {}
            _ => merged.push(object.clone()),
        }
    }
    for (object, _) in written.into_values() {
        if matches(object)? {
            merged.push(object.clone());
        }
    }
    merged.sort_by(|a, b| a.key().cmp(b.key()));
    Ok(merged)
}
