//! Structural schemas: pruning, defaults, and what is wrong in the words of the real server.

use jsonschema::{
    ValidationError,
    error::{TypeKind, ValidationErrorKind},
};
use serde_json::{Map, Value, json};

use super::status::Cause;

/// A structural schema as a JSON Schema of draft 4, whose boolean `exclusiveMinimum` OpenAPI shares.
pub(crate) fn to_json_schema(schema: &Value) -> Value {
    let Some(members) = schema.as_object() else { return schema.clone() };
    let mut result = Map::new();
    for (key, value) in members {
        let converted = match key.as_str() {
            "properties" | "patternProperties" => match value.as_object() {
                Some(map) => map.iter().map(|(name, one)| (name.clone(), to_json_schema(one))).collect(),
                None => value.clone(),
            },
            "items" | "additionalProperties" | "not" => to_json_schema(value),
            "allOf" | "anyOf" | "oneOf" => {
                value.as_array().into_iter().flatten().map(to_json_schema).collect()
            }
            // Server-side defaults are filled in before, and the rest is for documentation.
            "default" | "example" | "externalDocs" | "description" | "title" | "nullable" => continue,
            key if key.starts_with("x-kubernetes-") => continue,
            _ => value.clone(),
        };
        result.insert(key.clone(), converted);
    }
    let flag = |name: &str| members.get(name).and_then(Value::as_bool).unwrap_or_default();
    if flag("x-kubernetes-int-or-string") {
        result.remove("anyOf");
        result.insert("type".into(), json!(["integer", "string"]));
    }
    if flag("nullable") {
        if let Some(kind) = result.get("type").and_then(Value::as_str) {
            let kinds = json!([kind, "null"]);
            result.insert("type".into(), kinds);
        }
        if let Some(Value::Array(options)) = result.get_mut("enum") {
            options.push(Value::Null);
        }
    }
    Value::Object(result)
}

/// Drops what `schema` does not know from an object, and names it. The object's own head stays.
pub(crate) fn prune(schema: &Value, object: &mut Value) -> Vec<String> {
    let mut dropped = Vec::new();
    if schema.is_null() {
        return dropped;
    }
    let head: Vec<_> = ["apiVersion", "kind", "metadata"]
        .into_iter()
        .filter_map(|key| Some((key, object.as_object_mut()?.remove(key)?)))
        .collect();
    prune_at(schema, object, "", &mut dropped);
    for (key, value) in head {
        object[key] = value;
    }
    dropped
}

fn prune_at(schema: &Value, value: &mut Value, path: &str, dropped: &mut Vec<String>) {
    let flag = |name: &str| schema[name].as_bool().unwrap_or_default();
    match value {
        Value::Object(members) => {
            let properties = schema["properties"].as_object();
            let embedded = flag("x-kubernetes-embedded-resource");
            let keeps = flag("x-kubernetes-preserve-unknown-fields")
                || schema["additionalProperties"].as_bool().unwrap_or_default();
            let additional =
                schema["additionalProperties"].as_object().map(|_| &schema["additionalProperties"]);
            members.retain(|key, member| {
                let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                if embedded && ["apiVersion", "kind", "metadata"].contains(&key.as_str()) {
                    return true;
                }
                let known = properties.and_then(|known| known.get(key)).or(additional);
                if let Some(known) = known {
                    prune_at(known, member, &inner, dropped);
                } else if !keeps {
                    dropped.push(inner);
                }
                known.is_some() || keeps
            });
        }
        Value::Array(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                prune_at(&schema["items"], item, &format!("{path}[{at}]"), dropped);
            }
        }
        _ => {}
    }
}

/// Fills in the defaults of `schema`.
pub(crate) fn fill(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
                let absent = match members.get(key) {
                    None => true,
                    Some(Value::Null) => !inner["nullable"].as_bool().unwrap_or_default(),
                    Some(_) => false,
                };
                match inner.get("default") {
                    Some(default) if absent => drop(members.insert(key.clone(), default.clone())),
                    // A null that may not be is as good as nothing.
                    None if absent => drop(members.remove(key)),
                    _ => {}
                }
                if let Some(member) = members.get_mut(key) {
                    fill(inner, member);
                }
            }
            if schema["additionalProperties"].is_object() {
                let known = schema["properties"].as_object();
                for (_, member) in
                    members.iter_mut().filter(|(key, _)| !known.is_some_and(|k| k.contains_key(*key)))
                {
                    fill(&schema["additionalProperties"], member);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(&schema["items"], item)),
        _ => {}
    }
}

