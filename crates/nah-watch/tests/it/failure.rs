//! What callbacks fail with.

use std::{error::Error, io};

use nah_core::{DecodeError, Object};
use nah_watch::{Ignore, Panicked, Terminal};

use super::*;

/// An error of a user's own, with a source.
#[derive(Debug, thiserror::Error)]
#[error("cannot reconcile")]
struct Mine(#[source] BoxError);

fn fails_with<E: Into<BoxError>>(
    callbacks: &Callbacks,
    name: &str,
    error: impl Fn() -> E + Send + Sync + 'static,
) -> Registration {
    on(callbacks, name, move |_| {
        let error: BoxError = error().into();
        async move { Err::<(), _>(error) }
    })
}

#[tokio::test]
async fn a_failure_names_handler_and_kind_and_failures_are_joined() {
    // E11
    let callbacks = pods();
    failing(&callbacks, "a", "disk full");
    failing(&callbacks, "b", "no route");
    let report = run(&callbacks, change("x")).await;
    assert_eq!(report.to_string(), "handler a Pod: disk full, handler b Pod: no route");
    assert!(report.wants_retry());
}

#[tokio::test]
async fn a_failure_keeps_the_error_as_it_was() {
    // E11, Q37
    let callbacks = pods();
    fails_with(&callbacks, "a", || Mine(io::Error::from(io::ErrorKind::TimedOut).into()));
    let report = run(&callbacks, change("x")).await;
    let failure = &report.failures[0];
    let mine = failure.source().unwrap().downcast_ref::<Mine>().unwrap();
    let io = mine.source().unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(io.kind(), io::ErrorKind::TimedOut);
    assert_eq!((&*failure.name, failure.terminal, failure.panicked), ("a", false, false));
}

#[tokio::test]
async fn ignore_is_a_success_however_deep_it_lies() {
    // E12
    let callbacks = pods();
    fails_with(&callbacks, "plain", || Ignore);
    fails_with(&callbacks, "wrapped", || Mine(Mine(Ignore.into()).into()));
    fails_with(&callbacks, "bare anyhow", || anyhow::Error::new(Ignore));
    fails_with(&callbacks, "anyhow", || anyhow::Error::new(Ignore).context("while looking"));
    let report = run(&callbacks, change("x")).await;
    assert!(report.is_ok(), "{report}");
}

#[tokio::test]
async fn ignore_leaves_the_failures_of_others() {
    // E12
    let callbacks = pods();
    fails_with(&callbacks, "a", || Ignore);
    failing(&callbacks, "b", "no");
    let report = run(&callbacks, change("x")).await;
    assert_eq!(report.to_string(), "handler b Pod: no");
}

#[tokio::test]
async fn terminal_is_reported_and_not_worth_a_retry() {
    let callbacks = pods();
    fails_with(&callbacks, "a", || Terminal("spec is nonsense".into()));
    fails_with(&callbacks, "b", || Mine(Terminal("so is this".into()).into()));
    fails_with(&callbacks, "c", || anyhow::Error::new(Terminal("and this".into())).context("while looking"));
    let report = run(&callbacks, change("x")).await;
    let text =
        "handler a Pod: spec is nonsense, handler b Pod: cannot reconcile, handler c Pod: while looking";
    assert_eq!(report.to_string(), text);
    assert!(report.failures.iter().all(|failure| failure.terminal));
    assert!(!report.wants_retry());
    failing(&callbacks, "d", "try again");
    assert!(run(&callbacks, change("x")).await.wants_retry());
}

#[tokio::test]
async fn a_panic_is_an_error_of_that_callback_alone() {
    // E14, Q29
    let (callbacks, log) = (pods(), Log::default());
    on(&callbacks, "a", |change| async move {
        tokio::task::yield_now().await;
        if change.object.is_some() {
            panic!("at {}", change.key);
        }
        Ok(())
    });
    noting(&callbacks, &log, "b");
    let report = run(&callbacks, change("x")).await;
    assert_eq!(log.take(), ["b"]);
    let failure = &report.failures[0];
    assert!(failure.panicked && !failure.terminal && report.wants_retry());
    let panicked = failure.source.downcast_ref::<Panicked>().unwrap();
    assert_eq!(panicked.message, "at default/x");
    assert!(run(&callbacks, gone("x")).await.is_ok(), "it is called again");
}

#[tokio::test]
async fn a_panic_tells_its_place() {
    // E14
    let callbacks = pods();
    let line = line!() + 2;
    on(&callbacks, "a", |_| async {
        assert_eq!(1 + 1, 3, "sums");
        Ok(())
    });
    let report = run(&callbacks, change("x")).await;
    let panicked = report.failures[0].source.downcast_ref::<Panicked>().unwrap();
    let place = panicked.place.as_deref().unwrap();
    assert!(place.contains(&format!("failure.rs:{line}:")), "{place}");
    assert!(report.to_string().starts_with("handler a Pod: panicked at "), "{report}");
}

#[tokio::test]
async fn a_panic_before_the_first_await_is_caught_too() {
    // E14
    let callbacks = pods();
    on(&callbacks, "a", |change| {
        assert!(change.object.is_none(), "on purpose");
        async { Ok(()) }
    });
    assert!(run(&callbacks, change("x")).await.failures[0].panicked);
}

#[tokio::test]
async fn a_panic_with_a_value_that_is_no_text_has_a_message() {
    // E14
    let callbacks = pods();
    on(&callbacks, "a", |_| async { std::panic::resume_unwind(Box::new(7)) as CallbackResult });
    let report = run(&callbacks, change("x")).await;
    assert_eq!(report.to_string(), "handler a Pod: panicked: a value that is no text");
}

/// Panics when it is dropped or looked at.
#[derive(Debug, thiserror::Error)]
#[error("bad")]
struct Bad(#[source] Ignore);

impl Drop for Bad {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "a drop, on purpose");
    }
}

