//! What is kept, and what goes.

use std::{any::TypeId, sync::Arc};

use nah_core::{Body, GroupVersionKind, Outline};

use super::GROWTH;
use crate::{
    KindCacheOptions,
    store::{
        entry::Entry,
        shelf::{Common, Shelf},
    },
};

/// The size of the JSON of each entry.
const SIZE: usize = 64;

struct Kind {
    common: Arc<Common>,
    shelf: Arc<Shelf>,
}

impl Kind {
    /// A kind that may have so many decoded entries for long.
    fn new(entries: usize) -> Self {
        let (common, _) = Common::new(entries * SIZE * GROWTH * super::GLANCES / (super::GLANCES - 1) + 1);
        Self { shelf: Shelf::new(common.clone(), &KindCacheOptions::default()), common }
    }

    fn entry(&self, number: usize) -> Arc<Entry> {
        let gvk = Arc::new(GroupVersionKind::gvk("", "v1", "Pod"));
        let json = format!(r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{number:06}"}}}}"#);
        let json = format!("{json:SIZE$}");
        let outline = Outline::read(&json).expect("a Pod");
        Entry::admit(&gvk, &outline, &self.shelf.trim, &self.shelf, None).expect("a Pod")
    }

    fn entries(&self, n: usize) -> Vec<Arc<Entry>> {
        (0..n).map(|number| self.entry(number)).collect()
    }

    fn bytes(&self) -> usize {
        assert_eq!(self.common.hot.bytes(), self.shelf.hot_bytes());
        self.shelf.hot_bytes()
    }
}

fn knows(entry: &Entry) -> bool {
    entry.recall(TypeId::of::<u32>()).is_some()
}

fn read(entry: &Entry) -> bool {
    let known = knows(entry);
    if !known {
        entry.remember(Arc::new(7u32));
    }
    known
}

#[test]
fn stays_within_its_budget() {
    let kind = Kind::new(40);
    let entries = kind.entries(400);
    for _ in 0..3 {
        for entry in &entries {
            read(entry);
            assert!(kind.bytes() <= 42 * SIZE * GROWTH, "{}", kind.bytes());
        }
    }
    assert!(entries.iter().filter(|entry| knows(entry)).count() >= 30);
}

#[test]
fn one_list_leaves_no_trace() {
    let kind = Kind::new(64);
    let (favourites, others) = (kind.entries(40), kind.entries(4000));
    for _ in 0..3 {
        favourites.iter().for_each(|entry| _ = read(entry));
    }
    assert!(favourites.iter().all(|entry| knows(entry)));
    for entry in &others {
        assert!(!read(entry), "nobody has read it before");
    }
    assert!(favourites.iter().all(|entry| knows(entry)), "a list has flushed what is read often");
    let left = others.iter().filter(|entry| knows(entry)).count();
    assert!(left <= 3, "{left} of what was read once are kept");
}

#[test]
fn what_is_read_again_is_kept() {
    let kind = Kind::new(640);
    let entry = kind.entry(0);
    assert!(!read(&entry));
    assert!(read(&entry), "what was read a moment ago is there");
    kind.entries(100).iter().for_each(|other| _ = read(other));
    assert!(knows(&entry), "it was read twice");
    let late = kind.entry(1);
    read(&late);
    kind.entries(100).iter().for_each(|other| _ = read(other));
    assert!(!read(&late), "it was read once");
    kind.entries(100).iter().for_each(|other| _ = read(other));
    assert!(read(&late), "it was read twice, however long ago the first time was");
}

#[test]
fn what_is_read_stays_longer() {
    let kind = Kind::new(64);
    let favourite = kind.entry(0);
    let others = kind.entries(1000);
    for entry in &others {
        read(&favourite);
        read(entry);
        read(entry);
        read(entry);
    }
    assert!(knows(&favourite));
}

#[test]
fn an_entry_that_goes_takes_its_forms_along() {
    let kind = Kind::new(1000);
    for number in 0..10_000 {
        let entry = kind.entry(number);
        entry.remember(Arc::new(7u32));
        entry.remember(Arc::new("seven"));
    }
    assert_eq!(kind.bytes(), 0);
    assert_eq!(kind.common.hot.kept.as_ref().map(|kept| kept.len()), Some(0));
    assert!(kind.common.hot.glances.lock().queue.len() <= 1000);
}

#[test]
fn several_types_are_remembered() {
    let kind = Kind::new(100);
    let entry = kind.entry(0);
    entry.remember(Arc::new(7u32));
    entry.remember(Arc::new("seven"));
    assert!(knows(&entry) && entry.recall(TypeId::of::<&str>()).is_some());
    assert!(entry.recall(TypeId::of::<u8>()).is_none());
    assert_eq!(kind.bytes(), 2 * SIZE * GROWTH);
}

#[test]
fn a_kind_can_be_kept_out() {
    let kind = Kind::new(100);
    let secret = Kind {
        shelf: Shelf::new(kind.common.clone(), &KindCacheOptions::default().never_hot()),
        common: kind.common.clone(),
    };
    let entry = secret.entry(0);
    read(&entry);
    assert!(!read(&entry));
    assert_eq!(kind.common.hot.bytes(), 0);
}

#[test]
fn what_is_larger_than_the_budget_is_not_kept() {
    let kind = Kind::new(0);
    let entry = kind.entry(0);
    (0..3).for_each(|_| assert!(!read(&entry)));
    assert_eq!(kind.bytes(), 0);
}

#[test]
fn without_a_budget_nothing_is_kept() {
    let (common, _) = Common::new(0);
    let kind = Kind { shelf: Shelf::new(common.clone(), &KindCacheOptions::default()), common };
    let entries = kind.entries(100);
    for _ in 0..3 {
        for entry in &entries {
            assert!(!read(entry), "somebody keeps it");
            assert_eq!(kind.bytes(), 0);
        }
    }
}

#[test]
fn a_first_walk_keeps_no_more_than_four_mebibytes_decoded() {
    let (common, _) = Common::new(1 << 30);
    let kind = Kind { shelf: Shelf::new(common.clone(), &KindCacheOptions::default()), common };
    // A hundred thousand objects of this size are fifty megabytes decoded.
    let mut most = 0;
    let entries = kind.entries(100_000);
    for entry in &entries {
        read(entry);
        most = most.max(kind.bytes());
    }
    assert!((3 << 20..=(4 << 20) + SIZE * GROWTH).contains(&most), "{most}");
}
