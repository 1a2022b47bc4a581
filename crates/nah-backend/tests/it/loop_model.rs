//! The whole loop against a model: events, triggers, delays, failures, panics, late callbacks, pauses and the end.

mod key;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use k8s_openapi::api::core::v1::ConfigMap;
use nah_backend::{
    KindOptions, KubeBackend,
    core::Causes,
    prelude::*,
    trigger::{Backoff, QueueOptions},
    watch::{CallbackResult, Ignore, Outcome, Terminal},
};
use nah_testing::ApiServer;
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

use self::key::{Fate, Input, Millis, Run, Script, Verdict, fate};
use crate::ground::{map, map_with};

const KEYS: usize = 4;
/// Longer than eight failures in a row keep a key busy.
const QUIET: Millis = 600_000;

/// What the test does, one after the other.
#[derive(Clone, Copy, Debug)]
enum Act {
    Write(usize),
    Delete(usize),
    Trigger(usize, Millis),
    Cancel(usize),
    Register,
    Unregister,
    Pause,
    Start,
}

fn act() -> impl Strategy<Value = Act> {
    let key = 0..KEYS;
    prop_oneof![
        6 => key.clone().prop_map(Act::Write),
        2 => key.clone().prop_map(Act::Delete),
        3 => key.clone().prop_map(|key| Act::Trigger(key, 0)),
        5 => (key.clone(), 1u64..5_000).prop_map(|(key, delay)| Act::Trigger(key, delay)),
        1 => key.prop_map(Act::Cancel),
        1 => Just(Act::Register),
        1 => Just(Act::Unregister),
        1 => Just(Act::Pause),
        2 => Just(Act::Start),
    ]
}

/// Acts, and how long to wait after each.
fn acts() -> impl Strategy<Value = Vec<(Act, Millis)>> {
    prop::collection::vec((act(), prop_oneof![1u64..40, 1u64..4_000]), 1..60)
}

fn scripts() -> impl Strategy<Value = Vec<Script>> {
    let verdict = prop_oneof![
        3 => Just(Verdict::Succeed),
        4 => Just(Verdict::Fail),
        1 => Just(Verdict::Panic),
        1 => Just(Verdict::GiveUp),
        1 => Just(Verdict::Ignore),
        2 => (1u64..3_000).prop_map(Verdict::Requeue),
    ];
    let run = (prop_oneof![1u64..60, 1u64..3_000], verdict);
    prop::collection::vec(prop::collection::vec(run, 0..9), KEYS)
}

/// What a callback was told, and when.
#[derive(Clone, Debug)]
struct Told {
    key: usize,
    run: Run,
    end: Millis,
    waited: Millis,
    /// It may have waited in the background, behind what is fresh.
    background: bool,
    version: Option<String>,
}

/// The callback, which does as its script says, and what it saw.
struct Stage {
    start: Instant,
    scripts: Vec<Script>,
    told: Mutex<Vec<Told>>,
    inside: Mutex<HashSet<usize>>,
    overlaps: Mutex<usize>,
}

impl Stage {
    fn now(&self) -> Millis {
        self.start.elapsed().as_millis() as Millis
    }

    fn enter(&self, change: &Change<ConfigMap>) -> (usize, Millis, Verdict) {
        let key: usize = change.key.name()["m-".len()..].parse().unwrap();
        let mut told = self.told.lock().unwrap();
        let calls = told.iter().filter(|told| told.key == key).count();
        let (takes, verdict) = self.scripts[key].get(calls).copied().unwrap_or((1, Verdict::Succeed));
        let now = self.now();
        told.push(Told {
            key,
            run: Run { at: now, failures: change.failures },
            end: now + takes,
            waited: change.waited.as_millis() as Millis,
            background: [Causes::INITIAL, Causes::REPLAY].iter().any(|cause| change.causes.contains(*cause)),
            version: change.object.as_ref().and_then(|map| map.metadata.resource_version.clone()),
        });
        if !self.inside.lock().unwrap().insert(key) {
            *self.overlaps.lock().unwrap() += 1;
        }
        (key, takes, verdict)
    }

    async fn run(self: Arc<Self>, change: Change<ConfigMap>) -> CallbackResult<Outcome> {
        let (key, takes, verdict) = self.enter(&change);
        sleep(Duration::from_millis(takes)).await;
        self.inside.lock().unwrap().remove(&key);
        match verdict {
            Verdict::Succeed => Ok(Outcome::default()),
            Verdict::Fail => Err("by script".into()),
            Verdict::Panic => panic!("by script"),
            Verdict::GiveUp => Err(Terminal("by script".into()).into()),
            Verdict::Ignore => Err(Ignore.into()),
            Verdict::Requeue(delay) => Ok(Outcome::default().with_requeue(Duration::from_millis(delay))),
        }
    }

