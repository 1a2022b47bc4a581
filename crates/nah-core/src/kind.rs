//! What a write can send and a read can become.

use std::{any::TypeId, cell::RefCell, collections::HashMap, fmt::Debug, sync::Arc};

use foldhash::fast::RandomState;
use kube_core::{Resource, TypeMeta};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{ApiResource, BadKey, GroupVersionKind, ObjectKey, UnknownKind};

/// How an object tells its kind: by its type (`()`), or by the `types` it carries (`ApiResource`).
pub trait KindSource: Sized {
    /// The kind of `object`.
    ///
    /// # Errors
    /// [`UnknownKind`] where neither its type nor its content names one.
    fn gvk_of<T: Resource<DynamicType = Self> + Serialize>(
        object: &T,
    ) -> Result<GroupVersionKind, UnknownKind>;

    /// Whether an object of `gvk` may be read as `T`. (A Secret parses as a ConfigMap; it must not be one.)
    fn reads<T: Resource<DynamicType = Self>>(gvk: &GroupVersionKind) -> bool;
}

impl KindSource for () {
    fn gvk_of<T: Resource<DynamicType = ()> + Serialize>(_: &T) -> Result<GroupVersionKind, UnknownKind> {
        Ok(GroupVersionKind::gvk(&T::group(&()), &T::version(&()), &T::kind(&())))
    }

    fn reads<T: Resource<DynamicType = ()>>(gvk: &GroupVersionKind) -> bool {
        T::kind(&()) == gvk.kind && T::group(&()) == gvk.group && T::version(&()) == gvk.version
    }
}

impl KindSource for ApiResource {
    /// From `apiVersion` and `kind` of what the object serializes to: `Resource` gives no access to the fields of a
    /// type that is known at run time only.
    fn gvk_of<T: Resource<DynamicType = Self> + Serialize>(
        object: &T,
    ) -> Result<GroupVersionKind, UnknownKind> {
        let value = serde_json::to_value(object).map_err(|_| UnknownKind)?;
        let types = TypeMeta::deserialize(&value).map_err(|_| UnknownKind)?;
        if types.api_version.is_empty() || types.kind.is_empty() {
            return Err(UnknownKind);
        }
        GroupVersionKind::try_from(&types).map_err(|_| UnknownKind)
    }

    fn reads<T: Resource<DynamicType = Self>>(_: &GroupVersionKind) -> bool {
        true
    }
}

/// What a write can send and a read can become: every typed kind, `DynamicObject`, `PartialObjectMeta`.
pub trait Payload:
    Resource<DynamicType: KindSource> + Serialize + DeserializeOwned + Clone + Debug + Send + Sync + 'static
{
    /// The kind of this object: its type's, or the one a dynamic object carries.
    ///
    /// # Errors
    /// [`UnknownKind`] for a dynamic object without `apiVersion` and `kind`.
    #[doc(alias = "GVKForObject")]
    #[doc(alias = "GroupVersionKindFor")]
    fn gvk(&self) -> Result<GroupVersionKind, UnknownKind> {
        <Self as Resource>::DynamicType::gvk_of(self)
    }

    /// The key of this object.
    ///
    /// # Errors
    /// [`BadKey::NoName`] where it has no name yet (`generateName`).
    #[doc(alias = "ObjectKeyFromObject")]
    fn key(&self) -> Result<ObjectKey, BadKey> {
        ObjectKey::of(self.meta())
    }
}

impl<T> Payload for T where
    T: Resource<DynamicType: KindSource>
        + Serialize
        + DeserializeOwned
        + Clone
        + Debug
        + Send
        + Sync
        + 'static
{
}

/// A payload whose kind the compiler knows.
pub trait Kind: Payload + Resource<DynamicType = ()> {
    /// The kind, made once a thread: building one costs three allocations, as much as the read it is for.
    fn kind_of() -> Arc<GroupVersionKind> {
        thread_local! {
            static KINDS: RefCell<HashMap<TypeId, Arc<GroupVersionKind>, RandomState>> = RefCell::default();
        }
        let make = || GroupVersionKind::gvk(&Self::group(&()), &Self::version(&()), &Self::kind(&())).into();
        KINDS.with_borrow_mut(|kinds| kinds.entry(TypeId::of::<Self>()).or_insert_with(make).clone())
    }
}

impl<K: Payload + Resource<DynamicType = ()>> Kind for K {}
