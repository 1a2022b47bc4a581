//! Bodies of answers: whole ones, and streams that are fed as things happen.

use std::{collections::VecDeque, io};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use tokio::time::sleep_until;

use super::{
    distort::{Distort, Step},
    shared::{Lease, reset},
    watch::Watch,
};

/// The body of an answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A watch on its way over the wire.
struct Streaming {
    watch: Watch,
    distort: Distort,
    lease: Lease,
    steps: VecDeque<Step>,
    is_over: bool,
}

/// A body that is there.
pub(crate) fn full(bytes: Vec<u8>) -> Body {
    Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed_unsync()
}

/// A body that may break off.
pub(crate) fn steps(steps: VecDeque<Step>) -> Body {
    let frames = stream::iter(steps).map(|step| match step {
        Step::Send(bytes) => Ok(Frame::data(bytes)),
        Step::Cut | Step::End => Err(reset()),
    });
    StreamBody::new(frames).boxed_unsync()
}

/// A watch as a body.
pub(crate) fn stream(watch: Watch, distort: Distort) -> Body {
    let mut steps = VecDeque::new();
    distort.before_first(&mut steps);
    let lease = watch.lease();
    let streaming = Streaming { watch, distort, lease, steps, is_over: false };
    let frames = stream::unfold(streaming, |mut streaming| async move {
        let frame = streaming.next().await?;
        Some((frame, streaming))
    });
    StreamBody::new(frames).boxed_unsync()
}

// === impl Streaming ===

impl Streaming {
    async fn next(&mut self) -> Option<io::Result<Frame<Bytes>>> {
        loop {
            if self.is_over {
                return None;
            }
            match self.steps.pop_front() {
                Some(Step::Send(bytes)) => return Some(Ok(Frame::data(bytes))),
                Some(Step::End) => return None,
                Some(Step::Cut) => {
                    self.is_over = true;
                    return Some(Err(reset()));
                }
                None => {}
            }
            let lag = self.distort.lag();
            let line = tokio::select! {
                biased;
                () = self.lease.ended() => {
                    self.steps.push_back(Step::Cut);
                    continue;
                }
                line = next_line(&mut self.watch, lag) => line?,
            };
            self.distort.line(line, &mut self.steps);
        }
    }
}

async fn next_line(watch: &mut Watch, lag: Option<std::time::Duration>) -> Option<Vec<u8>> {
    let line = watch.next().await?;
    if let (Some(lag), Some(at)) = (lag, line.at) {
        sleep_until(at + lag).await;
    }
    Some(line.bytes)
}
