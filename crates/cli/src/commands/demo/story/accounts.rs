//! What the accounts go through: closed, open again, at work again, and the first money spent.

use std::time::Duration;

use ripcord_rules::units::NanoUsd;
use ripcord_store::AttemptRow;

use super::{Moment, Story, name};
use crate::commands::demo::sight::{
    AccountSight, Sight, minutes, percent, time_of_day, window_in_words,
};
use crate::printer::number::counted;
use crate::printer::text::{Text, Tone};

/// An account that takes nothing for a while.
#[derive(Debug)]
pub(super) struct Absence {
    account: String,
    window: Option<String>,
    since_micros: i64,
    opens_at_micros: Option<i64>,
    reopened: bool,
    is_back: bool,
}

/// The gateway lets an account in two seconds after its window has turned, for clocks that differ; figures show the
/// turn at once.
const CLOCK_MARGIN_MICROS: i64 = 2_500_000;

// === impl Story ===

impl Story {
    /// An account that turned since the last time.
    pub(super) fn opens_or_closes(
        &mut self,
        at: Duration,
        now_micros: i64,
        account: &AccountSight,
    ) {
        let absent = self
            .absences
            .iter()
            .position(|absence| absence.account == account.label && !absence.reopened);
        match (absent, account.is_open) {
            (None, false) => self.closes(at, now_micros, account),
            (Some(place), true) => {
                let absence = &mut self.absences[place];
                absence.reopened = true;
                let has_turned = absence
                    .opens_at_micros
                    .is_some_and(|opens| now_micros >= opens - CLOCK_MARGIN_MICROS);
                let text = match absence.window.as_deref().filter(|_| has_turned) {
                    Some(window) => Text::from(format!(
                        "it is {} UTC: the {} window of ",
                        time_of_day(now_micros),
                        window_in_words(window)
                    ))
                    .append(name(&account.label))
                    .plain(" has turned, and the account is open again"),
                    None => name(&account.label).plain(" is open again"),
                };
                self.good(at, text);
            }
            _ => {}
        }
    }

    fn closes(&mut self, at: Duration, now_micros: i64, account: &AccountSight) {
        self.is_new(Moment::Closed);
        self.absences.push(Absence {
            account: account.label.clone(),
            window: account.read.as_ref().map(|read| read.window.clone()),
            since_micros: now_micros,
            opens_at_micros: account.opens_at_micros,
            reopened: false,
            is_back: false,
        });
        let mut text = name(&account.label);
        text = match &account.read {
            Some(read) => text.plain(format!(
                ": {} of the {} window used. The rest is left for others, so Ripcord sends nothing more there",
                percent(read.used_permille),
                window_in_words(&read.window),
            )),
            None => text.plain(": Ripcord sends nothing more there"),
        };
        if account.balance() > NanoUsd::ZERO {
            text = text.plain(format!(", though its balance is {}", account.balance()));
        }
        let opens = account.opens_at_micros.map(|opens| opens - now_micros);
        if let Some(opens) = opens.and_then(|micros| u64::try_from(micros).ok()) {
            text = text.plain(format!("; open again in {}", minutes(Duration::from_micros(opens))));
        }
        self.warn(at, text);
    }

    /// The first call that an account serves after it was closed, and how it went without it.
    pub(super) fn back(&mut self, at: Duration, row: &AttemptRow) {
        let Some(account) = row.served_by.account.as_deref() else { return };
        let started = row.timing.started_at_unix_us;
        let Some(place) = self.absences.iter().position(|absence| {
            absence.account == account
                && !absence.is_back
                && absence
                    .opens_at_micros
                    .is_some_and(|opens| started >= opens - CLOCK_MARGIN_MICROS)
        }) else {
            return;
        };
        self.absences[place].is_back = true;
        self.is_new(Moment::Back);
        let absence = &self.absences[place];
        let until = absence.opens_at_micros.unwrap_or(i64::MAX) - CLOCK_MARGIN_MICROS;
        let meanwhile = |label: &str| {
            let during = self.attempts.iter().filter(|attempt| {
                attempt.served_by.account.as_deref() == Some(label)
                    && (absence.since_micros..until).contains(&attempt.timing.started_at_unix_us)
            });
            during.count() as u64
        };
        let others = self.first.iter().flat_map(|sight| &sight.accounts);
        let others: Vec<String> = others
            .filter(|other| other.label != account)
            .map(|other| format!("{} {}", other.label, meanwhile(&other.label)))
            .collect();
        let balance = |sight: Option<&Sight>| {
            let account = sight.and_then(|sight| sight.account(account));
            account.map_or_else(|| "?".to_owned(), |account| account.balance().to_string())
        };
        let text = name(account).plain(format!(
            " works again. In between it had {}, {}. Its balance: {} before, {} now, by the emulator's own books",
            counted(meanwhile(account), "call", "calls"),
            others.join(", "),
            balance(self.first.as_ref()),
            balance(self.now.as_ref()),
        ));
        self.good(at, text);
    }

    /// The first money that an account spends.
    pub(super) fn pays(&mut self, at: Duration, account: &AccountSight) {
        let is_news = !self.has_paid.contains(&account.label);
        if account.paid() == NanoUsd::ZERO || !is_news || !self.told.contains(&Moment::FirstAnswer)
        {
            return;
        }
        self.has_paid.push(account.label.clone());
        let text = name(&account.label).plain(format!(
            " ({}) has spent its first money: {} of {}",
            account.plan_name(),
            account.paid(),
            NanoUsd(account.balance().0.saturating_add(account.paid().0)),
        ));
        self.say(at, (Tone::Dim, "·"), text);
    }
}
