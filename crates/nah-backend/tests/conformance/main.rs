//! Scenarios on two grounds: what holds on the embedded API server holds on a real one.
//!
//! `cargo xtask conformance --embedded | --real` runs them; `cargo test` runs them on the embedded ground.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program of its own, without libtest")]

mod answers;
mod applies;
mod callbacks;
mod faults;
mod fixtures;
mod ground;
#[path = "../../examples/leader/lease.rs"]
mod lease;
mod lifecycle;
mod proxy;
mod reads;
mod runner;
mod runs;
mod scenario;
mod story;
mod subresources;
mod usage;
mod verbs;
mod whole;
mod world;
mod writes;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, bail};

use crate::{ground::Ground, runner::Runner};

/// What the command line asks for.
#[derive(Debug, Default)]
struct Arguments {
    /// The directory of the control plane's binaries; none is the embedded ground.
    real: Option<PathBuf>,
    filters: Vec<String>,
    list: bool,
}

fn main() -> ExitCode {
    let outcome = arguments().and_then(|arguments| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(run(arguments))
    });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("conformance: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<bool> {
    let runner = Runner::new(scenario::all(), &arguments.filters);
    if arguments.list {
        runner.list();
        return Ok(true);
    }
    let ground = match &arguments.real {
        Some(binaries) => Ground::real(binaries).await?,
        None => Ground::embedded().await?,
    };
    Ok(runner.run(ground).await)
}

fn arguments() -> Result<Arguments> {
    use lexopt::prelude::*;

    let mut arguments = Arguments::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("embedded") => arguments.real = None,
            Long("real") => arguments.real = Some(parser.value()?.into()),
            Long("filter") => arguments.filters.push(parser.value()?.string()?),
            Long("list") => arguments.list = true,
            // What `cargo test -- ...` gives to every binary of the workspace.
            Long("nocapture" | "no-capture" | "quiet" | "exact" | "show-output") | Short('q') => {}
            Long("test-threads" | "format" | "color") => drop(parser.value()?),
            Value(filter) => arguments.filters.push(filter.string()?),
            other => bail!("{}; see cargo xtask help", other.unexpected()),
        }
    }
    Ok(arguments)
}
