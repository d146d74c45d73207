//! The counters of an account: request units by day and row, dollars by four hours and month, and who pays by them.

use std::collections::BTreeMap;

use super::{SECOND, Terms, UNIT, bucket_of, day_of};

const REROLL_WINDOW: i64 = 900 * SECOND;
/// The last repeat of the same bytes that counts a tenth.
const LAST_REROLL: u32 = 15;

/// Cap figures as of some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CapFigures {
    /// The four-hour bucket that the figure is of.
    pub bucket: i64,
    /// Value used in it.
    pub four_hour_pico: i64,
    /// Value used since the month began.
    pub month_pico: i64,
}

impl CapFigures {
    /// The four-hour figure at a moment: 0 once its bucket is over.
    #[must_use]
    pub fn four_hour_at(&self, now: i64) -> i64 {
        if self.bucket == bucket_of(now) { self.four_hour_pico } else { 0 }
    }
}

/// Who pays for a call, decided when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payer {
    /// The subscription: units against the day, value against the caps.
    Subscription,
    /// The balance.
    Balance,
    /// Nobody: the call is refused.
    Nobody(Short),
}

/// What there is too little of where nobody pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Short {
    /// The day's request units.
    Units,
    /// The dollars of the four hours or the month.
    Caps,
}

/// What a covered call books.
#[derive(Debug, Clone, Copy)]
pub struct Booking<'a> {
    /// The quota row: `*` or a chute id.
    pub row: &'a str,
    /// The chute.
    pub chute: &'a str,
    /// Of the raw body: the same bytes again count a tenth.
    pub body_sha256: &'a str,
    /// At list price.
    pub value_pico: i64,
}

/// The counters of one account.
#[derive(Debug, Clone, Default)]
pub struct Meters {
    day: i64,
    /// Quota row (`*` or a chute id) to milli-units used today.
    units: BTreeMap<String, i64>,
    free_calls: u32,
    caps: CapFigures,
    /// As they were when the last bucket that was used had ended.
    before: CapFigures,
    /// What `subscription_usage` shows: the truth as of the last multiple of the lag.
    shown: CapFigures,
    shown_slot: i64,
    /// Repeats of the same bytes: (chute, hash) to (count, last seen).
    repeats: BTreeMap<(String, String), (u32, i64)>,
    /// How many repeats are kept before the old ones are swept out.
    sweep_at: usize,
}

impl Meters {
    /// Who pays for a call that starts now: the units of its row first, then the caps of the plan that `plan_quota`
    /// stands for, then the balance.
    #[must_use]
    pub fn payer(
        &self,
        row: &str,
        row_quota: u64,
        plan_quota: u64,
        balance_pico: i64,
        now: i64,
    ) -> Payer {
        let row_quota = i64::try_from(row_quota).unwrap_or(i64::MAX).saturating_mul(UNIT);
        let is_capped = Terms::of_quota(plan_quota).is_some_and(|terms| {
            terms.is_capped(self.caps.four_hour_at(now), self.caps.month_pico)
        });
        let short = if self.used_units(row, now) >= row_quota {
            Short::Units
        } else if is_capped {
            Short::Caps
        } else {
            return Payer::Subscription;
        };
        if balance_pico > 0 { Payer::Balance } else { Payer::Nobody(short) }
    }

    /// Milli-units used today against a row.
    #[must_use]
    pub fn used_units(&self, row: &str, now: i64) -> i64 {
        if self.day == day_of(now) { self.units.get(row).copied().unwrap_or(0) } else { 0 }
    }

    /// Sets the milli-units used today against a row.
    pub fn set_units(&mut self, row: &str, milli_units: i64, now: i64) {
        self.roll_day(now);
        self.units.insert(row.to_owned(), milli_units);
    }

    /// All rows with their milli-units of today.
    #[must_use]
    pub fn rows(&self, now: i64) -> BTreeMap<String, i64> {
        if self.day == day_of(now) { self.units.clone() } else { BTreeMap::new() }
    }

