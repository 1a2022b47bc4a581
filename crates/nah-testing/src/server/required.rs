//! The few fields of built-in kinds that the real server misses most often.

use serde_json::Value;

use super::status::Cause;

/// Adds what an object of a kind lacks to what is wrong with it.
pub(crate) fn check(kind: &str, value: &Value, causes: &mut Vec<Cause>) {
    let spec = &value["spec"];
    match kind {
        "Pod" => {
            if spec["containers"].as_array().is_none_or(Vec::is_empty) {
                causes.push(Cause::required("spec.containers", ""));
            }
            require_names(spec, "spec", causes);
        }
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => {
            require_names(&spec["template"]["spec"], "spec.template.spec", causes);
            let selector = &spec["selector"];
            let labels = &spec["template"]["metadata"]["labels"];
            let matching = selector["matchLabels"].as_object();
            let is_empty = matching.is_none() && selector["matchExpressions"].is_null();
            if is_empty {
                causes.push(Cause::required("spec.selector", ""));
            }
            if is_empty || matching.into_iter().flatten().any(|(key, value)| labels.get(key) != Some(value)) {
                let why = "`selector` does not match template `labels`";
                causes.push(Cause::invalid("spec.template.metadata.labels", labels, why));
            }
        }
        "Service" => {
            let needs_ports = spec["type"] != "ExternalName" && spec["clusterIP"] != "None";
            if needs_ports && spec["ports"].as_array().is_none_or(Vec::is_empty) {
                causes.push(Cause::required("spec.ports", ""));
            }
        }
        _ => {}
    }
}

/// Every container has a name.
fn require_names(pod: &Value, at: &str, causes: &mut Vec<Cause>) {
    for (place, container) in pod["containers"].as_array().into_iter().flatten().enumerate() {
        if container["name"].as_str().is_none_or(str::is_empty) {
            causes.push(Cause::required(format!("{at}.containers[{place}].name"), ""));
        }
    }
}
