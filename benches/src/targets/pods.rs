//! A hundred thousand Pods: memory, the first sync, a list of which nothing is new, cold reads, indexes.

use anyhow::Result;

use super::{
    PODS, get, play,
    row::{Row, Unit},
    setting,
};
use crate::server::{Kind, Server};

/// What kube's default takes a Pod, with something to spare: it is not begun where there is not so much.
const KUBE_BYTES: u64 = 120 * 1024;

pub(super) fn rows() -> Result<Vec<Row>> {
    let count = setting("NAH_BENCH_PODS", PODS)?;
    let server = Server::start(Kind::Pods, count)?;
    let ours = play("nah-pods", &server.url, count)?;
    let stripped = play("kube-pods-stripped", &server.url, count)?;
    let enough = available()? > KUBE_BYTES * count as u64;
    let default = if enough { Some(play("kube-pods", &server.url, count)?) } else { None };
    if default.is_none() {
        eprintln!("targets: not enough memory for kube's default with {count} Pods: its rows are left out");
    }
    let scale = count as f64 / PODS as f64;
    let our = |name| get(&ours, name);
    let mut rows = Vec::new();
    for (field, unit, measure, bounds) in [
        ("settled", Unit::Bytes, format!("settled RSS, {count} Pods"), (40.0, 17.0)),
        ("sync_peak", Unit::Bytes, format!("peak RSS of the first sync, {count} Pods"), (0.0, 0.0)),
        ("sync_cpu", Unit::Nanoseconds, format!("CPU of the first sync, {count} Pods"), (6.0, 4.0)),
    ] {
        let rivals = [("kube", default.as_ref(), bounds.0), ("kube stripped", Some(&stripped), bounds.1)];
        for (rival, found, factor) in rivals {
            let Some(found) = found else { continue };
            let row = Row::new(&measure, unit, our(field)?).beside(rival, get(found, field)?);
            rows.push(if factor > 0.0 { row.times(factor) } else { row });
        }
    }
    let mib = 1024.0 * 1024.0;
    rows.push(
        Row::new(format!("settled RSS, {count} Pods"), Unit::Bytes, our("settled")?)
            .at_most(200.0 * mib * scale),
    );
    rows.push(
        Row::new(format!("peak RSS of the first sync, {count} Pods"), Unit::Bytes, our("sync_peak")?)
            .at_most(260.0 * mib * scale),
    );

    let relist =
        |measure: &str, unit, ours| Row::new(format!("relist, nothing changed: {measure}"), unit, ours);
    rows.extend([
        relist("CPU", Unit::Nanoseconds, our("relist_cpu")?)
            .beside("first sync", our("sync_cpu")?)
            .times(4.0),
        relist("RSS after it", Unit::Bytes, our("relisted")?).at_most(our("settled")? * 1.05),
        relist("peak RSS", Unit::Bytes, our("relist_peak")?).at_most(our("settled")? * 1.05),
        relist("events", Unit::Count, our("relist_events")?).at_most(0.0),
        relist("slowest read", Unit::Nanoseconds, our("relist_slowest_read")?).at_most(1e6),
        Row::new("get, cold", Unit::Nanoseconds, our("cold_get")?)
            .beside("deep copy of a typed Pod", get(&stripped, "deep_copy")?)
            .at_most(60_000.0),
        Row::new(format!("list by index, 100 of {count}"), Unit::Nanoseconds, our("by_index")?)
            .beside("kube's scan", get(&stripped, "scan")?)
            .times(50.0),
        Row::new("index by path, an object", Unit::Nanoseconds, our("path_index")?)
            .beside("by typed closure", our("closure_index")?)
            .times(4.0),
    ]);
    Ok(rows)
}

/// How much memory could be had.
fn available() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")).unwrap_or("0 kB");
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
