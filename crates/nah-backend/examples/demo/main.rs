//! The demo: an operator, a crowd that keeps it busy, and a summary that checks itself against the server.

mod counted;
mod crowd;
pub(crate) mod ground;
pub(crate) mod operator;
mod report;
pub(crate) mod verdict;

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use nah_backend::{Backend as _, KubeBackend};
use tokio::time::{Instant, timeout};

use self::{crowd::Crowd, ground::Ground, report::Report};

const HELP: &str = "\
Runs an operator (Website -> ConfigMap + Deployment) while a crowd creates, changes, breaks and deletes Websites.

Usage: cargo xtask demo [OPTIONS]

      --objects N       Websites [default: 300]
      --duration SECS   how long the crowd goes on [default: 10]
      --seed N          what the crowd does, once more [default: by the clock]
      --kubeconfig F    run on the cluster of this kubeconfig, in a namespace that is removed again
      --cluster         run on the cluster of the current context
      --json            print the summary as one line of JSON
  -h, --help            print this
";

pub(crate) struct Arguments {
    pub(crate) objects: usize,
    pub(crate) duration: Duration,
    pub(crate) seed: u64,
    pub(crate) ground: ground::Choice,
    pub(crate) json: bool,
}

impl Arguments {
    fn parse() -> anyhow::Result<Option<Self>> {
        use lexopt::prelude::*;
        let mut arguments = Self {
            objects: 300,
            duration: Duration::from_secs(10),
            seed: fastrand::u64(..),
            ground: ground::Choice::Embedded,
            json: false,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("objects") => arguments.objects = parser.value()?.parse()?,
                Long("duration") => arguments.duration = Duration::from_secs(parser.value()?.parse()?),
                Long("seed") => arguments.seed = parser.value()?.parse()?,
                Long("kubeconfig") => arguments.ground = ground::Choice::Kubeconfig(parser.value()?.into()),
                Long("cluster") => arguments.ground = ground::Choice::Current,
                Long("json") => arguments.json = true,
                Short('h') | Long("help") => return Ok(None),
                _ => return Err(argument.unexpected().into()),
            }
        }
        Ok(Some(arguments))
    }
}

#[allow(dead_code)] // A test calls `demo`.
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "error".into()),
        )
        .with_writer(std::io::stderr)
        .init();
    let Some(arguments) = Arguments::parse()? else {
        print!("{HELP}");
        return Ok(());
    };
    let ground = Ground::prepare(&arguments.ground).await?;
    let outcome = tokio::select! {
        outcome = demo(&arguments, &ground) => outcome,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    let cleaned = ground.clean_up().await;
    let report = outcome?;
    cleaned?;
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    if !report.differences.is_empty() {
        bail!("the end state differs from what was asked for");
    }
    Ok(())
}

pub(crate) async fn demo(arguments: &Arguments, ground: &Ground) -> anyhow::Result<Report> {
    let backend = KubeBackend::with_client(ground.counted()?).namespaces([&ground.namespace]).build();
    let operator = operator::install(&backend).map_err(anyhow::Error::from_boxed)?;
    backend.start().await.context("the operator does not start")?;

    let progress = progress(arguments);
    let crowd = Arc::new(Crowd::new(ground, operator.clock.clone(), arguments.seed));
    let start = Instant::now();
    crowd.run(arguments.objects, arguments.duration, &progress).await?;

    progress.set_message("waiting for the operator to finish");
    let differences = settle(ground, &backend).await?;
    progress.finish_and_clear();
    let report =
        Report::of(&backend, &operator, &crowd, ground, start.elapsed(), arguments.seed, differences);
    // While the operator still runs: it holds every Website by a finalizer.
    crowd.leave().await?;
    let left = backend.shutdown(Duration::from_secs(10)).await;
    anyhow::ensure!(left.cut_off.is_empty(), "callbacks were cut off: {:?}", left.cut_off);
    Ok(report)
}

/// Waits until the server holds what was asked for, and the cache what the server holds; says what does not fit.
async fn settle(ground: &Ground, backend: &KubeBackend) -> anyhow::Result<Vec<String>> {
    let mut differences = Vec::new();
    let agreed = async {
        loop {
            differences = verdict::differences(ground, backend).await?;
            if differences.is_empty() {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    if let Ok(agreed) = timeout(Duration::from_secs(60), agreed).await {
        agreed?;
    }
    Ok(differences)
}

fn progress(arguments: &Arguments) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{spinner} [{elapsed}] {pos} writes by the crowd, {per_sec}: {msg}");
    let progress = if arguments.json { ProgressBar::hidden() } else { ProgressBar::no_length() };
    progress.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    progress.enable_steady_tick(Duration::from_millis(100));
    progress
}
