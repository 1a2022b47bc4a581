//! What the queue is to reach, each measure beside its rival in the same run.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    reason = "a command line program that ends with the first error"
)]

mod fairness;
mod latency;
mod memory;
mod run_loop;
mod wake;

use std::{alloc::System, process::ExitCode, time::Duration};

use benches::targets::{Row, table};
use k8s_openapi::api::core::v1::ConfigMap;
use kube_runtime::reflector::ObjectRef;
use nah_core::{Causes, ObjectKey};
use nah_trigger::{Queue, QueueHandle, QueueOptions};
use rustix::time::{ClockId, clock_gettime};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// Counts for the rows about memory; in all others it costs both sides a few nanoseconds an allocation.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

type Scenario = (&'static str, fn() -> Vec<Row>);

const SCENARIOS: &[Scenario] = &[
    ("trigger_memory", memory::rows),
    ("trigger_fairness", fairness::rows),
    ("trigger_latency", latency::rows),
    ("trigger_wake", wake::rows),
    ("trigger_run_loop", run_loop::rows),
];

/// `[--check] [FILTER]`: with `--check` a target that is missed is a failure.
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let check = arguments.iter().any(|argument| argument == "--check")
        || std::env::var_os("NAH_BENCH_CHECK").is_some();
    // `cargo bench` says `--bench`.
    let filter = arguments.iter().find(|argument| !argument.starts_with("--")).map_or("", String::as_str);
    let mut rows = Vec::new();
    for (name, scenario) in SCENARIOS.iter().filter(|(name, _)| name.contains(filter)) {
        eprintln!("targets: {name}");
        rows.extend(scenario());
    }
    if !rows.is_empty() {
        print!("{}", table(&rows));
    }
    let missed = rows.iter().filter(|row| row.reached() == Some(false)).count();
    if check && missed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn queue() -> (QueueHandle<ObjectKey, Causes>, Queue<ObjectKey, Causes>) {
    nah_trigger::queue(QueueOptions::default())
}

fn name(at: usize) -> String {
    format!("object-{at:07}")
}

fn key(at: usize) -> ObjectKey {
    ObjectKey::from(("default", name(at)))
}

/// The same key as kube names it.
fn reference(at: usize) -> ObjectRef<ConfigMap> {
    ObjectRef::new(&name(at)).within("default")
}

/// Bytes that are held now.
fn held() -> isize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated as isize - stats.bytes_deallocated as isize
}

/// The processor time of all threads of the process, in user space and in the kernel. Others who use the machine do not
/// count.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
