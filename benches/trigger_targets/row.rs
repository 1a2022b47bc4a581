//! One row of the table: what was measured, beside what, and whether that is enough.

/// One measure.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    measure: String,
    unit: Unit,
    ours: f64,
    rival: Option<(&'static str, f64)>,
    limit: Option<f64>,
}

/// What a figure is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unit {
    Bytes,
    Nanoseconds,
    Count,
}

impl Row {
    /// A figure of ours alone.
    pub(crate) fn new(measure: impl Into<String>, unit: Unit, ours: f64) -> Self {
        Self { measure: measure.into(), unit, ours, rival: None, limit: None }
    }

    /// Beside what somebody else takes.
    pub(crate) fn beside(self, rival: &'static str, theirs: f64) -> Self {
        Self { rival: Some((rival, theirs)), ..self }
    }

    /// What ours may be.
    pub(crate) fn at_most(self, limit: f64) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// Whether the target is reached, where there is one.
    pub(crate) fn reached(&self) -> Option<bool> {
        self.limit.map(|limit| self.ours <= limit)
    }

    fn line(&self) -> String {
        let ours = self.unit.text(self.ours);
        let (mut rival, mut ratio) = (String::new(), String::new());
        if let Some((name, theirs)) = self.rival {
            rival = format!("{name}: {}", self.unit.text(theirs));
            ratio = format!("{:.2}", theirs / self.ours);
        }
        let target = self.limit.map_or(String::new(), |limit| format!("≤ {}", self.unit.text(limit)));
        let reached = match self.reached() {
            Some(true) => "reached",
            Some(false) => "MISSED",
            None => "",
        };
        format!("| {} | {ours} | {rival} | {ratio} | {target} | {reached} |\n", self.measure)
    }
}

impl Unit {
    fn text(self, value: f64) -> String {
        match self {
            Self::Bytes => format!("{value:.1} B"),
            Self::Nanoseconds if value < 1e3 => format!("{value:.0} ns"),
            Self::Nanoseconds if value < 1e6 => format!("{:.2} µs", value / 1e3),
            Self::Nanoseconds => format!("{:.2} ms", value / 1e6),
            Self::Count => format!("{value}"),
        }
    }
}

/// The rows as a Markdown table.
pub(crate) fn table(rows: &[Row]) -> String {
    let head = "\n| measure | nah | rival | ratio | target | |\n|---|--:|--:|--:|--:|---|\n";
    rows.iter().map(Row::line).fold(head.to_owned(), |text, line| text + &line)
}
