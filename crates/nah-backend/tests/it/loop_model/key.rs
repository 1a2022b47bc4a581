//! What is to become of one key, worked out from what was asked for and when.

use std::time::Duration;

/// Milliseconds since the start of a test.
pub(super) type Millis = u64;

/// How the `n`th run of a key ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    Succeed,
    Fail,
    Panic,
    GiveUp,
    Ignore,
    /// Succeeds, and comes again after so long.
    Requeue(Millis),
}

/// The runs of a key in order: how long each takes and how it ends. Those after the last succeed at once.
pub(super) type Script = Vec<(Millis, Verdict)>;

/// What happens to a key from outside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Input {
    /// The object changes, or a trigger is due at once.
    Ask,
    AskAfter(Millis),
    Cancel,
    /// A callback that came late is shown the object, and it alone.
    Replay,
    Pause,
    Start,
    Stop,
}

/// A run of the callback.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    pub(super) at: Millis,
    pub(super) failures: u32,
}

/// What became of a key.
#[derive(Debug, Default)]
pub(super) struct Fate {
    pub(super) runs: Vec<Run>,
    /// When the last run that had begun by the stop was to end.
    pub(super) ends: Millis,
    /// Runs still asked for at the stop: turns, and deadlines.
    pub(super) left: usize,
}

/// Who is told in a turn.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum Meant {
    Late,
    All,
}

#[derive(Debug)]
struct Running {
    end: Millis,
    verdict: Verdict,
    again: Option<Meant>,
    retry_due: bool,
}

#[derive(Debug, Default)]
struct Key {
    turn: Option<Meant>,
    running: Option<Running>,
    trigger: Option<Millis>,
    retry: Option<Millis>,
    failures: u32,
    calls: usize,
    paused: bool,
    fate: Fate,
}

/// The fate of a key; none where two things happen to it in the same millisecond, whose order is not promised.
pub(super) fn fate(inputs: &[(Millis, Input)], script: &[(Millis, Verdict)]) -> Option<Fate> {
    let mut key = Key::default();
    let mut inputs = inputs.iter().copied().peekable();
    loop {
        let input = inputs.peek().map(|(at, _)| *at);
        let end = key.running.as_ref().map(|running| running.end);
        // What has fallen due under a run is no deadline any more.
        let due = [input, end, key.trigger, key.retry];
        let now = due.into_iter().flatten().min()?;
        if due.into_iter().flatten().filter(|at| *at == now).count() > 1 {
            return None;
        }
        if input == Some(now) {
            let (_, input) = inputs.next()?;
            if input == Input::Stop {
                let again = key.running.as_ref().is_some_and(|running| running.again.is_some());
                let turns = [key.turn.is_some(), again, key.trigger.is_some(), key.retry.is_some()];
                key.fate.left = turns.into_iter().filter(|waits| *waits).count();
                return Some(key.fate);
            }
            key.take(now, input);
        } else if end == Some(now) {
            key.end(now);
        } else if key.trigger == Some(now) {
            key.trigger = None;
            key.ask(Meant::All);
        } else {
            key.retry = None;
            match &mut key.running {
                Some(running) => running.retry_due = true,
                None => key.ask(Meant::All),
            }
        }
        key.begin(now, script);
    }
}

impl Key {
    fn take(&mut self, now: Millis, input: Input) {
        match input {
            Input::Ask | Input::AskAfter(0) => self.ask(Meant::All),
            Input::AskAfter(delay) => self.ask_after(now + delay),
            Input::Cancel => self.trigger = None,
            Input::Replay => self.ask(Meant::Late),
            Input::Pause => self.paused = true,
            Input::Start => self.paused = false,
            Input::Stop => {}
        }
    }

    fn ask(&mut self, meant: Meant) {
        let turn = self.running.as_mut().map_or(&mut self.turn, |running| &mut running.again);
        *turn = Some(turn.map_or(meant, |known| if known == Meant::All { known } else { meant }));
    }

    fn ask_after(&mut self, deadline: Millis) {
        self.trigger = Some(self.trigger.map_or(deadline, |known| known.min(deadline)));
    }

    /// Begins the run that waits, if there is one and nothing is in its way.
    fn begin(&mut self, now: Millis, script: &[(Millis, Verdict)]) {
        if self.paused || self.running.is_some() {
            return;
        }
        let Some(meant) = self.turn.take() else { return };
        // A run before the retry is for the retry, too.
        if meant == Meant::Late && self.retry.is_none() {
            self.failures = 0;
            return;
        }
        let (takes, verdict) = script.get(self.calls).copied().unwrap_or((1, Verdict::Succeed));
        self.calls += 1;
        self.fate.runs.push(Run { at: now, failures: self.failures });
        self.fate.ends = now + takes;
        self.running = Some(Running { end: now + takes, verdict, again: None, retry_due: false });
    }

    fn end(&mut self, now: Millis) {
        let Some(Running { verdict, again, retry_due, .. }) = self.running.take() else { return };
        self.turn = again;
        match verdict {
            Verdict::Succeed | Verdict::GiveUp | Verdict::Ignore | Verdict::Requeue(_) => {
                self.failures = 0;
                self.retry = None;
            }
            // That run came before its time: the retry is now, and this failure is none.
            Verdict::Fail | Verdict::Panic if retry_due => self.ask(Meant::All),
            // Nor is this one, and the retry keeps its time.
            Verdict::Fail | Verdict::Panic if self.retry.is_some() => {}
            Verdict::Fail | Verdict::Panic => {
                self.failures += 1;
                self.retry = Some(now + backoff(self.failures));
            }
        }
        if let Verdict::Requeue(delay) = verdict {
            self.ask_after(now + delay);
        }
    }
}

/// Half a second, doubling to fifteen minutes.
fn backoff(failures: u32) -> Millis {
    let wait = Duration::from_millis(500) * 2u32.pow((failures - 1).min(20));
    wait.min(Duration::from_secs(900)).as_millis() as Millis
}
