//! Custom kinds.

use serde_json::{Value, json};

use crate::support::{Ground, version};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const WIDGETS: &str = "/apis/example.com/v1/namespaces/default/widgets";

pub(crate) fn definition() -> Value {
    let schema = json!({"type": "object", "required": ["spec"], "properties": {
        "spec": {"type": "object", "required": ["size"], "properties": {
            "size": {"type": "integer", "minimum": 1, "maximum": 9},
            "color": {"type": "string", "enum": ["red", "blue"], "default": "red"},
            "note": {"type": "string", "nullable": true, "maxLength": 5},
            "replicas": {"type": "integer"},
            "port": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
            "items": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        }},
        "status": {"type": "object", "properties": {"ready": {"type": "boolean"}, "replicas": {"type": "integer"}}},
    }});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"kind": "Widget", "plural": "widgets", "shortNames": ["wd"]},
            "versions": [
                {
                    "name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {
                        "status": {},
                        "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"},
                    },
                    "selectableFields": [{"jsonPath": ".spec.color"}],
                    "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
                },
                {"name": "v1beta1", "served": true, "storage": false, "schema": {"openAPIV3Schema": schema}},
            ],
        },
    })
}

fn widget(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec})
}

async fn ground() -> Ground {
    let ground = Ground::new();
    let (code, created) = ground.post(DEFINITIONS, definition()).await;
    assert_eq!(code, 201, "{created}");
    ground
}

#[tokio::test(start_paused = true)]
async fn a_posted_kind_is_served_at_once() {
    let ground = ground().await;
    let (code, object) = ground.post(WIDGETS, widget("a", json!({"size": 1}))).await;
    assert_eq!(
        (code, &object["kind"], &object["metadata"]["generation"]),
        (201, &json!("Widget"), &json!(1))
    );
    let (_, list) = ground.get(WIDGETS).await;
    assert_eq!(list["kind"], "WidgetList");
    assert_eq!(list["items"][0]["kind"], "Widget", "items of custom lists say their kind");
    let (_, all) = ground.get("/apis/example.com/v1").await;
    assert_eq!(all["resources"][0]["shortNames"], json!(["wd"]));
}

#[tokio::test(start_paused = true)]
async fn lists_of_custom_kinds_have_an_empty_token_at_their_end() {
    let ground = ground().await;
    let (_, list) = ground.get(WIDGETS).await;
    assert_eq!(list["metadata"]["continue"], "");
}

#[tokio::test(start_paused = true)]
async fn a_null_that_may_not_be_is_as_good_as_nothing() {
    let ground = ground().await;
    let (code, status) = ground.post(WIDGETS, widget("a", json!({"size": null}))).await;
    assert_eq!((code, &status["details"]["causes"][0]["reason"]), (422, &json!("FieldValueRequired")));
    let (_, object) =
        ground.post(WIDGETS, widget("a", json!({"size": 1, "color": null, "replicas": null}))).await;
    assert_eq!(object["spec"], json!({"size": 1, "color": "red"}));
}

#[tokio::test(start_paused = true)]
async fn custom_kinds_know_no_strategic_merge() {
    let ground = ground().await;
    ground.post(WIDGETS, widget("a", json!({"size": 1}))).await;
    let headers = [("content-type", "application/strategic-merge-patch+json")];
    let (code, _) =
        ground.ask_with("PATCH", &format!("{WIDGETS}/a"), &headers, json!({"spec": {"size": 2}})).await;
    assert_eq!(code, 415);
}

#[tokio::test(start_paused = true)]
async fn a_definition_becomes_established() {
    let ground = ground().await;
    let (_, object) = ground.get(&format!("{DEFINITIONS}/widgets.example.com")).await;
    let conditions = object["status"]["conditions"].as_array().unwrap();
    let is_true = |kind: &str| conditions.iter().any(|one| one["type"] == kind && one["status"] == "True");
    assert!(is_true("Established") && is_true("NamesAccepted"));
    assert_eq!(object["status"]["acceptedNames"]["singular"], "widget");
    assert_eq!(object["status"]["storedVersions"], json!(["v1"]));
}

#[tokio::test(start_paused = true)]
async fn an_object_is_served_in_all_versions() {
    let ground = ground().await;
    ground.post(WIDGETS, widget("a", json!({"size": 1}))).await;
    let path = "/apis/example.com/v1beta1/namespaces/default/widgets";
    let (code, object) = ground.get(&format!("{path}/a")).await;
    assert_eq!((code, &object["apiVersion"]), (200, &json!("example.com/v1beta1")));
    let mut watch = ground.watch(&format!("{path}?watch=1")).await;
    assert_eq!(watch.event().await["object"]["apiVersion"], "example.com/v1beta1");
}

