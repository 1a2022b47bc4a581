//! Pods, and a server that answers with them: no more than a list and a watch, so that what is measured is the client.
#![allow(dead_code, reason = "each bench uses a part of it")]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::{StreamExt, channel::mpsc};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use kube_client::{Client, client::Body};
use nah_testing::ApiServer;
use serde_json::{Value, json};
use tower::{BoxError, service_fn};

type Answer = UnsyncBoxBody<Bytes, BoxError>;

/// A hundred of these run on a node.
pub const PODS_PER_NODE: usize = 100;

/// The Pod of this number, with what a small real one has.
pub fn pod(number: usize, version: usize) -> Value {
    let node = format!("node-{}", number / PODS_PER_NODE);
    let app = format!("app-{}", number % 17);
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "namespace": format!("ns-{}", number % 10), "name": format!("pod-{number:06}"),
            "uid": format!("00000000-0000-0000-0000-{number:012}"), "resourceVersion": version.to_string(),
            "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"app": app, "tier": "web"},
            "managedFields": [{
                "manager": "kubelet", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
                "fieldsV1": {"f:status": {"f:conditions": {}, "f:podIP": {}, "f:startTime": {}}},
            }],
        },
        "spec": {
            "nodeName": node, "serviceAccountName": "default",
            "containers": [{"name": "main", "image": "registry.example/app:1", "env": [
                {"name": "NUMBER", "value": number.to_string()}, {"name": "APP", "value": app},
            ]}],
        },
        "status": {"phase": "Running", "podIP": format!("10.0.{}.{}", number / 256 % 256, number % 256)},
    })
}

/// A client of a server that has `pods` Pods, and where to send watch lines.
pub fn canned(pods: usize) -> (Client, mpsc::UnboundedSender<String>) {
    let items: Vec<Value> = (0..pods).map(|number| pod(number, number + 1)).collect();
    let list = json!({
        "apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": pods.to_string()}, "items": items,
    });
    let (list, server) = (Arc::new(list.to_string()), ApiServer::new());
    let (lines, events) = mpsc::unbounded();
    let events = Arc::new(Mutex::new(Some(events)));
    let service = service_fn(move |request: http::Request<Body>| {
        let (list, rest, events) = (list.clone(), server.client(), events.clone());
        async move {
            let uri = request.uri();
            let query = uri.query().unwrap_or_default();
            if uri.path() != "/api/v1/pods" {
                return Ok(rest.send(request).await?.map(|body| body.map_err(Into::into).boxed_unsync()));
            }
            let body = if query.contains("sendInitialEvents") {
                let status = json!({"kind": "Status", "status": "Failure", "code": 400, "reason": "BadRequest",
                    "message": "sendInitialEvents is forbidden"});
                return Ok(answer(400, whole(status.to_string())));
            } else if query.contains("watch=") {
                let events = events.lock().ok().and_then(|mut events| events.take());
                let events = events.unwrap_or_else(|| mpsc::unbounded().1);
                StreamBody::new(events.map(|line: String| Ok(Frame::data(line.into())))).boxed_unsync()
            } else {
                whole(list.to_string())
            };
            Ok::<_, BoxError>(answer(200, body))
        }
    });
    (Client::new(service, "default"), lines)
}

/// The line that says that a Pod changed.
pub fn modified(number: usize, version: usize) -> String {
    format!("{}\n", json!({"type": "MODIFIED", "object": pod(number, version)}))
}

fn whole(text: String) -> Answer {
    Full::from(text).map_err(|never| match never {}).boxed_unsync()
}

fn answer(code: u16, body: Answer) -> http::Response<Answer> {
    let mut response = http::Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
    response
}
