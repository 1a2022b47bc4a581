//! Leader election: two processes, one lease. The one that leads is killed, and the other, whose cache is warm, goes on.
//!
//! Three processes on loopback: this one, with the API server, and two of the operator, which are this program again.

mod lease;

use std::{
    process::{ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Client, Config};
use nah_backend::{KubeBackend, prelude::*};
use nah_testing::ApiServer;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    signal::ctrl_c,
    time::{Instant, timeout},
};

use self::lease::Election;

const LEASE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
pub(crate) async fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let ended = match &arguments[..] {
        [role, name, url] if role == "--replica" => replica(name, url).await,
        _ => story().await,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("leader: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The operator: waits for the lease with a warm cache, works while it holds it, and goes back to waiting.
async fn replica(name: &str, url: &str) -> Result<()> {
    let client = Client::try_from(Config::new(url.parse()?))?;
    let backend = KubeBackend::with_client(client.clone()).build();
    backend.watcher("print", |change: Change<ConfigMap>| async move {
        println!("sees {}", change.key.name());
        Ok(())
    })?;
    let mut election = Election::new(client, "default", name, LEASE);
    backend.preload().await?;
    println!("stands by");
    loop {
        let won = async {
            election.won().await?;
            println!("leads");
            Ok(())
        };
        tokio::select! {
            started = backend.start_when(Box::pin(won)) => started?,
            _ = ctrl_c() => break,
        }
        tokio::select! {
            () = election.lost() => {}
            _ = ctrl_c() => break,
        }
        backend.pause().await;
        println!("stands by");
    }
    // The lease goes last: whoever has it may count on nobody else at work.
    backend.shutdown(Duration::from_secs(10)).await;
    election.release().await
}

/// What happens to two of them.
async fn story() -> Result<()> {
    let server = ApiServer::new();
    let listening = server.listen().await?;
    let map = |name: &str| {
        let metadata = json!({ "name": name, "namespace": "default" });
        server.create(&json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata }))
    };
    map("before")?;
    let mut first = Replica::begin("first", &listening.url())?;
    first.says("stands by").await?;
    first.says("leads").await?;
    first.says("sees before").await?;
    let mut second = Replica::begin("second", &listening.url())?;
    second.says("stands by").await?;

    map("during")?;
    first.says("sees during").await?;
    // What the second one asks for from here on is what taking over costs.
    server.journal().clear();
    let killed = Instant::now();
    first.kill().await?;
    map("between")?;
    second.says("leads").await?;
    println!("the second leads {:?} after the first was killed", killed.elapsed());
    ensure!(killed.elapsed() >= LEASE / 2, "it did not wait for the lease to run out");
    let mut seen = [second.line().await?, second.line().await?, second.line().await?];
    seen.sort();
    ensure!(seen == ["sees before", "sees between", "sees during"], "{seen:?}");
    let journal = server.journal();
    let asked = journal.count("list", "configmaps") + journal.count("watch", "configmaps");
    ensure!(asked == 0, "its cache was not warm: it asked for ConfigMaps {asked} times");
    println!("its cache was warm: it asked for no ConfigMap");

    map("after")?;
    second.says("sees after").await?;
    second.kill().await
}

/// A process of the operator.
struct Replica {
    name: &'static str,
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Replica {
    fn begin(name: &'static str, url: &str) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--replica", name, url]).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn()?;
        let lines = BufReader::new(process.stdout.take().context("no output")?).lines();
        Ok(Self { name, process, lines })
    }

    async fn line(&mut self) -> Result<String> {
        let line = timeout(PATIENCE, self.lines.next_line()).await.context("it says nothing")??;
        let line = line.with_context(|| format!("the {} has ended", self.name))?;
        println!("the {} {line}", self.name);
        Ok(line)
    }

    async fn says(&mut self, expected: &str) -> Result<()> {
        let line = self.line().await?;
        ensure!(line == expected, "the {} {line}, not {expected}", self.name);
        Ok(())
    }

    /// Ends it as a machine that loses its power does: with SIGKILL, and without a word.
    async fn kill(&mut self) -> Result<()> {
        println!("the {} is killed", self.name);
        Ok(self.process.kill().await?)
    }
}
