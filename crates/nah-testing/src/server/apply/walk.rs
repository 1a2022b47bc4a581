//! The fields that an object has, what differs between two, and how they are merged (pure).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{
    fields::Fields,
    rules::{Rules, Shape},
};

/// What has come, changed and gone between two states of an object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Difference {
    pub(crate) added: Fields,
    pub(crate) modified: Fields,
    pub(crate) removed: Fields,
}

/// The fields that `value` sets, as those of an applied configuration are owned.
///
/// # Errors
/// What is wrong with a list: an item without its key, or two with the same.
pub(crate) fn fields_of(rules: Rules<'_>, value: &Value, at: &str) -> Result<Fields, String> {
    let mut fields = Fields::default();
    match rules.shape(value) {
        Shape::Leaf => fields.own = true,
        Shape::Map(members) => {
            for (name, member) in members {
                let mut within = fields_of(rules.member(name), member, &format!("{at}.{name}"))?;
                let is_empty = member.is_null() || member.as_object().is_some_and(Map::is_empty);
                within.own |= is_empty || !rules.declares(name);
                fields.put(format!("f:{name}"), within);
            }
        }
        Shape::List(items) => {
            let lacks = |(place, why)| format!("{at}: element {place}: {why}");
            for (step, item, rules) in rules.steps(items).map_err(lacks)? {
                if fields.get(&step).is_some() {
                    let mut one = Fields::default();
                    one.put(step, Fields::whole());
                    let path = one.paths().pop().unwrap_or_default();
                    return Err(format!("{at}: duplicate entries for key {path}"));
                }
                let mut within = fields_of(rules, item, at)?;
                within.own = true;
                fields.put(step, within);
            }
        }
    }
    Ok(fields)
}

/// What differs between two states of what stands at one place; none is what is not there.
pub(crate) fn compare(rules: Rules<'_>, before: Option<&Value>, after: Option<&Value>) -> Difference {
    let mut difference = Difference::default();
    let empty = json!({});
    let Some(shown) = after.filter(|value| !value.is_null()).or(before).or(after) else { return difference };
    if before == after {
        return difference;
    }
    let is_hollow = |value: Option<&Value>| value.is_none_or(is_hollow);
    let is_leaf = is_hollow(before) && is_hollow(after) || matches!(rules.shape(shown), Shape::Leaf);
    match (before, after) {
        (None, _) => difference.added.own = true,
        (_, None) => difference.removed.own = true,
        _ => difference.modified.own = is_leaf,
    }
    if is_leaf {
        return difference;
    }
    if shown.is_object() {
        let members = |value: Option<&Value>| value.and_then(Value::as_object).cloned().unwrap_or_default();
        let (old, new) = (members(before), members(after));
        let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
        for name in names {
            let is_there = before.is_some() && rules.has_always(name);
            let one = old.get(name).or(is_there.then_some(&empty));
            difference.put(format!("f:{name}"), compare(rules.member(name), one, new.get(name)));
        }
        return difference;
    }
    let items = |value: Option<&Value>| -> BTreeMap<String, Value> {
        let items = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let steps = rules.steps(items).unwrap_or_default().into_iter();
        steps.map(|(step, item, _)| (step, item.clone())).collect()
    };
    let item_rules = rules.steps(shown.as_array().map(Vec::as_slice).unwrap_or_default());
    let Some(rules) = item_rules.ok().and_then(|steps| steps.first().map(|(_, _, rules)| *rules)) else {
        return difference;
    };
    let (old, new) = (items(before), items(after));
    let steps: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    for step in steps {
        difference.put(step.clone(), compare(rules, old.get(step), new.get(step)));
    }
    difference
}

