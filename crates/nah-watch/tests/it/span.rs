//! What a run tells a tracing subscriber.

use std::fmt::Debug;

use nah_core::Causes;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

use super::*;

#[derive(Clone, Default)]
struct Spans(Log);

impl Visit for Spans {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.note(format!("{field}={value:?}"));
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span()
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.0.note(span.metadata().name());
        span.record(&mut self.clone());
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {
        self.0.note("enter");
    }
    fn exit(&self, _: &Id) {
        self.0.note("exit");
    }
}

#[tokio::test]
async fn a_call_has_a_span_that_says_what_it_is_for() {
    let (callbacks, spans) = (pods(), Spans::default());
    let log = spans.0.clone();
    let inner = log.clone();
    on(&callbacks, "mine", move |_| {
        inner.note("called");
        async { Ok(()) }
    });
    let mut change = change("x").caused_by(Causes::EVENT | Causes::RETRY);
    change.failures = 2;
    {
        let _default = tracing::subscriber::set_default(spans);
        run(&callbacks, change).await;
    }
    let lines = log.take();
    for expected in [
        "callback",
        "kind=Pod",
        "version=v1",
        "key=default/x",
        "callback=mine",
        "causes={event, retry}",
        "attempt=3",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected} in {lines:?}");
    }
    let at = lines.iter().position(|line| line == "called").unwrap();
    assert_eq!(lines[at - 1], "enter", "the call is inside the span");
}
