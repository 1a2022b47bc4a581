//! The state machine by tables, and against a small model of an API server.

use super::*;

mod model;

/// An item of a list, with its version.
#[derive(Clone, Debug, PartialEq)]
struct Thing(ObjectKey, u64);

impl Item for Thing {
    fn key(&self) -> &ObjectKey {
        &self.0
    }
}

fn thing(name: &str, version: u64) -> Thing {
    Thing(ObjectKey::from(("n", name)), version)
}

/// A stream that ended in good order.
const ENDED: Input<Thing> = Input::Ended { spoiled: false };

const T0: Duration = Duration::ZERO;

/// A scope, and what it was told last to do.
struct Scope {
    sync: Sync<Thing>,
    now: Duration,
    effect: Option<Effect<Thing>>,
    failed: Option<String>,
}

impl Scope {
    fn new(streaming: bool) -> Self {
        let sync = Sync::new(Rules { streaming, page: None });
        Self { sync, now: T0, effect: None, failed: None }
    }

    fn say(&mut self, input: Input<Thing>) -> Next {
        let step = self.sync.step(self.now, 0.0, input);
        self.effect = step.effect;
        self.failed = match step.mood {
            Some(Mood::Failed(failure)) => Some(failure.message),
            _ => None,
        };
        step.next
    }

    fn page(&mut self, items: Vec<Thing>, version: &str, next: Option<&str>) -> Next {
        self.say(Input::Page { items, version: version.into(), next: next.map(Into::into), compared: false })
    }

    fn event(&mut self, version: &str) -> Next {
        let change = Change::Upsert(thing("a", version.parse().unwrap()));
        self.say(Input::Event { change, added: false, version: Some(version.into()) })
    }

    fn bookmark(&mut self, version: &str, initial_end: bool) -> Next {
        self.say(Input::Bookmark { version: version.into(), initial_end })
    }

    fn after(&mut self, seconds: u64) -> &mut Self {
        self.now += Duration::from_secs(seconds);
        self
    }

    /// Listed at `version` and watching.
    fn watching(version: &str) -> Self {
        let mut scope = Self::new(false);
        scope.say(Input::Start);
        scope.page(vec![thing("a", 1)], version, None);
        assert_eq!(scope.say(Input::Opened), Next::Read);
        scope
    }
}

fn failure(reason: Reason) -> Failure {
    Failure { reason, ..Failure::other("no") }
}

fn list(version: Option<&str>, limit: Option<u32>) -> Next {
    Next::List { version: version.map(Into::into), limit, token: None }
}

fn open(version: &str) -> Next {
    Next::Open { version: Some(version.into()), initial: false, timeout: Duration::from_secs(300) }
}

fn stream(version: Option<&str>) -> Next {
    Next::Open { version: version.map(Into::into), initial: true, timeout: Duration::from_secs(300) }
}

fn wait(millis: u64) -> Next {
    Next::Wait(Duration::from_millis(millis))
}

// === list ===

#[test]
fn asks_first_for_whatever_there_is_in_pages() // C1
{
    assert_eq!(Scope::new(false).say(Input::Start), list(Some("0"), Some(500)));
}

#[test]
fn asks_first_for_the_highest_version_of_our_own_writes() // C1
{
    let mut scope = Scope::new(false);
    scope.sync.set_floor(Some("41".into()));
    assert_eq!(scope.say(Input::Start), list(Some("41"), None));
}

#[test]
fn pages_every_list_where_told_to() // C2
{
    let mut sync = Sync::<Thing>::new(Rules { streaming: false, page: Some(7) });
    sync.set_floor(Some("41".into()));
    assert_eq!(sync.step(T0, 0.0, Input::Start).next, list(Some("41"), Some(7)));
}

#[test]
fn follows_pages_without_a_version_and_keeps_that_of_the_first() // C2
{
    let mut scope = Scope::new(false);
    scope.say(Input::Start);
    let second = scope.page(vec![thing("a", 1)], "10", Some("t1"));
    assert_eq!(second, Next::List { version: None, limit: Some(500), token: Some("t1".into()) });
    assert_eq!(scope.effect, None);
    assert_eq!(scope.page(vec![thing("b", 2)], "11", None), open("10"));
    let items = vec![thing("a", 1), thing("b", 2)];
    assert_eq!(scope.effect, Some(Effect::Commit { items, version: "10".into(), backwards: false }));
}

