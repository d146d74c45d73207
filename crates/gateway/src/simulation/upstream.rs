//! Chutes, as far as money goes: the emulator's arithmetic, on a clock of its own.

use super::load::Scenario;
use crate::clock::Clock;
use chutes_emulator::quota::{self, Booking, Payer, SECOND, Subscriber, Terms, UNIT};
use parking_lot::Mutex;
use ripcord_rules::quota::{
    AccountSnapshot, Cap, Plan, Readable, Source, Unit, Window, WindowKind,
};
use ripcord_rules::time::Wall;
use ripcord_rules::units::NanoUsd;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The server, and who used what of it.
pub(super) struct Upstream {
    pub(super) clock: Arc<Clock>,
    quota: u64,
    /// How far its clock is ahead of what the gateway takes it to be.
    ahead_micros: i64,
    /// For so long after a turn the four-hour figure is still that of the window before.
    old_after_turn_micros: i64,
    state: Mutex<State>,
}

struct State {
    account: Subscriber,
    windows: BTreeMap<i64, Used>,
    month_ends: i64,
    /// Of each gateway.
    last_reading: BTreeMap<usize, i64>,
    least_between_readings: i64,
}

/// What came of one four-hour window, in pico-dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) own: i64,
    pub(super) foreign: i64,
    /// Paid from the balance by our calls.
    pub(super) own_paid: i64,
    pub(super) foreign_paid: i64,
    /// What all together had used when the last of our calls had ended.
    pub(super) filled: i64,
    pub(super) own_calls: u64,
    /// When the first of our calls came, after the turn.
    pub(super) first_own: Option<i64>,
    pub(super) readings: u64,
}

/// Whose call it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    Ripcord,
    Foreign,
}

const LAG: i64 = 60 * SECOND;
const BALANCE: i64 = 1_000_000_000_000_000;
const A_MONTH: i64 = 30 * 86_400 * SECOND;

impl Upstream {
    pub(super) fn new(clock: Arc<Clock>, scenario: &Scenario) -> Self {
        let mut account = Subscriber::new(scenario.quota, LAG).with_balance(BALANCE);
        let begins = clock.now().wall.as_unix_micros() + scenario.ahead_micros;
        account.meters_mut().set_units("*", scenario.day_used_units * UNIT, begins);
        account.meters_mut().set_caps(None, Some(scenario.month_used_pico), begins);
        Self {
            clock,
            quota: scenario.quota,
            ahead_micros: scenario.ahead_micros,
            old_after_turn_micros: scenario.old_after_turn_seconds * SECOND,
            state: Mutex::new(State {
                account,
                windows: BTreeMap::new(),
                month_ends: begins + A_MONTH,
                last_reading: BTreeMap::new(),
                least_between_readings: i64::MAX,
            }),
        }
    }

    pub(super) fn now(&self) -> i64 {
        self.clock.now().wall.as_unix_micros() + self.ahead_micros
    }

    /// Who pays for a call that starts now.
    pub(super) fn check(&self, caller: Caller) -> Payer {
        let now = self.now();
        let mut state = self.state.lock();
        if caller == Caller::Ripcord {
            let used = state.windows.entry(quota::bucket_of(now)).or_default();
            used.first_own.get_or_insert(since_turn(now));
        }
        state.account.check(now)
    }

    /// A call ends now and is booked: to a chute, with a body of these bytes.
    pub(super) fn complete(
        &self,
        caller: Caller,
        payer: Payer,
        value_pico: i64,
        (chute, body): (&str, u64),
    ) {
        let now = self.now();
        let mut state = self.state.lock();
        let body = body.to_string();
        let booking = Booking { row: "*", chute, body_sha256: &body, value_pico };
        let used_so_far = |state: &State| state.account.meters().caps().four_hour_at(now);
        let before = used_so_far(&state);
        let paid = state.account.complete(payer, &booking, now);
        let covered = used_so_far(&state) - before;
        let used = state.windows.entry(quota::bucket_of(now)).or_default();
        match caller {
            Caller::Ripcord => {
                used.own += covered;
                used.own_paid += paid;
                used.own_calls += 1;
                used.filled = used.own + used.foreign;
            }
            Caller::Foreign => {
                used.foreign += covered;
                used.foreign_paid += paid;
            }
        }
    }

    /// How much of the running four hours is used, in thousandths.
    pub(super) fn used_permille(&self) -> i64 {
        let now = self.now();
        let used = self.state.lock().account.meters().caps().four_hour_at(now);
        used * 1_000 / self.four_hour_cap_pico()
    }

    pub(super) fn four_hour_cap_pico(&self) -> i64 {
        Terms::of_quota(self.quota).unwrap().four_hour_cap_pico()
    }

    /// The shortest time between two readings.
    pub(super) fn least_between_readings(&self) -> i64 {
        self.state.lock().least_between_readings
    }

    /// What was used of each window, by its number.
    pub(super) fn windows(&self) -> BTreeMap<i64, Used> {
        self.state.lock().windows.clone()
    }

    /// The account's figures as they are shown now, to the gateway that asked at `as_of` by its own clock.
    pub(super) fn figures(&self, gateway: usize, as_of: Wall) -> AccountSnapshot {
        let now = self.now();
        let mut state = self.state.lock();
        let bucket = quota::bucket_of(now);
        state.windows.entry(bucket).or_default().readings += 1;
        let figures = state.account.shown(now);
        let since_turn = since_turn(now);
        let asked = as_of.as_unix_micros();
        if let Some(before) = state.last_reading.insert(gateway, asked) {
            state.least_between_readings = state.least_between_readings.min(asked - before);
        }
        let four_hour = if since_turn < self.old_after_turn_micros {
            state.account.meters().last_of_bucket(now - since_turn - 1)
        } else {
            figures.four_hour_at(now)
        };
        let terms = Terms::of_quota(self.quota).unwrap();
        let window = |kind, unit, used, cap, resets_at: i64| Window {
            kind,
            unit,
            used: Some(used),
            cap: Cap::Limited(cap),
            resets_at: Some(Wall::from_unix_micros(resets_at)),
            as_of,
            source: Source::Server,
        };
        let units = i64::try_from(self.quota).unwrap() * UNIT;
        let month_cap = terms.month_cap_pico().unwrap();
        let day = state.account.meters().used_units("*", now);
        let month = up(figures.month_pico);
        AccountSnapshot {
            plan: Some(Plan::from_wildcard_quota(self.quota)),
            windows: vec![
                window(WindowKind::Day, Unit::Requests, day, units, quota::next_day(now)),
                window(
                    WindowKind::FourHour,
                    Unit::Usd,
                    up(four_hour),
                    terms.four_hour_cap_pico() / 1_000,
                    quota::bucket_end(now),
                ),
                window(WindowKind::Month, Unit::Usd, month, month_cap / 1_000, state.month_ends),
            ],
            chute_windows: Vec::new(),
            balance: Some(NanoUsd(state.account.balance_pico() / 1_000)),
            balance_as_of: as_of,
            paid_today: None,
            paid_as_of: as_of,
            rows_read: true,
            caps_read: true,
            readable: Readable::Yes,
            as_of,
        }
    }
}

/// For how long the running bucket has run.
fn since_turn(now: i64) -> i64 {
    now - quota::bucket_end(now) + 14_400 * SECOND
}

/// Nano-dollars, rounded up.
const fn up(pico: i64) -> i64 {
    (pico + 999).div_euclid(1_000)
}
