//! How built-in kinds are read and what the server fills in.

use k8s_openapi::api::core::v1 as core;
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

pub(crate) fn one_replica(value: &mut Value) {
    fill(&mut value["spec"], "replicas", json!(1));
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
    fill(spec, "restartPolicy", json!("Always"));
    fill(spec, "dnsPolicy", json!("ClusterFirst"));
    fill(spec, "schedulerName", json!("default-scheduler"));
    fill(spec, "terminationGracePeriodSeconds", json!(30));
    fill(spec, "securityContext", json!({}));
    pending(value);
}

pub(crate) fn opaque(value: &mut Value) {
    fill(value, "type", json!("Opaque"));
}

pub(crate) fn service(value: &mut Value) {
    let spec = &mut value["spec"];
    fill(spec, "type", json!("ClusterIP"));
    fill(spec, "sessionAffinity", json!("None"));
    if value["status"]["loadBalancer"].is_null() {
        value["status"]["loadBalancer"] = json!({});
    }
}
