//! The lines of a body as it arrives.

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;

/// etcd takes objects of up to 1.5 MiB; a watch event holds one.
const LONGEST: usize = 16 << 20;

/// Splits a body into lines. A line that arrived whole is a part of what arrived, not a copy; between two lines nothing
/// is held.
pub(crate) struct Lines<B> {
    body: B,
    /// What arrived and was not handed out yet.
    arrived: Bytes,
    /// The beginning of a line whose end has not arrived.
    begun: Vec<u8>,
}

/// Why there is no further line, although the body has not come to its end.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The connection broke.
    Cut,
    /// No line is as long as this one.
    Endless,
}

impl<B: Body<Data = Bytes> + Unpin> Lines<B> {
    pub(crate) fn new(body: B) -> Self {
        Self { body, arrived: Bytes::new(), begun: Vec::new() }
    }

    /// The next line without its end, and what stands behind the last one; none at the end of the body. Nothing is lost
    /// where it is dropped before it is ready.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.arrived) {
                let line = self.arrived.split_to(end + 1).slice(..end);
                if self.arrived.is_empty() {
                    // An empty rest would keep alive all that arrived with it.
                    self.arrived = Bytes::new();
                }
                return self.whole(line).map(Some);
            }
            let rest = std::mem::take(&mut self.arrived);
            self.begin(&rest)?;
            drop(rest);
            match self.body.frame().await {
                Some(Ok(frame)) => self.arrived = frame.into_data().unwrap_or_default(),
                Some(Err(_)) => return Err(Broken::Cut),
                None if self.begun.is_empty() => return Ok(None),
                None => return self.whole(Bytes::new()).map(Some),
            }
        }
    }

    fn begin(&mut self, part: &[u8]) -> Result<(), Broken> {
        if self.begun.len() + part.len() > LONGEST {
            return Err(Broken::Endless);
        }
        self.begun.extend_from_slice(part);
        Ok(())
    }

    /// The line that ends with `end`.
    fn whole(&mut self, end: Bytes) -> Result<Bytes, Broken> {
        if self.begun.is_empty() {
            return Ok(end);
        }
        self.begin(&end)?;
        Ok(std::mem::take(&mut self.begun).into())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{FutureExt, stream};
    use http_body::Frame;
    use http_body_util::StreamBody;
    use proptest::prelude::*;

    use super::*;

    /// The lines of `text`, which arrives in pieces of these sizes.
    fn split(text: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
        let (mut rest, mut pieces, mut sizes) = (text, Vec::new(), sizes.iter().cycle());
        while !rest.is_empty() {
            let (piece, others) = rest.split_at(rest.len().min(*sizes.next().unwrap_or(&1)));
            pieces.push(Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(piece))));
            rest = others;
        }
        let mut lines = Lines::new(StreamBody::new(stream::iter(pieces)));
        let next = || lines.next().now_or_never().and_then(Result::ok).flatten();
        std::iter::from_fn(next).map(|line| line.to_vec()).collect()
    }

    proptest! {
        #[test]
        fn lines_are_the_same_in_whatever_pieces_they_arrive(
            text in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200),
            sizes in proptest::collection::vec(1_usize..40, 1..10),
        ) {
            let mut wanted: Vec<_> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            wanted.pop_if(|last| last.is_empty());
            prop_assert_eq!(split(&text, &sizes), wanted);
        }
    }

    #[test]
    fn a_line_that_never_ends_is_not_kept() // C13
    {
        let piece = || Ok::<_, Infallible>(Frame::data(Bytes::from(vec![b'x'; 1 << 20])));
        let endless = stream::repeat_with(piece);
        let mut lines = Lines::new(StreamBody::new(endless));
        assert!(matches!(lines.next().now_or_never(), Some(Err(Broken::Endless))));
        assert!(lines.begun.len() <= LONGEST);
    }
}
