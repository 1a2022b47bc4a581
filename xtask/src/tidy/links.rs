//! Where a file points: never outside the project, never at nothing.

use super::File;

/// Texts that point outside the project. In two halves, so that this file does not hold them.
const OUTSIDE: &[(&str, &str)] =
    &[("../", "shared"), ("/wo", "rk/"), ("/ro", "ot/"), ("semantics", ".md §"), ("design", ".md §")];

/// Complains of the paths and links of one file; `exists` knows the files of the project.
pub(super) fn check(file: &File, exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut complaints = Vec::new();
    for (number, line) in (1..).zip(file.text.lines()) {
        let mut complain = |what: String| complaints.push(format!("{}:{number}: {what}", file.path));
        for (start, end) in OUTSIDE {
            let text = format!("{start}{end}");
            if line.contains(&text) {
                complain(format!("`{text}` is outside the project"));
            }
        }
        if let Some(number) = issue(line) {
            complain(format!("`issue {number}`: say what it says instead"));
        }
        if file.path.ends_with(".md") {
            for target in targets(line).filter(|target| !exists(&resolve(&file.path, target))) {
                complain(format!("`{target}` does not exist"));
            }
        }
    }
    complaints
}

/// The number of an issue of this project; somebody else's issues are cited with their repository.
fn issue(line: &str) -> Option<&str> {
    let lower = line.to_ascii_lowercase();
    let at = lower.find("issue ")? + "issue ".len();
    let rest = line.get(at..)?.trim_start_matches('#');
    let digits = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    (digits > 0).then(|| &rest[..digits])
}

/// The relative targets of Markdown links.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()).filter(|target| {
        !target.is_empty()
            && !target.contains("://")
            && !target.starts_with("mailto:")
            && !target.contains("::")
    })
}

/// A link of a file, from the project's root.
fn resolve(file: &str, target: &str) -> String {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::{check, resolve};
    use crate::tidy::file;

    fn complaints(path: &str, text: &str) -> usize {
        check(&file(path, text), &|path| path == "docs/style.md").len()
    }

    #[test]
    fn a_path_outside_the_project_is_told() {
        assert_eq!(complaints("a.rs", &["// see ..", "/shared/x"].concat()), 1);
        assert_eq!(complaints("a.rs", "// see docs/style.md"), 0);
    }

    #[test]
    fn an_issue_of_nowhere_is_told() {
        assert_eq!(complaints("a.rs", &["// left for iss", "ue 7"].concat()), 1);
        assert_eq!(complaints("a.rs", "// an issue of taste; kubernetes/kubernetes#1234"), 0);
    }

    #[test]
    fn a_link_to_nothing_is_told() {
        assert_eq!(complaints("README.md", "[style](docs/style.md) [web](https://x.y) [here](#a)"), 0);
        assert_eq!(complaints("docs/a.md", "[style](style.md#shape)"), 0);
        assert_eq!(complaints("crates/nah-core/README.md", "[style](../../docs/stile.md)"), 1);
        assert_eq!(resolve("crates/nah-core/README.md", "../../docs/style.md"), "docs/style.md");
    }
}
