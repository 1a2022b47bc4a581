//! Lists: whole, in pages of one snapshot, or as of a version.

use std::{ops::Bound, sync::Arc};

use serde_json::{Value, json};

use super::{
    kinds::Resource,
    objects::{Items, Stored},
    request::Query,
    select::Selector,
    state::State,
    status::Status,
    table::at_path,
};

/// A list that was read.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) items: Vec<Arc<Stored>>,
    pub(crate) version: u64,
    continue_token: Option<String>,
    remaining: Option<usize>,
}

/// What is asked of a list.
#[derive(Clone, Debug)]
pub(crate) struct ListOptions {
    pub(crate) namespace: Option<String>,
    pub(crate) selector: Selector,
    limit: Option<usize>,
    from: From,
}

/// The version that a list shows.
#[derive(Clone, Debug, PartialEq)]
enum From {
    /// What is there now.
    Latest,
    /// Anything; this server has the latest at hand.
    Any,
    /// This version or a later one.
    NotOlder(u64),
    Exact(u64),
    /// The rest of a list from the key on; of what is there now where there is no version.
    Continue(Option<u64>, String),
}

// === impl ListOptions ===

impl ListOptions {
    /// Reads the options of a list.
    ///
    /// # Errors
    /// 400 or 422 as the real server answers options that do not fit.
    pub(crate) fn read(resource: &Resource, namespace: Option<&str>, query: &Query) -> Result<Self, Status> {
        let selector = read_selector(resource, query)?;
        let version = query.get("resourceVersion");
        let matching = query.get("resourceVersionMatch");
        let limit = query.number("limit")?.filter(|limit| *limit > 0);
        let options = |from, limit| {
            Ok(Self { namespace: namespace.map(str::to_owned), selector: selector.clone(), limit, from })
        };
        let limit = limit.and_then(|limit| usize::try_from(limit).ok());
        if query.flag("sendInitialEvents") {
            return Err(Status::invalid_options(
                "sendInitialEvents",
                "sendInitialEvents is forbidden for list",
            ));
        }
        if let Some(token) = query.get("continue") {
            if matching.is_some() {
                let why = "resourceVersionMatch is forbidden when continue is provided";
                return Err(Status::invalid_options("resourceVersionMatch", why));
            }
            if version.is_some_and(|version| version != "0") {
                return Err(Status::bad_request(
                    "specifying resource version is not allowed when using continue",
                ));
            }
            let Some((version, key)) = parse_token(token) else {
                return Err(Status::bad_request(format!(
                    "invalid continue token: continue key is not valid: {token:?}"
                )));
            };
            return options(From::Continue(version, key), limit);
        }
        let Some(version) = version else {
            if matching.is_some() {
                let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
                return Err(Status::invalid_options("resourceVersionMatch", why));
            }
            return options(From::Latest, limit);
        };
        let number = parse_version(version)?;
        match matching {
            Some("Exact") if number == 0 => {
                let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
                Err(Status::invalid_options("resourceVersionMatch", why))
            }
            Some("Exact") => options(From::Exact(number), limit),
            Some("NotOlderThan") if number > 0 => options(From::NotOlder(number), limit),
            // A limit is not observed here: the real server answers such a list whole, from its cache.
            Some("NotOlderThan") => options(From::Any, None),
            Some(other) => {
                let message = format!(
                    "Unsupported value: {other:?}: supported values: \"Exact\", \"NotOlderThan\", \"\""
                );
                let cause = super::status::Cause {
                    reason: "FieldValueNotSupported",
                    field: "resourceVersionMatch".into(),
                    message,
                };
                Err(Status::invalid("meta.k8s.io", "ListOptions", "", vec![cause]))
            }
            None if number == 0 => options(From::Any, None),
            // With a limit, and without a match, a version means exactly that one.
            None if limit.is_some() => options(From::Exact(number), limit),
            None => options(From::NotOlder(number), limit),
        }
    }

    /// The version that must be reached before the list can be answered.
    pub(crate) fn waits_for(&self) -> Option<u64> {
        match self.from {
            From::NotOlder(version) | From::Exact(version) => Some(version),
            _ => None,
        }
    }
}

// === impl Page ===

impl Page {
    /// The list's own metadata.
    pub(crate) fn metadata(&self) -> Value {
        let mut metadata = json!({"resourceVersion": self.version.to_string()});
        if let Some(token) = &self.continue_token {
            metadata["continue"] = json!(token);
        }
        if let Some(remaining) = self.remaining {
            metadata["remainingItemCount"] = json!(remaining);
        }
        metadata
    }
}

// === impl State ===

