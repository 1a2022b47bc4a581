//! What bytes from outside go through, for fuzzers and the tests that stand in for them.

use bytes::Bytes;
use nah_core::{Outline, Stamp};

use super::{
    failure::Failure,
    line::Line,
    page::{LONGEST, Piece, Splitter},
};

/// A line of a watch, up to what identifies its object.
pub fn watch(line: &[u8]) {
    if let Ok(Line::Object { object, .. }) = Line::parse(line) {
        _ = Outline::read(object);
    }
}

/// The body of a list behind a byte that says in how large pieces it arrives. Both ways of arriving must come to the
/// same end, and nothing may be held but an item.
pub fn list(bytes: &[u8]) {
    let Some((size, body)) = bytes.split_first() else { return };
    let (pieces, whole) = (split(body, usize::from(*size).max(1)), split(body, body.len().max(1)));
    assert_eq!(pieces.ok(), whole.ok(), "a body in pieces of {size} is another than in one");
}

/// How long the key of an item is. Who looks at it at a glance must see the same as who reads all of it.
fn identified(item: &[u8]) -> usize {
    let Ok(item) = std::str::from_utf8(item) else { return 0 };
    let Ok(outline) = Outline::read(item) else { return 0 };
    if let Some(stamp) = Stamp::read(item) {
        assert_eq!(&stamp.key(), outline.key());
        assert_eq!(outline.uid().as_deref(), Some(stamp.uid));
        assert_eq!(outline.resource_version().as_deref(), Some(stamp.resource_version));
    }
    outline.key().as_str().len()
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
                known += identified(item);
            }
        }
        assert!(splitter.held() <= 2 * LONGEST, "{} bytes are held", splitter.held());
    }
    splitter.finish()?;
    Ok((items, known))
}
