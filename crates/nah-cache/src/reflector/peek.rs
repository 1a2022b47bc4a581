//! What identifies an object and its state. Pure: nothing is copied but the key.

use std::borrow::Cow;

use nah_core::ObjectKey;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// What identifies an object and its state.
#[derive(Debug, PartialEq)]
pub(crate) struct Peek<'a> {
    pub(crate) key: ObjectKey,
    pub(crate) uid: Option<Cow<'a, str>>,
    pub(crate) version: Option<Cow<'a, str>>,
    /// Items of a list come without it.
    pub(crate) kind: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Peeked<'a> {
    #[serde(borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    metadata: Meta<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    namespace: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text_or_none")]
    uid: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text_or_none")]
    resource_version: Option<Cow<'a, str>>,
}

impl<'a> Peek<'a> {
    /// Reads what identifies an object, and no more: it may be unreadable otherwise.
    pub(crate) fn parse(object: &'a str) -> Result<Self, serde_json::Error> {
        let Peeked { kind, metadata: meta } = serde_json::from_str(object)?;
        if meta.name.is_empty() {
            return Err(serde::de::Error::custom("object has no name"));
        }
        let key = ObjectKey::new(meta.namespace.as_deref(), &meta.name);
        Ok(Self { key, uid: meta.uid, version: meta.resource_version, kind })
    }
}

/// A field that is no text is not known, and no reason to lose the key.
fn text_or_none<'de: 'a, 'a, D: Deserializer<'de>>(reader: D) -> Result<Option<Cow<'a, str>>, D::Error> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    let raw = <&RawValue>::deserialize(reader)?;
    Ok(serde_json::from_str::<Text<'_>>(raw.get()).ok().map(|text| text.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peeks_through_fields_that_are_wrong() // C19
    {
        let peek = Peek::parse(
            r#"{"kind":"Pod","spec":7,"metadata":{"labels":[],"namespace":"n","name":"a\u0062","uid":{"x":1},"resourceVersion":"5"}}"#,
        )
        .unwrap();
        assert_eq!(peek.key, ObjectKey::from(("n", "ab")));
        assert_eq!((peek.uid, peek.version.as_deref(), peek.kind.as_deref()), (None, Some("5"), Some("Pod")));
        assert!(Peek::parse(r#"{"metadata":{"name":7}}"#).is_err());
        assert!(Peek::parse(r#"{"metadata":{"name":""}}"#).is_err());
        assert!(Peek::parse(r#"{}"#).is_err());
    }
}
