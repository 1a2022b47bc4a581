//! Requests to verbs, verbs to answers.

use std::{io, sync::Arc};

use bytes::Bytes;
use http::{Response, header};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::{
    apply::Configuration,
    body::{self, Body},
    delete::{DeleteOptions, Deleted},
    discovery,
    distort::{Distort, gzip_member},
    kinds::Resource,
    list::{ListOptions, read_selector},
    objects::Stored,
    openapi,
    patch::Patch,
    protobuf,
    request::Call,
    shape::Shape,
    shared::{Shared, refused, reset},
    state::Write,
    status::Status,
    watch::{Watch, WatchOptions},
    write::Part,
};
use crate::{fault::Action, journal::Request};

/// How long the real server waits for a version that it has not seen yet.
const FRESH: std::time::Duration = std::time::Duration::from_secs(3);

/// Answers below this size are not compressed, as the real server does.
const GZIP_FROM: usize = 128 * 1024;

/// What a verb answers.
enum Answer {
    Json(u16, Vec<u8>),
    Text(u16, &'static str),
    Aggregated(Vec<u8>),
    Stream(Box<Watch>),
}

/// Answers a request; an error is a connection that breaks.
pub(crate) async fn serve<B>(shared: Arc<Shared>, request: http::Request<B>) -> io::Result<Response<Body>>
where
    B: http_body::Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let call = Call::read(parts, body);
    let mut lease = shared.lease(None);
    tokio::select! {
        biased;
        () = lease.ended() => Err(reset()),
        answer = answer(&shared, call) => answer,
    }
}

async fn answer(shared: &Arc<Shared>, call: Call) -> io::Result<Response<Body>> {
    let noted = note(shared, &call);
    let actions = shared.faults.lock().hit(&noted);
    let entry = shared.journal.enter(noted);
    if shared.control.borrow().refuses {
        return Err(refused());
    }
    if !shared.knows(call.header(header::AUTHORIZATION)) {
        shared.journal.answered(entry, 401);
        return status_response(&Status::of_code(401), None);
    }
    let mut late = None;
    let mut drops = false;
    for action in &actions {
        match action {
            Action::Refuse => return Err(refused()),
            Action::Hang => std::future::pending().await,
            Action::Delay(time) => sleep(*time).await,
            Action::DelayAnswer(time) => late = Some(*time),
            Action::DropAnswer => drops = true,
            Action::Compact => shared.state.lock().objects.compact(),
            Action::Forget(writes) => {
                shared.forget(*writes);
                return Err(reset());
            }
            Action::Restart => {
                shared.restart();
                return Err(reset());
            }
            Action::Answer { code, retry_after } => {
                shared.journal.answered(entry, *code);
                return status_response(&Status::of_code(*code), *retry_after);
            }
            _ => {}
        }
    }
    let routed = route(shared, &call).await;
    shared.plan_chores();
    if let Some(time) = late {
        sleep(time).await;
    }
    if drops {
        return Err(reset());
    }
    let response = match routed {
        Err(status) => status_response(&status, None)?,
        Ok(answer) => write_answer(answer, Distort::new(actions), &call)?,
    };
    shared.journal.answered(entry, response.status().as_u16());
    Ok(response)
}

fn note(shared: &Shared, call: &Call) -> Request {
    let target = call.target.clone();
    Request {
        at: shared.age(),
        verb: call.verb.to_owned(),
        group: target.group,
        version: target.version,
        resource: target.resource,
        subresource: target.subresource.unwrap_or_default(),
        namespace: target.namespace.unwrap_or_default(),
        name: target.name.unwrap_or_default(),
        path: call.path.clone(),
        query: call.raw_query.clone(),
        content_type: call.header(header::CONTENT_TYPE).to_owned(),
        accept: call.header(header::ACCEPT).to_owned(),
        user_agent: call.header(header::USER_AGENT).to_owned(),
        code: 0,
    }
}

async fn route(shared: &Arc<Shared>, call: &Call) -> Result<Answer, Status> {
    if call.target.resource.is_empty() {
        return plain(shared, call);
    }
    let target = &call.target;
    let resource = shared.state.lock().kinds.find(&target.group, &target.version, &target.resource);
    let Some(resource) = resource else { return nowhere(shared, &target.group) };
    let has_wrong_scope = match resource.namespaced {
        true => target.name.is_some() && target.namespace.is_none(),
        false => target.namespace.is_some(),
    };
    if has_wrong_scope {
        return nowhere(shared, &target.group);
    }
    match target.subresource.as_deref() {
        None => verb(shared, call, resource).await,
        Some(name) => super::subresource::answer(shared, call, &resource, name)
            .map(|(code, value)| Answer::Json(code, value)),
    }
}

