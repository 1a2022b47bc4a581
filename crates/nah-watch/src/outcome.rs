//! What a callback leaves behind.

use std::{sync::Arc, time::Duration};

use nah_core::{BadObject, Object, Payload};

/// What a callback leaves behind.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// Input of the next callback, if it has a uid and is the object that the change is about.
    pub object: Option<Object>,
    /// Look at the key again then, as `trigger` with that delay would.
    pub requeue_after: Option<Duration>,
}

/// Look at the key again after this long: `Ok(Requeue(five_minutes))`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requeue(pub Duration);

/// What a callback may return: nothing, an object, when to look again, or an [`Outcome`] that says all of it.
pub trait IntoOutcome {
    /// Says what is left behind.
    ///
    /// # Errors
    /// [`BadObject`] for an object without a name or a kind.
    fn into_outcome(self) -> Result<Outcome, BadObject>;
}

impl Outcome {
    /// The same outcome with an object for the next callback.
    #[must_use]
    pub fn with_object(self, object: Object) -> Self {
        Self { object: Some(object), ..self }
    }

    /// The same outcome with another look after `delay`.
    #[must_use]
    pub fn with_requeue(self, delay: Duration) -> Self {
        Self { requeue_after: Some(delay), ..self }
    }
}

impl IntoOutcome for Outcome {
    fn into_outcome(self) -> Result<Outcome, BadObject> {
        Ok(self)
    }
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Result<Outcome, BadObject> {
        Ok(Outcome::default())
    }
}

impl IntoOutcome for Requeue {
    fn into_outcome(self) -> Result<Outcome, BadObject> {
        Ok(Outcome::default().with_requeue(self.0))
    }
}

impl IntoOutcome for Object {
    fn into_outcome(self) -> Result<Outcome, BadObject> {
        Ok(Outcome::default().with_object(self))
    }
}

impl<T: Payload> IntoOutcome for Arc<T> {
    fn into_outcome(self) -> Result<Outcome, BadObject> {
        Object::from_typed(self)?.into_outcome()
    }
}

impl<T: IntoOutcome> IntoOutcome for Option<T> {
    fn into_outcome(self) -> Result<Outcome, BadObject> {
        self.map_or_else(|| Ok(Outcome::default()), T::into_outcome)
    }
}
