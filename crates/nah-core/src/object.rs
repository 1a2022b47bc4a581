//! An object of any kind, as a handle.

use std::{
    any::{Any, TypeId},
    borrow::Cow,
    fmt::{self, Debug},
    sync::{Arc, OnceLock},
};

use kube_core::TypeMeta;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    BadObject, DecodeError, DynamicObject, GroupVersionKind, Head, Kind, KindSource, Labels, ObjectKey,
    ObjectMeta, Owner, Payload, ResourceVersion, Uid,
};

/// What an object is made of. A store's entry implements it, and so does a typed value.
pub trait Body: Send + Sync + 'static {
    /// What is known without decoding.
    fn head(&self) -> &Head;

    /// The whole object as JSON.
    ///
    /// # Errors
    /// A [`DecodeError`] where the encoded form cannot be read back.
    fn json(&self) -> Result<Cow<'_, [u8]>, DecodeError>;

    /// Hands the whole object as JSON to `read`. A body that keeps its bytes encoded lends a buffer here, where
    /// [`json`](Self::json) has to make one.
    ///
    /// # Errors
    /// As [`json`](Self::json); `read` is not called then.
    fn lend(&self, read: &mut dyn FnMut(&[u8])) -> Result<(), DecodeError> {
        read(&self.json()?);
        Ok(())
    }

    /// The body itself, for who made it and wants it back; none where nobody does.
    fn as_any(&self) -> Option<&dyn Any> {
        None
    }

    /// A decoded form that was remembered, or is what this body is made of.
    fn recall(&self, _: TypeId) -> Option<Arc<dyn Any + Send + Sync>> {
        None
    }

    /// Offers a decoded form to keep. A body may forget it at any time.
    fn remember(&self, _: Arc<dyn Any + Send + Sync>) {}
}

/// An object of any kind: a cheap handle over a [`Body`].
///
/// Its head is there without a decode. Objects are shared and never change; who edits, clones the decoded value
/// first. `Debug` prints kind and key only: bodies hold secrets.
#[derive(Clone)]
pub struct Object(Arc<dyn Body>);

impl Object {
    /// A handle over `body`.
    pub fn new(body: impl Body) -> Self {
        Self(Arc::new(body))
    }

    /// An object made of a value; encoded only when somebody asks for its JSON.
    ///
    /// # Errors
    /// [`BadObject`] where the value has no name, or is dynamic and does not say its kind.
    pub fn from_typed<T: Payload>(value: Arc<T>) -> Result<Self, BadObject> {
        let head = Head::of(Arc::new(value.gvk()?), value.meta())?;
        Ok(Self::new(Typed { head, value }))
    }

    /// An object of kind `gvk` made of its JSON, whose head is read now and the rest when asked for.
    ///
    /// # Errors
    /// A [`DecodeError`] where the text is no JSON object with a `metadata.name`.
    pub fn from_json(gvk: &GroupVersionKind, json: Vec<u8>) -> Result<Self, DecodeError> {
        let head = Head::peek(&Arc::new(gvk.clone()), &json)?;
        Ok(Self::new(Encoded { head, json, memo: OnceLock::new() }))
    }

    /// A handle over a body that is shared already.
    pub fn from_body(body: Arc<impl Body>) -> Self {
        Self(body)
    }

    /// The body, where it is a `B` and says so.
    pub fn body<B: Body>(&self) -> Option<&B> {
        self.0.as_any()?.downcast_ref()
    }

