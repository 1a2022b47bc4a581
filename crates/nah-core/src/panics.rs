//! Panics of code that is not ours, kept from what calls it.

use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// What `run` gives, or none where it panics: the panic hook has told of that.
///
/// What `run` borrows may be half changed then, and must be nothing but the user's own.
pub fn quietly<R>(run: impl FnOnce() -> R) -> Option<R> {
    caught(run, |_| ()).ok()
}

/// What `run` gives, or what `told` makes of the value that it panics with.
///
/// That value is dropped here, which may panic as well: what it then panics with is let be.
///
/// # Errors
/// What `told` made, where `run` panics.
pub fn caught<R, E>(run: impl FnOnce() -> R, told: impl FnOnce(&(dyn Any + Send)) -> E) -> Result<R, E> {
    let payload = match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => return Ok(result),
        Err(payload) => payload,
    };
    let told = told(&*payload);
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(another);
    }
    Err(told)
}

/// The text that a panic was given, if it was one.
pub fn message(payload: &(dyn Any + Send)) -> Option<&str> {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;

    use super::*;

    struct PanicsAgain;

    impl Drop for PanicsAgain {
        fn drop(&mut self) {
            panic_any(PanicsAgain);
        }
    }

    #[test]
    fn of_a_panic_its_text_is_left() {
        let text = |run: fn()| caught(run, |payload| message(payload).map(str::to_owned));
        assert_eq!(text(|| ()), Ok(()));
        assert_eq!(text(|| panic!("as {}", "made")), Err(Some("as made".into())));
        assert_eq!(text(|| panic!("as written")), Err(Some("as written".into())));
        assert_eq!(text(|| panic_any(7)), Err(None));
        assert_eq!(quietly(|| 7), Some(7));
    }

    #[test]
    fn what_is_panicked_with_may_panic_when_it_is_dropped() {
        assert_eq!(quietly(|| panic_any(PanicsAgain)), None::<()>);
    }
}
