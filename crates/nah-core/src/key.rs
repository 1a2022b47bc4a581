//! The identity of an object within its kind.

use std::{fmt, str::FromStr, sync::Arc};

use crate::{BadKey, ObjectMeta};

/// `namespace/name`, or `name` for cluster-scoped objects.
///
/// The uid plays no part (client-go's `MetaNamespaceKeyFunc`). Keys sort by their text, so the objects of a
/// namespace stand together.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(Arc<str>);

impl ObjectKey {
    /// The key of `name` in `namespace`; none or an empty namespace is the cluster scope.
    pub fn new(namespace: Option<&str>, name: &str) -> Self {
        match namespace {
            Some(namespace) if !namespace.is_empty() => Self([namespace, "/", name].concat().into()),
            _ => Self(name.into()),
        }
    }

    /// The key of a cluster-scoped object.
    pub fn cluster(name: &str) -> Self {
        Self::new(None, name)
    }

    /// The key of an object.
    ///
    /// # Errors
    /// [`BadKey::NoName`] where it has no name yet (`generateName`).
    #[doc(alias = "MetaNamespaceKeyFunc")]
    pub fn of(meta: &ObjectMeta) -> Result<Self, BadKey> {
        let name = meta.name.as_deref().filter(|name| !name.is_empty());
        Ok(Self::new(meta.namespace.as_deref(), name.ok_or(BadKey::NoName)?))
    }

    /// The namespace; none for cluster-scoped objects.
    pub fn namespace(&self) -> Option<&str> {
        self.slash().map(|slash| &self.0[..slash])
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.slash().map_or(&self.0, |slash| &self.0[slash + 1..])
    }

    /// Where the first slash is. By hand: a namespace is short, and the search of the standard library is made for texts
    /// that are not.
    fn slash(&self) -> Option<usize> {
        self.0.bytes().position(is_slash)
    }

    /// The whole key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the key is one name, or one namespace and one name, none of them empty.
    ///
    /// The constructors take any text so that a key is cheap to make; what accepts keys from outside (a trigger, a
    /// read) checks.
    ///
    /// # Errors
    /// [`BadKey::NoName`] for an empty name, [`BadKey::Malformed`] for an empty namespace or a third part.
    #[doc(alias = "SplitMetaNamespaceKey")]
    pub fn check(&self) -> Result<(), BadKey> {
        let (namespace, name) = (self.namespace(), self.name());
        if name.is_empty() {
            return Err(BadKey::NoName);
        }
        if namespace.is_some_and(str::is_empty) || name.bytes().any(is_slash) {
            return Err(BadKey::Malformed(self.0.to_string()));
        }
        Ok(())
    }
}

fn is_slash(byte: u8) -> bool {
    byte == b'/'
}

impl<N: AsRef<str>, M: AsRef<str>> From<(N, M)> for ObjectKey {
    fn from((namespace, name): (N, M)) -> Self {
        Self::new(Some(namespace.as_ref()), name.as_ref())
    }
}

impl From<&ObjectKey> for ObjectKey {
    fn from(key: &ObjectKey) -> Self {
        key.clone()
    }
}

impl FromStr for ObjectKey {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        let key = Self(text.into());
        key.check()?;
        Ok(key)
    }
}

impl AsRef<str> for ObjectKey {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
