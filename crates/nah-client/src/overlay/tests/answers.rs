//! What a real API server's answers say, row by row.

use http::StatusCode;
use nah_core::{GroupVersionKind, ObjectKey, Uid};
use serde_json::{Value, json};

use crate::overlay::{Question, Verdict, listed, read, wrote};

fn gvk() -> GroupVersionKind {
    GroupVersionKind::gvk("", "v1", "ConfigMap")
}

fn check(verb: &str, subresource: Option<&str>, code: u16, body: &Value, expected: &Verdict) {
    let gvk = gvk();
    let question = Question {
        gvk: &gvk,
        plural: "configmaps",
        name: Some("a"),
        subresource,
        creates: verb == "create",
        deletes: verb == "delete",
    };
    let code = StatusCode::from_u16(code).unwrap();
    let verdict = match verb {
        "get" => read(&question, false, code, body.to_string().as_bytes()),
        _ => wrote(&question, code, body.to_string().as_bytes()),
    };
    assert_eq!(&verdict, expected, "{verb} {code} {body}");
}

fn object(meta: Value) -> Value {
    let mut object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7" },
    });
    for (field, value) in meta.as_object().unwrap() {
        object["metadata"][field] = value.clone();
    }
    object
}

fn status(reason: &str, details: Value) -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "details": details })
}

fn gone() -> Verdict {
    Verdict::Gone { uid: Some(Uid::from("u")), known: 7 }
}

#[test]
fn a_deletion_answered_by_a_status_is_one() {
    let body =
        json!({ "kind": "Status", "apiVersion": "v1", "status": "Success", "details": { "uid": "u" } });
    check("delete", None, 200, &body, &Verdict::Gone { uid: Some(Uid::from("u")), known: 0 });
    let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Success" });
    check("delete", None, 200, &body, &Verdict::Gone { uid: None, known: 0 });
}

#[test]
fn a_deletion_answered_by_an_object_that_does_not_terminate_is_one() {
    check("delete", None, 200, &object(json!({})), &gone());
}

