//! Causes with the first time each was asked for.

use std::time::Duration;

use nah_core::Causes;
use nah_watch::Asked;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn each_cause_is_there_once_with_its_first_time() {
    let asked = Asked::default()
        .with(Causes::RETRY, SECOND)
        .with(Causes::EVENT, SECOND)
        .with(Causes::EVENT, 3 * SECOND)
        .with(Causes::EVENT, 2 * SECOND);
    assert_eq!(asked.ages().collect::<Vec<_>>(), [(Causes::EVENT, 3 * SECOND), (Causes::RETRY, SECOND)]);
    assert_eq!(asked.age(Causes::EVENT), Some(3 * SECOND));
    assert_eq!(asked.age(Causes::EVENT | Causes::RETRY), Some(3 * SECOND));
    assert_eq!(asked.age(Causes::TRIGGER), None);
}

#[test]
fn every_cause_has_its_place() {
    let mut asked = Asked::default();
    for (at, cause) in (1..).zip(Causes::all().each()) {
        asked = asked.with(cause, at * SECOND);
    }
    let ages: Vec<_> = (1..).map(|at| at * SECOND).zip(Causes::all().each()).collect();
    assert_eq!(asked.ages().map(|(cause, age)| (age, cause)).collect::<Vec<_>>(), ages);
}

#[test]
fn a_change_made_by_hand_was_asked_for_right_now() {
    let causes = Causes::TRIGGER | Causes::RESYNC;
    let change = Change::<Pod>::of(pod("a")).unwrap().caused_by(causes);
    assert_eq!(change.asked, Asked::from(causes));
    assert_eq!(change.asked.age(Causes::RESYNC), Some(Duration::ZERO));
    let back = change.erase().unwrap().decode::<Pod>().unwrap().clone();
    assert_eq!(back.asked, Asked::from(causes));
}
