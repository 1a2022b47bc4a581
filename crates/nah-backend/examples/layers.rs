//! Layers over a writer: dry run, audit and a rate limit, each a dozen lines over one dyn-compatible method.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use nah_backend::{
    KubeBackend,
    client::{Result, Write, Writer, Written},
    prelude::*,
};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};

mod ground;

/// Only as if: the server checks every write and does none.
pub(crate) struct DryRun<W>(pub(crate) W);

impl<W: Writer> Writer for DryRun<W> {
    fn write(&self, mut write: Write) -> BoxFuture<'_, Result<Written>> {
        write.dry_run = true;
        self.0.write(write)
    }
}

/// Tells every write and what came of it. `Write` shows kind and key, not the body.
pub(crate) struct Audit<W, F>(pub(crate) W, pub(crate) F);

impl<W: Writer, F: Fn(&Write, &Result<Written>) + Send + Sync> Writer for Audit<W, F> {
    fn write(&self, write: Write) -> BoxFuture<'_, Result<Written>> {
        async move {
            let answer = self.0.write(write.clone()).await;
            (self.1)(&write, &answer);
            answer
        }
        .boxed()
    }
}

/// Sends one write at a time, `pause` apart at the least, in the order in which they were asked for.
pub(crate) struct RateLimit<W> {
    writer: W,
    pause: Duration,
    next: Mutex<Instant>,
}

impl<W> RateLimit<W> {
    pub(crate) fn new(writer: W, pause: Duration) -> Self {
        Self { writer, pause, next: Mutex::new(Instant::now()) }
    }
}

impl<W: Writer> Writer for RateLimit<W> {
    fn write(&self, write: Write) -> BoxFuture<'_, Result<Written>> {
        async move {
            {
                let mut next = self.next.lock().await;
                sleep_until(*next).await;
                *next = Instant::now() + self.pause;
            }
            self.writer.write(write).await
        }
        .boxed()
    }
}

fn map(name: &str) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.into());
    map.metadata.namespace = Some("default".into());
    map
}

pub(crate) async fn run(client: Client) -> anyhow::Result<()> {
    let backend = KubeBackend::with_client(client).build();
    let tell = |write: &Write, answer: &Result<Written>| match answer {
        Ok(_) => println!("{write:?}"),
        Err(error) => println!("{write:?}: {error}"),
    };
    // Whoever takes an `Arc<dyn Writer>` does not know how many there are.
    let paced = RateLimit::new(backend.clone(), Duration::from_millis(100));
    let writer: Arc<dyn Writer> = Arc::new(Audit(paced, tell));
    let started = Instant::now();
    for name in ["a", "b", "c"] {
        writer.create(&map(name)).await?;
    }
    anyhow::ensure!(started.elapsed() >= Duration::from_millis(200), "too fast");

    let dry: Arc<dyn Writer> = Arc::new(DryRun(writer));
    dry.create(&map("never")).await?;
    dry.delete_by_key::<ConfigMap>(("default", "a")).await?;
    backend.start().await?;
    anyhow::ensure!(backend.get::<ConfigMap>(("default", "never")).await.optional()?.is_none(), "made");
    backend.get::<ConfigMap>(("default", "a")).await?; // and not deleted
    backend.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

#[allow(dead_code)] // A test calls `run`.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    run(ground::client().await?).await
}
