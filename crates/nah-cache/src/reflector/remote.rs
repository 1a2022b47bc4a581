//! The server's side of one scope: asks, and waits no longer than it should.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::BodyExt;
use kube_client::client::Body;
use nah_core::ResourceVersion;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout, timeout_at},
};

use super::{
    ahead::Answer,
    failure::{Failure, Reason},
    lines::{Broken, Lines},
    request::Target,
};
use crate::{
    CacheError, RestMapper,
    factory::{Kind, Shared},
};

/// What is read of an answer that says no.
const LONGEST_EXCUSE: usize = 64 << 10;

/// No connection lives for a year, and no clock ends before.
const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Where the lists and watches of one scope come from.
#[derive(Clone)]
pub(crate) struct Remote {
    pub(crate) shared: Arc<Shared>,
    pub(crate) kind: Arc<Kind>,
    /// None is everywhere.
    pub(crate) scope: Option<Arc<str>>,
}

/// The body of a list as it arrives, and the right to take it in: lists at the same time are counted, over all kinds.
pub(crate) struct Listing {
    body: Body,
    silence: Duration,
    _permit: Option<OwnedSemaphorePermit>,
}

/// An open watch.
pub(crate) struct Watch {
    lines: Lines<Body>,
    /// The server ends it before, or is gone.
    deadline: Instant,
    /// How long it may be silent while it says what there is, and how long it may take for that.
    silence: Duration,
    complete: Instant,
    /// How long it may be silent after that.
    idle: Duration,
    /// Held until it has said that.
    permit: Option<OwnedSemaphorePermit>,
}

/// The next line of a watch, or why there is none.
pub(crate) enum Heard {
    Line(Bytes),
    /// It ended.
    End,
    /// The connection broke, or has been silent for too long: nobody knows whether there still is a server.
    Cut,
    /// Nothing came although there was something to say.
    Silence,
    /// It has been saying what there is for too long.
    Late,
    Endless,
}

impl Remote {
    /// Asks for a page of a list, and waits until it begins.
    pub(crate) async fn ask(
        self,
        version: Option<ResourceVersion>,
        limit: Option<u32>,
        token: Option<String>,
    ) -> Answer {
        self.send(|target| target.list(version.as_ref(), limit, token.as_deref())).await
    }

    /// Begins to take in a page.
    pub(crate) async fn take_in(&self, page: Response<Body>) -> Listing {
        // Only now, so that a server that does not answer for one kind holds nobody else up.
        let permit = acquire(&self.shared.lists).await;
        Listing { body: page.into_body(), silence: self.shared.options.timeouts.silence, _permit: permit }
    }

    pub(crate) async fn watch(
        &self,
        version: Option<&ResourceVersion>,
        initial: bool,
        timeout: Duration,
    ) -> Result<Watch, Failure> {
        let response = self.send(|target| target.watch(version, initial, timeout)).await?;
        let timeouts = self.shared.options.timeouts;
        let lines = Lines::new(response.into_body());
        let deadline = after(timeout.saturating_add(timeouts.overtime));
        let permit = if initial { acquire(&self.shared.lists).await } else { None };
        let (silence, complete, idle) = (timeouts.silence, after(timeouts.list), timeouts.idle);
        Ok(Watch { lines, deadline, silence, complete, idle, permit })
    }

    /// Sends a request about the resource that serves the kind now, and waits for a good answer to begin.
    async fn send(
        &self,
        request: impl FnOnce(&Target<'_>) -> http::Result<Request<Body>>,
    ) -> Result<Response<Body>, Failure> {
        let gvk = &self.kind.gvk;
        let timeouts = self.shared.options.timeouts;
        let mapping = match self.shared.mapper.lookup(gvk).await {
            Ok(mapping) => mapping,
            Err(error @ CacheError::UnknownKind { .. }) => {
                return Err(Failure { reason: Reason::Unserved, ..Failure::other(error) });
            }
            Err(error) => return Err(Failure::away(error)),
        };
        if self.shared.has_moved(&self.kind, mapping.namespaced) {
            return Err(Failure::away("kind lives in another scope by now"));
        }
        let target =
            Target { mapping: &mapping, namespace: self.scope.as_deref(), selectors: &self.kind.selectors };
        let request = request(&target).map_err(Failure::other)?;
        let client = self.shared.mapper.client().map_err(Failure::away)?;
        let response = match timeout(timeouts.answer, client.send(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(Failure::away(chain(&error))),
            Err(_) => return Err(Failure::away("server does not answer")),
        };
        if response.status().is_success() {
            return Ok(response);
        }
        let code = response.status();
        let seconds = response.headers().get(header::RETRY_AFTER);
        let seconds = seconds.and_then(|seconds| seconds.to_str().ok()?.parse().ok());
        let body = excuse(response.into_body(), timeouts.silence).await;
        let failure = Failure::answered(code, seconds.map(Duration::from_secs), &body);
        if failure.reason == Reason::Unserved {
            RestMapper::forget(&*self.shared.mapper, gvk);
        }
        Err(failure)
    }
}

impl Watch {
    /// Waits for the next line; `initial` as long as the watch still has to say what there is.
    pub(crate) async fn next(&mut self, initial: bool) -> Heard {
        if !initial {
            self.permit = None;
        }
        let deadline = match initial {
            true => after(self.silence).min(self.complete),
            false => after(self.idle).min(self.deadline),
        };
        loop {
            match timeout_at(deadline, self.lines.next()).await {
                Ok(Ok(Some(line))) if line.trim_ascii().is_empty() => {}
                Ok(Ok(Some(line))) => return Heard::Line(line),
                Ok(Err(Broken::Endless)) => return Heard::Endless,
                Err(_) if initial && deadline == self.complete => return Heard::Late,
                Err(_) if initial => return Heard::Silence,
                Ok(Err(Broken::Cut)) | Err(_) => return Heard::Cut,
                Ok(Ok(None)) => return Heard::End,
            }
        }
    }
}

impl Listing {
    /// What arrives next; none at the end of the page.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            match timeout(self.silence, self.body.frame()).await {
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => return Ok(Some(data)),
                    Err(_) => continue,
                },
                Ok(Some(Err(error))) => {
                    return Err(Failure::away(format!("list was cut: {}", chain(&error))));
                }
                Ok(None) => return Ok(None),
                Err(_) => return Err(Failure::away("server fell silent in a list")),
            }
        }
    }
}

// === helpers ===

/// So long from now, or as good as never.
pub(crate) fn after(wait: Duration) -> Instant {
    Instant::now() + wait.min(NEVER)
}

async fn acquire(permits: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    permits.clone().acquire_owned().await.ok()
}

/// What an answer that says no has to say, as much as is there.
async fn excuse(body: Body, silence: Duration) -> Vec<u8> {
    let mut listing = Listing { body, silence, _permit: None };
    let mut excuse = Vec::new();
    while let Ok(Some(data)) = listing.next().await
        && excuse.len() < LONGEST_EXCUSE
    {
        excuse.extend_from_slice(&data);
    }
    excuse
}

/// An error and what it comes from: "connection refused" stands at the end.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| match cause.to_string() {
        cause if text.contains(&cause) => text,
        cause => format!("{text}: {cause}"),
    })
}
