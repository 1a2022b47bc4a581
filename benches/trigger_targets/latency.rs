//! How late a key comes that was asked for with a delay, on the real clock.

use std::{pin::pin, time::Duration};

use benches::targets::{Row, Unit};
use futures::{StreamExt, stream};
use kube_runtime::scheduler::{ScheduleRequest, scheduler};
use nah_core::Causes;
use tokio::{
    runtime::Builder,
    time::{Instant, sleep_until},
};

use crate::{cpu, key, queue, reference};

/// What was seen of keys that fell due, one after the other.
struct Seen {
    /// How late each key came, in rising order.
    late: Vec<Duration>,
    /// Processor time a key, from the first that was due to the last.
    cpu: Duration,
}

pub(crate) fn rows() -> Vec<Row> {
    let steady = (nah(50_000, Duration::from_secs(5)), kube(50_000, Duration::from_secs(5)));
    let burst = (nah(100_000, Duration::from_secs(1)), kube(100_000, Duration::from_secs(1)));
    let nanoseconds = |time: Duration| time.as_nanos() as f64;
    let row = |measure: &str, of: fn(&Seen) -> Duration, (ours, theirs): &(Seen, Seen)| {
        Row::new(measure, Unit::Nanoseconds, nanoseconds(of(ours))).beside("kube", nanoseconds(of(theirs)))
    };
    vec![
        row("10k keys due a second: how late, p50", |seen| seen.part(50), &steady),
        row("10k keys due a second: how late, p99", |seen| seen.part(99), &steady).at_most(1.3e6),
        row("10k keys due a second: processor time a key", |seen| seen.cpu, &steady).at_most(2e3),
        Row::new(
            "a timer that does nothing else: processor time a wake",
            Unit::Nanoseconds,
            nanoseconds(timer()),
        ),
        row("100k keys due in one second: the last", |seen| seen.part(100), &burst).at_most(60e6),
        row("100k keys due in one second: processor time a key", |seen| seen.cpu, &burst),
    ]
}

impl Seen {
    fn new(mut late: Vec<Duration>, cpu: Duration) -> Self {
        let cpu = cpu / late.len() as u32;
        late.sort_unstable();
        Self { late, cpu }
    }

    fn part(&self, percent: usize) -> Duration {
        self.late[(self.late.len() * percent / 100).min(self.late.len() - 1)]
    }
}

/// When the key falls due after `first`, of `count` that do within `span`.
fn place(at: usize, count: usize, span: Duration) -> Duration {
    span.mul_f64(at as f64 / count as f64)
}

/// Long enough to ask for every key before the first is due.
fn lead(count: usize) -> Duration {
    Duration::from_micros(20) * count as u32
}

fn nah(count: usize, span: Duration) -> Seen {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    runtime.block_on(async move {
        let (handle, mut keys) = queue();
        let first = Instant::now() + lead(count);
        for at in 0..count {
            let due = first + place(at, count, span);
            handle.add_after(key(at), Causes::TRIGGER, due - Instant::now()).unwrap();
        }
        assert!(Instant::now() < first, "all have to be asked for before the first is due");
        tokio::spawn(async move {
            sleep_until(first).await;
            let before = cpu();
            let mut late = Vec::with_capacity(count);
            while late.len() < count {
                let claim = keys.next().await.unwrap();
                let at: usize = claim.key().name()["object-".len()..].parse().unwrap();
                late.push(first.elapsed().saturating_sub(place(at, count, span)));
                claim.done();
            }
            Seen::new(late, cpu() - before)
        })
        .await
        .unwrap()
    })
}

/// Processor time a wake of tokio's timer, as often as it can: once a millisecond. What a key costs above cannot be less
/// than its part of this.
fn timer() -> Duration {
    const WAKES: u32 = 3_000;
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let wakes = runtime.spawn(async {
        let mut sleep = pin!(sleep_until(Instant::now()));
        let before = cpu();
        for _ in 0..WAKES {
            sleep.as_mut().reset(Instant::now() + Duration::from_micros(1));
            sleep.as_mut().await;
        }
        (cpu() - before) / WAKES
    });
    runtime.block_on(wakes).unwrap()
}

fn kube(count: usize, span: Duration) -> Seen {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    runtime.block_on(async move {
        let first = Instant::now() + lead(count);
        let requests: Vec<_> = (0..count)
            .map(|at| ScheduleRequest { message: reference(at), run_at: first + place(at, count, span) })
            .collect();
        tokio::spawn(async move {
            let mut scheduler = pin!(scheduler(stream::iter(requests).chain(stream::pending())));
            // Takes them in; none is due.
            let next = scheduler.as_mut().hold_unless(|_| true).next().await;
            assert!(next.is_some());
            let before = cpu();
            let mut late = Vec::with_capacity(count);
            while late.len() + 1 < count {
                let reference = scheduler.as_mut().hold_unless(|_| true).next().await.unwrap();
                let at: usize = reference.name["object-".len()..].parse().unwrap();
                late.push(first.elapsed().saturating_sub(place(at, count, span)));
            }
            Seen::new(late, cpu() - before)
        })
        .await
        .unwrap()
    })
}
