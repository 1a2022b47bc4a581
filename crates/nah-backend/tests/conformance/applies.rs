//! Server-side apply: who owns what, who may change it, and what goes when it is not applied any more.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::{
    fixtures::{CustomKind, deployment, pod},
    scenario::scenarios,
    world::{Answer, World},
};

scenarios! {
    an_apply_creates_what_is_not_there_and_owns_what_it_says => "F36",
    an_apply_says_who_applies_to_what => "F36",
    what_another_owns_is_a_conflict_unless_it_is_forced => "F36",
    what_is_applied_no_more_goes_unless_another_owns_it => "F36",
    who_writes_otherwise_owns_what_was_changed => "F36",
    lists_are_merged_by_the_keys_of_their_kind => "F36",
    a_list_of_a_definition_is_merged_as_its_schema_says => "F36",
    a_status_and_a_scale_are_applied_under_names_of_their_own => "F32, F36, F38" (Faulty),
    what_a_kind_does_not_know_is_not_applied => "F36",
    a_dry_run_of_an_apply_changes_nothing => "F36, F37",
    a_creation_owns_what_is_sent_and_filled_in => "F36",
    managers_come_and_go_alike => "F36",
}

fn config_map(metadata: Value, data: Value) -> Value {
    let mut map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data });
    map["metadata"]["name"] = json!("a");
    map
}

fn data(data: Value) -> Value {
    config_map(json!({}), data)
}

/// The entries of an object's managedFields: `manager operation`, the subresource behind a slash, and the fields.
fn managers(answer: &Answer) -> Vec<(String, Value)> {
    let entries = answer.at("/metadata/managedFields").as_array().cloned().unwrap_or_default();
    let entry = |entry: Value| {
        let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let part = entry["subresource"].as_str().map(|part| format!("/{part}")).unwrap_or_default();
        (format!("{} {}{part}", text("manager"), text("operation")), entry["fieldsV1"].clone())
    };
    entries.into_iter().map(entry).collect()
}

fn owns(answer: &Answer, expected: &[(&str, Value)]) -> Result<()> {
    let found = managers(answer);
    let expected: Vec<_> =
        expected.iter().map(|(name, fields)| ((*name).to_owned(), fields.clone())).collect();
    ensure!(found == expected, "owners are {found:#?}, not {expected:#?}");
    Ok(())
}

/// The conflicts of an answer, sorted: who, and what.
fn conflicts(answer: &Answer) -> Vec<(String, String)> {
    let causes = answer.at("/details/causes").as_array().cloned().unwrap_or_default();
    let text = |cause: &Value, name: &str| cause[name].as_str().unwrap_or_default().to_owned();
    let mut found: Vec<_> =
        causes.iter().map(|cause| (text(cause, "message"), text(cause, "field"))).collect();
    found.sort();
    found
}

async fn an_apply_creates_what_is_not_there_and_owns_what_it_says(world: &World) -> Result<()> {
    let path = world.path("configmaps/a");
    let made = world.apply(&path, "one", "", data(json!({ "x": "1", "y": "1" }))).await?.expect(201)?;
    owns(&made, &[("one Apply", json!({ "f:data": { "f:x": {}, "f:y": {} } }))])?;
    ensure!(made.at("/metadata/managedFields/0/time").is_string());
    ensure!(made.at("/metadata/managedFields/0/fieldsType") == "FieldsV1");

    // Again is nothing; the same by another is shared.
    let again = world.apply(&path, "one", "", data(json!({ "x": "1", "y": "1" }))).await?.expect(200)?;
    ensure!(again.body == made.body, "{} is not {}", again.text, made.text);
    let shared = world.apply(&path, "two", "", data(json!({ "x": "1" }))).await?.expect(200)?;
    ensure!(shared.version()? > made.version()?);
    let mut owners = managers(&shared);
    owners.sort_by(|one, other| one.0.cmp(&other.0));
    ensure!(
        owners
            == [
                ("one Apply".to_owned(), json!({ "f:data": { "f:x": {}, "f:y": {} } })),
                ("two Apply".to_owned(), json!({ "f:data": { "f:x": {} } })),
            ],
        "{owners:#?}"
    );
    Ok(())
}