    fn of(&self, key: usize) -> Vec<Told> {
        self.told.lock().unwrap().iter().filter(|told| told.key == key).cloned().collect()
    }
}

/// A backend with the callback on it, and the log of what was done to it.
struct Play {
    server: ApiServer,
    backend: KubeBackend,
    stage: Arc<Stage>,
    late: Vec<nah_backend::watch::Registration>,
    /// By key.
    inputs: Vec<Vec<(Millis, Input)>>,
    /// By key, the versions that it had, none where it was gone, and since when.
    versions: Vec<Vec<(Millis, Option<String>)>>,
}

impl Play {
    async fn begin(workers: usize, scripts: Vec<Script>) -> Self {
        let server = ApiServer::new();
        let exact = QueueOptions::default().with_backoff(Backoff::default().with_jitter(0.0));
        let options = KindOptions::default().workers(workers).queue(exact);
        let backend = KubeBackend::with_client(server.client()).kind::<ConfigMap>(options).build();
        let stage = Arc::new(Stage {
            start: Instant::now(),
            scripts,
            told: Mutex::default(),
            inside: Mutex::default(),
            overlaps: Mutex::default(),
        });
        backend.watcher_with("scripted", stage.clone(), Stage::run).unwrap();
        backend.start().await.unwrap();
        let (inputs, versions) = (vec![Vec::new(); KEYS], vec![vec![(0, None)]; KEYS]);
        Self { server, backend, stage, late: Vec::new(), inputs, versions }
    }

    fn note(&mut self, key: usize, input: Input) {
        self.inputs[key].push((self.stage.now(), input));
    }

    fn note_all(&mut self, input: Input) {
        for key in 0..KEYS {
            self.note(key, input);
        }
    }

    fn version(&self, key: usize) -> Option<String> {
        let map = self.server.get("v1", "ConfigMap", "default", &format!("m-{key}")).ok()?;
        Some(map["metadata"]["resourceVersion"].as_str().unwrap().to_owned())
    }

    async fn act(&mut self, number: usize, act: Act) {
        match act {
            Act::Write(key) | Act::Delete(key) => {
                let name = format!("m-{key}");
                let wanted = map_with(&name, &number.to_string());
                let before = self.version(key);
                match (act, &before) {
                    (Act::Delete(_), _) => drop(self.backend.delete(&map(&name)).await),
                    (_, None) => drop(self.backend.create(&wanted).await.unwrap()),
                    (_, Some(_)) => {
                        let edit = |map: &mut ConfigMap| map.data.clone_from(&wanted.data);
                        self.backend.modify(("default", &*name), edit).await.unwrap();
                    }
                }
                let after = self.version(key);
                if before != after {
                    self.versions[key].push((self.stage.now(), after));
                    self.note(key, Input::Ask);
                }
            }
            Act::Trigger(key, delay) => {
                let name = format!("m-{key}");
                self.backend.trigger::<ConfigMap>(("default", &*name), Duration::from_millis(delay)).unwrap();
                self.note(key, Input::AskAfter(delay));
            }
            Act::Cancel(key) => {
                self.backend.cancel::<ConfigMap>(("default", &*format!("m-{key}"))).unwrap();
                self.note(key, Input::Cancel);
            }
            Act::Register => {
                let late = format!("late-{number}");
                let late = self.backend.watcher(&late, |_: Change<ConfigMap>| async { Ok(()) }).unwrap();
                self.late.push(late);
                for key in 0..KEYS {
                    if self.version(key).is_some() {
                        self.note(key, Input::Replay);
                    }
                }
            }
            Act::Unregister => drop(self.late.pop().map(|late| late.unregister())),
            Act::Pause => {
                self.note_all(Input::Pause);
                self.backend.pause().await;
            }
            Act::Start => {
                self.backend.start().await.unwrap();
                self.note_all(Input::Start);
            }
        }
    }

