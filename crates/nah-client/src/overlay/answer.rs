//! What the answer to a request says about the objects it was about. Pure.

use std::borrow::Cow;

use http::StatusCode;
use kube_core::{Status, response::StatusDetails};
use nah_core::{GroupVersionKind, ObjectKey, Uid};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What was asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) gvk: &'a GroupVersionKind,
    /// The resource's name in paths, which is the kind in a status' details.
    pub(crate) plural: &'a str,
    /// None where the server was to find a name.
    pub(crate) name: Option<&'a str>,
    pub(crate) subresource: Option<&'a str>,
    pub(crate) creates: bool,
    pub(crate) deletes: bool,
}

/// What the answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The object is removed, and its uid with it.
    Gone { uid: Option<Uid>, known: u64 },
    /// The body is the whole object as it is now, or as much of it as a read asked for.
    Whole,
    /// No object of that name is there.
    Missing,
    /// Nothing was changed, and nothing learned.
    Nothing,
    /// The object is at this version, and the body does not show the whole of it.
    Part { uid: Uid, version: u64 },
    /// Something may have changed, and the answer does not show what.
    Unknown,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Peek<'a> {
    #[serde(borrow)]
    api_version: Option<Cow<'a, str>>,
    #[serde(borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    metadata: Meta<'a>,
    /// Raw: in a custom resource it may be anything.
    #[serde(borrow)]
    spec: Option<&'a RawValue>,
    #[serde(borrow)]
    details: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    namespace: Option<Cow<'a, str>>,
    #[serde(borrow)]
    uid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    resource_version: Option<Cow<'a, str>>,
    #[serde(borrow)]
    deletion_timestamp: Option<Cow<'a, str>>,
    deletion_grace_period_seconds: Option<i64>,
    finalizers: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    finalizers: Option<Vec<String>>,
    termination_grace_period_seconds: Option<i64>,
}

#[derive(Deserialize)]
struct Items<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

/// What the answer to a write says.
pub(crate) fn wrote(question: &Question<'_>, status: StatusCode, body: &[u8]) -> Verdict {
    if status == StatusCode::NOT_FOUND && !question.creates {
        return missing(question, body);
    }
    if status == StatusCode::CONFLICT || status == StatusCode::REQUEST_TIMEOUT {
        return Verdict::Unknown;
    }
    if status.is_client_error() {
        return Verdict::Nothing;
    }
    let Some(peek) = status.is_success().then(|| serde_json::from_slice::<Peek<'_>>(body).ok()).flatten()
    else {
        return Verdict::Unknown;
    };
    let deletes = question.deletes && question.subresource.is_none();
    if peek.is("v1", "Status") {
        return if deletes { peek.removed() } else { Verdict::Unknown };
    }
    // Scale, Eviction, another version, a metadata-only answer; an object of another name is none of ours.
    let named = question.name.is_none_or(|name| peek.metadata.name.as_deref() == Some(name));
    if !named || !peek.is(&question.gvk.api_version(), &question.gvk.kind) && !quirk!(AnyForm) {
        return match peek.part(question.gvk).filter(|_| named) {
            _ if quirk!(SubresourcesUnrecorded) => Verdict::Nothing,
            Some(Verdict::Part { uid, version })
                if deletes && peek.is_metadata() && peek.metadata.deletion_timestamp.is_none() =>
            {
                Verdict::Gone { uid: Some(uid), known: version }
            }
            // What holds up its end may be in what is not shown.
            Some(part) if peek.metadata.deletion_timestamp.is_none() => part,
            _ => Verdict::Unknown,
        };
    }
    let terminating = peek.metadata.deletion_timestamp.is_some();
    match deletes && !terminating || terminating && !peek.is_held() {
        true => Verdict::Gone { uid: peek.metadata.uid(), known: peek.metadata.version() },
        false => Verdict::Whole,
    }
}

/// What the answer to a live read says, of the object or, where that was asked for, of its metadata.
pub(crate) fn read(question: &Question<'_>, metadata: bool, status: StatusCode, body: &[u8]) -> Verdict {
    if status == StatusCode::NOT_FOUND {
        return missing(question, body);
    }
    let whole = status.is_success()
        && serde_json::from_slice::<Peek<'_>>(body).is_ok_and(|peek| {
            peek.is(&question.gvk.api_version(), &question.gvk.kind) || metadata && peek.is_metadata()
        });
    if whole { Verdict::Whole } else { Verdict::Nothing }
}

