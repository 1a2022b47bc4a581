//! Causes are a set.

use nah_core::Causes;

#[test]
fn merge_as_a_set() {
    let both = Causes::EVENT | Causes::RETRY;
    assert!(both.contains(Causes::EVENT) && both.contains(Causes::RETRY) && !both.contains(Causes::TRIGGER));
    assert_eq!(both | Causes::EVENT, both);
    assert!(Causes::default().is_empty() && !both.is_empty());
}

#[test]
fn print_their_names() {
    assert_eq!(format!("{:?}", Causes::TRIGGER | Causes::EVENT), "{event, trigger}");
    assert_eq!(format!("{:?}", Causes::default()), "{}");
    assert_eq!((Causes::INITIAL | Causes::REPLAY).names().collect::<Vec<_>>(), ["replay", "initial"]);
}

#[test]
fn come_one_by_one_each_once() {
    let all = Causes::RETRY | Causes::EVENT | Causes::RETRY;
    assert_eq!(all.each().collect::<Vec<_>>(), [Causes::EVENT, Causes::RETRY]);
    assert_eq!(all.each().fold(Causes::default(), |union, one| union | one), all);
}
