//! Callbacks that come and go.

use std::{sync::Weak, time::Duration};

use nah_watch::WatchError;
use proptest::prelude::*;
use tokio::sync::{Notify, oneshot};

use super::*;

#[test]
fn a_name_is_taken_once_a_kind() {
    // E24, Q18
    let callbacks = pods();
    let first = failing(&callbacks, "a", "");
    let again = || callbacks.add("a", typed(|_: Change<Pod>| async { Ok(()) }));
    let error = again().unwrap_err();
    assert_eq!(error.to_string(), r#"a callback named "a" is already registered for Pod"#);
    assert!(matches!(error, WatchError::DuplicateName { .. }));
    first.unregister();
    again().unwrap();
    assert_eq!(callbacks.names(), ["a".into()]);
}

#[tokio::test]
async fn dropping_a_registration_changes_nothing() {
    let (callbacks, log) = (pods(), Log::default());
    drop(noting(&callbacks, &log, "a"));
    run(&callbacks, change("x")).await;
    assert_eq!(log.take(), ["a"]);
}

#[tokio::test]
async fn an_unregistered_callback_is_not_called_and_others_are() {
    // E21
    let (callbacks, log) = (pods(), Log::default());
    let registrations: Vec<_> = ["a", "b", "c"].map(|name| noting(&callbacks, &log, name)).into();
    for registration in registrations {
        if registration.name() == "b" {
            registration.unregister();
        }
    }
    run(&callbacks, change("x")).await;
    assert_eq!(log.take(), ["a", "c"]);
}

#[tokio::test]
async fn a_guard_unregisters_when_it_is_dropped() {
    let (callbacks, log) = (pods(), Log::default());
    let guard = noting(&callbacks, &log, "a").drop_guard();
    assert_eq!(callbacks.len(), 1);
    drop(guard);
    assert!(callbacks.is_empty());
    let kept = noting(&callbacks, &log, "b").drop_guard().into_inner();
    drop(kept);
    assert_eq!(callbacks.len(), 1);
}

#[tokio::test]
async fn a_callback_that_unregisters_itself_neither_skips_nor_doubles_another() {
    // E22, Q17
    let (callbacks, log) = (pods(), Log::default());
    let own: Arc<Mutex<Option<Registration>>> = Arc::default();
    noting(&callbacks, &log, "a");
    let (inner, inner_log) = (own.clone(), log.clone());
    *own.lock() = Some(on(&callbacks, "leaves", move |_| {
        inner_log.note("leaves");
        if let Some(registration) = inner.lock().take() {
            registration.unregister();
        }
        async { Ok(()) }
    }));
    noting(&callbacks, &log, "b");
    noting(&callbacks, &log, "c");
    run(&callbacks, change("x")).await;
    run(&callbacks, change("x")).await;
    assert_eq!(log.take(), ["a", "leaves", "b", "c", "a", "b", "c"]);
}

#[tokio::test]
async fn a_callback_registered_during_a_run_waits_for_the_next() {
    // E22
    let (callbacks, log) = (pods(), Log::default());
    let (inner, inner_log) = (callbacks.clone(), log.clone());
    on(&callbacks, "a", move |_| {
        if inner.len() == 1 {
            noting(&inner, &inner_log, "b");
        }
        async { Ok(()) }
    });
    run(&callbacks, change("x")).await;
    assert_eq!(log.take(), Vec::<String>::new());
    run(&callbacks, change("x")).await;
    assert_eq!(log.take(), ["b"]);
}

#[tokio::test]
async fn no_call_begins_after_unregister_also_in_a_run_in_progress() {
    // E21
    let (callbacks, log) = (pods(), Log::default());
    let later: Arc<Mutex<Option<Registration>>> = Arc::default();
    let inner = later.clone();
    on(&callbacks, "a", move |_| {
        leave(&inner);
        async { Ok(()) }
    });
    *later.lock() = Some(noting(&callbacks, &log, "b"));
    noting(&callbacks, &log, "c");
    run(&callbacks, change("x")).await;
    assert_eq!(log.take(), ["c"]);
}

/// Unregisters, if that was not done before.
fn leave(registration: &Mutex<Option<Registration>>) {
    let registration = registration.lock().take();
    if let Some(registration) = registration {
        registration.unregister();
    }
}

/// Registers a callback that says when it begins, and ends when told to.
fn stuck(callbacks: &Callbacks) -> (Registration, Arc<Notify>, Arc<Notify>) {
    let (begun, end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (inner_begun, inner_end) = (begun.clone(), end.clone());
    let registration = on(callbacks, "stuck", move |_| {
        let (begun, end) = (inner_begun.clone(), inner_end.clone());
        async move {
            begun.notify_one();
            end.notified().await;
            Ok(())
        }
    });
    (registration, begun, end)
}

#[tokio::test(start_paused = true)]
async fn unregister_and_wait_waits_for_the_run_in_progress() {
    // E21
    let callbacks = pods();
    let (registration, begun, end) = stuck(&callbacks);
    let inner = callbacks.clone();
    let running = tokio::spawn(async move { run(&inner, change("x")).await });
    begun.notified().await;
    let wait = tokio::spawn(registration.unregister_and_wait());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!wait.is_finished() && callbacks.is_empty());
    end.notify_one();
    wait.await.unwrap();
    assert!(running.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn unregister_and_wait_waits_for_the_runs_of_all_keys() {
    let callbacks = pods();
    let (registration, begun, end) = stuck(&callbacks);
    for name in ["x", "y"] {
        let callbacks = callbacks.clone();
        tokio::spawn(async move { run(&callbacks, change(name)).await });
        begun.notified().await;
    }
    let wait = tokio::spawn(registration.unregister_and_wait());
    for ended in [false, true] {
        end.notify_one();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(wait.is_finished(), ended);
    }
}

#[tokio::test(start_paused = true)]
async fn unregister_and_wait_from_inside_does_not_wait_for_itself() {
    // G17
    let callbacks = pods();
    let own: Arc<Mutex<Option<Registration>>> = Arc::default();
    let inner = own.clone();
    *own.lock() = Some(on(&callbacks, "leaves", move |_| {
        let registration = inner.lock().take();
        async move {
            tokio::task::yield_now().await;
            if let Some(registration) = registration {
                registration.unregister_and_wait().await;
            }
            Ok(())
        }
    }));
    let run = tokio::time::timeout(Duration::from_secs(1), run(&callbacks, change("x")));
    assert!(run.await.unwrap().is_ok());
    assert!(callbacks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn unregister_and_wait_of_what_does_not_run_is_immediate() {
    let callbacks = pods();
    let (registration, ..) = stuck(&callbacks);
    registration.unregister_and_wait().await;
    let (registration, ..) = stuck(&callbacks);
    callbacks.close();
    registration.unregister_and_wait().await;
}

#[tokio::test(start_paused = true)]
async fn unregister_and_wait_is_done_when_the_run_is_cut_off() {
    let callbacks = pods();
    let (registration, begun, _) = stuck(&callbacks);
    let inner = callbacks.clone();
    let running = tokio::spawn(async move { run(&inner, change("x")).await });
    begun.notified().await;
    let wait = tokio::spawn(registration.unregister_and_wait());
    tokio::task::yield_now().await;
    running.abort();
    wait.await.unwrap();
    assert!(callbacks.running().is_empty());
}

#[tokio::test]
async fn tells_what_is_running() {
    // G9
    let callbacks = pods();
    let (_registration, begun, end) = stuck(&callbacks);
    let inner = callbacks.clone();
    let running = tokio::spawn(async move { run(&inner, change("x")).await });
    begun.notified().await;
    assert_eq!(callbacks.running(), [("stuck".into(), ("default", "x").into())]);
    let inner = callbacks.clone();
    let other = tokio::spawn(async move { run(&inner, change("y")).await });
    begun.notified().await;
    let mut names: Vec<_> = callbacks.running().into_iter().map(|(_, key)| key.name().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["x", "y"]);
    other.abort();
    other.await.unwrap_err();
    end.notify_one();
    running.await.unwrap();
    assert!(callbacks.running().is_empty());
}

#[tokio::test]
async fn close_drops_every_callback_and_refuses_new_ones() {
    // E24, G9
    let callbacks = pods();
    let (held, log) = (Arc::new(()), Log::default());
    let (inside, weak): (Arc<()>, Weak<()>) = (held.clone(), Arc::downgrade(&held));
    drop(held);
    let registration = on(&callbacks, "a", move |_| {
        let _inside = &inside;
        async { Ok(()) }
    });
    callbacks.close();
    assert!(weak.upgrade().is_none(), "a registration keeps nothing alive");
    let error = callbacks.add("b", typed(|_: Change<Pod>| async { Ok(()) })).unwrap_err();
    assert_eq!((error.clone(), error.to_string().as_str()), (WatchError::Stopped, "backend has stopped"));
    run(&callbacks, change("x")).await;
    assert_eq!(log.take(), Vec::<String>::new());
    registration.unregister();
}

#[tokio::test]
async fn a_call_in_progress_at_the_close_is_the_last_of_its_run() {
    let (callbacks, log) = (pods(), Log::default());
    let (_registration, begun, end) = stuck(&callbacks);
    noting(&callbacks, &log, "next");
    let inner = callbacks.clone();
    let running = tokio::spawn(async move { run(&inner, change("x")).await });
    begun.notified().await;
    callbacks.close();
    end.notify_one();
    assert!(running.await.unwrap().is_ok());
    assert_eq!(log.take(), Vec::<String>::new());
}

#[tokio::test]
async fn a_callback_that_holds_its_own_list_is_freed_by_unregister() {
    let callbacks = pods();
    let inner = callbacks.clone();
    let (ended, end) = oneshot::channel::<()>();
    let ended = Mutex::new(Some(ended));
    let registration = on(&callbacks, "a", move |_| {
        let _inside = (&inner, &ended);
        async { Ok(()) }
    });
    registration.unregister();
    assert!(end.await.is_err(), "the sender inside the callback is dropped");
}

#[test]
fn registrations_can_be_sent_and_shared() {
    fn check<T: Send + Sync>() {}
    check::<Registration>();
    check::<Callbacks>();
    check::<Report>();
    fn sent<T: Send>(_: T) {}
    sent(run(&pods(), change("x")));
    sent(failing(&pods(), "a", "").unregister_and_wait());
}

#[derive(Clone, Debug)]
enum Step {
    Add,
    Remove(usize),
    /// A run during which, at its nth call, another step of these is taken.
    Run(Option<(usize, bool, usize)>),
}

fn step() -> impl Strategy<Value = Step> {
    let inside = prop::option::of((0usize..4, any::<bool>(), any::<usize>()));
    prop_oneof![Just(Step::Add), any::<usize>().prop_map(Step::Remove), inside.prop_map(Step::Run),]
}

proptest! {
    #[test]
    fn a_run_calls_who_was_there_and_has_not_left(steps in prop::collection::vec(step(), 1..40)) {
        // E7, E21, E22, Q17
        let (callbacks, log) = (pods(), Log::default());
        // What to do inside the run, by the callback that is called at its turn.
        type Deed = Box<dyn FnOnce() + Send>;
        let deed: Arc<Mutex<Option<(usize, Deed)>>> = Arc::default();
        let calls = Arc::new(Mutex::new(0usize));
        let mut there: Vec<(String, Arc<Mutex<Option<Registration>>>)> = Vec::new();
        let mut count = 0;
        let mut add = |there: &mut Vec<(String, Arc<Mutex<Option<Registration>>>)>| {
            count += 1;
            let name = format!("c{count}");
            let (log, deed, calls, own) = (log.clone(), deed.clone(), calls.clone(), name.clone());
            let registration = on(&callbacks, &name, move |_| {
                log.note(own.clone());
                let at = { let mut calls = calls.lock(); *calls += 1; *calls - 1 };
                let due = { let mut deed = deed.lock(); deed.take_if(|(turn, _)| *turn == at) };
                if let Some((_, deed)) = due {
                    deed();
                }
                async { Ok(()) }
            });
            there.push((name, Arc::new(Mutex::new(Some(registration)))));
        };
        for step in steps {
            match step {
                Step::Add => add(&mut there),
                Step::Remove(at) if !there.is_empty() => {
                    let (_, registration) = there.remove(at % there.len());
                    leave(&registration);
                }
                Step::Run(inside) => {
                    let mut expected: Vec<String> = there.iter().map(|(name, _)| name.clone()).collect();
                    *calls.lock() = 0;
                    if let Some((turn, adds, at)) = inside.filter(|(turn, ..)| *turn < expected.len()) {
                        if adds {
                            let inner = callbacks.clone();
                            let name = format!("during{}", there.len());
                            *deed.lock() = Some((turn, Box::new(move || {
                                let added = on(&inner, &name, |_| async { Ok(()) });
                                added.unregister();
                            })));
                        } else {
                            let at = at % there.len();
                            let (_, registration) = there.remove(at);
                            *deed.lock() = Some((turn, Box::new(move || {
                                leave(&registration);
                            })));
                            if at > turn {
                                expected.remove(at);
                            }
                        }
                    }
                    futures_util::FutureExt::now_or_never(run(&callbacks, change("x"))).unwrap();
                    prop_assert_eq!(log.take(), expected);
                }
                Step::Remove(_) => {}
            }
            prop_assert_eq!(callbacks.len(), there.len());
        }
    }
}