#[test]
fn lists_in_one_piece_at_the_same_version_when_a_token_expires() // C3
{
    let mut scope = Scope::new(false);
    scope.say(Input::Start);
    scope.page(vec![thing("a", 1)], "10", Some("t1"));
    assert_eq!(scope.say(Input::ListFailed(failure(Reason::Expired))), list(Some("0"), None));
    assert_eq!(scope.page(vec![thing("b", 2)], "12", None), open("12"));
    // Nothing of the first attempt is left in it.
    let items = vec![thing("b", 2)];
    assert_eq!(scope.effect, Some(Effect::Commit { items, version: "12".into(), backwards: false }));
}

#[test]
fn relists_in_one_piece_not_older_than_what_was_seen() // C4
{
    let mut scope = Scope::watching("10");
    scope.event("20");
    assert_eq!(scope.say(Input::ErrorEvent(failure(Reason::Expired))), wait(800));
    assert_eq!(scope.say(Input::Waited), list(Some("20"), None));
}

#[test]
fn relists_in_pages_where_the_first_list_came_in_pages() // C4
{
    let mut scope = Scope::new(false);
    scope.say(Input::Start);
    scope.page(vec![], "10", Some("t1"));
    scope.page(vec![], "10", None);
    scope.say(Input::Opened);
    scope.say(Input::ErrorEvent(failure(Reason::Expired)));
    assert_eq!(scope.say(Input::Waited), list(Some("10"), Some(500)));
}

#[test]
fn asks_for_the_newest_at_once_when_its_version_is_gone_or_not_reached() // C5
{
    for reason in [Reason::Expired, Reason::TooLarge] {
        let mut scope = Scope::watching("10");
        scope.say(Input::ErrorEvent(failure(Reason::Expired)));
        assert_eq!(scope.say(Input::Waited), list(Some("10"), None));
        assert_eq!(scope.say(Input::ListFailed(failure(reason))), list(None, Some(500)));
        // The newest cannot be too old: now it waits.
        assert!(matches!(scope.say(Input::ListFailed(failure(reason))), Next::Wait(_)));
        assert_eq!(scope.say(Input::Waited), list(Some("10"), None));
    }
}

#[test]
fn keeps_what_is_known_when_a_list_fails() // C6, C13, C16, Q53
{
    let mut scope = Scope::watching("10");
    scope.say(Input::ErrorEvent(failure(Reason::Other)));
    for reason in [Reason::Other, Reason::Busy, Reason::Away, Reason::Unserved, Reason::Unsupported] {
        assert!(matches!(scope.say(Input::Waited), Next::List { .. }));
        assert!(matches!(scope.say(Input::ListFailed(failure(reason))), Next::Wait(_)), "{reason:?}");
        assert_eq!((scope.effect.take(), scope.failed.as_deref()), (None, Some("no")), "{reason:?}");
    }
}

#[test]
fn waits_longer_after_each_failure() // C23
{
    let mut scope = Scope::new(false);
    scope.say(Input::Start);
    for millis in [800, 1600, 3200, 6400] {
        assert_eq!(scope.say(Input::ListFailed(failure(Reason::Other))), wait(millis));
        scope.say(Input::Waited);
    }
}

#[test]
fn a_list_that_succeeds_before_a_watch_that_fails_does_not_shorten_the_waits() // C23, Q56
{
    let mut scope = Scope::new(false);
    scope.say(Input::Start);
    for millis in [800, 1600, 3200] {
        scope.page(vec![], "10", None);
        assert_eq!(scope.say(Input::OpenFailed(failure(Reason::Other))), wait(millis));
        scope.say(Input::Waited);
    }
}

// === watch ===

#[test]
fn draws_the_timeout_of_a_watch_between_five_and_ten_minutes() // C7
{
    for (chance, seconds) in [(0.0, 300), (0.5, 450), (0.9999, 599)] {
        assert_eq!(timeout(chance), Duration::from_secs(seconds));
    }
}

#[test]
fn reopens_from_the_last_version_when_a_watch_ends() // C8
{
    let mut scope = Scope::watching("10");
    assert_eq!(scope.after(400).say(ENDED), open("10"));
    assert_eq!(scope.failed, None);
    scope.say(Input::Opened);
    scope.event("20");
    // It was short, but it brought something.
    assert_eq!(scope.say(ENDED), open("20"));
}

