//! A place in a text of JSON that moves from value to value.

use super::{Scan, check};

/// A place in a text of JSON that moves from value to value, and reads none of them.
///
/// Every step is none where the text is broken there, and also where it is written in a way that takes more to read (a
/// key with escapes): whoever hears none asks a reader that knows everything.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the beginning of `text`.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The first byte of what comes next.
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            if !check::is_white(byte) {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// Steps over a text, if that is next, and gives what stands in it, which has no escapes.
    pub fn text(&mut self) -> Option<&'a str> {
        self.mark(b'"')?;
        let rest = self.text.get(self.at..)?;
        let end = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
        (rest.as_bytes()[end] == b'"').then_some(())?;
        self.at += end + 1;
        rest.get(..end)
    }

    /// Steps over a value, which is as long as its brackets and quotes say, and gives it.
    pub fn skip(&mut self) -> Option<&'a str> {
        self.peek()?;
        let rest = self.text.get(self.at..)?;
        let end = Scan::default().end(rest.as_bytes()).or_else(|| ends_in_a_word(rest))?;
        self.give(rest, end)
    }

    /// Steps over a value that is well-formed, and gives it.
    pub fn check(&mut self) -> Option<&'a str> {
        let first = self.peek()?;
        let rest = self.text.get(self.at..)?;
        let end = match first {
            b'{' | b'[' => check::end(rest.as_bytes())?,
            b'"' => check::text(rest.as_bytes())?,
            _ => check::word(rest.as_bytes())?,
        };
        self.give(rest, end)
    }

    /// Steps over a map: `each` steps over the value of every key.
    pub fn fields(&mut self, mut each: impl FnMut(&mut Self, &'a str) -> Option<()>) -> Option<()> {
        self.between(b'{', b'}', |cursor| {
            let key = cursor.text()?;
            cursor.mark(b':')?;
            each(cursor, key)
        })
    }

    /// Steps over a list: `each` steps over every item.
    pub fn items(&mut self, each: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.between(b'[', b']', each)
    }

    /// Says that nothing comes any more.
    pub fn end(&mut self) -> Option<()> {
        self.peek().is_none().then_some(())
    }

    fn between(&mut self, open: u8, close: u8, mut each: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.mark(open)?;
        if self.mark(close).is_some() {
            return Some(());
        }
        loop {
            each(self)?;
            match self.peek()? {
                b',' => self.at += 1,
                _ => return self.mark(close),
            }
        }
    }

    fn mark(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn give(&mut self, rest: &'a str, end: usize) -> Option<&'a str> {
        self.at += end;
        rest.get(..end).filter(|value| !value.is_empty())
    }
}

/// A number or a word ends where the text does; nothing else may.
fn ends_in_a_word(rest: &str) -> Option<usize> {
    (!rest.starts_with(['"', '{', '['])).then_some(rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    fn checked(text: &str) -> Option<&str> {
        let mut cursor = Cursor::new(text);
        let value = cursor.check()?;
        cursor.end().map(|()| value)
    }

    /// What passes is JSON; what is JSON and nothing out of the way passes.
    fn same(text: &str) {
        let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
        assert_eq!(checked(text).is_some(), is_json, "{text}");
    }

    #[test]
    fn what_is_broken_does_not_pass() // C19
    {
        for value in [
            "0",
            "-0",
            "01",
            "1.5",
            "1.",
            ".5",
            "1e5",
            "1E+5",
            "1e",
            "-",
            "+1",
            "1.5e-3",
            "true",
            "tru",
            "truex",
            "null",
            "nul",
            "false",
            "x",
            "",
            "\"",
            "\"a",
            "\"a\"",
            r#""\u00e9""#,
            r#""\u00g9""#,
            r#""\u00""#,
            r#""\x""#,
            r#""\/\b\f\n\r\t\\\"""#,
            "\"\u{1}\"",
            "\"\n\"",
            "\"ä\"",
            "[]",
            "[",
            "]",
            "[1,]",
            "[,1]",
            "[1,2]",
            "[1 2]",
            "[1]]",
            "[}",
            "{]",
            "{}",
            "{",
            "}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":1}"#,
            r#"{"a":1 "b":2}"#,
            r#"{"a":1,"b":[{}]}"#,
            r#"{"a":1,"b"}"#,
            "{1:2}",
            r#"{"a":"b":"c"}"#,
            r#"["a":1]"#,
            r#"[1"a"]"#,
            r#"["a"1]"#,
            r#"{"a": [ true , null ] }"#,
            r#"["a":]"#,
            r#"{"a"::1}"#,
            r#"{:1}"#,
            r#"{"a",:1}"#,
            r#"{"a":"b":1}"#,
            "\\",
            r#"\"a""#,
            "\u{b}",
            "[\u{b}]",
            "\u{FEFF}[]",
        ] {
            // At the top, and within brackets, at any place of a block.
            same(value);
            for before in 0..70 {
                same(&format!(r#"["{}",{value}]"#, "x".repeat(before)));
                same(&format!(r#"{{"{}":{value}, "k":{value}}} "#, "x".repeat(before)));
            }
        }
    }

    #[test]
    fn what_nobody_writes_is_left_to_others() {
        let deep = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(checked(&deep(50)).is_some());
        for depth in 64..400 {
            assert_eq!(checked(&deep(depth)), None);
        }
        assert_eq!(checked(r#"{"a" :1}"#), None);
    }

    #[test]
    fn steps_from_value_to_value() {
        let text = r#" {"a": 7, "b" : ["x", {"c":[]} ], "d":{} } "#;
        let (mut cursor, mut fields, mut items) = (Cursor::new(text), Vec::new(), Vec::new());
        let walked = cursor.fields(|cursor, key| {
            if key != "b" {
                fields.push((key, cursor.skip()?));
                return Some(());
            }
            cursor.items(|cursor| {
                items.push(cursor.check()?);
                Some(())
            })
        });
        assert_eq!((walked, cursor.end()), (Some(()), Some(())));
        assert_eq!(fields, [("a", "7"), ("d", "{}")]);
        assert_eq!(items, [r#""x""#, r#"{"c":[]}"#]);
        assert_eq!(Cursor::new("7").skip(), Some("7"));
        assert_eq!(Cursor::new(r#""a\"b" "#).skip(), Some(r#""a\"b""#));
        for broken in ["", " ", ",", "}", "\"a", "[", "{\"a\":1"] {
            assert_eq!(Cursor::new(broken).skip(), None, "{broken}");
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                prop::collection::vec((any::<String>(), inner), 0..5)
                    .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn json_passes_and_what_became_of_it_passes_where_it_is_json(json in json(), pretty: bool, place: prop::sample::Index, byte in prop::sample::select(b"{}[]\",:\\ 07-.eutn\x01x".to_vec()), inserts: bool) // C19
        {
            let text = if pretty { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) };
            let text = text.expect("it is JSON");
            prop_assert_eq!(checked(&text), Some(text.as_str()));
            let mut bytes = text.into_bytes();
            let place = place.index(bytes.len());
            if inserts { bytes.insert(place, byte) } else { bytes[place] = byte }
            if let Ok(text) = std::str::from_utf8(&bytes) {
                same(text);
            }
        }
    }
}