async fn an_apply_says_who_applies_to_what(world: &World) -> Result<()> {
    let path = world.path("configmaps/a");
    let nobody = world.apply(&path, "", "", data(json!({}))).await?.expect(422)?;
    let message =
        "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch";
    nobody.with("/message", json!(message))?.with("/details/causes/0/field", json!("fieldManager"))?;
    let forced = world.patch(&format!("{path}?force=true"), json!({})).await?.expect(422)?;
    forced.with("/details/causes/0/message", json!("Forbidden: may not be specified for non-apply patch"))?;
    let other = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "a" } });
    let other = world.apply(&path, "one", "", other).await?.expect(400)?;
    other.with("/message", json!("invalid object type: /v1, Kind=Secret"))?;
    let elsewhere = config_map(json!({ "namespace": "other" }), json!({}));
    world.apply(&path, "one", "", elsewhere).await?.expect(400)?;
    let unlike = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "b" } });
    world.apply(&path, "one", "", unlike).await?.expect(400)?;
    let managed = config_map(json!({ "managedFields": [] }), json!({}));
    let managed = world.apply(&path, "one", "", managed).await?.expect(400)?;
    managed.with("/message", json!("metadata.managedFields must be nil"))?;
    let of_one =
        world.apply(&path, "one", "", config_map(json!({ "uid": "x" }), json!({}))).await?.expect(409)?;
    ensure!(
        of_one.at("/message").as_str().is_some_and(|message| message.contains("uid mismatch")),
        "{}",
        of_one.text
    );
    world.get(&path).await?.expect(404)?;

    // Of what is there the version counts, if one is named.
    let made = world.apply(&path, "one", "", data(json!({ "x": "1" }))).await?.expect(201)?;
    let now =
        config_map(json!({ "resourceVersion": made.at("/metadata/resourceVersion") }), json!({ "x": "2" }));
    world.apply(&path, "one", "", now.clone()).await?.expect(200)?;
    let late = world.apply(&path, "one", "", now).await?;
    // The same again changes nothing, whatever version it names.
    let mut late = late.body;
    late["data"]["x"] = json!("3");
    let late =
        config_map(json!({ "resourceVersion": made.at("/metadata/resourceVersion") }), json!({ "x": "3" }));
    world.apply(&path, "one", "", late).await?.expect(409)?;
    Ok(())
}

async fn what_another_owns_is_a_conflict_unless_it_is_forced(world: &World) -> Result<()> {
    let path = world.path("configmaps/a");
    let made = world.apply(&path, "one", "", data(json!({ "x": "1", "y": "1" }))).await?.expect(201)?;
    let refused = world.apply(&path, "two", "", data(json!({ "y": "2" }))).await?.expect(409)?;
    let refused = refused
        .with("/reason", json!("Conflict"))?
        .with("/message", json!("Apply failed with 1 conflict: conflict with \"one\": .data.y"))?;
    let cause =
        json!({ "reason": "FieldManagerConflict", "message": "conflict with \"one\"", "field": ".data.y" });
    refused.with("/details", json!({ "causes": [cause] }))?;
    let refused = world.apply(&path, "two", "", data(json!({ "x": "2", "y": "2" }))).await?.expect(409)?;
    let message = "Apply failed with 2 conflicts: conflicts with \"one\":\n- .data.x\n- .data.y";
    refused.with("/message", json!(message))?;
    let untouched = world.get(&path).await?.expect(200)?;
    ensure!(untouched.body == made.body);

    let forced =
        world.apply(&path, "two", "force=true", data(json!({ "x": "2", "y": "2" }))).await?.expect(200)?;
    owns(&forced, &[("two Apply", json!({ "f:data": { "f:x": {}, "f:y": {} } }))])?;
    forced.with("/data", json!({ "x": "2", "y": "2" }))?;
    Ok(())
}