#[test]
fn waits_before_it_reopens_a_watch_that_ended_at_once() // C9, Q54
{
    let mut scope = Scope::watching("10");
    assert_eq!(scope.say(ENDED), wait(800));
    assert_eq!(scope.say(Input::Waited), open("10"));
    scope.say(Input::Opened);
    assert_eq!(scope.bookmark("10", false), Next::Read);
    assert_eq!(scope.say(ENDED), wait(1600));
}

#[test]
fn lists_after_several_watches_in_a_row_that_brought_nothing() // C9, Q54
{
    let mut scope = Scope::watching("10");
    for _ in 0..3 {
        scope.say(ENDED);
        assert_eq!(scope.say(Input::Waited), open("10"));
        scope.say(Input::Opened);
    }
    scope.say(ENDED);
    assert_eq!(scope.say(Input::Waited), list(Some("10"), None));
}

#[test]
fn reopens_without_a_list_when_the_server_is_busy() // C10
{
    let mut scope = Scope::watching("10");
    scope.event("20");
    assert_eq!(scope.say(Input::ErrorEvent(failure(Reason::Busy))), wait(800));
    for millis in [1600, 3200, 6400, 12_800, 25_600, 30_000] {
        assert_eq!(scope.say(Input::Waited), open("20"));
        assert_eq!(scope.say(Input::OpenFailed(failure(Reason::Busy))), wait(millis));
    }
    assert_eq!(scope.say(Input::Waited), open("20"));
    assert_eq!(scope.say(Input::Opened), Next::Read);
}

#[test]
fn waits_as_long_as_a_busy_server_asks_for_up_to_a_minute() // C10
{
    for (asked, waited) in [(7, 7), (3600, 60)] {
        let mut scope = Scope::watching("10");
        let retry_after = Some(Duration::from_secs(asked));
        let failure = Failure { retry_after, ..failure(Reason::Busy) };
        assert_eq!(scope.say(Input::ErrorEvent(failure)), wait(waited * 1000));
    }
}

#[test]
fn lists_when_a_version_has_expired_at_open_or_in_the_stream() // C11
{
    let mut scope = Scope::watching("10");
    assert_eq!(scope.say(Input::ErrorEvent(failure(Reason::Expired))), wait(800));
    assert_eq!(scope.say(Input::Waited), list(Some("10"), None));
    assert_eq!(scope.page(vec![], "30", None), open("30"));
    assert_eq!(scope.say(Input::OpenFailed(failure(Reason::Expired))), wait(1600));
    assert_eq!(scope.say(Input::Waited), list(Some("30"), None));
}

#[test]
fn lists_after_any_other_error_of_a_watch() // C12, C13, Q53
{
    for reason in [Reason::Other, Reason::Unserved, Reason::Unsupported, Reason::TooLarge] {
        let mut scope = Scope::watching("10");
        scope.say(Input::ErrorEvent(failure(reason)));
        assert_eq!(scope.failed.as_deref(), Some("no"));
        assert!(matches!(scope.say(Input::Waited), Next::List { .. }));
        scope.page(vec![], "11", None);
        scope.say(Input::OpenFailed(failure(reason)));
        assert_eq!(scope.failed.as_deref(), Some("no"));
        assert!(matches!(scope.say(Input::Waited), Next::List { .. }));
    }
}

#[test]
fn moves_by_bookmarks_without_touching_objects() // C17
{
    let mut scope = Scope::watching("10");
    for version in ["20", "30", "40"] {
        assert_eq!(scope.bookmark(version, false), Next::Read);
        assert_eq!(scope.effect, Some(Effect::Bookmark(version.into())));
    }
    assert_eq!(scope.after(400).say(ENDED), open("40"));
}

#[test]
fn resumes_from_the_last_event_whatever_its_version() // C18
{
    let mut scope = Scope::watching("10");
    scope.event("55");
    scope.event("32");
    assert_eq!(scope.say(ENDED), open("32"));
}

#[test]
fn does_not_resume_from_objects_that_a_watch_without_a_version_adds() // C18
{
    for none in ["", "0"] {
        let mut scope = Scope::watching(none);
        let event =
            |added| Input::Event { change: Change::Upsert(thing("a", 7)), added, version: Some("7".into()) };
        scope.say(event(true));
        assert_eq!(scope.say(ENDED), open(none));
        scope.say(Input::Opened);
        scope.say(event(false));
        assert_eq!(scope.say(ENDED), open("7"));
    }
}

