//! managedFields: who owns which field.

use serde_json::{Value, json};

use super::{
    apply::{
        fields::Fields,
        rules::Rules,
        walk::{Difference, compare},
    },
    kinds::Resource,
    state::Write,
};

/// The managers of one object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Managers(pub(crate) Vec<Manager>);

/// One who wrote an object, in one way.
#[derive(Clone, Debug)]
pub(crate) struct Manager {
    pub(crate) name: String,
    /// Whether by applying; those who do and those who do not are different managers, whatever their name.
    pub(crate) applies: bool,
    pub(crate) api_version: String,
    pub(crate) subresource: Option<String>,
    pub(crate) time: Option<String>,
    pub(crate) fields: Fields,
}

// === impl Managers ===

impl Managers {
    /// Reads the managers of an object.
    pub(crate) fn read(object: &Value) -> Self {
        let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let optional = |entry: &Value, name: &str| Some(text(entry, name)).filter(|text| !text.is_empty());
        let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
        let managers = entries.map(|entry| Manager {
            name: text(entry, "manager"),
            applies: entry["operation"] == "Apply",
            api_version: text(entry, "apiVersion"),
            subresource: optional(entry, "subresource"),
            time: optional(entry, "time"),
            fields: Fields::read(&entry["fieldsV1"]),
        });
        Self(managers.collect())
    }

    /// The managers as an object has them: those who apply first, each in the order of time.
    pub(crate) fn write(mut self) -> Value {
        self.0.retain(|manager| !manager.fields.is_empty());
        self.0.sort_by(|one, other| one.order().cmp(&other.order()));
        self.0.iter().map(Manager::write).collect()
    }

    /// Puts the managers into an object; where there are none, it says nothing of them.
    pub(crate) fn put(self, object: &mut Value) {
        let Some(metadata) = object["metadata"].as_object_mut() else { return };
        match self.write() {
            Value::Array(entries) if entries.is_empty() => drop(metadata.remove("managedFields")),
            entries => drop(metadata.insert("managedFields".into(), entries)),
        }
    }

    /// The same but for the times.
    pub(crate) fn without_times(mut self) -> Value {
        self.0.iter_mut().for_each(|manager| manager.time = None);
        self.write()
    }

    /// Where the entry of a manager is, if it has one.
    pub(crate) fn find(&self, manager: &Manager) -> Option<usize> {
        self.0.iter().position(|other| other.is_same(manager))
    }

    /// Notes that `manager`, who did not apply, made of an object what differs: what it set is its own and nobody
    /// else's, what is gone is nobody's.
    pub(crate) fn note(&mut self, mut manager: Manager, difference: &Difference) {
        let set = difference.set();
        for other in &mut self.0 {
            let kept = other.fields.difference(&difference.removed);
            other.fields = if other.is_same(&manager) { kept } else { kept.difference(&set) };
        }
        manager.fields = set.difference(&of_nobody());
        if manager.fields.is_empty() {
            return;
        }
        match self.find(&manager).and_then(|at| self.0.get_mut(at)) {
            Some(own) => {
                own.fields = own.fields.union(&manager.fields);
                own.time = manager.time;
            }
            None => self.0.push(manager),
        }
    }
}

/// The fields that nobody owns, because only the server writes them or because they say which object this is.
pub(crate) fn of_nobody() -> Fields {
    let metadata =
        ["name", "namespace", "creationTimestamp", "uid", "generation", "managedFields", "resourceVersion"];
    let mut fields = json!({ "f:apiVersion": {}, "f:kind": {}, "f:metadata": { ".": {} } });
    metadata.iter().for_each(|name| fields["f:metadata"][format!("f:{name}")] = json!({}));
    Fields::read(&fields)
}

