//! One write as a value, and what came of it.

use std::{fmt, sync::Arc};

use kube_core::{
    Status,
    params::{DeleteParams, PatchParams, PostParams, PropagationPolicy},
};
use nah_cache::ListOptions;
use nah_core::{BadKey, BadObject, GroupVersionKind, Object, ObjectKey, Payload};
use serde_json::Value;

use crate::{Error, Result};

/// One write. What a fake records and a layer wraps (dry run, audit, rate). Its `Debug` leaves the body out.
#[derive(Clone)]
#[non_exhaustive]
pub struct Write {
    /// What to do.
    pub verb: Verb,
    /// The kind of the object it is done to, that of a subresource's owner.
    pub gvk: GroupVersionKind,
    /// The namespace; ignored for cluster-scoped kinds.
    pub namespace: Option<String>,
    /// None for `create` with `generateName` and for `delete_all_of`.
    pub name: Option<String>,
    /// `status`, `scale`, `eviction` and so on.
    pub subresource: Option<String>,
    /// The object or the patch as JSON; empty for deletions, whose options are fields of their own.
    #[doc(alias = "RawPatch")]
    pub body: Vec<u8>,
    /// The body of an update is the whole object, whatever the cache keeps of its kind.
    pub whole: bool,
    /// The answer may show the metadata of the object alone. Where the cache holds whole objects of the kind, the whole
    /// one is asked for all the same: a read that follows is then answered from it, and not by the server.
    pub metadata_only: bool,
    /// Only as if: nothing is changed, and nothing remembered.
    #[doc(alias = "DryRunAll")]
    pub dry_run: bool,
    /// In whose name fields are set.
    #[doc(alias = "FieldOwner")]
    pub field_manager: Option<String>,
    /// What the server does with unknown and doubled fields: `Ignore`, `Warn` or `Strict`.
    pub field_validation: Option<String>,
    /// Deletes only the object of this uid; anything else is a conflict.
    pub uid: Option<String>,
    /// Deletes only this version; anything else is a conflict.
    pub resource_version: Option<String>,
    /// How long a deleted object has to end by itself.
    pub grace_period_seconds: Option<u32>,
    /// What becomes of what a deleted object owns.
    pub propagation: Option<PropagationPolicy>,
    /// Which objects `DeleteAll` deletes; its namespace is the write's.
    pub selection: ListOptions,
}

/// What a write does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[doc(alias = "PatchType")]
pub enum Verb {
    /// Makes a new object.
    Create,
    /// Replaces the object, at the version the body names if it names one.
    Update,
    /// Merges the body into the object (RFC 7396).
    MergePatch,
    /// Edits the object step by step (RFC 6902).
    JsonPatch,
    /// Merges the body into the object by the rules of its kind.
    StrategicPatch,
    /// Sets the fields of the body and owns them (server-side apply).
    Apply {
        /// Takes fields that others own.
        force: bool,
    },
    /// Deletes one object.
    Delete,
    /// Deletes the selected objects of a namespace, or of all where the kind has none.
    #[doc(alias = "DeleteAllOf")]
    DeleteAll,
}

/// What a write that succeeded left behind.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Written {
    /// The object as the server stored it; of a subresource with a kind of its own, that.
    Object(Object),
    /// The server has removed the object, and its uid with it. So ends not only a deletion, but every write that takes
    /// the last finalizer off a terminating object.
    Gone {
        /// The uid, where the server named it.
        uid: Option<String>,
        /// The last state, where the server showed it.
        last: Option<Object>,
    },
    /// Done, and the server says nothing about the object (`eviction`, `binding`, `delete_all_of`).
    Status(Box<Status>),
}

// === impl Write ===

impl Write {
    /// A write of `object`, or with `subresource` of that part of it.
    ///
    /// # Errors
    /// [`Error::MetadataOnly`] where a metadata-only object would create or replace a whole one, [`Error::Object`] where
    /// the object does not say its kind or, unless it is to be created, its name.
    pub fn new<O: Payload>(verb: Verb, object: &O, subresource: Option<&str>) -> Result<Self> {
        if O::metadata_api() && matches!(verb, Verb::Create | Verb::Update) {
            return Err(Error::MetadataOnly);
        }
        let meta = object.meta();
        let name = meta.name.clone().filter(|name| !name.is_empty());
        if name.is_none() && verb != Verb::Create {
            return Err(BadObject::from(BadKey::NoName).into());
        }
        let gvk = object.gvk().map_err(BadObject::from)?;
        let body = match verb {
            Verb::Delete | Verb::DeleteAll => Vec::new(),
            _ => encode(verb, &gvk, object)?,
        };
        let named = Self { namespace: meta.namespace.clone(), name, ..Self::of(verb, &gvk) };
        let metadata_only = O::metadata_api();
        Ok(Self { subresource: subresource.map(Into::into), body, metadata_only, ..named })
    }

