//! Which test cites which behaviour, and what the comments cite.

use std::collections::{BTreeMap, BTreeSet};

use super::File;

/// The tests of the project by name, each with the numbers that it cites.
#[derive(Debug, Default)]
pub(super) struct Tests(pub(super) BTreeMap<String, BTreeSet<String>>);

impl Tests {
    /// How many tests cite something.
    pub(super) fn cited(&self) -> usize {
        self.0.values().filter(|numbers| !numbers.is_empty()).count()
    }

    /// The names of the tests that cite a number.
    pub(super) fn proving(&self, number: &str) -> Vec<&str> {
        let citing = self.0.iter().filter(|(_, numbers)| numbers.contains(number));
        citing.map(|(name, _)| name.as_str()).collect()
    }
}

/// Every test and every scenario of the files, as `crate::module::name`.
pub(super) fn tests(files: &[File]) -> Tests {
    let mut tests = Tests::default();
    for file in files.iter().filter(|file| file.path.ends_with(".rs")) {
        let module = module(&file.path);
        let scenarios = file.path.contains("/tests/conformance/");
        let mut found = of_libtest(&file.text);
        if scenarios {
            found.extend(of_scenarios(&file.text));
        }
        for (name, numbers) in found {
            tests.0.entry(format!("{module}::{name}")).or_default().extend(numbers);
        }
    }
    tests
}

/// Functions under a `#[test]`, `#[tokio::test]` or inside `proptest!`, and the numbers beside their heads.
fn of_libtest(text: &str) -> Vec<(String, Vec<String>)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut tests = Vec::new();
    let mut marked = false;
    for (at, line) in lines.iter().enumerate() {
        let trimmed = line.trim();
        marked |= trimmed == "#[test]" || trimmed.starts_with("#[tokio::test");
        let Some(name) = function(trimmed) else { continue };
        if !std::mem::take(&mut marked) {
            continue;
        }
        // rustfmt moves a comment behind `{` to the next line, and a long head goes over several.
        let numbers = lines[at..].iter().take(6).find_map(|line| {
            let comment = line.split_once("//")?.1;
            let numbers = citation(comment);
            (!numbers.is_empty()).then_some(numbers)
        });
        tests.push((name.to_owned(), numbers.unwrap_or_default()));
    }
    tests
}

/// Lines such as `deletes_are_seen => "B7, Q12",` in the tables of the scenarios.
fn of_scenarios(text: &str) -> Vec<(String, Vec<String>)> {
    let mut scenarios = Vec::new();
    for line in text.lines() {
        let Some((name, rest)) = line.trim().split_once(" => \"") else { continue };
        let Some((numbers, _)) = rest.split_once('"') else { continue };
        if !name.is_empty() && name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_') {
            scenarios.push((name.to_owned(), citation(numbers)));
        }
    }
    scenarios
}

/// The name in `async fn name(`.
fn function(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?;
    rest.split(['(', '<']).next()
}

/// The numbers of a comment that is a list of numbers and nothing else.
fn citation(comment: &str) -> Vec<String> {
    let words: Vec<&str> = comment.split([',', ' ']).filter(|word| !word.is_empty()).collect();
    if words.iter().all(|word| is_number(word)) {
        words.iter().map(|it| (*it).to_owned()).collect()
    } else {
        Vec::new()
    }
}

/// The numbers that stand anywhere in a file's comments, each with its line.
pub(super) fn mentioned(text: &str) -> Vec<(usize, String)> {
    let mut mentioned = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        // A quote before the slashes: an address or a text, no comment.
        let Some((code, comment)) = line.split_once("//") else { continue };
        if code.contains('"') {
            continue;
        }
        let words =
            comment.split(|it: char| !(it.is_ascii_alphanumeric() || it == '_' || it == '-' || it == '.'));
        let words = words.map(|word| word.trim_end_matches('.')).filter(|word| is_number(word));
        mentioned.extend(words.map(|word| (number, word.to_owned())));
    }
    mentioned
}

/// Whether a word is a behaviour's number: a group's letter and up to two digits.
pub(super) fn is_number(word: &str) -> bool {
    let mut characters = word.chars();
    let letter = characters.next().is_some_and(|it| ('A'..='G').contains(&it) || it == 'Q');
    let digits = characters.as_str();
    letter
        && (1..=2).contains(&digits.len())
        && digits.chars().all(|it| it.is_ascii_digit())
        && !digits.starts_with('0')
}

/// `crates/nah-core/tests/it/key.rs` as `nah_core::key`, `crates/nah-core/src/key/tests.rs` likewise.
fn module(path: &str) -> String {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let path = path.strip_prefix("crates/").unwrap_or(path);
    let mut parts = path.split('/');
    let name = parts.next().unwrap_or_default().replace('-', "_");
    let rest = parts.filter(|part| !["src", "tests", "it", "main", "lib"].contains(part));
    std::iter::once(name).chain(rest.map(str::to_owned)).collect::<Vec<_>>().join("::")
}

#[cfg(test)]
mod tests {
    use super::{is_number, mentioned, module, tests};
    use crate::tidy::file;

    #[test]
    fn a_citation_is_found_wherever_rustfmt_puts_it() {
        let text = "//! T.\n#[test]\nfn one() // D6\n{\n}\n#[tokio::test]\nasync fn two() {\n    // A1, Q7\n}\n#[test]\nfn none() {\n    // Why: D6.\n}\n";
        let tests = tests(&[file("crates/nah-trigger/tests/it/queue.rs", text)]);
        assert_eq!(tests.proving("D6"), ["nah_trigger::queue::one"]);
        assert_eq!(tests.proving("Q7"), ["nah_trigger::queue::two"]);
        assert_eq!((tests.0.len(), tests.cited()), (3, 2));
    }

    #[test]
    fn a_helper_is_no_test() {
        let tests = tests(&[file("a.rs", "//! T.\nfn helper() {\n    // D6\n}\n")]);
        assert_eq!(tests.0.len(), 0);
    }

    #[test]
    fn a_scenario_is_a_test() {
        let text = "//! T.\nscenarios! {\n    deletes_are_seen => \"B7, Q12\",\n    starts => \"\",\n}\n";
        let tests = tests(&[file("crates/nah-backend/tests/conformance/reads.rs", text)]);
        assert_eq!(tests.proving("Q12"), ["nah_backend::conformance::reads::deletes_are_seen"]);
        assert_eq!(tests.0.len(), 2);
    }

    #[test]
    fn comments_mention_numbers_in_passing() {
        let text = "let x = 1; // B9 differs (see Q12, C3).\nlet url = \"http://x/B7\";\n// RFC-A1 and HTTP2 and F100 are others\n";
        let numbers: Vec<String> = mentioned(text).into_iter().map(|(_, number)| number).collect();
        assert_eq!(numbers, ["B9", "Q12", "C3"]);
    }

    #[test]
    fn numbers_are_a_letter_and_up_to_two_digits() {
        assert!(["A1", "G19", "Q61"].iter().all(|it| is_number(it)));
        assert!(!["H1", "A", "A0", "A123", "a1", "1A"].iter().any(|it| is_number(it)));
    }

    #[test]
    fn a_module_is_named_without_its_folders() {
        assert_eq!(module("crates/nah-core/tests/it/key.rs"), "nah_core::key");
        assert_eq!(module("crates/nah-core/src/key/tests.rs"), "nah_core::key");
        assert_eq!(module("crates/nah-core/tests/it/main.rs"), "nah_core");
        assert_eq!(module("xtask/src/tidy/links.rs"), "xtask::tidy::links");
    }
}
