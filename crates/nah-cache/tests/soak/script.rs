//! What happens, drawn from a seed and fixed before anything does.

use std::{fmt, time::Duration};

use fastrand::Rng;
use nah_testing::{Action, Corruption, Fault};

use crate::kinds::{NAMESPACES, SORTS, Sort};

/// A world and what happens in it.
pub(crate) struct Script {
    seed: u64,
    /// How many changes the server remembers.
    pub(crate) history: usize,
    /// Only these namespaces are cached, and they come and go.
    pub(crate) scoped: bool,
    pub(crate) page_size: Option<u32>,
    /// Of Secrets only those of the front tier are cached.
    pub(crate) selects: bool,
    /// The server does not know WatchList.
    pub(crate) old_server: bool,
    pub(crate) steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Put(Sort, &'static str, String, u32),
    Delete(Sort, &'static str, String),
    Wait(Duration),
    Fault(Fault),
    /// The watches of a kind break.
    Cut(Sort),
    /// All connections break; a real server is killed and started.
    Restart,
    /// Nobody gets in for a while; a real server stands still.
    Away(Duration),
    /// The history is forgotten.
    Compact,
    /// A backup is taken; only a real server needs one.
    Backup,
    /// The backup is restored, or so many writes are undone.
    Restore(usize),
    Define(bool),
    Watch(Sort),
    Unwatch(Sort),
    Handle(Sort),
    /// A handler that takes so long over each event.
    HandleSlowly(Sort, Duration),
    Unhandle(Sort),
    Index,
    AddNamespace(&'static str),
    RemoveNamespace(&'static str),
    Refresh(Sort),
    /// The next thing applied makes an observer panic.
    Trap,
}

impl Script {
    pub(crate) fn embedded(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let mut script = Self::world(seed, &mut random);
        for value in 0..random.u32(60..200) {
            script.steps.push(embedded(&mut random, value));
        }
        script
    }

    pub(crate) fn real(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let mut script = Self::world(seed, &mut random);
        for value in 0..150 {
            script.steps.push(real(&mut random, value));
        }
        for step in &mut script.steps {
            // Real time, and more objects than the script makes.
            if let Step::HandleSlowly(_, pause) = step {
                *pause /= 50;
            }
        }
        script.steps.extend([Step::Backup, any(&mut random, 0), any(&mut random, 1), Step::Restore(0)]);
        script
    }

    fn world(seed: u64, random: &mut Rng) -> Self {
        let mut steps = Vec::new();
        for sort in SORTS {
            steps.extend([Step::Watch(sort), Step::Handle(sort)]);
            if random.bool() {
                steps.push(Step::HandleSlowly(sort, Duration::from_millis(random.u64(1..5000))));
            }
        }
        random.shuffle(&mut steps);
        if random.bool() {
            steps.insert(0, Step::Define(true));
        }
        Self {
            seed,
            history: random.usize(5..300),
            scoped: random.bool(),
            page_size: random.bool().then(|| random.u32(1..6)),
            selects: random.bool(),
            old_server: random.u8(0..3) == 0,
            steps,
        }
    }
}

fn embedded(random: &mut Rng, value: u32) -> Step {
    let sort = random.choice(SORTS).unwrap_or(Sort::ConfigMap);
    match random.u8(0..50) {
        0..14 => any(random, value),
        14..21 => Step::Fault(fault(random, sort)),
        21..23 => Step::Cut(sort),
        23 => Step::Restart,
        24 => Step::Compact,
        25 => Step::Away(Duration::from_millis(random.u64(100..90_000))),
        26 if random.u8(0..3) == 0 => Step::Restore(random.usize(1..10)),
        27 => Step::Trap,
        28..32 => shape(random, sort),
        _ => Step::Wait(Duration::from_millis(random.u64(0..20_000))),
    }
}

/// As much as a machine bears, in real time.
fn real(random: &mut Rng, value: u32) -> Step {
    let sort = random.choice(SORTS).unwrap_or(Sort::ConfigMap);
    match random.u8(0..50) {
        0..34 => any(random, value),
        34 if random.u8(0..3) == 0 => Step::Restart,
        35 if random.u8(0..2) == 0 => Step::Compact,
        36 if random.u8(0..3) == 0 => Step::Away(Duration::from_millis(random.u64(100..4_000))),
        37..42 => shape(random, sort),
        42 => Step::Trap,
        _ => Step::Wait(Duration::from_millis(random.u64(0..300))),
    }
}

/// A write.
fn any(random: &mut Rng, value: u32) -> Step {
    let sort = random.choice(SORTS).unwrap_or(Sort::ConfigMap);
    let namespace = random.choice(NAMESPACES).unwrap_or("default");
    let name = format!("m{}", random.u8(0..12));
    match random.u8(0..3) {
        0 => Step::Delete(sort, namespace, name),
        _ => Step::Put(sort, namespace, name, value),
    }
}

/// Something about who watches what.
fn shape(random: &mut Rng, sort: Sort) -> Step {
    let namespace = random.choice(NAMESPACES).unwrap_or("default");
    match random.u8(0..10) {
        0 => Step::Unwatch(sort),
        1 => Step::Watch(sort),
        2 => Step::Handle(sort),
        3 => Step::HandleSlowly(sort, Duration::from_millis(random.u64(1..5000))),
        4 => Step::Unhandle(sort),
        5 => Step::Index,
        6 => Step::AddNamespace(namespace),
        7 => Step::RemoveNamespace(namespace),
        8 => Step::Refresh(sort),
        _ => Step::Define(random.u8(0..3) > 0),
    }
}

fn fault(random: &mut Rng, sort: Sort) -> Fault {
    let code = random.choice([403, 404, 410, 429, 500, 503, 504]).unwrap_or(500);
    let few = random.u64(0..4);
    let corruption = match random.u8(0..3) {
        0 => Corruption::WrongType("metadata.labels".into()),
        1 => Corruption::NoMetadata,
        _ => Corruption::Truncated,
    };
    let fault = match random.u8(0..16) {
        0 => Fault::hang(),
        1 => Fault::delay(Duration::from_millis(random.u64(0..5000))),
        2 => Fault::refuse(),
        3 => Fault::cut_after_events(few),
        4 => Fault::end_after_events(few),
        5 => Fault::cut_after_bytes(random.u64(0..2000)),
        6 => Fault::duplicate(few),
        7 => Fault::error_event(few, code),
        8 => Fault::corrupt(corruption),
        9 => Fault::lag(Duration::from_millis(random.u64(0..3000))),
        10 => Fault::too_many_requests(random.u64(1..10)),
        11 => Fault::new(Action::Compact),
        12 => Fault::drop_answer(),
        13 => Fault::delay_answer(Duration::from_millis(random.u64(0..40_000))),
        _ => Fault::answer(code),
    };
    fault.of(sort.plural()).times(random.u32(1..4))
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, history, scoped, page_size, selects, old_server, steps } = self;
        writeln!(
            f,
            "seed {seed}: history {history}, scoped {scoped}, pages of {page_size:?}, selects {selects}, \
             old server {old_server}"
        )?;
        (0..).zip(steps).try_for_each(|(at, step): (u32, _)| writeln!(f, "{at:4} {step:?}"))
    }
}
