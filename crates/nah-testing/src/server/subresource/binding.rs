//! The binding of a Pod to a node, as a scheduler asks for it.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::server::{
    kinds::Resource,
    state::{State, Write},
    status::{Cause, Status},
    write::Part,
};

/// Binds the Pod to the node that `binding` names.
pub(super) fn bind(
    state: &mut State,
    write: &Write,
    pods: &Arc<Resource>,
    namespace: Option<&str>,
    name: &str,
    binding: &Value,
) -> Result<(), Status> {
    if binding["metadata"]["name"] != name {
        return Err(Status::bad_request("name in URL does not match name in Binding object"));
    }
    let target = &binding["target"];
    // The real server forgets to say that these are about an invalid object.
    let wrong = |cause: Cause| Status::new(500, "", format!("{}: {}", cause.field, cause.message));
    if let Some(kind) = target["kind"].as_str().filter(|kind| !["", "Node"].contains(kind)) {
        let message = format!("Unsupported value: {kind:?}: supported values: \"Node\", \"<empty>\"");
        let cause = Cause { reason: "FieldValueNotSupported", field: "target.kind".into(), message };
        return Err(wrong(cause));
    }
    let node = target["name"].as_str().unwrap_or_default();
    if node.is_empty() {
        return Err(wrong(Cause::required("target.name", "")));
    }
    let stored = state.get(pods, namespace, name)?;
    let refuse = |why: &str| {
        let mut status = Status::conflict(pods, name, why);
        status.message = format!("Operation cannot be fulfilled on pods/binding {name:?}: {why}");
        status.details = Some(json!({"name": name, "kind": "pods/binding"}));
        status
    };
    if stored.is_terminating() {
        return Err(refuse(&format!("pod {name} is being deleted, cannot be assigned to a host")));
    }
    if let Some(bound) = stored.value["spec"]["nodeName"].as_str().filter(|bound| !bound.is_empty()) {
        return Err(refuse(&format!("pod {name} is already assigned to node {bound:?}")));
    }
    let mut pod = pods.stamp(&stored);
    pod["spec"]["nodeName"] = json!(node);
    for (key, value) in binding["metadata"]["annotations"].as_object().into_iter().flatten() {
        pod["metadata"]["annotations"][key] = value.clone();
    }
    let scheduled = json!({"type": "PodScheduled", "status": "True", "lastTransitionTime": write.now()});
    let conditions = &mut pod["status"]["conditions"];
    match conditions.as_array_mut() {
        Some(all) => {
            all.retain(|condition| condition["type"] != "PodScheduled");
            all.push(scheduled);
        }
        None => *conditions = json!([scheduled]),
    }
    for precondition in ["uid", "resourceVersion"] {
        let own = pod["metadata"][precondition].take();
        let wanted = &binding["metadata"][precondition];
        pod["metadata"][precondition] = if wanted.is_string() { wanted.clone() } else { own };
    }
    state.update(write, pods, namespace, name, Part::Binding, pod).map(drop)
}
