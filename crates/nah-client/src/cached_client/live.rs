//! Reads from the server itself.

use std::sync::Arc;

use bytes::Bytes;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::StatusCode;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube_core::WatchEvent;
use nah_cache::{CacheError, List, ListOptions, Mapping, admit};
use nah_core::{DecodeError, DynamicObject, GroupVersionKind, Object, ObjectKey, ResourceVersion};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    CachedClient,
    exchange::Answer,
    flight::{forget_unserved, of_own_kind},
};
use crate::{
    Error, Result,
    overlay::{Question, Said, Verdict, read, version_of},
    overlays::KindOverlay,
    request,
};

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(borrow, default)]
    items: Vec<&'a RawValue>,
}

pub(super) async fn get(
    client: &CachedClient,
    gvk: GroupVersionKind,
    key: ObjectKey,
    metadata: bool,
) -> Result<Option<Object>> {
    let (mapping, key) = found(client, &gvk, key).await?;
    let kind = client.inner.overlays.kind(&gvk);
    kind.set_informer(client.inner.informers.existing(&gvk));
    let sent = kind.send(Some(&key));
    let answer = client.exchange(&request::get(&mapping, &key, metadata)?, false).await?;
    let Answer { code, body } = &answer;
    let question = Question {
        gvk: &gvk,
        plural: &mapping.resource.plural,
        name: Some(key.name()),
        subresource: None,
        creates: false,
        deletes: false,
    };
    match read(&question, metadata, *code, body) {
        Verdict::Missing => {
            kind.answer(&sent, &key, Said::Gone { uid: None, known: 0 });
            Ok(None)
        }
        Verdict::Whole => {
            let object = admit(&Arc::new(gvk.clone()), body.clone())?;
            remember(client, &kind, object.resource_version());
            if let Some(said) = seen(client, &gvk, &object) {
                kind.answer(&sent, &key, said);
            }
            Ok(Some(object))
        }
        _ => {
            forget_unserved(client, &gvk, &answer);
            Err(refused(&gvk, key.to_string(), *code, body))
        }
    }
}

/// A part of an object, which may have a kind of its own. It says nothing that the overlay could keep.
pub(super) async fn subresource(
    client: &CachedClient,
    gvk: GroupVersionKind,
    key: ObjectKey,
    subresource: String,
) -> Result<Option<Object>> {
    let (mapping, key) = found(client, &gvk, key).await?;
    let answer = client.exchange(&request::subresource(&mapping, &key, &subresource)?, false).await?;
    let Answer { code, body } = &answer;
    if code.is_success() {
        return Ok(Some(of_own_kind(&gvk, &key, body)?));
    }
    if forget_unserved(client, &gvk, &answer) {
        return Err(CacheError::UnknownKind { gvk }.into());
    }
    let question = Question {
        gvk: &gvk,
        plural: &mapping.resource.plural,
        name: Some(key.name()),
        subresource: Some(&subresource),
        creates: false,
        deletes: false,
    };
    match read(&question, false, *code, body) {
        Verdict::Missing => Ok(None),
        _ => Err(request::failure(&gvk, key.to_string(), *code, body)),
    }
}

/// Where the kind is served, and the key as it is there.
async fn found(
    client: &CachedClient,
    gvk: &GroupVersionKind,
    key: ObjectKey,
) -> Result<(Mapping, ObjectKey)> {
    client.running()?;
    key.check().map_err(|source| Error::Key { gvk: gvk.clone(), key: key.to_string(), source })?;
    let mapping = client.inner.mapper.mapping(gvk).await?;
    let key = if mapping.namespaced { key } else { ObjectKey::cluster(key.name()) };
    if mapping.namespaced && key.namespace().is_none() {
        return Err(Error::bad_request(gvk, key.as_str(), "a read of a namespaced kind needs a namespace"));
    }
    Ok((mapping, key))
}

