//! Whether a value is well-formed, and where it ends.

use fearless_simd::{Level, Simd, dispatch};

use super::block::{Block, Carry, SIZE};

/// What may come next. Whether it stands in a list or in a map is known beside.
#[derive(Clone, Copy)]
#[repr(u8)]
enum State {
    /// A value.
    Value,
    /// A value, or the end of a list.
    Item,
    /// A key.
    Key,
    /// A key, or the end of a map.
    Field,
    /// What stands behind a value.
    Behind,
    Broken,
}

/// What stands there.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Token {
    Text,
    /// A text with a colon right behind it.
    Key,
    /// A number or a word.
    Word,
    OpenList,
    OpenMap,
    CloseList,
    CloseMap,
    Comma,
}

const STATES: usize = 8;
const TOKENS: usize = 8;

/// What comes behind what, in a list and in a map.
static NEXT: [[u8; STATES * TOKENS]; 2] = [table(false), table(true)];

/// The token that a byte begins.
static TOKEN: [u8; 256] = tokens();

/// The deepest that brackets may stand in each other here.
const DEEPEST: u32 = 60;

/// Where the list or map ends at whose bracket `bytes` begins.
///
/// None where it is broken or does not end, where brackets stand deeper in each other than anybody writes, and where
/// there is white space before a colon: whoever hears none asks a reader that knows everything.
pub(super) fn end(bytes: &[u8]) -> Option<usize> {
    dispatch!(Level::new(), simd => end_by(simd, bytes))
}

#[inline(always)]
fn end_by<S: Simd>(simd: S, bytes: &[u8]) -> Option<usize> {
    let mut carry = Carry::default();
    let (mut state, mut at) = (State::Value as u8, 0);
    // Whether each bracket that is open is a map's, the innermost last, behind a one.
    let mut open = 1_u64;
    // Whether the last byte was one of a word.
    let mut word = 0_u64;
    // Whether it was the end of a text.
    let mut text = 0_u64;
    while at < bytes.len() {
        let (block, taken) = Block::read(simd, &bytes[at..], &mut carry);
        let (opens, closes) = block.brackets();
        let outside = !(block.in_text | block.quotes);
        let marks = opens | closes | block.mask(b',') & outside;
        let colons = block.mask(b':') & outside;
        let words = outside & !marks & !colons & !block.white();
        let begins = words & !(words << 1 | word);
        word = words >> (SIZE - 1);
        let texts = block.quotes & !block.in_text;
        if colons & !(texts << 1 | text) != 0 {
            return None;
        }
        text = texts >> (SIZE - 1);
        // Behind the value, the same is true of what it stands in.
        if block.control() & block.in_text != 0 || !are_escapes(&bytes[at..], block.escaped & block.in_text) {
            return None;
        }
        let mut tokens = marks | begins | texts;
        while tokens != 0 {
            let place = at + tokens.trailing_zeros() as usize;
            tokens &= tokens - 1;
            let byte = *bytes.get(place)?;
            let mut token = TOKEN[usize::from(byte)];
            // A text is looked at where it ends.
            token += u8::from(byte == b'"' && bytes.get(place + 1) == Some(&b':'));
            state = NEXT[(open & 1) as usize][usize::from(state) * TOKENS + usize::from(token)];
            let (opens, closes) = (matches!(byte, b'[' | b'{'), matches!(byte, b']' | b'}'));
            open = (open << u32::from(opens) | u64::from(byte == b'{')) >> u32::from(closes);
            if token == Token::Word as u8 && !is_word(&bytes[place..]) || open >> DEEPEST != 0 {
                return None;
            }
            if open <= 1 {
                return (closes && state == State::Behind as u8).then_some(place + 1);
            }
        }
        if state == State::Broken as u8 {
            return None;
        }
        at += taken;
    }
    None
}

/// Where the text ends at whose first quote `bytes` begins, behind the last one.
pub(super) fn text(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match *bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' if are_escapes(&bytes[at + 1..], 1) => at += 2,
            b'\\' | 0..0x20 => return None,
            _ => at += 1,
        }
    }
}

/// Where the number or word ends at whose first byte `bytes` begins, if it is one.
pub(super) fn word(bytes: &[u8]) -> Option<usize> {
    let behind =
        |byte: &u8| matches!(byte, b',' | b':' | b'[' | b']' | b'{' | b'}' | b'"') || is_white(*byte);
    let end = bytes.iter().position(behind).unwrap_or(bytes.len());
    let word = &bytes[..end];
    (matches!(word, b"true" | b"false" | b"null") || is_number(word)).then_some(end)
}

fn is_word(bytes: &[u8]) -> bool {
    word(bytes).is_some()
}

pub(super) fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

fn is_number(word: &[u8]) -> bool {
    let digits = |from: &[u8]| from.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let word = word.strip_prefix(b"-").unwrap_or(word);
    let whole = digits(word);
    if whole == 0 || whole > 1 && word[0] == b'0' {
        return false;
    }
    let mut rest = &word[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let places = digits(fraction);
        if places == 0 {
            return false;
        }
        rest = &fraction[places..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = exponent.strip_prefix(b"-").or(exponent.strip_prefix(b"+")).unwrap_or(exponent);
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}

/// Whether what stands behind backslashes may stand there.
fn are_escapes(bytes: &[u8], mut escaped: u64) -> bool {
    while escaped != 0 {
        let at = escaped.trailing_zeros() as usize;
        escaped &= escaped - 1;
        let sound = match bytes.get(at) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => true,
            Some(b'u') => {
                bytes.get(at + 1..at + 5).is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit))
            }
            _ => false,
        };
        if !sound {
            return false;
        }
    }
    true
}

const fn tokens() -> [u8; 256] {
    let mut tokens = [Token::Word as u8; 256];
    tokens[b'"' as usize] = Token::Text as u8;
    tokens[b'[' as usize] = Token::OpenList as u8;
    tokens[b'{' as usize] = Token::OpenMap as u8;
    tokens[b']' as usize] = Token::CloseList as u8;
    tokens[b'}' as usize] = Token::CloseMap as u8;
    tokens[b',' as usize] = Token::Comma as u8;
    tokens
}

const fn table(in_map: bool) -> [u8; STATES * TOKENS] {
    use State::{Behind, Field, Item, Key, Value};
    let mut table = [State::Broken as u8; STATES * TOKENS];
    let values = [Value as usize, Item as usize];
    let mut at = 0;
    while at < values.len() {
        table[values[at] * TOKENS + Token::Text as usize] = Behind as u8;
        table[values[at] * TOKENS + Token::Word as usize] = Behind as u8;
        table[values[at] * TOKENS + Token::OpenList as usize] = Item as u8;
        table[values[at] * TOKENS + Token::OpenMap as usize] = Field as u8;
        at += 1;
    }
    table[Key as usize * TOKENS + Token::Key as usize] = Value as u8;
    table[Field as usize * TOKENS + Token::Key as usize] = Value as u8;
    if in_map {
        table[Field as usize * TOKENS + Token::CloseMap as usize] = Behind as u8;
        table[Behind as usize * TOKENS + Token::CloseMap as usize] = Behind as u8;
        table[Behind as usize * TOKENS + Token::Comma as usize] = Key as u8;
    } else {
        table[Item as usize * TOKENS + Token::CloseList as usize] = Behind as u8;
        table[Behind as usize * TOKENS + Token::CloseList as usize] = Behind as u8;
        table[Behind as usize * TOKENS + Token::Comma as usize] = Value as u8;
    }
    table
}
