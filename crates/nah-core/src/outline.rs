//! What stands where in an object's text.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::{DecodeError, GroupVersionKind, Head, ObjectKey, Owner, ResourceVersion, Uid, json::Cursor};

/// What stands where in an object's text: read in one pass, which copies nothing but the key.
///
/// The text is JSON, but for `metadata.managedFields`, of which only brackets and quotes are looked at; and the object
/// has a name. It may be unreadable otherwise.
#[derive(Debug)]
pub struct Outline<'a> {
    text: &'a str,
    key: ObjectKey,
    api_version: Option<&'a str>,
    kind: Option<&'a str>,
    meta: Meta<'a>,
    others: Others<'a>,
}

/// The fields beside, with their values, as far as they are known.
type Others<'a> = Vec<(&'a str, &'a str)>;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parts<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    api_version: Option<&'a str>,
    #[serde(borrow, default, deserialize_with = "present")]
    kind: Option<&'a str>,
    #[serde(borrow)]
    metadata: Meta<'a>,
    #[serde(skip)]
    others: Others<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    namespace: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "some")]
    uid: Option<&'a str>,
    #[serde(borrow, default, deserialize_with = "some")]
    resource_version: Option<&'a str>,
    #[serde(borrow, default, deserialize_with = "some")]
    generation: Option<&'a str>,
    #[serde(borrow, default, deserialize_with = "some")]
    deletion_timestamp: Option<&'a str>,
    #[serde(borrow, default, deserialize_with = "some")]
    labels: Option<&'a str>,
    #[serde(borrow, default, deserialize_with = "some")]
    owner_references: Option<&'a str>,
    #[serde(borrow, default, deserialize_with = "present")]
    managed_fields: Option<&'a str>,
}

/// A value that is there, null included.
fn present<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<&'de str>, D::Error> {
    <&RawValue>::deserialize(reader).map(|value| Some(value.get()))
}

/// A value that is there and is not null.
fn some<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<&'de str>, D::Error> {
    present(reader).map(|value| value.filter(|value| *value != NULL))
}

const NULL: &str = "null";

impl<'a> Parts<'a> {
    /// None where the text is broken, and where it takes more to read it.
    fn quick(text: &'a str) -> Option<Self> {
        let (mut api_version, mut kind, mut metadata) = (None, None, None);
        let mut others = Vec::new();
        let mut cursor = Cursor::new(text);
        cursor.fields(|cursor, field| match field {
            "apiVersion" => once(&mut api_version, cursor.check()?),
            "kind" => once(&mut kind, cursor.check()?),
            "metadata" => once(&mut metadata, Meta::quick(cursor)?),
            _ => {
                others.push((field, cursor.check()?));
                Some(())
            }
        })?;
        cursor.end()?;
        Some(Self { api_version, kind, metadata: metadata?, others })
    }
}

impl<'a> Meta<'a> {
    fn quick(cursor: &mut Cursor<'a>) -> Option<Self> {
        let (mut name, mut namespace, mut nulls) = (None, None, [None; 6]);
        let mut managed_fields = None;
        cursor.fields(|cursor, field| {
            let place = match field {
                "name" => return once(&mut name, cursor.text()?),
                "namespace" => &mut namespace,
                "uid" => &mut nulls[0],
                "resourceVersion" => &mut nulls[1],
                "generation" => &mut nulls[2],
                "deletionTimestamp" => &mut nulls[3],
                "labels" => &mut nulls[4],
                "ownerReferences" => &mut nulls[5],
                "managedFields" => return once(&mut managed_fields, cursor.skip()?),
                _ => return cursor.check().map(drop),
            };
            once(place, cursor.check()?)
        })?;
        let namespace = match namespace.filter(|namespace| *namespace != NULL) {
            Some(namespace) => Some(Cow::Borrowed(Cursor::new(namespace).text()?)),
            None => None,
        };
        let [uid, resource_version, generation, deletion_timestamp, labels, owner_references] =
            nulls.map(|value| value.filter(|value| *value != NULL));
        let name = Cow::Borrowed(name?);
        Some(Self {
            name,
            namespace,
            uid,
            resource_version,
            generation,
            deletion_timestamp,
            labels,
            owner_references,
            managed_fields,
        })
    }
}

