//! What a run tells a tracing subscriber.

use std::{fmt::Debug, sync::Once, time::Duration};

use k8s_openapi::api::apps::v1::Deployment;
use nah_core::Causes;
use nah_watch::{CallbackOptions, Links, WatcherExt as _};
use tracing::{
    Span, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
    subscriber::{DefaultGuard, set_default, set_global_default},
};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, SubscriberExt as _},
    registry::LookupSpan,
};

use super::{watcher::Pods, *};

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
async fn the_span_of_a_call_names_the_group_of_its_kind() {
    let spans = Spans::default();
    let callbacks = Callbacks::new(Deployment::kind_of());
    callbacks.add("c", typed(|_: Change<Deployment>| async { Ok(()) })).unwrap();
    let _listening = spans.listen();
    run(&callbacks, Change::<Deployment>::gone(("default", "x")).erase().unwrap()).await;
    let lines = spans.0.take();
    assert!(lines.iter().any(|line| line == "gvk=apps/v1 Deployment"), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_is_inside_its_span_to_its_end() {
    let (callbacks, seen) = (pods(), Log::default());
    let limit = CallbackOptions::default().time_limit(Duration::from_secs(1));
    for (name, options) in [("without a limit", CallbackOptions::default()), ("with one", limit)] {
        let seen = seen.clone();
        let callback = move |_: Change<Pod>| {
            let seen = seen.clone();
            async move {
                tokio::task::yield_now().await;
                seen.note(Span::current().metadata().map_or("none", |span| span.name()));
                Ok(())
            }
        };
        Pods(callbacks.clone()).with_options(options).watcher(name, callback).unwrap();
    }
    let _listening = Spans::default().listen();
    assert!(run(&callbacks, change("x")).await.is_ok());
    assert_eq!(seen.take(), ["callback", "callback"]);
}

#[tokio::test]
async fn a_change_keeps_its_links_however_its_object_is_read() {
    let _listening = Spans::default().listen();
    let mut change = change("x");
    change.links = tracing::info_span!("one").in_scope(Links::current);
    let read = change.clone().decode::<Pod>().unwrap();
    assert_eq!((read.links.len(), read.clone().erase().unwrap().links.len()), (1, 1));
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
    let crowd = |many| {
        let mut links = Links::default();
        for _ in 0..many {
            links.merge(tracing::info_span!("one").in_scope(Links::current));
        }
        links
    };
    let mut two = crowd(3);
    two.merge(crowd(3));
    assert_eq!(two.len(), 4);
}
