//! What a reader gets for an object.

use std::{any::Any, fmt::Debug, sync::Arc};

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

    /// The same, where it takes no decode.
    fn recall(_: &Object) -> Option<Self::Handle> {
        None
    }

    /// A decoded form that was remembered, where it is one of this view; its type is the view's own.
    fn of_form(_: Arc<dyn Any + Send + Sync>) -> Option<Self::Handle> {
        None
    }
}

impl View for Object {
    type Handle = Object;

    fn view(object: &Object) -> Result<Object, DecodeError> {
        Ok(object.clone())
    }

    fn recall(object: &Object) -> Option<Object> {
        Some(object.clone())
    }
}

impl<T: Payload> View for T {
    type Handle = Arc<T>;

    fn view(object: &Object) -> Result<Arc<T>, DecodeError> {
        object.decode()
    }

    fn recall(object: &Object) -> Option<Arc<T>> {
        object.recall()
    }

    fn of_form(form: Arc<dyn Any + Send + Sync>) -> Option<Arc<T>> {
        form.downcast().ok()
    }
}
