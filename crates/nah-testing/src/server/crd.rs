//! CustomResourceDefinitions: from a posted definition to kinds that are served.

use std::{fmt, sync::Arc};

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

use super::{
    kinds::{Origin, Resource, ScalePaths},
    objects::strings,
    schema,
    status::{Cause, Status},
};

/// What is special about one version of a custom kind.
pub(crate) struct Custom {
    /// The structural schema as it was posted; null where there is none.
    pub(crate) schema: Value,
    validator: Option<Validator>,
    /// The fields that field selectors may name, as `spec.color`.
    pub(crate) selectable: Vec<String>,
    pub(crate) columns: Vec<PrinterColumn>,
}

/// A column that `kubectl get` shows.
#[derive(Clone, Debug)]
pub(crate) struct PrinterColumn {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) path: String,
    pub(crate) priority: i64,
}

// === impl Custom ===

impl Custom {
    fn parse(version: &Value) -> Result<Self, Cause> {
        let schema = version["schema"]["openAPIV3Schema"].clone();
        let validator = if schema.is_null() {
            None
        } else {
            let options = jsonschema::options().with_draft(Draft::Draft4).should_validate_formats(true);
            let built = options.build(&schema::to_json_schema(&schema));
            let path = "spec.validation.openAPIV3Schema";
            Some(built.map_err(|error| Cause::invalid(path, &json!("schema"), &error.to_string()))?)
        };
        let plain = |path: &Value| path.as_str().unwrap_or_default().trim_start_matches('.').to_owned();
        let selectable = version["selectableFields"].as_array().into_iter().flatten();
        let columns = version["additionalPrinterColumns"].as_array().into_iter().flatten();
        Ok(Self {
            schema,
            validator,
            selectable: selectable.map(|field| plain(&field["jsonPath"])).collect(),
            columns: columns
                .map(|column| PrinterColumn {
                    name: plain(&column["name"]),
                    kind: plain(&column["type"]),
                    path: plain(&column["jsonPath"]),
                    priority: column["priority"].as_i64().unwrap_or_default(),
                })
                .collect(),
        })
    }

    /// Drops what the schema does not know, and names it.
    pub(crate) fn prune(&self, value: &mut Value) -> Vec<String> {
        schema::prune(&self.schema, value)
    }

    /// Fills in the schema's defaults.
    pub(crate) fn fill(&self, value: &mut Value) {
        schema::fill(&self.schema, value);
    }

    /// What the schema finds wrong.
    pub(crate) fn causes(&self, value: &Value) -> Vec<Cause> {
        let Some(validator) = &self.validator else { return Vec::new() };
        validator.iter_errors(value).map(|error| schema::cause(&error)).collect()
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Custom").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// The kinds that a definition asks for: one a served version.
///
/// # Errors
/// An `Invalid` that names the wrong fields of the definition.
pub(crate) fn resources(definition: &Value) -> Result<Vec<Resource>, Status> {
    let name = definition["metadata"]["name"].as_str().unwrap_or_default();
    let spec = &definition["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let names = &spec["names"];
    let (group, plural, kind) = (text(&spec["group"]), text(&names["plural"]), text(&names["kind"]));
    let mut causes = Vec::new();
    for (path, value) in [("spec.group", &group), ("spec.names.plural", &plural), ("spec.names.kind", &kind)]
    {
        if value.is_empty() {
            causes.push(Cause::required(path, ""));
        }
    }
    if name != format!("{plural}.{group}") {
        let why = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid("metadata.name", &json!(name), why));
    }
    let scope = text(&spec["scope"]);
    if scope != "Namespaced" && scope != "Cluster" {
        let message = format!("Unsupported value: {scope:?}: supported values: \"Cluster\", \"Namespaced\"");
        causes.push(Cause { reason: "FieldValueNotSupported", field: "spec.scope".into(), message });
    }
    let versions = spec["versions"].as_array().cloned().unwrap_or_default();
    if versions.iter().filter(|version| version["storage"] == json!(true)).count() != 1 {
        let why = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", &json!(versions.len()), why));
    }
    let singular = match text(&names["singular"]) {
        empty if empty.is_empty() => kind.to_lowercase(),
        given => given,
    };
    let list_kind = match text(&names["listKind"]) {
        empty if empty.is_empty() => format!("{kind}List"),
        given => given,
    };
    let mut resources = Vec::new();
    for version in versions.iter().filter(|version| version["served"] == json!(true)) {
        let custom = match Custom::parse(version) {
            Ok(custom) => custom,
            Err(cause) => {
                causes.push(cause);
                continue;
            }
        };
        let subresources = &version["subresources"];
        resources.push(Resource {
            group: group.clone(),
            version: text(&version["name"]),
            plural: plural.clone(),
            singular: singular.clone(),
            kind: kind.clone(),
            list_kind: list_kind.clone(),
            short_names: strings(&names["shortNames"]),
            categories: strings(&names["categories"]),
            namespaced: scope == "Namespaced",
            status: subresources["status"].is_object(),
            scale: subresources["scale"].is_object().then(|| scale(&subresources["scale"])),
            origin: Origin::Custom(Arc::new(custom)),
        });
    }
    if causes.is_empty() {
        return Ok(resources);
    }
    Err(Status::invalid("apiextensions.k8s.io", "CustomResourceDefinition", name, causes))
}

fn scale(scale: &Value) -> ScalePaths {
    let pointer = |field: &str| scale[field].as_str().map(|path| path.replace('.', "/"));
    ScalePaths {
        spec: pointer("specReplicasPath").unwrap_or_default(),
        status: pointer("statusReplicasPath").unwrap_or_default(),
        selector: pointer("labelSelectorPath"),
    }
}

/// The status of a definition that was accepted.
pub(crate) fn accepted(definition: &Value, now: &str) -> Value {
    let condition = |kind: &str, reason: &str, message: &str| {
        let mut condition = json!({"type": kind, "status": "True", "reason": reason, "message": message});
        condition["lastTransitionTime"] = json!(now);
        condition
    };
    let mut names = definition["spec"]["names"].clone();
    for (field, default) in [
        ("singular", names["kind"].as_str().unwrap_or_default().to_lowercase()),
        ("listKind", format!("{}List", names["kind"].as_str().unwrap_or_default())),
    ] {
        if names[field].is_null() {
            names[field] = json!(default);
        }
    }
    let versions = definition["spec"]["versions"].as_array().into_iter().flatten();
    let stored: Vec<_> =
        versions.filter(|version| version["storage"] == json!(true)).map(|v| &v["name"]).collect();
    json!({
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        "acceptedNames": names,
        "storedVersions": stored,
    })
}