#[test]
fn a_deletion_of_an_object_with_finalizers_is_none() {
    let meta = json!({ "deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 0, "finalizers": ["f"] });
    check("delete", None, 200, &object(meta), &Verdict::Whole);
}

#[test]
fn a_graceful_deletion_is_none_until_its_grace_is_zero() {
    let meta =
        |grace| json!({ "deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": grace });
    check("delete", None, 200, &object(meta(30)), &Verdict::Whole);
    check("delete", None, 200, &object(meta(0)), &gone());
}

#[test]
fn a_namespace_lives_on_with_finalizers_in_its_spec() {
    let mut body = object(json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" }));
    body["spec"] = json!({ "finalizers": ["kubernetes"] });
    check("delete", None, 200, &body, &Verdict::Whole);
    body["spec"] = json!({});
    check("update", Some("finalize"), 200, &body, &gone());
}

#[test]
fn a_write_that_takes_the_last_finalizer_off_is_a_deletion() // F33
{
    let meta = json!({ "deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 0 });
    check("update", None, 200, &object(meta.clone()), &gone());
    check("patch", None, 200, &object(meta), &gone());
}

#[test]
fn a_whole_object_is_what_it_says() {
    check("create", None, 201, &object(json!({})), &Verdict::Whole);
    check("update", Some("status"), 200, &object(json!({})), &Verdict::Whole);
    check("get", None, 200, &object(json!({})), &Verdict::Whole);
}

#[test]
fn a_spec_and_details_of_any_shape_are_no_trouble() {
    let mut body = object(json!({}));
    (body["spec"], body["details"]) = (json!("text"), json!([1]));
    check("update", None, 200, &body, &Verdict::Whole);
}

#[test]
fn the_metadata_of_an_object_says_at_which_version_it_is() // Q8, Q9
{
    let meta = json!({ "name": "a", "uid": "u", "resourceVersion": "8" });
    let forms = [
        (Some("scale"), "autoscaling/v1", "Scale"),
        (None, "meta.k8s.io/v1", "PartialObjectMetadata"),
        (None, "v2", "ConfigMap"),
    ];
    for (subresource, version, kind) in forms {
        let mut body = json!({ "apiVersion": version, "kind": kind, "metadata": meta });
        let part = Verdict::Part { uid: Uid::from("u"), version: 8 };
        check("patch", subresource, 200, &body, &part);
        // It may be removed with that: what else would hold it is not shown.
        body["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        check("patch", subresource, 200, &body, &Verdict::Unknown);
        body["metadata"] = json!({ "name": "a" });
        check("patch", subresource, 200, &body, &Verdict::Unknown);
    }
}

#[test]
fn other_answers_do_not_show_the_object() // Q9
{
    let meta = json!({ "name": "a", "uid": "u", "resourceVersion": "8" });
    let done = json!({ "kind": "Status", "apiVersion": "v1", "status": "Success" });
    check("create", Some("eviction"), 201, &done, &Verdict::Unknown);
    check("delete", Some("x"), 200, &done, &Verdict::Unknown);
    let other = json!({ "apiVersion": "v2", "kind": "TokenRequest", "metadata": meta });
    check("update", None, 200, &other, &Verdict::Unknown);
    check("update", None, 200, &json!("nonsense"), &Verdict::Unknown);
    check("update", None, 200, &object(json!({ "name": "b" })), &Verdict::Unknown);
}

#[test]
fn a_404_speaks_of_the_object_only_if_it_names_it() {
    let named = json!({ "name": "a", "kind": "configmaps" });
    for verb in ["update", "delete", "get"] {
        check(verb, None, 404, &status("NotFound", named.clone()), &Verdict::Missing);
        check(verb, None, 404, &status("NotFound", json!({})), &Verdict::Nothing);
        check(verb, None, 404, &json!("404 page not found"), &Verdict::Nothing);
    }
    let namespace = json!({ "name": "n", "kind": "namespaces" });
    check("create", None, 404, &status("NotFound", namespace), &Verdict::Nothing);
    check("create", None, 404, &status("NotFound", named), &Verdict::Nothing);
}

#[test]
fn a_refusal_changes_nothing_and_a_failure_may_have() {
    for code in [400, 401, 403, 413, 415, 422, 429] {
        check("update", None, code, &status("X", json!({})), &Verdict::Nothing);
    }
    for code in [408, 409, 500, 502, 503, 504, 302] {
        check("update", None, code, &status("X", json!({})), &Verdict::Unknown);
    }
    for code in [403, 410, 500, 503] {
        check("get", None, code, &status("X", json!({})), &Verdict::Nothing);
    }
}

#[test]
fn a_deletion_of_many_shows_them_as_they_were() // F34
{
    let item = |name: &str, meta: Value, spec: Value| {
        let mut item = json!({ "metadata": { "name": name, "namespace": "n", "uid": name, "resourceVersion": "7" }, "spec": spec });
        for (field, value) in meta.as_object().unwrap() {
            item["metadata"][field] = value.clone();
        }
        item
    };
    let items = json!({ "items": [
        item("plain", json!({}), json!({})),
        item("held", json!({ "finalizers": ["f"] }), json!({})),
        item("pod", json!({}), json!({ "terminationGracePeriodSeconds": 30 })),
        item("space", json!({}), json!({ "finalizers": ["kubernetes"] })),
    ] });
    let verdicts = listed(&gvk(), false, items.to_string().as_bytes()).unwrap();
    let gone = Verdict::Gone { uid: Some(Uid::from("plain")), known: 7 };
    let key = |name| ObjectKey::from(("n", name));
    let expected = [
        (key("plain"), gone.clone()),
        (key("held"), Verdict::Unknown),
        (key("pod"), Verdict::Unknown),
        (key("space"), Verdict::Unknown),
    ];
    assert_eq!(verdicts, expected);
    // Jobs orphan what they own, and wait for that.
    let job = GroupVersionKind::gvk("batch", "v1", "Job");
    assert_eq!(listed(&job, false, items.to_string().as_bytes()).unwrap()[0].1, Verdict::Unknown);
    assert_eq!(listed(&job, true, items.to_string().as_bytes()).unwrap()[0].1, gone);
    assert_eq!(listed(&job, true, b"{}"), None);
}