#[test]
fn goes_on_after_an_object_it_cannot_read() // C19
{
    let mut scope = Scope::watching("10");
    assert_eq!(scope.say(Input::Skipped { deleted: false, version: None }), Next::Read);
    assert_eq!(scope.say(ENDED), open("10"));
    scope.say(Input::Opened);
    assert_eq!(scope.say(Input::Skipped { deleted: false, version: Some("20".into()) }), Next::Read);
    assert_eq!(scope.say(ENDED), open("20"));
}

#[test]
fn lists_rather_than_lose_a_deletion_it_cannot_read() // C20, Q52
{
    let mut scope = Scope::watching("10");
    scope.say(Input::Skipped { deleted: true, version: Some("20".into()) });
    assert_eq!(scope.say(Input::Waited), list(Some("10"), None));
}

#[test]
fn asks_again_for_a_line_it_cannot_read_and_lists_in_the_end() // C19, C20, Q52
{
    let mut scope = Scope::watching("10");
    for _ in 0..3 {
        scope.say(Input::Garbled(failure(Reason::Other)));
        assert_eq!(scope.failed.as_deref(), Some("no"));
        assert_eq!(scope.say(Input::Waited), open("10"));
        scope.say(Input::Opened);
    }
    scope.say(Input::Garbled(failure(Reason::Other)));
    assert_eq!(scope.say(Input::Waited), list(Some("10"), None));
}

#[test]
fn forgets_its_failures_after_a_healthy_minute() // C23, Q56
{
    let mut scope = Scope::watching("10");
    scope.say(ENDED);
    scope.say(Input::Waited);
    scope.say(Input::Opened);
    assert_eq!(scope.after(61).say(Input::ErrorEvent(failure(Reason::Other))), wait(800));
}

#[test]
fn asks_for_the_newest_version_before_it_goes_on_with_a_server_that_was_away() // C10
{
    // A broken connection, or a server that cannot be reached: it may come back with an older history, and a watch
    // from a version that is still to come says nothing.
    let mut scope = Scope::watching("10");
    assert_eq!(scope.after(5).say(Input::Cut), Next::Probe);
    assert_eq!(scope.say(Input::Probed("12".into())), open("10"));
    scope.say(Input::Opened);
    scope.after(5).say(ENDED);
    assert_eq!(scope.say(Input::OpenFailed(failure(Reason::Away))), wait(800));
    assert_eq!(scope.say(Input::Waited), Next::Probe);
    assert_eq!(scope.say(Input::ListFailed(failure(Reason::Away))), wait(1600));
    assert_eq!(scope.say(Input::Waited), Next::Probe);
    assert_eq!(scope.say(Input::Probed("10".into())), open("10"));
    // Once is enough.
    scope.say(Input::Opened);
    assert_eq!(scope.after(5).say(ENDED), open("10"));
}

#[test]
fn opens_the_watch_where_the_newest_version_cannot_be_asked_for() // C10
{
    let mut scope = Scope::watching("10");
    scope.after(5).say(Input::Cut);
    assert_eq!(scope.say(Input::ListFailed(failure(Reason::Other))), open("10"));
}

#[test]
fn takes_everything_anew_when_the_server_came_back_with_an_older_history() // C4
{
    let mut scope = Scope::watching("10");
    scope.after(5).say(Input::Cut);
    assert_eq!(scope.say(Input::Probed("7".into())), list(None, Some(500)));
    assert!(scope.sync.is_anew(None));
    assert_eq!(scope.page(vec![], "7", None), open("7"));
    assert_eq!(scope.effect, Some(Effect::Commit { items: vec![], version: "7".into(), backwards: true }));
}

#[test]
fn looks_again_at_objects_it_could_not_read_but_more_and_more_seldom() // C20, Q52
{
    let mut scope = Scope::watching("10");
    let mut ends = Vec::new();
    for end in 1..=40 {
        match scope.after(400).say(Input::Ended { spoiled: true }) {
            Next::List { .. } => {
                ends.push(end);
                scope.page(vec![], "10", None);
            }
            next => assert_eq!(next, open("10")),
        }
        scope.say(Input::Opened);
    }
    assert_eq!(ends, [1, 3, 7, 15, 31]);
}

// === streaming list ===

