//! Triggers: now and later. Of several delays for one key the earliest counts.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use nah_backend::{KubeBackend, core::Causes, prelude::*};
use tokio::{sync::mpsc, time::Instant};

mod ground;

pub(crate) async fn run(client: Client) -> anyhow::Result<()> {
    let backend = KubeBackend::with_client(client).build();
    let (runs, mut all_runs) = mpsc::unbounded_channel();
    backend.watcher_with("clock", Arc::new(runs), |runs, change: Change<Pod>| async move {
        // Nobody changed the Pod; there may not even be one. A trigger is neither an event nor a deletion.
        runs.send((change.key, change.causes, Instant::now()))
    })?;
    backend.start().await?;

    let start = Instant::now();
    backend.trigger::<Pod>(("default", "my-pod"), Duration::ZERO)?;
    for seconds in [8, 4, 2, 1] {
        backend.trigger::<Pod>(("default", "my-pod"), Duration::from_secs(seconds))?;
    }

    for expected in [Duration::ZERO, Duration::from_secs(1)] {
        let (key, causes, at) = all_runs.recv().await.ok_or_else(|| anyhow::anyhow!("no run"))?;
        println!("{key} after {:?} because of {causes:?}", at - start);
        anyhow::ensure!(causes == Causes::TRIGGER && at - start >= expected, "triggered too early");
    }

    backend.shutdown(Duration::from_secs(5)).await;
    anyhow::ensure!(all_runs.recv().await.is_none(), "the later delays of the key must not fire");
    Ok(())
}

#[allow(dead_code)] // A test calls `run`.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    run(ground::client().await?).await
}
