//! What objects and labels may be called.

use serde_json::{Value, json};

use super::{select, status::Cause};

/// The rule that the names of a kind follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameRule {
    /// Lower case words with dots, up to 253 letters.
    Subdomain,
    /// One lower case word, up to 63 letters.
    Label,
    /// A label that starts with a letter.
    Service,
    /// Anything that can stand between two slashes.
    PathSegment,
}

impl NameRule {
    /// Says what is wrong with a name, if anything is.
    pub(crate) fn check(self, name: &str) -> Option<String> {
        match self {
            Self::Subdomain => subdomain(name),
            Self::Label => label(name),
            Self::Service => service(name),
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

fn service(text: &str) -> Option<String> {
    let wrong =
        !is_word(text) || text.len() > 63 || !text.starts_with(|first: char| first.is_ascii_lowercase());
    wrong.then(|| {
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
         character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
         validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
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

/// What is wrong with an object's metadata.
pub(crate) fn check_metadata(metadata: &Value, rule: NameRule, causes: &mut Vec<Cause>) {
    let name = metadata["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else if let Some(why) = rule.check(name) {
        causes.push(Cause::invalid("metadata.name", &json!(name), &why));
    }
    for (field, is_label) in [("labels", true), ("annotations", false)] {
        for (key, value) in metadata[field].as_object().into_iter().flatten() {
            let path = format!("metadata.{field}");
            let name = if is_label { key.clone() } else { key.to_lowercase() };
            if !select::is_label_key(&name) {
                causes.push(Cause::invalid(&path, &json!(key), "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"));
            }
            if is_label && !value.as_str().is_some_and(select::is_label_value) {
                causes.push(Cause::invalid(&path, value, "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"));
            }
        }
    }
    for finalizer in metadata["finalizers"].as_array().into_iter().flatten() {
        if !finalizer.as_str().is_some_and(select::is_label_key) {
            causes.push(Cause::invalid("metadata.finalizers", finalizer, "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"));
        }
    }
    for (at, owner) in metadata["ownerReferences"].as_array().into_iter().flatten().enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner[field].as_str().unwrap_or_default().is_empty() {
                let path = format!("metadata.ownerReferences[{at}].{field}");
                causes.push(Cause::invalid(path, &json!(""), "must not be empty"));
            }
        }
    }
}
