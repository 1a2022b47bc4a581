//! `Status` answers as a real API server words them.

use std::fmt;

use serde_json::{Value, json};

use super::kinds::Resource;

/// What the server answers where there is no object to answer: an error, with its HTTP code.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// The HTTP code.
    pub code: u16,
    /// The machine-readable reason; empty where the real server gives none.
    pub reason: String,
    /// The sentence for a person.
    pub message: String,
    /// The details, where there are any.
    pub details: Option<Value>,
    /// A `continue` token for the rest of an expired list.
    pub continue_token: Option<String>,
}

/// One wrong field of an invalid object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cause {
    pub(crate) reason: &'static str,
    pub(crate) field: String,
    pub(crate) message: String,
}

// === impl Status ===

impl Status {
    pub(crate) fn new(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Self { code, reason: reason.to_owned(), message: message.into(), details: None, continue_token: None }
    }

    /// A status as an HTTP code alone suggests it; used by faults.
    pub(crate) fn of_code(code: u16) -> Self {
        let (reason, message) = match code {
            400 => ("BadRequest", "the server rejected our request for an unknown reason"),
            401 => ("Unauthorized", "Unauthorized"),
            403 => ("Forbidden", "forbidden: injected by a fault"),
            404 => ("NotFound", "the server could not find the requested resource"),
            409 => ("Conflict", "the server reported a conflict"),
            410 => ("Expired", "too old resource version: injected by a fault"),
            429 => ("TooManyRequests", "Too many requests, please try again later."),
            500 => ("InternalError", "Internal error occurred: injected by a fault"),
            503 => (
                "ServiceUnavailable",
                "the server is currently unable to handle the request: injected by a fault",
            ),
            504 => ("Timeout", "Timeout: request did not complete within the allotted timeout"),
            _ => ("Unknown", "injected by a fault"),
        };
        Self::new(code, reason, message)
    }

