//! Quirks of others, put in on purpose, so that the tests know that the model finds them. In no build but theirs.

use std::cell::Cell;

/// What may be wrong with an overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quirk {
    /// A read looks under another key than the one that was asked for (Q1).
    WrongKey,
    /// What the informer sees go leaves what was written in place (Q2).
    DeafToEnds,
    /// Whichever answer comes last is kept, an older one and one about what is gone too (Q3).
    LastAnswerWins,
    /// Nobody remembers what was deleted (Q4).
    NoTombstones,
    /// Lists show the cache alone (Q5).
    BlindLists,
    /// Nothing ends when the informer has caught up (Q6).
    NoEviction,
    /// Versions compare as texts (Q7).
    Texts,
    /// An answer in whatever form is taken for the whole object (Q8).
    AnyForm,
    /// A deletion of many leaves no trace (Q9).
    ManyUnrecorded,
    /// A write to a subresource with a body of its own leaves no trace (Q9).
    SubresourcesUnrecorded,
    /// A dry run is taken for a write (Q9).
    DryRunsRecorded,
}

thread_local! {
    static QUIRK: Cell<Option<Quirk>> = const { Cell::new(None) };
}

/// Whether `quirk` is in, on this thread.
pub(crate) fn is(quirk: Quirk) -> bool {
    QUIRK.get() == Some(quirk)
}

/// Puts a quirk in, on this thread, or takes it out.
pub(crate) fn set(quirk: Option<Quirk>) {
    QUIRK.set(quirk);
}
