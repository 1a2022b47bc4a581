//! `docs/behaviours.md` against the tests: what is cited is listed, what is listed as proved has its test.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use xshell::Shell;

use super::{
    File,
    citations::{self, Tests},
};

const PATH: &str = "docs/behaviours.md";

/// The groups and their last numbers; none between is missing.
const GROUPS: &[(char, u32)] =
    &[('A', 15), ('B', 31), ('C', 29), ('D', 27), ('E', 29), ('F', 50), ('G', 19), ('Q', 61)];

/// What may stand for a proof that does not exist yet.
const LATER: &[&str] = &["later: engine", "later: queue", "later: client", "n/a"];

/// Complains of the list; with `write`, first fills its proofs from what the tests cite.
pub(super) fn check(shell: &Shell, files: &[File], tests: &Tests, write: bool) -> Result<Vec<String>> {
    let mut text = shell.read_file(PATH)?;
    if write {
        let filled = fill(&text, tests);
        if filled != text {
            shell.write_file(PATH, &filled)?;
        }
        text = filled;
    }
    let mut complaints = check_list(&text, tests);
    let listed: BTreeSet<&str> = rows(&text).map(|row| row.number).collect();
    for file in files.iter().filter(|file| file.path.ends_with(".rs") && !file.path.starts_with("xtask/")) {
        for (line, number) in citations::mentioned(&file.text) {
            if !listed.contains(number.as_str()) {
                complaints.push(format!("{}:{line}: {number} is not in {PATH}", file.path));
            }
        }
    }
    Ok(complaints)
}

/// One behaviour of the list.
struct Row<'a> {
    number: &'a str,
    proof: &'a str,
}

/// The rows of all tables, in order.
fn rows(text: &str) -> impl Iterator<Item = Row<'_>> {
    text.lines().filter_map(row)
}

fn row(line: &str) -> Option<Row<'_>> {
    let inner = line.strip_prefix('|')?.trim_end().strip_suffix('|')?;
    let (number, rest) = inner.split_once('|')?;
    let number = number.trim();
    let (_, proof) = rest.rsplit_once('|')?;
    citations::is_number(number).then(|| Row { number, proof: proof.trim() })
}

fn check_list(text: &str, tests: &Tests) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for Row { number, proof } in rows(text) {
        *seen.entry(number).or_default() += 1;
        let proving = tests.proving(number);
        if LATER.contains(&proof) {
            if !proving.is_empty() {
                complaints
                    .push(format!("{PATH}: {number} is {proof:?} and has a test: cargo xtask tidy --write"));
            }
            continue;
        }
        let named: Vec<&str> = proof.split(", ").map(|name| name.trim_matches('`')).collect();
        for name in &named {
            if !tests.0.contains_key(*name) {
                complaints.push(format!("{PATH}: {number} names {name}, and there is no such test"));
            } else if !proving.contains(name) {
                complaints.push(format!("{PATH}: {number} names {name}, which does not cite it"));
            }
        }
        if proving.iter().any(|name| !named.contains(name)) {
            complaints.push(format!("{PATH}: {number} lacks a test that cites it: cargo xtask tidy --write"));
        }
    }
    for (number, times) in &seen {
        if *times > 1 {
            complaints.push(format!("{PATH}: {number} stands there {times} times"));
        }
    }
    for (group, last) in GROUPS {
        let missing =
            (1..=*last).map(|it| format!("{group}{it}")).filter(|it| !seen.contains_key(it.as_str()));
        complaints.extend(missing.map(|number| format!("{PATH}: {number} is missing")));
    }
    complaints
}

/// The list with the tests that cite a number as its proof. A row that has lost its last test is left as it is, for
/// somebody to look at.
fn fill(text: &str, tests: &Tests) -> String {
    let mut filled = String::with_capacity(text.len());
    for line in text.lines() {
        let proving = row(line).map(|row| tests.proving(row.number)).unwrap_or_default();
        match line.trim_end().trim_end_matches('|').rsplit_once('|') {
            Some((before, _)) if !proving.is_empty() => {
                let names: Vec<String> = proving.iter().map(|name| format!("`{name}`")).collect();
                filled.push_str(&format!("{before}| {} |", names.join(", ")));
            }
            _ => filled.push_str(line),
        }
        filled.push('\n');
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::{GROUPS, Tests, check_list, fill};

    fn proving(name: &str, numbers: &[&str]) -> Tests {
        let mut tests = Tests::default();
        tests.0.insert(name.to_owned(), numbers.iter().map(|it| (*it).to_owned()).collect());
        tests
    }

    /// A whole list in which `number` has another proof than the others.
    fn list(number: &str, proof: &str) -> String {
        let mut text = String::from("| number | what we do | proof |\n|---|---|---|\n");
        for (group, last) in GROUPS {
            for at in 1..=*last {
                let this = format!("{group}{at}");
                let proof = if this == number { proof } else { "later: queue" };
                text.push_str(&format!("| {this} | A sentence with `a|b` in it. | {proof} |\n"));
            }
        }
        text
    }

    #[test]
    fn a_whole_list_has_nothing_to_complain_of() {
        let tests = proving("nah_trigger::queue::one", &["D6"]);
        assert_eq!(check_list(&list("D6", "`nah_trigger::queue::one`"), &tests), Vec::<String>::new());
    }

    #[test]
    fn a_proof_that_does_not_exist_is_told() {
        let complaints = check_list(&list("D6", "`nah_trigger::queue::gone`"), &Tests::default());
        assert_eq!(
            complaints,
            ["docs/behaviours.md: D6 names nah_trigger::queue::gone, and there is no such test"]
        );
    }

    #[test]
    fn a_test_that_the_list_does_not_name_is_told() {
        let tests = proving("nah_trigger::queue::one", &["D6"]);
        assert_eq!(check_list(&list("D6", "later: queue"), &tests).len(), 1);
    }

    #[test]
    fn a_missing_and_a_repeated_number_are_told() {
        let text = list("D6", "later: queue").replace("| D7 |", "| D6 |");
        let complaints = check_list(&text, &Tests::default());
        assert_eq!(
            complaints,
            ["docs/behaviours.md: D6 stands there 2 times", "docs/behaviours.md: D7 is missing"]
        );
    }

    #[test]
    fn filling_changes_only_the_proofs() {
        let tests = proving("nah_trigger::queue::one", &["D6", "Q7"]);
        let (before, after) = (list("D6", "later: queue"), fill(&list("D6", "later: queue"), &tests));
        let changed: Vec<&str> =
            after.lines().zip(before.lines()).filter(|(a, b)| a != b).map(|(a, _)| a).collect();
        assert_eq!(
            changed,
            [
                "| D6 | A sentence with `a|b` in it. | `nah_trigger::queue::one` |",
                "| Q7 | A sentence with `a|b` in it. | `nah_trigger::queue::one` |",
            ]
        );
        assert_eq!(check_list(&after, &tests), Vec::<String>::new());
    }
}
