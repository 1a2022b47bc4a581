//! Changes of the store, as subscribers are told of them.

use std::fmt;

use nah_core::{DecodeError, Object, ObjectKey, View};

/// A change of the store. What is new is decoded; what was before is a handle.
///
/// Events of one key come in the order of the store's changes. A subscriber that lags is told what changed between
/// what it saw last and now, not each step on the way: two updates become one, an object that came and went unseen
/// is never mentioned, and an end is told once for each uid that was shown.
#[derive(Clone)]
#[non_exhaustive]
#[doc(alias = "ResourceEventHandlerFuncs")]
#[doc(alias = "ResourceEventHandlerDetailedFuncs")]
pub enum Event<V: View = Object> {
    /// An object this subscriber has not seen, or one whose namespace has come back to the cache.
    #[non_exhaustive]
    #[doc(alias = "OnAdd")]
    Added {
        /// The object.
        object: V::Handle,
        /// It was there when the kind was first listed, or when the subscription began.
        initial: bool,
    },
    /// An object with the same uid changed.
    #[non_exhaustive]
    #[doc(alias = "OnUpdate")]
    Updated {
        /// What this subscriber saw last.
        old: Object,
        /// What the store holds now.
        new: V::Handle,
    },
    /// An object is gone. One of another uid may stand in its place: then its `Added` follows.
    #[non_exhaustive]
    #[doc(alias = "OnDelete")]
    #[doc(alias = "DeletedFinalStateUnknown")]
    Deleted {
        /// The key.
        key: ObjectKey,
        /// The final state, or with `tombstone` only the last one seen.
        last: Object,
        /// The end itself was not seen: a list came without the object, or with another one in its place.
        tombstone: bool,
    },
}

impl Event {
    /// The key that changed.
    #[doc(alias = "DeletionHandlingMetaNamespaceKeyFunc")]
    pub fn key(&self) -> &ObjectKey {
        self.object().key()
    }

    /// The object: as it is now, or the last one known of what is gone.
    pub fn object(&self) -> &Object {
        match self {
            Self::Added { object, .. } | Self::Updated { new: object, .. } => object,
            Self::Deleted { last, .. } => last,
        }
    }

    /// The same event with what is new read as `V`.
    ///
    /// # Errors
    /// A [`DecodeError`] where the object does not read as `V`; the change has happened all the same.
    pub fn typed<V: View>(self) -> Result<Event<V>, DecodeError> {
        Ok(match self {
            Self::Added { object, initial } => Event::Added { object: V::view(&object)?, initial },
            Self::Updated { old, new } => Event::Updated { old, new: V::view(&new)? },
            Self::Deleted { key, last, tombstone } => Event::Deleted { key, last, tombstone },
        })
    }
}

impl<V: View> fmt::Debug for Event<V> {
    /// Kinds, keys and flags only: objects hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added { object, initial } => f
                .debug_struct("Added")
                .field("object", &Identity::<V>(object))
                .field("initial", initial)
                .finish_non_exhaustive(),
            Self::Updated { new, .. } => {
                f.debug_struct("Updated").field("new", &Identity::<V>(new)).finish_non_exhaustive()
            }
            Self::Deleted { last, tombstone, .. } => f
                .debug_struct("Deleted")
                .field("last", last)
                .field("tombstone", tombstone)
                .finish_non_exhaustive(),
        }
    }
}

/// Which object it is.
struct Identity<'a, V: View>(&'a V::Handle);

impl<V: View> fmt::Debug for Identity<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        V::identify(self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Secret;
    use kube_core::PartialObjectMeta;
    use nah_core::Kind;

    use super::*;

    fn shown<V: View>(events: &[Event]) -> Vec<String> {
        events.iter().map(|event| format!("{:?}", event.clone().typed::<V>().expect("a Secret"))).collect()
    }

    #[test]
    fn shows_kind_and_key_and_nothing_of_the_body() {
        let secret = |value: &str| {
            let json =
                format!(r#"{{"metadata":{{"namespace":"n","name":"s"}},"stringData":{{"k":"{value}"}}}}"#);
            Object::from_json(&Secret::kind_of(), json.into_bytes()).expect("a Secret")
        };
        let events = [
            Event::Added { object: secret("hush"), initial: true },
            Event::Updated { old: secret("hush"), new: secret("hush hush") },
            Event::Deleted { key: secret("").key().clone(), last: secret("hush"), tombstone: false },
        ];
        let expected = [
            "Added { object: Secret n/s, initial: true, .. }",
            "Updated { new: Secret n/s, .. }",
            "Deleted { last: Secret n/s, tombstone: false, .. }",
        ];
        assert_eq!(shown::<Object>(&events), expected);
        assert_eq!(shown::<Secret>(&events), expected);
        assert_eq!(shown::<PartialObjectMeta<Secret>>(&events), expected);
    }
}