async fn what_is_applied_no_more_goes_unless_another_owns_it(world: &World) -> Result<()> {
    let path = world.path("configmaps/a");
    let metadata = json!({ "labels": { "l": "1", "m": "1" }, "annotations": { "n": "1" } });
    let all = config_map(metadata, json!({ "x": "1", "y": "1", "z": "1" }));
    world.apply(&path, "one", "", all).await?.expect(201)?;
    world.apply(&path, "two", "", data(json!({ "y": "1" }))).await?.expect(200)?;
    world.behind_patch("configmaps/a", json!({ "data": { "w": "1" } })).await?;

    let less = config_map(json!({ "labels": { "l": "1" } }), json!({ "x": "1" }));
    let less = world.apply(&path, "one", "", less).await?.expect(200)?;
    let less = less.with("/data", json!({ "w": "1", "x": "1", "y": "1" }))?;
    let less =
        less.with("/metadata/labels", json!({ "l": "1" }))?.with("/metadata/annotations", Value::Null)?;
    ensure!(managers(&less).iter().any(|(name, _)| name == "two Apply"), "{}", less.text);

    // Who owns nothing any more is no manager.
    let nothing = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" } });
    let left = world.apply(&path, "two", "", nothing.clone()).await?.expect(200)?;
    ensure!(managers(&left).iter().all(|(name, _)| name != "two Apply"), "{}", left.text);
    left.with("/data", json!({ "w": "1", "x": "1" }))?;
    let left = world.apply(&path, "one", "", nothing).await?.expect(200)?;
    left.with("/data", json!({ "w": "1" }))?.with("/metadata/labels", Value::Null)?;
    Ok(())
}

async fn who_writes_otherwise_owns_what_was_changed(world: &World) -> Result<()> {
    let path = world.path("configmaps/a");
    world.apply(&path, "one", "", data(json!({ "x": "1", "y": "1" }))).await?.expect(201)?;
    let hand = format!("{path}?fieldManager=hand");
    let patched = world.patch(&hand, json!({ "data": { "x": "2", "z": "2" } })).await?.expect(200)?;
    owns(
        &patched,
        &[
            ("one Apply", json!({ "f:data": { "f:y": {} } })),
            ("hand Update", json!({ "f:data": { "f:x": {}, "f:z": {} } })),
        ],
    )?;
    let refused = world.apply(&path, "one", "", data(json!({ "x": "1" }))).await?.expect(409)?;
    refused
        .with("/message", json!("Apply failed with 1 conflict: conflict with \"hand\" using v1: .data.x"))?;
    // Who applies under the name of one who wrote is another.
    let refused = world.apply(&path, "hand", "", data(json!({ "x": "1" }))).await?.expect(409)?;
    ensure!(conflicts(&refused) == [("conflict with \"hand\" using v1".to_owned(), ".data.x".to_owned())]);

    // What goes is nobody's.
    let mut body = patched.body.clone();
    body["data"] = json!({ "x": "2", "y": "3" });
    let put = world.put(&hand, body).await?.expect(200)?;
    owns(&put, &[("hand Update", json!({ "f:data": { "f:x": {}, "f:y": {} } }))])?;

    // Of an object that nobody manages, who applies finds all of it in other hands.
    let reset = world.patch(&path, json!({ "metadata": { "managedFields": [{}] } })).await?.expect(200)?;
    ensure!(managers(&reset).is_empty(), "{}", reset.text);
    let refused = world.apply(&path, "one", "", data(json!({ "y": "4" }))).await?.expect(409)?;
    let before = "conflict with \"before-first-apply\" using v1";
    ensure!(conflicts(&refused) == [(before.to_owned(), ".data.y".to_owned())], "{}", refused.text);
    let same = world.apply(&path, "one", "", data(json!({ "y": "3" }))).await?.expect(200)?;
    let names: Vec<_> = managers(&same).into_iter().map(|(name, _)| name).collect();
    ensure!(names == ["one Apply", "before-first-apply Update"], "{names:?}");
    Ok(())
}

/// A Deployment as one applies it.
fn workload(containers: Value) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "d" },
            "spec": { "template": { "spec": { "containers": containers } } } })
}

