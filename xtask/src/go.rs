//! The Go programs of `tools/control-plane`, built once.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

/// The Kubernetes that `tools/control-plane/go.mod` requires, as its programs report it.
const VERSION: (&str, &str, &str) = ("1", "37", "2");

/// What came of a build.
pub(crate) enum Built {
    /// The directory with the binaries.
    Ready(PathBuf),
    /// Why they cannot be had on this machine.
    Unavailable(String),
}

/// Builds the control plane into `target/control-plane`, unless it is there.
///
/// # Errors
/// Where the sources do not compile; that Go or a module of it cannot be had is [`Built::Unavailable`].
pub(crate) fn build(shell: &Shell) -> Result<Built> {
    let root = shell.current_dir();
    let (sources, binaries) = (root.join("tools/control-plane"), root.join("target/control-plane"));
    let fingerprint = fingerprint(&sources)?;
    let stamp = binaries.join("built-from");
    if shell.read_file(&stamp).is_ok_and(|built| built == fingerprint) {
        return Ok(Built::Ready(binaries));
    }
    if cmd!(shell, "go version").quiet().ignore_stdout().ignore_stderr().run().is_err() {
        return Ok(Built::Unavailable("Go is not installed; install Go 1.26 or newer".to_owned()));
    }
    let _inside = shell.push_dir(&sources);
    let listed = cmd!(shell, "go list -deps ./...").quiet().ignore_status().output()?;
    if !listed.status.success() {
        let reason = String::from_utf8_lossy(&listed.stderr);
        let reason = reason.trim().lines().last().unwrap_or("go list failed").to_owned();
        return Ok(Built::Unavailable(format!("a Go module cannot be had: {reason}")));
    }
    eprintln!(
        "building kube-apiserver, etcd, kube-controller-manager and kubectl: seven minutes the first time"
    );
    let (major, minor, patch) = VERSION;
    let version = "k8s.io/component-base/version";
    let flags = format!(
        "-s -w -X {version}.gitVersion=v{major}.{minor}.{patch} -X {version}.gitMajor={major} -X {version}.gitMinor={minor}"
    );
    shell.create_dir(&binaries)?;
    // Linking takes up to 3 GiB a program: no more than two at a time.
    cmd!(shell, "go build -p 2 -trimpath -ldflags {flags} -o {binaries}/ ./...").run()?;
    shell.write_file(&stamp, &fingerprint)?;
    Ok(Built::Ready(binaries))
}

/// A text that changes with the sources.
fn fingerprint(sources: &Path) -> Result<String> {
    let mut files = Vec::new();
    let mut directories = vec![sources.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in
            directory.read_dir().with_context(|| format!("{} cannot be read", directory.display()))?
        {
            let path = entry?.path();
            match path.is_dir() {
                true => directories.push(path),
                false => files.push(path),
            }
        }
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    VERSION.hash(&mut hasher);
    for file in files {
        std::fs::read(&file)?.hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}
