//! The labels of an object.

use std::{fmt, sync::Arc};

/// The labels of an object, sorted by name.
///
/// Opaque, so that equal sets can be one: a `BTreeMap` is 544 bytes an object, beside its texts.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Labels(Option<Arc<Packed>>);

/// All names and values one behind the other.
#[derive(PartialEq, Eq, Hash)]
struct Packed {
    text: Box<str>,
    /// Where each name ends, and each value.
    ends: Box<[(u32, u32)]>,
}

impl Labels {
    /// The value of the label `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        let packed = self.0.as_deref()?;
        let (mut from, mut to) = (0, packed.ends.len());
        while from < to {
            let at = from.midpoint(to);
            let (name, value) = packed.pair(at);
            match name.cmp(key) {
                std::cmp::Ordering::Less => from = at + 1,
                std::cmp::Ordering::Equal => return Some(value),
                std::cmp::Ordering::Greater => to = at,
            }
        }
        None
    }

    /// Every label as name and value, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + '_ {
        let count = self.0.as_deref().map_or(0, |packed| packed.ends.len());
        (0..count).map(|at| self.0.as_deref().map_or(("", ""), |packed| packed.pair(at)))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether somebody else holds this very set.
    pub fn is_shared(&self) -> bool {
        self.0.as_ref().is_some_and(|packed| Arc::strong_count(packed) > 1)
    }

    /// What the set takes in memory, in bytes, beside the handle.
    pub fn heap_bytes(&self) -> usize {
        self.0.as_deref().map_or(0, |packed| {
            let allocations = size_of::<Packed>() + 2 * size_of::<usize>();
            allocations + packed.text.len() + size_of_val(&*packed.ends)
        })
    }
}

impl Packed {
    fn pair(&self, at: usize) -> (&str, &str) {
        let begin = at.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |ends| ends.1);
        let (middle, end) = self.ends.get(at).copied().unwrap_or_default();
        let part = |from: u32, to: u32| self.text.get(from as usize..to as usize).unwrap_or_default();
        (part(begin, middle), part(middle, end))
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Labels {
    /// The last of two pairs of one name wins.
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut pairs: Vec<(N, V)> = pairs.into_iter().collect();
        if pairs.is_empty() {
            return Self::default();
        }
        // The server writes them sorted.
        if !pairs.is_sorted_by(|(a, _), (b, _)| a.as_ref() < b.as_ref()) {
            pairs.reverse();
            pairs.sort_by(|(a, _), (b, _)| a.as_ref().cmp(b.as_ref()));
            pairs.dedup_by(|(a, _), (b, _)| a.as_ref() == b.as_ref());
        }
        let length = pairs.iter().map(|(name, value)| name.as_ref().len() + value.as_ref().len()).sum();
        let (mut text, mut ends) = (String::with_capacity(length), Vec::with_capacity(pairs.len()));
        // An object has no more than a few megabytes.
        let end = |text: &String| u32::try_from(text.len()).unwrap_or(u32::MAX);
        for (name, value) in pairs {
            text.push_str(name.as_ref());
            let middle = end(&text);
            text.push_str(value.as_ref());
            ends.push((middle, end(&text)));
        }
        Self(Some(Arc::new(Packed { text: text.into(), ends: ends.into() })))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::Labels;

    #[test]
    fn says_what_a_map_would() {
        let mut random = 1u32;
        let mut next = |n: u32| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 16) % n
        };
        for _ in 0..200 {
            let text = |n: u32| ["", "a", "ab", "app.kubernetes.io/name", "b", "ü", "z"][n as usize];
            let pairs: Vec<_> = (0..next(9)).map(|_| (text(next(7)), text(next(7)))).collect();
            let (labels, map): (Labels, BTreeMap<_, _>) =
                (pairs.iter().copied().collect(), pairs.iter().copied().collect());
            assert_eq!(labels.iter().collect::<Vec<_>>(), map.clone().into_iter().collect::<Vec<_>>());
            assert_eq!(labels.is_empty(), map.is_empty());
            for key in (0..7).map(text) {
                assert_eq!(labels.get(key), map.get(key).copied(), "{key} of {map:?}");
            }
            assert_eq!(labels, map.iter().collect());
        }
    }

    #[test]
    fn the_same_text_cut_elsewhere_is_another_label() {
        let one: Labels = [("a", "bc")].into_iter().collect();
        let other: Labels = [("ab", "c")].into_iter().collect();
        assert_ne!(one, other);
    }
}
