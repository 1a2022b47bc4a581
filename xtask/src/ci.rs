//! `cargo xtask ci`: everything that has to be green before a change is merged.

use std::ffi::OsString;

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::{
    conformance,
    go::{self, Built},
    test, tidy,
};

/// Runs the steps in order and stops at the first that fails; the steps whose tool is absent are listed at the end.
pub(crate) fn run(shell: &Shell, arguments: &[OsString]) -> Result<()> {
    let skip_test = match arguments {
        [] => false,
        [flag] if flag == "--skip-test" => true,
        _ => bail!("ci takes --skip-test and nothing else"),
    };
    let mut left_out = Vec::new();
    step("format", || Ok(cmd!(shell, "cargo fmt --all --check").run()?))?;
    step("tidy", || tidy::run(shell, &[]))?;
    step("clippy", || Ok(cmd!(shell, "cargo clippy --workspace --all-targets -- -D warnings").run()?))?;
    step("documents", || {
        let flags = "-D warnings -D rustdoc::broken_intra_doc_links";
        Ok(cmd!(shell, "cargo doc --workspace --no-deps").env("RUSTDOCFLAGS", flags).run()?)
    })?;
    optional(&mut left_out, "deny", || deny(shell))?;
    optional(&mut left_out, "oldest Rust", || oldest_rust(shell))?;
    step("package", || package(shell))?;
    if !skip_test {
        step("test", || test::run(shell))?;
    }
    step("conformance, embedded", || conformance::embedded(shell, &[]))?;
    optional(&mut left_out, "conformance, real", || match go::build(shell)? {
        Built::Ready(_) => {
            conformance::run(shell, &["--real".into(), "--compare".into()])?;
            Ok(None)
        }
        Built::Unavailable(reason) => Ok(Some(reason)),
    })?;

    println!("\nci: green");
    for (name, reason) in left_out {
        println!("left out: {name}: {reason}");
    }
    Ok(())
}

fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("\n=== {name}");
    work().with_context(|| format!("step {name:?}"))
}

/// A step that tells why it cannot be taken on this machine.
fn optional(
    left_out: &mut Vec<(&'static str, String)>,
    name: &'static str,
    work: impl FnOnce() -> Result<Option<String>>,
) -> Result<()> {
    step(name, || {
        if let Some(reason) = work()? {
            println!("left out: {reason}");
            left_out.push((name, reason));
        }
        Ok(())
    })
}

fn deny(shell: &Shell) -> Result<Option<String>> {
    if cmd!(shell, "cargo deny --version").quiet().ignore_stdout().ignore_stderr().run().is_err() {
        return Ok(Some("cargo-deny is not installed".to_owned()));
    }
    cmd!(shell, "cargo deny check").run()?;
    Ok(None)
}

fn oldest_rust(shell: &Shell) -> Result<Option<String>> {
    let manifest = shell.read_file("Cargo.toml")?;
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = "));
    let version = version.context("Cargo.toml has no rust-version")?.trim_matches('"').to_owned();
    let toolchains = cmd!(shell, "rustup toolchain list").quiet().ignore_stderr().read().unwrap_or_default();
    let Some(toolchain) = toolchains.split_whitespace().find(|name| name.starts_with(&version)) else {
        return Ok(Some(format!("Rust {version} is not installed")));
    };
    // A target directory of its own, so that the next build of the other toolchain is warm.
    cmd!(shell, "rustup run {toolchain} cargo check --workspace --lib --target-dir target/oldest-rust")
        .run()?;
    Ok(None)
}

/// Packages what is published and builds it from the packages.
fn package(shell: &Shell) -> Result<()> {
    let unpublished = ["--exclude", "xtask", "--exclude", "benches"];
    // Somebody who has not yet committed wants to know as well.
    cmd!(shell, "cargo package --workspace {unpublished...} --allow-dirty").run()?;
    Ok(())
}