    /// A write to `key` without a body.
    pub fn at(verb: Verb, gvk: &GroupVersionKind, key: &ObjectKey) -> Self {
        Self {
            namespace: key.namespace().map(Into::into),
            name: Some(key.name().into()),
            ..Self::of(verb, gvk)
        }
    }

    /// A write to `gvk` without a key and a body.
    pub fn of(verb: Verb, gvk: &GroupVersionKind) -> Self {
        Self {
            verb,
            gvk: gvk.clone(),
            namespace: None,
            name: None,
            subresource: None,
            body: Vec::new(),
            whole: false,
            metadata_only: false,
            dry_run: false,
            field_manager: None,
            field_validation: None,
            uid: None,
            resource_version: None,
            grace_period_seconds: None,
            propagation: None,
            selection: ListOptions::default(),
        }
    }

    /// The key; none where the write names no object.
    pub fn key(&self) -> Option<ObjectKey> {
        Some(ObjectKey::new(self.namespace.as_deref(), self.name.as_deref()?))
    }

    /// With a body.
    #[must_use]
    pub fn body(self, body: Vec<u8>) -> Self {
        Self { body, ..self }
    }

    /// With the whole object as its body: without this, the update of a kind that the cache trims is refused
    /// ([`Error::Trimmed`]).
    #[must_use]
    pub fn whole(self) -> Self {
        Self { whole: true, ..self }
    }

    /// Answered by the metadata of the object, if that is all that `O` shows.
    #[must_use]
    pub fn answered_as<O: Payload>(self) -> Self {
        Self { metadata_only: O::metadata_api(), ..self }
    }

    /// Of a subresource.
    #[must_use]
    pub fn subresource(self, subresource: &str) -> Self {
        Self { subresource: Some(subresource.into()), ..self }
    }

    /// With kube's options of creations and replacements.
    #[must_use]
    pub fn post(self, params: &PostParams) -> Self {
        let PostParams { dry_run, field_manager } = params.clone();
        Self { dry_run, field_manager, ..self }
    }

    /// With kube's options of patches. `force` is the verb's.
    #[must_use]
    pub fn patch(self, params: &PatchParams) -> Self {
        let PatchParams { dry_run, field_manager, field_validation, .. } = params.clone();
        let field_validation = field_validation.map(|directive| directive.as_str().to_owned());
        Self { dry_run, field_manager, field_validation, ..self }
    }

    /// With kube's options of deletions.
    #[must_use]
    pub fn delete(self, params: &DeleteParams) -> Self {
        let DeleteParams { dry_run, grace_period_seconds, propagation_policy, preconditions } =
            params.clone();
        let preconditions = preconditions.unwrap_or_default();
        Self {
            dry_run,
            grace_period_seconds,
            propagation: propagation_policy,
            uid: preconditions.uid,
            resource_version: preconditions.resource_version,
            ..self
        }
    }
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.verb, self.gvk.kind)?;
        let name = self.name.as_deref().unwrap_or("*");
        write!(f, " {}", ObjectKey::new(self.namespace.as_deref(), name))?;
        match &self.subresource {
            Some(subresource) => write!(f, " {subresource}"),
            None => Ok(()),
        }
    }
}

fn encode<O: Payload>(verb: Verb, gvk: &GroupVersionKind, object: &O) -> Result<Vec<u8>> {
    let apply = matches!(verb, Verb::Apply { .. });
    if !apply && !O::metadata_api() {
        return serde_json::to_vec(object).map_err(Error::unsent);
    }
    let mut value = serde_json::to_value(object).map_err(Error::unsent)?;
    if let Some(fields) = value.as_object_mut() {
        // A metadata-only object says that it is one; what it is sent as is an object of its kind.
        fields.insert("apiVersion".into(), Value::String(gvk.api_version()));
        fields.insert("kind".into(), Value::String(gvk.kind.clone()));
    }
    // The server refuses to be told who owns what.
    if let Some(meta) = value.get_mut("metadata").and_then(Value::as_object_mut).filter(|_| apply) {
        meta.remove("managedFields");
    }
    serde_json::to_vec(&value).map_err(Error::unsent)
}

// === impl Written ===

impl Written {
    /// The object, or the last state of one that is gone.
    ///
    /// # Errors
    /// [`Error::Decode`] where it is of another kind or does not parse, [`Error::NoObject`] where the server showed
    /// none. The write has happened all the same.
    pub fn decode<O: Payload>(&self) -> Result<Arc<O>> {
        match self {
            Self::Object(object) | Self::Gone { last: Some(object), .. } => Ok(object.decode()?),
            Self::Gone { last: None, .. } | Self::Status(_) => Err(Error::NoObject),
        }
    }

    /// The object, or the last state of one that is gone, as a handle.
    pub fn object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) | Self::Gone { last: Some(object), .. } => Some(object),
            Self::Gone { last: None, .. } | Self::Status(_) => None,
        }
    }

    /// Whether the server has removed the object.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Gone { .. })
    }
}
