//! Single facts that the model meets seldom or never.

use std::time::Duration;

use nah_core::{GroupVersionKind, Object, ObjectKey, Uid};
use tokio::time::Instant;

use crate::overlay::{Held, Limits, Look, Overlay, Said};

struct Bench {
    overlay: Overlay,
    now: Instant,
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::from(("n", name))
}

fn object(name: &str, uid: &str, version: &str) -> Object {
    let gvk = GroupVersionKind::gvk("", "v1", "ConfigMap");
    let json = format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"n","uid":"{uid}","resourceVersion":"{version}"}}}}"#
    );
    Object::from_json(&gvk, json.into_bytes()).unwrap()
}

fn held(uid: &str, version: u64) -> Held {
    Held { uid: Some(Uid::from(uid)), version }
}

impl Bench {
    fn new(limits: Limits) -> Self {
        let mut bench = Self { overlay: Overlay::new(limits), now: Instant::now() };
        bench.overlay.list(bench.now, None, &[], Some(10), false, |_| None);
        bench
    }

    fn say(&mut self, name: &str, said: Said, held: Option<&Held>) {
        let sent = self.overlay.send(Some(&key(name)), held);
        self.overlay.answer(self.now, &sent, &key(name), said, held, true);
    }

    fn wrote(&mut self, name: &str, uid: &str, version: &str) {
        self.say(name, Said::Whole { object: object(name, uid, version), in_scope: true }, None);
    }

    fn gone(&mut self, name: &str, uid: &str, version: u64) {
        let said = Said::Gone { uid: Some(Uid::from(uid)), known: 0 };
        self.say(name, said, Some(&held(uid, version)));
    }

    fn event(&mut self, version: Option<u64>) {
        self.overlay.event(self.now, None, &[], version, |_| None);
    }

    fn look(&self, name: &str) -> Look {
        self.overlay.look(&key(name), 0)
    }

    fn hides(&self, uid: &str) -> bool {
        self.overlay.hides(Some(&Uid::from(uid)))
    }
}

fn few() -> Limits {
    Limits { entries: 3, recent: 2, age: Duration::from_secs(600) }
}

#[test]
fn an_entry_counts_only_above_what_is_observed() // F41
{
    let mut bench = Bench::new(Limits::default());
    bench.wrote("a", "u", "10");
    assert!(matches!(bench.look("a"), Look::Cache));
    bench.wrote("a", "u", "12");
    assert!(matches!(bench.look("a"), Look::Present(_, 12)));
    assert!(matches!(bench.overlay.look(&key("a"), 12), Look::Cache));
    bench.event(Some(12));
    assert!(bench.overlay.is_empty());
}

#[test]
fn versions_compare_as_numbers() // F42, Q7
{
    let mut bench = Bench::new(Limits::default());
    bench.event(Some(99));
    bench.wrote("a", "u", "100");
    assert!(matches!(bench.look("a"), Look::Present(_, 100)));
    bench.wrote("a", "u", "1000");
    assert!(matches!(bench.look("a"), Look::Present(_, 1000)));
    bench.wrote("a", "u", "999");
    assert!(matches!(bench.look("a"), Look::Present(_, 1000)));
}

#[test]
fn a_version_that_is_no_number_leaves_the_cache_alone() // F42, Q7
{
    let mut bench = Bench::new(Limits::default());
    bench.wrote("a", "u", "v12");
    bench.wrote("a", "u", "");
    assert!(bench.overlay.is_empty());
}

#[test]
fn a_late_answer_does_not_bring_back_what_is_gone() // F46, Q3
{
    let mut bench = Bench::new(Limits::default());
    let late = bench.overlay.send(Some(&key("a")), Some(&held("u", 9)));
    bench.gone("a", "u", 9);
    let said = Said::Whole { object: object("a", "u", "11"), in_scope: true };
    bench.overlay.answer(bench.now, &late, &key("a"), said, Some(&held("u", 9)), true);
    assert!(!matches!(bench.look("a"), Look::Present(..)));
    assert!(bench.hides("u"));
}

#[test]
fn a_tombstone_ends_with_the_event_that_reports_it() // F45, Q4
{
    let mut bench = Bench::new(Limits::default());
    bench.gone("a", "u", 9);
    assert!(bench.hides("u"));
    bench.overlay.event(bench.now, None, &[(key("a"), Some(Uid::from("u")))], Some(11), |_| None);
    assert!(!bench.hides("u"));
    assert!(bench.overlay.is_empty());
}

