//! What is worth a word beside the attempts of a request: waits, what was left out, switches, cuts, continuations.
//!
//! Names of models and accounts, words of this program, and counts; never what somebody said.

use super::{Story, micros};
use ripcord_rules::time::Wall;
use ripcord_store::{MOST_STEPS, Row, ServedBy, StepKind, StepRow};
use ripcord_wire::trim::Cut;
use std::sync::Arc;
use std::time::Duration;

/// A shorter wait is none.
const LEAST_WAIT: Duration = Duration::from_millis(1);

/// Why a request waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitedFor {
    /// All slots were taken, others were first, or the account's pace held it back.
    Slot,
    /// Every account that could serve it rested, had no room, or had not been read yet.
    Account,
    /// No account had room for it in its windows.
    Room,
    /// What the client key may spend is held by other calls of its bearer.
    Share,
    /// A refused attempt is not repeated at once.
    Backoff,
    /// No instance of the model runs yet.
    Warming,
}

/// How the answer of a broken stream went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContinuedBy {
    /// The model was given what it had said and went on.
    Prefill,
    /// The answer was begun anew and was the same as far as it had come.
    Restart,
}

/// The steps of one request, and how many there were.
#[derive(Debug)]
pub(super) struct Steps {
    request_id: Arc<str>,
    written: u32,
    /// What was left out already, and why. As long as the steps are.
    left_out: Vec<(Arc<str>, &'static str)>,
}

/// One step, before it has a number.
#[derive(Debug)]
struct Step<'a> {
    kind: StepKind,
    subject: Option<&'a str>,
    target: Option<&'a str>,
    reason: &'a str,
    amounts: Option<(u64, u64)>,
    took: Duration,
}

// === impl Story ===

impl Story {
    /// It waited, which is over now.
    pub(crate) fn waited(&mut self, reason: WaitedFor, waited: Duration) {
        self.waited += waited;
        self.waited_since += waited;
        self.step(Step { took: waited, ..Step::new(StepKind::Waited, reason.name()) });
    }

    /// Part of the request is not sent any more.
    pub(crate) fn trimmed(&mut self, cut: &Cut, why: &'static str) {
        self.shared.metrics.trimmed(why);
        let messages = (cut.messages_before, cut.messages_after);
        let parts = [
            ("max_tokens", cut.max_tokens),
            ("messages", Some(messages).filter(|(before, after)| before != after)),
            ("bytes", Some((cut.bytes_before, cut.bytes_after))),
        ];
        for (part, amounts) in parts.into_iter().filter(|(_, amounts)| amounts.is_some()) {
            let step = Step::new(StepKind::Trimmed, why);
            self.step(Step { subject: Some(part), amounts, ..step });
        }
    }

    fn step(&mut self, step: Step<'_>) {
        let now = self.shared.clock.now().wall;
        if let Some(row) = self.steps.row(step, self.attempts, now) {
            self.shared.ledger.append(row);
        }
    }

    /// The next attempt goes elsewhere, or does not.
    pub(super) fn switch_to(&mut self, next: &ServedBy) {
        let Some((before, cause)) = self.before.take() else { return };
        let why = cause.unwrap_or("none");
        if before.model != next.model {
            self.shared.metrics.switched("model", why);
            let (from, to) = (before.model.as_deref(), next.model.as_deref());
            let step = Step::new(StepKind::Switched, why);
            self.step(Step { subject: from, target: to, ..step });
        } else if before.account != next.account {
            // The attempts themselves tell of it.
            self.shared.metrics.switched("account", why);
        }
    }

    /// For whom it is, and how long after its start the first byte is due.
    pub(crate) fn is_due(&mut self, priority: &'static str, deadline: Option<Duration>) {
        self.priority = Some(priority);
        self.deadline = deadline;
    }

    /// What could have served it is left out.
    pub(crate) fn left_out(&mut self, candidate: &str, why: &'static str) {
        if self.steps.is_news(candidate, why) {
            self.step(Step { subject: Some(candidate), ..Step::new(StepKind::LeftOut, why) });
        }
    }

    /// What serves it is not what was asked for first.
    pub(crate) fn chosen(&mut self, candidate: &str, instead_of: &str, why: &'static str) {
        let step = Step::new(StepKind::Chosen, why);
        self.step(Step { subject: Some(candidate), target: Some(instead_of), ..step });
    }

