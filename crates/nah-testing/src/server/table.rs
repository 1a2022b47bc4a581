//! Tables, as `kubectl get` asks for them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    kinds::{Origin, Resource},
    objects::Stored,
    shape::{Include, partial},
};

/// A table of rows; without its columns where they were told before.
pub(crate) fn table(resource: &Resource, rows: Vec<Value>, metadata: Value, with_columns: bool) -> Value {
    let columns = if with_columns { columns(resource) } else { Value::Null };
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": columns,
        "rows": rows,
    })
}

/// The row of one object.
pub(crate) fn row(resource: &Resource, stored: &Stored, include: Include, now: Timestamp) -> Value {
    let value = &stored.value;
    let mut cells = vec![json!(stored.name())];
    match &resource.origin {
        Origin::Custom(custom) if !custom.columns.is_empty() => {
            cells.extend(custom.columns.iter().map(|column| {
                let found = at_path(value, &column.path);
                match (column.kind.as_str(), found.as_str()) {
                    ("date", Some(time)) => json!(age(time, now)),
                    _ => found.clone(),
                }
            }));
        }
        Origin::Custom(_) => cells.push(json!(created(value, now))),
        Origin::Builtin(row) => {
            cells.extend(special(row.kind, value));
            cells.push(json!(created(value, now)));
        }
    }
    let object = match include {
        Include::Nothing => Value::Null,
        Include::Metadata => partial(value),
        Include::Object => resource.stamp(stored),
    };
    json!({"cells": cells, "object": object})
}

fn columns(resource: &Resource) -> Value {
    let column = |name: &str, kind: &str, format: &str, priority: i64| {
        let mut column = json!({"name": name, "type": kind, "format": format, "description": ""});
        column["priority"] = json!(priority);
        column
    };
    let mut columns = vec![column("Name", "string", "name", 0)];
    match &resource.origin {
        Origin::Custom(custom) if !custom.columns.is_empty() => {
            columns.extend(custom.columns.iter().map(|one| column(&one.name, &one.kind, "", one.priority)));
        }
        Origin::Custom(_) => columns.push(column("Age", "date", "", 0)),
        Origin::Builtin(row) => {
            columns.extend(titles(row.kind).iter().map(|title| column(title, "string", "", 0)));
            columns.push(column("Age", "string", "", 0));
        }
    }
    Value::Array(columns)
}

/// The columns between name and age.
fn titles(kind: &str) -> &'static [&'static str] {
    match kind {
        "Pod" => &["Ready", "Status", "Restarts"],
        "ConfigMap" => &["Data"],
        "Secret" => &["Type", "Data"],
        "Namespace" | "Node" => &["Status"],
        "Deployment" => &["Ready", "Up-to-date", "Available"],
        "ReplicaSet" => &["Desired", "Current", "Ready"],
        "StatefulSet" => &["Ready"],
        "Service" => &["Type", "Cluster-IP"],
        "Job" => &["Status", "Completions"],
        "Lease" => &["Holder"],
        "Event" => &["Type", "Reason", "Message"],
        _ => &[],
    }
}

fn special(kind: &str, value: &Value) -> Vec<Value> {
    let number = |path: &str| value.pointer(path).and_then(Value::as_i64).unwrap_or_default();
    let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or("<none>").to_owned();
    let members = |path: &str| value.pointer(path).and_then(Value::as_object).map_or(0, |map| map.len());
    match kind {
        "Pod" => {
            let containers = value["spec"]["containers"].as_array().map_or(0, Vec::len);
            let statuses = value["status"]["containerStatuses"].as_array();
            let ready =
                statuses.map_or(0, |all| all.iter().filter(|one| one["ready"] == json!(true)).count());
            let restarts: i64 =
                statuses.into_iter().flatten().filter_map(|one| one["restartCount"].as_i64()).sum();
            let terminating = value["metadata"]["deletionTimestamp"].is_string();
            let phase = if terminating { "Terminating".to_owned() } else { text("/status/phase") };
            vec![json!(format!("{ready}/{containers}")), json!(phase), json!(restarts.to_string())]
        }
        "ConfigMap" => vec![json!(members("/data") + members("/binaryData"))],
        "Secret" => vec![json!(text("/type")), json!(members("/data"))],
        "Namespace" => vec![json!(text("/status/phase"))],
        "Node" => vec![json!("Unknown")],
        "Deployment" => vec![
            json!(format!("{}/{}", number("/status/readyReplicas"), number("/spec/replicas"))),
            json!(number("/status/updatedReplicas")),
            json!(number("/status/availableReplicas")),
        ],
        "ReplicaSet" => vec![
            json!(number("/spec/replicas")),
            json!(number("/status/replicas")),
            json!(number("/status/readyReplicas")),
        ],
        "StatefulSet" => {
            vec![json!(format!("{}/{}", number("/status/readyReplicas"), number("/spec/replicas")))]
        }
        "Service" => vec![json!(text("/spec/type")), json!(text("/spec/clusterIP"))],
        "Job" => vec![
            json!(if number("/status/succeeded") > 0 { "Complete" } else { "Running" }),
            json!(format!("{}/{}", number("/status/succeeded"), number("/spec/completions").max(1))),
        ],
        "Lease" => vec![json!(text("/spec/holderIdentity"))],
        "Event" => {
            let message = value.get("message").or(value.get("note")).cloned().unwrap_or_default();
            vec![json!(text("/type")), json!(text("/reason")), message]
        }
        _ => Vec::new(),
    }
}

/// Follows a plain JSONPath: members, quoted members and indexes.
pub(crate) fn at_path<'a>(value: &'a Value, path: &str) -> &'a Value {
    let path =
        path.trim_start_matches('.').replace("['", ".").replace("']", "").replace('[', ".").replace(']', "");
    let mut found = value;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        found = match part.parse::<usize>() {
            Ok(at) if found.is_array() => found.get(at).unwrap_or(&Value::Null),
            _ => found.get(part).unwrap_or(&Value::Null),
        };
    }
    found
}

fn created(value: &Value, now: Timestamp) -> String {
    value["metadata"]["creationTimestamp"].as_str().map_or("<unknown>".to_owned(), |time| age(time, now))
}

/// How long ago something was, as kubectl says it.
fn age(time: &str, now: Timestamp) -> String {
    let Ok(time) = time.parse::<Timestamp>() else { return "<invalid>".to_owned() };
    let seconds = (now.as_second() - time.as_second()).max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}