/// What the answer to a deletion of many says about each of them: it shows them as they were before. None where it
/// is no list.
pub(crate) fn listed(
    gvk: &GroupVersionKind,
    background: bool,
    body: &[u8],
) -> Option<Vec<(ObjectKey, Verdict)>> {
    // These two are orphaning their dependents where nobody says otherwise, and live on until that is done.
    let orphans = matches!(&*gvk.kind, "Job" | "ReplicationController") && !background;
    let items: Items<'_> = serde_json::from_slice(body).ok()?;
    if quirk!(ManyUnrecorded) {
        return Some(Vec::new());
    }
    let verdict = |item: &RawValue| {
        let Peek { metadata, spec, .. } = serde_json::from_str(item.get()).ok()?;
        let key = ObjectKey::new(metadata.namespace.as_deref(), metadata.name.as_deref()?);
        let spec = Spec::of(spec);
        let lives = orphans
            || metadata.deletion_grace_period_seconds.unwrap_or(0) > 0
            || spec.termination_grace_period_seconds.unwrap_or(0) > 0
            || metadata.finalizers.is_some_and(|names| !names.is_empty())
            || spec.finalizers.is_some_and(|names| !names.is_empty());
        let uid = metadata.uid.as_deref().map(Uid::from);
        let known = metadata.resource_version.and_then(|version| version.parse().ok()).unwrap_or(0);
        Some(match uid {
            Some(uid) if !lives => (key, Verdict::Gone { uid: Some(uid), known }),
            _ => (key, Verdict::Unknown),
        })
    };
    Some(items.items.into_iter().filter_map(verdict).collect())
}

/// A 404 speaks of the object only if it says so: a namespace or a subresource may be what is missing.
fn missing(question: &Question<'_>, body: &[u8]) -> Verdict {
    let details = serde_json::from_slice::<Status>(body).ok().and_then(|status| status.details);
    let named = details.is_some_and(|details: StatusDetails| {
        let kind = details.kind == question.plural || details.kind == question.gvk.kind;
        kind && Some(&*details.name) == question.name
    });
    if named { Verdict::Missing } else { Verdict::Nothing }
}

// === impl Peek ===

impl Peek<'_> {
    fn is(&self, api_version: &str, kind: &str) -> bool {
        self.kind.as_deref() == Some(kind) && self.api_version.as_deref() == Some(api_version)
    }

    /// Whether this is the metadata of an object, of whatever kind.
    fn is_metadata(&self) -> bool {
        self.is("meta.k8s.io/v1", "PartialObjectMetadata")
    }

    /// Whether a terminating object lives on.
    fn is_held(&self) -> bool {
        let graceful = self.metadata.deletion_grace_period_seconds.unwrap_or(0) > 0;
        let held = self.metadata.finalizers.as_ref().is_some_and(|names| !names.is_empty());
        graceful || held || Spec::of(self.spec).finalizers.is_some_and(|names| !names.is_empty())
    }

    /// The forms that carry the metadata of the object and not its content: in another version of its group, its
    /// metadata alone, its scale.
    fn part(&self, gvk: &GroupVersionKind) -> Option<Verdict> {
        let api_version = self.api_version.as_deref()?;
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let carries = match self.kind.as_deref()? {
            "PartialObjectMetadata" => group == "meta.k8s.io",
            "Scale" => group == "autoscaling",
            kind => kind == gvk.kind && group == gvk.group,
        };
        let version = self.metadata.version();
        let uid = self.metadata.uid().filter(|_| carries && version > 0)?;
        Some(Verdict::Part { uid, version })
    }

    fn removed(&self) -> Verdict {
        let details = self.details.and_then(|raw| serde_json::from_str::<StatusDetails>(raw.get()).ok());
        let uid = details.map(|details| details.uid).filter(|uid| !uid.is_empty());
        Verdict::Gone { uid: uid.as_deref().map(Uid::from), known: 0 }
    }
}

impl Meta<'_> {
    fn uid(&self) -> Option<Uid> {
        self.uid.as_deref().map(Uid::from)
    }

    fn version(&self) -> u64 {
        self.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
    }
}

impl Spec {
    fn of(raw: Option<&RawValue>) -> Self {
        raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }
}
