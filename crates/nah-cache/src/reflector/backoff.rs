//! How long to wait before the server is asked again. Pure: time and chance are passed in.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(800);
const LONGEST: Duration = Duration::from_secs(30);

/// How long things must have gone well for past failures to be forgotten.
const HEALTHY: Duration = Duration::from_secs(60);

/// 0.8 s doubling to 30 s, each stretched by up to 100 % so that many reflectors do not come back in step.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    well_since: Option<Duration>,
}

impl Backoff {
    /// Things go well at `now`. A success alone forgets nothing: a list that succeeds before a watch that fails each
    /// time would otherwise be asked for without pause.
    pub(crate) fn well(&mut self, now: Duration) {
        self.well_since.get_or_insert(now);
    }

    /// How long to wait after a failure at `now`; `chance` is in `[0, 1)`.
    pub(crate) fn failed(&mut self, now: Duration, chance: f64) -> Duration {
        let well_for = self.well_since.take().map_or(Duration::ZERO, |since| now.saturating_sub(since));
        if well_for >= HEALTHY {
            self.failures = 0;
        }
        let wait = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        wait.mul_f64(1.0 + chance.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn doubles_from_0_8_to_30_seconds() // C23
    {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..7).map(|_| backoff.failed(seconds(0), 0.0).as_millis()).collect();
        assert_eq!(waits, [800, 1600, 3200, 6400, 12_800, 25_600, 30_000]);
    }

    #[test]
    fn stretches_each_wait_by_up_to_its_double() // C23
    {
        assert_eq!(Backoff::default().failed(seconds(0), 0.5).as_millis(), 1200);
        let mut backoff = Backoff::default();
        (0..40).for_each(|_| _ = backoff.failed(seconds(0), 0.0));
        assert!(backoff.failed(seconds(0), 0.999) < seconds(60));
    }

    #[test]
    fn forgets_failures_only_after_a_healthy_minute() // C23, Q56
    {
        let mut backoff = Backoff::default();
        (0..5).for_each(|_| _ = backoff.failed(seconds(0), 0.0));
        backoff.well(seconds(10));
        assert_eq!(backoff.failed(seconds(69), 0.0).as_millis(), 25_600);
        backoff.well(seconds(70));
        backoff.well(seconds(129));
        assert_eq!(backoff.failed(seconds(130), 0.0).as_millis(), 800);
    }
}
