//! managedFields: which of three managers wrote which field, computed from the object itself.

use serde_json::{Map, Value, json};

/// What identifies an item of a list: such lists are merged by key, others are written whole.
const KEYS: &[(&str, &[&str])] = &[
    ("conditions", &["type"]),
    ("containerStatuses", &["name"]),
    ("containers", &["name"]),
    ("env", &["name"]),
    ("hostIPs", &["ip"]),
    ("ownerReferences", &["uid"]),
    ("podIPs", &["ip"]),
    ("ports", &["containerPort", "protocol"]),
    ("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("volumeMounts", &["mountPath"]),
    ("volumes", &["name"]),
];

/// The entries of a Pod: its controller wrote labels and spec, the network plugin its annotations, the kubelet the
/// status.
pub(super) fn managed_fields(metadata: &Value, spec: &Value, status: &Value) -> Value {
    let annotations = metadata["annotations"].as_object().cloned().unwrap_or_default();
    let (plugin, other): (Map<_, _>, Map<_, _>) =
        annotations.into_iter().partition(|(key, _)| key.starts_with("cni."));
    let mut spec = spec.clone();
    if let Some(spec) = spec.as_object_mut() {
        // The binding set it, and bindings leave no entry.
        spec.remove("nodeName");
    }
    let controller = json!({
        "metadata": {"annotations": other, "generateName": "", "labels": metadata["labels"],
            "ownerReferences": metadata["ownerReferences"]},
        "spec": spec,
    });
    // The kubelet does not write what every Pod has from the API server.
    let mut status = status.clone();
    if let Some(status) = status.as_object_mut() {
        status.remove("qosClass");
        // Its statuses of containers are written whole: the list has no key.
        status.insert("containerStatuses".into(), "whole".into());
    }
    let time = &metadata["creationTimestamp"];
    let entry = |manager: &str, subresource: Option<&str>, fields: &Value| {
        let mut entry = json!({
            "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields_of("", fields), "manager": manager,
            "operation": "Update", "time": time,
        });
        if let Some(subresource) = subresource {
            entry["subresource"] = subresource.into();
        }
        entry
    };
    json!([
        entry("kube-controller-manager", None, &controller),
        entry("calico", Some("status"), &json!({"metadata": {"annotations": plugin}})),
        entry("kubelet", Some("status"), &json!({"status": status})),
    ])
}

/// The set of fields that `value` has.
fn fields_of(name: &str, value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut set = Map::new();
            if matches!(name, "annotations" | "labels" | "capabilities" | "limits" | "requests") {
                set.insert(".".into(), json!({}));
            }
            set.extend(fields.iter().map(|(name, value)| (format!("f:{name}"), fields_of(name, value))));
            Value::Object(set)
        }
        Value::Array(items) => {
            let Some((_, keys)) = KEYS.iter().find(|(list, _)| *list == name) else { return json!({}) };
            let mut set = Map::from_iter([(".".to_owned(), json!({}))]);
            for item in items {
                let key: Map<String, Value> =
                    keys.iter().map(|key| ((*key).to_owned(), item[*key].clone())).collect();
                let mut fields = fields_of("", item);
                fields["."] = json!({});
                set.insert(format!("k:{}", Value::Object(key)), fields);
            }
            Value::Object(set)
        }
        _ => json!({}),
    }
}