#[tokio::test(start_paused = true)]
async fn what_the_schema_forbids_is_invalid_and_named() {
    let ground = ground().await;
    for (spec, reason, field) in [
        (json!({}), "FieldValueRequired", "spec.size"),
        (json!({"size": "big"}), "FieldValueTypeInvalid", "spec.size"),
        (json!({"size": 0}), "FieldValueInvalid", "spec.size"),
        (json!({"size": 10}), "FieldValueInvalid", "spec.size"),
        (json!({"size": 1, "color": "green"}), "FieldValueNotSupported", "spec.color"),
        (json!({"size": 1, "note": "too long"}), "FieldValueTooLong", "spec.note"),
        (json!({"size": 1, "items": [{}, {"name": 1}]}), "FieldValueTypeInvalid", "spec.items[1].name"),
        (json!({"size": 1, "port": true}), "FieldValueTypeInvalid", "spec.port"),
    ] {
        let (code, status) = ground.post(WIDGETS, widget("a", spec.clone())).await;
        assert_eq!((code, &status["reason"]), (422, &json!("Invalid")), "{spec}: {status}");
        let cause = &status["details"]["causes"][0];
        assert_eq!((&cause["reason"], &cause["field"]), (&json!(reason), &json!(field)), "{status}");
        assert_eq!(status["details"]["group"], "example.com");
    }
    let (_, status) = ground.post(WIDGETS, widget("a", json!({"size": "big"}))).await;
    assert_eq!(
        status["message"],
        "Widget.example.com \"a\" is invalid: spec.size: Invalid value: \"string\": spec.size in body must be of \
         type integer: \"string\""
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_schema_allows_is_taken() {
    let ground = ground().await;
    let spec = json!({"size": 9, "color": "blue", "note": null, "port": "http", "free": {"any": [1]}});
    let (code, object) = ground.post(WIDGETS, widget("a", spec)).await;
    assert_eq!((code, &object["spec"]["free"]), (201, &json!({"any": [1]})));
}

#[tokio::test(start_paused = true)]
async fn defaults_are_filled_in_and_unknown_fields_pruned() {
    let ground = ground().await;
    let (_, object) = ground.post(WIDGETS, widget("a", json!({"size": 1, "what": 1}))).await;
    assert_eq!(object["spec"], json!({"size": 1, "color": "red"}));
}

#[tokio::test(start_paused = true)]
async fn unknown_fields_are_errors_where_the_client_is_strict() {
    let ground = ground().await;
    let path = format!("{WIDGETS}?fieldValidation=Strict");
    let (code, status) = ground.post(&path, widget("a", json!({"size": 1, "what": 1}))).await;
    assert_eq!(code, 400);
    let message = status["message"].as_str().unwrap();
    assert!(message.ends_with("strict decoding error: unknown field \"spec.what\""), "{message}");
}

#[tokio::test(start_paused = true)]
async fn status_is_a_part_of_its_own() {
    let ground = ground().await;
    let mut object = widget("a", json!({"size": 1}));
    object["status"] = json!({"ready": true});
    let (_, created) = ground.post(WIDGETS, object).await;
    assert!(created["status"].is_null());
    let path = format!("{WIDGETS}/a/status");
    let (code, object) = ground.patch(&path, json!({"status": {"ready": true}, "spec": {"size": 5}})).await;
    assert_eq!((code, &object["status"]["ready"], &object["spec"]["size"]), (200, &json!(true), &json!(1)));
    assert_eq!(object["metadata"]["generation"], 1);
    let beta = "/apis/example.com/v1beta1/namespaces/default/widgets/a/status";
    let (code, status) = ground.get(beta).await;
    assert_eq!(
        (code, &status["details"]["name"]),
        (404, &json!("a")),
        "of custom kinds it says the object is not there"
    );
}

#[tokio::test(start_paused = true)]
async fn scale_follows_the_paths_of_the_definition() {
    let ground = ground().await;
    ground.post(WIDGETS, widget("a", json!({"size": 1}))).await;
    let (code, scale) = ground.patch(&format!("{WIDGETS}/a/scale"), json!({"spec": {"replicas": 4}})).await;
    assert_eq!((code, &scale["spec"]["replicas"]), (200, &json!(4)));
    assert_eq!(ground.get(&format!("{WIDGETS}/a")).await.1["spec"]["replicas"], 4);
}

#[tokio::test(start_paused = true)]
async fn an_update_has_to_say_which_version_it_is_based_on() {
    let ground = ground().await;
    ground.post(WIDGETS, widget("a", json!({"size": 1}))).await;
    let (code, status) = ground.put(&format!("{WIDGETS}/a"), widget("a", json!({"size": 2}))).await;
    assert_eq!((code, &status["details"]["causes"][0]["field"]), (422, &json!("metadata.resourceVersion")));
}

#[tokio::test(start_paused = true)]
async fn an_object_has_to_say_its_kind() {
    let ground = ground().await;
    let mut object = widget("a", json!({"size": 1}));
    object["kind"] = json!("Gadget");
    let (code, status) = ground.post(WIDGETS, object.clone()).await;
    assert_eq!((code, &status["details"]["causes"][0]["field"]), (422, &json!("kind")));
    for member in ["kind", "apiVersion"] {
        let mut object = widget("a", json!({"size": 1}));
        object.as_object_mut().unwrap().remove(member);
        let (code, status) = ground.post(WIDGETS, object).await;
        assert_eq!((code, &status["reason"]), (400, &json!("BadRequest")));
    }
}

#[tokio::test(start_paused = true)]
async fn selectable_fields_select_and_others_do_not() {
    let ground = ground().await;
    ground.post(WIDGETS, widget("a", json!({"size": 1}))).await;
    ground.post(WIDGETS, widget("b", json!({"size": 1, "color": "blue"}))).await;
    let (_, list) = ground.get(&format!("{WIDGETS}?fieldSelector=spec.color%3Dblue")).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(ground.get(&format!("{WIDGETS}?fieldSelector=spec.size%3D1")).await.0, 400);
}

#[tokio::test(start_paused = true)]
async fn printer_columns_make_the_table() {
    let ground = ground().await;
    ground.post(WIDGETS, widget("a", json!({"size": 3}))).await;
    let headers = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let (_, table) = ground.ask_with("GET", WIDGETS, &headers, Value::Null).await;
    assert_eq!(table["columnDefinitions"][1]["name"], "Size");
    assert_eq!(table["rows"][0]["cells"], json!(["a", 3]));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_kind_takes_its_objects_along_and_ends_its_watches() {
    let ground = ground().await;
    ground.post(WIDGETS, widget("a", json!({"size": 1}))).await;
    let mut watch = ground.watch(&format!("{WIDGETS}?watch=1")).await;
    assert_eq!(watch.short().await, "ADDED a");
    let (code, object) = ground.delete(&format!("{DEFINITIONS}/widgets.example.com")).await;
    assert_eq!(code, 200);
    assert!(object["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(watch.short().await, "DELETED a");
    assert!(watch.line().await.is_none());
    let (code, text) = ground.text(WIDGETS).await;
    assert_eq!((code.as_u16(), text.as_str()), (404, "404 page not found\n"));
    assert_eq!(ground.text("/apis/example.com").await.0, 404);
    assert_eq!(ground.server.journal().count("watch", "widgets"), 1);

    ground.post(DEFINITIONS, definition()).await;
    let (_, list) = ground.get(WIDGETS).await;
    assert_eq!((list["items"].as_array().unwrap().len(), version(&list)), (0, ground.server.version()));
}

#[tokio::test(start_paused = true)]
async fn an_updated_definition_changes_what_is_served() {
    let ground = ground().await;
    let path = format!("{DEFINITIONS}/widgets.example.com");
    let (_, mut object) = ground.get(&path).await;
    object["spec"]["versions"][1]["served"] = json!(false);
    let (code, updated) = ground.put(&path, object).await;
    assert_eq!((code, &updated["metadata"]["generation"]), (200, &json!(2)));
    assert_eq!(ground.text("/apis/example.com/v1beta1/widgets").await.0, 404);
    assert_eq!(ground.get("/apis/example.com/v1/widgets").await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_definition_is_invalid_and_named() {
    let ground = Ground::new();
    let mut object = definition();
    object["metadata"]["name"] = json!("gadgets.example.com");
    let (code, status) = ground.post(DEFINITIONS, object).await;
    assert_eq!((code, &status["details"]["causes"][0]["field"]), (422, &json!("metadata.name")));
    let mut object = definition();
    object["spec"]["scope"] = json!("Everywhere");
    let (code, status) = ground.post(DEFINITIONS, object).await;
    assert_eq!((code, &status["details"]["causes"][0]["field"]), (422, &json!("spec.scope")));
    let mut object = definition();
    object["spec"]["versions"][1]["storage"] = json!(true);
    let (code, status) = ground.post(DEFINITIONS, object).await;
    assert_eq!((code, &status["details"]["causes"][0]["field"]), (422, &json!("spec.versions")));
}

#[tokio::test(start_paused = true)]
async fn a_cluster_kind_has_no_namespace() {
    let ground = Ground::new();
    let mut object = definition();
    object["spec"]["scope"] = json!("Cluster");
    ground.post(DEFINITIONS, object).await;
    let (code, object) = ground.post("/apis/example.com/v1/widgets", widget("a", json!({"size": 1}))).await;
    assert_eq!((code, &object["metadata"]["namespace"]), (201, &Value::Null));
    assert_eq!(ground.text(WIDGETS).await.0, 404);
}
