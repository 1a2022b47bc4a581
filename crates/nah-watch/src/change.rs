//! What a callback is called with.

use std::{fmt, sync::Arc, time::Duration};

use nah_core::{
    BadKey, BadObject, Causes, DecodeError, GroupVersionKind, Kind, Object, ObjectKey, Payload, View,
};

use crate::{Asked, Links};

/// One key to look at: the object as it is now, or none, and why.
///
/// Level-based: changes of a key that came before its turn are one, and the object is what is there now, not what any
/// of them saw. A test builds one by hand with [`of`](Self::of) or [`gone`](Self::gone); the fields are public.
#[non_exhaustive]
pub struct Change<V: View = Object> {
    /// The kind.
    pub gvk: Arc<GroupVersionKind>,
    /// The key.
    pub key: ObjectKey,
    /// The object; none if there is none.
    pub object: Option<V::Handle>,
    /// The last state known of what is gone: where there is no object, or where one with another uid now stands in its
    /// place. Kept until a run succeeds, or fails for good ([`Terminal`](crate::Terminal)). A handle: decode it if you
    /// need it.
    pub last_known: Option<Object>,
    /// Why: merged from all that asked.
    pub causes: Causes,
    /// How long ago each cause was first asked for. What failed runs were for counts from the first of them.
    pub asked: Asked,
    /// The spans of those who asked, which the span of a call follows from.
    pub links: Links,
    /// Failures of this key in a row before this run.
    pub failures: u32,
    /// False where no object may also mean that it left the cache's selector: look live before you destroy anything.
    pub certain: bool,
    /// How long the key waited for its turn after it was due.
    pub waited: Duration,
}

impl Change {
    /// A change of kind `gvk` at `key`, as an event would make it.
    pub fn new(gvk: Arc<GroupVersionKind>, key: ObjectKey, object: Option<Object>) -> Self {
        Self {
            gvk,
            key,
            object,
            last_known: None,
            causes: Causes::EVENT,
            asked: Causes::EVENT.into(),
            links: Links::default(),
            failures: 0,
            certain: true,
            waited: Duration::ZERO,
        }
    }

    /// The same change with its object read as `V`.
    ///
    /// # Errors
    /// A [`DecodeError`] where the object is of another kind or does not parse.
    pub fn decode<V: View>(self) -> Result<Change<V>, DecodeError> {
        let object = self.object.as_ref().map(V::view).transpose()?;
        let Self { gvk, key, last_known, causes, asked, links, failures, certain, waited, .. } = self;
        Ok(Change { gvk, key, object, last_known, causes, asked, links, failures, certain, waited })
    }
}

impl<K: Kind> Change<K> {
    /// A change to `object`, as an event would make it.
    ///
    /// # Errors
    /// [`BadKey::NoName`] where the object has no name.
    pub fn of(object: impl Into<Arc<K>>) -> Result<Self, BadKey> {
        let object = object.into();
        let key = object.key()?;
        Ok(Self { object: Some(object), ..Self::gone(key) })
    }

    /// A change that finds nothing at `key`.
    pub fn gone(key: impl Into<ObjectKey>) -> Self {
        Self {
            gvk: K::kind_of(),
            key: key.into(),
            object: None,
            last_known: None,
            causes: Causes::EVENT,
            asked: Causes::EVENT.into(),
            links: Links::default(),
            failures: 0,
            certain: true,
            waited: Duration::ZERO,
        }
    }
}

impl<T: Payload> Change<T> {
    /// The same change of an object of any kind, as [`Callbacks::run`](crate::Callbacks::run) takes it.
    ///
    /// # Errors
    /// [`BadObject`] where the object has no name or does not say its kind.
    pub fn erase(self) -> Result<Change, BadObject> {
        let object = self.object.map(Object::from_typed).transpose()?;
        let Self { gvk, key, last_known, causes, asked, links, failures, certain, waited, .. } = self;
        Ok(Change { gvk, key, object, last_known, causes, asked, links, failures, certain, waited })
    }
}

impl<V: View> Change<V> {
    /// The same change for other causes, asked for right now.
    #[must_use]
    pub fn caused_by(self, causes: Causes) -> Self {
        Self { causes, asked: causes.into(), ..self }
    }
}

impl<V: View> Clone for Change<V> {
    fn clone(&self) -> Self {
        Self {
            gvk: self.gvk.clone(),
            key: self.key.clone(),
            object: self.object.clone(),
            last_known: self.last_known.clone(),
            causes: self.causes,
            asked: self.asked,
            links: self.links.clone(),
            failures: self.failures,
            certain: self.certain,
            waited: self.waited,
        }
    }
}

impl<V: View> fmt::Debug for Change<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Kind, key and causes only: the object may be a secret.
        write!(f, "{} {} {:?}", self.gvk.kind, self.key, self.causes)
    }
}
