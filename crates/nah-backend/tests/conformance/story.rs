//! What a client asked and was answered, told so that two grounds can be compared.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::Arc,
    task::{Context, Poll},
};

use anyhow::Result;
use futures::{FutureExt, future::BoxFuture};
use http::{Request, Response};
use parking_lot::Mutex;
use tower::{Layer, Service};

use crate::{
    scenario::{Flavour, Scenario},
    world::World,
};

/// The requests of one scenario, in the order of their answers.
#[derive(Clone, Debug)]
pub(crate) struct Story {
    lines: Arc<Mutex<Vec<String>>>,
    namespace: String,
}

impl Story {
    /// A story in which `namespace` is called `NS`.
    pub(crate) fn new(namespace: &str) -> Self {
        Self { lines: Arc::default(), namespace: namespace.to_owned() }
    }

    pub(crate) fn text(&self) -> String {
        self.lines.lock().iter().map(|line| format!("{line}\n")).collect()
    }

    /// How many requests there were of a verb on paths that contain a text; lists and watches are verbs of their own.
    pub(crate) fn count(&self, verb: &str, path: &str) -> usize {
        let path = path.replace(&self.namespace, "NS");
        let of = |line: &&String| line.split(' ').next() == Some(verb) && line.contains(&path);
        self.lines.lock().iter().filter(of).count()
    }

    /// Tells more than what was asked, to be compared between the grounds.
    pub(crate) fn tell(&self, line: String) {
        self.lines.lock().push(line.replace(&self.namespace, "NS"));
    }

    fn add(&self, verb: &str, uri: &http::Uri, code: Option<u16>) {
        let path = uri.path().replace(&self.namespace, "NS");
        let code = code.map_or("broken".to_owned(), |code| code.to_string());
        self.lines
            .lock()
            .push(format!("{verb} {path}{} {code}", parameters(uri.query().unwrap_or_default())));
    }
}

/// The parameters that say what is asked, without the versions and times that differ from run to run.
fn parameters(query: &str) -> String {
    let kept = ["labelSelector", "fieldSelector", "dryRun", "sendInitialEvents"];
    // A list of one object is a look at the version.
    let parameters =
        query.split('&').filter(|it| *it == "limit=1" || kept.iter().any(|name| it.starts_with(name)));
    let parameters: BTreeSet<&str> = parameters.collect();
    match parameters.is_empty() {
        true => String::new(),
        false => format!("?{}", parameters.into_iter().collect::<Vec<_>>().join("&")),
    }
}

/// Writes the story of a scenario that passed to `target/conformance/GROUND/NAME.txt`.
pub(crate) fn keep(world: &World, scenario: &Scenario) -> Result<()> {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../conformance");
    let directory = target.join(world.ground.name());
    std::fs::create_dir_all(&directory)?;
    let text = match scenario.kind {
        Flavour::Ordered => world.story.text(),
        _ => {
            // A request that was broken or refused on the way is repeated, on one ground more often than on the other.
            let lines: BTreeSet<String> = world.story.lines.lock().iter().cloned().collect();
            lines.into_iter().map(|line| format!("{line}\n")).collect()
        }
    };
    std::fs::write(directory.join(format!("{}.txt", scenario.name)), text)?;
    Ok(())
}

/// The layer that tells a story.
#[derive(Clone, Debug)]
pub(crate) struct Telling(pub(crate) Story);

impl<S> Layer<S> for Telling {
    type Service = Told<S>;

    fn layer(&self, inner: S) -> Told<S> {
        Told { inner, story: self.0.clone() }
    }
}

/// A service whose requests are told.
#[derive(Clone, Debug)]
pub(crate) struct Told<S> {
    inner: S,
    story: Story,
}

impl<S, In, Out> Service<Request<In>> for Told<S>
where
    S: Service<Request<In>, Response = Response<Out>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        let query = request.uri().query().unwrap_or_default();
        let verb = match query.split('&').any(|it| it == "watch=true" || it == "watch=1") {
            true => "WATCH".to_owned(),
            false => request.method().to_string(),
        };
        let (story, uri) = (self.story.clone(), request.uri().clone());
        let answer = self.inner.call(request);
        async move {
            let answer = answer.await;
            story.add(&verb, &uri, answer.as_ref().ok().map(|answer| answer.status().as_u16()));
            answer
        }
        .boxed()
    }
}
