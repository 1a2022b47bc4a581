//! The representation of an answer: whole objects, their metadata, or a table.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{kinds::Resource, objects::Stored, status::Status, table};

/// How objects are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Whole,
    /// `PartialObjectMetadata`.
    Partial,
    /// `PartialObjectMetadataList`.
    PartialList,
    Table(Include),
}

/// What a table's rows say of their objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Include {
    Nothing,
    Metadata,
    Object,
}

// === impl Shape ===

impl Shape {
    pub(crate) fn negotiate(accept: &str, include: Option<&str>) -> Result<Self, Status> {
        if accept.trim().is_empty() {
            return Ok(Self::Whole);
        }
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let essence = parts.next().unwrap_or_default();
            let parameter = |name: &str| {
                range
                    .split(';')
                    .skip(1)
                    .filter_map(|part| part.trim().split_once('='))
                    .find(|(key, _)| *key == name)
            };
            if !["application/json", "application/*", "*/*"].contains(&essence) {
                continue;
            }
            let wanted = parameter("as").map(|(_, value)| value);
            if wanted.is_some() && parameter("v").is_some_and(|(_, version)| version != "v1") {
                continue;
            }
            return match wanted {
                None => Ok(Self::Whole),
                Some("PartialObjectMetadata") => Ok(Self::Partial),
                Some("PartialObjectMetadataList") => Ok(Self::PartialList),
                Some("Table") => Ok(Self::Table(match include {
                    Some("None") => Include::Nothing,
                    Some("Object") => Include::Object,
                    _ => Include::Metadata,
                })),
                Some(_) => continue,
            };
        }
        Err(Status::not_acceptable())
    }

    /// Whether an answer that is one object can have this shape.
    ///
    /// # Errors
    /// 406 where a list's metadata was asked for.
    pub(crate) fn of_object(self, resource: &Resource) -> Result<(), Status> {
        let is = format!("not a list (*{}.{})", resource.go_package(), resource.kind);
        if self == Self::PartialList {
            Err(Status::wrong_shape("PartialObjectMetadataList", &is))
        } else {
            Ok(())
        }
    }

    /// Whether an answer that is a list can have this shape.
    ///
    /// # Errors
    /// 406 where one object's metadata was asked for.
    pub(crate) fn of_list(self, resource: &Resource) -> Result<(), Status> {
        let is = format!("a list (*{}.{})", resource.go_package(), resource.list_kind);
        if self == Self::Partial { Err(Status::wrong_shape("PartialObjectMetadata", &is)) } else { Ok(()) }
    }

    /// One object.
    pub(crate) fn object(self, resource: &Resource, stored: &Stored, now: Timestamp) -> Vec<u8> {
        match self {
            Self::Whole => resource.stamp_bytes(stored),
            Self::Partial | Self::PartialList => partial(&stored.value).to_string().into_bytes(),
            Self::Table(include) => {
                let version = stored.metadata("resourceVersion").clone();
                let rows = vec![table::row(resource, stored, include, now)];
                table::table(resource, rows, json!({"resourceVersion": version}), true)
                    .to_string()
                    .into_bytes()
            }
        }
    }

    /// One object of a watch: a table names its columns only the first time.
    pub(crate) fn event(self, resource: &Resource, stored: &Stored, now: Timestamp, first: bool) -> Vec<u8> {
        let Self::Table(include) = self else { return self.object(resource, stored, now) };
        let version = stored.metadata("resourceVersion").clone();
        let rows = vec![table::row(resource, stored, include, now)];
        table::table(resource, rows, json!({"resourceVersion": version}), first).to_string().into_bytes()
    }

    /// A list, with the metadata that it has.
    pub(crate) fn list<'a>(
        self,
        resource: &Resource,
        items: impl Iterator<Item = &'a Stored>,
        metadata: Value,
        now: Timestamp,
    ) -> Vec<u8> {
        let mut metadata = metadata;
        if resource.is_custom() && self == Self::Whole && metadata["continue"].is_null() {
            // Lists of custom kinds have an empty token where others have none.
            metadata["continue"] = json!("");
        }
        let (kind, api_version) = match self {
            Self::Table(include) => {
                let rows = items.map(|stored| table::row(resource, stored, include, now)).collect();
                return table::table(resource, rows, metadata, true).to_string().into_bytes();
            }
            Self::Partial | Self::PartialList => {
                ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned())
            }
            Self::Whole => (resource.list_kind.clone(), resource.api_version()),
        };
        let mut bytes = format!(
            "{{\"kind\":\"{kind}\",\"apiVersion\":\"{api_version}\",\"metadata\":{metadata},\"items\":["
        )
        .into_bytes();
        for (at, stored) in items.enumerate() {
            if at > 0 {
                bytes.push(b',');
            }
            match self {
                Self::Partial | Self::PartialList => {
                    bytes.extend_from_slice(partial(&stored.value).to_string().as_bytes())
                }
                // The items of a typed list do not say their kind; those of custom kinds do.
                _ if resource.is_custom() => bytes.append(&mut resource.stamp_bytes(stored)),
                _ => bytes.extend_from_slice(stored.json()),
            }
        }
        bytes.extend_from_slice(b"]}");
        bytes
    }

    /// A bookmark: an object of the kind that has nothing but a version.
    pub(crate) fn bookmark(
        self,
        resource: &Resource,
        version: u64,
        ends_initial_events: bool,
        now: Timestamp,
    ) -> Vec<u8> {
        let mut metadata = json!({"resourceVersion": version.to_string()});
        if ends_initial_events {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let mut object = json!({"metadata": metadata});
        if resource.is("", "pods") {
            // An empty Pod as the real server encodes it: a client has to get over the null.
            object["spec"] = json!({"containers": null});
            object["status"] = json!({});
        }
        self.event(resource, &Stored::new(object), now, false)
    }
}

/// The metadata of an object alone.
pub(crate) fn partial(value: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": value["metadata"]})
}
