//! What a get finds: an object, or what it was decoded as before.

use std::{any::Any, fmt, sync::Arc};

use nah_core::{DecodeError, Object, View};

/// A decoded form of an object, of whatever type.
pub(crate) type Form = Arc<dyn Any + Send + Sync>;

/// What a get finds of an object that is to be read as some type.
///
/// For code that does not know the type: a `dyn Reader` passes it on to those who do.
#[derive(Clone)]
pub enum Found {
    /// It was decoded as that type before.
    Form(Arc<dyn Any + Send + Sync>),
    /// Who asked has to decode it.
    Object(Object),
}

impl Found {
    /// It as `V`; none of a form that is of another type.
    pub fn view<V: View>(self) -> Option<Result<V::Handle, DecodeError>> {
        match self {
            Self::Form(form) => V::of_form(form).map(Ok),
            Self::Object(object) => Some(V::view(&object)),
        }
    }
}

impl fmt::Debug for Found {
    /// Not what a form holds: it may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(_) => f.write_str("a decoded form"),
            Self::Object(object) => object.fmt(f),
        }
    }
}
