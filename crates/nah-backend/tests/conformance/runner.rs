//! Runs the scenarios on a ground and tells what came of each.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use futures::{FutureExt, StreamExt};

use crate::{
    ground::Ground,
    scenario::{Flavour, Scenario},
    story,
    world::World,
};

/// How long a scenario may take; they need a second, and ten where a server starts again.
const LIMIT: Duration = Duration::from_secs(90);

/// How many run side by side.
const SIDE_BY_SIDE: usize = 4;

/// The scenarios chosen.
pub(crate) struct Runner {
    scenarios: Vec<Scenario>,
}

impl Runner {
    /// Those whose module and name contain one of the filters; all, if there is none.
    pub(crate) fn new(scenarios: Vec<Scenario>, filters: &[String]) -> Self {
        let chosen = |it: &Scenario| {
            filters.is_empty()
                || filters.iter().any(|filter| format!("{}::{}", it.module, it.name).contains(filter))
        };
        Self { scenarios: scenarios.into_iter().filter(chosen).collect() }
    }

    pub(crate) fn list(&self) {
        for scenario in &self.scenarios {
            println!("{:60} {}", scenario.name, scenario.cites);
        }
    }

    /// Whether all passed.
    pub(crate) async fn run(&self, ground: Ground) -> bool {
        let ground = Arc::new(ground);
        let (alone, together): (Vec<_>, Vec<_>) =
            self.scenarios.iter().copied().partition(|scenario| scenario.kind == Flavour::Alone);
        let mut passed = 0;
        let mut failed = Vec::new();
        for (scenarios, at_once) in [(together, SIDE_BY_SIDE), (alone, 1)] {
            let mut outcomes = futures::stream::iter(scenarios)
                .map(|scenario| one(scenario, ground.clone()))
                .buffer_unordered(at_once);
            while let Some((scenario, outcome, took)) = outcomes.next().await {
                let cites = if scenario.cites.is_empty() { "" } else { " // " };
                let line =
                    format!("{}{cites}{} ({:.1} s)", scenario.name, scenario.cites, took.as_secs_f32());
                match outcome {
                    Ok(()) => {
                        passed += 1;
                        println!("ok      {line}");
                    }
                    Err(error) => {
                        println!("FAILED  {line}\n        {error:?}");
                        failed.push(scenario.name);
                    }
                }
            }
        }
        if let Some(ground) = Arc::into_inner(ground) {
            ground.shutdown().await;
        }
        if !failed.is_empty() {
            println!("\nfailed: {}", failed.join(", "));
        }
        println!("\n{passed} passed, {} failed", failed.len());
        failed.is_empty()
    }
}

async fn one(scenario: Scenario, ground: Arc<Ground>) -> (Scenario, Result<()>, Duration) {
    #[expect(clippy::disallowed_methods, reason = "what a scenario takes is real time")]
    let started = Instant::now();
    let world = match World::new(ground, scenario.name).await {
        Ok(world) => world,
        Err(error) => return (scenario, Err(error), started.elapsed()),
    };
    let run = std::panic::AssertUnwindSafe((scenario.run)(&world)).catch_unwind();
    let outcome = match tokio::time::timeout(LIMIT, run).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(panic)) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            Err(anyhow!("panicked: {}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("?")))
        }
        Err(_) => Err(anyhow!("did not end in {LIMIT:?}")),
    };
    let outcome = outcome.map_err(|error| error.context(format!("the story:\n{}", world.story.text())));
    world.close().await;
    let compared = matches!(scenario.kind, Flavour::Ordered | Flavour::Loose);
    let outcome = outcome.and_then(|()| if compared { story::keep(&world, &scenario) } else { Ok(()) });
    (scenario, outcome, started.elapsed())
}
