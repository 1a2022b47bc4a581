//! The panic hook of a process that registers callbacks. A binary of its own, because there is one hook a process.
#![allow(clippy::unwrap_used)]

use std::{
    panic::{set_hook, take_hook},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use futures_util::FutureExt;
use k8s_openapi::api::core::v1::Pod;
use nah_core::Kind;
use nah_watch::{Callbacks, Change, Meant, Panicked, typed};

/// Registers a callback that panics, when it is dropped.
struct Registers(Callbacks);

impl Drop for Registers {
    fn drop(&mut self) {
        let panics = |change: Change<Pod>| async move {
            assert!(change.object.is_some(), "on purpose");
            Ok(())
        };
        self.0.add(&format!("c{}", self.0.len()), typed(panics)).unwrap();
    }
}

/// Whether the last callback that panics tells its place.
fn tells_its_place(callbacks: &Callbacks) -> bool {
    let gone = Change::<Pod>::gone(("default", "a")).erase().unwrap();
    let report = callbacks.run(gone, &Meant::All).now_or_never().unwrap();
    let panicked = report.failures.last().unwrap().source.downcast_ref::<Panicked>().unwrap();
    assert_eq!(panicked.message, "on purpose");
    panicked.place.as_ref().is_some_and(|place| place.contains("hook.rs:"))
}

#[test]
fn the_hook_that_was_there_is_called_and_may_be_replaced() // E14
{
    let told = Arc::new(AtomicUsize::new(0));
    let count = told.clone();
    set_hook(Box::new(move |_| _ = count.fetch_add(1, Ordering::SeqCst)));
    let callbacks = Callbacks::new(Pod::kind_of());

    // While a thread unwinds no hook can be set, and to try would end the process.
    let registers = Registers(callbacks.clone());
    let unwound = thread::spawn(move || {
        let _held = &registers;
        assert!(thread::panicking(), "on purpose");
    });
    let unwound = unwound.join();
    assert!(unwound.is_err());
    assert!(!tells_its_place(&callbacks));
    assert_eq!(told.load(Ordering::SeqCst), 2);

    drop(Registers(callbacks.clone()));
    assert!(tells_its_place(&callbacks));
    assert_eq!(told.load(Ordering::SeqCst), 4, "two callbacks panicked");

    // Somebody else's, after ours: a panic is an error all the same.
    let ours = take_hook();
    assert!(!tells_its_place(&callbacks));
    set_hook(ours);
    assert!(tells_its_place(&callbacks));
}