#[test]
fn no_tombstone_is_set_for_what_the_informer_has_seen_go() {
    let mut bench = Bench::new(Limits::default());
    bench.overlay.event(bench.now, None, &[(key("a"), Some(Uid::from("u")))], Some(11), |_| None);
    bench.say("a", Said::Gone { uid: Some(Uid::from("u")), known: 0 }, None);
    assert!(bench.overlay.is_empty());
}

#[test]
fn a_tombstone_of_unknown_version_ends_by_age() {
    let mut bench = Bench::new(Limits::default());
    bench.say("a", Said::Gone { uid: Some(Uid::from("u")), known: 0 }, None);
    bench.now += Duration::from_secs(599);
    bench.event(Some(11));
    assert!(bench.hides("u"));
    bench.now += Duration::from_secs(100);
    bench.event(Some(12));
    assert!(bench.overlay.is_empty());
}

#[test]
fn a_doubt_ends_with_a_request_that_was_sent_after_it() {
    let mut bench = Bench::new(Limits::default());
    let early = bench.overlay.send(Some(&key("a")), None);
    bench.say("a", Said::Unknown, None);
    assert!(matches!(bench.look("a"), Look::Unsure));
    // Its answer may be older than what the lost write did.
    let said = |version| Said::Whole { object: object("a", "u", version), in_scope: true };
    bench.overlay.answer(bench.now, &early, &key("a"), said("12"), None, true);
    assert!(matches!(bench.look("a"), Look::Unsure));
    bench.say("a", said("13"), None);
    assert!(matches!(bench.look("a"), Look::Present(_, 13)));
}

#[test]
fn a_part_of_an_object_is_asked_for_until_the_informer_has_seen_it() // Q8
{
    let mut bench = Bench::new(Limits::default());
    bench.wrote("a", "u", "11");
    bench.say("a", Said::Part { uid: Some(Uid::from("u")), version: 12 }, None);
    assert!(matches!(bench.look("a"), Look::Unsure));
    bench.event(Some(12));
    assert!(bench.overlay.is_empty());
}

#[test]
fn what_was_seen_in_part_is_known_to_be_gone() // F45
{
    let mut bench = Bench::new(Limits::default());
    bench.say("a", Said::Part { uid: Some(Uid::from("u")), version: 12 }, None);
    bench.say("a", Said::Gone { uid: None, known: 0 }, None);
    assert!(matches!(bench.look("a"), Look::Absent(12)));
    assert!(bench.hides("u"));
}

#[test]
fn an_answer_to_a_request_from_before_ends_no_doubt() // F40
{
    let mut bench = Bench::new(Limits::default());
    bench.say("a", Said::Unknown, None);
    let said = Said::Part { uid: Some(Uid::from("u")), version: 9 };
    bench.overlay.answer_late(bench.now, &key("a"), said, None, true);
    assert!(matches!(bench.look("a"), Look::Unsure));
}

#[test]
fn a_list_shows_the_last_known_write_under_a_doubt() {
    let mut bench = Bench::new(Limits::default());
    bench.wrote("a", "u", "12");
    bench.say("a", Said::Unknown, None);
    assert_eq!(bench.overlay.changes(None, |_| 0).present.len(), 1);
}

#[test]
fn a_doubt_that_nobody_resolves_ends_by_age() {
    let mut bench = Bench::new(Limits::default());
    bench.say("a", Said::Unknown, None);
    bench.now += Duration::from_secs(700);
    bench.event(None);
    assert!(bench.overlay.is_empty());
}

#[test]
fn the_oldest_objects_become_doubts_when_there_are_too_many() // Q6
{
    let mut bench = Bench::new(few());
    for (at, name) in ["a", "b", "c", "d", "e"].iter().enumerate() {
        bench.wrote(name, name, &(11 + at).to_string());
    }
    assert!(matches!(bench.look("a"), Look::Unsure));
    assert!(matches!(bench.look("b"), Look::Unsure));
    assert!(matches!(bench.look("c"), Look::Present(..)));
    // They end as the objects would have.
    bench.event(Some(15));
    assert!(bench.overlay.is_empty());
}

#[test]
fn nothing_grows_without_a_bound() // Q6
{
    let mut bench = Bench::new(few());
    for n in 0..100 {
        let name = format!("x{n}");
        bench.wrote(&name, &name, &(11 + n).to_string());
        bench.say(&format!("y{n}"), Said::Unknown, None);
        bench.now += Duration::from_millis(1);
        bench.say(&format!("z{n}"), Said::Gone { uid: Some(Uid::from(&*name)), known: 0 }, None);
    }
    let changes = bench.overlay.changes(None, |_| 0);
    assert!(changes.present.len() <= 3, "{}", changes.present.len());
    assert!(changes.hidden.len() <= 3, "{}", changes.hidden.len());
    let unsure = (0..100).filter(|n| matches!(bench.look(&format!("y{n}")), Look::Unsure)).count();
    assert!(unsure <= 3, "{unsure}");
}