async fn lists_are_merged_by_the_keys_of_their_kind(world: &World) -> Result<()> {
    let path = format!("/apis/apps/v1/namespaces/{}/deployments/d", world.namespace);
    let mut whole = deployment("d", 0);
    (whole["apiVersion"], whole["kind"]) = (json!("apps/v1"), json!("Deployment"));
    let container = json!({ "name": "main", "image": "example.com/a", "args": ["1"],
                            "env": [{ "name": "A", "value": "1" }], "ports": [{ "containerPort": 80 }] });
    whole["spec"]["template"]["spec"]["containers"] =
        json!([container, { "name": "side", "image": "example.com/b:1" }]);
    world.apply(&path, "one", "", whole.clone()).await?.expect(201)?;

    let more = json!([
        { "name": "extra", "image": "example.com/c:1" },
        { "name": "main", "env": [{ "name": "B", "value": "2" }],
          "ports": [{ "containerPort": 80, "protocol": "UDP" }] },
    ]);
    let both = world.apply(&path, "two", "", workload(more)).await?.expect(200)?;
    let names = |answer: &Answer, list: &str| -> Vec<Value> {
        let list = answer.at(list).as_array().cloned().unwrap_or_default();
        list.iter().map(|item| item["name"].clone()).collect()
    };
    let containers = "/spec/template/spec/containers";
    let main = |answer: &Answer| {
        let all = answer.at(containers).as_array().cloned().unwrap_or_default();
        all.into_iter().find(|container| container["name"] == "main").unwrap_or_default()
    };
    // Each stands where who applied it put it, and the others stay where they are.
    ensure!(names(&both, containers) == ["extra", "main", "side"], "{}", both.text);
    ensure!(main(&both)["env"].as_array().map(Vec::len) == Some(2), "{}", both.text);
    ensure!(main(&both)["ports"].as_array().map(Vec::len) == Some(2), "{}", both.text);
    let key = "k:{\"containerPort\":80,\"protocol\":\"UDP\"}";
    let template = &managers(&both)[1].1["f:spec"]["f:template"]["f:spec"]["f:containers"];
    let own = &template["k:{\"name\":\"main\"}"];
    ensure!(
        own["f:ports"] == json!({ key: { ".": {}, "f:containerPort": {}, "f:protocol": {} } }),
        "{template}"
    );

    // What is one value belongs to one.
    let args = json!([{ "name": "main", "args": ["2"], "env": [{ "name": "A", "value": "2" }] }]);
    let refused = world.apply(&path, "two", "", workload(args)).await?.expect(409)?;
    let at = ".spec.template.spec.containers[name=\"main\"]";
    let one = "conflict with \"one\"".to_owned();
    let expected = [(one.clone(), format!("{at}.args")), (one, format!("{at}.env[name=\"A\"].value"))];
    ensure!(conflicts(&refused) == expected, "{}", refused.text);

    // An item goes with the last who owns it.
    let mut less = whole.clone();
    less["spec"]["template"]["spec"]["containers"] = json!([{ "name": "main", "image": "example.com/a" }]);
    let less = world.apply(&path, "one", "", less).await?.expect(200)?;
    ensure!(names(&less, containers) == ["extra", "main"], "{}", less.text);
    ensure!(main(&less)["env"] == json!([{ "name": "B", "value": "2" }]), "{}", less.text);
    ensure!(main(&less)["args"].is_null(), "{}", less.text);

    let twice = json!([{ "name": "q", "image": "x" }, { "name": "q", "image": "y" }]);
    let twice = world.apply(&path, "two", "", workload(twice)).await?.expect(500)?;
    let message = "failed to create typed patch object (/d; apps/v1, Kind=Deployment): \
                   .spec.template.spec.containers: duplicate entries for key [name=\"q\"]";
    twice.with("/message", json!(message))?;

    // Of every kind: finalizers are a set, owners are known by their uid.
    let path = world.path("configmaps/a");
    let bare = |mut metadata: Value| {
        metadata["name"] = json!("a");
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata })
    };
    let owner = |uid: &str| json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": uid, "uid": uid });
    let mine = json!({ "finalizers": ["e.com/a"], "ownerReferences": [owner("u1")] });
    world.apply(&path, "one", "", bare(mine)).await?.expect(201)?;
    let theirs = json!({ "finalizers": ["e.com/b"], "ownerReferences": [owner("u2")] });
    let both = world.apply(&path, "two", "", bare(theirs)).await?.expect(200)?;
    ensure!(both.at("/metadata/ownerReferences").as_array().map(Vec::len) == Some(2), "{}", both.text);
    let both = both.with("/metadata/finalizers", json!(["e.com/a", "e.com/b"]))?;
    let fields = json!({ "f:metadata": { "f:finalizers": { "v:\"e.com/b\"": {} },
                                         "f:ownerReferences": { "k:{\"uid\":\"u2\"}": {} } } });
    ensure!(managers(&both).iter().any(|(_, own)| *own == fields), "{}", both.text);
    let left = world.apply(&path, "one", "", bare(json!({}))).await?.expect(200)?;
    left.with("/metadata/finalizers", json!(["e.com/b"]))?;
    world.behind_patch("configmaps/a", json!({ "metadata": { "finalizers": null } })).await?;
    Ok(())
}

