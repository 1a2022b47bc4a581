//! An object's JSON as the store keeps it.

use std::{borrow::Cow, ops::Range};

use nah_core::{BoxError, GroupVersionKind, Outline};
use serde::de::IgnoredAny;

/// Puts into `json` the text of an object without `metadata.managedFields` (unless they are kept), and with the `apiVersion` and `kind`
/// that items of a list come without. Every other byte stays as it is.
pub(crate) fn strip(
    gvk: &GroupVersionKind,
    outline: &Outline<'_>,
    keeps_managed_fields: bool,
    json: &mut Vec<u8>,
) -> Result<(), BoxError> {
    let text = outline.text();
    let value = outline.managed_fields().filter(|_| !keeps_managed_fields);
    let cut = value.and_then(|value| managed_fields(text, value)).unwrap_or(0..0);
    if keeps_managed_fields && let Some(value) = outline.managed_fields() {
        // An outline takes them as they are, for hardly anybody keeps them.
        serde_json::from_str::<IgnoredAny>(value)
            .map_err(|error| format!("managedFields are broken: {error}"))?;
    }
    let missing = match outline.says() {
        (true, true) => Cow::Borrowed(""),
        (version, kind) => quote(gvk, !version, !kind),
    };
    // What has an outline is an object; an array would have one too, and has no brace to write behind.
    let Some(brace) = text.find('{').filter(|at| text[..*at].trim().is_empty()) else {
        return Err("not a JSON object".into());
    };
    let (head, tail) = (&text[..=brace], &text[brace + 1..]);
    let (before, after) =
        (&tail[..cut.start.saturating_sub(brace + 1)], &tail[cut.end.max(brace + 1) - brace - 1..]);
    json.clear();
    for part in [head, &missing, before, after] {
        json.extend_from_slice(part.as_bytes());
    }
    Ok(())
}

/// Where `managedFields`, of which this is the value, stands in `text`, with its key and one comma.
fn managed_fields(text: &str, value: &str) -> Option<Range<usize>> {
    let start = offset(text, value)?;
    // A key that is written with escapes is left alone: no server writes it so.
    let key = text[..start].trim_end().strip_suffix(':')?.trim_end().strip_suffix("\"managedFields\"")?.len();
    let end = start + value.len();
    if let Some(before) = text[..key].trim_end().strip_suffix(',') {
        return Some(before.len()..end);
    }
    let rest = text[end..].trim_start();
    let behind = rest.strip_prefix(',').map_or(rest, str::trim_start);
    Some(key..text.len() - behind.len())
}

/// Where `part`, which was borrowed from `text`, begins in it.
fn offset(text: &str, part: &str) -> Option<usize> {
    let at = part.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    text.get(at..).is_some_and(|rest| rest.starts_with(part)).then_some(at)
}

/// The missing fields, with a comma behind each: what has no metadata is refused, so something always follows.
fn quote(gvk: &GroupVersionKind, version: bool, kind: bool) -> Cow<'static, str> {
    let field = |wanted: bool, name: &str, value: &str| match wanted {
        true => format!("\"{name}\":{},", serde_json::Value::from(value)),
        false => String::new(),
    };
    Cow::Owned(field(version, "apiVersion", &gvk.api_version()) + &field(kind, "kind", &gvk.kind))
}

#[cfg(test)]
mod tests;
