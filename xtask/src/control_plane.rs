//! `cargo xtask control-plane`: a real kube-apiserver and etcd on loopback.

use std::{
    ffi::OsString,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use lexopt::prelude::*;
use xshell::Shell;

use crate::go::{self, Built};

#[derive(Default)]
struct Options {
    build: bool,
    controllers: bool,
    command: Vec<OsString>,
}

/// Builds and starts the control plane; ends with the command given, with Ctrl-C, or with the process that started it.
pub(crate) fn run(shell: &Shell, arguments: &[OsString]) -> Result<()> {
    let options = parse(arguments)?;
    let binaries = match go::build(shell)? {
        Built::Ready(binaries) => binaries,
        Built::Unavailable(reason) => bail!("no control plane: {reason}"),
    };
    if options.build {
        println!("{}", binaries.display());
        return Ok(());
    }
    let mut supervisor = Command::new(binaries.join("supervisor"));
    if options.controllers {
        supervisor.arg("-controllers");
    }
    // The supervisor takes everything down when this pipe closes, which it does however this process ends.
    let mut supervisor = supervisor.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let input = supervisor.stdin.take();
    let ready = ready(&mut supervisor);
    let outcome = ready.and_then(|kubeconfig| attend(&options, &binaries, &kubeconfig, &mut supervisor));
    drop(input);
    supervisor.wait()?;
    outcome
}

fn parse(arguments: &[OsString]) -> Result<Options> {
    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("build") => options.build = true,
            Long("controllers") => options.controllers = true,
            Value(command) => {
                options.command.push(command);
                options.command.extend(parser.raw_args()?);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

/// The kubeconfig, once the API server is ready.
fn ready(supervisor: &mut Child) -> Result<String> {
    let output = supervisor.stdout.take().context("the supervisor has no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let description: serde_json::Value =
        serde_json::from_str(&line).context("the control plane did not start; see above")?;
    let kubeconfig = description["kubeconfig"].as_str().context("the supervisor told no kubeconfig")?;
    Ok(kubeconfig.to_owned())
}

/// Stays until there is a reason to end.
fn attend(options: &Options, binaries: &Path, kubeconfig: &str, supervisor: &mut Child) -> Result<()> {
    if let [program, arguments @ ..] = options.command.as_slice() {
        let own = std::env::var_os("PATH").unwrap_or_default();
        let path =
            std::env::join_paths(std::iter::once(binaries.to_owned()).chain(std::env::split_paths(&own)))?;
        let mut command = Command::new(program);
        let status = command.args(arguments).env("KUBECONFIG", kubeconfig).env("PATH", path).status();
        let status = status.with_context(|| format!("{} cannot be run", program.display()))?;
        anyhow::ensure!(status.success(), "{} ended with {status}", program.display());
        return Ok(());
    }
    println!("export KUBECONFIG={kubeconfig}");
    eprintln!("kubectl is {}; Ctrl-C ends it all", binaries.join("kubectl").display());
    let parent = parent();
    // Nobody sends: the receiver is a clock.
    let (_sender, clock) = mpsc::channel::<()>();
    while supervisor.try_wait()?.is_none() && parent == self::parent() {
        let _ = clock.recv_timeout(Duration::from_millis(300));
    }
    Ok(())
}

/// The process that started this one; another one once that has died.
#[cfg(unix)]
fn parent() -> u32 {
    std::os::unix::process::parent_id()
}

#[cfg(not(unix))]
fn parent() -> u32 {
    0
}