/// A spec with a list and a map of every sort.
fn sorts() -> Value {
    let text = json!({ "type": "string" });
    let port = json!({ "type": "object", "required": ["name"], "properties": {
        "name": text, "at": { "type": "string", "default": "in" }, "number": { "type": "integer" } } });
    json!({ "type": "object", "properties": {
        "size": { "type": "integer" },
        "tags": { "type": "array", "items": text, "x-kubernetes-list-type": "set" },
        "ports": { "type": "array", "items": port, "x-kubernetes-list-type": "map",
                   "x-kubernetes-list-map-keys": ["name", "at"] },
        "steps": { "type": "array", "items": text },
        "marks": { "type": "object", "additionalProperties": text },
        "boxes": { "type": "object", "additionalProperties": { "type": "object", "properties": { "a": text } } },
        "whole": { "type": "object", "x-kubernetes-map-type": "atomic", "properties": { "a": text, "b": text } },
        "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
    } })
}

async fn a_list_of_a_definition_is_merged_as_its_schema_says(world: &World) -> Result<()> {
    let kind = CustomKind::define_with(world, "sorts", sorts()).await?;
    let path = format!("{}/w", kind.path(world));
    let spec = json!({ "tags": ["a"], "ports": [{ "name": "p", "number": 1 }], "steps": ["1"], "marks": { "x": "1" },
                       "boxes": { "b": { "a": "1" } }, "whole": { "a": "1" }, "free": { "l": [1], "m": { "n": 1 } } });
    let made = world.apply(&path, "one", "", kind.object("w", spec)).await?.expect(201)?;
    let port = "k:{\"at\":\"in\",\"name\":\"p\"}";
    let fields = json!({ "f:spec": {
        "f:tags": { "v:\"a\"": {} },
        "f:ports": { port: { ".": {}, "f:name": {}, "f:number": {} } },
        "f:steps": {},
        "f:marks": { "f:x": {} },
        "f:boxes": { "f:b": { ".": {}, "f:a": {} } },
        "f:whole": {},
        "f:free": { "f:l": {}, "f:m": { ".": {}, "f:n": {} } },
    } });
    owns(&made, &[("one Apply", fields)])?;
    let spec = json!({ "tags": ["b", "a"], "ports": [{ "name": "p", "at": "out" }], "marks": { "y": "1" },
                       "boxes": { "b": {} } });
    let both = world.apply(&path, "two", "", kind.object("w", spec)).await?.expect(200)?;
    let both =
        both.with("/spec/tags", json!(["b", "a"]))?.with("/spec/marks", json!({ "x": "1", "y": "1" }))?;
    ensure!(both.at("/spec/ports").as_array().map(Vec::len) == Some(2), "{}", both.text);
    for (spec, field) in [
        (json!({ "steps": ["2"] }), ".spec.steps"),
        (json!({ "whole": { "b": "1" } }), ".spec.whole"),
        (json!({ "ports": [{ "name": "p", "number": 2 }] }), ".spec.ports[at=\"in\",name=\"p\"].number"),
    ] {
        let refused = world.apply(&path, "two", "", kind.object("w", spec)).await?.expect(409)?;
        ensure!(
            conflicts(&refused) == [("conflict with \"one\"".to_owned(), field.to_owned())],
            "{}",
            refused.text
        );
    }
    // A key may be missing, but not all of them.
    let nameless = kind.object("w", json!({ "ports": [{ "number": 1 }] }));
    world.apply(&path, "two", "", nameless).await?.expect(422)?;
    let spec = json!({ "type": "object", "properties": { "rooms": {
        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
        "items": { "type": "object", "required": ["name"], "properties": {
            "name": { "type": "string" }, "size": { "type": "integer" } } } } } });
    let kind = CustomKind::define_with(world, "rooms", spec).await?;
    let path = format!("{}/w", kind.path(world));
    let nameless = kind.object("w", json!({ "rooms": [{ "size": 1 }] }));
    let nameless = world.apply(&path, "two", "", nameless).await?.expect(500)?;
    let message = "failed to create typed patch object (/w; rooms.example.com/v1, Kind=Widget): .spec.rooms: element 0: \
                   associative list with keys has an element that omits all key fields [\"name\"] (and doesn't have \
                   default values for any key fields)";
    nameless.with("/message", json!(message))?;
    Ok(())
}

