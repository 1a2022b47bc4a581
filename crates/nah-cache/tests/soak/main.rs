//! Writers, faults, kinds and handlers drawn from a seed; in the end, quiet, everything agrees.
//!
//! `cargo xtask soak` runs many seeds, or one again; `cargo test` runs a few on the embedded server.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program of its own, without libtest")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod folded;
mod ground;
mod kinds;
mod script;
mod world;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use nah_testing::ApiServer;
use tokio::{runtime::Builder, time::Instant};

use crate::{ground::Ground, script::Script, world::World};

/// What the command line asks for.
struct Arguments {
    /// The directory of a control plane's binaries; none is the embedded ground.
    real: Option<PathBuf>,
    seed: u64,
    /// How many seeds from there, and for how long at the most.
    seeds: Option<u64>,
    time: Option<Duration>,
    /// Tells each step as it is taken.
    verbose: bool,
    /// libtest was asked for some tests by name, and these are none of them.
    idle: bool,
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("soak: {error}; see cargo xtask help");
            return ExitCode::FAILURE;
        }
    };
    if arguments.idle {
        println!("0 passed, 0 failed");
        return ExitCode::SUCCESS;
    }
    hush();
    let outcome = match &arguments.real {
        Some(binaries) => real(&arguments, binaries),
        None => embedded(&arguments),
    };
    match outcome {
        Ok(seeds) => {
            println!("{seeds} passed, 0 failed");
            ExitCode::SUCCESS
        }
        Err(report) => {
            println!("{report}");
            ExitCode::FAILURE
        }
    }
}

/// Every seed on a server, a clock and a thread of its own.
#[allow(clippy::disallowed_methods, reason = "a limit in real time, whatever the clocks of the seeds say")]
fn embedded(arguments: &Arguments) -> Result<u64, String> {
    let began = std::time::SystemTime::now();
    let seeds = arguments.seeds.unwrap_or(if arguments.time.is_some() { u64::MAX } else { 10 });
    let mut passed = 0;
    for seed in (arguments.seed..).take(usize::try_from(seeds).unwrap_or(usize::MAX)) {
        if arguments.time.is_some_and(|time| began.elapsed().unwrap_or_default() >= time) {
            break;
        }
        let journal = replay(seed, arguments.verbose)?;
        // A seed that did something else the second time could not be played again.
        if passed == 0 {
            let again = replay(seed, false)?;
            let other = journal.iter().zip(&again).find(|(one, other)| one != other);
            if other.is_some() || journal.len() != again.len() {
                return Err(format!("seed {seed} asks the server for something else each time: {other:?}"));
            }
        }
        passed += 1;
    }
    Ok(passed)
}

/// Plays one seed and returns what the server was asked.
fn replay(seed: u64, verbose: bool) -> Result<Vec<String>, String> {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        fastrand::seed(seed);
        let script = Script::embedded(seed);
        let server = ApiServer::builder().seed(seed).history(script.history).build();
        let ground = Ground::Embedded(server.clone());
        World::new(ground, &script).await.play(&script, verbose).await.map_err(|wrong| {
            format!("{script}\n{wrong}\n\ncargo xtask soak --embedded --seed {seed} --seeds 1")
        })?;
        let requests = server.journal().requests().into_iter();
        Ok(requests
            .map(|it| format!("{:?} {} {}?{} {}", it.at, it.verb, it.path, it.query, it.code))
            .collect())
    })
}

/// One control plane, seed after seed.
fn real(arguments: &Arguments, binaries: &std::path::Path) -> Result<u64, String> {
    let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (began, mut passed) = (Instant::now(), 0);
        let seeds = arguments.seeds.unwrap_or(if arguments.time.is_some() { u64::MAX } else { 1 });
        while passed < seeds && arguments.time.is_none_or(|time| began.elapsed() < time) {
            let seed = arguments.seed + passed;
            let script = Script::real(seed);
            let ground = Ground::real(binaries).await;
            let world = World::new(ground, &script).await;
            world.play(&script, arguments.verbose).await.map_err(|wrong| {
                format!("{script}\n{wrong}\n\ncargo xtask soak --real --seed {seed} --seeds 1")
            })?;
            passed += 1;
        }
        Ok(passed)
    })
}

/// What panics because a script says so needs no report.
fn hush() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload().downcast_ref::<&str>().copied().unwrap_or_default();
        if text != world::TRAP {
            usual(panic);
        }
    }));
}

fn arguments() -> Result<Arguments, lexopt::Error> {
    use lexopt::prelude::*;

    let mut arguments =
        Arguments { real: None, seed: 0, seeds: None, time: None, verbose: false, idle: false };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("embedded") => arguments.real = None,
            Long("real") => arguments.real = Some(parser.value()?.into()),
            Long("seed") => arguments.seed = parser.value()?.parse()?,
            Long("seeds") => arguments.seeds = Some(parser.value()?.parse()?),
            Long("seconds") => arguments.time = Some(Duration::from_secs(parser.value()?.parse()?)),
            Long("verbose") => arguments.verbose = true,
            // What `cargo test -- ...` gives to every binary of the workspace.
            Long("nocapture" | "no-capture" | "quiet" | "exact" | "show-output") | Short('q') => {}
            Long("test-threads" | "format" | "color" | "skip") => drop(parser.value()?),
            Long("ignored" | "list") | Value(_) => arguments.idle = true,
            other => return Err(other.unexpected()),
        }
    }
    Ok(arguments)
}