impl State {
    /// Reads a list.
    ///
    /// # Errors
    /// 410 where the version, or that of the `continue` token, is no longer known.
    pub(crate) fn list(&mut self, resource: &Resource, options: &ListOptions) -> Result<Page, Status> {
        let current = self.objects.version();
        let collection = self.objects.collection(&resource.storage());
        let (version, after) = match &options.from {
            From::Exact(version) => (*version, None),
            From::Continue(Some(version), key) => (*version, Some(key)),
            From::Continue(None, key) => (current, Some(key)),
            From::Latest | From::Any | From::NotOlder(_) => (current, None),
        };
        let Some(items) = collection.at(version) else {
            let Some(key) = after else {
                return Err(Status::expired(
                    "The resourceVersion for the provided list is too old.".to_owned(),
                ));
            };
            let mut status = Status::expired(
                "The provided continue parameter is too old to display a consistent list result. You can start a \
                 new list without the continue parameter, or use the continue token in this response to retrieve \
                 the remainder of the results. Continuing with the provided token results in an inconsistent list - \
                 objects that were created, modified, or deleted between the time the first chunk was returned and \
                 now may show up in the list.",
            );
            status.continue_token = Some(make_token(None, key));
            return Err(status);
        };
        Ok(page(&items, options, version, after.map(String::as_str)))
    }
}

fn page(items: &Items, options: &ListOptions, version: u64, after: Option<&str>) -> Page {
    let prefix = options.namespace.as_ref().map(|namespace| format!("{namespace}/"));
    let start = match (after, &prefix) {
        (Some(after), _) => Bound::Excluded(after),
        (None, Some(prefix)) => Bound::Included(prefix.as_str()),
        (None, None) => Bound::Unbounded,
    };
    let mut rest = items
        .range::<str, _>((start, Bound::Unbounded))
        .take_while(|(key, _)| prefix.as_ref().is_none_or(|prefix| key.starts_with(prefix)));
    let selected = |stored: &Stored| is_selected(&options.selector, stored);
    let Some(limit) = options.limit else {
        let items = rest.map(|(_, stored)| stored).filter(|stored| selected(stored)).cloned().collect();
        return Page { items, version, continue_token: None, remaining: None };
    };
    let mut chosen = Vec::new();
    let mut last = String::new();
    for (key, stored) in rest.by_ref() {
        if selected(stored) {
            chosen.push(stored.clone());
            key.clone_into(&mut last);
        }
        if chosen.len() == limit {
            break;
        }
    }
    let mut left = rest.filter(|(_, stored)| selected(stored)).peekable();
    let more = left.peek().is_some();
    // With a selector the real server does not know how many are left.
    let remaining = (more && options.selector.is_empty()).then(|| left.count());
    Page { items: chosen, version, continue_token: more.then(|| make_token(Some(version), &last)), remaining }
}

/// Reads the selectors of a list or watch.
///
/// # Errors
/// 400 where one does not parse, or names a field that the kind does not select by.
pub(crate) fn read_selector(resource: &Resource, query: &Query) -> Result<Selector, Status> {
    let labels = query.get("labelSelector").unwrap_or_default();
    let fields = query.get("fieldSelector").unwrap_or_default();
    let selector = Selector::parse(labels, fields).map_err(Status::bad_request)?;
    for term in selector.terms() {
        if !resource.selects_by(&term.field) {
            return Err(Status::bad_request(match resource.has_own_fields() {
                true => format!("field label not supported: {}", term.field),
                false => format!(
                    "{:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
                    term.field
                ),
            }));
        }
    }
    Ok(selector)
}

/// Whether a selector selects an object.
pub(crate) fn is_selected(selector: &Selector, stored: &Stored) -> bool {
    selector.is_empty() || selector.matches(&stored.value, |field| field_text(&stored.value, field))
}

/// A field as field selectors compare it.
fn field_text(value: &Value, field: &str) -> String {
    // An old way to name a namespace.
    let field = if field == "name" { "metadata.name" } else { field };
    match at_path(value, field) {
        Value::Null if ["spec.hostNetwork", "spec.unschedulable"].contains(&field) => "false".to_owned(),
        Value::Null if ["status.replicas", "status.successful"].contains(&field) => "0".to_owned(),
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(source) if field == "source" => {
            source.get("component").and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        other => other.to_string(),
    }
}

/// A version in a query.
///
/// # Errors
/// 400 where it is no number.
pub(crate) fn parse_version(text: &str) -> Result<u64, Status> {
    text.parse().map_err(|_| {
        let why = format!("Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax");
        Status::bad_request(format!("invalid resource version: resourceVersion: {why}"))
    })
}

/// `continue` tokens are opaque to clients: hexadecimal, of a version and the last key.
fn make_token(version: Option<u64>, key: &str) -> String {
    let plain = format!("{}:{key}", version.map_or_else(|| "-".to_owned(), |version| version.to_string()));
    plain.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn parse_token(token: &str) -> Option<(Option<u64>, String)> {
    let pairs = (0..token.len()).step_by(2);
    let bytes: Option<Vec<u8>> =
        pairs.map(|at| u8::from_str_radix(token.get(at..at + 2)?, 16).ok()).collect();
    let plain = String::from_utf8(bytes?).ok()?;
    let (version, key) = plain.split_once(':')?;
    match version {
        "-" => Some((None, key.to_owned())),
        version => Some((Some(version.parse().ok()?), key.to_owned())),
    }
}
