//! Where a value ends, of which more may have to arrive.

use fearless_simd::{Level, Simd, dispatch};

use super::block::{Block, Carry};

/// Looks for the end of a value of JSON, piece by piece, many bytes at a time.
///
/// What stands in the value is not checked: whoever reads it sees whether it is well-formed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scan {
    depth: usize,
    in_text: bool,
    escaped: bool,
    carry: Carry,
}

impl Scan {
    /// Where the value ends in `bytes`, which come next of it; none where it goes on behind them. A text, a list or a map
    /// ends with its last byte, a number or a word before the first byte that is none of it.
    pub fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        self.end_at(Level::new(), bytes)
    }

    fn end_at(&mut self, level: Level, bytes: &[u8]) -> Option<usize> {
        let begun = match self.depth {
            0 => match self.begin(bytes)? {
                Begun::Over(end) => return Some(end),
                Begun::Bracket(at) => at,
            },
            _ => 0,
        };
        self.close(level, &bytes[begun..]).map(|end| begun + end)
    }

    /// Looks through what is not in brackets: short, most of the time.
    fn begin(&mut self, bytes: &[u8]) -> Option<Begun> {
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' if self.in_text => return Some(Begun::Over(at + 1)),
                b'"' => self.in_text = true,
                _ if self.in_text => {}
                b'{' | b'[' => {
                    self.depth = 1;
                    return Some(Begun::Bracket(at + 1));
                }
                // A number or a word ends where something else begins.
                b'}' | b']' | b',' | b' ' | b'\n' | b'\r' | b'\t' => return Some(Begun::Over(at)),
                _ => {}
            }
        }
        None
    }

    /// Looks for the bracket that closes the outermost one.
    fn close(&mut self, level: Level, bytes: &[u8]) -> Option<usize> {
        dispatch!(level, simd => self.close_by(simd, bytes))
    }

    #[inline(always)]
    fn close_by<S: Simd>(&mut self, simd: S, bytes: &[u8]) -> Option<usize> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (block, taken) = Block::read(simd, rest, &mut self.carry);
            let (opens, mut closes) = block.brackets();
            let (opened, closed) = (opens.count_ones() as usize, closes.count_ones() as usize);
            // Only with that many can this be the last block.
            if closed >= self.depth {
                let (mut depth, mut before) = (self.depth, 0);
                while closes != 0 {
                    let close = closes & closes.wrapping_neg();
                    let up_to = close - 1;
                    depth += (opens & up_to & !before).count_ones() as usize;
                    depth -= 1;
                    if depth == 0 {
                        return Some(bytes.len() - rest.len() + close.trailing_zeros() as usize + 1);
                    }
                    (before, closes) = (up_to, closes & (closes - 1));
                }
            }
            self.depth = self.depth + opened - closed;
            rest = &rest[taken..];
        }
        None
    }
}

/// How a value begins.
enum Begun {
    /// It has no brackets, and is over here.
    Over(usize),
    /// Behind its first bracket.
    Bracket(usize),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same, a byte at a time.
    fn walk(bytes: &[u8]) -> Option<usize> {
        let (mut depth, mut in_text, mut escaped) = (0, false, false);
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' if in_text && depth == 0 => return Some(at + 1),
                b'"' => in_text = !in_text,
                _ if in_text => {}
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth == 1 => return Some(at + 1),
                b'}' | b']' if depth > 1 => depth -= 1,
                b'}' | b']' | b',' | b' ' | b'\n' | b'\r' | b'\t' if depth == 0 => return Some(at),
                _ => {}
            }
        }
        None
    }

    fn in_pieces(bytes: &[u8], sizes: &[usize]) -> Option<usize> {
        let (mut scan, mut begun, mut sizes) = (Scan::default(), 0, sizes.iter().cycle());
        while begun < bytes.len() {
            let end = bytes.len().min(begun + sizes.next().expect("there is one"));
            if let Some(found) = scan.end(&bytes[begun..end]) {
                return Some(begun + found);
            }
            begun = end;
        }
        None
    }

    /// Bytes that mean something, more often than others.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let telling = prop::sample::select(br#"{}[]"\\,: x{["#.to_vec());
        prop::collection::vec(prop_oneof![4 => telling, 3 => Just(b'a'), 1 => any::<u8>()], 0..200)
    }

    proptest! {
        #[test]
        fn a_value_ends_where_a_walk_says_however_it_is_cut(bytes in bytes(), deep in 0..70usize, sizes in prop::collection::vec(1..90usize, 1..9)) // C2, C19
        {
            let mut value = vec![b'['; deep];
            value.extend(bytes);
            let end = walk(&value);
            prop_assert_eq!(Scan::default().end(&value), end);
            prop_assert_eq!(Scan::default().end_at(Level::baseline(), &value), end);
            prop_assert_eq!(in_pieces(&value, &sizes), end);
        }
    }

    #[test]
    fn backslashes_and_brackets_across_the_edge_of_a_block_are_seen() {
        for before in 0..200 {
            for tail in [r#"\\"]"#, r#"\""]"#, r#"\\\"]"]"#, r#""{}]"#, r#""[[]]]"#, r#"]"]"#] {
                let value = format!(r#"["{}{tail} behind"#, "x".repeat(before));
                let end = walk(value.as_bytes());
                assert_eq!(Scan::default().end(value.as_bytes()), end, "{value}");
                assert!(end.is_some(), "{value}");
            }
        }
    }
}
