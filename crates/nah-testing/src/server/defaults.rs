//! How built-in kinds are read and what the server fills in.

use k8s_openapi::{
    api::core::v1 as core, apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

pub(crate) fn typed<K: DeserializeOwned + Serialize>(value: Value) -> Result<Value, String> {
    let typed: K = serde_json::from_value(value).map_err(|error| error.to_string())?;
    serde_json::to_value(typed).map_err(|error| error.to_string())
}

/// `stringData` is for writing only: it becomes `data`.
pub(crate) fn secret(value: Value) -> Result<Value, String> {
    let mut secret: core::Secret = serde_json::from_value(value).map_err(|error| error.to_string())?;
    if let Some(strings) = secret.string_data.take() {
        let data = secret.data.get_or_insert_default();
        data.extend(strings.into_iter().map(|(key, text)| (key, k8s_openapi::ByteString(text.into_bytes()))));
    }
    serde_json::to_value(secret).map_err(|error| error.to_string())
}

/// Sets a member where there is none.
fn fill(value: &mut Value, member: &str, default: Value) {
    if let Some(map) = value.as_object_mut() {
        map.entry(member).or_insert(default);
    }
}

/// Defaults of every workload: its Pods', its replicas, an empty status.
pub(crate) fn workload(value: &mut Value) {
    fill(value, "status", json!({}));
    let spec = &mut value["spec"];
    fill(spec, "revisionHistoryLimit", json!(10));
    template(spec);
}

pub(crate) fn replicated(value: &mut Value) {
    fill(value, "status", json!({}));
    fill(&mut value["spec"], "replicas", json!(1));
    template(&mut value["spec"]);
}

pub(crate) fn deployment(value: &mut Value) {
    replicated(value);
    workload(value);
    let spec = &mut value["spec"];
    fill(spec, "progressDeadlineSeconds", json!(600));
    let quarter = json!({"maxUnavailable": "25%", "maxSurge": "25%"});
    fill(spec, "strategy", json!({}));
    fill(&mut spec["strategy"], "type", json!("RollingUpdate"));
    if spec["strategy"]["type"] == "RollingUpdate" {
        fill(&mut spec["strategy"], "rollingUpdate", quarter);
    }
}

pub(crate) fn namespace(value: &mut Value) {
    let name = value["metadata"]["name"].clone();
    value["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
    if value["metadata"].get("deletionTimestamp").is_none() {
        value["spec"]["finalizers"] = json!(["kubernetes"]);
    }
    if value["status"]["phase"].is_null() {
        value["status"]["phase"] = json!("Active");
    }
}

pub(crate) fn pending(value: &mut Value) {
    if value["status"]["phase"].is_null() {
        value["status"]["phase"] = json!("Pending");
    }
}

pub(crate) fn pod(value: &mut Value) {
    let spec = &mut value["spec"];
    pod_spec(spec);
    fill(spec, "enableServiceLinks", json!(true));
    fill(spec, "preemptionPolicy", json!("PreemptLowerPriority"));
    fill(spec, "priority", json!(0));
    let unless = |condition: &str| {
        let key = format!("node.kubernetes.io/{condition}");
        json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
    };
    fill(spec, "tolerations", json!([unless("not-ready"), unless("unreachable")]));
    pending(value);
    fill(&mut value["status"], "qosClass", json!("BestEffort"));
}

fn template(spec: &mut Value) {
    if let Some(pods) = spec.pointer_mut("/template/spec") {
        pod_spec(pods);
    }
}

fn pod_spec(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    fill(spec, "restartPolicy", json!("Always"));
    fill(spec, "dnsPolicy", json!("ClusterFirst"));
    fill(spec, "schedulerName", json!("default-scheduler"));
    fill(spec, "terminationGracePeriodSeconds", json!(30));
    fill(spec, "securityContext", json!({}));
    for list in ["containers", "initContainers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let image = container["image"].as_str().unwrap_or_default();
            let tag = image.rsplit('/').next().unwrap_or_default().split_once(':').map(|(_, tag)| tag);
            let is_moving = tag.is_none_or(|tag| tag == "latest");
            fill(container, "imagePullPolicy", json!(if is_moving { "Always" } else { "IfNotPresent" }));
            fill(container, "resources", json!({}));
            let ports = container.get_mut("ports").and_then(Value::as_array_mut);
            ports.into_iter().flatten().for_each(|port| fill(port, "protocol", json!("TCP")));
            fill(container, "terminationMessagePath", json!("/dev/termination-log"));
            fill(container, "terminationMessagePolicy", json!("File"));
        }
    }
}

/// A definition; its limits are read as floats, and written as the whole numbers that they were.
pub(crate) fn definition(value: Value) -> Result<Value, String> {
    let mut value = typed::<apiextensions::CustomResourceDefinition>(value)?;
    whole_numbers(&mut value);
    Ok(value)
}

pub(crate) fn definition_names(value: &mut Value) {
    let spec = &mut value["spec"];
    fill(spec, "conversion", json!({"strategy": "None"}));
    let kind = spec["names"]["kind"].as_str().unwrap_or_default().to_owned();
    fill(&mut spec["names"], "singular", json!(kind.to_lowercase()));
    fill(&mut spec["names"], "listKind", json!(format!("{kind}List")));
}

fn whole_numbers(value: &mut Value) {
    match value {
        Value::Object(members) => members.values_mut().for_each(whole_numbers),
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Number(number) if number.is_f64() => {
            if let Ok(whole) = number.to_string().trim_end_matches(".0").parse::<i64>() {
                *value = json!(whole);
            }
        }
        _ => {}
    }
}

pub(crate) fn opaque(value: &mut Value) {
    fill(value, "type", json!("Opaque"));
}

pub(crate) fn service(value: &mut Value) {
    let spec = &mut value["spec"];
    fill(spec, "type", json!("ClusterIP"));
    fill(spec, "sessionAffinity", json!("None"));
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let own = port["port"].clone();
        fill(port, "protocol", json!("TCP"));
        fill(port, "targetPort", own);
    }
    if value["status"]["loadBalancer"].is_null() {
        value["status"]["loadBalancer"] = json!({});
    }
}
