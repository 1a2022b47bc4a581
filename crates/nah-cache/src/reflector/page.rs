//! A list's body, split into raw items with what identifies them. Pure: nothing is copied but keys.

use std::borrow::Cow;

use nah_core::{ObjectKey, ResourceVersion};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::failure::Failure;

/// One page of a list.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    /// The list's version; empty where a server gives none.
    pub(crate) version: ResourceVersion,
    /// Where the next page begins.
    pub(crate) next: Option<String>,
    pub(crate) items: Vec<&'a RawValue>,
}

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
struct Body<'a> {
    #[serde(borrow, default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    metadata: ListMeta<'a>,
    #[serde(borrow, default, deserialize_with = "null_is_empty")]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta<'a> {
    #[serde(borrow)]
    resource_version: Option<Cow<'a, str>>,
    #[serde(rename = "continue")]
    next: Option<String>,
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

impl<'a> Page<'a> {
    /// Reads the body of a 200.
    ///
    /// # Errors
    /// Where it is no list: an absence may only be concluded from a list that is whole.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Failure> {
        let body: Body<'_> = serde_json::from_slice(body)
            .map_err(|error| Failure::other(format!("cannot read list: {error}")))?;
        let Some(items) = body.items else {
            let kind = body.kind.as_deref().unwrap_or("something");
            return Err(Failure::other(format!("server answered a list with {kind} that has no items")));
        };
        let version = body.metadata.resource_version.as_deref().unwrap_or_default().into();
        Ok(Self { version, next: body.metadata.next.filter(|next| !next.is_empty()), items })
    }
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

/// Go writes an empty slice as null; only a body without the field is no list.
fn null_is_empty<'de: 'a, 'a, D: Deserializer<'de>>(
    reader: D,
) -> Result<Option<Vec<&'a RawValue>>, D::Error> {
    Ok(Some(Option::deserialize(reader)?.unwrap_or_default()))
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn splits_a_list_without_parsing_its_items() // C2
    {
        let body = br#"{"kind":"PodList","metadata":{"resourceVersion":"7","continue":"t"},"items":[{"a":1},{"b":[2]}]}"#;
        let page = Page::parse(body).unwrap();
        assert_eq!((page.version.as_str(), page.next.as_deref()), ("7", Some("t")));
        assert_eq!(
            page.items.iter().map(|item| item.get()).collect::<Vec<_>>(),
            [r#"{"a":1}"#, r#"{"b":[2]}"#]
        );
    }

    #[test]
    fn takes_null_items_for_none_and_missing_items_for_no_list() // C6, C19
    {
        let page =
            Page::parse(br#"{"metadata":{"resourceVersion":"7","continue":""},"items":null}"#).unwrap();
        assert_eq!((page.items.len(), page.next), (0, None));
        let table = br#"{"kind":"Table","metadata":{"resourceVersion":"7"},"rows":[]}"#;
        assert!(Page::parse(table).unwrap_err().message.contains("Table"));
        assert!(Page::parse(br#"{"kind":"Status","code":200}"#).is_err());
        assert!(Page::parse(br#"{"items":[{"a":"#).is_err());
        assert!(Page::parse(b"<html>").is_err());
    }

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

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, cut in 0..90usize, at in 0..90usize, flip: u8) // C19
        {
            _ = Page::parse(&bytes);
            let mut list = br#"{"metadata":{"resourceVersion":"7"},"items":[{"metadata":{"name":"a","uid":"u"}}]}"#.to_vec();
            if let Some(byte) = list.get_mut(at) {
                *byte ^= flip;
            }
            list.truncate(cut);
            for item in Page::parse(&list).iter().flat_map(|page| &page.items) {
                _ = Peek::parse(item.get());
            }
        }
    }
}
