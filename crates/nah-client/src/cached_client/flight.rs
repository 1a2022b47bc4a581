//! A write on its way, and what its answer does to the overlays.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use kube_core::{Status, TypeMeta};
use nah_cache::{Mapping, admit};
use nah_core::{DecodeError, GroupVersionKind, Object, ObjectKey, ResourceVersion};
use serde::Deserialize;

use super::{CachedClient, exchange::Answer};
use crate::{
    Effect, Error, Result, Verb, Write, Written,
    overlay::{Question, Said, Sent, Verdict, listed, wrote},
    overlays::{KindOverlay, Overlays},
    request,
};

pub(super) async fn write(client: &CachedClient, mut write: Write) -> Result<Written> {
    client.running()?;
    refuse_trimmed(client, &write)?;
    let mapping = client.inner.mapper.mapping(&write.gvk).await?;
    if !mapping.namespaced {
        write.namespace = None;
    }
    let informers = &client.inner.informers;
    write.metadata_only &=
        informers.existing(&write.gvk).is_none() || informers.keeps_metadata_only(&write.gvk);
    let request = request::of(&write, &mapping)?;
    let flight = (!write.dry_run).then(|| Flight::of(client, &write));
    let answer = client.exchange(&request, true).await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            if let Some(flight) = flight.filter(|_| error.effect() == Effect::None) {
                flight.settled();
            }
            return Err(error);
        }
    };
    forget_unserved(client, &write.gvk, &answer);
    let written = written(&write, &answer);
    if let Some(flight) = flight {
        flight.land(client, &write, &mapping, &answer, written.as_ref().ok());
    }
    written
}

/// A replacement of an object, or of its status, by one that may have been trimmed. Other subresources have a form of
/// their own.
fn refuse_trimmed(client: &CachedClient, write: &Write) -> Result<()> {
    let replaces =
        write.verb == Verb::Update && !write.whole && write.subresource.as_deref() != Some("scale");
    if !replaces || !client.inner.informers.trims(&write.gvk) {
        return Ok(());
    }
    let key = write.key().unwrap_or_else(|| ObjectKey::cluster(""));
    Err(Error::Trimmed { gvk: write.gvk.clone(), key })
}

/// A 404 that is no `Status` comes from a path that nobody serves: the kind is not there any more, or elsewhere.
pub(super) fn forget_unserved(client: &CachedClient, gvk: &GroupVersionKind, answer: &Answer) -> bool {
    let unserved =
        answer.code == StatusCode::NOT_FOUND && serde_json::from_slice::<Status>(&answer.body).is_err();
    if unserved {
        client.inner.mapper.forget(gvk);
    }
    unserved
}

fn written(write: &Write, answer: &Answer) -> Result<Written> {
    if !answer.code.is_success() {
        return Err(request::failure(&write.gvk, request::shown(write), answer.code, &answer.body));
    }
    if write.verb == Verb::DeleteAll {
        return Ok(Written::Status(Status::success().boxed()));
    }
    let gvk = Arc::new(write.gvk.clone());
    let broken = |error: serde_json::Error| {
        let key = write.key().unwrap_or_else(|| ObjectKey::cluster("?"));
        Error::from(DecodeError::new(gvk.clone(), key, error))
    };
    let deletes = write.verb == Verb::Delete && write.subresource.is_none();
    let types: Types = serde_json::from_slice(&answer.body).map_err(broken)?;
    let types = TypeMeta { api_version: types.api_version, kind: types.kind };
    if types.kind == "Status" && types.api_version == "v1" {
        let status: Status = serde_json::from_slice(&answer.body).map_err(broken)?;
        let uid = status.details.as_ref().map(|details| details.uid.clone()).filter(|uid| !uid.is_empty());
        return Ok(match deletes {
            true => Written::Gone { uid, last: None },
            false => Written::Status(status.boxed()),
        });
    }
    let object = admitted(&gvk, &types, &answer.body)?;
    let gone = matches!(wrote(&question(write, ""), answer.code, &answer.body), Verdict::Gone { .. });
    Ok(match gone {
        true => Written::Gone { uid: object.uid().map(ToString::to_string), last: Some(object) },
        false => Written::Object(object),
    })
}

/// The object in an answer about one of `gvk`. A subresource may have a kind of its own; what says nothing is what was
/// asked about.
fn admitted(gvk: &Arc<GroupVersionKind>, types: &TypeMeta, body: &Bytes) -> Result<Object> {
    let metadata = types.kind == "PartialObjectMetadata" && types.api_version == "meta.k8s.io/v1";
    let own = GroupVersionKind::try_from(types).ok();
    let own = own.filter(|own| !own.kind.is_empty() && *own != **gvk && !metadata);
    Ok(admit(&own.map_or_else(|| gvk.clone(), Arc::new), body.clone())?)
}