async fn a_status_and_a_scale_are_applied_under_names_of_their_own(world: &World) -> Result<()> {
    let path = format!("/apis/apps/v1/namespaces/{}/deployments/d", world.namespace);
    let status = |state: &str| {
        let mut status = workload(json!([]));
        status["spec"] = json!({ "replicas": 9 });
        status["metadata"]["labels"] = json!({ "not": "status" });
        status["status"] = json!({ "conditions": [{ "type": "Fine", "status": state }] });
        status
    };
    let nothing = world.apply(&format!("{path}/status"), "one", "", status("True")).await?;
    nothing.expect(404)?;
    let mut whole = deployment("d", 0);
    (whole["apiVersion"], whole["kind"]) = (json!("apps/v1"), json!("Deployment"));
    world.apply(&path, "one", "", whole).await?.expect(201)?;

    let applied = world.apply(&format!("{path}/status"), "one", "", status("True")).await?.expect(200)?;
    let applied = applied.with("/spec/replicas", json!(0))?.with("/metadata/labels", Value::Null)?;
    let condition = json!({ "k:{\"type\":\"Fine\"}": { ".": {}, "f:status": {}, "f:type": {} } });
    let fields = json!({ "f:status": { "f:conditions": condition } });
    ensure!(managers(&applied).contains(&("one Apply/status".to_owned(), fields)), "{}", applied.text);
    let refused = world.apply(&format!("{path}/status"), "two", "", status("False")).await?.expect(409)?;
    let one = "conflict with \"one\" with subresource \"status\"".to_owned();
    ensure!(
        conflicts(&refused).contains(&(one, ".status.conditions[type=\"Fine\"].status".to_owned())),
        "{}",
        refused.text
    );

    let scale = json!({ "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": { "name": "d" },
                        "spec": { "replicas": 1 } });
    let refused = world.apply(&format!("{path}/scale"), "two", "", scale.clone()).await?.expect(409)?;
    ensure!(conflicts(&refused) == [("conflict with \"one\"".to_owned(), ".spec.replicas".to_owned())]);
    let forced = world.apply(&format!("{path}/scale"), "two", "force=true", scale).await?.expect(200)?;
    forced.with("/kind", json!("Scale"))?.with("/spec/replicas", json!(1))?;
    let found = world.get(&path).await?.expect(200)?;
    let fields = json!({ "f:spec": { "f:replicas": {} } });
    ensure!(managers(&found).contains(&("two Apply/scale".to_owned(), fields)), "{}", found.text);
    Ok(())
}

async fn what_a_kind_does_not_know_is_not_applied(world: &World) -> Result<()> {
    let path = world.path("configmaps/a");
    let mut unknown = data(json!({ "x": "1" }));
    unknown["what"] = json!({ "x": 1 });
    let refused = world.apply(&path, "one", "", unknown).await?.expect(500)?;
    let message =
        "failed to create typed patch object (/a; /v1, Kind=ConfigMap): .what: field not declared in schema";
    refused.with("/message", json!(message))?;
    world.apply(&path, "one", "", data(json!({ "x": 1 }))).await?.expect(500)?;
    world.get(&path).await?.expect(404)?;

    let kind = CustomKind::define(world, "unapplied").await?;
    let path = format!("{}/w", kind.path(world));
    let unknown = world.apply(&path, "one", "", kind.object("w", json!({ "what": 1 }))).await?.expect(500)?;
    ensure!(
        unknown
            .at("/message")
            .as_str()
            .is_some_and(|it| it.ends_with(".spec.what: field not declared in schema"))
    );
    world.apply(&path, "one", "", kind.object("w", json!({ "size": 200 }))).await?.expect(422)?;
    world.get(&path).await?.expect(404)?;
    Ok(())
}

async fn a_dry_run_of_an_apply_changes_nothing(world: &World) -> Result<()> {
    let path = world.path("configmaps/a");
    world.apply(&path, "one", "dryRun=All", data(json!({ "x": "1" }))).await?.expect(201)?;
    world.get(&path).await?.expect(404)?;
    let made = world.apply(&path, "one", "", data(json!({ "x": "1" }))).await?.expect(201)?;
    let dry = data(json!({ "x": "2" }));
    let forced = world.apply(&path, "two", "force=true&dryRun=All", dry).await?.expect(200)?;
    forced.with("/data/x", json!("2"))?;
    let found = world.get(&path).await?.expect(200)?;
    ensure!(found.body == made.body);
    Ok(())
}

