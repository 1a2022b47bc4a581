//! `cargo xtask fuzz`: bytes from outside, made up by libFuzzer, against what reads them.

use std::ffi::OsString;

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

/// The programs in `fuzz/fuzz_targets`.
const TARGETS: [&str; 2] = ["list", "watch"];

/// How long a fuzzer is at work where nobody says so.
const SECONDS: u32 = 600;
/// How long `cargo xtask ci` gives each.
const BRIEFLY: u32 = 30;

/// What a fuzzer may take in memory. Most of it is what the address sanitizer keeps back of what was freed.
const RSS_MIB: u32 = 1024;
/// What one allocation may take: more than the longest item of a list, which is the most that is held.
const MALLOC_MIB: u32 = 64;
/// How long an input may be, in bytes, and how many seconds it may take.
const LONGEST: u32 = 16 << 10;
const SLOWEST: u32 = 10;

/// Runs each fuzzer for a while, or the one that is named.
pub(crate) fn run(shell: &Shell, arguments: &[OsString]) -> Result<()> {
    let usage = || format!("fuzz takes --seconds N and one of {}", TARGETS.join(", "));
    let (mut seconds, mut targets) = (SECONDS, TARGETS.to_vec());
    let mut arguments = arguments.iter().map(|argument| argument.to_str().unwrap_or_default());
    while let Some(argument) = arguments.next() {
        match TARGETS.iter().find(|target| **target == argument) {
            Some(target) => targets = vec![target],
            None if argument == "--seconds" => {
                seconds = arguments.next().and_then(|number| number.parse().ok()).with_context(usage)?;
            }
            None => bail!(usage()),
        }
    }
    match nightly(shell) {
        Ok(nightly) => targets.iter().try_for_each(|target| fuzz(shell, &nightly, target, seconds)),
        Err(missing) => bail!("cannot fuzz: {missing}"),
    }
}

/// Runs each fuzzer briefly; where that cannot be done, compiles them and says why.
pub(crate) fn briefly(shell: &Shell) -> Result<Option<String>> {
    match nightly(shell) {
        Ok(nightly) => {
            TARGETS.iter().try_for_each(|target| fuzz(shell, &nightly, target, BRIEFLY))?;
            Ok(None)
        }
        Err(missing) if !has_compiler(shell) => Ok(Some(missing)),
        Err(missing) => {
            let target = shell.current_dir().join("target/fuzz");
            cmd!(shell, "cargo check --manifest-path fuzz/Cargo.toml --target-dir {target}")
                .env("RUSTFLAGS", "--cfg fuzzing -D warnings")
                .run()?;
            Ok(Some(format!("compiled, but not run: {missing}")))
        }
    }
}

/// The toolchain to fuzz with, or what is missing here. Only nightly Rust builds programs that tell a fuzzer where
/// they have been.
fn nightly(shell: &Shell) -> Result<String, String> {
    if !has_compiler(shell) {
        return Err("there is no C++ compiler".to_owned());
    }
    let toolchains = cmd!(shell, "rustup toolchain list").quiet().ignore_stderr().read().unwrap_or_default();
    let nightly = toolchains.split_whitespace().find(|name| name.starts_with("nightly"));
    let nightly = nightly.ok_or("nightly Rust is not installed")?;
    match has(shell, "cargo", &["fuzz", "--version"]) {
        true => Ok(nightly.to_owned()),
        false => Err("cargo-fuzz is not installed".to_owned()),
    }
}

/// What was found interesting is kept for the next time, under `target`; what breaks, in `fuzz/artifacts`.
fn fuzz(shell: &Shell, nightly: &str, target: &str, seconds: u32) -> Result<()> {
    let root = shell.current_dir();
    let (build, corpus) = (root.join("target/fuzz-run"), root.join("target/fuzz-corpus").join(target));
    shell.create_dir(&corpus)?;
    let mut settings: Vec<_> = [
        ("max_total_time", seconds),
        ("max_len", LONGEST),
        ("timeout", SLOWEST),
        ("rss_limit_mb", RSS_MIB),
        ("malloc_limit_mb", MALLOC_MIB),
        ("print_final_stats", 1),
    ]
    .map(|(setting, value)| format!("-{setting}={value}"))
    .to_vec();
    settings.push("-dict=fuzz/kubernetes.dict".to_owned());
    let seeds = root.join("fuzz/seeds").join(target);
    let run =
        cmd!(shell, "rustup run {nightly} cargo fuzz run --fuzz-dir fuzz --target-dir {build} {target}");
    run.arg(corpus).arg(seeds).arg("--").args(settings).run()?;
    Ok(())
}

fn has_compiler(shell: &Shell) -> bool {
    has(shell, "c++", &["--version"])
}

fn has(shell: &Shell, program: &str, arguments: &[&str]) -> bool {
    cmd!(shell, "{program} {arguments...}").quiet().ignore_stdout().ignore_stderr().run().is_ok()
}
