//! `cargo xtask ci`: everything that has to be green before a change is merged.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::{
    conformance, fuzz,
    go::{self, Built},
    soak, test, tidy,
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
        step("histories", || histories(shell))?;
        step("a million events", || {
            Ok(cmd!(shell, "cargo test --package nah-backend --test bounds -- --ignored").run()?)
        })?;
    }
    optional(&mut left_out, "fuzz", || fuzz::briefly(shell))?;
    step("soak, embedded", || soak::embedded(shell))?;
    step("conformance, embedded", || conformance::embedded(shell, &[]))?;
    optional(&mut left_out, "conformance, real", || match go::build(shell)? {
        Built::Ready(binaries) => {
            conformance::run(shell, &["--real".into(), "--compare".into()])?;
            // Tests that start control planes of their own, with other arguments than the scenarios' one.
            let alone = cmd!(
                shell,
                "cargo test --package nah-cache --package nah-backend --test it -- --ignored real:: --test-threads 1"
            );
            alone.env("NAH_CONTROL_PLANE", binaries).run()?;
            soak::run(shell, &["--real".into(), "--seeds".into(), "1".into()])?;
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

/// The model of the overlay, over more histories than a test run has time for.
fn histories(shell: &Shell) -> Result<()> {
    let model = "overlay::tests::model::reads_are_never_older_than_own_writes";
    let run = cmd!(shell, "cargo test --package nah-client --lib -- {model}");
    Ok(run.env("PROPTEST_CASES", "10000").run()?)
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
    // A target directory of its own, so that what is forgotten there is still warm for the other steps.
    let target = shell.current_dir().join("target/packaging");
    forget_packages(shell, &target.join("debug/.fingerprint"))?;
    let unpublished = ["--exclude", "xtask", "--exclude", "benches"];
    // Somebody who has not yet committed wants to know as well.
    cmd!(shell, "cargo package --workspace {unpublished...} --allow-dirty --target-dir {target}").run()?;
    Ok(())
}

/// Removes what the last packaging has left. Cargo serves the packages to each other from a registry under `target`,
/// unpacks and compiles them once a version, and would build today's crate against yesterday's.
fn forget_packages(shell: &Shell, compiled: &Path) -> Result<()> {
    for package in shell.read_dir(compiled).unwrap_or_default().iter().filter(|package| is_ours(package)) {
        shell.remove_path(package)?;
    }
    let home = shell.var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(shell.var_os("HOME")?).join(".cargo")));
    let Some(Ok(registries)) = home.map(|home| shell.read_dir(home.join("registry/src"))) else {
        return Ok(());
    };
    for registry in registries {
        // That registry has no host, and holds nothing but ours.
        let nameless = registry.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"-"));
        if nameless && shell.read_dir(&registry)?.iter().all(|package| is_ours(package)) {
            shell.remove_path(&registry)?;
        }
    }
    Ok(())
}

fn is_ours(package: &Path) -> bool {
    package.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"nah-"))
}
