//! What objects and labels may be called.

use serde_json::{Value, json};

use super::{kinds::Resource, select, status::Cause};

/// The rule that the names of a kind follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameRule {
    /// Lower case words with dots, up to 253 letters.
    Subdomain,
    /// One lower case word, up to 63 letters.
    Label,
    /// Anything that can stand between two slashes.
    PathSegment,
}

impl NameRule {
    /// Says what is wrong with a name, if anything is.
    pub(crate) fn check(self, name: &str) -> Option<String> {
        match self {
            Self::Subdomain => subdomain(name),
            Self::Label => label(name),
            Self::PathSegment => path_segment(name),
        }
    }
}

/// Says what keeps `text` from being an RFC 1123 subdomain.
pub(crate) fn subdomain(text: &str) -> Option<String> {
    if text.len() > 253 {
        return Some("must be no more than 253 bytes".to_owned());
    }
    let wrong = text.split('.').any(|part| !is_word(part));
    wrong.then(|| {
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
         start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
         '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            .to_owned()
    })
}

fn label(text: &str) -> Option<String> {
    if text.contains('.') {
        return Some("must not contain dots".to_owned());
    }
    if text.len() > 63 {
        return Some("must be no more than 63 bytes".to_owned());
    }
    (!is_word(text)).then(|| {
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
         end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
         '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            .to_owned()
    })
}

fn path_segment(text: &str) -> Option<String> {
    match text {
        "." | ".." => Some(format!("may not be '{text}'")),
        _ => text
            .chars()
            .find(|letter| "/%".contains(*letter))
            .map(|letter| format!("may not contain '{letter}'")),
    }
}

fn is_word(text: &str) -> bool {
    let inner = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    text.starts_with(inner)
        && text.ends_with(inner)
        && text.chars().all(|letter| inner(letter) || letter == '-')
}

/// What a label's key has to be made of.
pub(crate) const NAME_PART: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must \
     start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
     validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

/// What a label's value has to be made of.
pub(crate) const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, \
     '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', \
     regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// What is wrong with an object's metadata.
pub(crate) fn check_metadata(resource: &Resource, metadata: &Value, causes: &mut Vec<Cause>) {
    let name = metadata["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else if let Some(why) = resource.name_rule().check(name) {
        causes.push(Cause::invalid("metadata.name", &json!(name), &why));
    }
    for (field, is_label) in [("labels", true), ("annotations", false)] {
        for (key, value) in metadata[field].as_object().into_iter().flatten() {
            let path = format!("metadata.{field}");
            let name = if is_label { key.clone() } else { key.to_lowercase() };
            if !select::is_label_key(&name) {
                causes.push(Cause::invalid(&path, &json!(key), NAME_PART));
            }
            if is_label && !value.as_str().is_some_and(select::is_label_value) {
                causes.push(Cause::invalid(&path, value, LABEL_VALUE));
            }
        }
    }
    for (at, finalizer) in metadata["finalizers"].as_array().into_iter().flatten().enumerate() {
        let name = finalizer.as_str().unwrap_or_default();
        if !select::is_label_key(name) {
            causes.push(Cause::invalid("metadata.finalizers", finalizer, NAME_PART));
        }
        // Custom kinds may have any; built-in ones are asked for a domain.
        let is_standard = ["kubernetes", "orphan", "foregroundDeletion"].contains(&name);
        if !resource.is_custom() && !is_standard && !name.contains('/') {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            causes.push(Cause::invalid(format!("metadata.finalizers[{at}]"), finalizer, why));
        }
    }
    for (at, owner) in metadata["ownerReferences"].as_array().into_iter().flatten().enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner[field].as_str().unwrap_or_default().is_empty() {
                let path = format!("metadata.ownerReferences[{at}].{field}");
                causes.push(Cause::required(path, "must not be empty"));
            }
        }
    }
}
