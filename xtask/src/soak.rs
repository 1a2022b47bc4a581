//! `cargo xtask soak`: writers, faults, kinds and handlers drawn from a seed, until everything has to agree.

use std::ffi::OsString;

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

use crate::go::{self, Built};

/// Seeds that `cargo xtask ci` plays on the embedded server.
const SEEDS: &str = "200";

/// Plays seeds on the ground named; further arguments (`--seed`, `--seeds`, `--seconds`) go to the program.
pub(crate) fn run(shell: &Shell, arguments: &[OsString]) -> Result<()> {
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let rest: Vec<&OsString> =
        arguments.iter().filter(|it| !["--embedded", "--real"].iter().any(|own| it == own)).collect();
    match (has("--embedded"), has("--real")) {
        (true, false) => play(shell, &rest),
        (false, true) => {
            let Built::Ready(binaries) = go::build(shell)? else {
                bail!(
                    "no control plane: Go, or a module of it, cannot be had; `cargo xtask control-plane` says which"
                );
            };
            let mut all = vec![OsString::from("--real"), binaries.into()];
            all.extend(rest.into_iter().cloned());
            play(shell, &all.iter().collect::<Vec<_>>())
        }
        _ => bail!("name one ground: --embedded or --real"),
    }
}

/// What every change has to pass.
pub(crate) fn embedded(shell: &Shell) -> Result<()> {
    play(shell, &[&"--seeds".into(), &SEEDS.into()])
}

fn play(shell: &Shell, arguments: &[&OsString]) -> Result<()> {
    cmd!(shell, "cargo test --quiet -p nah-cache --test soak -- {arguments...}").run()?;
    Ok(())
}