    /// Whether the two are handles over one body.
    pub fn is_same(&self, other: &Self) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(&self.0), Arc::as_ptr(&other.0))
    }

    /// What is known without decoding.
    pub fn head(&self) -> &Head {
        self.0.head()
    }

    /// The kind.
    pub fn gvk(&self) -> &GroupVersionKind {
        &self.head().gvk
    }

    /// `namespace/name`, or `name`.
    pub fn key(&self) -> &ObjectKey {
        &self.head().key
    }

    /// The uid; none of an object the server has not seen.
    pub fn uid(&self) -> Option<&Uid> {
        self.head().uid.as_ref()
    }

    /// The version; none of an object the server has not seen.
    pub fn resource_version(&self) -> Option<&ResourceVersion> {
        self.head().resource_version.as_ref()
    }

    /// The generation, where the kind counts one.
    pub fn generation(&self) -> Option<i64> {
        self.head().generation
    }

    /// Whether `metadata.deletionTimestamp` is set.
    pub fn is_terminating(&self) -> bool {
        self.head().terminating
    }

    /// Whether a cache may have dropped parts of the object, as it was told to for this kind. What is not in it may
    /// still be at the server: it must not replace what is there.
    pub fn is_trimmed(&self) -> bool {
        self.head().trimmed
    }

    /// The labels.
    pub fn labels(&self) -> &Labels {
        &self.head().labels
    }

    /// The owner references.
    pub fn owners(&self) -> &[Owner] {
        &self.head().owners
    }

    /// The key of the owner that is marked as controller, if that is of kind `K` (in any version).
    pub fn controller_of<K: Kind>(&self) -> Option<ObjectKey> {
        let owner = self.owners().iter().find(|owner| owner.controller)?;
        let same = owner.gvk.kind == K::kind(&()) && owner.gvk.group == K::group(&());
        same.then(|| ObjectKey::new(self.key().namespace(), &owner.name))
    }

    /// The whole object as `T`, remembered by bodies that do.
    ///
    /// # Errors
    /// A [`DecodeError`] where the object is of another kind (a Secret would parse as a ConfigMap), or does not
    /// parse; it names the JSON path.
    pub fn decode<T: Payload>(&self) -> Result<Arc<T>, DecodeError> {
        if let Some(known) = self.recall() {
            return Ok(known);
        }
        if !T::DynamicType::reads::<T>(self.gvk()) {
            return Err(self.error(format!("object is no {}", std::any::type_name::<T>())));
        }
        if self.head().metadata_only && !T::metadata_api() {
            return Err(self.error("only its metadata is cached"));
        }
        let value: Arc<T> = Arc::new(self.project()?);
        self.0.remember(value.clone());
        Ok(value)
    }

    /// The whole object as `T`, where it is one already and takes no decode.
    fn recall<T: Payload>(&self) -> Option<Arc<T>> {
        // What is remembered as `T` was checked to be one when it was decoded, and what was made of one is one.
        self.0.recall(TypeId::of::<T>())?.downcast().ok()
    }

    /// Only the fields that `T` names, read from the encoded object and not remembered: five times cheaper than a
    /// whole Pod for one field.
    ///
    /// # Errors
    /// A [`DecodeError`] that names the JSON path of what does not fit `T`.
    pub fn project<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        self.read(|json| from_json(json).map_err(|(error, path)| self.error(error).at(path)))?
    }

    /// What `read` makes of the whole object as JSON, which is only lent: cheaper than [`json`](Self::json) for an
    /// object that is kept encoded.
    ///
    /// # Errors
    /// As [`json`](Self::json).
    pub fn read<R>(&self, read: impl FnOnce(&[u8]) -> R) -> Result<R, DecodeError> {
        let (mut read, mut answer) = (Some(read), None);
        self.0.lend(&mut |json| answer = read.take().map(|read| read(json)))?;
        answer.ok_or_else(|| self.error("body did not say what it is"))
    }

    /// The whole object as JSON.
    ///
    /// # Errors
    /// A [`DecodeError`] where the encoded form cannot be read back.
    pub fn json(&self) -> Result<Cow<'_, [u8]>, DecodeError> {
        self.0.json()
    }

    /// The whole object, untyped, with `apiVersion` and `kind` set.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn dynamic(&self) -> Result<Arc<DynamicObject>, DecodeError> {
        let object = self.decode::<DynamicObject>()?;
        if object.types.is_some() {
            return Ok(object);
        }
        // Items of a list come without apiVersion and kind; what is written back needs them.
        let mut object = DynamicObject::clone(&object);
        object.types =
            Some(TypeMeta { api_version: self.gvk().api_version(), kind: self.gvk().kind.clone() });
        Ok(Arc::new(object))
    }

    /// The whole metadata.
    ///
    /// # Errors
    /// As [`project`](Self::project).
    pub fn metadata(&self) -> Result<ObjectMeta, DecodeError> {
        #[derive(Deserialize)]
        struct Meta {
            metadata: ObjectMeta,
        }
        Ok(self.project::<Meta>()?.metadata)
    }

    fn error(&self, source: impl Into<crate::BoxError>) -> DecodeError {
        DecodeError::new(self.head().gvk.clone(), self.key().clone(), source)
    }
}

/// The value of a text, or what is wrong with it and where.
pub(crate) fn from_json<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, (serde_json::Error, String)> {
    // To keep track of the path costs as much as to read, so it is done where there is something to tell. A text that
    // is known to be one is read faster than bytes.
    if let Some(value) = std::str::from_utf8(json).ok().and_then(|text| serde_json::from_str(text).ok()) {
        return Ok(value);
    }
    let reader = &mut serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(&mut *reader).map_err(|error| {
        let path = error.path().to_string();
        (error.into_inner(), path)
    })?;
    reader.end().map_err(|error| (error, ".".to_owned()))?;
    Ok(value)
}

impl Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.gvk().kind, self.key())
    }
}

/// The body of an object made from a value.
struct Typed<T> {
    head: Head,
    value: Arc<T>,
}

impl<T: Payload> Body for Typed<T> {
    fn head(&self) -> &Head {
        &self.head
    }

    fn json(&self) -> Result<Cow<'_, [u8]>, DecodeError> {
        serde_json::to_vec(&*self.value)
            .map(Cow::Owned)
            .map_err(|error| DecodeError::new(self.head.gvk.clone(), self.head.key.clone(), error))
    }

    fn recall(&self, as_type: TypeId) -> Option<Arc<dyn Any + Send + Sync>> {
        (as_type == TypeId::of::<T>()).then(|| self.value.clone() as _)
    }
}

/// The body of an object made from its JSON. Remembers the first type it was decoded as.
struct Encoded {
    head: Head,
    json: Vec<u8>,
    memo: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl Body for Encoded {
    fn head(&self) -> &Head {
        &self.head
    }

    fn json(&self) -> Result<Cow<'_, [u8]>, DecodeError> {
        Ok(Cow::Borrowed(&self.json))
    }

    fn recall(&self, as_type: TypeId) -> Option<Arc<dyn Any + Send + Sync>> {
        self.memo.get().filter(|memo| (***memo).type_id() == as_type).cloned()
    }

    fn remember(&self, decoded: Arc<dyn Any + Send + Sync>) {
        // The first type wins: one object is nearly always read as one type, and a lost memo costs a decode.
        let _ = self.memo.set(decoded);
    }
}