#[test]
fn streams_the_first_list_where_the_server_may_know_how() // C21
{
    let mut scope = Scope::new(true);
    assert_eq!(scope.say(Input::Start), stream(Some("0")));
    scope.say(Input::Opened);
    for (name, version) in [("b", 39), ("a", 32)] {
        let change = Change::Upsert(thing(name, version));
        let input = Input::Event { change, added: true, version: Some(version.into()) };
        assert_eq!(scope.say(input), Next::Read);
        assert_eq!(scope.effect, None);
    }
    // A bookmark that does not end the initial events says nothing yet.
    assert_eq!(scope.bookmark("33", false), Next::Read);
    assert_eq!(scope.effect, None);
    assert_eq!(scope.bookmark("39", true), Next::Read);
    let items = vec![thing("a", 32), thing("b", 39)];
    assert_eq!(scope.effect, Some(Effect::Commit { items, version: "39".into(), backwards: false }));
    // The same stream goes on.
    scope.event("40");
    assert!(matches!(scope.effect, Some(Effect::Apply { .. })));
    assert_eq!(scope.say(ENDED), open("40"));
}

#[test]
fn takes_changes_and_deletions_into_a_list_that_is_still_streaming() // C21
{
    let mut scope = Scope::new(true);
    scope.say(Input::Start);
    scope.say(Input::Opened);
    for change in [
        Change::Upsert(thing("a", 1)),
        Change::Upsert(thing("b", 2)),
        Change::Upsert(thing("a", 3)),
        Change::Delete(thing("b", 4)),
    ] {
        scope.say(Input::Event { change, added: false, version: None });
    }
    scope.bookmark("4", true);
    let items = vec![thing("a", 3)];
    assert_eq!(scope.effect, Some(Effect::Commit { items, version: "4".into(), backwards: false }));
}

#[test]
fn lists_in_the_same_breath_where_streaming_does_not_work() // C22
{
    for reason in [Reason::Unsupported, Reason::Other, Reason::Unserved] {
        let mut scope = Scope::new(true);
        scope.say(Input::Start);
        assert_eq!(scope.say(Input::OpenFailed(failure(reason))), list(Some("0"), Some(500)), "{reason:?}");
        scope.page(vec![], "10", None);
        scope.say(Input::OpenFailed(failure(Reason::Expired)));
        let again = scope.say(Input::Waited);
        // Only "unsupported" is remembered.
        match reason {
            Reason::Unsupported => assert_eq!(again, list(Some("10"), None)),
            _ => assert_eq!(again, stream(Some("10"))),
        }
    }
}

#[test]
fn asks_a_busy_server_later_for_the_same_stream() // C22
{
    let mut scope = Scope::new(true);
    scope.say(Input::Start);
    assert_eq!(scope.say(Input::OpenFailed(failure(Reason::Busy))), wait(800));
    assert_eq!(scope.say(Input::Waited), stream(Some("0")));
}

#[test]
fn streams_the_newest_when_the_version_asked_for_is_gone_or_not_reached() // C22
{
    for reason in [Reason::Expired, Reason::TooLarge] {
        let mut scope = Scope::new(true);
        scope.sync.set_floor(Some("41".into()));
        assert_eq!(scope.say(Input::Start), stream(Some("41")));
        assert_eq!(scope.say(Input::OpenFailed(failure(reason))), stream(None));
        scope.say(Input::Opened);
        assert_eq!(scope.say(Input::ErrorEvent(failure(reason))), list(None, Some(500)));
    }
}

#[test]
fn discards_a_streamed_list_that_ended_too_soon() // C22
{
    let mut scope = Scope::new(true);
    scope.say(Input::Start);
    for _ in 0..3 {
        scope.say(Input::Opened);
        let change = Change::Upsert(thing("ghost", 1));
        scope.say(Input::Event { change, added: true, version: None });
        assert!(matches!(scope.say(ENDED), Next::Wait(_)));
        assert_eq!(scope.say(Input::Waited), stream(Some("0")));
    }
    scope.say(Input::Opened);
    assert_eq!(scope.say(ENDED), list(Some("0"), Some(500)));
    scope.page(vec![], "10", None);
    assert_eq!(scope.effect, Some(Effect::Commit { items: vec![], version: "10".into(), backwards: false }));
}

// === history ===

