//! The server's side of one scope: asks, and waits no longer than it should.

use std::{pin::pin, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use http::{Request, Response, header};
use http_body_util::{BodyExt, BodyStream};
use kube_client::client::Body;
use nah_core::ResourceVersion;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout, timeout_at},
};
use tokio_util::{
    codec::{AnyDelimiterCodec, AnyDelimiterCodecError, FramedRead},
    io::StreamReader,
};

use super::{
    failure::{Failure, Reason},
    request::Target,
};
use crate::{
    CacheError,
    factory::{Kind, Shared},
};

/// etcd takes objects of up to 1.5 MiB; a watch event holds one.
const LONGEST_LINE: usize = 16 << 20;

/// No connection lives for a year, and no clock ends before.
const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Where the lists and watches of one scope come from.
pub(crate) struct Remote {
    pub(crate) shared: Arc<Shared>,
    pub(crate) kind: Arc<Kind>,
    /// None is everywhere.
    pub(crate) scope: Option<Arc<str>>,
}

/// The body of a list, and the right to take it in: lists at the same time are counted, over all kinds.
pub(crate) struct Listing {
    pub(crate) body: Bytes,
    _permit: Option<OwnedSemaphorePermit>,
}

/// An open watch.
pub(crate) struct Watch {
    lines: BoxStream<'static, Result<Bytes, AnyDelimiterCodecError>>,
    /// The server ends it before, or is gone.
    deadline: Instant,
    /// How long it may be silent while it says what there is.
    silence: Duration,
    /// Held until it has said that.
    permit: Option<OwnedSemaphorePermit>,
}

/// The next line of a watch, or why there is none.
pub(crate) enum Heard {
    Line(Bytes),
    /// It ended, or outlived its time.
    End,
    /// The connection broke.
    Cut,
    /// Nothing came although there was something to say.
    Silence,
    Endless,
}

impl Remote {
    pub(crate) async fn list(
        &self,
        version: Option<&ResourceVersion>,
        limit: Option<u32>,
        token: Option<&str>,
    ) -> Result<Listing, Failure> {
        let response = self.send(|target| target.list(version, limit, token)).await?;
        // After the answer has begun, so that a server that does not answer for one kind holds nobody else up.
        let permit = acquire(&self.shared.lists).await;
        let body = collect(response.into_body(), self.shared.options.timeouts.silence).await?;
        Ok(Listing { body, _permit: permit })
    }

    pub(crate) async fn watch(
        &self,
        version: Option<&ResourceVersion>,
        initial: bool,
        timeout: Duration,
    ) -> Result<Watch, Failure> {
        let response = self.send(|target| target.watch(version, initial, timeout)).await?;
        let timeouts = self.shared.options.timeouts;
        let chunks = BodyStream::new(response.into_body())
            .try_filter_map(|frame| std::future::ready(Ok(frame.into_data().ok())))
            .map_err(std::io::Error::other);
        let codec = AnyDelimiterCodec::new_with_max_length(b"\n".to_vec(), Vec::new(), LONGEST_LINE);
        let lines = FramedRead::new(StreamReader::new(chunks), codec).boxed();
        let deadline = after(timeout.saturating_add(timeouts.overtime));
        let permit = if initial { acquire(&self.shared.lists).await } else { None };
        Ok(Watch { lines, deadline, silence: timeouts.silence, permit })
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
        let target =
            Target { mapping: &mapping, namespace: self.scope.as_deref(), selectors: &self.kind.selectors };
        let request = request(&target).map_err(Failure::other)?;
        let response = match timeout(timeouts.answer, self.shared.client.send(request)).await {
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
        let body = collect(response.into_body(), timeouts.silence).await.unwrap_or_default();
        let failure = Failure::answered(code, seconds.map(Duration::from_secs), &body);
        if failure.reason == Reason::Unserved {
            self.shared.mapper.forget(gvk);
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
        let deadline = if initial { after(self.silence) } else { self.deadline };
        loop {
            match timeout_at(deadline, self.lines.next()).await {
                Ok(Some(Ok(line))) if line.trim_ascii().is_empty() => {}
                Ok(Some(Ok(line))) => return Heard::Line(line),
                Ok(Some(Err(AnyDelimiterCodecError::MaxChunkLengthExceeded))) => return Heard::Endless,
                Err(_) if initial => return Heard::Silence,
                Ok(Some(Err(_))) => return Heard::Cut,
                Ok(None) | Err(_) => return Heard::End,
            }
        }
    }
}

// === helpers ===

/// So long from now, or as good as never.
fn after(wait: Duration) -> Instant {
    Instant::now() + wait.min(NEVER)
}

async fn acquire(permits: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    permits.clone().acquire_owned().await.ok()
}

/// The whole body, unless the server falls silent in it.
async fn collect(body: Body, silence: Duration) -> Result<Bytes, Failure> {
    let mut body = pin!(body);
    let mut first: Option<Bytes> = None;
    let mut whole = BytesMut::new();
    loop {
        let frame = match timeout(silence, body.frame()).await {
            Ok(Some(frame)) => frame.map_err(|error| Failure::away(format!("list was cut: {error}")))?,
            Ok(None) => break,
            Err(_) => return Err(Failure::away("server fell silent in a list")),
        };
        let Ok(data) = frame.into_data() else { continue };
        // A body in one piece is not copied.
        match first.take() {
            None if whole.is_empty() => first = Some(data),
            None => whole.extend_from_slice(&data),
            Some(earlier) => {
                whole.extend_from_slice(&earlier);
                whole.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| whole.freeze()))
}

/// An error and what it comes from: "connection refused" stands at the end.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| match cause.to_string() {
        cause if text.contains(&cause) => text,
        cause => format!("{text}: {cause}"),
    })
}
