//! Who is told when something it owns changes.

use std::time::Duration;

use nah_cache::Event;
use nah_core::{Kind, Object, ObjectKey};
use nah_trigger::{Trigger, TriggerError};

/// The keys of the controllers of kind `Owner` that `event` concerns: of the object as it is, and as it was.
pub(crate) fn owners<Owner: Kind>(event: &Event) -> Vec<ObjectKey> {
    let objects: [Option<&Object>; 2] = match event {
        Event::Added { object, .. } => [Some(object), None],
        Event::Updated { old, new, .. } => [Some(new), Some(old)],
        Event::Deleted { last, .. } => [Some(last), None],
        _ => [None, None],
    };
    let mut keys: Vec<_> =
        objects.into_iter().flatten().filter_map(|object| object.controller_of::<Owner>()).collect();
    keys.dedup();
    keys
}

/// Triggers `key` of `Target` now. An owner that cannot be triggered is not an error of its child's change: it has
/// no callback yet, or lies outside the cache, or the backend is going down.
pub(crate) fn trigger<Target: Kind>(trigger: &dyn Trigger, key: &ObjectKey) {
    let kind = Target::kind_of();
    let triggered = match trigger.trigger_for_kind(&kind, key, Duration::ZERO) {
        // A child with a namespace may have an owner without one; its reference does not say.
        Err(TriggerError::OutsideScope { .. }) if key.namespace().is_some() => {
            trigger.trigger_for_kind(&kind, &ObjectKey::cluster(key.name()), Duration::ZERO)
        }
        triggered => triggered,
    };
    match triggered {
        Ok(()) | Err(TriggerError::Stopped) => {}
        Err(error) => tracing::debug!(kind = %kind.kind, %key, %error, "not triggered"),
    }
}
