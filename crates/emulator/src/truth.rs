//! What the emulator knows to be true of an account, for tests to compare with what it says.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    accounts::{ANY, Account, nano},
    catalogue::{micros, usd},
    faults::Fault,
    scenario::{Lag, Scenario},
};

impl Account {
    /// The truth, for tests.
    pub(crate) fn truth(&mut self, now: i64, lag: Lag) -> AccountTruth {
        let caps = self.meters.caps();
        let shown = self.meters.shown_caps(now, micros(lag.cap_figures_seconds));
        AccountTruth {
            name: self.spec.name.clone(),
            user_id: self.user_id.clone(),
            quotas: self.quotas.clone(),
            balance_nano_usd: nano(self.balance_pico),
            balance_usd: usd(self.balance_pico),
            day_milli_units: self.meters.used_units(ANY, now),
            day_milli_units_by_row: self.meters.rows(now),
            milli_units_ever: self.milli_units_ever,
            four_hour_nano_usd: nano(caps.four_hour_at(now)),
            month_nano_usd: nano(caps.month_pico),
            four_hour_shown_nano_usd: nano(shown.four_hour_at(now)),
            month_shown_nano_usd: nano(shown.month_pico),
            covered_nano_usd: nano(self.covered_pico),
            paid_nano_usd: nano(self.paid_pico),
            invoiced_nano_usd: nano(self.invoiced_pico),
            calls_counted: self.calls_counted,
            free_calls_today: self.meters.free_calls(now),
            in_flight: self.in_flight,
            max_in_flight: self.max_in_flight,
            max_at_once: self.max_at_once,
            faults: self.faults.in_force(now),
            keys: (0..self.keys.len()).map(|index| Scenario::key(&self.spec.name, index)).collect(),
        }
    }
}

/// What the emulator knows to be true of an account.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AccountTruth {
    /// User name.
    pub name: String,
    /// User id.
    pub user_id: String,
    /// Quota rows: `*` or a chute id to requests a day.
    pub quotas: BTreeMap<String, u64>,
    /// Balance in nano-dollars.
    pub balance_nano_usd: i64,
    /// Balance in dollars.
    pub balance_usd: f64,
    /// Thousandths of request units used today against the `*` row.
    pub day_milli_units: i64,
    /// The same by row.
    pub day_milli_units_by_row: BTreeMap<String, i64>,
    /// Thousandths of request units counted since the start.
    pub milli_units_ever: i64,
    /// Value used in the running four hours.
    pub four_hour_nano_usd: i64,
    /// Value used in the running month.
    pub month_nano_usd: i64,
    /// The four-hour figure as `subscription_usage` shows it.
    pub four_hour_shown_nano_usd: i64,
    /// The month figure as `subscription_usage` shows it.
    pub month_shown_nano_usd: i64,
    /// Value, at the account's prices, of the calls that the subscription covered since the start.
    pub covered_nano_usd: i64,
    /// What the balance paid since the start.
    pub paid_nano_usd: i64,
    /// What is to be invoiced since the start.
    pub invoiced_nano_usd: i64,
    /// Calls that counted since the start.
    pub calls_counted: u64,
    /// Calls to free models today, failed ones included.
    pub free_calls_today: u32,
    /// Calls running now.
    pub in_flight: u32,
    /// The most calls that ever ran at once.
    pub max_in_flight: u32,
    /// More calls at once than this get the edge's 429.
    pub max_at_once: Option<u32>,
    /// Faults in force.
    pub faults: Vec<Fault>,
    /// The emulated keys, in order.
    pub keys: Vec<String>,
}
