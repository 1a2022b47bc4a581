//! An object's JSON as the store keeps it.

use std::{borrow::Cow, ops::Range, sync::Arc};

use nah_core::{BoxError, DecodeError, GroupVersionKind, ObjectKey};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The parts of an object that decide what is kept, as they stand in the text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parts<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    api_version: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    managed_fields: Option<&'a RawValue>,
}

/// A value that is there, null included.
fn present<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(reader).map(Some)
}

/// `json` without `metadata.managedFields` (unless they are kept), and with the `apiVersion` and `kind` that items of a
/// list come without. Every other byte stays as it is.
pub(crate) fn strip(
    gvk: &Arc<GroupVersionKind>,
    json: &[u8],
    keeps_managed_fields: bool,
) -> Result<Box<[u8]>, DecodeError> {
    let bad = |error: BoxError| DecodeError::new(gvk.clone(), ObjectKey::cluster("?"), error);
    let text = std::str::from_utf8(json).map_err(|error| bad(error.into()))?;
    let parts: Parts<'_> = serde_json::from_str(text).map_err(|error| bad(error.into()))?;
    let metadata = parts.metadata.filter(|_| !keeps_managed_fields);
    let cut = metadata.and_then(|metadata| managed_fields(text, metadata)).unwrap_or(0..0);
    let missing = match (parts.api_version, parts.kind) {
        (Some(_), Some(_)) => Cow::Borrowed(""),
        (None, None) => quote(gvk, true, true),
        (version, kind) => quote(gvk, version.is_none(), kind.is_none()),
    };
    // What parses as a struct from a text is an object; an array would parse too, and has no brace to write behind.
    let Some(brace) = text.find('{').filter(|at| text[..*at].trim().is_empty()) else {
        return Err(bad("not a JSON object".into()));
    };
    let (head, tail) = (&text[..=brace], &text[brace + 1..]);
    let (before, after) =
        (&tail[..cut.start.saturating_sub(brace + 1)], &tail[cut.end.max(brace + 1) - brace - 1..]);
    // One allocation of the right size: this is what stays in memory, a hundred thousand times.
    Ok([head, &missing, before, after].concat().into_bytes().into_boxed_slice())
}

/// Where `managedFields` stands in `text`, with its key and one comma.
fn managed_fields(text: &str, metadata: &RawValue) -> Option<Range<usize>> {
    let Metadata { managed_fields } = serde_json::from_str(metadata.get()).ok()?;
    let value = managed_fields?.get();
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
