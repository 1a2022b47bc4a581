//! What is cut, and what stays.

use std::sync::Arc;

use nah_core::{BoxError, GroupVersionKind, Outline};
use proptest::prelude::*;
use serde_json::Value;

fn strip(json: &str) -> String {
    let gvk = Arc::new(GroupVersionKind::gvk("apps", "v1", "Deployment"));
    let outline = Outline::read(json).expect("it has a name");
    let stripped = stripped(&gvk, &outline, false).expect("it is an object");
    String::from_utf8(stripped).expect("it is text")
}

fn stripped(gvk: &GroupVersionKind, outline: &Outline<'_>, keeps: bool) -> Result<Vec<u8>, BoxError> {
    let mut json = b"what was there".to_vec();
    super::strip(gvk, outline, keeps, &mut json).map(|()| json)
}

#[test]
fn everything_else_stays_byte_for_byte() {
    let types = r#""apiVersion": "apps/v1","kind":"Deployment""#;
    for (json, expected) in [
        (
            r#"{T, "metadata": {"name":"a","managedFields":[{"manager":"m"}]}, "spec": 1.50 }"#,
            r#"{T, "metadata": {"name":"a"}, "spec": 1.50 }"#,
        ),
        (r#"{T,"metadata":{"managedFields" : [ ] , "name":"a"}}"#, r#"{T,"metadata":{"name":"a"}}"#),
        (
            r#"{T,"metadata":{"name":"a", "managedFields":null, "uid":"u"}}"#,
            r#"{T,"metadata":{"name":"a", "uid":"u"}}"#,
        ),
        (r#"{T,"metadata":{"managedFields":[],"name":"a"}}"#, r#"{T,"metadata":{"name":"a"}}"#),
        (r#"{"metadata":{"name":"a","managedFields":[]},T}"#, r#"{"metadata":{"name":"a"},T}"#),
        (
            r#"{T,"metadata":{"name":"a"},"spec":{"managedFields":[1]}}"#,
            r#"{T,"metadata":{"name":"a"},"spec":{"managedFields":[1]}}"#,
        ),
        (
            "{T,\"metadata\":{\"name\":\"\\\"managedFields\\\":[]\",\n \"managedFields\":[\"}\"]}}",
            "{T,\"metadata\":{\"name\":\"\\\"managedFields\\\":[]\"}}",
        ),
    ] {
        assert_eq!(strip(&json.replace('T', types)), expected.replace('T', types));
    }
}

#[test]
fn items_of_a_list_get_their_kind() {
    // F5
    let stripped = strip(r#"{"metadata":{"name":"a","managedFields":[]}}"#);
    assert_eq!(stripped, r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a"}}"#);
    let stripped = strip(r#" {"kind":"Deployment","metadata":{"name":"a"}}"#);
    assert_eq!(stripped, r#" {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a"}}"#);
}

#[test]
fn managed_fields_are_kept_where_they_are_asked_for() {
    let gvk = Arc::new(GroupVersionKind::gvk("", "v1", "Pod"));
    let json = r#"{"metadata":{"name":"a","managedFields":[{"manager":"m"}]}}"#;
    let kept = stripped(&gvk, &Outline::read(json).expect("it has a name"), true).expect("it is an object");
    let whole =
        r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","managedFields":[{"manager":"m"}]}}"#;
    assert_eq!(std::str::from_utf8(&kept), Ok(whole));
}

#[test]
fn managed_fields_that_are_kept_are_well_formed() // C19
{
    let gvk = Arc::new(GroupVersionKind::gvk("", "v1", "Pod"));
    let outline =
        Outline::read(r#"{"metadata":{"name":"a","managedFields":[{"m" "x"}]}}"#).expect("it has a name");
    let error = stripped(&gvk, &outline, true).expect_err("nobody could decode it").to_string();
    assert!(error.starts_with("managedFields are broken: "), "{error}");
    let stripped = stripped(&gvk, &outline, false).expect("what is broken is not kept");
    assert_eq!(&*stripped, br#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}"#);
}

#[test]
fn what_is_no_object_is_an_error() {
    let gvk = Arc::new(GroupVersionKind::gvk("", "v1", "Pod"));
    let named = r#"["v1","Pod",["a",null,null,null,null,null,null,null,null]]"#;
    for json in ["", "[]", "[null,null,null]", named, "7", "{\"metadata\":", "{}x", "\u{FEFF}{}"] {
        let outline = Outline::read(json).ok();
        assert!(outline.is_none_or(|outline| stripped(&gvk, &outline, false).is_err()), "{json}");
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,6}|managedFields", inner, 0..4)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn only_the_managed_fields_are_missing(mut metadata in prop::collection::btree_map("[a-z]{1,8}|managedFields", value(), 0..5), spec in value(), pretty: bool) {
        metadata.insert("name".to_owned(), "a".into());
        let object = serde_json::json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
        let json = if pretty { serde_json::to_string_pretty(&object) } else { serde_json::to_string(&object) };
        let stripped: Value = serde_json::from_str(&strip(&json.expect("it is a value"))).expect("it is JSON");
        let mut expected = object;
        expected["metadata"].as_object_mut().expect("it is an object").remove("managedFields");
        prop_assert_eq!(stripped, expected);
    }
}