/// A path that leads to nothing: a status in a group of the server's own, and plain text in any other.
fn nowhere(shared: &Shared, group: &str) -> Result<Answer, Status> {
    let state = shared.state.lock();
    let is_own = state.kinds.iter().any(|resource| resource.group == group && !resource.is_custom());
    if is_own { Err(Status::no_resource()) } else { Ok(Answer::Text(404, "404 page not found\n")) }
}

/// What is behind paths that name no resource.
fn plain(shared: &Shared, call: &Call) -> Result<Answer, Status> {
    let state = shared.state.lock();
    let path = call.path.trim_end_matches('/');
    match call.path.as_str() {
        "/healthz" | "/livez" | "/readyz" => return Ok(Answer::Text(200, "ok")),
        "/version" => {
            let version = discovery::version(&state.options.git_version);
            return Ok(Answer::Json(200, version.to_string().into_bytes()));
        }
        _ => {}
    }
    if let Some(document) = openapi::document(&state.kinds, path) {
        return Ok(Answer::Json(200, document.to_string().into_bytes()));
    }
    let accept = call.header(header::ACCEPT);
    let aggregated = accept.split(',').any(|range| {
        range.contains("as=APIGroupDiscoveryList") && range.contains("v=v2") && !range.contains("v2beta1")
    });
    match discovery::document(&state.kinds, path, aggregated) {
        Some(document) if document["kind"] == "APIGroupDiscoveryList" => {
            Ok(Answer::Aggregated(document.to_string().into_bytes()))
        }
        Some(document) => Ok(Answer::Json(200, document.to_string().into_bytes())),
        None if call.target.version.is_empty() => Ok(Answer::Text(404, "404 page not found\n")),
        None => {
            drop(state);
            nowhere(shared, &call.target.group)
        }
    }
}

async fn verb(shared: &Arc<Shared>, call: &Call, resource: Arc<Resource>) -> Result<Answer, Status> {
    let shape = call.shape()?;
    let target = &call.target;
    let namespace = target.namespace.as_deref();
    let write = write_of(shared, call);
    let one = |code: u16, stored: &Stored| Ok(Answer::Json(code, shape.object(&resource, stored, write.now)));
    match (call.verb, target.name.as_deref()) {
        ("get", Some(name)) => {
            shape.of_object(&resource)?;
            let stored = shared.state.lock().get(&resource, namespace, name)?;
            one(200, &stored)
        }
        ("list", _) => {
            let options = ListOptions::read(&resource, namespace, &call.query)?;
            fresh(shared, options.waits_for()).await?;
            let page = shared.state.lock().list(&resource, &options)?;
            shape.of_list(&resource)?;
            let items = page.items.iter().map(|stored| &**stored);
            Ok(Answer::Json(200, shape.list(&resource, items, page.metadata(), write.now)))
        }
        ("watch", _) => {
            let options = WatchOptions::read(&resource, namespace, &call.query)?;
            // A version that does not come is told in the stream, unlike that of a list.
            let failed = fresh(shared, options.waits_for()).await.err();
            Ok(Answer::Stream(Box::new(Watch::start(shared, resource, options, shape, failed))))
        }
        ("create", None) if namespace.is_some() || !resource.namespaced => {
            let body = json_body(call, &resource.kind)?;
            let stored = shared.state.lock().create(&write, &resource, namespace, body)?;
            one(201, &stored)
        }
        ("update", Some(name)) => {
            let body = json_body(call, &resource.kind)?;
            let stored = shared.state.lock().update(&write, &resource, namespace, name, Part::Main, body)?;
            one(200, &stored)
        }
        ("patch", Some(name)) => {
            if let Some(configuration) = Configuration::read(call)? {
                let mut state = shared.state.lock();
                let (stored, is_new) =
                    state.apply(&write, &resource, namespace, name, Part::Main, &configuration)?;
                return one(if is_new { 201 } else { 200 }, &stored);
            }
            let patch = Patch::parse(call.header(header::CONTENT_TYPE), resource.is_custom(), &call.body)?;
            let stored = shared.state.lock().patch(&write, &resource, namespace, name, Part::Main, &patch)?;
            one(200, &stored)
        }
        ("delete", Some(name)) => {
            let options = delete_options(call)?;
            let write = dry(write.clone(), call)?;
            let deleted = shared.state.lock().delete(&write, &resource, namespace, name, &options)?;
            match &deleted {
                Deleted::Gone(stored) if !resource.returns_deleted() => {
                    let status = Status::deleted(&resource, name, stored.uid());
                    Ok(Answer::Json(200, status.to_string().into_bytes()))
                }
                _ => one(200, deleted.object()),
            }
        }
        ("deletecollection", None) => {
            let options = delete_options(call)?;
            let write = dry(write.clone(), call)?;
            let selector = read_selector(&resource, &call.query)?;
            let mut state = shared.state.lock();
            let version = state.objects.version();
            let deleted = state.delete_collection(&write, &resource, namespace, &selector, &options)?;
            let metadata = json!({"resourceVersion": version.to_string()});
            shape.of_list(&resource)?;
            let items = deleted.iter().map(|stored| &**stored);
            Ok(Answer::Json(200, shape.list(&resource, items, metadata, write.now)))
        }
        _ => Err(Status::method_not_allowed()),
    }
}

