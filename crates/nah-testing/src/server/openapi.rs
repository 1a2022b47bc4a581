//! OpenAPI, as little of it as lets kubectl leave validation to the server.

use serde_json::{Map, Value, json};

use super::kinds::{Kinds, Resource};

/// The document behind an OpenAPI path.
pub(crate) fn document(kinds: &Kinds, path: &str) -> Option<Value> {
    match path.strip_prefix("/openapi/")? {
        "v2" => Some(json!({
            "swagger": "2.0",
            "info": {"title": "nah-testing", "version": "unversioned"},
            "paths": {},
            "definitions": {},
        })),
        "v3" => Some(index(kinds)),
        rest => group_version(kinds, rest.strip_prefix("v3/")?),
    }
}

fn path_of(resource: &Resource) -> String {
    if resource.group.is_empty() { "api/v1".to_owned() } else { format!("apis/{}", resource.api_version()) }
}

fn index(kinds: &Kinds) -> Value {
    let mut paths = Map::new();
    for resource in kinds.iter() {
        let path = path_of(resource);
        let url = format!("/openapi/v3/{path}?hash=0");
        paths.insert(path, json!({"serverRelativeURL": url}));
    }
    json!({"paths": paths})
}

fn group_version(kinds: &Kinds, path: &str) -> Option<Value> {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for resource in kinds.iter().filter(|resource| path_of(resource) == path) {
        let scope = if resource.namespaced { "namespaces/{namespace}/" } else { "" };
        let gvk = json!({"group": resource.group, "version": resource.version, "kind": resource.kind});
        let parameter = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
        let operation = |action: &str| {
            json!({
                "operationId": format!("{action}{}", resource.kind),
                "parameters": [parameter("dryRun"), parameter("fieldManager"), parameter("fieldValidation")],
                "responses": {"200": {"description": "OK"}},
                "x-kubernetes-action": action,
                "x-kubernetes-group-version-kind": gvk,
            })
        };
        paths.insert(format!("/{path}/{scope}{}", resource.plural), json!({"post": operation("post")}));
        paths.insert(
            format!("/{path}/{scope}{}/{{name}}", resource.plural),
            json!({"put": operation("put"), "patch": operation("patch")}),
        );
        schemas.insert(
            format!("nah.testing.{}.{}", resource.version, resource.kind),
            json!({"type": "object", "x-kubernetes-group-version-kind": [gvk]}),
        );
    }
    (!paths.is_empty()).then(|| {
        json!({
            "openapi": "3.0.0",
            "info": {"title": "nah-testing", "version": "unversioned"},
            "paths": paths,
            "components": {"schemas": schemas},
        })
    })
}