/// Notes that `manager` wrote what differs between `before` and `after`.
pub(crate) fn note(after: &mut Value, before: Option<&Value>, rules: Rules<'_>, manager: Manager) {
    let mut managers = before.map(Managers::read).unwrap_or_default();
    let difference = compare(rules, Some(before.unwrap_or(&json!({}))), Some(after));
    managers.note(manager, &difference);
    managers.put(after);
}

/// What a creation sets in the name of who asks for it: neither the status nor what admission adds to the spec.
pub(crate) fn made(resource: &Resource, body: &Value, given: &Value) -> Difference {
    let mut made = compare(Rules::of(resource), Some(&json!({})), Some(body));
    if resource.status {
        made.cut(&["f:status"]);
    }
    if resource.is("", "pods") {
        let added =
            ["tolerations", "priority", "preemptionPolicy"].into_iter().filter(|name| given[name].is_null());
        added.for_each(|name| made.cut(&["f:spec", &format!("f:{name}")]));
    }
    made
}

/// Whether an object is sent so that nobody manages its fields any more: with a list of no managers, or of one that is
/// nobody. A list that is not there says nothing.
pub(crate) fn are_reset_by(body: &Value) -> bool {
    let managers = body["metadata"]["managedFields"].as_array();
    managers.is_some_and(|all| all.is_empty() || all.len() == 1 && all.first() == Some(&json!({})))
}

// === impl Manager ===

impl Manager {
    /// Who does this write, by other means than applying.
    pub(crate) fn of(write: &Write, api_version: &str, subresource: Option<&str>) -> Self {
        Self {
            name: write.manager.clone(),
            applies: false,
            api_version: api_version.to_owned(),
            subresource: subresource.map(str::to_owned),
            time: Some(write.now()),
            fields: Fields::default(),
        }
    }

    /// Whether both are one, whenever they wrote. Those who apply stay who they are in every version of the kind.
    fn is_same(&self, other: &Self) -> bool {
        self.name == other.name
            && self.applies == other.applies
            && self.subresource == other.subresource
            && (self.applies || self.api_version == other.api_version)
    }

    fn order(&self) -> (bool, Option<&str>, &str, &str, Option<&str>) {
        (!self.applies, self.time.as_deref(), &self.name, &self.api_version, self.subresource.as_deref())
    }

    fn write(&self) -> Value {
        let mut entry = json!({
            "manager": self.name,
            "operation": if self.applies { "Apply" } else { "Update" },
            "apiVersion": self.api_version,
            "fieldsType": "FieldsV1",
            "fieldsV1": self.fields.write(),
        });
        for (name, value) in [("time", &self.time), ("subresource", &self.subresource)] {
            if let Some(value) = value {
                entry[name] = json!(value);
            }
        }
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::{super::apply::rules::Known, *};

    fn manager(name: &str, time: &str) -> Manager {
        Manager {
            name: name.into(),
            applies: false,
            api_version: "v1".into(),
            subresource: None,
            time: Some(time.into()),
            fields: Fields::default(),
        }
    }

    #[test]
    fn each_manager_has_one_entry_with_what_it_wrote_last() {
        let rules = Rules::Builtin(Known::Plain);
        let mut one = json!({"metadata": {"name": "a", "labels": {"l": "1"}}, "data": {"x": "1"}});
        note(&mut one, None, rules, manager("first", "t1"));
        let mut two = one.clone();
        two["data"]["y"] = json!("2");
        note(&mut two, Some(&one), rules, manager("second", "t2"));
        let mut three = two.clone();
        three["data"] = json!({"x": "2", "z": "3"});
        note(&mut three, Some(&two), rules, manager("second", "t3"));
        let entries = three["metadata"]["managedFields"].as_array().unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(
            entries[0]["fieldsV1"],
            json!({"f:metadata": {"f:labels": {".": {}, "f:l": {}}}, "f:data": {}})
        );
        assert_eq!(entries[1]["fieldsV1"], json!({"f:data": {"f:x": {}, "f:z": {}}}));
        assert_eq!(entries[1]["time"], "t3");
    }
}
