//! Subresources: status, scale, the finalizers of namespaces, eviction and binding of Pods, tokens.

mod binding;
mod token;

use std::sync::Arc;

use http::header;
use serde_json::{Value, json};

use super::{
    apply::Configuration,
    delete::DeleteOptions,
    http::{json_body, plain_shape, write_of},
    kinds::{Resource, ScalePaths},
    objects::Stored,
    patch::Patch,
    request::Call,
    shape::{Shape, partial},
    shared::Shared,
    state::Write,
    status::Status,
    write::Part,
};

/// Answers a request for a subresource.
pub(crate) fn answer(
    shared: &Shared,
    call: &Call,
    resource: &Arc<Resource>,
    subresource: &str,
) -> Result<(u16, Vec<u8>), Status> {
    let namespace = call.target.namespace.as_deref();
    let name = call.target.name.as_deref().unwrap_or_default();
    let part = match subresource {
        "status" if resource.status => Part::Status,
        "finalize" if resource.is("", "namespaces") => Part::Finalize,
        "scale" => {
            let Some(paths) = &resource.scale else {
                return Err(match resource.is_custom() {
                    true => Status::not_found(resource, name),
                    false => Status::no_resource(),
                });
            };
            return scale(shared, call, resource, paths);
        }
        "eviction" if resource.is("", "pods") && call.verb == "create" => {
            let body = json_body(call, &resource.kind)?;
            let options = DeleteOptions::read(&body["deleteOptions"], &call.query)?;
            shared.state.lock().delete(&write_of(shared, call), resource, namespace, name, &options)?;
            return Ok((201, done()));
        }
        "binding" if resource.is("", "pods") && call.verb == "create" => {
            let body = json_body(call, "Binding")?;
            binding::bind(
                &mut shared.state.lock(),
                &write_of(shared, call),
                resource,
                namespace,
                name,
                &body,
            )?;
            return Ok((201, done()));
        }
        "token" if resource.is("", "serviceaccounts") && call.verb == "create" => {
            let (body, write) = (json_body(call, "TokenRequest")?, write_of(shared, call));
            let issued = token::issue(&mut shared.state.lock(), &write, resource, namespace, name, body)?;
            let issued = if plain_shape(call)? == Shape::Partial { partial(&issued) } else { issued };
            return Ok((201, issued.to_string().into_bytes()));
        }
        "eviction" | "binding" if resource.is("", "pods") => return Err(Status::method_not_allowed()),
        "token" if resource.is("", "serviceaccounts") => return Err(Status::method_not_allowed()),
        // Of a custom kind the real server says that the object is not there, though it may be.
        _ if resource.is_custom() => return Err(Status::not_found(resource, name)),
        _ => return Err(Status::no_resource()),
    };
    let shape = plain_shape(call)?;
    let write = write_of(shared, call);
    let mut state = shared.state.lock();
    let stored = match call.verb {
        "get" => state.get(resource, namespace, name)?,
        "update" => {
            state.update(&write, resource, namespace, name, part, json_body(call, &resource.kind)?)?
        }
        "patch" => match Configuration::read(call)? {
            Some(configuration) => {
                let configuration = Configuration { subresource: part.subresource(), ..configuration };
                state.apply(&write, resource, namespace, name, part, &configuration)?.0
            }
            None => {
                let patch =
                    Patch::parse(call.header(header::CONTENT_TYPE), resource.is_custom(), &call.body)?;
                state.patch(&write, resource, namespace, name, part, &patch)?
            }
        },
        _ => return Err(Status::method_not_allowed()),
    };
    Ok((200, shape.object(resource, &stored, write.now)))
}

/// What is done and has nothing to show.
fn done() -> Vec<u8> {
    let done =
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    done.to_string().into_bytes()
}

fn scale(
    shared: &Shared,
    call: &Call,
    resource: &Arc<Resource>,
    paths: &ScalePaths,
) -> Result<(u16, Vec<u8>), Status> {
    let namespace = call.target.namespace.as_deref();
    let name = call.target.name.as_deref().unwrap_or_default();
    let write = Write { through: Some("scale"), ..write_of(shared, call) };
    let mut state = shared.state.lock();
    let stored = state.get(resource, namespace, name)?;
    let current = scale_of(&stored, paths);
    let mut applied = None;
    let wanted = match call.verb {
        "get" => return Ok((200, current.to_string().into_bytes())),
        "update" => json_body(call, &resource.kind)?,
        "patch" if call.is_apply() => {
            applied = Configuration::read(call)?;
            applied.as_ref().map(|it| it.value.clone()).unwrap_or_default()
        }
        "patch" => {
            let mut wanted = current;
            Patch::parse(call.header(header::CONTENT_TYPE), resource.is_custom(), &call.body)?
                .apply(&mut wanted)?;
            wanted
        }
        _ => return Err(Status::method_not_allowed()),
    };
    let mut object = resource.stamp(&stored);
    let replicas = wanted["spec"]["replicas"].as_i64().unwrap_or_default();
    if replicas < 0 {
        let cause = super::status::Cause::invalid(
            "spec.replicas",
            &json!(replicas),
            "must be greater than or equal to 0",
        );
        return Err(Status::invalid("autoscaling", "Scale", name, vec![cause]));
    }
    set(&mut object, &paths.spec, json!(replicas));
    if let Some(version) = wanted["metadata"]["resourceVersion"].as_str() {
        object["metadata"]["resourceVersion"] = json!(version);
    }
    let stored = match applied {
        None => state.update(&write, resource, namespace, name, Part::Main, object)?,
        Some(applied) => {
            // What is applied to the scale is one field of the object, under the name of the subresource.
            let mut value = resource.stamp_value(json!({ "metadata": applied.value["metadata"] }));
            set(&mut value, &paths.spec, json!(replicas));
            let applied = Configuration { value, subresource: Some("scale"), ..applied };
            state.apply(&write, resource, namespace, name, Part::Main, &applied)?.0
        }
    };
    let answer = scale_of(&stored, paths);
    let answer = if plain_shape(call)? == Shape::Partial { partial(&answer) } else { answer };
    Ok((200, answer.to_string().into_bytes()))
}

fn scale_of(stored: &Stored, paths: &ScalePaths) -> Value {
    let at = |path: &str| stored.value.pointer(path).cloned();
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = stored.value["metadata"].get(field) {
            metadata[field] = value.clone();
        }
    }
    let mut status =
        json!({"replicas": at(&paths.status).and_then(|value| value.as_i64()).unwrap_or_default()});
    let selector = paths.selector.as_deref().and_then(at);
    match selector {
        Some(Value::String(text)) => status["selector"] = json!(text),
        Some(selector) => {
            let labels = selector["matchLabels"].as_object().into_iter().flatten();
            let terms: Vec<_> =
                labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
            status["selector"] = json!(terms.join(","));
        }
        None => {}
    }
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": at(&paths.spec).and_then(|value| value.as_i64()).unwrap_or_default()},
        "status": status,
    })
}

fn set(object: &mut Value, pointer: &str, value: Value) {
    let mut found = object;
    for part in pointer.split('/').skip(1) {
        found = &mut found[part];
    }
    *found = value;
}
