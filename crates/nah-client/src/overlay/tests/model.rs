//! A model: a server with a history, a kind in two versions with an informer each that lags and lists again, writes of
//! every sort whose answers come late, out of order or never, readers that are overtaken, other writers, a backup that
//! is restored. What `ARCHITECTURE.md` promises of reads is checked after every step. `PROPTEST_CASES` sets how many
//! histories; a failing one is printed, shrunk.

mod client;
mod kind;
mod op;
mod promise;
mod server;

use std::time::Duration;

use proptest::{
    prelude::*,
    test_runner::{RngAlgorithm, TestCaseResult, TestError, TestRng, TestRunner},
};

use crate::overlay::quirk::{self, Quirk};
use client::Client;
use op::{Op, op};
use server::NAMES;

/// How many histories are tried where nobody says otherwise; `cargo xtask ci` says 10,000.
const HISTORIES: u32 = 2_000;
/// A quirk that is put in must be found within so many.
const BITES_WITHIN: u32 = 500;

type History = (bool, bool, Vec<Op>);

fn history() -> impl Strategy<Value = History> {
    (prop::bool::weighted(0.7), any::<bool>(), prop::collection::vec(op(), 1..80))
}

/// Plays a history and checks what is promised after every step of it, and in the end that nothing is left.
fn play(history: &History) -> TestCaseResult {
    let mut client = keeps_its_promises(history)?;
    // What has no version that a list could end it by ends by age.
    client.now += Duration::from_secs(3_600);
    for kind in client.kinds.iter_mut().filter(|kind| kind.exists) {
        kind.bookmark(&client.server, client.now);
        prop_assert!(kind.overlay.is_empty(), "left: {:?}", kind.overlay);
    }
    Ok(())
}

fn keeps_its_promises((synced, selective, ops): &History) -> Result<Client, TestCaseError> {
    let mut client = Client::new(*synced, *selective);
    for (at, op) in ops.iter().enumerate() {
        client.run(op);
        if let Err(error) = client.check(op) {
            return Err(TestCaseError::fail(format!("after step {at}, {op:?}: {error}")));
        }
    }
    client.quiet();
    client.check(&Op::Bookmark(0)).map_err(TestCaseError::fail)?;
    for kind in client.kinds.iter().filter(|kind| kind.exists) {
        for name in NAMES {
            let truth = client.server.objects.get(name).filter(|object| object.scoped).cloned();
            let view = kind.get(name);
            if view.as_ref() != Some(&truth) {
                return Err(TestCaseError::fail(format!(
                    "in the end shows {view:?}, and there is {truth:?}"
                )));
            }
        }
    }
    Ok(client)
}

fn runner(cases: u32, seed: Option<u64>) -> TestRunner {
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: if seed.is_some() { 0 } else { 10_000 },
        ..ProptestConfig::default()
    };
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    let rng = TestRng::from_seed(RngAlgorithm::default(), &seed.to_le_bytes().repeat(4));
    TestRunner::new_with_rng(config, rng)
}

/// Half of the histories on each of two threads.
#[test]
fn reads_are_never_older_than_own_writes() // F40, F41, F44, F46, F47, F48, Q2, Q3, Q4, Q5, Q9, Q11
{
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let cases = asked.unwrap_or(HISTORIES).div_ceil(2);
    let half = || runner(cases, None).run(&history(), |history| play(&history));
    std::thread::scope(|scope| {
        for half in [scope.spawn(half), scope.spawn(half)] {
            match half.join().unwrap() {
                Err(TestError::Fail(reason, (synced, selective, ops))) => {
                    let ops: String = ops.iter().map(|op| format!("\n  {op:?}")).collect();
                    panic!("{reason}\nsynced {synced}, selective {selective}{ops}");
                }
                played => played.unwrap(),
            }
        }
    });
}

/// With a quirk put in, one of few histories must break a promise, and must not without it.
fn bites(quirk: Quirk) {
    let caught = caught(quirk, |history| keeps_its_promises(history).map(drop));
    assert!(keeps_its_promises(&caught).is_ok(), "found without {quirk:?}");
}

fn caught(quirk: Quirk, play: impl Fn(&History) -> TestCaseResult) -> History {
    quirk::set(Some(quirk));
    let played = runner(BITES_WITHIN, Some(7)).run(&history(), |history| play(&history));
    quirk::set(None);
    match played {
        Err(TestError::Fail(reason, history)) => {
            println!("{quirk:?}: {reason}");
            history
        }
        other => panic!("{quirk:?} was not found: {other:?}"),
    }
}

#[test]
fn finds_a_read_under_another_key() // Q1
{
    bites(Quirk::WrongKey);
}

#[test]
fn finds_an_overlay_that_ends_do_not_reach() // Q2
{
    bites(Quirk::DeafToEnds);
}

#[test]
fn finds_that_the_last_answer_wins() // Q3
{
    bites(Quirk::LastAnswerWins);
}

#[test]
fn finds_that_deletions_are_forgotten() // Q4
{
    bites(Quirk::NoTombstones);
}

#[test]
fn finds_lists_that_disagree_with_get() // Q5
{
    bites(Quirk::BlindLists);
}

#[test]
fn finds_what_stays_after_the_cache_has_caught_up() // Q6
{
    let caught = caught(Quirk::NoEviction, play);
    assert!(play(&caught).is_ok());
}

#[test]
fn finds_versions_that_compare_as_texts() // Q7
{
    bites(Quirk::Texts);
}

#[test]
fn finds_a_part_taken_for_the_whole() // Q8
{
    bites(Quirk::AnyForm);
}

#[test]
fn finds_writes_that_leave_no_trace() // Q9
{
    bites(Quirk::ManyUnrecorded);
    bites(Quirk::SubresourcesUnrecorded);
}

#[test]
fn finds_a_dry_run_taken_for_a_write() // Q9
{
    bites(Quirk::DryRunsRecorded);
}

/// An eviction has no version that would keep the first list of another version of the kind from being older.
#[test]
fn what_was_evicted_is_doubted_in_a_version_first_read_later() // F40
{
    use op::{Request, Wish};
    let spec = server::Spec { fin: false, spec_fin: true, scoped: false, picked: false, data: 0 };
    let ops = vec![
        Op::Other(Wish::As(Request::Create(0, spec))),
        Op::Send { request: Wish::As(Request::Evict(0)), through: 0, dry: false },
        Op::Process(0),
        Op::Answer(0),
        Op::List(1, 0),
        Op::Listed(1, false),
    ];
    keeps_its_promises(&(false, false, ops)).unwrap();
}

/// An eviction names no uid; where the cache has not seen the object yet, nothing of a 404 that follows can be kept, and
/// the state from before the eviction is shown once the cache comes to it.
#[test]
#[ignore = "fails: the overlay keeps nothing of a 404 where it has held no uid"]
fn what_was_evicted_unseen_and_is_gone_does_not_come_back() {
    use op::{Request, Wish};
    let spec = |fin| server::Spec { fin, spec_fin: false, scoped: true, picked: false, data: 0 };
    let send = |wish| Op::Send { request: wish, through: 0, dry: false };
    let ops = vec![
        Op::Other(Wish::As(Request::Apply(1, spec(true)))),
        send(Wish::As(Request::Evict(1))),
        Op::Process(0),
        Op::Answer(0),
        send(Wish::As(Request::Patch(1, spec(false)))),
        Op::Other(Wish::Put(1, spec(false))),
        Op::Process(0),
        Op::Answer(0),
        Op::Step(0, false),
    ];
    keeps_its_promises(&(true, false, ops)).unwrap();
}
