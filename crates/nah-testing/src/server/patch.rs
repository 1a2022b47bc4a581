//! Patches: JSON patch and merge patch, and a clear refusal of others than those and an apply.

use serde_json::{Value, json};

use super::status::Status;

/// A patch that was understood.
#[derive(Debug)]
pub(crate) enum Patch {
    Json(json_patch::Patch),
    Merge(Value),
}

// === impl Patch ===

impl Patch {
    /// Reads the body of a PATCH request.
    ///
    /// A strategic merge patch is taken where it has neither lists nor directives: there it means what a
    /// merge patch means. Everything else of it needs the kinds' own merge rules, and a wrong one is worse than
    /// none.
    ///
    /// # Errors
    /// 415 of kinds of patches that this server does not do, 400 of a body that does not parse.
    pub(crate) fn parse(content_type: &str, is_custom: bool, body: &[u8]) -> Result<Self, Status> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let read = |error: serde_json::Error| match error.classify() {
            serde_json::error::Category::Data => {
                Status::bad_request(format!("error decoding patch: {error}"))
            }
            _ => Status::bad_request("invalid JSON patch"),
        };
        match essence {
            "application/json-patch+json" => serde_json::from_slice(body).map(Self::Json).map_err(read),
            "application/merge-patch+json" => serde_json::from_slice(body).map(Self::Merge).map_err(read),
            "application/strategic-merge-patch+json" if !is_custom => {
                let patch: Value = serde_json::from_slice(body).map_err(read)?;
                if is_plain(&patch) {
                    Ok(Self::Merge(patch))
                } else {
                    Err(unsupported("strategic merge patch of lists"))
                }
            }
            "application/apply-patch+cbor" => Err(unsupported("server-side apply of CBOR")),
            _ => Err(Status::unsupported_media_type(format!(
                "the body of the request was in an unknown format - accepted media types include: \
                 application/json-patch+json, application/merge-patch+json (not {essence:?})"
            ))),
        }
    }

    /// Applies the patch.
    ///
    /// # Errors
    /// 422 of a JSON patch that does not fit the object.
    pub(crate) fn apply(&self, object: &mut Value) -> Result<(), Status> {
        match self {
            Self::Merge(patch) => {
                json_patch::merge(object, patch);
                Ok(())
            }
            Self::Json(patch) => json_patch::patch(object, patch).map_err(|_| {
                let why = "the server rejected our request due to an error in our request";
                let mut status = Status::new(422, "Invalid", why);
                status.details = Some(json!({}));
                status
            }),
        }
    }
}

fn unsupported(what: &str) -> Status {
    Status::unsupported_media_type(format!(
        "the embedded API server of nah-testing does not do {what}: it takes application/json-patch+json and \
         application/merge-patch+json; use a real kube-apiserver for the rest"
    ))
}

fn is_plain(patch: &Value) -> bool {
    match patch {
        Value::Object(members) => members.iter().all(|(key, value)| !key.starts_with('$') && is_plain(value)),
        Value::Array(_) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strategic_merge_of_lists_is_refused() {
        let kind = "application/strategic-merge-patch+json";
        assert!(Patch::parse(kind, false, br#"{"data":{"a":"b","c":null}}"#).is_ok());
        for wrong in [r#"{"spec":{"containers":[]}}"#, r#"{"data":{"$patch":"replace"}}"#] {
            let status = Patch::parse(kind, false, wrong.as_bytes()).unwrap_err();
            assert_eq!(status.code, 415);
        }
        for (kind, is_custom) in [(kind, true), ("text/plain", false)] {
            assert_eq!(Patch::parse(kind, is_custom, b"{}").unwrap_err().code, 415);
        }
    }
}
