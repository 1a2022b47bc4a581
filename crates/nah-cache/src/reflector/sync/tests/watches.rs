//! Where a watch goes on, and after what there is a list again.

use super::*;

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
fn looks_again_at_objects_it_could_not_read_but_more_and_more_seldom() // C20, Q52
{
    let mut scope = Scope::watching("10");
    let mut ends = Vec::new();
    for end in 1..=50 {
        match scope.after(400).say(Input::Ended { spoiled: true }) {
            Next::List { .. } => {
                ends.push(end);
                scope.page(vec![], "10", None);
            }
            next => assert_eq!(next, open("10")),
        }
        scope.say(Input::Opened);
    }
    assert_eq!(ends, [1, 3, 7, 15, 31, 47], "at last one of sixteen");
}
