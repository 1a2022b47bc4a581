//! What a run tells a tracing subscriber.

use std::{fmt::Debug, sync::Once};

use nah_core::Causes;
use nah_watch::Links;
use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
    subscriber::{DefaultGuard, set_default, set_global_default},
};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, SubscriberExt as _},
    registry::LookupSpan,
};

use super::*;

/// Notes what happens to spans, by their names.
#[derive(Clone, Default)]
struct Spans(Log);

impl Spans {
    /// Somebody listens in the whole process first, and to everything: where nobody did, a span that another thread
    /// meets for the first time would be taken for one that nobody ever wants.
    fn listen(&self) -> DefaultGuard {
        static EVERYWHERE: Once = Once::new();
        EVERYWHERE.call_once(|| set_global_default(Registry::default()).unwrap());
        set_default(Registry::default().with(self.clone()))
    }
}

impl Visit for Spans {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.note(format!("{field}={value:?}"));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, span: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.0.note(span.metadata().name());
        span.record(&mut self.clone());
    }
    fn on_follows_from(&self, _: &Id, follows: &Id, context: Context<'_, S>) {
        self.0.note(format!("follows {}", context.span(follows).map_or("nothing", |span| span.name())));
    }
    fn on_enter(&self, _: &Id, _: Context<'_, S>) {
        self.0.note("enter");
    }
    fn on_close(&self, id: Id, context: Context<'_, S>) {
        self.0.note(format!("close {}", context.span(&id).map_or("nothing", |span| span.name())));
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
        let _listening = spans.listen();
        run(&callbacks, change).await;
    }
    let lines = log.take();
    for expected in
        ["callback", "gvk=v1 Pod", "key=default/x", "callback=mine", "causes={event, retry}", "attempt=3"]
    {
        assert!(lines.iter().any(|line| line == expected), "{expected} in {lines:?}");
    }
    let at = lines.iter().position(|line| line == "called").unwrap();
    assert_eq!(lines[at - 1], "enter", "the call is inside the span");
}

#[tokio::test]
async fn a_call_follows_from_the_spans_of_those_who_asked() {
    let (callbacks, spans) = (pods(), Spans::default());
    failing(&callbacks, "a", "");
    failing(&callbacks, "b", "");
    let _listening = spans.listen();
    assert!(Links::current().is_empty(), "nobody is in a span");
    let mut change = change("x");
    change.links = tracing::info_span!("first").in_scope(Links::current);
    let second = tracing::info_span!("second");
    change.links.merge(second.in_scope(Links::current_or_gone));
    change.links.merge(Links::default());
    assert_eq!(change.links.len(), 2);
    run(&callbacks, change).await;
    let mut lines = spans.0.take();
    lines.retain(|line| line == "callback" || line.starts_with("follows"));
    let call = ["callback", "follows first", "follows second"];
    assert_eq!(lines, [call, call].concat());
}

#[tokio::test]
async fn a_span_stays_open_for_what_runs_at_once_and_not_for_a_delay() {
    let spans = Spans::default();
    let _listening = spans.listen();
    let held = tracing::info_span!("soon").in_scope(Links::current);
    let _not_held = tracing::info_span!("later").in_scope(Links::current_or_gone);
    let closed = || spans.0.take().into_iter().filter(|line| line.starts_with("close")).collect::<Vec<_>>();
    assert_eq!(closed(), ["close later"]);
    drop(held);
    assert_eq!(closed(), ["close soon"]);
}

#[tokio::test]
async fn links_have_a_bound() {
    let _listening = Spans::default().listen();
    let mut links = Links::default();
    for _ in 0..1_000 {
        links.merge(tracing::info_span!("one").in_scope(Links::current));
    }
    assert_eq!(links.len(), 4);
}