async fn a_creation_owns_what_is_sent_and_filled_in(world: &World) -> Result<()> {
    let mut body = pod("p", None);
    body["metadata"]["labels"] = json!({ "a": "b" });
    let made = world.post(&world.path("pods?fieldManager=maker"), body).await?.expect(201)?;
    let container = json!({ ".": {}, "f:image": {}, "f:imagePullPolicy": {}, "f:name": {}, "f:resources": {},
                            "f:terminationMessagePath": {}, "f:terminationMessagePolicy": {} });
    // Neither what admission adds nor the status is the maker's.
    let spec = json!({ "f:containers": { "k:{\"name\":\"main\"}": container }, "f:dnsPolicy": {},
                       "f:enableServiceLinks": {}, "f:restartPolicy": {}, "f:schedulerName": {},
                       "f:securityContext": {}, "f:terminationGracePeriodSeconds": {} });
    let metadata = json!({ "f:labels": { ".": {}, "f:a": {} } });
    owns(&made, &[("maker Update", json!({ "f:metadata": metadata, "f:spec": spec }))])?;

    let kind = CustomKind::define(world, "owned").await?;
    let path = format!("{}?fieldManager=maker", kind.path(world));
    let made = world.post(&path, kind.object("w", json!({ "size": 1 }))).await?.expect(201)?;
    owns(&made, &[("maker Update", json!({ "f:spec": { ".": {}, "f:size": {} } }))])?;
    Ok(())
}

/// Three who apply and two who write, a hundred times, with everything in every kind of list and map. What comes of it
/// is compared between the grounds.
async fn managers_come_and_go_alike(world: &World) -> Result<()> {
    let kind = CustomKind::define_with(world, "alike", sorts()).await?;
    let path = format!("{}/w", kind.path(world));
    let mut random = fastrand::Rng::with_seed(20_261_124);
    let spec = |random: &mut fastrand::Rng| {
        let mut spec = json!({});
        let text = |random: &mut fastrand::Rng| json!(random.choice(["1", "2"]).unwrap_or_default());
        if random.bool() {
            spec["size"] = json!(random.u8(..2));
        }
        for list in ["tags", "steps"] {
            if random.bool() {
                let mut items = ["a", "b", "c"].map(|item| json!(item)).to_vec();
                random.shuffle(&mut items);
                items.truncate(random.usize(1..=3));
                spec[list] = json!(items);
            }
        }
        for map in ["marks", "whole", "free"] {
            for name in ["a", "b"] {
                if random.u8(..3) == 0 {
                    spec[map][name] = text(random);
                }
            }
        }
        if random.bool() {
            let name = *random.choice(["a", "b"].iter()).unwrap_or(&"a");
            spec["boxes"][name] = if random.bool() { json!({ "a": text(random) }) } else { json!({}) };
        }
        let mut ports = Vec::new();
        for (name, at) in [("p", "in"), ("q", "in"), ("p", "out")] {
            if random.u8(..3) == 0 {
                let mut port = json!({ "name": name, "at": at });
                if random.bool() {
                    port["number"] = json!(random.u8(..2));
                }
                ports.push(port);
            }
        }
        if !ports.is_empty() {
            random.shuffle(&mut ports);
            spec["ports"] = json!(ports);
        }
        spec
    };
    for step in 0..100 {
        let body = kind.object("w", spec(&mut random));
        let manager = *random.choice(["one", "two", "three"].iter()).unwrap_or(&"one");
        let answer = match random.u8(..5) {
            0 if step > 0 => {
                let path = format!("{path}?fieldManager=hand");
                world.patch(&path, json!({ "spec": body["spec"] })).await?
            }
            1 => world.apply(&path, manager, "force=true", body).await?,
            _ => world.apply(&path, manager, "", body).await?,
        };
        let mut owners = managers(&answer);
        owners.sort_by(|one, other| one.0.cmp(&other.0));
        let owners: Vec<_> = owners.iter().map(|(name, fields)| format!("{name} {fields}")).collect();
        world.story.tell(format!("{step}: {} {} {:?}", answer.code, answer.at("/spec"), conflicts(&answer)));
        owners.into_iter().for_each(|owner| world.story.tell(format!("  {owner}")));
        // What is left of a map whose last member goes is null, and that is not valid everywhere.
        ensure!([200, 201, 409, 422].contains(&answer.code), "{step}: {}", answer.text);
    }
    Ok(())
}
