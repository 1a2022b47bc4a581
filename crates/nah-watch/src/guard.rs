//! Runs a callback so that its panic is an error, and so that it can be told whether one is inside it.

use std::{
    any::Any,
    cell::RefCell,
    future::Future,
    panic::{self, PanicHookInfo},
    pin::Pin,
    sync::Once,
    task::{Context, Poll},
    thread,
};

use futures_core::future::BoxFuture;
use nah_core::panics::{caught, message};

use crate::{CallbackId, Panicked};

thread_local! {
    /// The callbacks that this thread is polling: one inside the other where a callback drives a run itself.
    static INSIDE: RefCell<Vec<CallbackId>> = const { RefCell::new(Vec::new()) };
    /// Where the last panic of this thread was.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Whether the code that asks is polled by a run of callback `id`.
pub(crate) fn is_inside(id: CallbackId) -> bool {
    INSIDE.with_borrow(|inside| inside.contains(&id))
}

/// Whatever a panic left half done is the callback's own: what it shares with others it has to guard itself, as with a
/// panic on any other thread.
fn inside<R>(id: CallbackId, f: impl FnOnce() -> R) -> Result<R, Panicked> {
    let _inside = Inside::enter(id);
    caught(f, |payload| Panicked::new(payload, PLACE.take()))
}

/// Runs what is the user's and may panic, outside a call of a callback: what it gives, or none.
pub(crate) fn quietly<R>(what: &str, run: impl FnOnce() -> R) -> Option<R> {
    let run = caught(run, |payload| Panicked::new(payload, None));
    run.inspect_err(|panicked| {
        tracing::warn!(error = %panicked, "what a callback left behind panicked when it was {what}");
    })
    .ok()
}

/// A call of a callback. A panic ends it as an error; one of a future that is dropped before its end is logged.
pub(crate) struct Run<'a, T> {
    id: CallbackId,
    future: Option<BoxFuture<'a, T>>,
}

impl<'a, T> Run<'a, T> {
    /// Calls callback `id`, which may panic before there is a future.
    pub(crate) fn begin(id: CallbackId, call: impl FnOnce() -> BoxFuture<'a, T>) -> Result<Self, Panicked> {
        Ok(Self { id, future: Some(inside(id, call)?) })
    }
}

impl<T> Future for Run<'_, T> {
    type Output = Result<T, Panicked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let id = self.id;
        let Some(future) = &mut self.future else { return Poll::Pending };
        match inside(id, || future.as_mut().poll(cx)) {
            Ok(poll) => poll.map(Ok),
            Err(panicked) => Poll::Ready(Err(panicked)),
        }
    }
}

impl<T> Drop for Run<'_, T> {
    fn drop(&mut self) {
        let future = self.future.take();
        if let Err(panicked) = inside(self.id, || drop(future)) {
            tracing::warn!(error = %panicked, "a callback panicked while it was dropped");
        }
    }
}

/// Lets panics inside a callback tell their place. The hook that was set before is called as ever.
///
/// Only the hook is shown the place of a panic, and there is one hook a process. So ours is put in front of it once, and
/// keeps the last place of each thread. Where somebody replaces it later, panics have no place, no more.
pub(crate) fn learn_places() {
    static ONCE: Once = Once::new();
    if thread::panicking() {
        return;
    }
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            note_place(info);
            previous(info);
        }));
    });
}

fn note_place(info: &PanicHookInfo<'_>) {
    // A panic may come while the thread ends and its locals are gone.
    let _ = PLACE.try_with(|last| last.replace(info.location().map(ToString::to_string)));
}

struct Inside;

impl Inside {
    fn enter(id: CallbackId) -> Self {
        INSIDE.with_borrow_mut(|inside| inside.push(id));
        // A panic that was caught before this poll says nothing about one that is resumed in it.
        PLACE.take();
        Self
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.with_borrow_mut(Vec::pop);
    }
}

impl Panicked {
    fn new(payload: &(dyn Any + Send), place: Option<String>) -> Self {
        Self { message: message(payload).unwrap_or("a value that is no text").to_owned(), place }
    }
}