/// Puts the only value of a field in its place.
fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

impl<'a> Outline<'a> {
    /// Reads the outline of an object.
    ///
    /// # Errors
    /// Where the text is no JSON, or has no name to tell what object it is.
    pub fn read(text: &'a str) -> Result<Self, serde_json::Error> {
        // What does not read at once is read by who can say what is wrong with it.
        let parts = Parts::quick(text).map_or_else(|| serde_json::from_str(text), Ok);
        let Parts { api_version, kind, metadata: meta, others } = parts?;
        if meta.name.is_empty() {
            return Err(serde::de::Error::custom("object has no name"));
        }
        let key = ObjectKey::new(meta.namespace.as_deref(), &meta.name);
        Ok(Self { text, key, api_version, kind, meta, others })
    }

    /// The whole text.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// `namespace/name`, or `name`.
    pub fn key(&self) -> &ObjectKey {
        &self.key
    }

    /// `metadata.uid`, where it is a text.
    pub fn uid(&self) -> Option<Cow<'a, str>> {
        self.meta.uid.and_then(text)
    }

    /// `metadata.resourceVersion`, where it is a text.
    pub fn resource_version(&self) -> Option<Cow<'a, str>> {
        self.meta.resource_version.and_then(text)
    }

    /// The kind that the object says to be, where it is a text. Items of a list come without.
    pub fn kind(&self) -> Option<Cow<'a, str>> {
        self.kind.and_then(text)
    }

    /// Whether the object says an `apiVersion`, and a `kind`, null included.
    pub fn says(&self) -> (bool, bool) {
        (self.api_version.is_some(), self.kind.is_some())
    }

    /// The value of `metadata.managedFields`, null included, as a part of the text. It may be broken within its brackets.
    pub fn managed_fields(&self) -> Option<&'a str> {
        self.meta.managed_fields
    }

    /// The value of the field `name` as a part of the text, where it is known to be the only one; never of `apiVersion`,
    /// `kind` or `metadata`.
    pub fn field(&self, name: &str) -> Option<&'a str> {
        let mut found = self.others.iter().filter(|(field, _)| *field == name);
        found.next().filter(|_| found.next().is_none()).map(|(_, value)| *value)
    }

    /// The head of the object, which is of kind `gvk`.
    ///
    /// # Errors
    /// As [`Head::peek`].
    pub fn head(&self, gvk: &Arc<GroupVersionKind>) -> Result<Head, DecodeError> {
        // What does not read at once is read again by who can say what is wrong with it.
        self.quick(gvk).map_or_else(|| Head::peek(gvk, self.text.as_bytes()), Ok)
    }

    fn quick(&self, gvk: &Arc<GroupVersionKind>) -> Option<Head> {
        // None is what is not there; what is there and wrong ends the attempt.
        let texts = [self.meta.uid, self.meta.resource_version, self.meta.deletion_timestamp, self.kind];
        let [uid, version, deleted, kind] = texts.map(|raw| raw.map(text));
        let (uid, version, deleted, kind) = (sound(uid)?, sound(version)?, sound(deleted)?, sound(kind)?);
        let labels = match self.meta.labels {
            Some(labels) => serde_json::from_str::<Borrowed<'_>>(labels).ok()?.0,
            None => Vec::new(),
        };
        let owners = match self.meta.owner_references {
            Some(raw) => serde_json::from_str::<Vec<Reference<'_>>>(raw).ok()?,
            None => Vec::new(),
        };
        let generation = match self.meta.generation {
            Some(generation) => Some(serde_json::from_str(generation).ok()?),
            None => None,
        };
        Some(Head {
            gvk: gvk.clone(),
            key: self.key.clone(),
            uid: uid.as_deref().map(Uid::from),
            resource_version: version.as_deref().map(ResourceVersion::from),
            generation,
            terminating: deleted.is_some(),
            labels: labels.into_iter().collect(),
            // Those of most objects are none, and take nothing.
            owners: match owners.as_slice() {
                [] => Arc::default(),
                owners => owners.iter().map(Owner::from).collect(),
            },
            metadata_only: kind.as_deref() == Some("PartialObjectMetadata"),
            trimmed: false,
        })
    }
}

