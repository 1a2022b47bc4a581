//! Lists that were merged, as long as neither cache nor overlay has changed.

use nah_cache::{List, ListOptions};

/// How many lists are remembered: of an operator's few selections the last ones.
const LISTS: usize = 8;

/// What the answer to some options was, and when: merging costs as much as there are entries in the overlay, and the
/// lists of a quiet moment are the same. It is emptied with every change of the overlay, so it keeps nothing alive
/// for long.
#[derive(Debug, Default)]
pub(super) struct Memo(Vec<(ListOptions, Moment, List)>);

/// A state of the cache, and one of the overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) cache: u64,
    pub(super) overlay: u64,
}

// === impl Memo ===

impl Memo {
    /// The list that these options select at this moment, if it was merged before.
    pub(super) fn recall(&self, options: &ListOptions, moment: Moment) -> Option<List> {
        let mut lists = self.0.iter();
        lists.find(|(other, at, _)| *at == moment && other == options).map(|(.., list)| list.clone())
    }

    /// Remembers a list; answers what goes instead, to be dropped where no lock is held.
    #[must_use]
    pub(super) fn remember(&mut self, options: &ListOptions, moment: Moment, list: &List) -> Option<List> {
        let same = self.0.iter().position(|(other, ..)| other == options);
        let goes = same.or_else(|| (self.0.len() >= LISTS).then_some(0)).map(|at| self.0.remove(at).2);
        self.0.push((options.clone(), moment, list.clone()));
        goes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> List {
        List::from_objects(Vec::new())
    }

    fn options(name: usize) -> ListOptions {
        ListOptions::default().in_namespace(name.to_string())
    }

    const NOW: Moment = Moment { cache: 1, overlay: 1 };

    #[test]
    fn a_list_of_another_moment_or_selection_is_another_list() {
        let mut memo = Memo::default();
        assert!(memo.remember(&options(1), NOW, &list()).is_none());
        assert!(memo.recall(&options(1), NOW).is_some());
        assert!(memo.recall(&options(1).limit(3), NOW).is_none());
        assert!(memo.recall(&options(1), Moment { cache: 2, ..NOW }).is_none());
        assert!(memo.recall(&options(1), Moment { overlay: 2, ..NOW }).is_none());
        // One list a selection.
        let later = Moment { cache: 2, ..NOW };
        assert!(memo.remember(&options(1), later, &list()).is_some());
        assert!(memo.recall(&options(1), NOW).is_none() && memo.recall(&options(1), later).is_some());
    }

    #[test]
    fn the_last_few_are_remembered() {
        let mut memo = Memo::default();
        for name in 0..100 {
            assert_eq!(memo.remember(&options(name), NOW, &list()).is_some(), name >= LISTS);
        }
        let known = (0..100).filter(|name| memo.recall(&options(*name), NOW).is_some());
        assert!(known.eq(100 - LISTS..100));
    }
}