pub(super) async fn list(client: &CachedClient, gvk: GroupVersionKind, options: ListOptions) -> Result<List> {
    client.running()?;
    let mapping = client.inner.mapper.mapping(&gvk).await?;
    let kind = client.inner.overlays.kind(&gvk);
    kind.set_informer(client.inner.informers.existing(&gvk));
    let (sent, shared) = (kind.send(None), Arc::new(gvk.clone()));
    let limit = options.limit_of().unwrap_or(usize::MAX);
    let (mut objects, mut version, mut more): (Vec<Object>, _, Option<String>) = (Vec::new(), None, None);
    loop {
        let request = request::list(&mapping, &options, more.as_deref())?;
        let answer = client.exchange(&request, false).await?;
        if !answer.code.is_success() {
            forget_unserved(client, &gvk, &answer);
            let namespace = options.namespace().unwrap_or_default();
            return Err(refused(&gvk, namespace.to_owned(), answer.code, &answer.body));
        }
        let broken = |error| DecodeError::new(shared.clone(), ObjectKey::cluster("?"), error);
        let page: Page<'_> = serde_json::from_slice(&answer.body).map_err(broken)?;
        version = page.metadata.resource_version.as_deref().map(ResourceVersion::from).or(version);
        remember(client, &kind, version.as_ref());
        for item in page.items {
            let object = admit(&shared, Bytes::copy_from_slice(item.get().as_bytes()))?;
            if let Some(said) = seen(client, &gvk, &object) {
                kind.answer(&sent, object.key(), said);
            }
            let owned = |uid: &str| object.owners().iter().any(|owner| owner.uid == uid);
            if options.owner().is_none_or(owned) {
                objects.push(object);
            }
        }
        more = page.metadata.continue_.filter(|more| !more.is_empty());
        if more.is_none() || objects.len() >= limit {
            break;
        }
    }
    objects.sort_by(|a, b| a.key().cmp(b.key()));
    objects.truncate(limit);
    Ok(List::from_objects(objects).with_version(version))
}

/// What a read that showed `object` says about it; nothing where that is metadata without a version to go by.
fn seen(client: &CachedClient, gvk: &GroupVersionKind, object: &Object) -> Option<Said> {
    match object.head().metadata_only && !client.inner.informers.keeps_metadata_only(gvk) {
        true => Some(Said::Part { uid: object.uid().cloned(), version: version_of(object)? }),
        false => Some(Said::Whole { object: object.clone(), in_scope: true }),
    }
}

/// The cache must not show anything older than `version`, if it begins now or has just begun.
fn remember(client: &CachedClient, kind: &KindOverlay, version: Option<&ResourceVersion>) {
    if let Some(version) = version {
        client.inner.informers.raise_floor(kind.gvk(), version);
    }
    // After the floor: an informer that is not found here begins at it.
    kind.set_informer(client.inner.informers.existing(kind.gvk()));
}

pub(super) fn watch(
    client: CachedClient,
    gvk: GroupVersionKind,
    options: ListOptions,
) -> BoxStream<'static, Result<WatchEvent<DynamicObject>>> {
    let namespace = options.namespace().unwrap_or_default().to_owned();
    let failure = {
        let gvk = gvk.clone();
        move |error| match error {
            kube_client::Error::Api(status) => {
                Error::Api { gvk: gvk.clone(), key: namespace.clone(), status }
            }
            error => request::broken(error, false),
        }
    };
    let open = async move {
        client.running()?;
        let mapping: Mapping = client.inner.mapper.mapping(&gvk).await?;
        let request = request::watch(&mapping, &options)?;
        let events = client.client()?.request_events(request).await.map_err(&failure)?;
        let events = StreamExt::map(events, move |event| match event {
            Ok(WatchEvent::Error(status)) => Err(failure(kube_client::Error::Api(status))),
            event => event.map_err(&failure),
        });
        let mut phase = client.inner.phase.subscribe();
        let stopped = async move { drop(phase.wait_for(|phase| *phase == super::Phase::Stopped).await) };
        Result::Ok(events.take_until(Box::pin(stopped)))
    };
    stream::once(open).try_flatten().boxed()
}

/// A read that was refused. A kind that is not served is no absence of an object.
fn refused(gvk: &GroupVersionKind, key: String, code: StatusCode, body: &[u8]) -> Error {
    match code {
        StatusCode::NOT_FOUND => CacheError::UnknownKind { gvk: gvk.clone() }.into(),
        _ => request::failure(gvk, key, code, body),
    }
}