/// An owner, written without escapes, as nearly all are.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference<'a> {
    api_version: &'a str,
    kind: &'a str,
    name: &'a str,
    uid: &'a str,
    controller: Option<bool>,
    #[serde(rename = "blockOwnerDeletion")]
    _blocks: Option<bool>,
}

impl From<&Reference<'_>> for Owner {
    fn from(owner: &Reference<'_>) -> Self {
        let (group, version) = owner.api_version.split_once('/').unwrap_or(("", owner.api_version));
        Self {
            gvk: GroupVersionKind::gvk(group, version, owner.kind),
            name: owner.name.to_owned(),
            uid: owner.uid.to_owned(),
            controller: owner.controller == Some(true),
        }
    }
}

/// What is not there is no text; what is there must be one.
fn sound<T>(text: Option<Option<T>>) -> Option<Option<T>> {
    text.map_or(Some(None), |text| text.map(Some))
}

/// A value that is a text.
fn text(raw: &str) -> Option<Cow<'_, str>> {
    let quoted = raw.strip_prefix('"')?.strip_suffix('"')?;
    if !quoted.contains('\\') {
        return Some(Cow::Borrowed(quoted));
    }
    serde_json::from_str(raw).ok().map(Cow::Owned)
}

/// A map of texts without escapes, in the order they are written.
struct Borrowed<'a>(Vec<(&'a str, &'a str)>);