/// The same, of an answer to a read.
pub(super) fn of_own_kind(gvk: &GroupVersionKind, key: &ObjectKey, body: &Bytes) -> Result<Object> {
    let gvk = Arc::new(gvk.clone());
    let types: Types = serde_json::from_slice(body)
        .map_err(|error| Error::from(DecodeError::new(gvk.clone(), key.clone(), error)))?;
    admitted(&gvk, &TypeMeta { api_version: types.api_version, kind: types.kind }, body)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Types {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
}

fn question<'a>(write: &'a Write, plural: &'a str) -> Question<'a> {
    Question {
        gvk: &write.gvk,
        plural,
        name: write.name.as_deref(),
        subresource: write.subresource.as_deref(),
        creates: write.verb == Verb::Create && write.subresource.is_none(),
        deletes: write.verb == Verb::Delete,
    }
}

/// What a write may change, from before it is sent until its answer is here. Dropped before that, its result is not
/// known: so ends a future that nobody polls any more.
struct Flight {
    overlays: Arc<Overlays>,
    gvk: GroupVersionKind,
    /// The kind as it is written, then in other versions.
    kinds: Vec<Tracked>,
    /// The keys that may change, as far as they are known.
    keys: Vec<ObjectKey>,
    settled: bool,
}

struct Tracked {
    kind: Arc<KindOverlay>,
    /// One for each key, and a last one for keys that are not known yet.
    sent: Vec<Sent>,
}

impl Flight {
    fn of(client: &CachedClient, write: &Write) -> Self {
        let overlays = &client.inner.overlays;
        let mut kinds = vec![overlays.kind(&write.gvk)];
        kinds.extend(overlays.other_versions(&write.gvk));
        for kind in &kinds {
            kind.set_informer(client.inner.informers.existing(kind.gvk()));
        }
        let keys = match write.verb {
            Verb::DeleteAll => kinds.first().map(|kind| kind.keys(&write.selection)).unwrap_or_default(),
            _ => write.key().into_iter().collect(),
        };
        let track = |kind: Arc<KindOverlay>| {
            let sent = keys.iter().map(Some).chain([None]).map(|key| kind.send(key)).collect();
            Tracked { kind, sent }
        };
        let kinds = kinds.into_iter().map(track).collect();
        Self { overlays: overlays.clone(), gvk: write.gvk.clone(), kinds, keys, settled: false }
    }

    /// Nothing has changed.
    fn settled(mut self) {
        self.settled = true;
    }

    fn land(
        mut self,
        client: &CachedClient,
        write: &Write,
        mapping: &Mapping,
        answer: &Answer,
        written: Option<&Written>,
    ) {
        let Answer { code, body } = answer;
        if write.verb == Verb::DeleteAll {
            // Where one was refused, those before it are deleted all the same.
            if code.is_success() {
                self.removed(write, body);
            }
            return;
        }
        let verdict = wrote(&question(write, &mapping.resource.plural), *code, body);
        let object = written.and_then(Written::object);
        let said = match verdict {
            Verdict::Part { uid, version } => match object.filter(|object| object.head().metadata_only) {
                // To such a cache that is the whole of it.
                Some(object) if client.inner.informers.keeps_metadata_only(&write.gvk) => {
                    Said::Whole { object: object.clone(), in_scope: true }
                }
                _ => Said::Part { uid: Some(uid), version },
            },
            Verdict::Nothing => return self.settled(),
            // Dropped as it is.
            Verdict::Unknown => return,
            Verdict::Missing => Said::Gone { uid: None, known: 0 },
            Verdict::Gone { uid, known } => Said::Gone { uid, known },
            Verdict::Whole => match object {
                Some(object) => Said::Whole { object: object.clone(), in_scope: true },
                None => return,
            },
        };
        self.settled = true;
        let keys = std::mem::take(&mut self.keys);
        let key = keys.first().or_else(|| object.map(Object::key));
        let Some(key) = key else { return };
        let version = match &said {
            Said::Whole { object, .. } => object.resource_version().cloned(),
            Said::Part { version, .. } => Some(ResourceVersion::from(version.to_string().as_str())),
            Said::Gone { .. } | Said::Unknown => None,
        };
        if let Some(version) = version {
            // Before the kinds are asked for their informer: one that begins meanwhile begins at this version.
            client.inner.informers.raise_floor(&write.gvk, &version);
        }
        for (at, Tracked { kind, sent }) in self.kinds.iter().enumerate() {
            kind.set_informer(client.inner.informers.existing(kind.gvk()));
            let said = if at > 0 { said.clone().elsewhere() } else { said.clone() };
            if let Some(sent) = sent.first() {
                kind.answer(sent, key, said);
            }
        }
        for kind in self.late() {
            kind.set_informer(client.inner.informers.existing(kind.gvk()));
            kind.answer_late(key, said.clone().elsewhere());
        }
    }

    /// Versions of the kind that somebody asked for while the write was on its way.
    fn late(&self) -> impl Iterator<Item = Arc<KindOverlay>> {
        let others = self.overlays.other_versions(&self.gvk).into_iter();
        others.filter(|other| self.kinds.iter().all(|Tracked { kind, .. }| !Arc::ptr_eq(kind, other)))
    }

    /// Many were deleted; `body` lists them as they were.
    fn removed(mut self, write: &Write, body: &Bytes) {
        let background = matches!(write.propagation, Some(kube_core::params::PropagationPolicy::Background));
        let held = write.propagation.is_some() && !background;
        let Some(verdicts) = listed(&write.gvk, background, body) else { return };
        self.settled = true;
        let places: std::collections::HashMap<_, _> =
            self.keys.iter().enumerate().map(|(at, key)| (key, at)).collect();
        for (key, verdict) in verdicts {
            let said = match verdict {
                // The others give every object a finalizer first.
                Verdict::Gone { uid, known } if !held => Said::Gone { uid, known },
                _ => Said::Unknown,
            };
            for Tracked { kind, sent } in &self.kinds {
                let sent = places.get(&key).and_then(|at| sent.get(*at)).or(sent.last());
                if let Some(sent) = sent {
                    kind.answer(sent, &key, said.clone());
                }
            }
            self.late().for_each(|kind| kind.answer_late(&key, said.clone()));
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        for Tracked { kind, sent } in &self.kinds {
            for (key, sent) in self.keys.iter().zip(sent) {
                kind.answer(sent, key, Said::Unknown);
            }
        }
        for kind in self.late() {
            self.keys.iter().for_each(|key| kind.answer_late(key, Said::Unknown));
        }
    }
}
