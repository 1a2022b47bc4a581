//! The project's commands: `cargo xtask COMMAND`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

mod bench;
mod ci;
mod conformance;
mod control_plane;
mod demo;
mod fuzz;
mod go;
mod soak;
mod test;
mod tidy;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};
use xshell::Shell;

const HELP: &str = "\
cargo xtask COMMAND

  test                                    all tests, doc tests and examples
  ci [--skip-test]                        everything that has to be green before a change is merged
  tidy [--write]                          checks of the sources; --write fills the proofs of docs/behaviours.md
  bench [--targets] [--check] [--json] [FILTER]
                                          the benches, and how the rivals compare; --targets runs those of
                                          docs/performance.md alone, --check fails where one is missed
  conformance --embedded|--real [ARGS]    the scenarios on a ground; --compare tells the two journals apart
  soak --embedded|--real [--seed S] [--seeds N] [--seconds T] [--verbose]
                                          writers, faults, kinds and handlers drawn from seeds, until all agree
  fuzz [--seconds N] [list|watch]         made-up bytes against what reads bytes from outside (needs nightly Rust
                                          and cargo-fuzz)
  control-plane [--build] [--controllers] [-- COMMAND]
                                          a real kube-apiserver on loopback (needs Go)
  demo [ARGS]                             the demo; `demo --help` tells its arguments
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let shell = Shell::new()?;
    shell.change_dir(root()?);
    let mut arguments = std::env::args_os().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<OsString> = arguments.collect();
    match command.to_str() {
        Some("test") => test::run(&shell),
        Some("ci") => ci::run(&shell, &rest),
        Some("tidy") => tidy::run(&shell, &rest),
        Some("bench") => bench::run(&shell, &rest),
        Some("conformance") => conformance::run(&shell, &rest),
        Some("control-plane") => control_plane::run(&shell, &rest),
        Some("soak") => soak::run(&shell, &rest),
        Some("fuzz") => fuzz::run(&shell, &rest),
        Some("demo") => demo::run(&shell, &rest),
        Some("" | "help" | "--help" | "-h") => {
            print!("{HELP}");
            Ok(())
        }
        _ => bail!("there is no command {}\n\n{HELP}", command.display()),
    }
}

/// The project's root: the parent of this crate.
fn root() -> Result<PathBuf> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    Ok(here.parent().context("xtask has no parent directory")?.to_owned())
}
