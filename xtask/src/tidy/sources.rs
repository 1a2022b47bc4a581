//! What a source file must have, and must not.

use super::File;

/// The only crates whose sources may spawn a task.
const SPAWNERS: &[&str] = &["crates/nah-backend/", "crates/nah-testing/"];

/// Complains of one file.
pub(super) fn check(file: &File) -> Vec<String> {
    if !file.path.ends_with(".rs") {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    if !file.text.starts_with("//! ") {
        complaints.push(format!("{}: the first line has to say what the file is: `//! ...`", file.path));
    }
    let may_spawn = !is_library(&file.path) || SPAWNERS.iter().any(|spawner| file.path.starts_with(spawner));
    let mut in_tests = false;
    for (number, line) in (1..).zip(file.text.lines()) {
        in_tests |= line.trim() == "#[cfg(test)]";
        let code = code(line);
        if is_unsafe(&code) {
            complaints.push(format!("{}:{number}: unsafe code", file.path));
        }
        if !may_spawn && !in_tests && (code.contains("::spawn(") || code.contains(".spawn(")) {
            complaints.push(format!("{}:{number}: only the backend and the test server spawn", file.path));
        }
    }
    complaints
}

/// Sources of a published crate that are no tests.
fn is_library(path: &str) -> bool {
    path.starts_with("crates/") && path.contains("/src/") && !path.contains("/tests")
}

/// A line without its comment and without what stands in quotes.
fn code(line: &str) -> String {
    let line = line.split("//").next().unwrap_or_default();
    line.split('"').step_by(2).collect()
}

fn is_unsafe(code: &str) -> bool {
    ["fn", "{", "impl", "extern", "trait"].iter().any(|next| code.contains(&format!("unsafe {next}")))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::file;

    fn complaints(path: &str, text: &str) -> usize {
        check(&file(path, text)).len()
    }

    #[test]
    fn a_file_says_what_it_is() {
        assert_eq!(complaints("crates/nah-core/src/key.rs", "//! A key.\n"), 0);
        assert_eq!(complaints("crates/nah-core/src/key.rs", "use std::fmt;\n"), 1);
        assert_eq!(complaints("crates/nah-core/README.md", "A key.\n"), 0);
    }

    #[test]
    fn unsafe_code_is_found_and_the_word_is_not() {
        assert_eq!(complaints("a.rs", "//! A.\nunsafe { read() }\n"), 1);
        assert_eq!(complaints("a.rs", "//! A.\n// unsafe { read() }\nlet text = \"unsafe fn\";\n"), 0);
    }

    #[test]
    fn only_the_backend_and_the_test_server_spawn() {
        let text = "//! A.\nfn f() { tokio::spawn(work()); }\n";
        assert_eq!(complaints("crates/nah-cache/src/a.rs", text), 1);
        assert_eq!(complaints("crates/nah-cache/tests/it/a.rs", text), 0);
        assert_eq!(complaints("crates/nah-backend/src/a.rs", text), 0);
        let in_tests = "//! A.\n#[cfg(test)]\nmod tests { fn f() { tokio::spawn(work()); } }\n";
        assert_eq!(complaints("crates/nah-cache/src/a.rs", in_tests), 0);
        assert_eq!(complaints("crates/nah-cache/src/a.rs", "//! A.\nspawn_blocking(work);\n"), 0);
    }
}
