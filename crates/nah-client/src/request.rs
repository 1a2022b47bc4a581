//! A write or a read as an HTTP request, and an answer that says no as an error. Pure.

use std::fmt::Write as _;

use http::{Method, Request, StatusCode, header};
use kube_core::Status;
use nah_cache::{ListOptions, Mapping};
use nah_core::{GroupVersionKind, ObjectKey};
use serde_json::{Map, Value, json};

use crate::{Effect, Error, Result, Verb, Write};

/// The metadata of one object, and of many.
const OBJECT: &str = "PartialObjectMetadata";
const LIST: &str = "PartialObjectMetadataList";

/// The request that `write` is.
pub(crate) fn of(write: &Write, mapping: &Mapping) -> Result<Request<Vec<u8>>> {
    let creates = write.verb == Verb::Create && write.subresource.is_none();
    let named = !creates && write.verb != Verb::DeleteAll;
    let namespace = write.namespace.as_deref().filter(|namespace| !namespace.is_empty());
    let bad = |message| Error::bad_request(&write.gvk, shown(write), message);
    if mapping.namespaced && namespace.is_none() {
        return Err(bad("an empty namespace may not be set for a write to a namespaced kind"));
    }
    let name = match named {
        true => Some(write.name.as_deref().filter(|name| !name.is_empty()).ok_or_else(|| bad("no name"))?),
        false => None,
    };
    let mut url = Url::new(mapping, namespace, name, write.subresource.as_deref());
    if write.dry_run {
        url.pair("dryRun", "All");
    }
    if let Some(manager) = write.field_manager.as_deref().filter(|_| !deletes(write.verb)) {
        url.pair("fieldManager", manager);
    }
    if let Some(validation) = write.field_validation.as_deref().filter(|_| !deletes(write.verb)) {
        url.pair("fieldValidation", validation);
    }
    if write.verb == (Verb::Apply { force: true }) {
        url.pair("force", "true");
    }
    if write.verb == Verb::DeleteAll {
        url.select(&write.selection);
    }
    let (method, content) = match write.verb {
        Verb::Create => (Method::POST, "application/json"),
        Verb::Update => (Method::PUT, "application/json"),
        Verb::MergePatch => (Method::PATCH, "application/merge-patch+json"),
        Verb::JsonPatch => (Method::PATCH, "application/json-patch+json"),
        Verb::StrategicPatch => (Method::PATCH, "application/strategic-merge-patch+json"),
        Verb::Apply { .. } => (Method::PATCH, "application/apply-patch+yaml"),
        Verb::Delete | Verb::DeleteAll => (Method::DELETE, "application/json"),
    };
    let body = match deletes(write.verb) {
        true => options(write)?,
        false => write.body.clone(),
    };
    Request::builder()
        .method(method)
        .uri(url.0)
        .header(header::CONTENT_TYPE, content)
        .header(header::ACCEPT, accept(write.metadata_only && write.verb != Verb::DeleteAll, OBJECT))
        .body(body)
        .map_err(Error::unsent)
}

/// A live read of one object.
pub(crate) fn get(mapping: &Mapping, key: &ObjectKey, metadata: bool) -> Result<Request<Vec<u8>>> {
    read(Url::new(mapping, key.namespace(), Some(key.name()), None), accept(metadata, OBJECT))
}

/// A live get of a part.
pub(crate) fn subresource(mapping: &Mapping, key: &ObjectKey, subresource: &str) -> Result<Request<Vec<u8>>> {
    let url = Url::new(mapping, key.namespace(), Some(key.name()), Some(subresource));
    read(url, accept(false, OBJECT))
}

/// A live list; `more` is where the page before ended.
pub(crate) fn list(mapping: &Mapping, options: &ListOptions, more: Option<&str>) -> Result<Request<Vec<u8>>> {
    selectable(mapping, options)?;
    let mut url = Url::new(mapping, options.namespace(), None, None);
    url.select(options);
    // Live filters know no owners, so a limit is counted here once there is one.
    if let Some(limit) = options.limit_of().filter(|_| options.owner().is_none()) {
        url.pair("limit", &limit.to_string());
    }
    if let Some(more) = more {
        url.pair("continue", more);
    }
    read(url, accept(options.is_metadata_only(), LIST))
}

/// A watch.
pub(crate) fn watch(mapping: &Mapping, options: &ListOptions) -> Result<Request<Vec<u8>>> {
    selectable(mapping, options)?;
    let mut url = Url::new(mapping, options.namespace(), None, None);
    url.pair("watch", "true");
    url.pair("allowWatchBookmarks", "true");
    if let Some(version) = options.version() {
        url.pair("resourceVersion", version.as_str());
    }
    url.select(options);
    read(url, accept(options.is_metadata_only(), OBJECT))
}

/// The API selects a field by one value: a set would have to be left out, and the answer would be too long.
fn selectable(mapping: &Mapping, options: &ListOptions) -> Result<()> {
    if options.field_sets().is_empty() {
        return Ok(());
    }
    let namespace = options.namespace().unwrap_or_default();
    let message = "the API selects a field by one value: ask the cache for any of several";
    let gvk =
        GroupVersionKind::gvk(&mapping.resource.group, &mapping.resource.version, &mapping.resource.kind);
    Err(Error::bad_request(&gvk, namespace, message))
}

