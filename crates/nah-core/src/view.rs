//! What a reader gets for an object.

use std::{
    any::Any,
    fmt::{self, Debug},
    sync::Arc,
};

use crate::{DecodeError, Object, Payload};

/// What a reader gets for an object: the handle itself, or an `Arc` of the decoded type.
///
/// `Informer<K>`, `Change<K>`, `Event<K>` and `List<K>` take the *kind*; what they hold is `K::Handle`.
pub trait View: Sized + Send + Sync + 'static {
    /// `Object` for `Object`, `Arc<K>` for every kind.
    type Handle: Clone + Debug + Send + Sync + 'static;

    /// Reads `object` as this view.
    ///
    /// # Errors
    /// A [`DecodeError`] where the object is of another kind or does not parse.
    fn view(object: &Object) -> Result<Self::Handle, DecodeError>;

    /// A decoded form that was remembered, where it is one of this view; its type is the view's own.
    fn of_form(_: Arc<dyn Any + Send + Sync>) -> Option<Self::Handle> {
        None
    }

    /// Writes which object it is, its kind and key, and nothing of what it holds.
    ///
    /// # Errors
    /// Those of the formatter.
    fn identify(handle: &Self::Handle, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

impl View for Object {
    type Handle = Object;

    fn view(object: &Object) -> Result<Object, DecodeError> {
        Ok(object.clone())
    }

    fn identify(object: &Object, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Debug::fmt(object, f)
    }
}

impl<T: Payload> View for T {
    type Handle = Arc<T>;

    fn view(object: &Object) -> Result<Arc<T>, DecodeError> {
        object.decode()
    }

    fn of_form(form: Arc<dyn Any + Send + Sync>) -> Option<Arc<T>> {
        form.downcast().ok()
    }

    fn identify(object: &Arc<T>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (gvk, key) = (object.gvk(), object.key());
        let kind = gvk.as_ref().map_or("an object", |gvk| gvk.kind.as_str());
        match key {
            Ok(key) => write!(f, "{kind} {key}"),
            Err(_) => write!(f, "{kind} without a name"),
        }
    }
}