/// Whether there is nothing in a value: null, or a map or list that is empty.
fn is_hollow(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// What is there with what is applied to it.
pub(crate) fn merge(rules: Rules<'_>, live: &Value, applied: &Value) -> Value {
    match (live, applied, rules.shape(applied)) {
        (Value::Object(live), Value::Object(applied), Shape::Map(_)) => {
            let mut merged = live.clone();
            for (name, value) in applied {
                let old = live.get(name).unwrap_or(&Value::Null);
                merged.insert(name.clone(), merge(rules.member(name), old, value));
            }
            Value::Object(merged)
        }
        (Value::Array(live), Value::Array(applied), Shape::List(_)) => lists(rules, live, applied),
        (live, Value::Null, _) if !is_hollow(live) && !matches!(rules.shape(live), Shape::Leaf) => {
            live.clone()
        }
        _ => applied.clone(),
    }
}

/// Those that are applied in their order, and each of the others before the one of both that it stood before.
fn lists(rules: Rules<'_>, live: &[Value], applied: &[Value]) -> Value {
    let (Ok(live), Ok(applied)) = (rules.steps(live), rules.steps(applied)) else { return json!(applied) };
    let old: BTreeMap<_, _> = live.iter().map(|(step, item, _)| (step, *item)).collect();
    let chosen: BTreeSet<_> = applied.iter().map(|(step, _, _)| step).collect();
    let mut of_both =
        applied.iter().map(|(step, _, _)| step).filter(|step| old.contains_key(step)).peekable();
    let (mut merged, mut done) = (Vec::new(), BTreeSet::new());
    let (mut left, mut right) = (live.iter().peekable(), applied.iter().peekable());
    while left.peek().is_some() || right.peek().is_some() {
        if let (Some((step, _, _)), Some((next, _, _))) = (left.peek(), right.peek())
            && step != next
            && chosen.contains(step)
            && of_both.peek().is_some_and(|awaited| *awaited != step)
        {
            // It has its place further on, or has had it.
            left.next();
            continue;
        }
        if let Some((_, item, _)) = left.next_if(|(step, _, _)| !chosen.contains(step)) {
            merged.push((*item).clone());
            continue;
        }
        let Some((step, item, rules)) = right.next() else {
            left.next();
            continue;
        };
        left.next_if(|(other, _, _)| other == step || done.contains(other));
        of_both.next_if_eq(&step);
        merged.push(old.get(step).map_or_else(|| (*item).clone(), |old| merge(*rules, old, item)));
        done.insert(step);
    }
    Value::Array(merged)
}

/// A set with the members of structs that something in it is within: where all of that goes, they go too.
pub(crate) fn with_structs(rules: Rules<'_>, value: &Value, fields: &Fields) -> Fields {
    let mut whole = fields.clone();
    let steps: BTreeMap<String, (&Value, Rules<'_>)> = match rules.shape(value) {
        Shape::Map(members) => {
            let step = |(name, member): (&String, _)| (format!("f:{name}"), (member, rules.member(name)));
            members.iter().map(step).collect()
        }
        Shape::List(items) => {
            let steps = rules.steps(items).unwrap_or_default().into_iter();
            steps.map(|(step, item, rules)| (step, (item, rules))).collect()
        }
        _ => BTreeMap::new(),
    };
    for (step, within) in whole.steps_mut() {
        if let Some((value, rules)) = steps.get(step) {
            *within = with_structs(*rules, value, within);
        }
        within.own |= step.strip_prefix("f:").is_some_and(|name| rules.declares(name));
    }
    whole
}

/// What is left of a value without these fields. Of a map or a list that loses the last of it null is left, as the real
/// server leaves it.
pub(crate) fn without(rules: Rules<'_>, value: &Value, fields: &Fields) -> Value {
    match rules.shape(value) {
        Shape::Map(members) if !fields.is_empty() => {
            let left = |(name, member): (&String, &Value)| {
                let left = match fields.get(&format!("f:{name}")) {
                    None => member.clone(),
                    Some(within) if within.own => return None,
                    Some(within) => without(rules.member(name), member, within),
                };
                Some((name.clone(), left))
            };
            let left: Map<_, _> = members.iter().filter_map(left).collect();
            if left.is_empty() { Value::Null } else { Value::Object(left) }
        }
        Shape::List(items) if !fields.is_empty() => {
            let Ok(steps) = rules.steps(items) else { return value.clone() };
            let left = |(step, item, rules): (String, &Value, Rules<'_>)| match fields.get(&step) {
                None => Some(item.clone()),
                Some(within) if within.own => None,
                Some(within) => Some(without(rules, item, within)),
            };
            let left: Vec<_> = steps.into_iter().filter_map(left).collect();
            if left.is_empty() { Value::Null } else { Value::Array(left) }
        }
        _ => value.clone(),
    }
}

// === impl Difference ===

impl Difference {
    fn put(&mut self, step: String, within: Self) {
        self.added.put(step.clone(), within.added);
        self.modified.put(step.clone(), within.modified);
        self.removed.put(step, within.removed);
    }

    /// What was set: what is new, and what is another.
    pub(crate) fn set(&self) -> Fields {
        self.added.union(&self.modified)
    }

    /// The same without the field at the end of these steps, and all within it.
    pub(crate) fn cut(&mut self, steps: &[&str]) {
        for fields in [&mut self.added, &mut self.modified, &mut self.removed] {
            fields.cut(steps);
        }
    }
}