#[derive(Debug)]
struct Shy;

impl std::fmt::Display for Shy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("shy")
    }
}

impl Error for Shy {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        explode("a source, on purpose");
        None
    }
}

#[tokio::test]
async fn what_is_left_of_a_callback_may_panic_and_the_others_run() {
    // E7, E14
    let (callbacks, log) = (pods(), Log::default());
    fails_with(&callbacks, "ignored", || Bad(Ignore));
    fails_with(&callbacks, "shy", || Shy);
    on(&callbacks, "thrown", |_| async { std::panic::panic_any(Bad(Ignore)) as CallbackResult });
    let bad = Bad(Ignore);
    let leaves: Arc<Mutex<Option<Registration>>> = Arc::default();
    let own = leaves.clone();
    *leaves.lock() = Some(on(&callbacks, "leaves", move |_| {
        let _held = &bad;
        let own = own.lock().take();
        async move {
            if let Some(own) = own {
                own.unregister();
            }
            Ok(())
        }
    }));
    noting(&callbacks, &log, "last");
    let report = run(&callbacks, change("x")).await;
    assert_eq!(log.take(), ["last"]);
    let failed: Vec<_> = report.failures.iter().map(|failure| (&*failure.name, failure.panicked)).collect();
    assert_eq!(failed, [("shy", false), ("thrown", true)]);
    assert!(report.failures.iter().all(|failure| !failure.terminal), "what cannot be told is retried");
    callbacks.close();
}

#[tokio::test]
async fn a_place_is_not_taken_from_an_earlier_panic() {
    let callbacks = pods();
    on(&callbacks, "has a place", |_| async {
        explode("one");
        Ok(())
    });
    on(&callbacks, "caught inside", |_| async {
        let caught = std::panic::catch_unwind(|| explode("two"));
        assert!(caught.is_err());
        Ok(())
    });
    on(&callbacks, "has none", |_| async { std::panic::resume_unwind(Box::new("three")) as CallbackResult });
    let report = run(&callbacks, change("x")).await;
    assert_eq!(report.failures[1].to_string(), "handler has none Pod: panicked: three");
}

#[tokio::test]
async fn an_object_of_another_type_is_a_terminal_error_and_no_absence() {
    // E13
    let (callbacks, log) = (pods(), Log::default());
    let seen = log.clone();
    on(&callbacks, "typed", move |_| {
        seen.note("called");
        async { Ok(()) }
    });
    let json = br#"{"metadata":{"name":"x","namespace":"default"},"spec":{"containers":7}}"#;
    let object = Object::from_json(&Pod::kind_of(), json.to_vec()).unwrap();
    let report =
        run(&callbacks, Change::new(Pod::kind_of(), object.key().clone(), Some(object.clone()))).await;
    assert_eq!(log.take(), Vec::<String>::new());
    assert!(report.failures[0].terminal);
    let terminal = report.failures[0].source.downcast_ref::<Terminal>().unwrap();
    let decode = terminal.0.downcast_ref::<DecodeError>().unwrap();
    assert_eq!(decode.path.as_deref(), Some("spec.containers"));
}

#[tokio::test]
async fn a_returned_object_without_a_name_is_an_error() {
    let callbacks = pods();
    on(&callbacks, "a", |_| async { Ok(Arc::new(Pod::default())) });
    let report = run(&callbacks, change("x")).await;
    assert_eq!(report.to_string(), "handler a Pod: object has no name");
}
