//! What stands where in an object's text.

use std::{borrow::Cow, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::{DecodeError, GroupVersionKind, Head, ObjectKey, ResourceVersion, Uid, head::owners};

/// What stands where in an object's text: read in one pass, which copies nothing but the key.
///
/// All of the text is JSON, and the object has a name; it may be unreadable otherwise.
#[derive(Debug)]
pub struct Outline<'a> {
    text: &'a str,
    key: ObjectKey,
    api_version: Option<&'a RawValue>,
    kind: Option<&'a RawValue>,
    meta: Meta<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parts<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    api_version: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Meta<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    namespace: Option<Cow<'a, str>>,
    #[serde(borrow)]
    uid: Option<&'a RawValue>,
    #[serde(borrow)]
    resource_version: Option<&'a RawValue>,
    #[serde(borrow)]
    generation: Option<&'a RawValue>,
    #[serde(borrow)]
    deletion_timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    labels: Option<&'a RawValue>,
    #[serde(borrow)]
    owner_references: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    managed_fields: Option<&'a RawValue>,
}

/// A value that is there, null included.
fn present<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(reader).map(Some)
}

impl<'a> Outline<'a> {
    /// Reads the outline of an object.
    ///
    /// # Errors
    /// Where the text is no JSON, or has no name to tell what object it is.
    pub fn read(text: &'a str) -> Result<Self, serde_json::Error> {
        let Parts { api_version, kind, metadata: meta } = serde_json::from_str(text)?;
        if meta.name.is_empty() {
            return Err(serde::de::Error::custom("object has no name"));
        }
        let key = ObjectKey::new(meta.namespace.as_deref(), &meta.name);
        Ok(Self { text, key, api_version, kind, meta })
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

    /// The value of `metadata.managedFields`, null included, as a part of the text.
    pub fn managed_fields(&self) -> Option<&'a str> {
        self.meta.managed_fields.map(RawValue::get)
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
            Some(labels) => serde_json::from_str::<Borrowed<'_>>(labels.get()).ok()?.0,
            None => Vec::new(),
        };
        let references = match self.meta.owner_references {
            Some(raw) => Some(serde_json::from_str::<Vec<OwnerReference>>(raw.get()).ok()?),
            None => None,
        };
        let generation = match self.meta.generation {
            Some(generation) => Some(serde_json::from_str(generation.get()).ok()?),
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
            owners: owners(references.as_deref()),
            metadata_only: kind.as_deref() == Some("PartialObjectMetadata"),
            trimmed: false,
        })
    }
}

/// What is not there is no text; what is there must be one.
fn sound<T>(text: Option<Option<T>>) -> Option<Option<T>> {
    text.map_or(Some(None), |text| text.map(Some))
}

/// A value that is a text.
fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let quoted = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if !quoted.contains('\\') {
        return Some(Cow::Borrowed(quoted));
    }
    serde_json::from_str(raw.get()).ok().map(Cow::Owned)
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
}