impl<'de> Deserialize<'de> for Borrowed<'de> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Borrowed<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map of texts")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Borrowed(pairs))
            }
        }
        reader.deserialize_map(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn same(text: &str) {
        let gvk = Arc::new(GroupVersionKind::gvk("", "v1", "Pod"));
        let outline = Outline::read(text).expect("it has a name");
        let (read, peeked) = (outline.head(&gvk), Head::peek(&gvk, text.as_bytes()));
        match (read, peeked) {
            (Ok(read), Ok(peeked)) => assert_eq!(format!("{read:?}"), format!("{peeked:?}")),
            (read, peeked) => assert_eq!(read.unwrap_err().to_string(), peeked.unwrap_err().to_string()),
        }
    }

    #[test]
    fn reads_the_head_that_a_peek_reads() {
        let owner = r#"{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"r","uid":"x","controller":true}"#;
        for meta in [
            r#""namespace":"n","uid":"u","resourceVersion":"5","generation":2,"deletionTimestamp":"t""#
                .to_owned(),
            r#""labels":{"a":"1","b":"\u0062"},"uid":"a\u0062""#.to_owned(),
            r#""labels":{"b":"1","a":"2","b":"3"},"managedFields":[{}]"#.to_owned(),
            format!(r#""ownerReferences":[{owner}]"#),
            r#""labels":null,"ownerReferences":null,"uid":null,"generation":null,"namespace":null"#
                .to_owned(),
            r#""labels":7"#.to_owned(),
            r#""labels":{"a":7}"#.to_owned(),
            r#""uid":7"#.to_owned(),
            r#""deletionTimestamp":{}"#.to_owned(),
            r#""generation":"x""#.to_owned(),
            r#""ownerReferences":[7]"#.to_owned(),
        ] {
            for kind in ["", r#""kind":"PartialObjectMetadata","#, r#""kind":null,"#, r#""kind":7,"#] {
                same(&format!(r#"{{{kind}"metadata":{{"name":"a",{meta}}},"spec":{{}}}}"#));
            }
        }
    }

    #[test]
    fn looks_through_fields_that_are_wrong() // C19
    {
        let outline = Outline::read(
            r#"{"kind":"Pod","spec":7,"metadata":{"labels":[],"namespace":"n","name":"a\u0062","uid":{"x":1},"resourceVersion":"5"}}"#,
        )
        .expect("it has a name");
        assert_eq!(outline.key(), &ObjectKey::from(("n", "ab")));
        assert_eq!(outline.uid(), None);
        assert_eq!(
            (outline.resource_version().as_deref(), outline.kind().as_deref()),
            (Some("5"), Some("Pod"))
        );
        assert!(Outline::read(r#"{"metadata":{"name":7}}"#).is_err());
        assert!(Outline::read(r#"{"metadata":{"name":""}}"#).is_err());
        assert!(Outline::read(r#"{}"#).is_err());
    }

    #[test]
    fn other_fields_are_known_where_there_is_one_of_them() {
        let text = r#"{"kind":"Pod","metadata":{"name":"a"},"spec":{"x":1},"status":null,"data":1,"data":2}"#;
        let outline = Outline::read(text).expect("a name");
        let found = ["spec", "status", "data", "kind", "metadata", "x"].map(|field| outline.field(field));
        assert_eq!(found, [Some(r#"{"x":1}"#), Some("null"), None, None, None, None]);
    }

    #[test]
    fn of_managed_fields_only_the_end_is_looked_for() {
        let text = r#"{"metadata":{"name":"a","managedFields":[{"broken" "[]"}]},"spec":{}}"#;
        assert_eq!(Outline::read(text).expect("a name").managed_fields(), Some(r#"[{"broken" "[]"}]"#));
        for broken in [
            r#"{"metadata":{"name":"a","managedFields":[{]},"spec":{}}"#,
            r#"{"metadata":{"name":"a","managedFields":},"spec":{}}"#,
            r#"{"metadata":{"name":"a","labels":{"broken" "[]"}},"spec":{}}"#,
            r#"{"metadata":{"name":"a"},"spec":{"broken" "[]"}}"#,
            r#"{"metadata":{"name":"a"},"spec":{}}}"#,
            r#"{"metadata":{"name":"a","name":"b"}}"#,
            r#"{"metadata":{"name":"a"},"metadata":{"name":"b"}}"#,
        ] {
            assert!(Outline::read(broken).is_err(), "{broken}");
        }
    }

    fn told(parts: Parts<'_>) -> String {
        format!("{:?}", Parts { others: Vec::new(), ..parts })
    }

    /// The outline as whoever knows everything reads it.
    fn read_all(text: &str) -> Option<String> {
        let parts: Parts<'_> = serde_json::from_str(text).ok()?;
        Some(told(parts))
    }

    proptest! {
        #[test]
        fn what_is_read_quickly_is_what_is_there(pretty: bool, kind: bool, place: prop::sample::Index, byte in prop::sample::select(b"{}[]\",:\\ 07nula".to_vec()), inserts: bool) // C19
        {
            let mut object = serde_json::json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {
                    "name": "a", "namespace": null, "uid": "u", "resourceVersion": "7", "generation": 3, "labels": { "a": "b" },
                    "ownerReferences": [], "deletionTimestamp": null, "annotations": { "l": "{\"a\":[\"b\"]}" },
                },
                "spec": { "numbers": [1, -2.5, 1e9], "text": "\u{1F980}\n" }, "message": "a \"quote\"",
            });
            if !kind {
                object.as_object_mut().expect("a map").remove("kind");
            }
            let text = if pretty { serde_json::to_string_pretty(&object) } else { serde_json::to_string(&object) };
            let mut bytes = text.expect("it is JSON").into_bytes();
            let quick = |bytes: &[u8]| {
                std::str::from_utf8(bytes).ok().and_then(|text| Some(told(Parts::quick(text)?)))
            };
            let whole = std::str::from_utf8(&bytes).ok().and_then(read_all);
            prop_assert!(whole.is_some());
            prop_assert_eq!(quick(&bytes), whole);
            let place = place.index(bytes.len());
            if inserts { bytes.insert(place, byte) } else { bytes[place] = byte }
            if let Some(quick) = quick(&bytes) {
                prop_assert_eq!(Some(quick), std::str::from_utf8(&bytes).ok().and_then(read_all));
            }
        }
    }
}
