//! Sixty-four bytes of JSON as masks, a bit a byte.

use fearless_simd::{Simd, prelude::*, u8x64};

/// How many bytes a block has.
pub(super) const SIZE: usize = 64;

/// What a block hands on to the one behind it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Carry {
    /// All ones within a text, or none.
    in_text: u64,
    /// Whether the next byte means only itself.
    escaped: bool,
}

/// Sixty-four bytes, or the last ones with spaces behind them.
///
/// A backslash takes the meaning from the byte behind it; outside of texts, too, where none belongs.
#[derive(Debug)]
pub(super) struct Block<S: Simd> {
    bytes: u8x64<S>,
    /// Where texts begin and end.
    pub(super) quotes: u64,
    /// From the quote that begins a text to before the one that ends it.
    pub(super) in_text: u64,
    /// Bytes behind a backslash.
    pub(super) escaped: u64,
}

impl<S: Simd> Block<S> {
    /// The block at the start of `bytes`, and how many of them it has.
    #[inline(always)]
    pub(super) fn read(simd: S, bytes: &[u8], carry: &mut Carry) -> (Self, usize) {
        match bytes.first_chunk::<SIZE>() {
            Some(whole) => (Self::new(u8x64::simd_from(simd, *whole), SIZE, carry), SIZE),
            None => {
                let mut padded = [b' '; SIZE];
                padded[..bytes.len()].copy_from_slice(bytes);
                (Self::new(u8x64::simd_from(simd, padded), bytes.len(), carry), bytes.len())
            }
        }
    }

    #[inline(always)]
    fn new(bytes: u8x64<S>, taken: usize, carry: &mut Carry) -> Self {
        let escaped = escaped(mask(bytes, b'\\'), taken, &mut carry.escaped);
        let quotes = mask(bytes, b'"') & !escaped;
        let in_text = odd(quotes) ^ carry.in_text;
        // The sign of the last bit: what is behind the last quote is in a text, or is not.
        carry.in_text = (in_text.cast_signed() >> (SIZE - 1)).cast_unsigned();
        Self { bytes, quotes, in_text, escaped }
    }

    /// Where `byte` stands, within texts and without.
    #[inline(always)]
    pub(super) fn mask(&self, byte: u8) -> u64 {
        mask(self.bytes, byte)
    }

    /// Where an opening bracket stands outside of texts, and where a closing one.
    #[inline(always)]
    pub(super) fn brackets(&self) -> (u64, u64) {
        // `[` and `{`, `]` and `}` are one bit apart, and nothing else is with them.
        let folded = self.bytes | 0x20;
        let outside = !(self.in_text | self.escaped);
        (mask(folded, b'{') & outside, mask(folded, b'}') & outside)
    }

    /// Where white space stands, within texts and without.
    #[inline(always)]
    pub(super) fn white(&self) -> u64 {
        self.mask(b' ') | self.mask(b'\n') | self.mask(b'\r') | self.mask(b'\t')
    }

    /// Bytes that stand for themselves nowhere: in a text they have to be escaped.
    #[inline(always)]
    pub(super) fn control(&self) -> u64 {
        self.bytes.simd_lt(0x20).to_bitmask()
    }
}

#[inline(always)]
fn mask<S: Simd>(bytes: u8x64<S>, byte: u8) -> u64 {
    bytes.simd_eq(byte).to_bitmask()
}

/// The bytes behind a backslash that means something. Runs of them are short, and blocks with any are few.
#[inline(always)]
fn escaped(mut slashes: u64, taken: usize, carry: &mut bool) -> u64 {
    let first = u64::from(std::mem::take(carry));
    let mut escaped = first;
    slashes &= !first;
    while slashes != 0 {
        let slash = slashes & slashes.wrapping_neg();
        // The one behind it, and with it what that would have meant.
        escaped |= slash << 1;
        slashes &= !(slash | slash << 1);
        *carry = slash == 1 << (taken - 1);
    }
    escaped
}

/// Whether an odd number of bits is set up to each bit, itself included.
#[inline(always)]
fn odd(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}
