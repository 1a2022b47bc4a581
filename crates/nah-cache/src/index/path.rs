//! The values at a dotted path, read from an object's bytes.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use nah_core::{Outline, json::Cursor};

use crate::CacheError;

/// A path into an object: `spec.nodeName`, `spec.containers.image`, `metadata.labels['app.kubernetes.io/name']`.
///
/// A list stands for each of its items. Strings, numbers and booleans are values, as text; null, lists and maps at
/// the end of the path are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path(Vec<String>);

impl Path {
    pub(crate) fn parse(text: &str) -> Result<Self, CacheError> {
        let bad = || CacheError::Path(format!("{text:?}"));
        let (mut fields, mut rest) = (Vec::new(), text.strip_prefix('.').unwrap_or(text));
        loop {
            let name_end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (name, mut behind) = rest.split_at(name_end);
            if name.is_empty() && !(fields.is_empty() && behind.starts_with('[')) {
                return Err(bad());
            }
            if !name.is_empty() {
                fields.push(name.to_owned());
            }
            while let Some(bracket) = behind.strip_prefix('[') {
                let (quoted, after) = bracketed(bracket).ok_or_else(bad)?;
                // `[]` and `[*]` only say what is true anyway: a list stands for its items.
                fields.extend(quoted.filter(|name| !name.is_empty()).map(str::to_owned));
                behind = after;
            }
            if behind.is_empty() {
                return if fields.is_empty() { Err(bad()) } else { Ok(Self(fields)) };
            }
            rest = behind.strip_prefix('.').ok_or_else(bad)?;
        }
    }

    /// The label whose value this path leads to.
    pub(crate) fn label(&self) -> Option<&str> {
        match self.0.as_slice() {
            [metadata, labels, label] if metadata == "metadata" && labels == "labels" => Some(label),
            _ => None,
        }
    }

    /// The values at this path, sorted and without doubles.
    pub(crate) fn values(&self, json: &[u8]) -> Result<Vec<String>, serde_json::Error> {
        let mut values = match std::str::from_utf8(json).ok().and_then(|text| self.leap(text)) {
            Some(values) => values,
            // What does not read at once is read by who can say what is wrong with it.
            None => self.walk(json)?,
        };
        values.sort_unstable();
        values.dedup();
        Ok(values)
    }

    /// The values of an object that arrives, if the field where the path begins stands there, and reads at once.
    pub(crate) fn values_in(&self, outline: &Outline<'_>) -> Option<Vec<String>> {
        let (field, path) = self.0.split_first()?;
        let mut values = Leap::over(outline.field(field)?, path)?;
        values.sort_unstable();
        values.dedup();
        Some(values)
    }

    fn leap(&self, text: &str) -> Option<Vec<String>> {
        Leap::over(text, &self.0)
    }

    fn walk(&self, json: &[u8]) -> Result<Vec<String>, serde_json::Error> {
        let mut values = Vec::new();
        let mut reader = serde_json::Deserializer::from_slice(json);
        Walk { path: &self.0, values: &mut values }.deserialize(&mut reader)?;
        Ok(values)
    }
}

/// What stands between brackets (none for a wildcard), and what follows them.
fn bracketed(text: &str) -> Option<(Option<&str>, &str)> {
    if let Some(quote) = text.chars().next().filter(|first| matches!(first, '\'' | '"')) {
        let (name, rest) = text.get(1..)?.split_once(quote)?;
        return Some((Some(name).filter(|name| !name.is_empty()), rest.strip_prefix(']')?))
            .filter(|(name, _)| name.is_some());
    }
    let (inside, rest) = text.split_once(']')?;
    matches!(inside, "" | "*").then_some((None, rest))
}

/// Leaps over everything beside the path, which is well-formed where an object was taken in, and stops behind its end.
struct Leap {
    values: Vec<String>,
    /// There may be more values behind one.
    in_list: bool,
    is_done: bool,
}

impl Leap {
    fn over(text: &str, path: &[String]) -> Option<Vec<String>> {
        let mut leap = Self { values: Vec::new(), in_list: false, is_done: false };
        leap.value(&mut Cursor::new(text), path).or_else(|| leap.is_done.then_some(()))?;
        Some(leap.values)
    }

    /// None where it takes more to read, and behind the end.
    fn value(&mut self, cursor: &mut Cursor<'_>, path: &[String]) -> Option<()> {
        match (cursor.peek()?, path.split_first()) {
            (b'{', Some((field, path))) => cursor.fields(|cursor, key| match key == field {
                true => self.value(cursor, path),
                false => cursor.skip().map(drop),
            }),
            (b'[', _) => {
                self.in_list = true;
                cursor.items(|cursor| self.value(cursor, path))
            }
            (b'"', None) => self.take(cursor.text()?),
            (b'0'..=b'9' | b't' | b'f', None) => match cursor.skip()? {
                // Those are written in one way only.
                word if word == "true" || word == "false" || is_plain(word) => self.take(word),
                _ => None,
            },
            (b'-', None) => None,
            _ => cursor.skip().map(drop),
        }
    }

