//! What one can ask a writer for.

use std::{fmt::Debug, future::Future, sync::Arc};

use http::header;
use kube_core::params::{DeleteParams, Patch, PatchParams, PostParams};
use nah_cache::ListOptions;
use nah_core::{GroupVersionKind, Kind, ObjectKey, Payload};
use serde::Serialize;

use crate::{Error, Result, Verb, Write, Writer, Written};

/// Typed writes. Each goes to the server at once and answers with what the server stored; a read that follows shows
/// it or something newer. `create(&o)` is `create_with(&o, &PostParams::default())`, and so on, with kube's params.
///
/// An error tells with [`Error::effect`] what it did to the server.
pub trait WriterExt: Writer {
    /// Makes a new object.
    ///
    /// # Errors
    /// [`Error::is_already_exists`] where there is one of that name, [`Error::MetadataOnly`].
    #[doc(alias = "Create")]
    fn create<O: Payload>(
        &self,
        object: &O,
    ) -> impl Future<Output = Result<Arc<O>>> + Send + use<'_, Self, O> {
        done(self, Write::new(Verb::Create, object, None))
    }

    /// As [`create`](Self::create), with options.
    #[doc(alias = "CreateOptions")]
    fn create_with<O: Payload>(
        &self,
        object: &O,
        params: &PostParams,
    ) -> impl Future<Output = Result<Arc<O>>> + Send + use<'_, Self, O> {
        done(self, Write::new(Verb::Create, object, None).map(|write| write.post(params)))
    }

    /// Replaces the object, at the version it carries if it carries one. What `O` does not know is lost:
    /// [`modify`](crate::ReadWriteExt::modify) keeps it.
    ///
    /// # Errors
    /// [`Error::is_conflict`] where somebody else was faster, [`Error::MetadataOnly`], [`Error::Trimmed`] for a kind that
    /// the cache trims.
    #[doc(alias = "Update")]
    fn update<O: Payload>(
        &self,
        object: &O,
    ) -> impl Future<Output = Result<Arc<O>>> + Send + use<'_, Self, O> {
        done(self, Write::new(Verb::Update, object, None))
    }

    /// As [`update`](Self::update), with options.
    #[doc(alias = "UpdateOptions")]
    fn update_with<O: Payload>(
        &self,
        object: &O,
        params: &PostParams,
    ) -> impl Future<Output = Result<Arc<O>>> + Send + use<'_, Self, O> {
        done(self, Write::new(Verb::Update, object, None).map(|write| write.post(params)))
    }

    /// Replaces the object's status alone.
    #[doc(alias = "Status")]
    fn update_status<O: Payload>(
        &self,
        object: &O,
    ) -> impl Future<Output = Result<Arc<O>>> + Send + use<'_, Self, O> {
        done(self, Write::new(Verb::Update, object, Some("status")))
    }

    /// As [`update_status`](Self::update_status), with options.
    #[doc(alias = "SubResourceUpdateOptions")]
    fn update_status_with<O: Payload>(
        &self,
        object: &O,
        params: &PostParams,
    ) -> impl Future<Output = Result<Arc<O>>> + Send + use<'_, Self, O> {
        done(self, Write::new(Verb::Update, object, Some("status")).map(|write| write.post(params)))
    }

    /// Sets the fields of `object` and owns them as `manager` (server-side apply).
    ///
    /// # Errors
    /// [`Error::is_conflict`] where somebody else owns one of them with another value.
    #[doc(alias = "Apply")]
    #[doc(alias = "ApplyConfigurationFromUnstructured")]
    fn apply<O: Payload>(
        &self,
        object: &O,
        manager: &str,
    ) -> impl Future<Output = Result<Arc<O>>> + Send + use<'_, Self, O> {
        self.apply_with(object, &PatchParams::apply(manager))
    }

    /// As [`apply`](Self::apply), with options: `force` takes fields that others own.
    ///
    /// # Errors
    /// As `apply`, and a bad request without a field manager.
    #[doc(alias = "ApplyOptions")]
    #[doc(alias = "ForceOwnership")]
    fn apply_with<O: Payload>(
        &self,
        object: &O,
        params: &PatchParams,
    ) -> impl Future<Output = Result<Arc<O>>> + Send + use<'_, Self, O> {
        done(self, applied(object, None, params))
    }

    /// As [`apply_with`](Self::apply_with), of the status alone.
    fn apply_status<O: Payload>(
        &self,
        object: &O,
        params: &PatchParams,
    ) -> impl Future<Output = Result<Arc<O>>> + Send + use<'_, Self, O> {
        done(self, applied(object, Some("status"), params))
    }

    /// Patches the object at `key`; of `PartialObjectMeta<K>` too.
    #[doc(alias = "Patch")]
    #[doc(alias = "RawPatch")]
    #[doc(alias = "PatchOptions")]
    #[doc(alias = "StrategicMergeFrom")]
    fn patch<K: Kind>(
        &self,
        key: impl Into<ObjectKey>,
        patch: &Patch<impl Serialize + Debug + Sync>,
        params: &PatchParams,
    ) -> impl Future<Output = Result<Arc<K>>> + Send {
        done(self, patched(&K::kind_of(), &key.into(), patch, params).map(Write::answered_as::<K>))
    }

    /// As [`patch`](Self::patch), of the status alone.
    fn patch_status<K: Kind>(
        &self,
        key: impl Into<ObjectKey>,
        patch: &Patch<impl Serialize + Debug + Sync>,
        params: &PatchParams,
    ) -> impl Future<Output = Result<Arc<K>>> + Send {
        let write = patched(&K::kind_of(), &key.into(), patch, params);
        done(self, write.map(|write| write.subresource("status").answered_as::<K>()))
    }

    /// As [`patch`](Self::patch), of a kind known at run time, and of a subresource where one is named.
    #[doc(alias = "SubResource")]
    fn patch_for_kind(
        &self,
        gvk: &GroupVersionKind,
        key: &ObjectKey,
        subresource: Option<&str>,
        patch: &Patch<impl Serialize + Debug + Sync>,
        params: &PatchParams,
    ) -> impl Future<Output = Result<Written>> + Send {
        let write = patched(gvk, key, patch, params).map(|mut write| {
            write.subresource = subresource.map(Into::into);
            write
        });
        async move { self.write(write?).await }
    }

    /// Creates a subresource of the object at `key` from a body of its own: `eviction`, `binding`, `token`.
    #[doc(alias = "SubResource")]
    #[doc(alias = "SubResourceCreate")]
    fn create_subresource<K: Kind>(
        &self,
        key: impl Into<ObjectKey>,
        subresource: &str,
        body: &(impl Serialize + Sync),
        params: &PostParams,
    ) -> impl Future<Output = Result<Written>> + Send {
        let write = owned::<K>(Verb::Create, &key.into(), subresource, body, params);
        async move { self.write(write?).await }
    }

    /// Replaces a subresource of the object at `key` by a body of its own, such as a `Scale`.
    #[doc(alias = "SubResource")]
    #[doc(alias = "SubResourceUpdate")]
    #[doc(alias = "WithSubResourceBody")]
    fn update_subresource<K: Kind>(
        &self,
        key: impl Into<ObjectKey>,
        subresource: &str,
        body: &(impl Serialize + Sync),
        params: &PostParams,
    ) -> impl Future<Output = Result<Written>> + Send {
        let write = owned::<K>(Verb::Update, &key.into(), subresource, body, params);
        async move { self.write(write?).await }
    }

    /// Deletes the object, whatever its version and uid. With finalizers it lives on, terminating.
    ///
    /// # Errors
    /// [`Error::is_not_found`] where there is none.
    #[doc(alias = "Delete")]
    fn delete<O: Payload>(&self, object: &O) -> impl Future<Output = Result<()>> + Send + use<'_, Self, O> {
        let write = Write::new(Verb::Delete, object, None);
        async move { self.write(write?).await.map(drop) }
    }

    /// As [`delete`](Self::delete), with options: preconditions, grace period, propagation, dry run.
    #[doc(alias = "DeleteOptions")]
    fn delete_with<O: Payload>(
        &self,
        object: &O,
        params: &DeleteParams,
    ) -> impl Future<Output = Result<()>> + Send + use<'_, Self, O> {
        let write = Write::new(Verb::Delete, object, None).map(|write| write.delete(params));
        async move { self.write(write?).await.map(drop) }
    }

    /// As [`delete`](Self::delete), by key.
    fn delete_by_key<K: Kind>(&self, key: impl Into<ObjectKey>) -> impl Future<Output = Result<()>> + Send {
        let write = Write::at(Verb::Delete, &K::kind_of(), &key.into()).answered_as::<K>();
        async move { self.write(write).await.map(drop) }
    }

    /// As [`delete_with`](Self::delete_with), by key, of a kind known at run time.
    fn delete_for_kind(
        &self,
        gvk: &GroupVersionKind,
        key: &ObjectKey,
        params: &DeleteParams,
    ) -> impl Future<Output = Result<()>> + Send + use<'_, Self> {
        let write = Write::at(Verb::Delete, gvk, key).delete(params);
        async move { self.write(write).await.map(drop) }
    }

    /// Deletes all objects that `options` select, in one request. Labels and fields are the server's; a namespaced kind
    /// needs a namespace. Lists that follow may still show some of them until the cache has caught up.
    ///
    /// # Errors
    /// A bad request where an owner or a limit is set: the server knows neither, and would delete more than was meant.
    #[doc(alias = "DeleteAllOf")]
    fn delete_all_of<K: Kind>(
        &self,
        options: ListOptions,
    ) -> impl Future<Output = Result<()>> + Send + use<'_, Self, K> {
        self.delete_all_of_for_kind(&K::kind_of(), options, &DeleteParams::default())
    }

    /// As [`delete_all_of`](Self::delete_all_of), with options, of a kind known at run time.
    #[doc(alias = "DeleteAllOfOptions")]
    fn delete_all_of_for_kind(
        &self,
        gvk: &GroupVersionKind,
        options: ListOptions,
        params: &DeleteParams,
    ) -> impl Future<Output = Result<()>> + Send + use<'_, Self> {
        let write = all(gvk, options).map(|write| write.delete(params));
        async move { self.write(write?).await.map(drop) }
    }
}

