//! What is known of an object without decoding it.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde::Deserialize;

use crate::{
    BadKey, BadObject, DecodeError, GroupVersionKind, Labels, ObjectKey, ObjectMeta, ResourceVersion, Uid,
    object,
};

/// What is known of an object without decoding it: enough for predicates, owner maps and label selectors.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Head {
    /// The kind.
    pub gvk: Arc<GroupVersionKind>,
    /// `namespace/name`, or `name`.
    pub key: ObjectKey,
    /// `metadata.uid`; none of an object the server has not seen.
    pub uid: Option<Uid>,
    /// `metadata.resourceVersion`; none of an object the server has not seen.
    pub resource_version: Option<ResourceVersion>,
    /// `metadata.generation`: counts the changes of the spec, where the kind has one.
    pub generation: Option<i64>,
    /// `metadata.deletionTimestamp` is set.
    pub terminating: bool,
    /// `metadata.labels`.
    pub labels: Labels,
    /// `metadata.ownerReferences`.
    pub owners: Arc<[Owner]>,
    /// Only its metadata is known: it came as a `PartialObjectMetadata`.
    pub metadata_only: bool,
    /// A cache may have dropped parts of the object, as it was told to for this kind.
    pub trimmed: bool,
}

/// One of an object's `ownerReferences`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Owner {
    /// The owner's kind.
    pub gvk: GroupVersionKind,
    /// The owner's name; its namespace is the object's, or none.
    pub name: String,
    /// The owner's uid.
    pub uid: String,
    /// Whether this owner is the managing controller.
    pub controller: bool,
}

/// The fields of an object's JSON that a head is made of. Everything else is skipped, not parsed into values.
#[derive(Deserialize)]
struct Peeked<'a> {
    #[serde(borrow, default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    metadata: PeekedMeta<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PeekedMeta<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    namespace: Option<Cow<'a, str>>,
    #[serde(borrow)]
    uid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    resource_version: Option<Cow<'a, str>>,
    generation: Option<i64>,
    #[serde(borrow)]
    deletion_timestamp: Option<Cow<'a, str>>,
    labels: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<OwnerReference>>,
}

impl Head {
    /// What the head takes in memory, in bytes, beside itself: its texts, but not what is shared with other heads (the
    /// kind, and equal labels and owners, which a cache keeps once).
    pub fn heap_bytes(&self) -> usize {
        let key = self.key.as_str().len() + 2 * size_of::<usize>();
        key + self.uid.as_ref().map_or(0, Uid::heap)
            + self.resource_version.as_ref().map_or(0, ResourceVersion::heap)
    }

    /// The head of a value with metadata.
    ///
    /// # Errors
    /// [`BadKey::NoName`] where it has no name yet.
    pub fn of(gvk: Arc<GroupVersionKind>, meta: &ObjectMeta) -> Result<Self, BadObject> {
        Ok(Self {
            key: ObjectKey::of(meta)?,
            uid: meta.uid.as_deref().map(Uid::from),
            resource_version: meta.resource_version.as_deref().map(ResourceVersion::from),
            generation: meta.generation,
            terminating: meta.deletion_timestamp.is_some(),
            trimmed: false,
            labels: meta.labels.iter().flatten().collect(),
            owners: owners(meta.owner_references.as_deref()),
            metadata_only: false,
            gvk,
        })
    }

    /// The head of an encoded object of kind `gvk`, read in one pass that keeps nothing else.
    ///
    /// # Errors
    /// A [`DecodeError`] where the text is no JSON object with a `metadata.name`, or a field of the head has the
    /// wrong type.
    pub fn peek(gvk: &Arc<GroupVersionKind>, json: &[u8]) -> Result<Self, DecodeError> {
        let unnamed = || ObjectKey::cluster("?");
        let Peeked { kind, metadata: meta } = object::from_json(json)
            .map_err(|(error, path)| DecodeError::new(gvk.clone(), unnamed(), error).at(path))?;
        if meta.name.is_empty() {
            return Err(DecodeError::new(gvk.clone(), unnamed(), BadKey::NoName).at("metadata.name"));
        }
        Ok(Self {
            gvk: gvk.clone(),
            key: ObjectKey::new(meta.namespace.as_deref(), &meta.name),
            uid: meta.uid.as_deref().map(Uid::from),
            resource_version: meta.resource_version.as_deref().map(ResourceVersion::from),
            generation: meta.generation,
            terminating: meta.deletion_timestamp.is_some(),
            trimmed: false,
            labels: meta.labels.iter().flatten().collect(),
            owners: owners(meta.owner_references.as_deref()),
            metadata_only: kind.as_deref() == Some("PartialObjectMetadata"),
        })
    }
}

/// Those of most objects are none, and take nothing.
fn owners(references: Option<&[OwnerReference]>) -> Arc<[Owner]> {
    match references {
        None | Some([]) => Arc::default(),
        Some(references) => references.iter().map(Owner::from).collect(),
    }
}

impl From<&OwnerReference> for Owner {
    fn from(owner: &OwnerReference) -> Self {
        Self {
            gvk: owner.clone().into(),
            name: owner.name.clone(),
            uid: owner.uid.clone(),
            controller: owner.controller == Some(true),
        }
    }
}
