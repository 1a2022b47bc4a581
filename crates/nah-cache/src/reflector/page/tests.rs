//! Bodies of lists in one piece, in many, and broken.

use proptest::prelude::*;

use super::{super::fuzz, *};

/// What a body is split into when it arrives in pieces of so many bytes.
fn split(body: &str, size: usize) -> Result<(Option<Head>, Vec<String>), String> {
    let (mut splitter, mut head, mut items) = (Splitter::default(), None, Vec::new());
    for chunk in body.as_bytes().chunks(size) {
        splitter.push(Bytes::copy_from_slice(chunk));
        while let Some(piece) = splitter.next().map_err(|failure| failure.message)? {
            match piece {
                Piece::Head(found) => head = Some(found),
                Piece::Item(item) => items.push(String::from_utf8(item.to_vec()).unwrap()),
            }
        }
    }
    splitter.finish().map_err(|failure| failure.message)?;
    Ok((head, items))
}

fn check(body: &str, version: &str, next: Option<&str>, items: &[&str]) {
    for size in 1..=body.len() {
        let (head, found) = split(body, size).unwrap();
        let head = head.unwrap();
        assert_eq!((head.version.as_str(), head.next.as_deref()), (version, next), "{size}: {body}");
        assert_eq!(found, items, "{size}: {body}");
    }
}

fn refuse(body: &str) -> String {
    let whole = split(body, body.len()).unwrap_err();
    for size in 1..body.len() {
        assert!(split(body, size).is_err(), "{size}: {body}");
    }
    whole
}

#[test]
fn splits_a_list_without_reading_its_items() // C2
{
    let body =
        r#"{"kind":"PodList","metadata":{"resourceVersion":"7","continue":"t"},"items":[{"a":1},{"b":[2]}]}"#;
    check(body, "7", Some("t"), &[r#"{"a":1}"#, r#"{"b":[2]}"#]);
    // As custom resources come, with white space.
    let body = "{\n \"apiVersion\" : \"v1\",\n \"items\" : [ {\"a\" : \"]}\"} ,\n {\"b\":\"\\\\\\\"}\"} ],\n\
                \"metadata\" : {\"resourceVersion\":\"8\",\"continue\":\"\"}}\n";
    check(body, "8", None, &[r#"{"a" : "]}"}"#, r#"{"b":"\\\"}"}"#]);
    check(r#"{"items":[],"metadata":{"resourceVersion":"9"}}"#, "9", None, &[]);
    check(r#"{"\u0069tems":[1, true],"metadata":null,"other":[{"items":[]}]}"#, "", None, &["1", "true"]);
}

#[test]
fn the_head_is_there_before_the_items_are() // C2
{
    let mut splitter = Splitter::default();
    splitter.push(Bytes::from_static(br#"{"metadata":{"resourceVersion":"7","continue":"t"},"items":[{"a""#));
    let head = Head { version: "7".into(), next: Some("t".into()) };
    assert_eq!(splitter.next().unwrap(), Some(Piece::Head(head)));
    assert_eq!(splitter.next().unwrap(), None);
}

#[test]
fn takes_null_items_for_none_and_missing_items_for_no_list() // C6, C19
{
    check(r#"{"metadata":{"resourceVersion":"7","continue":""},"items":null}"#, "7", None, &[]);
    let table = r#"{"kind":"Table","metadata":{"resourceVersion":"7"},"rows":[]}"#;
    assert!(refuse(table).contains("Table"));
    for broken in [
        r#"{"kind":"Status","code":200}"#,
        r#"{"items":[{"a":"#,
        r#"{"items":[{"a":1}]"#,
        r#"{"items":[1,]}"#,
        r#"{"items":[,1]}"#,
        r#"{"items":[],}"#,
        r#"{"items":[]}{"items":[]}"#,
        r#"{"items":[],"items":[{"a":1}]}"#,
        r#"{"items":[],"metadata":{},"metadata":{}}"#,
        r#"{"items":{"a":1}}"#,
        r#"{"items" []}"#,
        r#"{"items":[],"other":}"#,
        r#"{"items":[],"other":{]}"#,
        r#"{"items":[],7:1}"#,
        "<html>",
        "[]",
    ] {
        refuse(broken);
    }
    assert_eq!(split("", 1).unwrap_err(), "cannot read list: it ends in the middle");
}

#[test]
fn an_item_without_an_end_is_given_up() {
    let mut splitter = Splitter::default();
    let mut body = br#"{"items":[{"a":""#.to_vec();
    body.resize(LONGEST + 100, b'x');
    splitter.push(body.into());
    assert!(splitter.next().unwrap_err().message.contains("without an end"));
    assert!(splitter.held() <= 2 * LONGEST);
}

#[test]
fn holds_no_more_than_an_item() {
    let item = format!(r#"{{"metadata":{{"name":"{}"}}}}"#, "x".repeat(10_000));
    let body = format!(r#"{{"metadata":{{}},"items":[{}]}}"#, vec![item; 2000].join(","));
    for size in [body.len(), 4_000, 64 << 10] {
        let (mut splitter, mut items) = (Splitter::default(), 0);
        for chunk in body.as_bytes().chunks(size) {
            splitter.push(Bytes::copy_from_slice(chunk));
            while let Some(piece) = splitter.next().unwrap() {
                items += usize::from(matches!(piece, Piece::Item(_)));
            }
        }
        assert_eq!(items, 2000);
        assert_eq!(splitter.held() > 0, size < body.len(), "what arrived whole is no copy");
        assert!(splitter.held() < 30_000, "{}", splitter.held());
        splitter.finish().unwrap();
    }
}

/// Any JSON, two levels deep or so.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i32>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec((any::<String>(), inner), 0..4)
                .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_list_comes_out_as_it_is_in_pieces_of_any_size(items in prop::collection::vec(json(), 0..6), pretty: bool, size in 1..200usize) // C2, C6
    {
        let list = serde_json::json!({ "metadata": { "resourceVersion": "7" }, "items": items });
        let body = if pretty { serde_json::to_string_pretty(&list).unwrap() } else { list.to_string() };
        let (head, found) = split(&body, size).unwrap();
        let head = head.unwrap();
        prop_assert_eq!(head.version.as_str(), "7");
        let found: Vec<serde_json::Value> = found.iter().map(|item| serde_json::from_str(item).unwrap()).collect();
        prop_assert_eq!(found, items);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, cut in 0..90usize, at in 0..90usize, flip: u8) // C19
    {
        fuzz::list(&bytes);
        let mut list = br#"7{"metadata":{"resourceVersion":"7"},"items":[{"metadata":{"name":"a","uid":"u"}}]}"#.to_vec();
        if let Some(byte) = list.get_mut(at) {
            *byte ^= flip;
        }
        list.truncate(cut);
        fuzz::list(&list);
    }
}
