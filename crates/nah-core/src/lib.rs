//! The words that every crate of nah shares: keys, kinds, objects and the causes of work.
//!
//! A word is a value: nothing here is async, does I/O, or keeps a store. An [`Object`] is a handle over a
//! [`Body`]; what a body is made of (bytes, a decoded value, a compressed entry) belongs to the crate that keeps
//! it.
//!
//! ```
//! use nah_core::{GroupVersionKind, Object, ObjectKey};
//!
//! let gvk = GroupVersionKind::gvk("", "v1", "ConfigMap");
//! let json = br#"{"metadata":{"name":"c","namespace":"default","labels":{"app":"web"}},"data":{"k":"v"}}"#;
//! let object = Object::from_json(&gvk, json.to_vec())?;
//!
//! assert_eq!(object.key(), &ObjectKey::from(("default", "c")));
//! assert_eq!(object.labels().get("app"), Some("web"));
//! # Ok::<(), nah_core::DecodeError>(())
//! ```

mod causes;
mod error;
mod head;
pub mod json;
mod key;
mod kind;
mod kind_map;
mod labels;
mod misfit;
mod object;
mod outline;
pub mod panics;
mod stamp;
mod text;
mod version;
mod view;

pub use causes::Causes;
pub use error::{BadKey, BadObject, BoxError, DecodeError, UnknownKind};
pub use head::{Head, Owner};
pub use key::ObjectKey;
pub use kind::{Kind, KindSource, Payload};
pub use kind_map::KindMap;
pub use kube_core::{ApiResource, DynamicObject, GroupVersionKind, ObjectMeta, PartialObjectMeta};
pub use labels::Labels;
pub use misfit::Misfit;
pub use object::{Body, Object};
pub use outline::Outline;
pub use stamp::Stamp;
pub use version::{ResourceVersion, Uid};
pub use view::View;
