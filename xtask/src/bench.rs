//! `cargo xtask bench`: the benches, and how the rivals compare.

use std::{collections::BTreeMap, ffi::OsString, path::Path};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use xshell::{Shell, cmd};

/// The name of our own side in a group that compares.
const OURS: &str = "nah";

/// Runs the benches (those whose name contains a filter, if one is given), then what the cache is to reach, and prints
/// both tables. With `--targets` the second alone, with `--check` a target that is missed is a failure.
pub(crate) fn run(shell: &Shell, arguments: &[OsString]) -> Result<()> {
    let flag = |name: &str| arguments.iter().any(|argument| argument == name);
    let is_flag =
        |argument: &&OsString| ["--json", "--check", "--targets"].iter().any(|flag| *argument == flag);
    let filter: Vec<&OsString> = arguments.iter().filter(|argument| !is_flag(argument)).collect();
    let json = flag("--json");
    let rows = if flag("--targets") { Vec::new() } else { benches(shell, &filter, json, flag("--check"))? };
    if !json && !rows.is_empty() {
        print!("{}", table(&rows));
    }
    let (targets, reached) = targets(shell, &filter, json, flag("--check"))?;
    if json {
        let rows: Vec<Value> = rows.iter().map(Row::json).collect();
        println!("{}", json!({ "benches": rows, "targets": targets }));
    }
    ensure!(reached, "a target was missed");
    Ok(())
}

fn benches(shell: &Shell, filter: &[&OsString], json: bool, check: bool) -> Result<Vec<Row>> {
    let results = shell.current_dir().join("target/criterion");
    // What an earlier run left would stand in the table as if it were of this one.
    shell.remove_path(&results)?;
    let mut benches = cmd!(shell, "cargo bench --package benches -- {filter...}");
    if check {
        benches = benches.env("NAH_BENCH_CHECK", "1");
    }
    // With --json, standard output is for the JSON alone.
    if json {
        eprint!("{}", benches.read()?)
    } else {
        benches.run()?
    }
    Ok(rows(&collect(&results)?))
}

/// What the cache is to reach, as rows of JSON, and whether it does where that is asked.
fn targets(shell: &Shell, filter: &[&OsString], json: bool, check: bool) -> Result<(Value, bool)> {
    cmd!(shell, "cargo build --release --package benches --bin cache_targets").run()?;
    let rows = shell.current_dir().join("target/cache_targets.json");
    shell.remove_path(&rows)?;
    let check = check.then_some("--check");
    let command =
        cmd!(shell, "target/release/cache_targets {check...} {filter...}").env("NAH_BENCH_ROWS", &rows);
    let reached = match json {
        true => command.ignore_stdout().run(),
        false => command.run(),
    };
    // It leaves its rows before it says that one is not reached.
    if !shell.path_exists(&rows) {
        reached?;
        return Ok((Value::Null, true));
    }
    Ok((serde_json::from_str(&shell.read_file(&rows)?)?, reached.is_ok()))
}

/// The mean time of one bench, as criterion leaves it.
#[derive(Debug)]
struct Sample {
    group: String,
    function: String,
    value: String,
    nanoseconds: f64,
}

/// One line of the table.
#[derive(Debug, PartialEq)]
struct Row {
    claim: String,
    function: String,
    nanoseconds: f64,
    /// How many times as long as ours it takes, where the claim compares.
    ratio: Option<f64>,
}

impl Row {
    fn json(&self) -> Value {
        json!({
            "claim": self.claim, "function": self.function, "nanoseconds": self.nanoseconds, "ratio": self.ratio,
        })
    }
}

/// Every `new/` of criterion's directory.
fn collect(results: &Path) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    let mut directories = vec![results.to_owned()];
    while let Some(directory) = directories.pop() {
        let Ok(entries) = directory.read_dir() else { continue };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                directories.push(path);
            }
        }
        let read = |name: &str| -> Option<Value> {
            serde_json::from_slice(&std::fs::read(directory.join(name)).ok()?).ok()
        };
        if directory.ends_with("new")
            && let (Some(bench), Some(estimates)) = (read("benchmark.json"), read("estimates.json"))
        {
            let text = |field: &str| bench[field].as_str().unwrap_or_default().to_owned();
            samples.push(Sample {
                group: text("group_id"),
                function: text("function_id"),
                value: text("value_str"),
                nanoseconds: estimates["mean"]["point_estimate"].as_f64().unwrap_or_default(),
            });
        }
    }
    Ok(samples)
}

/// The samples by claim (group and size), each rival with its ratio to ours.
fn rows(samples: &[Sample]) -> Vec<Row> {
    let mut claims: BTreeMap<(&str, usize, &str), Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        // By length first: 1000 stands after 100.
        claims.entry((&sample.group, sample.value.len(), &sample.value)).or_default().push(sample);
    }
    let mut rows = Vec::new();
    for ((group, _, value), mut samples) in claims {
        samples.sort_by_key(|sample| (sample.function != OURS, &sample.function));
        let ours = samples.iter().find(|sample| sample.function == OURS).map(|sample| sample.nanoseconds);
        for sample in samples {
            let rival = ours.filter(|ours| sample.function != OURS && *ours > 0.0);
            rows.push(Row {
                claim: [group, value].join(" ").trim().to_owned(),
                function: sample.function.clone(),
                nanoseconds: sample.nanoseconds,
                ratio: rival.map(|ours| sample.nanoseconds / ours),
            });
        }
    }
    rows
}

/// A Markdown table, for a terminal and for a comment on a pull request alike.
fn table(rows: &[Row]) -> String {
    let mut text = String::from("\n| claim | function | time | times ours |\n|---|---|--:|--:|\n");
    for row in rows {
        let ratio = row.ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
        text.push_str(&format!(
            "| {} | {} | {} | {ratio} |\n",
            row.claim,
            row.function,
            duration(row.nanoseconds)
        ));
    }
    text
}

fn duration(nanoseconds: f64) -> String {
    match nanoseconds {
        below if below < 1e3 => format!("{below:.1} ns"),
        below if below < 1e6 => format!("{:.1} us", below / 1e3),
        below if below < 1e9 => format!("{:.1} ms", below / 1e6),
        above => format!("{:.2} s", above / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::{Row, Sample, rows, table};

    fn sample(group: &str, function: &str, value: &str, nanoseconds: f64) -> Sample {
        Sample {
            group: group.to_owned(),
            function: function.to_owned(),
            value: value.to_owned(),
            nanoseconds,
        }
    }

    #[test]
    fn a_rival_is_told_as_a_multiple_of_ours() {
        let samples = [
            sample("store_get", "kube-runtime", "1000", 3000.0),
            sample("store_get", "nah", "1000", 1500.0),
            sample("store_get", "nah", "100", 100.0),
        ];
        let row = |claim: &str, function: &str, nanoseconds, ratio| Row {
            claim: claim.to_owned(),
            function: function.to_owned(),
            nanoseconds,
            ratio,
        };
        let rows = rows(&samples);
        assert_eq!(
            rows,
            [
                row("store_get 100", "nah", 100.0, None),
                row("store_get 1000", "nah", 1500.0, None),
                row("store_get 1000", "kube-runtime", 3000.0, Some(2.0)),
            ]
        );
        assert!(table(&rows).ends_with("| store_get 1000 | kube-runtime | 3.0 us | 2.00 |\n"));
    }
}
