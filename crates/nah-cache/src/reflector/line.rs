//! A line of a watch. Pure: the object in it stays raw.

use std::{borrow::Cow, collections::BTreeMap};

use nah_core::{ResourceVersion, json::Cursor};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::failure::{Failure, Status};

/// The annotation of the bookmark that ends the initial events of a WatchList.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// What a line says.
#[derive(Debug)]
pub(crate) enum Line<'a> {
    /// Of the object only brackets and quotes have been looked at.
    Object {
        verb: Verb,
        object: &'a str,
    },
    Bookmark {
        version: ResourceVersion,
        initial_end: bool,
    },
    Error(Failure),
}

/// What happened to an object. Between added and modified the store decides for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Added,
    Modified,
    Deleted,
}

/// Why a line says nothing.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// It was cut off: the stream is over.
    Cut,
    /// What it says is lost.
    Garbled(Failure),
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Bookmark<'a> {
    #[serde(borrow)]
    metadata: Meta<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    #[serde(borrow)]
    resource_version: Cow<'a, str>,
    annotations: Option<BTreeMap<String, String>>,
}

impl<'a> Event<'a> {
    /// Its type and object. Within its brackets the object may be broken: whoever reads it sees that.
    fn quick(line: &'a [u8]) -> Option<(Cow<'a, str>, &'a str)> {
        let (mut kind, mut object) = (None, None);
        let mut cursor = Cursor::new(std::str::from_utf8(line).ok()?);
        cursor.fields(|cursor, field| {
            let is_new = match field {
                "type" => kind.replace(cursor.text()?).is_none(),
                "object" => object.replace(cursor.skip()?).is_none(),
                _ => cursor.check().is_some(),
            };
            is_new.then_some(())
        })?;
        cursor.end()?;
        Some((Cow::Borrowed(kind?), object?))
    }
}

impl<'a> Line<'a> {
    pub(crate) fn parse(line: &'a [u8]) -> Result<Self, Unreadable> {
        let garbled = |error| Unreadable::Garbled(Failure::unreadable("watch event", error));
        let (kind, object) = match Event::quick(line) {
            Some(event) => event,
            // What does not read at once is read by who can say what is wrong with it.
            None => {
                let Event { kind, object } =
                    serde_json::from_slice(line).map_err(|error| match error.is_eof() {
                        true => Unreadable::Cut,
                        false => garbled(error),
                    })?;
                (kind, object.get())
            }
        };
        Ok(match &*kind {
            "ADDED" => Self::Object { verb: Verb::Added, object },
            "MODIFIED" => Self::Object { verb: Verb::Modified, object },
            "DELETED" => Self::Object { verb: Verb::Deleted, object },
            "BOOKMARK" => {
                let Bookmark { metadata } = serde_json::from_str(object).map_err(garbled)?;
                let end =
                    metadata.annotations.as_ref().and_then(|annotations| annotations.get(INITIAL_EVENTS_END));
                let initial_end = end.is_some_and(|value| value == "true");
                Self::Bookmark { version: (&*metadata.resource_version).into(), initial_end }
            }
            "ERROR" => {
                let status: Status = serde_json::from_str(object).unwrap_or_default();
                Self::Error(Failure::of(&status))
            }
            kind => {
                let failure = Failure::other(format!("watch sent an event of unknown type {kind:?}"));
                return Err(Unreadable::Garbled(failure));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{failure::Reason, fuzz},
        *,
    };

    #[test]
    fn leaves_the_object_raw() {
        let line = br#"{"type":"MODIFIED","object":{"metadata":{"name":"a"}, "spec":{}}}"#;
        let Ok(Line::Object { verb, object }) = Line::parse(line) else { panic!("no object") };
        assert_eq!(verb, Verb::Modified);
        assert_eq!(object, r#"{"metadata":{"name":"a"}, "spec":{}}"#);
    }

    #[test]
    fn ends_initial_events_only_at_the_annotation_true() // C21
    {
        for (annotations, expected) in [
            (r#""annotations":{"k8s.io/initial-events-end":"true"}"#, true),
            (r#""annotations":{"k8s.io/initial-events-end":"false"}"#, false),
            (r#""annotations":{"other":"true"}"#, false),
            (r#""annotations":null"#, false),
        ] {
            let line = format!(
                r#"{{"type":"BOOKMARK","object":{{"metadata":{{"resourceVersion":"9",{annotations}}}}}}}"#
            );
            let Ok(Line::Bookmark { version, initial_end }) = Line::parse(line.as_bytes()) else { panic!() };
            assert_eq!((version.as_str(), initial_end), ("9", expected), "{line}");
        }
    }

    #[test]
    fn reads_the_status_of_an_error_event() // C11, C12
    {
        let line = br#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}"#;
        let Ok(Line::Error(failure)) = Line::parse(line) else { panic!("not ERROR") };
        assert_eq!(failure.reason, Reason::Expired);
        let Ok(Line::Error(failure)) = Line::parse(br#"{"type":"ERROR","object":"what"}"#) else { panic!() };
        assert_eq!(failure.reason, Reason::Other);
    }

    #[test]
    fn tells_a_cut_line_from_a_garbled_one() // C19
    {
        assert!(matches!(Line::parse(br#"{"type":"ADDED","object":{"meta"#), Err(Unreadable::Cut)));
        assert!(matches!(Line::parse(b"<html>"), Err(Unreadable::Garbled(_))));
        assert!(matches!(Line::parse(br#"{"type":"NEW","object":{}}"#), Err(Unreadable::Garbled(_))));
        assert!(matches!(Line::parse(br#"{"type":"BOOKMARK","object":{}}"#), Err(Unreadable::Garbled(_))));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, cut in 0..90usize, at in 0..90usize, flip: u8) // C19
        {
            fuzz::watch(&bytes);
            for line in [
                r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9","annotations":{}}}}"#,
                r#"{"type":"ADDED","object":{"kind":"Pod","metadata":{"name":"a","uid":"u"}}}"#,
            ] {
                let mut line = line.as_bytes().to_vec();
                if let Some(byte) = line.get_mut(at) {
                    *byte ^= flip;
                }
                line.truncate(cut);
                fuzz::watch(&line);
            }
        }
    }
}