    /// An answer that broke goes on with the attempt that is next; the client has so many bytes of its text.
    pub(crate) fn continued(&mut self, how: ContinuedBy, why: &'static str, text_bytes: u64) {
        self.shared.metrics.continued(how.name());
        let step = Step::new(StepKind::Continued, why);
        self.step(Step {
            subject: Some(how.name()),
            amounts: Some((text_bytes, text_bytes)),
            ..step
        });
    }
}

// === impl WaitedFor ===

impl WaitedFor {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Slot => "slot",
            Self::Account => "account",
            Self::Room => "room",
            Self::Share => "share",
            Self::Backoff => "backoff",
            Self::Warming => "warming",
        }
    }
}

// === impl ContinuedBy ===

impl ContinuedBy {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Prefill => "prefill",
            Self::Restart => "restart",
        }
    }
}

// === impl Steps ===

impl Steps {
    pub(super) const fn new(request_id: Arc<str>) -> Self {
        Self { request_id, written: 0, left_out: Vec::new() }
    }

    /// The row of a step; `None` where there were too many, or nothing happened.
    fn row(&mut self, step: Step<'_>, attempts: u32, now: Wall) -> Option<Row> {
        if step.kind == StepKind::Waited && step.took < LEAST_WAIT || self.written >= MOST_STEPS {
            return None;
        }
        self.written += 1;
        let is_last = self.written == MOST_STEPS;
        let kept = |text: Option<&str>| text.filter(|_| !is_last).map(Arc::from);
        Some(Row::Step(StepRow {
            request_id: Arc::clone(&self.request_id),
            number: self.written,
            after_attempt: attempts,
            kind: if is_last { StepKind::More } else { step.kind },
            subject: kept(step.subject),
            target: kept(step.target),
            reason: kept(Some(step.reason)),
            before: step.amounts.filter(|_| !is_last).map(|(before, _)| before),
            after: step.amounts.filter(|_| !is_last).map(|(_, after)| after),
            at_unix_us: now.as_unix_micros(),
            took_us: micros(step.took),
        }))
    }

    /// Whether nobody said so yet: what is left out is left out again before every attempt.
    fn is_news(&mut self, candidate: &str, why: &'static str) -> bool {
        let known =
            self.left_out.iter().any(|(name, reason)| **name == *candidate && *reason == why);
        if known || self.written >= MOST_STEPS {
            return false;
        }
        self.left_out.push((candidate.into(), why));
        true
    }
}

// === impl Step ===

impl<'a> Step<'a> {
    pub(super) const fn new(kind: StepKind, reason: &'a str) -> Self {
        Self { kind, subject: None, target: None, reason, amounts: None, took: Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(steps: &mut Steps, step: Step<'_>) -> Option<StepRow> {
        match steps.row(step, 1, Wall::from_unix_seconds(7))? {
            Row::Step(row) => Some(row),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn steps_are_numbered_and_a_wait_of_no_time_is_none() {
        let mut steps = Steps::new("r".into());
        let wait = |took| Step { took, ..Step::new(StepKind::Waited, "slot") };
        assert_eq!(told(&mut steps, wait(Duration::from_micros(999))), None);
        let row = told(&mut steps, wait(Duration::from_millis(2))).unwrap();
        assert_eq!((row.number, row.after_attempt, row.took_us), (1, 1, 2_000));
        let row = told(
            &mut steps,
            Step { target: Some("b"), ..Step::new(StepKind::Switched, "capacity") },
        );
        let row = row.unwrap();
        assert_eq!((row.number, row.target.as_deref()), (2, Some("b")));
    }

    #[test]
    fn a_request_without_end_has_a_story_with_one() {
        let mut steps = Steps::new("r".into());
        let mut rows = Vec::new();
        for _ in 0..MOST_STEPS * 3 {
            rows.extend(told(
                &mut steps,
                Step { subject: Some("m"), ..Step::new(StepKind::LeftOut, "cold") },
            ));
        }
        assert_eq!(rows.len(), MOST_STEPS as usize);
        let last = rows.last().unwrap();
        assert_eq!((last.kind, &last.subject), (StepKind::More, &None));
    }

    #[test]
    fn what_is_left_out_is_told_once() {
        let mut steps = Steps::new("r".into());
        assert!(steps.is_news("m", "cold"));
        assert!(!steps.is_news("m", "cold"));
        assert!(steps.is_news("m", "privacy") && steps.is_news("n", "cold"));
    }
}
