//! A short text, kept in place.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

/// A text of up to `N` bytes in place, a longer one elsewhere.
///
/// A hundred thousand objects have a uid and a version each: an allocation for every one of them would cost as much
/// again as the texts do.
#[derive(Clone)]
pub(crate) enum Text<const N: usize> {
    Short { len: u8, bytes: [u8; N] },
    Long(Arc<str>),
}

impl<const N: usize> Text<N> {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            // What went in was text, so it is; the check costs nothing beside what text is read for.
            Self::Short { len, bytes } => bytes
                .get(..usize::from(*len))
                .and_then(|text| std::str::from_utf8(text).ok())
                .unwrap_or_default(),
            Self::Long(text) => text,
        }
    }

    /// What the text takes beside the place that it is in, in bytes.
    pub(crate) fn heap(&self) -> usize {
        match self {
            Self::Short { .. } => 0,
            Self::Long(text) => text.len() + 2 * size_of::<usize>(),
        }
    }
}

impl<const N: usize> From<&str> for Text<N> {
    fn from(text: &str) -> Self {
        let mut bytes = [0; N];
        match (u8::try_from(text.len()), bytes.get_mut(..text.len())) {
            (Ok(len), Some(place)) => {
                place.copy_from_slice(text.as_bytes());
                Self::Short { len, bytes }
            }
            _ => Self::Long(text.into()),
        }
    }
}

impl<const N: usize> PartialEq for Text<N> {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl<const N: usize> Eq for Text<N> {}

impl<const N: usize> Hash for Text<N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Text;

    #[test]
    fn a_text_of_any_length_comes_back() {
        for text in ["", "7", "12345678", "123456789", "äöü€", "äöü€x", "0123456789äöü€"] {
            assert_eq!(Text::<8>::from(text).as_str(), text);
            assert_eq!(Text::<0>::from(text).as_str(), text);
            assert_eq!(Text::<8>::from(text).heap() > 0, text.len() > 8, "{text}");
        }
        let long = "x".repeat(300);
        assert_eq!(Text::<36>::from(long.as_str()).as_str(), long);
        assert_eq!(Text::<299>::from(long.as_str()).as_str(), long);
    }

    #[test]
    fn equal_texts_are_one() {
        let texts = ["1", "12345678", "1234567890"];
        let known: HashSet<Text<8>> = texts.iter().chain(&texts).map(|text| Text::from(*text)).collect();
        assert_eq!(known.len(), 3);
        assert_ne!(Text::<8>::from("1"), Text::<8>::from("1\0"));
    }
}
