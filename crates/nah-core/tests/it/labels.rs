//! Labels are sorted and looked up by name.

use nah_core::Labels;

#[test]
fn are_found_by_name() {
    let labels: Labels = [("tier", "front"), ("app", "web")].into_iter().collect();
    assert_eq!(
        (labels.get("app"), labels.get("tier"), labels.get("none")),
        (Some("web"), Some("front"), None)
    );
    assert_eq!(labels.iter().collect::<Vec<_>>(), [("app", "web"), ("tier", "front")]);
    assert_eq!((labels.iter().len(), labels.is_empty(), Labels::default().is_empty()), (2, false, true));
}

#[test]
fn keep_the_last_of_two_values() {
    let labels: Labels = [("app", "a"), ("app", "b")].into_iter().collect();
    assert_eq!(labels.iter().collect::<Vec<_>>(), [("app", "b")]);
}