impl<T: Writer + ?Sized> WriterExt for T {}

async fn done<O: Payload, W: Writer + ?Sized>(writer: &W, write: Result<Write>) -> Result<Arc<O>> {
    writer.write(write?).await?.decode()
}

fn applied<O: Payload>(object: &O, subresource: Option<&str>, params: &PatchParams) -> Result<Write> {
    let write = Write::new(Verb::Apply { force: params.force }, object, subresource)?.patch(params);
    if write.field_manager.as_deref().is_none_or(str::is_empty) {
        let key = crate::request::shown(&write);
        return Err(Error::bad_request(&write.gvk, key, "apply needs a field manager"));
    }
    Ok(write)
}

fn patched(
    gvk: &GroupVersionKind,
    key: &ObjectKey,
    patch: &Patch<impl Serialize>,
    params: &PatchParams,
) -> Result<Write> {
    // kube's own request knows the type of each patch, the ones behind features too.
    let request = kube_core::Request::new("").patch(key.name(), params, patch);
    let (parts, body) = request.map_err(Error::unsent)?.into_parts();
    let content = parts.headers.get(header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    let verb = match content {
        Some(b"application/json-patch+json") => Verb::JsonPatch,
        Some(b"application/strategic-merge-patch+json") => Verb::StrategicPatch,
        Some(b"application/apply-patch+yaml") => Verb::Apply { force: params.force },
        _ => Verb::MergePatch,
    };
    Ok(Write::at(verb, gvk, key).body(body).patch(params))
}

fn owned<K: Kind>(
    verb: Verb,
    key: &ObjectKey,
    subresource: &str,
    body: &impl Serialize,
    params: &PostParams,
) -> Result<Write> {
    let body = serde_json::to_vec(body).map_err(Error::unsent)?;
    Ok(Write::at(verb, &K::kind_of(), key).subresource(subresource).body(body).post(params))
}

fn all(gvk: &GroupVersionKind, options: ListOptions) -> Result<Write> {
    let namespace = options.namespace().map(str::to_owned);
    if options.owner().is_some() || options.limit_of().is_some() || !options.field_sets().is_empty() {
        let message = "a deletion of many can be limited by namespace, labels and one value of a field only";
        return Err(Error::bad_request(gvk, namespace.unwrap_or_default(), message));
    }
    Ok(Write { namespace, selection: options, ..Write::of(Verb::DeleteAll, gvk) })
}
