//! What does not fit when JSON is read, without the value that does not.

use std::fmt;

use serde_json::error::Category;

/// Why JSON does not read as a type: what was expected, what kind of value was found, and where, but never the value
/// itself. serde quotes it, and it may be a password.
pub struct Misfit(serde_json::Error);

impl Misfit {
    /// The error of serde, which quotes what was found.
    pub fn into_inner(self) -> serde_json::Error {
        self.0
    }
}

impl From<serde_json::Error> for Misfit {
    fn from(error: serde_json::Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is wrong with the syntax is said without a word of the text.
        if self.0.classify() != Category::Data {
            return self.0.fmt(f);
        }
        let text = self.0.to_string();
        f.write_str(&told(&text))?;
        match (self.0.line(), self.0.column()) {
            (0, _) => Ok(()),
            (line, column) => write!(f, " at line {line} column {column}"),
        }
    }
}

/// What a message of serde says besides values.
fn told(text: &str) -> String {
    // Behind the last one: the value may hold the words as well, but what is expected is a constant of the program.
    let expected = |rest: &str| match rest.rsplit_once(", expected ") {
        Some((_, expected)) => format!(", expected {}", before_position(expected)),
        None => String::new(),
    };
    for prefix in ["invalid type: ", "invalid value: "] {
        if let Some(rest) = text.strip_prefix(prefix) {
            let found = rest.split(['"', '`', ',']).next().unwrap_or_default();
            return format!("{prefix}{}{}", known(found.trim()), expected(rest));
        }
    }
    for prefix in ["unknown variant ", "unknown field ", "invalid length "] {
        if let Some(rest) = text.strip_prefix(prefix) {
            return format!("{}{}", prefix.trim_end(), expected(rest));
        }
    }
    // Names of fields of a Rust type.
    match text.starts_with("missing field `") || text.starts_with("duplicate field `") {
        true => before_position(text).to_owned(),
        false => "its type refuses the value".to_owned(),
    }
}

/// A kind of value that serde knows by name; what a reader calls it by itself may be the value.
fn known(found: &str) -> &str {
    let kinds = ["string", "integer", "floating point", "boolean", "character", "map", "sequence", "null"];
    kinds
        .into_iter()
        .find(|kind| *kind == found || found.strip_prefix(kind) == Some(" value"))
        .unwrap_or("value")
}

fn before_position(text: &str) -> &str {
    text.rsplit_once(" at line ").map_or(text, |(text, _)| text)
}

impl fmt::Debug for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Misfit({self})")
    }
}

// No source: whoever prints the chain would print the value.
impl std::error::Error for Misfit {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::{Deserialize, de::DeserializeOwned};

    use super::*;

    fn told_of<T: DeserializeOwned + fmt::Debug>(json: &str) -> String {
        Misfit::from(serde_json::from_str::<T>(json).unwrap_err()).to_string()
    }

    #[derive(Debug, Deserialize)]
    enum Colour {
        Red,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        #[allow(dead_code)]
        one: Colour,
    }

    #[derive(Debug)]
    struct Rude;

    impl<'de> Deserialize<'de> for Rude {
        fn deserialize<D: serde::Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
            let text = String::deserialize(reader)?;
            Err(serde::de::Error::custom(format!("cannot use {text}, expected {text}")))
        }
    }

    #[test]
    fn says_what_was_found_and_expected_but_not_the_value() {
        assert_eq!(told_of::<u8>(r#""hush""#), "invalid type: string, expected u8 at line 1 column 6");
        assert_eq!(
            told_of::<BTreeMap<String, u8>>(r#"{"a":"hush, expected more \" at line 3"}"#),
            "invalid type: string, expected u8 at line 1 column 39"
        );
        assert_eq!(told_of::<u8>("7000"), "invalid value: integer, expected u8 at line 1 column 4");
        assert_eq!(told_of::<u8>("7.5"), "invalid type: floating point, expected u8 at line 1 column 3");
        assert_eq!(told_of::<u8>("true"), "invalid type: boolean, expected u8 at line 1 column 4");
        assert_eq!(told_of::<u8>("[1]"), "invalid type: sequence, expected u8 at line 1 column 0");
        assert_eq!(told_of::<String>("null"), "invalid type: null, expected a string at line 1 column 4");
        assert_eq!(told_of::<Colour>(r#""hush""#), "unknown variant, expected `Red` at line 1 column 6");
        assert_eq!(told_of::<Strict>(r#"{"hush":1}"#), "unknown field, expected `one` at line 1 column 7");
        assert_eq!(told_of::<Strict>("{}"), "missing field `one` at line 1 column 2");
        assert_eq!(
            told_of::<(u8, u8)>("[1]"),
            "invalid length, expected a tuple of size 2 at line 1 column 3"
        );
        assert_eq!(told_of::<Rude>(r#""hush""#), "its type refuses the value");
        assert_eq!(told_of::<Strict>("{"), "EOF while parsing an object at line 1 column 1");
    }

    #[test]
    fn no_chain_of_sources_leads_to_the_value() {
        let error = Misfit::from(serde_json::from_str::<u8>(r#""hush""#).unwrap_err());
        assert!(std::error::Error::source(&error).is_none());
        assert!(!format!("{error:?}").contains("hush"));
        assert!(error.into_inner().to_string().contains("hush"));
    }
}
