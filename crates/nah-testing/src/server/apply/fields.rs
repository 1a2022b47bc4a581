//! Sets of fields, as managedFields write them (pure).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// A set of the fields of an object: a tree of the steps to them.
///
/// A step is written as FieldsV1 does: `f:name` to a member, `k:{"name":"a"}` to the item of a list with these keys,
/// `v:"a"` to this item of a set.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Fields {
    /// Whether the field itself is in the set, and not only some within it.
    pub(crate) own: bool,
    within: BTreeMap<String, Fields>,
}

// === impl Fields ===

impl Fields {
    /// Reads FieldsV1. What is none of it is left out.
    pub(crate) fn read(value: &Value) -> Self {
        let Some(members) = value.as_object() else { return Self::default() };
        // A field without any within it is in the set.
        let own = members.is_empty() || members.contains_key(".");
        let within = members.iter().filter(|(step, _)| *step != ".");
        Self { own, within: within.map(|(step, value)| (step.clone(), Self::read(value))).collect() }
    }

    /// The set as FieldsV1.
    pub(crate) fn write(&self) -> Value {
        let mut members: Map<_, _> =
            self.within.iter().map(|(step, fields)| (step.clone(), fields.write())).collect();
        if self.own && !members.is_empty() {
            members.insert(".".into(), json!({}));
        }
        Value::Object(members)
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.own && self.within.is_empty()
    }

    /// The field itself, and nothing within it.
    pub(crate) fn whole() -> Self {
        Self { own: true, within: BTreeMap::new() }
    }

    /// What is within a step.
    pub(crate) fn get(&self, step: &str) -> Option<&Self> {
        self.within.get(step)
    }

    /// Puts a set within a step, in place of what was there.
    pub(crate) fn put(&mut self, step: String, fields: Self) {
        if !fields.is_empty() {
            self.within.insert(step, fields);
        }
    }

    /// Takes the field at the end of these steps out of the set, and all within it.
    pub(crate) fn cut(&mut self, steps: &[&str]) {
        match steps {
            [] => {}
            [last] => drop(self.within.remove(*last)),
            [first, rest @ ..] => {
                let Some(within) = self.within.get_mut(*first) else { return };
                within.cut(rest);
                if within.is_empty() {
                    self.within.remove(*first);
                }
            }
        }
    }

    pub(crate) fn steps_mut(&mut self) -> impl Iterator<Item = (&String, &mut Self)> {
        self.within.iter_mut()
    }

    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut union = self.clone();
        union.own |= other.own;
        for (step, fields) in &other.within {
            let mine = union.within.entry(step.clone()).or_default();
            *mine = mine.union(fields);
        }
        union
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let mut common = Self { own: self.own && other.own, within: BTreeMap::new() };
        for (step, fields) in &self.within {
            if let Some(theirs) = other.within.get(step) {
                common.put(step.clone(), fields.intersection(theirs));
            }
        }
        common
    }

    pub(crate) fn difference(&self, other: &Self) -> Self {
        let mut rest = Self { own: self.own && !other.own, within: BTreeMap::new() };
        for (step, fields) in &self.within {
            rest.put(
                step.clone(),
                other.within.get(step).map_or_else(|| fields.clone(), |theirs| fields.difference(theirs)),
            );
        }
        rest
    }

    /// The fields of the set as people read them: `.spec.ports[port=80,protocol="TCP"]`. Those of one object before
    /// those within them.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.walk("", &mut paths);
        paths
    }

    fn walk(&self, at: &str, paths: &mut Vec<String>) {
        let own = self.within.iter().filter(|(_, fields)| fields.own);
        paths.extend(own.map(|(step, _)| format!("{at}{}", shown(step))));
        for (step, fields) in &self.within {
            fields.walk(&format!("{at}{}", shown(step)), paths);
        }
    }
}

fn shown(step: &str) -> String {
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    match step.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("k", keys)) => {
            let keys = read(keys);
            let keys = keys.as_object().into_iter().flatten();
            format!("[{}]", keys.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(","))
        }
        Some(("v", value)) => format!("[={}]", read(value)),
        _ => format!("[{step}]"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_map, prelude::*};

    use super::*;

    /// Sets as FieldsV1 has them.
    fn fields() -> impl Strategy<Value = Fields> {
        let leaf = Just(json!({}));
        let tree = leaf.prop_recursive(4, 16, 3, |inner| {
            btree_map(
                prop_oneof!["f:[abc]", Just(r#"k:{"name":"a"}"#.to_owned()), Just(".".to_owned())],
                inner,
                1..4,
            )
            .prop_map(|mut map| {
                if let Some(own) = map.get_mut(".") {
                    *own = json!({});
                }
                json!(map)
            })
        });
        tree.prop_map(|tree| Fields::read(&tree))
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(fields in fields()) {
            prop_assert_eq!(Fields::read(&fields.write()), fields);
        }

        #[test]
        fn sets_add_up(one in fields(), other in fields()) {
            let (common, rest) = (one.intersection(&other), one.difference(&other));
            prop_assert_eq!(common.union(&rest), one.clone());
            prop_assert!(common.intersection(&rest).is_empty());
            prop_assert_eq!(one.union(&other).difference(&other), rest);
            prop_assert_eq!(other.intersection(&one), common);
        }
    }

    #[test]
    fn a_field_reads_as_a_path() {
        let fields = json!({ "f:spec": { "f:ports": { r#"k:{"port":80,"protocol":"TCP"}"#: { ".": {}, "f:port": {} } } },
                             "f:metadata": { "f:finalizers": { r#"v:"x/y""#: {} } }, "f:data": {} });
        let paths = Fields::read(&fields).paths();
        assert_eq!(
            paths,
            [
                ".data",
                r#".metadata.finalizers[="x/y"]"#,
                r#".spec.ports[port=80,protocol="TCP"]"#,
                r#".spec.ports[port=80,protocol="TCP"].port"#,
            ]
        );
    }
}
