//! `cargo xtask demo`: an operator at work.

use std::ffi::OsString;

use anyhow::Result;
use xshell::{Shell, cmd};

/// Runs the example `demo` of nah-backend with the arguments given.
pub(crate) fn run(shell: &Shell, arguments: &[OsString]) -> Result<()> {
    // Optimised code shows the latencies that a user would get, but takes minutes longer to build the first time.
    cmd!(shell, "cargo run --quiet --package nah-backend --example demo -- {arguments...}").quiet().run()?;
    Ok(())
}
