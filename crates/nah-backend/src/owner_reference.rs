//! Owner references, with the checks that the garbage collector does not forgive.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use nah_core::{BadKey, Kind, ObjectKey, Payload};

/// Why an object cannot own another.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadOwner {
    /// The owner has no name.
    #[error("owner: {0}")]
    Key(#[from] BadKey),
    /// The server has not seen the owner yet, and a reference goes by the uid.
    #[error("owner {key} has no uid")]
    NoUid {
        /// The owner.
        key: ObjectKey,
    },
    /// An owner with a namespace can own within that only. The garbage collector would take the owner for gone, and
    /// remove the object.
    #[error("owner {key} cannot own an object of {}", match .namespace { Some(name) => format!("namespace {name}"), None => "no namespace".into() })]
    OtherNamespace {
        /// The owner.
        key: ObjectKey,
        /// The namespace of the object.
        namespace: Option<String>,
    },
    /// An object has one controller.
    #[error("object is controlled by {} {} already", .controller.kind, .controller.name)]
    Controlled {
        /// The one that it has.
        controller: Box<OwnerReference>,
    },
}

/// Makes `owner` the controller of `object`: it is collected with it, and [`owns`](crate::BackendExt::owns) triggers
/// it. An owner reference of the same owner is replaced.
///
/// The owner cannot be deleted in the foreground before the object is.
///
/// # Errors
/// A [`BadOwner`], and `object` is as it was.
#[doc(alias = "SetControllerReference")]
pub fn set_controller_reference<K: Kind, O: Payload>(owner: &K, object: &mut O) -> Result<(), BadOwner> {
    set(owner, object, true)
}

/// Makes `owner` one of the owners of `object`, which is collected when it has none left. An owner reference of the
/// same owner is replaced.
///
/// # Errors
/// A [`BadOwner`], and `object` is as it was.
#[doc(alias = "SetOwnerReference")]
pub fn set_owner_reference<K: Kind, O: Payload>(owner: &K, object: &mut O) -> Result<(), BadOwner> {
    set(owner, object, false)
}

fn set<K: Kind, O: Payload>(owner: &K, object: &mut O, controls: bool) -> Result<(), BadOwner> {
    let key = owner.key()?;
    let namespace = object.meta().namespace.clone();
    if key.namespace().is_some() && key.namespace() != namespace.as_deref() {
        return Err(BadOwner::OtherNamespace { key, namespace });
    }
    let reference = match controls {
        true => owner.controller_owner_ref(&()),
        false => owner.owner_ref(&()),
    };
    let reference = reference.filter(|reference| !reference.uid.is_empty()).ok_or(BadOwner::NoUid { key })?;
    let reference = OwnerReference { block_owner_deletion: controls.then_some(true), ..reference };
    let same = |known: &OwnerReference| {
        // In any version of the kind. The uid is left out: an owner that was made anew under its name is that again.
        group(&known.api_version) == group(&reference.api_version)
            && (&known.kind, &known.name) == (&reference.kind, &reference.name)
    };
    let other = |known: &&OwnerReference| known.controller == Some(true) && !same(known);
    let known = object.meta().owner_references.iter().flatten();
    if let Some(controller) = known.filter(|_| controls).find(other) {
        return Err(BadOwner::Controlled { controller: Box::new(controller.clone()) });
    }
    let owners = object.meta_mut().owner_references.get_or_insert_default();
    match owners.iter_mut().find(|known| same(known)) {
        Some(known) => *known = reference,
        None => owners.push(reference),
    }
    Ok(())
}

fn group(api_version: &str) -> &str {
    api_version.rsplit_once('/').map_or("", |(group, _)| group)
}