    /// The cap figures as they are.
    #[must_use]
    pub fn caps(&self) -> CapFigures {
        self.caps
    }

    /// What was used in the bucket that holds a moment: the running one, or the one used before it.
    #[must_use]
    pub fn last_of_bucket(&self, moment: i64) -> i64 {
        let running = self.caps.bucket == bucket_of(moment);
        if running { self.caps.four_hour_pico } else { self.before.four_hour_at(moment) }
    }

    /// Sets what was used in the running four hours, in the running month, or both; it shows at once.
    pub fn set_caps(&mut self, four_hour: Option<i64>, month: Option<i64>, now: i64) {
        self.roll_bucket(now);
        if let Some(pico) = four_hour {
            self.caps.four_hour_pico = pico;
        }
        if let Some(pico) = month {
            self.caps.month_pico = pico;
        }
        self.shown = self.caps;
    }

    /// Calls to free models today.
    #[must_use]
    pub fn free_calls(&self, now: i64) -> u32 {
        if self.day == day_of(now) { self.free_calls } else { 0 }
    }

    /// Sets the calls to free models today.
    pub fn set_free_calls(&mut self, calls: u32, now: i64) {
        self.roll_day(now);
        self.free_calls = calls;
    }

    /// The figures a reader gets: the truth as of the last multiple of the lag.
    pub fn shown_caps(&mut self, now: i64, lag_micros: i64) -> CapFigures {
        self.settle_shown(now, lag_micros);
        if lag_micros <= 0 { self.caps } else { self.shown }
    }

    /// Books a covered call that ends now: units against its row, value against the caps. Returns the milli-units.
    ///
    /// Figures that lag by `lag_micros` do not show it before the next multiple of the lag.
    pub fn book(&mut self, booking: &Booking<'_>, lag_micros: i64, now: i64) -> i64 {
        self.settle_shown(now, lag_micros);
        self.roll_day(now);
        self.roll_bucket(now);
        let reroll = self.repeat(booking.chute, booking.body_sha256, now);
        let milli_units = if reroll { UNIT / 10 } else { UNIT };
        let value = if reroll { booking.value_pico / 10 } else { booking.value_pico };
        *self.units.entry(booking.row.to_owned()).or_insert(0) += milli_units;
        self.caps.four_hour_pico += value;
        self.caps.month_pico += value;
        milli_units
    }

    /// Counts a successful call of these bytes; true when it is one of the cheap repeats.
    fn repeat(&mut self, chute: &str, body_sha256: &str, now: i64) -> bool {
        let is_over = |last: i64| now - last >= REROLL_WINDOW;
        // Sweeping on every call would make each dearer than the one before.
        if self.repeats.len() >= self.sweep_at {
            self.repeats.retain(|_, (_, last)| !is_over(*last));
            self.sweep_at = (self.repeats.len() * 2).max(1024);
        }
        let entry =
            self.repeats.entry((chute.to_owned(), body_sha256.to_owned())).or_insert((0, now));
        if is_over(entry.1) {
            entry.0 = 0;
        }
        entry.0 = entry.0.saturating_add(1);
        entry.1 = now;
        (2..=LAST_REROLL).contains(&entry.0)
    }

    fn settle_shown(&mut self, now: i64, lag_micros: i64) {
        if lag_micros <= 0 {
            self.shown = self.caps;
            return;
        }
        let slot = now.div_euclid(lag_micros);
        if slot != self.shown_slot {
            self.shown = self.caps;
            self.shown_slot = slot;
        }
    }

    fn roll_day(&mut self, now: i64) {
        let day = day_of(now);
        if self.day != day {
            self.day = day;
            self.units.clear();
            self.free_calls = 0;
        }
    }

    fn roll_bucket(&mut self, now: i64) {
        let bucket = bucket_of(now);
        if self.caps.bucket != bucket {
            self.before = self.caps;
            self.caps.bucket = bucket;
            self.caps.four_hour_pico = 0;
        }
    }
}
