//! Versions and uids as the server gives them.

use std::{cmp::Ordering, fmt};

use crate::text::Text;

/// A version of an object or of a collection.
///
/// Opaque to clients by the API conventions, but comparable as an unsigned integer since KEP-5504
/// (Kubernetes 1.35); before that in practice. Ordered only where both are numbers.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ResourceVersion(Text<22>);

impl ResourceVersion {
    /// The version as the server wrote it.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(crate) fn heap(&self) -> usize {
        self.0.heap()
    }

    /// The version as a number, if it is one.
    pub fn number(&self) -> Option<u64> {
        self.as_str().parse().ok()
    }

    /// Which of two versions is the later one; none where either is no number.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        Some(self.number()?.cmp(&other.number()?))
    }
}

impl From<&str> for ResourceVersion {
    fn from(version: &str) -> Self {
        Self(version.into())
    }
}

impl From<u64> for ResourceVersion {
    fn from(version: u64) -> Self {
        Self(version.to_string().as_str().into())
    }
}

impl fmt::Display for ResourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ResourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.as_str())
    }
}

/// A uid; opaque, so that it can be kept in place.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Uid(Text<36>);

impl Uid {
    /// The uid as the server wrote it.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(crate) fn heap(&self) -> usize {
        self.0.heap()
    }
}

impl From<&str> for Uid {
    fn from(uid: &str) -> Self {
        Self(uid.into())
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
