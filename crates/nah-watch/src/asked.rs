//! When each cause of a run was first asked for.

use std::time::Duration;

use nah_core::Causes;

/// How long before a run each of its causes was first asked for: an age a cause, each once.
///
/// Ages, not moments, so that a test makes one without a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    causes: Causes,
    /// The ages of the causes, in their order; of those that are none it is zero.
    ages: [Duration; CAUSES],
}

const CAUSES: usize = 6;

impl Asked {
    /// The same ages, and `cause` asked for that long ago. The longest counts.
    #[must_use]
    pub fn with(mut self, cause: Causes, age: Duration) -> Self {
        self.causes |= cause;
        for (_, known) in all().zip(&mut self.ages).filter(|(one, _)| cause.contains(*one)) {
            *known = (*known).max(age);
        }
        self
    }

    /// How long ago any of `cause` was first asked for; none where none was.
    pub fn age(&self, cause: Causes) -> Option<Duration> {
        self.ages().filter(|(one, _)| cause.contains(*one)).map(|(_, age)| age).max()
    }

    /// Each cause with its age.
    pub fn ages(&self) -> impl Iterator<Item = (Causes, Duration)> {
        let causes = self.causes;
        all().zip(self.ages).filter(move |(one, _)| causes.contains(*one))
    }
}

/// Causes asked for right now.
impl From<Causes> for Asked {
    fn from(causes: Causes) -> Self {
        Self::default().with(causes, Duration::ZERO)
    }
}

fn all() -> impl Iterator<Item = Causes> {
    Causes::all().each()
}
