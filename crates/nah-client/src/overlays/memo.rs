//! Lists that were merged, to be shown again or brought up to date.

use nah_cache::{List, ListOptions};

use crate::overlay::Grounds;

/// How many lists are remembered: of an operator's few selections the last ones.
const LISTS: usize = 8;

/// What the answer to some options was, and when. The lists of a quiet moment are the same, and of a later one they
/// differ by what has changed: to make one anew costs as much as there are entries in the overlay.
#[derive(Debug, Default)]
pub(super) struct Memo(Vec<(ListOptions, Kept)>);

/// A list that was made.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) moment: Moment,
    pub(super) list: List,
    /// None where it is as well made anew.
    pub(super) grounds: Option<Grounds>,
}

/// A state of the cache, and one of the overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) cache: u64,
    pub(super) overlay: u64,
}

// === impl Memo ===

impl Memo {
    /// The list that these options select at this moment, if it was made before.
    pub(super) fn recall(&self, options: &ListOptions, moment: Moment) -> Option<List> {
        self.get(options).filter(|kept| kept.moment == moment).map(|kept| kept.list.clone())
    }

    /// What the last list of these options was made of, if it is to be had.
    pub(super) fn grounds(&self, options: &ListOptions) -> Option<Grounds> {
        self.get(options)?.grounds.clone()
    }

    /// Remembers a list; answers what goes instead, to be dropped where no lock is held.
    #[must_use]
    pub(super) fn remember(&mut self, options: &ListOptions, kept: Kept) -> Option<Kept> {
        let same = self.0.iter().position(|(other, _)| other == options);
        let goes = same.or_else(|| (self.0.len() >= LISTS).then_some(0)).map(|at| self.0.remove(at).1);
        self.0.push((options.clone(), kept));
        goes
    }

    /// Something has changed: what is no ground for later lists is only memory. Answers what goes, to be dropped where
    /// no lock is held.
    #[must_use]
    pub(super) fn forget(&mut self, keep: impl Fn(&Grounds, Moment) -> bool) -> Vec<(ListOptions, Kept)> {
        let goes = |(_, kept): &mut (ListOptions, Kept)| {
            !kept.grounds.as_ref().is_some_and(|grounds| keep(grounds, kept.moment))
        };
        self.0.extract_if(.., goes).collect()
    }

    fn get(&self, options: &ListOptions) -> Option<&Kept> {
        self.0.iter().find(|(other, _)| other == options).map(|(_, kept)| kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(moment: Moment) -> Kept {
        Kept { moment, list: List::from_objects(Vec::new()), grounds: None }
    }

    fn options(name: usize) -> ListOptions {
        ListOptions::default().in_namespace(name.to_string())
    }

    const NOW: Moment = Moment { cache: 1, overlay: 1 };

    #[test]
    fn a_list_of_another_moment_or_selection_is_another_list() {
        let mut memo = Memo::default();
        assert!(memo.remember(&options(1), kept(NOW)).is_none());
        assert!(memo.recall(&options(1), NOW).is_some());
        assert!(memo.recall(&options(1).limit(3), NOW).is_none());
        assert!(memo.recall(&options(1), Moment { cache: 2, ..NOW }).is_none());
        assert!(memo.recall(&options(1), Moment { overlay: 2, ..NOW }).is_none());
        // One list a selection.
        let later = Moment { cache: 2, ..NOW };
        assert!(memo.remember(&options(1), kept(later)).is_some());
        assert!(memo.recall(&options(1), NOW).is_none() && memo.recall(&options(1), later).is_some());
        // Without grounds it is of no use after a change.
        assert_eq!(memo.forget(|_, _| true).len(), 1);
        assert!(memo.recall(&options(1), later).is_none());
    }

    #[test]
    fn the_last_few_are_remembered() {
        let mut memo = Memo::default();
        for name in 0..100 {
            assert_eq!(memo.remember(&options(name), kept(NOW)).is_some(), name >= LISTS);
        }
        let known = (0..100).filter(|name| memo.recall(&options(*name), NOW).is_some());
        assert!(known.eq(100 - LISTS..100));
    }
}
