//! A server that went back in time, and everything that is taken anew.

use super::*;

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
    assert_eq!(
        scope.effect,
        Some(Effect::Commit { items: Items::Listed(vec![]), version: "20".into(), backwards: true })
    );
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
    assert_eq!(
        scope.effect,
        Some(Effect::Commit { items: Items::Listed(vec![]), version: "20".into(), backwards: true })
    );
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
    assert_eq!(
        scope.effect,
        Some(Effect::Commit { items: Items::Listed(items), version: "5".into(), backwards: true })
    );
    assert_eq!(scope.sync.cause(), ListCause::Backwards);
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
fn an_answer_out_of_step_ends_in_a_list() {
    let mut scope = Scope::new(false);
    scope.say(Input::Start);
    assert!(matches!(scope.event("7"), Next::Wait(_)));
    assert_eq!(scope.effect, None);
    assert_eq!(scope.say(Input::Waited), list(Some("0"), Some(500)));
}

#[test]
fn takes_everything_anew_when_the_server_came_back_with_an_older_history() // C4
{
    let mut scope = Scope::watching("10");
    scope.after(5).say(Input::Cut);
    assert_eq!(scope.say(Input::Probed("7".into())), list(None, Some(500)));
    assert!(scope.sync.is_anew(None));
    assert_eq!(scope.page(vec![], "7", None), open("7"));
    assert_eq!(
        scope.effect,
        Some(Effect::Commit { items: Items::Listed(vec![]), version: "7".into(), backwards: true })
    );
}
