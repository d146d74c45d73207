//! The story: what was seen, in words. Every line is made from an answer that a client got, a row of the ledger, the
//! gateway's report or the emulator's books. What was planned is not known here.

use std::collections::HashMap;
use std::time::Duration;

use chutes_emulator::{Control, Ended};
use ripcord_rules::units::NanoUsd;
use ripcord_store::{AttemptRow, Outcome, RequestRow, Row, StepKind, StepRow};

use super::client::{Answer, Ending};
use super::crowd::{Burst, Full};
use super::sight::{Sight, seconds};
use crate::printer::number::counted;
use crate::printer::text::{Text, Tone};

mod accounts;

use accounts::Absence;

/// One line, and when it was said.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) at: Duration,
    pub(crate) sign: (Tone, &'static str),
    pub(crate) text: Text,
}

/// What is remembered.
#[derive(Debug, Default)]
pub(crate) struct Story {
    lines: Vec<Line>,
    /// Every answer to the demonstration's own clients.
    pub(crate) answers: Vec<Answer>,
    pub(crate) requests: HashMap<String, RequestRow>,
    pub(crate) attempts: Vec<AttemptRow>,
    first: Option<Sight>,
    now: Option<Sight>,
    absences: Vec<Absence>,
    has_paid: Vec<String>,
    unfinished: Vec<Unfinished>,
    /// Answers that broke at the service and went on.
    continued: Vec<StepRow>,
    cold: Vec<usize>,
    full: Full,
    burst: Burst,
    told: Vec<Moment>,
}

/// The moments worth waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    FirstAnswer,
    Misspelt,
    HungUp,
    Closed,
    Cold,
    Full,
    Broken,
    Burst,
    Back,
}

/// Something whose end the emulator has not seen yet, as the place of its answer.
#[derive(Debug)]
struct Unfinished {
    answer: usize,
}

impl Moment {
    const ALL: [Self; 9] = [
        Self::FirstAnswer,
        Self::Misspelt,
        Self::HungUp,
        Self::Closed,
        Self::Cold,
        Self::Full,
        Self::Broken,
        Self::Burst,
        Self::Back,
    ];
}

// === impl Story ===

impl Story {
    /// The lines since the last time.
    pub(crate) fn take_lines(&mut self) -> Vec<Line> {
        std::mem::take(&mut self.lines)
    }

    /// Whether nothing is left to wait for.
    pub(crate) fn is_complete(&self) -> bool {
        Moment::ALL.iter().all(|moment| self.told.contains(moment))
    }

    /// The last thing that was seen.
    pub(crate) const fn now(&self) -> Option<&Sight> {
        self.now.as_ref()
    }

    /// The first thing that was seen.
    pub(crate) const fn first(&self) -> Option<&Sight> {
        self.first.as_ref()
    }

