//! `cargo xtask conformance`: the scenarios, on the embedded API server or on a real one.

use std::ffi::OsString;

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

use crate::go::{self, Built};

/// Runs the scenarios on the ground named; further arguments go to the scenarios.
pub(crate) fn run(shell: &Shell, arguments: &[OsString]) -> Result<()> {
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let rest: Vec<&OsString> = arguments
        .iter()
        .filter(|it| !["--embedded", "--real", "--compare"].iter().any(|own| it == own))
        .collect();
    match (has("--embedded"), has("--real"), has("--compare")) {
        (false, false, true) => compare(shell),
        (true, false, false) => embedded(shell, &rest),
        (false, true, compared) => {
            let Built::Ready(binaries) = go::build(shell)? else {
                bail!(
                    "no control plane: Go, or a module of it, cannot be had; `cargo xtask control-plane` says which"
                );
            };
            cmd!(
                shell,
                "cargo test --quiet -p nah-backend --test conformance -- --real {binaries} {rest...}"
            )
            .run()?;
            if compared { compare(shell) } else { Ok(()) }
        }
        _ => bail!("name one ground: --embedded or --real"),
    }
}

/// The scenarios on the embedded server.
pub(crate) fn embedded(shell: &Shell, arguments: &[&OsString]) -> Result<()> {
    cmd!(shell, "cargo test --quiet -p nah-backend --test conformance -- --embedded {arguments...}").run()?;
    Ok(())
}

/// Compares the stories that the last runs on both grounds have left in `target/conformance`.
pub(crate) fn compare(shell: &Shell) -> Result<()> {
    let stories = shell.current_dir().join("target/conformance");
    let (embedded, real) = (stories.join("embedded"), stories.join("real"));
    if !embedded.is_dir() || !real.is_dir() {
        bail!("run the scenarios on both grounds first");
    }
    let (mut same, mut different) = (0, 0);
    for story in shell.read_dir(&embedded)? {
        let Some(name) = story.file_name() else { continue };
        let other = real.join(name);
        if !other.exists() {
            continue;
        }
        let (ours, theirs) = (shell.read_file(&story)?, shell.read_file(&other)?);
        if ours == theirs {
            same += 1;
            continue;
        }
        different += 1;
        println!("{} differs, embedded (-) from real (+):", name.display());
        print!("{}", difference(&ours, &theirs));
    }
    println!("{same} stories are the same on both grounds, {different} differ");
    anyhow::ensure!(same + different > 0, "no scenario has left a story on both grounds");
    anyhow::ensure!(different == 0, "the embedded API server tells another story than the real one");
    Ok(())
}

/// The lines that one text has and the other lacks, by position.
fn difference(ours: &str, theirs: &str) -> String {
    let (ours, theirs): (Vec<&str>, Vec<&str>) = (ours.lines().collect(), theirs.lines().collect());
    let mut text = String::new();
    for at in 0..ours.len().max(theirs.len()) {
        match (ours.get(at), theirs.get(at)) {
            (Some(one), Some(other)) if one == other => {}
            (one, other) => {
                for (sign, line) in [('-', one), ('+', other)] {
                    if let Some(line) = line {
                        text.push_str(&format!("  {sign} {line}\n"));
                    }
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn a_difference_shows_only_the_lines_that_differ() {
        assert_eq!(difference("get a\nput a\n", "get a\nput a\n"), "");
        assert_eq!(
            difference("get a\nput a\n", "get a\npatch a\nget a\n"),
            "  - put a\n  + patch a\n  + get a\n"
        );
    }
}