    /// Shuts down, after `quiet` if that is long enough for everything to end, and gives what became of every key.
    async fn end(mut self, quiet: Duration) -> Result<(), TestCaseError> {
        sleep(quiet).await;
        self.note_all(Input::Stop);
        let stopped = self.stage.now();
        let grace = Duration::from_millis(500);
        let shutdown = self.backend.shutdown(grace).await;
        let limit = stopped + grace.as_millis() as Millis;
        prop_assert_eq!(*self.stage.overlaps.lock().unwrap(), 0, "a key was worked on twice at once");

        let fates: Option<Vec<Fate>> =
            (0..KEYS).map(|key| fate(&self.inputs[key], &self.stage.scripts[key])).collect();
        let Some(fates) = fates else { return Err(TestCaseError::reject("two things at once")) };
        if fates.iter().any(|fate| fate.ends == limit) {
            return Err(TestCaseError::reject("two things at once"));
        }
        for (key, fate) in fates.iter().enumerate() {
            let told = self.stage.of(key);
            let runs: Vec<_> = told.iter().map(|told| told.run.clone()).collect();
            prop_assert_eq!(&runs, &fate.runs, "key {}: {:?}", key, self.inputs[key]);
            for told in told {
                let seen = self.versions[key].iter().rev().find(|(since, _)| *since <= told.run.at);
                prop_assert_eq!(&told.version, &seen.unwrap().1, "key {} at {}", key, told.run.at);
            }
        }
        let cut: HashSet<_> = shutdown.cut_off.iter().map(|(_, _, key)| key.name().to_owned()).collect();
        let late: HashSet<_> = fates
            .iter()
            .enumerate()
            .filter(|(_, fate)| fate.ends > limit)
            .map(|(key, _)| format!("m-{key}"))
            .collect();
        prop_assert_eq!(cut, late, "what did not end within the grace is named");
        Ok(())
    }
}

/// Runs a play on a clock that stands still while anybody has something to do.
fn play(
    workers: usize,
    scripts: Vec<Script>,
    acts: Vec<(Act, Millis)>,
    end: impl AsyncFnOnce(Play) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut play = Play::begin(workers, scripts).await;
        sleep(Duration::from_millis(1)).await;
        for (number, (act, wait)) in acts.into_iter().enumerate() {
            play.act(number, act).await;
            sleep(Duration::from_millis(wait)).await;
        }
        end(play).await
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// With a worker for every key: each run begins in the millisecond that the model says, with as many failures
    /// before it, and sees the object as it is then.
    #[test]
    fn every_run_begins_to_the_millisecond(acts in acts(), scripts in scripts(), quiet in prop_oneof![Just(QUIET), 0u64..3_000]) // D3, D6, D9, D12, D14, D15, E15, G11
    {
        play(KEYS, scripts, acts, async |play| play.end(Duration::from_millis(quiet)).await)?;
    }

    /// With few workers: whoever waits among the fresh is passed by each other key once at most in each lane, for of eight
    /// keys one is the background's; and whoever waits in the background has its turn among eight for each key before it.
    #[test]
    fn nobody_waits_for_more_than_one_run_of_each_other_key(acts in acts(), scripts in scripts(), workers in 1..3usize) // D1, D25, Q30
    {
        play(workers, scripts, acts, async |mut play| {
            play.act(usize::MAX, Act::Start).await;
            sleep(Duration::from_millis(QUIET)).await;
            let told = play.stage.told.lock().unwrap().clone();
            for (at, waits) in told.iter().enumerate() {
                // What is asked for under a run of its own waits for its end first.
                let own = told[..at].iter().rev().find(|before| before.key == waits.key);
                let asked = (waits.run.at - waits.waited).max(own.map_or(0, |before| before.end));
                let mut passed = HashMap::new();
                for other in told.iter().filter(|other| other.key != waits.key) {
                    if asked < other.run.at && other.run.at < waits.run.at {
                        *passed.entry(other.key).or_insert(0) += 1;
                    }
                }
                let most = if waits.background { 8 * KEYS } else { 2 };
                prop_assert!(passed.values().all(|times| *times <= most), "{waits:?} in {told:?}");
            }
            for key in 0..KEYS {
                let last = play.stage.of(key).pop().map(|told| told.version);
                let now = play.version(key);
                prop_assert!(last.is_none_or(|seen| seen == now), "the last change of key {key} was not seen");
                prop_assert!(now.is_none() || !play.stage.of(key).is_empty(), "key {key} is lost");
            }
            prop_assert_eq!(*play.stage.overlaps.lock().unwrap(), 0, "a key was worked on twice at once");
            let left = play.backend.shutdown(Duration::ZERO).await;
            prop_assert!(left.cut_off.is_empty() && left.keys_left == 0, "{left:?}");
            Ok(())
        })?;
    }
}