/// Waits until the server has reached a version.
async fn fresh(shared: &Shared, version: Option<u64>) -> Result<(), Status> {
    let Some(version) = version else { return Ok(()) };
    let reached = async {
        while shared.state.lock().objects.version() < version {
            sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let waited = timeout(FRESH, reached).await;
    waited.map_err(|_| Status::too_large_version(version, shared.state.lock().objects.version()))
}

pub(crate) fn write_of(shared: &Shared, call: &Call) -> Write {
    let mut write = shared.write(call.manager());
    write.dry_run = call.is_dry_run();
    write.strict = call.query.get("fieldValidation") == Some("Strict");
    write
}

/// A deletion with a body is a dry run if that says so, whatever its parameters say.
fn dry(mut write: Write, call: &Call) -> Result<Write, Status> {
    let body = optional_body(call)?;
    if !body.is_null() {
        write.dry_run = body["dryRun"].as_array().is_some_and(|all| all.contains(&json!("All")));
    }
    Ok(write)
}

fn delete_options(call: &Call) -> Result<DeleteOptions, Status> {
    DeleteOptions::read(&optional_body(call)?, &call.query)
}

fn optional_body(call: &Call) -> Result<Value, Status> {
    if call.body.is_empty() { Ok(Value::Null) } else { json_body(call, "DeleteOptions") }
}

/// The body of a request that sends an object of a kind.
pub(crate) fn json_body(call: &Call, kind: &str) -> Result<Value, Status> {
    let content_type = call.header(header::CONTENT_TYPE);
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if essence == "application/vnd.kubernetes.protobuf" {
        return protobuf::decode(&call.body);
    }
    if !["", "application/json", "*/*"].contains(&essence) {
        return Err(Status::unsupported_media_type(format!(
            "the body of the request was in an unknown format - accepted media types include: application/json \
             (not {essence:?})"
        )));
    }
    serde_json::from_slice(&call.body).map_err(|error| {
        Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse \
             error: {error}"
        ))
    })
}

fn write_answer(answer: Answer, mut distort: Distort, call: &Call) -> io::Result<Response<Body>> {
    let response = Response::builder();
    let json = "application/json";
    let (code, content_type, mut bytes) = match answer {
        Answer::Stream(watch) => {
            let mut response = response.header(header::CONTENT_TYPE, json);
            if distort.is_gzipped() {
                response = response.header(header::CONTENT_ENCODING, "gzip");
            }
            return response.body(body::stream(*watch, distort)).map_err(io::Error::other);
        }
        Answer::Json(code, bytes) => (code, json, bytes),
        Answer::Text(code, text) => (code, "text/plain; charset=utf-8", text.as_bytes().to_vec()),
        Answer::Aggregated(bytes) => (200, discovery::AGGREGATED, bytes),
    };
    let mut response = response.status(code).header(header::CONTENT_TYPE, content_type);
    let accepts_gzip = call.header(header::ACCEPT_ENCODING).contains("gzip");
    if distort.touches_bodies() {
        return response.body(body::steps(distort.body(bytes))).map_err(io::Error::other);
    }
    if accepts_gzip && bytes.len() >= GZIP_FROM && ["get", "list"].contains(&call.verb) {
        bytes = gzip_member(&bytes);
        response = response.header(header::CONTENT_ENCODING, "gzip");
    }
    response.body(body::full(bytes)).map_err(io::Error::other)
}

fn status_response(status: &Status, retry_after: Option<u64>) -> io::Result<Response<Body>> {
    let mut response =
        Response::builder().status(status.code).header(header::CONTENT_TYPE, "application/json");
    if let Some(seconds) = retry_after {
        response = response.header(header::RETRY_AFTER, seconds);
    }
    let body = Full::new(Bytes::from(status.to_json().to_string()));
    response.body(body.map_err(|never| match never {}).boxed_unsync()).map_err(io::Error::other)
}

/// The shape of an answer to a subresource: there are no tables of those.
pub(crate) fn plain_shape(call: &Call) -> Result<Shape, Status> {
    call.shape().map(|shape| if shape == Shape::Partial { shape } else { Shape::Whole })
}
