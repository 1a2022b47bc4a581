//! The next page of a list, asked for while the last one is taken in.

use std::{future::poll_fn, pin::pin};

use futures_core::future::BoxFuture;
use futures_util::{
    FutureExt,
    future::{MaybeDone, maybe_done},
};
use http::Response;
use kube_client::client::Body;

use super::failure::Failure;

/// What the server answers to a request for a page.
pub(crate) type Answer = Result<Response<Body>, Failure>;

/// A request that is under way beside other work, or none.
#[derive(Default)]
pub(crate) struct Ahead(Option<(String, MaybeDone<BoxFuture<'static, Answer>>)>);

impl Ahead {
    /// Takes on the request for the page behind `token`.
    pub(crate) fn ask(&mut self, token: &str, request: BoxFuture<'static, Answer>) {
        self.0 = Some((token.to_owned(), maybe_done(request)));
    }

    /// Does other work, and the request beside it.
    pub(crate) async fn beside<F: Future>(&mut self, work: F) -> F::Output {
        let Some((_, request)) = &mut self.0 else { return work.await };
        let mut work = pin!(work);
        poll_fn(|cx| {
            _ = request.poll_unpin(cx);
            work.as_mut().poll(cx)
        })
        .await
    }

    /// The answer about the page behind `token`, if that was asked for. Whatever else was is given up.
    pub(crate) async fn answer(&mut self, token: Option<&str>) -> Option<Answer> {
        let (asked, mut request) = self.0.take()?;
        if token != Some(&*asked) {
            return None;
        }
        (&mut request).await;
        pin!(request).take_output()
    }
}
