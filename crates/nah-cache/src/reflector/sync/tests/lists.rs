//! What is asked for first, how pages follow each other, and what a list that fails does.

use super::*;

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
    assert_eq!(
        scope.effect,
        Some(Effect::Commit { items: Items::Listed(items), version: "10".into(), backwards: false })
    );
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
    assert_eq!(
        scope.effect,
        Some(Effect::Commit { items: Items::Listed(items), version: "12".into(), backwards: false })
    );
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
fn a_refresh_cuts_a_wait_short() // C23
{
    let mut scope = Scope::watching("10");
    scope.say(Input::OpenFailed(failure(Reason::Busy)));
    assert_eq!(scope.say(Input::Refresh), list(None, Some(500)));
}
