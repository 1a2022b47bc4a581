//! What the operating system says that this process, or a thread of it, has used.

use std::time::Duration;

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};

/// What memory the process holds, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Resident now, of which `anonymous` is not of files.
    pub resident: u64,
    pub anonymous: u64,
    /// The most that was ever resident.
    pub peak: u64,
}

/// What memory the process holds.
pub fn memory() -> Result<Memory> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let kilobytes = |field| number(&status, field).map(|kilobytes| kilobytes * 1024);
    Ok(Memory {
        resident: kilobytes("VmRSS:")?,
        anonymous: kilobytes("RssAnon:")?,
        peak: kilobytes("VmHWM:")?,
    })
}

/// Lets the peak begin anew at what is resident now.
pub fn reset_peak() -> Result<()> {
    Ok(std::fs::write("/proc/self/clear_refs", "5")?)
}

/// The processor time of all threads of the process, in user space and in the kernel.
pub fn cpu() -> Duration {
    clock(ClockId::ProcessCPUTime)
}

/// The processor time of the calling thread.
pub fn thread_cpu() -> Duration {
    clock(ClockId::ThreadCPUTime)
}

/// How often the calling thread had to wait for something.
pub fn waits() -> Result<u64> {
    number(&std::fs::read_to_string("/proc/thread-self/status")?, "voluntary_ctxt_switches:")
}

fn clock(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn number(status: &str, field: &str) -> Result<u64> {
    let line =
        status.lines().find_map(|line| line.strip_prefix(field)).with_context(|| format!("no {field}"))?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
