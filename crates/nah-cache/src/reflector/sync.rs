//! The list/watch state machine of one scope. Pure: what the server said goes in, what to do next comes out.
//!
//! ```text
//! begin ─┬─▶ Streaming ──(end bookmark)──▶ commit ─▶ Watching ◀─┐
//!        │      └─(unsupported)─┐                      │  │     │ opened
//!        └─▶ Listing ◀──────────┘                      │  └──▶ Opening
//!               └──(last page)──▶ commit ─▶ Opening    │(expired, error, refresh)
//!        ◀───────── Waiting ◀──────────────────────────┘
//! ```

use std::{cmp::Ordering, collections::BTreeMap, time::Duration};

use nah_core::{ObjectKey, ResourceVersion};

use super::{
    backoff::Backoff,
    failure::{Failure, Reason},
};
use crate::ListCause;

mod step;
#[cfg(test)]
mod tests;

pub(crate) use step::{Change, Effect, Input, Item, Items, Mood, Next, Step};

const PAGE: u32 = 500;

/// A stream that ends sooner, without anything new, counts as a failure.
const TOO_SHORT: Duration = Duration::from_secs(1);

/// So many streams in a row that brought nothing new make a list the safer bet.
const STUMBLES: u32 = 4;

/// Streams that may end with the same unreadable object before it is looked at again: an hour or two.
const MOST_ENDS: u32 = 16;

/// A server's Retry-After is honoured up to here.
const MOST_PATIENT: Duration = Duration::from_secs(60);

/// What a scope is asked for, and how.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    /// The server may know WatchList.
    pub(crate) streaming: bool,
    /// Every list is paged by so many, where somebody said so.
    pub(crate) page: Option<u32>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Sync<T> {
    rules: Rules,
    phase: Phase<T>,
    /// Where the watch goes on. Opaque.
    resume: Option<ResourceVersion>,
    /// The version that the store has seen: no list may answer with less.
    observed: Option<ResourceVersion>,
    /// What the first list must have reached.
    floor: Option<ResourceVersion>,
    /// The next complete list is to be taken in whole, objects of unchanged versions too.
    anew: bool,
    /// Why there is a list now, or was the last one.
    cause: ListCause,
    /// The server pages even where its watch cache could answer whole: then so do we.
    paged: bool,
    /// The server was away, and may have come back with an older history: a watch from a version that is still to
    /// come is silent until then.
    doubt: bool,
    /// Streams in a row that brought nothing.
    stumbles: u32,
    /// Streams that ended since the last list with objects that could not be read, and how many of them call for a
    /// list: twice as many each time, up to a limit.
    ends: u32,
    patience: u32,
    backoff: Backoff,
}

#[derive(Debug)]
enum Phase<T> {
    Listing {
        at: Option<ResourceVersion>,
        limit: Option<u32>,
        /// The version of the first page.
        first: Option<ResourceVersion>,
        /// What was asked for last.
        token: Option<String>,
        items: Vec<T>,
    },
    Streaming {
        at: Option<ResourceVersion>,
        side: BTreeMap<ObjectKey, T>,
    },
    Probing,
    Opening,
    Watching {
        since: Duration,
        heard: bool,
    },
    WaitingToList,
    WaitingToOpen,
}

/// How fresh the next list has to be.
#[derive(Clone, Copy)]
enum At {
    /// As what was seen, or newer.
    Observed,
    Newest,
}