/// One error of the validator, as the real server words it.
pub(crate) fn cause(error: &ValidationError<'_>) -> Cause {
    let field = dotted(error.instance_path().as_str());
    let instance = error.instance();
    let at = if field.is_empty() { "<nil>".to_owned() } else { field.clone() };
    let invalid = |why: String| Cause::invalid(at.clone(), instance, &why);
    let body = if field.is_empty() { "in body".to_owned() } else { format!("{field} in body") };
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            Cause::required(if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") }, "")
        }
        ValidationErrorKind::Type { kind } => {
            let wanted = match kind {
                TypeKind::Single(one) => one.to_string(),
                TypeKind::Multiple(set) => {
                    set.iter().map(|one| one.to_string()).collect::<Vec<_>>().join(",")
                }
            };
            let found = match instance.as_ref() {
                Value::Null => "null",
                Value::Bool(_) => "boolean",
                Value::Number(number) if number.is_f64() => "number",
                Value::Number(_) => "integer",
                Value::String(_) => "string",
                Value::Array(_) => "array",
                Value::Object(_) => "object",
            };
            Cause {
                reason: "FieldValueTypeInvalid",
                field: at.clone(),
                message: format!("Invalid value: {found:?}: {body} must be of type {wanted}: {found:?}"),
            }
        }
        ValidationErrorKind::Enum { options } => {
            let options: Vec<_> = options.as_array().into_iter().flatten().map(Value::to_string).collect();
            let message = format!("Unsupported value: {instance}: supported values: {}", options.join(", "));
            Cause { reason: "FieldValueNotSupported", field: at.clone(), message }
        }
        ValidationErrorKind::Minimum { limit } => {
            invalid(format!("{body} should be greater than or equal to {}", plain(limit)))
        }
        ValidationErrorKind::Maximum { limit } => {
            invalid(format!("{body} should be less than or equal to {}", plain(limit)))
        }
        ValidationErrorKind::MinLength { limit } => {
            invalid(format!("{body} should be at least {limit} chars long"))
        }
        ValidationErrorKind::MaxLength { limit } => Cause {
            reason: "FieldValueTooLong",
            field: at.clone(),
            message: format!("Too long: may not be more than {limit} bytes"),
        },
        ValidationErrorKind::MinItems { limit } => {
            invalid(format!("{body} should have at least {limit} items"))
        }
        ValidationErrorKind::MaxItems { limit } => Cause {
            reason: "FieldValueTooMany",
            field: at.clone(),
            message: format!(
                "Too many: {}: must have at most {limit} items",
                instance.as_array().map_or(0, Vec::len)
            ),
        },
        ValidationErrorKind::Pattern { pattern } => invalid(format!("{body} should match '{pattern}'")),
        ValidationErrorKind::Format { format } => Cause {
            reason: "FieldValueTypeInvalid",
            field: at.clone(),
            message: format!("Invalid value: {instance}: {body} must be of type {format}: {instance}"),
        },
        _ => invalid(format!("{body}: {error}")),
    }
}

/// A number as it was written, not as the float that a schema makes of it.
fn plain(number: &Value) -> String {
    let text = number.to_string();
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// A JSON pointer as the path that messages use: `spec.items[0].name`.
fn dotted(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if part.bytes().all(|letter| letter.is_ascii_digit()) && !path.is_empty() {
            path.push_str(&format!("[{part}]"));
            continue;
        }
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(&part);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Value {
        json!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": {
                "size": {"type": "integer", "default": 3},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {
                    "a": {"type": "string", "default": "b"},
                }}},
                "list": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "string"}}}},
            }},
        }})
    }

    #[test]
    fn pruning_names_what_it_drops() {
        let mut object = json!({"kind": "K", "metadata": {"name": "n"}, "extra": 1, "spec": {
            "what": 1, "free": {"any": 1}, "map": {"m": {"a": "x", "b": 1}}, "list": [{"x": "1", "y": 2}],
        }});
        let mut dropped = prune(&schema(), &mut object);
        dropped.sort();
        assert_eq!(dropped, ["extra", "spec.list[0].y", "spec.map.m.b", "spec.what"]);
        assert_eq!(object["spec"]["free"]["any"], 1);
        assert_eq!(object["metadata"]["name"], "n");
    }

    #[test]
    fn defaults_are_filled_in_at_any_depth() {
        let mut object = json!({"spec": {"map": {"m": {}}}});
        fill(&schema(), &mut object);
        assert_eq!(object, json!({"spec": {"size": 3, "map": {"m": {"a": "b"}}}}));
    }

    #[test]
    fn a_pointer_reads_as_a_path() {
        assert_eq!(dotted("/spec/items/0/name"), "spec.items[0].name");
        assert_eq!(dotted(""), "");
    }
}
