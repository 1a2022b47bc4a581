//! An edit of a decoded form, done to the whole object. Pure.

use serde_json::{Map, Value};

/// Does to `whole` what leads from `before` to `after`, which are `whole` as a type reads and writes it: without the
/// fields it does not know, and with the defaults it fills in.
pub(super) fn merge(whole: &mut Value, before: &Value, after: &Value) {
    if before == after {
        return;
    }
    match (whole, before, after) {
        (Value::Object(whole), Value::Object(before), Value::Object(after)) => fields(whole, before, after),
        (Value::Array(whole), Value::Array(before), Value::Array(after)) if whole.len() == before.len() => {
            items(whole, before, after);
        }
        (whole, _, after) => *whole = after.clone(),
    }
}

fn fields(whole: &mut Map<String, Value>, before: &Map<String, Value>, after: &Map<String, Value>) {
    whole.retain(|name, _| after.contains_key(name) || !before.contains_key(name));
    for (name, value) in after {
        match (before.get(name), whole.get_mut(name)) {
            (Some(before), _) if before == value => {}
            (Some(before), Some(whole)) => merge(whole, before, value),
            _ => _ = whole.insert(name.clone(), value.clone()),
        }
    }
}

/// Each item keeps the unknown fields of the one that it was.
fn items(whole: &mut Vec<Value>, before: &[Value], after: &[Value]) {
    let mut origins: Vec<Option<usize>> = before.iter().enumerate().map(|(at, _)| Some(at)).collect();
    let mut take = |found: Option<usize>| found.and_then(|at| origins.get_mut(at)?.take());
    // Those that did not change first, so that an edited one does not claim their origin.
    let mut sources: Vec<_> = after
        .iter()
        .enumerate()
        .map(|(at, item)| take(Some(at).filter(|at| before.get(*at) == Some(item))))
        .collect();
    for (item, source) in after.iter().zip(&mut sources).filter(|(_, source)| source.is_none()) {
        *source =
            before.iter().enumerate().filter(|(_, old)| *old == item).find_map(|(at, _)| take(Some(at)));
    }
    for (at, (item, source)) in after.iter().zip(&mut sources).enumerate() {
        if source.is_none() {
            let same = |old: &Value| identity(old) == identity(item);
            *source = match identity(item) {
                // Several may share one: tolerations of a key, headers of a name.
                Some(_) => {
                    before.iter().enumerate().filter(|(_, old)| same(old)).find_map(|(at, _)| take(Some(at)))
                }
                None => {
                    take(Some(at).filter(|at| before.get(*at).is_some_and(|old| identity(old).is_none())))
                }
            };
        }
    }
    let merged = after.iter().zip(sources).map(|(item, source)| {
        let origin = source.and_then(|at| Some((whole.get(at)?.clone(), before.get(at)?)));
        let Some((mut whole, before)) = origin else { return item.clone() };
        merge(&mut whole, before, item);
        whole
    });
    *whole = merged.collect();
}

/// What makes an item of a list the one it is: containers, ports and volumes have names, conditions have types.
fn identity(item: &Value) -> Option<&Value> {
    ["name", "type", "uid", "key"].into_iter().find_map(|field| item.get(field))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(whole: Value, before: Value, after: Value, expected: Value) {
        let mut merged = whole;
        merge(&mut merged, &before, &after);
        assert_eq!(merged, expected);
    }

    #[test]
    fn keeps_what_the_type_does_not_know() {
        check(
            json!({ "spec": { "size": 1, "new": true }, "other": 1 }),
            json!({ "spec": { "size": 1 } }),
            json!({ "spec": { "size": 2 } }),
            json!({ "spec": { "size": 2, "new": true }, "other": 1 }),
        );
    }

    #[test]
    fn does_not_send_defaults_that_the_type_fills_in() {
        check(
            json!({ "spec": {} }),
            json!({ "spec": { "size": 1, "mode": "Auto" } }),
            json!({ "spec": { "size": 2, "mode": "Auto" } }),
            json!({ "spec": { "size": 2 } }),
        );
    }

    #[test]
    fn fills_in_parents_that_are_missing() {
        check(
            json!({}),
            json!({ "spec": { "size": 1, "mode": "Auto" } }),
            json!({ "spec": { "size": 2, "mode": "Auto" } }),
            json!({ "spec": { "size": 2, "mode": "Auto" } }),
        );
        check(
            json!({ "labels": null }),
            json!({}),
            json!({ "labels": { "a": "b" } }),
            json!({ "labels": { "a": "b" } }),
        );
    }

    #[test]
    fn removes_only_what_was_removed() {
        check(
            json!({ "a": 1, "b": 2, "c": 3 }),
            json!({ "a": 1, "b": 2 }),
            json!({ "a": 1 }),
            json!({ "a": 1, "c": 3 }),
        );
    }

    #[test]
    fn an_item_keeps_its_unknown_fields_when_others_go() {
        check(
            json!([{ "name": "a", "x": 1 }, { "name": "b", "x": 2 }]),
            json!([{ "name": "a" }, { "name": "b" }]),
            json!([{ "name": "b" }]),
            json!([{ "name": "b", "x": 2 }]),
        );
    }

    #[test]
    fn an_item_keeps_its_unknown_fields_when_it_moves_and_changes() {
        check(
            json!([{ "name": "a", "x": 1 }, { "name": "b", "image": "1", "x": 2 }]),
            json!([{ "name": "a" }, { "name": "b", "image": "1" }]),
            json!([{ "name": "b", "image": "2" }, { "name": "c" }, { "name": "a" }]),
            json!([{ "name": "b", "image": "2", "x": 2 }, { "name": "c" }, { "name": "a", "x": 1 }]),
        );
    }

    #[test]
    fn items_that_share_a_name_each_keep_their_own() {
        check(
            json!([{ "key": "a", "value": 1, "x": 1 }, { "key": "a", "value": 2, "x": 2 }]),
            json!([{ "key": "a", "value": 1 }, { "key": "a", "value": 2 }]),
            json!([{ "key": "a", "value": 1 }, { "key": "a", "value": 3 }]),
            json!([{ "key": "a", "value": 1, "x": 1 }, { "key": "a", "value": 3, "x": 2 }]),
        );
    }

    #[test]
    fn items_without_a_name_are_told_by_their_place() {
        check(
            json!([{ "port": 1, "x": 1 }, { "port": 2, "x": 2 }]),
            json!([{ "port": 1 }, { "port": 2 }]),
            json!([{ "port": 1 }, { "port": 3 }]),
            json!([{ "port": 1, "x": 1 }, { "port": 3, "x": 2 }]),
        );
    }

    #[test]
    fn a_list_that_the_type_read_otherwise_is_replaced() {
        check(json!([1, null, 2]), json!([1, 2]), json!([1, 2, 3]), json!([1, 2, 3]));
    }
}
