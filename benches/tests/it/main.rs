//! What keeps the figures of `docs/performance.md` from being lost: small runs that count instead of taking the time.
//!
//! Allocations and bytes are the same in a debug build and on a busy machine, so that nothing has to be optimised and
//! nobody's load decides. Each guard stands for a row of the table and fails where its point is lost.

mod counted;
mod events;
mod growth;
mod pods;
mod reads;

use std::sync::Arc;

use benches::server::{Canned, Kind};
use nah_cache::{CacheOptions, InformerFactory, informers};
use tokio::runtime::{Builder, Runtime};

/// A runtime whose clock goes on by itself where all else waits.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

fn canned(kind: Kind, count: usize) -> Arc<Canned> {
    Arc::new(Canned::new(kind, count))
}

fn factory(canned: &Arc<Canned>) -> InformerFactory {
    let (factory, driver) = informers(canned.clone().client(), CacheOptions::default());
    tokio::spawn(driver.run());
    factory
}
