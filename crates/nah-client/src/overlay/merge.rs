//! A list of the cache with what the overlay knows better.

use nah_cache::List;
use nah_core::Object;

use super::{Changes, version_of};

/// What the cache selected, as the writes of this client left it. Costs as much as there are changes.
///
/// `matches` says whether a written object belongs in the list. The cache had seen none of the written objects when it
/// selected.
pub(crate) fn merge<E>(
    cached: List,
    changes: Changes,
    matches: impl Fn(&Object) -> Result<bool, E>,
) -> Result<List, E> {
    // A version that is no number cannot be older: the cache wins.
    let version = |held: &Object| version_of(held).unwrap_or(u64::MAX);
    let Changes { present, absent, hidden, unsure } = changes;
    let mut gone: Vec<_> = hidden
        .into_iter()
        .filter(|(key, uid)| cached.find(key).is_some_and(|held| held.uid() == Some(uid)))
        .map(|(key, _)| key)
        .collect();
    gone.sort_unstable();
    let mut written = Vec::new();
    let mut replaced = Vec::new();
    for (object, at) in present {
        let held = cached.find(object.key());
        if held.is_some_and(|held| version(held) >= at && gone.binary_search(object.key()).is_err()) {
            continue;
        }
        match matches(&object)? {
            true => written.push(object),
            false => replaced.push(object.key().clone()),
        }
    }
    let ends =
        absent.into_iter().filter(|(key, at)| cached.find(key).is_some_and(|held| *at > version(held)));
    gone.extend(ends.map(|(key, _)| key).chain(replaced));
    let merged =
        if gone.is_empty() && written.is_empty() { cached } else { cached.with_changes(&gone, written) };
    Ok(merged.with_unsure(unsure))
}
