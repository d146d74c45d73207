//! Two moments that many requests share: a model that is full for a while, and many calls at once.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use chutes_emulator::Control;
use ripcord_store::{AttemptRow, Outcome, RequestRow};

use super::client::{Answer, Ending};
use super::sight::{AccountSight, seconds};
use super::traffic::BURST;
use crate::printer::text::{Text, Tone};

/// Requests that met a model without capacity.
#[derive(Debug, Default)]
pub(crate) struct Full {
    model: Option<String>,
    met: HashSet<String>,
    ended: HashMap<String, RequestRow>,
    anybody_rested: bool,
    told: bool,
}

/// Calls sent at once.
#[derive(Debug, Default)]
pub(crate) struct Burst {
    expected: HashSet<String>,
    whole: usize,
    rows: HashMap<String, RequestRow>,
    told: bool,
}

/// A wait that is worth a word; less is a slot that was given straight on.
const NOTICEABLE_WAIT_US: u64 = 20_000;

// === impl Full ===

impl Full {
    /// Whether this attempt is the first to meet it.
    pub(crate) fn attempt(&mut self, row: &AttemptRow) -> bool {
        if row.cause.as_deref() != Some("capacity") {
            return false;
        }
        let is_first = self.met.is_empty();
        if is_first {
            self.model = row.served_by.model.as_deref().map(str::to_owned);
        }
        self.met.insert(row.request_id.to_string());
        is_first
    }

    pub(crate) fn request(&mut self, row: &RequestRow) {
        if self.met.contains(&*row.request_id) {
            self.ended.insert(row.request_id.to_string(), row.clone());
        }
    }

    /// While requests wait for a model, no account should rest for it.
    pub(crate) const fn account(&mut self, account: &AccountSight) {
        if !self.told && self.model.is_some() && account.is_resting {
            self.anybody_rested = true;
        }
    }

    /// How it went, once: when the model has room and every request that met it has ended.
    pub(crate) fn end(&mut self, control: &Control) -> Option<Text> {
        let model = self.model.as_deref().filter(|_| !self.told)?;
        let is_over = control.model(model).is_none_or(|truth| truth.faults.is_empty());
        if !is_over || self.ended.len() < self.met.len() {
            return None;
        }
        self.told = true;
        let answered: Vec<&RequestRow> =
            self.ended.values().filter(|row| row.outcome == Outcome::Completed).collect();
        let attempts: u32 = self.ended.values().map(|row| row.attempt_count).sum();
        let longest = self.ended.values().map(|row| row.timing.waited_us).max().unwrap_or(0);
        let mut text = Text::toned(Tone::Accent, model).plain(format!(
            " has room again. {} of the {} requests that met it full were answered: {attempts} attempts, longest wait {}",
            answered.len(),
            self.met.len(),
            seconds(Duration::from_micros(longest)),
        ));
        if !self.anybody_rested {
            text = text.plain("; no account was blamed");
        }
        Some(text)
    }
}

// === impl Burst ===

impl Burst {
    pub(crate) fn answer(&mut self, answer: &Answer) {
        if answer.call.in_burst {
            self.expected.insert(answer.request_id.clone());
            self.whole += usize::from(answer.ending == Ending::Whole);
        }
    }

    /// Rows come before answers, so every row of the small crowd's time is kept until it is known whose it is.
    pub(crate) fn request(&mut self, row: &RequestRow) {
        if !self.told {
            self.rows.insert(row.request_id.to_string(), row.clone());
        }
    }

    /// How it went, once: when all of them are answered and written down.
    pub(crate) fn end(&mut self, control: &Control) -> Option<Text> {
        let rows: Vec<&RequestRow> =
            self.expected.iter().filter_map(|id| self.rows.get(id)).collect();
        if self.told || self.expected.len() < BURST || rows.len() < self.expected.len() {
            return None;
        }
        let waits = rows.iter().map(|row| row.timing.waited_us);
        let waited = waits.clone().filter(|&wait| wait >= NOTICEABLE_WAIT_US).count();
        let longest = waits.max().unwrap_or(0);
        let most = control.accounts().iter().map(|account| account.max_in_flight).max();
        let text = Text::toned(Tone::Strong, rows.len().to_string()).plain(format!(
            " calls at once: {} answered, {waited} after a wait for a slot (longest {}). No account ever had more than {} \
             under way",
            self.whole,
            seconds(Duration::from_micros(longest)),
            most.unwrap_or(0),
        ));
        self.told = true;
        self.rows.clear();
        Some(text)
    }
}
