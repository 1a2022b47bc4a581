//! When each cause of a key was first asked for.

use std::time::Duration;

use nah_core::Causes;
use nah_watch::Asked;
use tokio::time::Instant;

/// When each cause of a key was first asked for, in milliseconds: small, because a queue keeps one a key.
#[derive(Clone, Debug)]
pub(crate) struct Since {
    causes: Causes,
    /// When the first of them was.
    first: Instant,
    /// How much later the others were. Of what is no cause, nothing.
    later: [u32; CAUSES],
}

const CAUSES: usize = 6;

impl Since {
    /// `causes`, asked for now.
    pub(crate) fn now(causes: Causes) -> Self {
        Self { causes, first: Instant::now(), later: [0; CAUSES] }
    }

    pub(crate) fn causes(&self) -> Causes {
        self.causes
    }

    /// Takes in another; of a cause that both have, the earlier counts.
    pub(crate) fn merge(&mut self, other: &Self) {
        let first = self.first.min(other.first);
        let mut later = [0; CAUSES];
        for (at, (cause, later)) in Causes::all().each().zip(&mut later).enumerate() {
            let earliest = [&*self, other].into_iter().filter_map(|one| one.of(cause, at)).min();
            let since_first = earliest.map_or(Duration::ZERO, |earliest| earliest.duration_since(first));
            *later = u32::try_from(since_first.as_millis()).unwrap_or(u32::MAX);
        }
        *self = Self { causes: self.causes | other.causes, first, later };
    }

    /// How long ago each was.
    pub(crate) fn asked(&self) -> Asked {
        let first = self.first.elapsed();
        if self.later == [0; CAUSES] {
            // Nearly always: one cause, or all at once.
            return Asked::default().with(self.causes, first);
        }
        let ages = Causes::all().each().zip(self.later).filter(|(cause, _)| self.causes.contains(*cause));
        ages.fold(Asked::default(), |asked, (cause, later)| {
            asked.with(cause, first.saturating_sub(Duration::from_millis(later.into())))
        })
    }

    fn of(&self, cause: Causes, at: usize) -> Option<Instant> {
        let later = Duration::from_millis(self.later[at].into());
        self.causes.contains(cause).then(|| self.first + later)
    }
}
