//! `cargo xtask tidy`: what no compiler checks.

mod arrows;
mod behaviours;
mod citations;
mod links;
mod sources;

use std::{ffi::OsString, path::PathBuf};

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

/// Runs all checks and tells everything that they found.
pub(crate) fn run(shell: &Shell, arguments: &[OsString]) -> Result<()> {
    let write = match arguments {
        [] => false,
        [flag] if flag == "--write" => true,
        _ => bail!("tidy takes --write and nothing else"),
    };
    let files = files(shell)?;
    let mut complaints = arrows::check(shell)?;
    for file in &files {
        complaints.extend(sources::check(file));
        complaints.extend(links::check(file, &|path| shell.current_dir().join(path).exists()));
    }
    let tests = citations::tests(&files);
    complaints.extend(behaviours::check(shell, &files, &tests, write)?);
    if complaints.is_empty() {
        println!("tidy: {} files, {} tests that cite a behaviour", files.len(), tests.cited());
        return Ok(());
    }
    for complaint in &complaints {
        println!("{complaint}");
    }
    bail!("{} complaints", complaints.len())
}

/// A text file of the project.
struct File {
    /// From the root, with `/`.
    path: String,
    text: String,
}

/// Every text file that git knows or would add; without git, every file outside `target`.
fn files(shell: &Shell) -> Result<Vec<File>> {
    let root = shell.current_dir();
    let listed =
        cmd!(shell, "git ls-files --cached --others --exclude-standard").quiet().ignore_stderr().read();
    let paths: Vec<PathBuf> = match listed {
        Ok(listed) => listed.lines().map(PathBuf::from).collect(),
        Err(_) => walk(&root)?,
    };
    let mut files = Vec::new();
    for path in paths {
        // A file that was deleted and not yet committed, and one that is no text, have nothing to say.
        if let Ok(text) = std::fs::read_to_string(root.join(&path)) {
            files.push(File { path: path.to_string_lossy().replace('\\', "/"), text });
        }
    }
    Ok(files)
}

fn walk(root: &std::path::Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut directories) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = directories.pop() {
        for entry in directory.read_dir()? {
            let path = entry?.path();
            match path.is_dir() {
                true if path.ends_with("target") || path.ends_with(".git") => {}
                true => directories.push(path),
                false => found.push(path.strip_prefix(root)?.to_owned()),
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
fn file(path: &str, text: &str) -> File {
    File { path: path.to_owned(), text: text.to_owned() }
}
