//! What bytes from outside go through, for fuzzers and the tests that stand in for them.

use bytes::Bytes;
use nah_core::Outline;

use super::{
    failure::Failure,
    line::Line,
    page::{LONGEST, PIECE, Piece, Splitter},
};

/// A line of a watch, up to what identifies its object.
pub fn watch(line: &[u8]) {
    if let Ok(Line::Object { object, .. }) = Line::parse(line) {
        _ = Outline::read(object.get());
    }
}

/// The body of a list behind a byte that says in how large pieces it arrives. Both ways of arriving must come to the
/// same end, and nothing may be held but an item and a piece.
pub fn list(bytes: &[u8]) {
    let Some((size, body)) = bytes.split_first() else { return };
    let (pieces, whole) = (split(body, usize::from(*size).max(1)), split(body, body.len().max(1)));
    assert_eq!(pieces.ok(), whole.ok(), "a body in pieces of {size} is another than in one");
}

/// Items, and bytes in them that identify something.
fn split(body: &[u8], size: usize) -> Result<(usize, usize), Failure> {
    let mut splitter = Splitter::default();
    let (mut items, mut known) = (0, 0);
    for chunk in body.chunks(size) {
        splitter.push(Bytes::copy_from_slice(chunk));
        while let Some(piece) = splitter.next()? {
            if let Piece::Item(item) = piece {
                items += 1;
                known += Outline::read(item).map_or(0, |outline| outline.key().as_str().len());
            }
        }
        assert!(splitter.held() <= 2 * (LONGEST + PIECE), "{} bytes are held", splitter.held());
    }
    splitter.finish()?;
    Ok((items, known))
}
