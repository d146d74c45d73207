//! The emulator's own quota arithmetic, written from the description of the service and not from
//! the product's rules, so that the two check each other.
//!
//! Request units are counted in thousandths, money in pico-dollars.

use std::collections::BTreeMap;

use crate::{catalogue::pico, clock::SECOND};

/// A request unit.
pub(crate) const UNIT: i64 = 1000;
const DAY: i64 = 86_400 * SECOND;
const FOUR_HOURS: i64 = 14_400 * SECOND;
const REROLL_WINDOW: i64 = 900 * SECOND;
/// The last repeat of the same bytes that counts a tenth.
const LAST_REROLL: u32 = 15;

/// The number of the UTC day.
pub(crate) fn day_of(now: i64) -> i64 {
    now.div_euclid(DAY)
}

/// The next 00:00 UTC.
pub(crate) fn next_day(now: i64) -> i64 {
    (day_of(now) + 1) * DAY
}

/// The number of the fixed four-hour bucket.
pub(crate) fn bucket_of(now: i64) -> i64 {
    now.div_euclid(FOUR_HOURS)
}

/// The end of the running four-hour bucket.
pub(crate) fn bucket_end(now: i64) -> i64 {
    (bucket_of(now) + 1) * FOUR_HOURS
}

/// What a quota number buys.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Terms {
    pub(crate) price_usd: f64,
    /// No monthly cap.
    pub(crate) custom: bool,
}

impl Terms {
    /// The subscription a quota number stands for, if any.
    pub(crate) fn of_quota(quota: u64) -> Option<Self> {
        let (price_usd, custom) = match quota {
            300 => (3.0, false),
            2000 => (10.0, false),
            5000 => (20.0, false),
            301 => (3.0, true),
            2001 => (10.0, true),
            5001 => (20.0, true),
            _ => return None,
        };
        Some(Self { price_usd, custom })
    }

    /// The four-hour cap in dollars; this order of operations gives the server's last digit.
    pub(crate) fn four_hour_cap_usd(self) -> f64 {
        self.price_usd / 180.0 * 75.0
    }

    /// The monthly cap in dollars.
    pub(crate) fn month_cap_usd(self) -> f64 {
        self.price_usd * 5.0
    }

    /// Whether either cap is used up.
    pub(crate) fn is_capped(self, four_hour_pico: i64, month_pico: i64) -> bool {
        four_hour_pico >= pico(self.four_hour_cap_usd())
            || (!self.custom && month_pico >= pico(self.month_cap_usd()))
    }
}

/// Cap figures as of some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct CapFigures {
    pub(crate) bucket: i64,
    pub(crate) four_hour_pico: i64,
    pub(crate) month_pico: i64,
}

impl CapFigures {
    /// The four-hour figure at a moment: 0 once its bucket is over.
    pub(crate) fn four_hour_at(&self, now: i64) -> i64 {
        if self.bucket == bucket_of(now) { self.four_hour_pico } else { 0 }
    }
}

/// The counters of one account.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meters {
    day: i64,
    /// Quota row (`*` or a chute id) to milli-units used today.
    units: BTreeMap<String, i64>,
    free_calls: u32,
    caps: CapFigures,
    /// What `subscription_usage` shows: the truth as of the last multiple of the lag.
    shown: CapFigures,
    shown_slot: i64,
    /// Repeats of the same bytes: (chute, hash) to (count, last seen).
    repeats: BTreeMap<(String, String), (u32, i64)>,
    /// How many repeats are kept before the old ones are swept out.
    sweep_at: usize,
}

impl Meters {
    /// Milli-units used today against a row.
    pub(crate) fn used_units(&self, row: &str, now: i64) -> i64 {
        if self.day == day_of(now) { self.units.get(row).copied().unwrap_or(0) } else { 0 }
    }

    pub(crate) fn set_units(&mut self, row: &str, milli_units: i64, now: i64) {
        self.roll_day(now);
        self.units.insert(row.to_owned(), milli_units);
    }

    /// All rows with their milli-units of today.
    pub(crate) fn rows(&self, now: i64) -> BTreeMap<String, i64> {
        if self.day == day_of(now) { self.units.clone() } else { BTreeMap::new() }
    }

    pub(crate) fn caps(&self) -> CapFigures {
        self.caps
    }

    pub(crate) fn set_caps(&mut self, four_hour: Option<i64>, month: Option<i64>, now: i64) {
        self.roll_bucket(now);
        if let Some(pico) = four_hour {
            self.caps.four_hour_pico = pico;
        }
        if let Some(pico) = month {
            self.caps.month_pico = pico;
        }
        self.shown = self.caps;
    }

    pub(crate) fn free_calls(&self, now: i64) -> u32 {
        if self.day == day_of(now) { self.free_calls } else { 0 }
    }

    pub(crate) fn set_free_calls(&mut self, calls: u32, now: i64) {
        self.roll_day(now);
        self.free_calls = calls;
    }

    /// The figures a reader gets: the truth as of the last multiple of the lag.
    pub(crate) fn shown_caps(&mut self, now: i64, lag_micros: i64) -> CapFigures {
        self.settle_shown(now, lag_micros);
        if lag_micros <= 0 { self.caps } else { self.shown }
    }

    /// Books a covered call: units against its row, value against the caps. Returns the units.
    pub(crate) fn book(&mut self, booking: &Booking<'_>, now: i64) -> i64 {
        self.settle_shown(now, booking.lag_micros);
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
            self.caps.bucket = bucket;
            self.caps.four_hour_pico = 0;
        }
    }
}

/// What a covered call books.
pub(crate) struct Booking<'a> {
    pub(crate) row: &'a str,
    pub(crate) chute: &'a str,
    pub(crate) body_sha256: &'a str,
    pub(crate) value_pico: i64,
    pub(crate) lag_micros: i64,
}

/// Prices in pico-dollars per token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Prices {
    pub(crate) input: f64,
    pub(crate) output: f64,
    pub(crate) cached: f64,
}

impl Prices {
    /// From dollars per million tokens.
    pub(crate) fn per_million(input: f64, output: f64, cached: f64) -> Self {
        Self { input: input * 1e6, output: output * 1e6, cached: cached * 1e6 }
    }

    pub(crate) fn times(self, factor: f64) -> Self {
        Self {
            input: self.input * factor,
            output: self.output * factor,
            cached: self.cached * factor,
        }
    }

    /// What a call costs in pico-dollars.
    pub(crate) fn cost(self, tokens: Tokens) -> i64 {
        let fresh = tokens.prompt.saturating_sub(tokens.cached) as f64;
        let cost = fresh * self.input
            + tokens.cached as f64 * self.cached
            + tokens.completion as f64 * self.output;
        cost.round() as i64 + tokens.flat_pico
    }
}

/// The tokens of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tokens {
    pub(crate) prompt: u64,
    pub(crate) cached: u64,
    pub(crate) completion: u64,
    /// What a call costs that is charged by time.
    pub(crate) flat_pico: i64,
}
