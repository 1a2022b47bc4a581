//! One row of the table: what was measured, beside what, and whether that is enough.

use serde_json::{Value, json};

/// One measure.
#[derive(Clone, Debug)]
pub struct Row {
    measure: String,
    unit: Unit,
    ours: f64,
    rival: Option<(&'static str, f64)>,
    target: Option<Target>,
}

/// What a figure is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unit {
    Bytes,
    Nanoseconds,
    Count,
    /// Larger is better.
    PerSecond,
}

#[derive(Clone, Copy, Debug)]
enum Target {
    /// Ours is no more than this.
    AtMost(f64),
    /// Ours is no less.
    AtLeast(f64),
    /// Ours is better than the rival's by this factor.
    Times(f64),
}

impl Row {
    /// A figure of ours alone.
    pub fn new(measure: impl Into<String>, unit: Unit, ours: f64) -> Self {
        Self { measure: measure.into(), unit, ours, rival: None, target: None }
    }

    /// Beside what somebody else takes.
    #[must_use]
    pub fn beside(mut self, rival: &'static str, theirs: f64) -> Self {
        self.rival = Some((rival, theirs));
        self
    }

    #[must_use]
    pub fn at_most(mut self, limit: f64) -> Self {
        self.target = Some(Target::AtMost(limit));
        self
    }

    #[must_use]
    pub fn at_least(mut self, limit: f64) -> Self {
        self.target = Some(Target::AtLeast(limit));
        self
    }

    /// Better than the rival by this factor.
    #[must_use]
    pub fn times(mut self, factor: f64) -> Self {
        self.target = Some(Target::Times(factor));
        self
    }

    /// How many times as good as the rival's ours is.
    pub fn ratio(&self) -> Option<f64> {
        let (_, theirs) = self.rival?;
        Some(if self.unit == Unit::PerSecond { self.ours / theirs } else { theirs / self.ours })
    }

    /// Whether the target is reached, where there is one.
    pub fn reached(&self) -> Option<bool> {
        Some(match self.target? {
            Target::AtMost(limit) => self.ours <= limit,
            Target::AtLeast(limit) => self.ours >= limit,
            // Without a rival nothing was reached.
            Target::Times(factor) => self.ratio().is_some_and(|ratio| ratio >= factor),
        })
    }

    pub fn json(&self) -> Value {
        json!({
            "measure": self.measure, "unit": format!("{:?}", self.unit), "ours": self.ours,
            "rival": self.rival.map(|(name, _)| name), "theirs": self.rival.map(|(_, theirs)| theirs),
            "ratio": self.ratio(), "target": self.target_text(), "reached": self.reached(),
        })
    }

    fn target_text(&self) -> Option<String> {
        Some(match self.target? {
            Target::AtMost(limit) => format!("≤ {}", self.unit.text(limit)),
            Target::AtLeast(limit) => format!("≥ {}", self.unit.text(limit)),
            Target::Times(factor) if factor < 10.0 => format!("≥ {factor:.2} times"),
            Target::Times(factor) => format!("≥ {factor:.0} times"),
        })
    }
}

impl Unit {
    fn text(self, value: f64) -> String {
        match self {
            Self::Bytes if value < 10_240.0 => format!("{value:.0} B"),
            Self::Bytes if value < 1_048_576.0 => format!("{:.1} KiB", value / 1024.0),
            Self::Bytes => format!("{:.1} MiB", value / 1_048_576.0),
            Self::Nanoseconds if value < 1e3 => format!("{value:.0} ns"),
            Self::Nanoseconds if value < 1e6 => format!("{:.1} µs", value / 1e3),
            Self::Nanoseconds if value < 1e9 => format!("{:.2} ms", value / 1e6),
            Self::Nanoseconds => format!("{:.2} s", value / 1e9),
            Self::Count if value.fract() == 0.0 => format!("{value}"),
            Self::Count => format!("{value:.2}"),
            Self::PerSecond => format!("{:.2} M/s", value / 1e6),
        }
    }
}

/// The rows as a Markdown table.
pub fn table(rows: &[Row]) -> String {
    let mut text =
        String::from("\n| measure | nah | rival | ratio | target | |\n|---|--:|--:|--:|--:|---|\n");
    for row in rows {
        let rival =
            row.rival.map_or(String::new(), |(name, theirs)| format!("{name}: {}", row.unit.text(theirs)));
        let ratio = row.ratio().map_or(String::new(), |ratio| format!("{ratio:.2}"));
        let reached = match row.reached() {
            Some(true) => "reached",
            Some(false) => "MISSED",
            None => "",
        };
        let target = row.target_text().unwrap_or_default();
        let ours = row.unit.text(row.ours);
        text.push_str(&format!("| {} | {ours} | {rival} | {ratio} | {target} | {reached} |\n", row.measure));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Row, Unit};

    #[test]
    fn a_ratio_says_how_many_times_as_good_ours_is() {
        let memory = Row::new("memory", Unit::Bytes, 10.0).beside("kube", 400.0).times(40.0);
        assert_eq!((memory.ratio(), memory.reached()), (Some(40.0), Some(true)));
        let reads = Row::new("reads", Unit::PerSecond, 12.0).beside("kube", 10.0).times(1.3);
        assert_eq!((reads.ratio(), reads.reached()), (Some(1.2), Some(false)));
    }

    #[test]
    fn a_target_that_was_not_measured_is_not_reached() {
        assert_eq!(Row::new("a", Unit::Count, 1.0).times(2.0).reached(), Some(false));
        assert_eq!(Row::new("a", Unit::Count, f64::NAN).at_most(2.0).reached(), Some(false));
        assert_eq!(Row::new("a", Unit::Count, 1.0).reached(), None);
    }
}