#[test]
fn a_history_that_goes_back_clears_everything() {
    let mut bench = Bench::new(Limits::default());
    let late = bench.overlay.send(Some(&key("c")), None);
    bench.wrote("a", "u", "12");
    bench.gone("b", "v", 9);
    bench.overlay.list(bench.now, None, &[], Some(5), true, |_| None);
    assert!(bench.overlay.is_empty());
    // An answer from before says nothing of what is now.
    let said = Said::Whole { object: object("c", "w", "13"), in_scope: true };
    bench.overlay.answer(bench.now, &late, &key("c"), said, None, true);
    assert!(matches!(bench.look("c"), Look::Unsure));
}

#[test]
fn scopes_have_clocks_of_their_own() {
    let mut bench = Bench { overlay: Overlay::new(Limits::default()), now: Instant::now() };
    bench.overlay.list(bench.now, Some("n"), &[], Some(10), false, |_| None);
    bench.overlay.list(bench.now, Some("m"), &[], Some(10), false, |_| None);
    bench.wrote("a", "u", "12");
    bench.overlay.event(bench.now, Some("m"), &[], Some(50), |_| None);
    assert!(matches!(bench.look("a"), Look::Present(..)));
    bench.overlay.event(bench.now, Some("n"), &[], Some(12), |_| None);
    assert!(bench.overlay.is_empty());
}

#[test]
fn a_namespace_that_leaves_the_cache_takes_its_entries_along() {
    let mut bench = Bench { overlay: Overlay::new(Limits::default()), now: Instant::now() };
    bench.overlay.list(bench.now, Some("n"), &[], Some(10), false, |_| None);
    bench.wrote("a", "u", "12");
    bench.overlay.event(bench.now, Some("n"), &[(key("a"), Some(Uid::from("u")))], None, |_| None);
    assert!(bench.overlay.is_empty());
}

#[test]
fn without_an_informer_only_what_is_gone_is_kept() {
    let mut bench = Bench { overlay: Overlay::new(Limits::default()), now: Instant::now() };
    let sent = bench.overlay.send(Some(&key("a")), None);
    let said = Said::Whole { object: object("a", "u", "12"), in_scope: true };
    bench.overlay.answer(bench.now, &sent, &key("a"), said, None, false);
    assert!(bench.overlay.is_empty());
    let said = Said::Gone { uid: Some(Uid::from("u")), known: 12 };
    bench.overlay.answer(bench.now, &sent, &key("a"), said, None, false);
    assert!(bench.hides("u"));
    // The first list may be of a moment before it went.
    bench.overlay.list(bench.now, None, &[], Some(12), false, |_| Some(held("u", 12)));
    assert!(bench.hides("u"));
    bench.overlay.event(bench.now, None, &[(key("a"), Some(Uid::from("u")))], Some(13), |_| None);
    assert!(bench.overlay.is_empty());
}

#[test]
fn what_a_write_takes_out_of_the_selection_is_absent() // Q11
{
    let mut bench = Bench::new(Limits::default());
    let said = Said::Whole { object: object("a", "u", "12"), in_scope: false };
    bench.say("a", said, Some(&held("u", 9)));
    assert!(matches!(bench.look("a"), Look::Absent(12)));
    bench.event(Some(12));
    assert!(bench.overlay.is_empty());
}

#[test]
fn an_older_object_of_that_name_does_not_show_after_a_deletion() {
    let mut bench = Bench::new(Limits::default());
    bench.say("a", Said::Gone { uid: Some(Uid::from("u2")), known: 14 }, None);
    // The cache is as far as the object before the one that was deleted.
    assert!(matches!(bench.look("a"), Look::Absent(14)));
}

#[test]
fn a_missing_object_of_another_name_lately_cached_is_asked_for_again() {
    let mut bench = Bench::new(Limits::default());
    let sent = bench.overlay.send(Some(&key("a")), None);
    let said = Said::Gone { uid: None, known: 0 };
    bench.overlay.answer(bench.now, &sent, &key("a"), said, Some(&held("new", 10)), true);
    assert!(matches!(bench.look("a"), Look::Unsure));
}
