//! What the cache is to reach, measured: each row beside its rival in the same run.

mod data;
mod events;
mod growth;
mod hot;
mod kube_pods;
mod nah_pods;
mod pods;
mod row;

use anyhow::{Context, Result, bail};
use kube_client::{Client, Config};
use nah_cache::{CacheOptions, InformerFactory, informers};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

pub use self::row::{Row, Unit, table};
use crate::server::{self, Kind};

/// How many Pods are synced where nothing else is said.
const PODS: usize = 100_000;
/// How far growth is followed where nothing else is said.
const MOST: usize = 1_000_000;

/// A part of the table that can be run alone.
struct Scenario {
    name: &'static str,
    rows: fn() -> Result<Vec<Row>>,
}

const SCENARIOS: &[Scenario] = &[
    Scenario { name: "data", rows: data::rows },
    Scenario { name: "pods", rows: pods::rows },
    Scenario { name: "events", rows: events::rows },
    Scenario { name: "hot", rows: hot::rows },
    Scenario { name: "growth", rows: growth::rows },
];

/// Runs the scenarios whose name has `filter` in it.
pub fn run(filter: &str) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.name.contains(filter)) {
        eprintln!("targets: {}", scenario.name);
        rows.extend((scenario.rows)().with_context(|| format!("scenario {}", scenario.name))?);
    }
    Ok(rows)
}

/// What this program does in a process of its own; what it found out is one line of JSON.
pub fn role(name: &str, arguments: &[String]) -> Result<()> {
    let url = || arguments.first().map(String::as_str).context("no URL");
    let number = |at: usize| -> Result<usize> { Ok(arguments.get(at).context("no number")?.parse()?) };
    let found = match name {
        "serve" => {
            let kind: Kind = url()?.parse()?;
            return runtime()?.block_on(server::serve(kind, number(1)?));
        }
        "nah-pods" => nah_pods::measure(url()?, number(1)?)?,
        "kube-pods" => kube_pods::measure(url()?, number(1)?, false)?,
        "kube-pods-stripped" => kube_pods::measure(url()?, number(1)?, true)?,
        "nah-events" => events::nah(url()?, number(1)?)?,
        "kube-events" => events::kube(url()?, number(1)?)?,
        "nah-hot" => hot::nah(url()?, number(1)?)?,
        "kube-hot" => hot::kube(url()?, number(1)?)?,
        "nah-growth" => growth::nah(url()?, number(1)?)?,
        "kube-growth" => growth::kube(url()?, number(1)?)?,
        _ => bail!("there is no role {name}"),
    };
    println!("{found}");
    Ok(())
}

/// Plays a role in a process of its own and returns what it found out.
fn play(role: &str, url: &str, count: usize) -> Result<Value> {
    eprintln!("targets:   {role} {count}");
    let output = std::process::Command::new(std::env::current_exe()?)
        .args(["role", role, url, &count.to_string()])
        .stderr(std::process::Stdio::inherit())
        .output()?;
    if !output.status.success() {
        bail!("{role} failed: {}", output.status);
    }
    let found = serde_json::from_slice(&output.stdout).with_context(|| format!("what {role} said"))?;
    eprintln!("targets:     {found}");
    Ok(found)
}

/// A number of what a role found out.
fn get(found: &Value, name: &str) -> Result<f64> {
    found[name].as_f64().with_context(|| format!("{name} was not measured"))
}

fn runtime() -> Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

/// A client of a canned server, as bare as kube makes them.
fn client(url: &str) -> Result<Client> {
    let mut config = Config::new(url.parse()?);
    // A watch of these may be silent for as long as it takes to measure something else.
    config.read_timeout = None;
    Ok(Client::try_from(config)?)
}

/// A factory whose work is done on this runtime.
fn factory(client: Client, options: CacheOptions) -> InformerFactory {
    let (factory, driver) = informers(client, options);
    tokio::spawn(driver.run());
    factory
}

/// Asks the server for something that is no Kubernetes.
async fn control(client: &Client, what: &str) -> Result<()> {
    client.request_text(http::Request::get(format!("/control/{what}")).body(Vec::new())?).await?;
    Ok(())
}

/// A number that an environment variable sets.
fn setting(name: &str, otherwise: usize) -> Result<usize> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name} is no number")),
        Err(_) => Ok(otherwise),
    }
}