impl<T: Item> Sync<T> {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            phase: Phase::WaitingToList,
            resume: None,
            observed: None,
            floor: None,
            anew: false,
            cause: ListCause::First,
            paged: false,
            doubt: false,
            stumbles: 0,
            ends: 0,
            patience: 1,
            backoff: Backoff::default(),
        }
    }

    /// The first list asks for `floor` or newer.
    pub(crate) fn set_floor(&mut self, floor: Option<ResourceVersion>) {
        self.floor = floor;
    }

    /// Goes on after a breakdown: the first list takes everything anew, and is not older than what the store has seen.
    pub(crate) fn recover(&mut self, observed: Option<ResourceVersion>) {
        (self.anew, self.cause, self.observed) = (true, ListCause::Panicked, observed);
    }

    /// Why there is a list now, or was the last one.
    pub(crate) fn cause(&self) -> ListCause {
        self.cause
    }

    /// The server does not know WatchList.
    pub(crate) fn forbid_streaming(&mut self) {
        self.rules.streaming = false;
    }

    /// Whether what arrives now belongs to a list that is not complete yet.
    pub(crate) fn is_listing(&self) -> bool {
        matches!(self.phase, Phase::Listing { .. } | Phase::Streaming { .. })
    }

    /// Whether the items of a list must be taken in although uid and version are held: asked for, or the list (of
    /// `version`, where that is known yet) comes from before what was seen.
    pub(crate) fn is_anew(&self, version: Option<&ResourceVersion>) -> bool {
        let version = match &self.phase {
            Phase::Listing { first: Some(first), .. } => Some(first),
            _ => version,
        };
        self.anew || version.is_some_and(|version| self.is_backwards(version))
    }

    /// Takes in what happened at `now`; `chance` in `[0, 1)` stretches waits and timeouts.
    pub(crate) fn step(&mut self, now: Duration, chance: f64, input: Input<T>) -> Step<T> {
        let phase = std::mem::replace(&mut self.phase, Phase::WaitingToList);
        match (phase, input) {
            (_, Input::Refresh) => self.anew(ListCause::Refresh, chance),
            (Phase::WaitingToList, Input::Start | Input::Waited) => self.begin(At::Observed, chance).into(),
            (Phase::WaitingToOpen, Input::Waited) => self.open(chance).into(),

            (
                Phase::Listing { at, limit, first, token, mut items },
                Input::Page { items: more, version, next, compared },
            ) => {
                if compared && first.is_none() && !self.anew && self.is_backwards(&version) {
                    // Only now it shows, and items of unchanged versions were not taken in.
                    return self.anew(ListCause::Backwards, chance);
                }
                items.extend(more);
                let version = first.unwrap_or(version);
                let next = next.filter(|next| !next.is_empty());
                if next.is_some() && next == token {
                    let failure = Failure::other("list has a page that is followed by itself");
                    return self.retreat(now, chance, failure, Phase::WaitingToList);
                }
                match next {
                    Some(next) => {
                        self.paged |= at.as_ref().is_some_and(|at| at.as_str() == "0");
                        let token = Some(next.clone());
                        self.phase = Phase::Listing { at, limit, first: Some(version), token, items };
                        Next::List { version: None, limit, token: Some(next) }.into()
                    }
                    None => {
                        let effect = self.commit(now, Items::Listed(items), version);
                        Step { effect: Some(effect), mood: Some(Mood::Well), next: self.open(chance) }
                    }
                }
            }
            (Phase::Listing { at, first, .. }, Input::ListFailed(failure)) => {
                match failure.reason {
                    // The token expired: ask once more for everything in one piece, at the version asked for first.
                    Reason::Expired if first.is_some() => self.list(at, None),
                    Reason::Expired | Reason::TooLarge if at.is_some() => self.list(None, self.limit(None)),
                    _ => return self.retreat(now, chance, failure, Phase::WaitingToList),
                }
                .into()
            }

            (phase @ Phase::Streaming { .. }, Input::Opened | Input::Skipped { .. }) => {
                self.phase = phase;
                Next::Read.into()
            }
            (Phase::Streaming { at, mut side }, Input::Event { change, .. }) => {
                match change {
                    Change::Upsert(item) => _ = side.insert(item.key().clone(), item),
                    Change::Delete(item) => _ = side.remove(item.key()),
                }
                self.phase = Phase::Streaming { at, side };
                Next::Read.into()
            }
            (Phase::Streaming { side, .. }, Input::Bookmark { version, initial_end: true }) => {
                if self.is_backwards(&version) && !self.anew {
                    // As with a page whose version comes behind its items.
                    return self.anew(ListCause::Backwards, chance);
                }
                let effect = self.commit(now, Items::Streamed(side), version);
                Step { effect: Some(effect), ..self.watch(now, true) }
            }
            (phase @ Phase::Streaming { .. }, Input::Bookmark { .. }) => {
                self.phase = phase;
                Next::Read.into()
            }
            (Phase::Streaming { at, .. }, Input::OpenFailed(failure) | Input::ErrorEvent(failure)) => {
                match failure.reason {
                    Reason::Busy | Reason::Away => {
                        return self.retreat(now, chance, failure, Phase::WaitingToList);
                    }
                    Reason::Expired | Reason::TooLarge if at.is_some() => {
                        return self.stream(None, chance).into();
                    }
                    Reason::Unsupported => self.rules.streaming = false,
                    _ => {}
                }
                self.list(at.clone(), self.limit(at.as_ref())).into()
            }
            (Phase::Streaming { at, .. }, input @ (Input::Ended { .. } | Input::Cut | Input::Garbled(_))) => {
                self.stumbles += 1;
                if self.stumbles >= STUMBLES {
                    self.stumbles = 0;
                    return self.list(at.clone(), self.limit(at.as_ref())).into();
                }
                let failure = match input {
                    Input::Garbled(failure) => failure,
                    _ => Failure::other("stream ended before everything was listed"),
                };
                self.retreat(now, chance, failure, Phase::WaitingToList)
            }

            (Phase::Opening, Input::Opened) => {
                self.backoff.well(now);
                self.watch(now, false)
            }
            (Phase::Opening, Input::OpenFailed(failure)) => {
                self.doubt |= failure.reason == Reason::Away;
                self.cause = cause(&failure);
                let then = match failure.reason {
                    Reason::Busy | Reason::Away => Phase::WaitingToOpen,
                    _ => Phase::WaitingToList,
                };
                self.retreat(now, chance, failure, then)
            }
            (Phase::Probing, Input::ListFailed(failure)) => match failure.reason {
                Reason::Busy | Reason::Away => self.retreat(now, chance, failure, Phase::WaitingToOpen),
                // Then it cannot be known; the watch itself may still work.
                _ => {
                    self.doubt = false;
                    self.open(chance).into()
                }
            },
            (Phase::Probing, Input::Probed(version)) => {
                self.doubt = false;
                if self.is_backwards(&version) {
                    return self.anew(ListCause::Backwards, chance);
                }
                self.open(chance).into()
            }

            (Phase::Watching { since, .. }, Input::Event { change, added, version }) => {
                // What a watch from no version adds at first are old objects in any order.
                let initial = added && self.resume.as_ref().is_none_or(is_no_version);
                if let Some(version) = version.as_ref().filter(|_| !initial) {
                    self.advance(version);
                }
                self.stumbles = 0;
                let effect = Effect::Apply { change, version };
                Step { effect: Some(effect), ..self.watch(since, true) }
            }
            (Phase::Watching { since, heard }, Input::Bookmark { version, .. }) => {
                let news = self.resume.as_ref() != Some(&version);
                self.advance(&version);
                self.phase = Phase::Watching { since, heard: heard || news };
                Step { effect: Some(Effect::Bookmark(version)), mood: None, next: Next::Read }
            }
            (Phase::Watching { since, .. }, Input::Skipped { deleted: false, version }) => {
                // The next good version heals; the last good one stays readable until then.
                version.iter().for_each(|version| self.resume = Some(version.clone()));
                self.phase = Phase::Watching { since, heard: true };
                Next::Read.into()
            }
            (Phase::Watching { .. }, Input::Skipped { deleted: true, .. }) => {
                let failure = Failure::other("cannot read what was deleted");
                self.cause = ListCause::Unreadable;
                self.retreat(now, chance, failure, Phase::WaitingToList)
            }
            (Phase::Watching { .. }, Input::ErrorEvent(failure)) => {
                self.cause = cause(&failure);
                let then = match failure.reason {
                    Reason::Busy => Phase::WaitingToOpen,
                    _ => Phase::WaitingToList,
                };
                self.retreat(now, chance, failure, then)
            }
            (Phase::Watching { since, heard }, input @ (Input::Ended { .. } | Input::Cut)) => {
                self.doubt |= matches!(input, Input::Cut);
                if !heard && now.saturating_sub(since) < TOO_SHORT {
                    return self.stumble(now, chance, Failure::other("watch ended at once"));
                }
                match input {
                    Input::Ended { spoiled: true } if self.must_look_again() => {
                        self.cause = ListCause::Unreadable;
                        return self.begin(At::Observed, chance).into();
                    }
                    Input::Ended { spoiled: false } => (self.ends, self.patience) = (0, 1),
                    _ => {}
                }
                self.open(chance).into()
            }
            (Phase::Watching { .. }, Input::Garbled(failure)) => self.stumble(now, chance, failure),

            // No other pair is asked for by a step before; to list again is right after anything.
            (_, _) => {
                self.retreat(now, chance, Failure::other("list and watch out of step"), Phase::WaitingToList)
            }
        }
    }

    /// Takes everything as the server has it now, the objects of unchanged versions too.
    fn anew(&mut self, cause: ListCause, chance: f64) -> Step<T> {
        (self.anew, self.cause) = (true, cause);
        self.begin(At::Newest, chance).into()
    }

    fn begin(&mut self, at: At, chance: f64) -> Next {
        let version = match at {
            At::Newest => None,
            At::Observed => {
                Some(self.observed.clone().or_else(|| self.floor.clone()).unwrap_or_else(|| "0".into()))
            }
        };
        if self.rules.streaming {
            return self.stream(version, chance);
        }
        let limit = self.limit(version.as_ref());
        self.list(version, limit)
    }

    /// Only "whatever you have" and "the newest" are paged: for a version the server's watch cache answers in one piece
    /// and a page would go past it, unless it was seen to page regardless.
    fn limit(&self, version: Option<&ResourceVersion>) -> Option<u32> {
        let whole = version.is_some_and(|version| version.as_str() != "0") && !self.paged;
        self.rules.page.or((!whole).then_some(PAGE))
    }

    fn list(&mut self, version: Option<ResourceVersion>, limit: Option<u32>) -> Next {
        self.phase =
            Phase::Listing { at: version.clone(), limit, first: None, token: None, items: Vec::new() };
        Next::List { version, limit, token: None }
    }

    fn stream(&mut self, version: Option<ResourceVersion>, chance: f64) -> Next {
        self.phase = Phase::Streaming { at: version.clone(), side: BTreeMap::new() };
        Next::Open { version, initial: true, timeout: timeout(chance) }
    }

    fn open(&mut self, chance: f64) -> Next {
        if self.doubt {
            self.phase = Phase::Probing;
            return Next::Probe;
        }
        self.phase = Phase::Opening;
        Next::Open { version: self.resume.clone(), initial: false, timeout: timeout(chance) }
    }

    fn commit(&mut self, now: Duration, items: Items<T>, version: ResourceVersion) -> Effect<T> {
        let backwards = self.is_backwards(&version);
        self.resume = Some(version.clone());
        self.observed = Some(version.clone());
        self.anew = false;
        self.doubt = false;
        self.stumbles = 0;
        self.backoff.well(now);
        Effect::Commit { items, version, backwards }
    }

    /// Whether objects that could not be read call for a list at the end of a stream. They may have been spoiled on the
    /// way, and then no event will heal them; or be bad for good, and then lists would be in vain.
    fn must_look_again(&mut self) -> bool {
        self.ends += 1;
        if self.ends < self.patience {
            return false;
        }
        self.ends = 0;
        self.patience = (self.patience * 2).min(MOST_ENDS);
        true
    }

    fn advance(&mut self, version: &ResourceVersion) {
        self.resume = Some(version.clone());
        if !self.is_backwards(version) {
            self.observed = Some(version.clone());
        }
    }

    fn is_backwards(&self, version: &ResourceVersion) -> bool {
        self.observed.as_ref().and_then(|observed| version.compare(observed)) == Some(Ordering::Less)
    }

    fn watch(&mut self, since: Duration, heard: bool) -> Step<T> {
        self.phase = Phase::Watching { since, heard };
        Step { effect: None, mood: Some(Mood::Well), next: Next::Read }
    }

    fn stumble(&mut self, now: Duration, chance: f64, failure: Failure) -> Step<T> {
        self.stumbles += 1;
        if self.stumbles < STUMBLES {
            return self.retreat(now, chance, failure, Phase::WaitingToOpen);
        }
        (self.stumbles, self.cause) = (0, ListCause::Failed);
        self.retreat(now, chance, failure, Phase::WaitingToList)
    }

    fn retreat(&mut self, now: Duration, chance: f64, failure: Failure, then: Phase<T>) -> Step<T> {
        self.phase = then;
        let wait =
            self.backoff.failed(now, chance).max(failure.retry_after.unwrap_or_default().min(MOST_PATIENT));
        Step { effect: None, mood: Some(Mood::Failed(failure)), next: Next::Wait(wait) }
    }
}

fn cause(failure: &Failure) -> ListCause {
    match failure.reason {
        Reason::Expired | Reason::TooLarge => ListCause::Expired,
        _ => ListCause::Failed,
    }
}

/// In [300, 600) seconds, so that the watches of many processes do not end together.
fn timeout(chance: f64) -> Duration {
    Duration::from_secs(300 + (chance.clamp(0.0, 0.999) * 300.0) as u64)
}

fn is_no_version(version: &ResourceVersion) -> bool {
    matches!(version.as_str(), "" | "0")
}