/// The error that an answer other than success is.
pub(crate) fn failure(gvk: &GroupVersionKind, key: String, code: StatusCode, body: &[u8]) -> Error {
    let status = serde_json::from_slice::<Status>(body).ok().filter(Status::is_failure);
    let mut status = status.unwrap_or_else(|| {
        // A proxy, or a path that nobody serves, answers a page or a line of text.
        let text = String::from_utf8_lossy(body);
        let text: String = text.trim().chars().take(512).collect();
        let reason = if code == StatusCode::TOO_MANY_REQUESTS { "TooManyRequests" } else { "Unparsable" };
        Status::failure(&text, reason)
    });
    status.code = code.as_u16();
    Error::Api { gvk: gvk.clone(), key, status: status.boxed() }
}

/// What an error of kube-client says of the request it was for.
pub(crate) fn broken(error: kube_client::Error, writes: bool) -> Error {
    let unsent = matches!(
        error,
        kube_client::Error::Auth(_) | kube_client::Error::BuildRequest(_) | kube_client::Error::TlsRequired
    );
    let effect = if !writes || unsent || unconnected(&error) { Effect::None } else { Effect::Unknown };
    Error::Transport { effect, source: error.into() }
}

/// Whether there was never a connection that the request could have gone through.
fn unconnected(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let client = error.downcast_ref::<hyper_util::client::legacy::Error>();
        let io = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if client.is_some_and(|error| error.is_connect()) || io == Some(std::io::ErrorKind::ConnectionRefused)
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The key of a write for people.
pub(crate) fn shown(write: &Write) -> String {
    let key = write.key().map(|key| key.to_string());
    key.or_else(|| write.namespace.clone()).unwrap_or_default()
}

fn deletes(verb: Verb) -> bool {
    matches!(verb, Verb::Delete | Verb::DeleteAll)
}

fn read(url: Url, accept: String) -> Result<Request<Vec<u8>>> {
    Request::get(url.0).header(header::ACCEPT, accept).body(Vec::new()).map_err(Error::unsent)
}

/// What is asked for. A server that cannot leave out the rest answers with the whole, which has the metadata too.
fn accept(metadata: bool, form: &str) -> String {
    match metadata {
        true => format!("application/json;as={form};g=meta.k8s.io;v=v1, application/json"),
        false => "application/json".to_owned(),
    }
}

fn options(write: &Write) -> Result<Vec<u8>> {
    let mut options = Map::new();
    options.insert("apiVersion".into(), "v1".into());
    options.insert("kind".into(), "DeleteOptions".into());
    if write.dry_run {
        // Of a deletion with a body the server does not read the parameters.
        options.insert("dryRun".into(), json!(["All"]));
    }
    if let Some(grace) = write.grace_period_seconds {
        options.insert("gracePeriodSeconds".into(), grace.into());
    }
    if let Some(propagation) = &write.propagation {
        options.insert("propagationPolicy".into(), json!(propagation));
    }
    let mut preconditions = Map::new();
    for (name, value) in [("uid", &write.uid), ("resourceVersion", &write.resource_version)] {
        if let Some(value) = value {
            preconditions.insert(name.into(), value.clone().into());
        }
    }
    if !preconditions.is_empty() {
        options.insert("preconditions".into(), Value::Object(preconditions));
    }
    serde_json::to_vec(&options).map_err(Error::unsent)
}

/// A path of the API, and its parameters.
struct Url(String);

impl Url {
    fn new(
        mapping: &Mapping,
        namespace: Option<&str>,
        name: Option<&str>,
        subresource: Option<&str>,
    ) -> Self {
        let resource = &mapping.resource;
        let root = if resource.group.is_empty() { "/api/" } else { "/apis/" };
        let mut url = Self(format!("{root}{}", resource.api_version));
        if let Some(namespace) = namespace.filter(|_| mapping.namespaced) {
            url.0.push_str("/namespaces/");
            url.escaped(namespace);
        }
        for part in [Some(&*resource.plural), name, subresource].into_iter().flatten() {
            url.0.push('/');
            url.escaped(part);
        }
        url
    }

    fn pair(&mut self, name: &str, value: &str) {
        self.0.push(if self.0.contains('?') { '&' } else { '?' });
        self.0.push_str(name);
        self.0.push('=');
        self.escaped(value);
    }

    fn select(&mut self, options: &ListOptions) {
        if let Some(labels) = options.label_selector() {
            self.pair("labelSelector", &labels);
        }
        if let Some(fields) = options.field_selector() {
            self.pair("fieldSelector", &fields);
        }
    }

    /// Percent-encodes all but the unreserved characters and the colon of RBAC names.
    fn escaped(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                    self.0.push(byte.into());
                }
                // Writing to a String cannot fail.
                _ => _ = write!(self.0, "%{byte:02X}"),
            }
        }
    }
}