    /// A line of its own.
    pub(crate) fn say(&mut self, at: Duration, sign: (Tone, &'static str), text: Text) {
        self.lines.push(Line { at, sign, text });
    }

    fn good(&mut self, at: Duration, text: Text) {
        self.say(at, (Tone::Good, "✓"), text);
    }

    fn warn(&mut self, at: Duration, text: Text) {
        self.say(at, (Tone::Warn, "!"), text);
    }

    /// Whether this is the first time.
    fn is_new(&mut self, moment: Moment) -> bool {
        let new = !self.told.contains(&moment);
        if new {
            self.told.push(moment);
        }
        new
    }

    /// The gateway wrote a row.
    pub(crate) fn row(&mut self, at: Duration, row: Row) {
        match row {
            Row::Request(row) => {
                self.full.request(&row);
                self.burst.request(&row);
                self.requests.insert(row.request_id.to_string(), row);
            }
            Row::Attempt(row) => {
                if self.full.attempt(&row) {
                    let model = row.served_by.model.as_deref().unwrap_or("a model").to_owned();
                    let text = Text::toned(Tone::Accent, model)
                        .plain(" is full: Chutes answers 429. Its requests wait and try again");
                    self.warn(at, text);
                }
                self.back(at, &row);
                self.attempts.push(row);
            }
            Row::Step(row) if row.kind == StepKind::Continued => self.continued.push(row),
            Row::Step(_) => {}
        }
        self.went_on(at);
    }

    /// A client got its answer.
    pub(crate) fn answer(&mut self, at: Duration, answer: Answer) {
        let place = self.answers.len();
        match &answer.ending {
            Ending::Whole if answer.events > 0 && self.is_new(Moment::FirstAnswer) => {
                let account = answer.account.as_deref().unwrap_or("?");
                let text = client(&answer)
                    .plain(" has the first answer: ")
                    .then(Tone::Accent, answer.call.model)
                    .plain(format!(
                        " on {account}, first byte after {}",
                        seconds(answer.first_byte)
                    ));
                self.good(at, text);
            }
            Ending::Whole => {}
            Ending::Left => self.unfinished.push(Unfinished { answer: place }),
            Ending::Refused { error, .. } if error.code == "model_cold" => self.cold.push(place),
            Ending::Refused { status, error, .. } => {
                if error.code == "model_not_found" {
                    self.is_new(Moment::Misspelt);
                }
                let text = client(&answer)
                    .plain(format!(" gets {status} {}: {}", error.code, error.message));
                self.warn(at, text);
            }
            Ending::Broken(error) => {
                if error.code == "stream_broken" {
                    self.is_new(Moment::Broken);
                }
                let text = client(&answer)
                    .plain(": the stream of ")
                    .then(Tone::Accent, answer.call.model)
                    .plain(format!(
                        " breaks after {}. It ends with an error event ({}), not like a finished answer",
                        counted(answer.events.saturating_sub(1) as u64, "event", "events"),
                        error.code
                    ));
                self.warn(at, text);
            }
            Ending::Torn => {
                let text =
                    client(&answer).plain(": the answer ended without saying how. That is a bug");
                self.say(at, (Tone::Bad, "✗"), text);
            }
            Ending::Unreachable(problem) => {
                let text =
                    client(&answer).plain(format!(": no answer from the gateway: {problem}"));
                self.say(at, (Tone::Bad, "✗"), text);
            }
        }
        self.burst.answer(&answer);
        self.answers.push(answer);
        self.went_on(at);
    }

    /// Of the answers that went on, those that the clients have by now.
    fn went_on(&mut self, at: Duration) {
        for step in std::mem::take(&mut self.continued) {
            let is_it = |answer: &&Answer| *answer.request_id == *step.request_id;
            let Some(answer) = self.answers.iter().find(is_it) else {
                self.continued.push(step);
                continue;
            };
            if answer.ending == Ending::Whole {
                let text = client(answer)
                    .plain(": the stream of ")
                    .then(Tone::Accent, answer.call.model)
                    .plain(format!(
                        " broke at Chutes after {} of text. Ripcord had the model go on from there: one whole answer",
                        counted(step.before.unwrap_or(0), "byte", "bytes")
                    ));
                self.good(at, text);
                self.is_new(Moment::Broken);
            }
        }
    }

    /// The gateway's report and the emulator's books at one moment.
    pub(crate) fn sight(&mut self, at: Duration, sight: Sight) {
        for account in &sight.accounts {
            self.full.account(account);
            self.opens_or_closes(at, sight.now_micros, account);
            self.pays(at, account);
        }
        if self.first.is_none() {
            self.first = Some(sight.clone());
        }
        self.now = Some(sight);
    }

    /// What the emulator has to say about what is not finished.
    pub(crate) fn check(&mut self, at: Duration, control: &Control) {
        let waiting = std::mem::take(&mut self.unfinished);
        for unfinished in waiting {
            if !self.hung_up(at, unfinished.answer, control) {
                self.unfinished.push(unfinished);
            }
        }
        if self.cold.len() > 1 && self.is_new(Moment::Cold) {
            self.was_cold(at, control);
        }
        if let Some(text) = self.full.end(control) {
            self.is_new(Moment::Full);
            self.good(at, text);
        }
        if let Some(text) = self.burst.end(control) {
            self.is_new(Moment::Burst);
            self.good(at, text);
        }
    }

    /// Whether the emulator has seen the end of a call that its client left.
    fn hung_up(&mut self, at: Duration, place: usize, control: &Control) -> bool {
        let Some(answer) = self.answers.get(place) else { return true };
        let agent = answer.call.user_agent();
        let log = control.log();
        let Some(entry) = log.iter().rev().find(|entry| {
            entry.headers.iter().any(|(name, value)| name == "user-agent" && *value == agent)
        }) else {
            return false;
        };
        let Some(ended) = entry.ended else { return false };
        let mut text = client(answer)
            .plain(format!(" hangs up after {} events of ", answer.events))
            .then(Tone::Accent, answer.call.model)
            .plain(". ");
        text = match ended {
            Ended::ClientLeft => text.plain("The call at Chutes ends too"),
            Ended::Complete => text.plain("The call at Chutes had ended already"),
            Ended::Cut | Ended::Reset | Ended::Broken => text.plain("The call at Chutes broke"),
        };
        text = match (entry.milli_units, entry.paid_nano_usd) {
            (0, 0) => text.plain(" and costs nothing"),
            (units, paid) => {
                text.plain(format!(" and costs {} units, {}", units as f64 / 1e3, NanoUsd(paid)))
            }
        };
        self.is_new(Moment::HungUp);
        self.good(at, text);
        true
    }

    fn was_cold(&mut self, at: Duration, control: &Control) {
        let Some(answer) = self.cold.first().and_then(|&place| self.answers.get(place)) else {
            return;
        };
        let Ending::Refused { status, error, retry_after } = &answer.ending else { return };
        let model = answer.call.model;
        let asked = control
            .log()
            .iter()
            .filter(|entry| entry.method == "POST" && entry.model.as_deref() == Some(model))
            .count();
        let wait = retry_after.as_ref().map(|wait| format!(", retry after {wait} s"));
        let text = client(answer).plain(" asks for ").then(Tone::Accent, model).plain(format!(
            " {}: {status} {}{}. Chutes itself was asked {}",
            times(self.cold.len()),
            error.code,
            wait.unwrap_or_default(),
            times(asked)
        ));
        self.warn(at, text);
    }

    /// A request that is nobody's of the demonstration: somebody tries it.
    pub(crate) fn visitor(&mut self, at: Duration, row: &RequestRow) {
        let model = row.requested_model.as_deref().unwrap_or("no model");
        let account = row.served_by.account.as_deref();
        let took = seconds(Duration::from_micros(row.timing.total_us));
        let text = Text::toned(Tone::Strong, "you")
            .plain(format!(": {} ", row.route))
            .then(Tone::Accent, model);
        let status = row.status.map_or_else(|| "no status".to_owned(), |status| status.to_string());
        let cause = row.cause.as_deref().map(|cause| format!(" ({cause})")).unwrap_or_default();
        let on = account.map(|account| format!(" on {account}")).unwrap_or_default();
        let text =
            text.plain(format!("{on}: {status}, {}{cause} after {took}", row.outcome.as_str()));
        if row.outcome == Outcome::Completed { self.good(at, text) } else { self.warn(at, text) }
    }
}

fn client(answer: &Answer) -> Text {
    name(answer.call.client)
}

fn name(label: &str) -> Text {
    Text::toned(Tone::Strong, label)
}

fn times(count: usize) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => format!("{more} times"),
    }
}
