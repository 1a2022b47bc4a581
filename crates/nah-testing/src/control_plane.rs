//! A real kube-apiserver and etcd on loopback, from a directory of binaries.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::Mutex,
};

/// A running control plane: etcd and kube-apiserver, and kube-controller-manager if it was asked for.
///
/// It is taken down, and its directory removed, when this value is dropped and when this process ends, however it
/// ends; [`shutdown`](Self::shutdown) waits until that is done. It needs the programs that `cargo xtask
/// control-plane --build` leaves in `target/control-plane`.
#[derive(Debug)]
pub struct ControlPlane {
    child: Child,
    pipes: Mutex<Pipes>,
    description: Description,
}

/// How a [`ControlPlane`] is started.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ControlPlaneOptions {
    /// Whether kube-controller-manager runs too (garbage collector, namespaces, Deployments, ReplicaSets).
    pub controllers: bool,
    /// More arguments for kube-apiserver, such as `--watch-cache=false`.
    pub arguments: Vec<String>,
}

impl ControlPlaneOptions {
    /// With kube-controller-manager.
    #[must_use]
    pub fn with_controllers(mut self) -> Self {
        self.controllers = true;
        self
    }

    /// With one more argument for kube-apiserver.
    #[must_use]
    pub fn with_argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }
}

/// Why a control plane did not start or did not do what it was told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlPlaneError {
    /// The supervisor cannot be run, mostly because nobody built it.
    #[error("{program} cannot be run (cargo xtask control-plane --build makes it): {source}")]
    Program {
        /// The path of the program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The supervisor has ended; what it had to say stands on standard error.
    #[error("the control plane has ended")]
    Ended,
    /// The supervisor said something else than expected.
    #[error("the supervisor's answer cannot be read: {0}")]
    Answer(#[from] serde_json::Error),
    /// A command failed.
    #[error("{command}: {message}")]
    Command {
        /// The command.
        command: &'static str,
        /// What the supervisor said.
        message: String,
    },
    /// The pipe to the supervisor broke.
    #[error(transparent)]
    Pipe(#[from] io::Error),
}

#[derive(Debug)]
struct Pipes {
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

/// What the supervisor prints when the API server is ready.
#[derive(Debug, Deserialize)]
struct Description {
    kubeconfig: PathBuf,
    outsider: PathBuf,
    url: String,
}

#[derive(Debug, Deserialize)]
struct Answer {
    error: Option<String>,
}

impl ControlPlane {
    /// Starts a control plane from a directory of binaries and returns when the API server is ready.
    ///
    /// # Errors
    /// Where the binaries are not there, or do not become ready within a minute and a half.
    pub async fn start(
        binaries: impl AsRef<Path>,
        options: ControlPlaneOptions,
    ) -> Result<Self, ControlPlaneError> {
        let program = binaries.as_ref().join("supervisor");
        let mut command = Command::new(&program);
        if options.controllers {
            command.arg("-controllers");
        }
        // Standard input is what ties the supervisor's life to ours: it ends when the pipe closes.
        command.arg("--").args(&options.arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|source| ControlPlaneError::Program { program, source })?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(ControlPlaneError::Ended);
        };
        let mut output = BufReader::new(output).lines();
        let line = output.next_line().await?.ok_or(ControlPlaneError::Ended)?;
        let description = serde_json::from_str(&line)?;
        Ok(Self { child, pipes: Mutex::new(Pipes { input, output }), description })
    }

    /// The kubeconfig file of an administrator.
    pub fn kubeconfig(&self) -> &Path {
        &self.description.kubeconfig
    }

    /// The kubeconfig file of a user called `outsider`, who has no right until a role gives him one.
    pub fn outsider_kubeconfig(&self) -> &Path {
        &self.description.outsider
    }

    /// The API server's address.
    pub fn url(&self) -> &str {
        &self.description.url
    }

    /// Ends the API server as an upgrade would: watches end in order.
    ///
    /// # Errors
    /// Where the supervisor is gone, as with all commands below.
    pub async fn stop_server(&self) -> Result<(), ControlPlaneError> {
        self.command("stop-server").await
    }

    /// Kills the API server: connections break.
    ///
    /// # Errors
    /// See [`stop_server`](Self::stop_server).
    pub async fn kill_server(&self) -> Result<(), ControlPlaneError> {
        self.command("kill-server").await
    }

    /// Starts the API server again at the same address, and returns when it is ready.
    ///
    /// # Errors
    /// Where it does not become ready.
    pub async fn start_server(&self) -> Result<(), ControlPlaneError> {
        self.command("start-server").await
    }

    /// Lets the API server stand still: connections stay open and say nothing.
    ///
    /// # Errors
    /// See [`stop_server`](Self::stop_server).
    pub async fn freeze_server(&self) -> Result<(), ControlPlaneError> {
        self.command("freeze-server").await
    }

    /// Lets a frozen API server go on.
    ///
    /// # Errors
    /// See [`stop_server`](Self::stop_server).
    pub async fn thaw_server(&self) -> Result<(), ControlPlaneError> {
        self.command("thaw-server").await
    }

    /// Has etcd forget all versions but the last. The API server's own memory of recent events is emptied by its next
    /// start only.
    ///
    /// # Errors
    /// Where etcd refuses.
    pub async fn compact(&self) -> Result<(), ControlPlaneError> {
        self.command("compact").await
    }

    /// Keeps a copy of everything stored; all of it stops for a moment.
    ///
    /// # Errors
    /// Where the files cannot be copied or the servers do not come back.
    pub async fn backup(&self) -> Result<(), ControlPlaneError> {
        self.command("backup").await
    }

    /// Goes back to the last copy: later writes are forgotten and versions are given out again.
    ///
    /// # Errors
    /// Where there is no copy, or the servers do not come back.
    pub async fn restore(&self) -> Result<(), ControlPlaneError> {
        self.command("restore").await
    }

    /// Starts kube-controller-manager, unless it runs.
    ///
    /// # Errors
    /// Where it cannot be run.
    pub async fn start_controllers(&self) -> Result<(), ControlPlaneError> {
        self.command("start-controllers").await
    }

    /// Takes everything down and returns when that is done.
    ///
    /// # Errors
    /// Where the supervisor cannot be waited for.
    pub async fn shutdown(mut self) -> Result<(), ControlPlaneError> {
        drop(self.pipes);
        self.child.wait().await?;
        Ok(())
    }

    async fn command(&self, command: &'static str) -> Result<(), ControlPlaneError> {
        let mut pipes = self.pipes.lock().await;
        pipes.input.write_all(format!("{command}\n").as_bytes()).await?;
        pipes.input.flush().await?;
        let line = pipes.output.next_line().await?.ok_or(ControlPlaneError::Ended)?;
        match serde_json::from_str::<Answer>(&line)?.error {
            None => Ok(()),
            Some(message) => Err(ControlPlaneError::Command { command, message }),
        }
    }
}