    pub(crate) fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} not found", resource.qualified());
        Self::new(404, "NotFound", message).about(resource, name)
    }

    pub(crate) fn no_namespace(name: &str) -> Self {
        let mut status = Self::new(404, "NotFound", format!("namespaces {name:?} not found"));
        status.details = Some(json!({"name": name, "kind": "namespaces"}));
        status
    }

    /// The answer to a path that the server knows nothing behind, though the kind is known.
    pub(crate) fn no_resource() -> Self {
        let mut status = Self::new(404, "NotFound", "the server could not find the requested resource");
        status.details = Some(json!({}));
        status
    }

    pub(crate) fn already_exists(resource: &Resource, name: &str, is_terminating: bool) -> Self {
        let head = if is_terminating { "object is being deleted: " } else { "" };
        let message = format!("{head}{} {name:?} already exists", resource.qualified());
        Self::new(409, "AlreadyExists", message).about(resource, name)
    }

    pub(crate) fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", resource.qualified());
        Self::new(409, "Conflict", message).about(resource, name)
    }

    /// A precondition of a deletion that does not hold: the one conflict that names the kind, not the
    /// resource.
    pub(crate) fn precondition(resource: &Resource, name: &str, why: &str) -> Self {
        let mut status = Self::conflict(resource, name, why);
        let qualified = match resource.group.as_str() {
            "" => resource.kind.clone(),
            group => format!("{}.{group}", resource.kind),
        };
        status.message = format!("Operation cannot be fulfilled on {qualified} {name:?}: {why}");
        if let Some(details) = &mut status.details {
            details["kind"] = json!(resource.kind);
        }
        status
    }

    pub(crate) fn stale(resource: &Resource, name: &str) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    pub(crate) fn forbidden(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("{} {name:?} is forbidden: {why}", resource.qualified());
        Self::new(403, "Forbidden", message).about(resource, name)
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn method_not_allowed() -> Self {
        let mut status = Self::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        );
        status.details = Some(json!({}));
        status
    }

    pub(crate) fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::new(415, "UnsupportedMediaType", message)
    }

    pub(crate) fn not_acceptable() -> Self {
        let mut status = Self::new(
            406,
            "NotAcceptable",
            "406: Not Acceptable\n\nAvailable representations: application/json, application/json;stream=watch",
        );
        status.details = Some(json!({}));
        status
    }

    /// One object's metadata was asked for where there is a list, or the other way round.
    pub(crate) fn wrong_shape(asked: &str, is: &str) -> Self {
        Self::new(406, "NotAcceptable", format!("you requested {asked}, but the requested object is {is}"))
    }

    pub(crate) fn invalid(group: &str, kind: &str, name: &str, causes: Vec<Cause>) -> Self {
        let head = if kind.is_empty() { " ".to_owned() } else { String::new() };
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let fields: Vec<_> =
            causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        let said = match fields.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let mut status = Self::new(
            422,
            "Invalid",
            format!("{head}{qualified} {name:?} is invalid: {said}").replacen("  ", " ", 1),
        );
        let causes: Vec<_> = causes
            .iter()
            .map(|cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field}))
            .collect();
        let mut details = json!({"causes": causes});
        if !kind.is_empty() {
            details["kind"] = json!(kind);
        }
        if !name.is_empty() {
            details["name"] = json!(name);
        }
        if !group.is_empty() {
            details["group"] = json!(group);
        }
        status.details = Some(details);
        status
    }

    /// Wrong list options, which the real server words as an invalid object of kind `ListOptions`.
    pub(crate) fn invalid_options(field: &str, message: &str) -> Self {
        let cause = Cause {
            reason: "FieldValueForbidden",
            field: field.into(),
            message: format!("Forbidden: {message}"),
        };
        Self::invalid("meta.k8s.io", "ListOptions", "", vec![cause])
    }

    pub(crate) fn too_large_version(asked: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        let mut status = Self::new(504, "Timeout", message);
        status.details = Some(json!({
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        }));
        status
    }

    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    pub(crate) fn too_old(asked: u64, current: u64) -> Self {
        Self::expired(format!("too old resource version: {asked} ({current})"))
    }

    /// The success that a deletion answers for kinds whose object it does not return.
    pub(crate) fn deleted(resource: &Resource, name: &str, uid: &str) -> Value {
        let mut details = json!({"name": name, "kind": resource.plural, "uid": uid});
        if !resource.group.is_empty() {
            details["group"] = json!(resource.group);
        }
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
    }

    fn about(mut self, resource: &Resource, name: &str) -> Self {
        let mut details = json!({"name": name, "kind": resource.plural});
        if !resource.group.is_empty() {
            details["group"] = json!(resource.group);
        }
        self.details = Some(details);
        self
    }

    /// Whether this says that the object, or the thing named in the details, is not there.
    pub fn is_not_found(&self) -> bool {
        self.code == 404
    }

    /// Whether this is a conflict: a stale version, or a precondition that does not hold.
    pub fn is_conflict(&self) -> bool {
        self.reason == "Conflict"
    }

    /// Whether an object of that name is there already.
    pub fn is_already_exists(&self) -> bool {
        self.reason == "AlreadyExists"
    }

    /// Whether a version or a `continue` token is too old to be served.
    pub fn is_expired(&self) -> bool {
        self.code == 410
    }

    /// Whether the object was refused for what it holds.
    pub fn is_invalid(&self) -> bool {
        self.reason == "Invalid"
    }

    /// The `Status` object as it goes over the wire.
    pub fn to_json(&self) -> Value {
        let mut metadata = json!({});
        if let Some(token) = &self.continue_token {
            metadata["continue"] = json!(token);
        }
        let mut value = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": metadata,
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        });
        if !self.reason.is_empty() {
            value["reason"] = json!(self.reason);
        }
        if let Some(details) = &self.details {
            value["details"] = details.clone();
        }
        value
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} {})", self.message, self.code, self.reason)
    }
}

impl std::error::Error for Status {}

// === impl Cause ===

impl Cause {
    pub(crate) fn required(field: impl Into<String>, why: &str) -> Self {
        let message = if why.is_empty() { "Required value".into() } else { format!("Required value: {why}") };
        Self { reason: "FieldValueRequired", field: field.into(), message }
    }

    pub(crate) fn invalid(field: impl Into<String>, value: &Value, why: &str) -> Self {
        Self {
            reason: "FieldValueInvalid",
            field: field.into(),
            message: format!("Invalid value: {value}: {why}"),
        }
    }

    pub(crate) fn forbidden(field: impl Into<String>, why: &str) -> Self {
        Self { reason: "FieldValueForbidden", field: field.into(), message: format!("Forbidden: {why}") }
    }
}
