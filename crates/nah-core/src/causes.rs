//! Why a key is worked on.

use std::{fmt, ops};

/// Why a key is worked on: a set, because requests for one key merge.
///
/// A word of both the queue and the callbacks, so it lives here.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Causes(u8);

/// The names, bit by bit.
const NAMES: [&str; 6] = ["event", "trigger", "retry", "resync", "replay", "initial"];

impl Causes {
    /// The object was added, changed or deleted.
    pub const EVENT: Self = Self(1);
    /// Somebody asked for it, at once or after a delay.
    pub const TRIGGER: Self = Self(2);
    /// An earlier run failed.
    pub const RETRY: Self = Self(4);
    /// A periodic look at everything.
    pub const RESYNC: Self = Self(8);
    /// A callback registered late is shown what is there.
    pub const REPLAY: Self = Self(16);
    /// The object was there when the kind was first listed.
    pub const INITIAL: Self = Self(32);

    /// Every cause there is.
    pub const fn all() -> Self {
        Self(63)
    }

    /// Whether every cause of `other` is one of these.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is no cause at all.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The causes one by one, in a fixed order.
    pub fn each(self) -> impl Iterator<Item = Self> {
        (0..NAMES.len()).map(|bit| Self(1 << bit)).filter(move |cause| self.contains(*cause))
    }

    /// The causes by name, in a fixed order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES
            .into_iter()
            .zip(Self::all().each())
            .filter(move |(_, cause)| self.contains(*cause))
            .map(|(name, _)| name)
    }
}

impl ops::BitOr for Causes {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl ops::BitOrAssign for Causes {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Causes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, name) in self.names().enumerate() {
            write!(f, "{}{name}", if at == 0 { "" } else { ", " })?;
        }
        f.write_str("}")
    }
}
