//! A request and its answer, sent again where that is safe.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep, timeout_at};

use super::CachedClient;
use crate::{
    Effect, Error, Result, request,
    retry::{DEADLINE, Outcome, again},
};

/// What came back, whatever its status.
pub(super) struct Answer {
    pub(super) code: StatusCode,
    pub(super) body: Bytes,
}

impl CachedClient {
    /// Sends `request` until there is an answer, or asking again is of no use or not safe. A read has a deadline; how
    /// long a write is waited for is its caller's affair, because to give it up leaves its result unknown.
    pub(super) async fn exchange(&self, request: &Request<Vec<u8>>, writes: bool) -> Result<Answer> {
        let (mut tries, deadline) = (0, Instant::now() + DEADLINE);
        loop {
            let once = self.once(request, writes);
            let outcome = match writes {
                true => once.await,
                false => timeout_at(deadline, once).await.unwrap_or_else(|_| Err(late())),
            };
            tries += 1;
            let said = match &outcome {
                Ok((headers, answer)) => Outcome::Answered(answer.code, headers),
                Err(_) => Outcome::Broken,
            };
            let Some(wait) =
                again(writes, said, tries, fastrand::f64()).filter(|wait| Instant::now() + *wait < deadline)
            else {
                return outcome.map(|(_, answer)| answer);
            };
            tracing::debug!(method = %request.method(), path = request.uri().path(), tries, ?wait, "asking again");
            sleep(wait).await;
            self.running()?;
        }
    }

    async fn once(&self, request: &Request<Vec<u8>>, writes: bool) -> Result<(HeaderMap, Answer)> {
        let request = request.clone().map(Into::into);
        let response = self.client()?.send(request).await;
        let (parts, body) = response.map_err(|error| request::broken(error, writes))?.into_parts();
        self.inner.warnings.heard(&parts.headers);
        let body = body.collect().await.map_err(|source| Error::Transport {
            // Before a success there is no answer, so it has happened.
            effect: match writes {
                true if parts.status.is_success() => Effect::Applied,
                true => Effect::Unknown,
                false => Effect::None,
            },
            source: source.into(),
        })?;
        Ok((parts.headers, Answer { code: parts.status, body: body.to_bytes() }))
    }
}

fn late() -> Error {
    let source = format!("server has not answered for {} s", DEADLINE.as_secs());
    Error::Transport { effect: Effect::None, source: source.into() }
}
