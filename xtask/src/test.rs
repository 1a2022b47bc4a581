//! `cargo xtask test`: all tests, doc tests and examples.

use anyhow::Result;
use xshell::{Shell, cmd};

/// Runs everything that is a test; each binary prints its own summary, the last lines sum them up.
pub(crate) fn run(shell: &Shell) -> Result<()> {
    // Benches are compiled by clippy; as tests they would only repeat that.
    let units = cmd!(shell, "cargo test --workspace --lib --bins --tests --examples");
    let docs = cmd!(shell, "cargo test --workspace --doc");
    let mut counts = Counts::default();
    for command in [units, docs] {
        counts.add(&stream(command)?);
    }
    println!("\ntest: {} passed, {} failed, {} ignored", counts.passed, counts.failed, counts.ignored);
    Ok(())
}

/// Runs a command with its output shown as it comes, and returns its standard output.
fn stream(command: xshell::Cmd<'_>) -> Result<String> {
    use std::{
        io::{BufRead, BufReader, Write},
        process::Stdio,
    };

    eprintln!("$ {command}");
    let mut command = std::process::Command::from(command);
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut text = String::new();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line?;
            // A reader that went away (`| head`) is no failure of a test.
            let _ = writeln!(std::io::stdout(), "{line}");
            text.push_str(&line);
            text.push('\n');
        }
    }
    let status = child.wait()?;
    anyhow::ensure!(status.success(), "the tests failed: {status}");
    Ok(text)
}

/// What the summaries of the test binaries add up to.
#[derive(Debug, Default, PartialEq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Counts {
    /// Adds the summaries in a text: libtest's `test result: ok. 3 passed; 0 failed; 1 ignored; …`, and the
    /// `3 passed, 0 failed` that the scenarios end with.
    fn add(&mut self, text: &str) {
        for line in text.lines() {
            let line = line
                .strip_prefix("test result: ")
                .and_then(|rest| rest.split_once(". "))
                .map_or(line, |it| it.1);
            let Some((first, _)) = line.split_once([';', ',']) else { continue };
            if first.strip_suffix(" passed").is_none_or(|count| count.parse::<u64>().is_err()) {
                continue;
            }
            for part in line.split([';', ',']) {
                let Some((count, word)) = part.trim().split_once(' ') else { continue };
                let Ok(count) = count.parse::<u64>() else { continue };
                match word {
                    "passed" => self.passed += count,
                    "failed" => self.failed += count,
                    "ignored" | "skipped" => self.ignored += count,
                    _ => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn adds_up_the_summaries_of_libtest_and_of_the_scenarios() {
        let mut counts = Counts::default();
        counts.add("running 4 tests\ntest result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.5s\n");
        counts.add("ok  reads_its_own_writes\n41 passed, 1 failed\n7 passed, 0 failed, 2 skipped\n");
        assert_eq!(counts, Counts { passed: 51, failed: 1, ignored: 3 });
    }

    #[test]
    fn other_lines_count_nothing() {
        let mut counts = Counts::default();
        counts.add("the parcel was passed, 3 failed to notice\nfailed, 3 passed\n");
        assert_eq!(counts, Counts::default());
    }
}
