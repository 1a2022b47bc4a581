//! What the cache is to reach, beside kube-runtime's reflector and store, each in a process of its own.
#![allow(clippy::print_stdout, clippy::print_stderr, missing_docs, reason = "a command line program")]

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use benches::targets;
use serde_json::Value;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("targets: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// `[--check] [FILTER]`; `role NAME ARGUMENTS` is what it starts itself with.
fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, name, rest @ ..] = &arguments[..]
        && role == "role"
    {
        return targets::role(name, rest);
    }
    let check = arguments.iter().any(|argument| argument == "--check");
    let filter = arguments.iter().find(|argument| !argument.starts_with("--")).map_or("", String::as_str);
    let rows = targets::run(filter)?;
    print!("{}", targets::table(&rows));
    if let Some(path) = std::env::var_os("NAH_BENCH_ROWS") {
        let rows: Value = rows.iter().map(targets::Row::json).collect();
        std::fs::write(&path, rows.to_string())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let missed = rows.iter().filter(|row| row.reached() == Some(false)).count();
    if check && missed > 0 {
        bail!("{missed} targets missed");
    }
    Ok(())
}