#[test]
fn notices_a_history_that_went_backwards() // C4
{
    let mut scope = Scope::watching("10");
    scope.event("50");
    scope.say(Input::ErrorEvent(failure(Reason::Expired)));
    assert_eq!(scope.say(Input::Waited), list(Some("50"), None));
    assert_eq!(scope.say(Input::ListFailed(failure(Reason::TooLarge))), list(None, Some(500)));
    assert!(!scope.sync.is_anew(Some(&"50".into())));
    assert!(scope.sync.is_anew(Some(&"20".into())));
    assert_eq!(scope.page(vec![], "20", None), open("20"));
    assert_eq!(scope.effect, Some(Effect::Commit { items: vec![], version: "20".into(), backwards: true }));
    // From here on, the new history counts.
    scope.say(Input::OpenFailed(failure(Reason::Expired)));
    assert_eq!(scope.say(Input::Waited), list(Some("20"), None));
}

#[test]
fn streams_a_second_time_when_history_turns_out_to_have_gone_backwards() // C21
{
    let mut scope = Scope::new(true);
    scope.say(Input::Start);
    scope.say(Input::Opened);
    scope.bookmark("50", true);
    scope.say(Input::ErrorEvent(failure(Reason::TooLarge)));
    assert_eq!(scope.say(Input::Waited), stream(Some("50")));
    scope.say(Input::OpenFailed(failure(Reason::TooLarge)));
    scope.say(Input::Opened);
    // Items so far may have been left out as unchanged.
    assert_eq!(scope.bookmark("20", true), stream(None));
    assert_eq!(scope.effect, None);
    assert!(scope.sync.is_anew(None));
    scope.say(Input::Opened);
    scope.bookmark("20", true);
    assert_eq!(scope.effect, Some(Effect::Commit { items: vec![], version: "20".into(), backwards: true }));
    assert!(!scope.sync.is_anew(None));
}

#[test]
fn lists_again_where_the_version_of_another_history_came_behind_its_items() // C4
{
    let mut scope = Scope::watching("10");
    scope.say(Input::ErrorEvent(failure(Reason::Expired)));
    assert_eq!(scope.say(Input::Waited), list(Some("10"), None));
    let page =
        |compared| Input::Page { items: vec![thing("a", 1)], version: "5".into(), next: None, compared };
    assert_eq!(scope.say(page(true)), list(None, Some(500)));
    assert_eq!(scope.effect, None);
    scope.say(page(false));
    let items = vec![thing("a", 1)];
    assert_eq!(scope.effect, Some(Effect::Commit { items, version: "5".into(), backwards: true }));
    assert_eq!(scope.sync.cause(), ListCause::Backwards);
}

#[test]
fn a_page_that_is_followed_by_itself_is_a_failure() // C6
{
    let mut scope = Scope::new(false);
    scope.say(Input::Start);
    scope.page(vec![thing("a", 1)], "10", Some("t"));
    scope.page(vec![thing("b", 1)], "10", Some("t"));
    assert_eq!((scope.effect, scope.failed.is_some()), (None, true));
}

#[test]
fn after_a_breakdown_everything_is_taken_anew_and_nothing_older() // C4, C6
{
    let mut scope = Scope::new(false);
    scope.sync.recover(Some("30".into()));
    assert_eq!(scope.say(Input::Start), list(Some("30"), None));
    assert!(scope.sync.is_anew(None));
    scope.page(vec![thing("a", 1)], "31", None);
    assert_eq!(scope.sync.cause(), ListCause::Panicked);
    assert!(!scope.sync.is_anew(None));
}

#[test]
fn takes_everything_anew_when_asked_to() // C4
{
    let mut scope = Scope::watching("10");
    assert_eq!(scope.say(Input::Refresh), list(None, Some(500)));
    assert!(scope.sync.is_anew(None));
    // Until a list is complete.
    scope.say(Input::ListFailed(failure(Reason::Other)));
    scope.say(Input::Waited);
    assert!(scope.sync.is_anew(None));
    scope.page(vec![], "11", None);
    assert!(!scope.sync.is_anew(None));
}

#[test]
fn a_refresh_cuts_a_wait_short() // C23
{
    let mut scope = Scope::watching("10");
    scope.say(Input::OpenFailed(failure(Reason::Busy)));
    assert_eq!(scope.say(Input::Refresh), list(None, Some(500)));
}

#[test]
fn an_answer_out_of_step_ends_in_a_list() {
    let mut scope = Scope::new(false);
    scope.say(Input::Start);
    assert!(matches!(scope.event("7"), Next::Wait(_)));
    assert_eq!(scope.effect, None);
    assert_eq!(scope.say(Input::Waited), list(Some("0"), Some(500)));
}
