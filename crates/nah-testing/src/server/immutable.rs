//! Fields of built-in kinds that an update may not change.

use serde_json::{Value, json};

use super::{kinds::Resource, status::Cause};

/// What an update changes though it may not.
pub(crate) fn check(resource: &Resource, old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    if resource.is_custom() {
        return;
    }
    match resource.kind.as_str() {
        "ConfigMap" | "Secret" if old["immutable"] == json!(true) => {
            let why = "field is immutable when `immutable` is set";
            for field in ["immutable", "data", "binaryData"] {
                if old[field] != new[field] {
                    causes.push(Cause::forbidden(field, why));
                }
            }
        }
        "Pod" if fixed_part(&old["spec"]) != fixed_part(&new["spec"]) => {
            let why = "pod updates may not change fields other than `spec.containers[*].image`,\
                       `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions \
                       to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it \
                       was previously negative)";
            causes.push(Cause::forbidden("spec", why));
        }
        "Deployment" | "ReplicaSet" | "DaemonSet" if old["spec"]["selector"] != new["spec"]["selector"] => {
            causes.push(Cause::invalid("spec.selector", &new["spec"]["selector"], "field is immutable"));
        }
        _ => {}
    }
}

/// The spec of a Pod without what may change.
fn fixed_part(spec: &Value) -> Value {
    let mut fixed = spec.clone();
    if let Some(members) = fixed.as_object_mut() {
        for member in ["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds"] {
            members.remove(member);
        }
    }
    for list in ["containers", "initContainers"] {
        let containers = fixed.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
            container.remove("image");
        }
    }
    fixed
}
