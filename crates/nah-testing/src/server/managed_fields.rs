//! managedFields: who wrote which field, as plausibly as a list of writers needs.

use serde_json::{Map, Value, json};

/// Notes that `manager` wrote what differs between `before` and `after`.
pub(crate) fn note(
    after: &mut Value,
    before: Option<&Value>,
    manager: &str,
    api_version: &str,
    subresource: Option<&str>,
    now: &str,
) {
    let written = difference(before, after, true);
    let mut entries = match before.map(|before| &before["metadata"]["managedFields"]) {
        Some(Value::Array(entries)) => entries.clone(),
        _ => Vec::new(),
    };
    let Some(written) = written else {
        after["metadata"]["managedFields"] = Value::Array(entries);
        return;
    };
    let own = entries
        .iter_mut()
        .find(|entry| entry["manager"] == json!(manager) && entry["subresource"].as_str() == subresource);
    match own {
        Some(entry) => {
            merge(&mut entry["fieldsV1"], written);
            entry["time"] = json!(now);
            entry["apiVersion"] = json!(api_version);
        }
        None => {
            let mut entry = json!({
                "manager": manager,
                "operation": "Update",
                "apiVersion": api_version,
                "time": now,
                "fieldsType": "FieldsV1",
                "fieldsV1": written,
            });
            if let Some(subresource) = subresource {
                entry["subresource"] = json!(subresource);
            }
            entries.push(entry);
        }
    }
    after["metadata"]["managedFields"] = Value::Array(entries);
}

/// The fields of `after` that are new or other than before, as FieldsV1 has them; none where there are none.
fn difference(before: Option<&Value>, after: &Value, is_root: bool) -> Option<Value> {
    if before == Some(after) {
        return None;
    }
    let Value::Object(members) = after else { return Some(json!({})) };
    let mut fields = Map::new();
    for (key, value) in members {
        let value = match key.as_str() {
            "apiVersion" | "kind" if is_root => continue,
            "metadata" if is_root => &owned_metadata(value),
            _ => value,
        };
        let previous = before.and_then(|before| before.get(key));
        let previous = match (key.as_str(), previous) {
            ("metadata", Some(previous)) if is_root => Some(&owned_metadata(previous)),
            (_, previous) => previous,
        };
        if let Some(written) = difference(previous, value, false) {
            fields.insert(format!("f:{key}"), written);
        }
    }
    (!fields.is_empty() || before.is_none()).then_some(Value::Object(fields)).filter(|fields| {
        // An empty map that is the whole object says nothing of anybody.
        !is_root || fields.as_object().is_some_and(|fields| !fields.is_empty())
    })
}

/// The part of the metadata that writers own.
fn owned_metadata(metadata: &Value) -> Value {
    let mut owned = Map::new();
    for key in ["labels", "annotations", "finalizers", "ownerReferences", "generateName"] {
        if let Some(value) = metadata.get(key) {
            owned.insert(key.to_owned(), value.clone());
        }
    }
    Value::Object(owned)
}

fn merge(into: &mut Value, from: Value) {
    let (Value::Object(into), Value::Object(from)) = (into, from) else { return };
    for (key, value) in from {
        match into.get_mut(&key) {
            Some(existing) => merge(existing, value),
            None => {
                into.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_manager_has_one_entry_with_what_it_wrote() {
        let mut one = json!({"metadata": {"name": "a", "labels": {"l": "1"}}, "data": {"x": "1"}});
        note(&mut one, None, "first", "v1", None, "t1");
        let mut two = one.clone();
        two["data"]["y"] = json!("2");
        note(&mut two, Some(&one), "second", "v1", None, "t2");
        let mut three = two.clone();
        three["data"]["z"] = json!("3");
        note(&mut three, Some(&two), "second", "v1", None, "t3");
        let entries = three["metadata"]["managedFields"].as_array().unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(
            entries[0]["fieldsV1"],
            json!({"f:metadata": {"f:labels": {"f:l": {}}}, "f:data": {"f:x": {}}})
        );
        assert_eq!(entries[1]["fieldsV1"], json!({"f:data": {"f:y": {}, "f:z": {}}}));
        assert_eq!(entries[1]["time"], "t3");
    }
}