    fn take(&mut self, value: &str) -> Option<()> {
        self.values.push(value.to_owned());
        self.is_done = !self.in_list;
        self.in_list.then_some(())
    }
}

/// Whether a number reads as it is written.
fn is_plain(number: &str) -> bool {
    let first = number.bytes().next();
    number.len() < 16
        && number.bytes().all(|digit| digit.is_ascii_digit())
        && (first != Some(b'0') || number == "0")
}

/// Walks down the path and skips everything beside it.
struct Walk<'a> {
    path: &'a [String],
    values: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl Walk<'_> {
    fn take(self, value: impl ToString) {
        if self.path.is_empty() {
            self.values.push(value.to_string());
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((field, path)) = self.path.split_first() else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        };
        while let Some(wanted) = map.next_key_seed(Name(field))? {
            if wanted {
                map.next_value_seed(Walk { path, values: self.values })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Walk { path: self.path, values: self.values })?.is_some() {}
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.take(value);
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.take(value);
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.take(value);
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.take(value);
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.take(value);
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Whether a key is the one sought, told without copying it.
struct Name<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<bool, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

#[cfg(test)]
mod tests {
    //! Paths and what they find.

    use super::Path;

    fn check(path: &str, expected: &[&str]) {
        let json = br#"{
            "spec": {
                "nodeName": "node-1", "replicas": 3, "paused": false, "ratio": 1.5, "none": null, "empty": "",
                "containers": [{"image": "b", "ports": [{"p": 80}, {"p": 443}]}, {"image": "a"}, {"image": "b"}],
                "args": ["x", "y", "x"]
            },
            "metadata": {"labels": {"app.kubernetes.io/name": "web", "a'b": "quoted"}}
        }"#;
        let path = Path::parse(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(path.values(json).expect("it is JSON"), expected);
    }

    #[test]
    fn finds_a_field() {
        check("spec.nodeName", &["node-1"]);
        check(".spec.nodeName", &["node-1"]);
        check("spec['nodeName']", &["node-1"]);
        check("['spec'].nodeName", &["node-1"]);
    }

    #[test]
    fn finds_nothing_where_nothing_is() {
        // F16
        for path in
            ["spec.absent", "absent.nodeName", "spec.nodeName.deeper", "spec.none", "spec", "spec.containers"]
        {
            check(path, &[]);
        }
    }

    #[test]
    fn an_empty_text_is_a_value() {
        // F16
        check("spec.empty", &[""]);
    }

    #[test]
    fn numbers_and_booleans_are_text() {
        check("spec.replicas", &["3"]);
        check("spec.paused", &["false"]);
        check("spec.ratio", &["1.5"]);
    }

    #[test]
    fn a_list_stands_for_its_items() {
        // A6
        check("spec.containers.image", &["a", "b"]);
        check("spec.containers[*].image", &["a", "b"]);
        check("spec.containers[].ports.p", &["443", "80"]);
        check("spec.args", &["x", "y"]);
    }

    #[test]
    fn quotes_keep_dots_together() {
        check("metadata.labels['app.kubernetes.io/name']", &["web"]);
        check("metadata.labels[\"app.kubernetes.io/name\"]", &["web"]);
        check("metadata.labels[\"a'b\"]", &["quoted"]);
    }

    #[test]
    fn what_is_found_by_leaps_is_what_a_walk_finds() {
        let json = r#"{
            "a": {"b": "x", "c": "y"}, "n": [0, 7, 01, -1, -0, 1.50, 1e3, 12345678901234567890, true, false, null],
            "l": [{"a": "1"}, [{"a": "2"}, "3"], {"a": {"b": "4"}}, "5"], "t": ["\u0041", "\"", "ä"], "a\u0062": "6"
        }"#;
        for json in [
            json.to_owned(),
            json.replace("01, ", ""),
            json.replace('\n', ""),
            json.replace(" null],", " null,]"),
        ] {
            for path in ["a", "a.b", "a.c", "a.b.c", "n", "l", "l.a", "l.a.b", "t", "ab", "x", "n.x"] {
                let path = Path::parse(path).expect("a path");
                let found = path.values(json.as_bytes());
                let Some(leapt) = path.leap(&json) else { continue };
                let walked = path.walk(json.as_bytes());
                assert_eq!(found.expect("it is leapt").len(), leapt.len());
                // Leaps see only what they meet.
                if let Ok(walked) = walked {
                    assert_eq!(leapt, walked, "{path:?} in {json}");
                }
            }
        }
        let path = |path| Path::parse(path).expect("a path");
        assert_eq!(path("a.b").leap(json), Some(vec!["x".to_owned()]), "it stops there");
        assert_eq!(path("n").leap(json), None, "who walks says what is wrong");
        assert!(path("n").values(json.as_bytes()).is_err());
    }

    #[test]
    fn a_bad_path_is_named() {
        for path in [
            "",
            ".",
            "spec.",
            "spec..nodeName",
            "spec[",
            "spec['a",
            "spec['a'",
            "spec['']",
            "spec[0]",
            "a]b['c']d",
        ] {
            let error = Path::parse(path).expect_err(path).to_string();
            assert!(error.contains(path), "{error}");
        }
    }
}
