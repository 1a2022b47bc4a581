//! Lists that come as the beginning of a watch.

use super::*;

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
    assert_eq!(
        scope.effect,
        Some(Effect::Commit { items: Items::Listed(items), version: "39".into(), backwards: false })
    );
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
    assert_eq!(
        scope.effect,
        Some(Effect::Commit { items: Items::Listed(items), version: "4".into(), backwards: false })
    );
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
    assert_eq!(
        scope.effect,
        Some(Effect::Commit { items: Items::Listed(vec![]), version: "10".into(), backwards: false })
    );
}
