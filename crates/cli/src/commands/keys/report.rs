//! A client key as JSON.

use ripcord_rules::time::Wall;
use ripcord_rules::units::NanoUsd;
use ripcord_store::{ClientKey, ClientPaygo};
use schemars::JsonSchema;
use serde::Serialize;

use super::Usage;
use crate::figures;
use crate::printer::moment;

/// One client key, never the key itself. A bound that it does not have is null.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct KeyReport {
    /// Its name.
    name: String,
    /// Whether it is in force: neither revoked nor expired.
    in_force: bool,
    /// Whether the balance may pay for its calls: `as_account`, `never`, `allow`, `daily`. Never more than the account allows.
    paygo: &'static str,
    /// With `daily`: how many US dollars from 00:00 to 00:00 UTC.
    paygo_daily_usd: Option<f64>,
    /// What the balance paid, or may have paid, for its calls since 00:00 UTC, in US dollars, as the ledger has it.
    paid_today_usd: f64,
    /// Whether its interactive requests may use what is kept for interactive work.
    may_use_reserve: bool,
    /// The balance is not drawn below this for its calls, in US dollars; null for the account's own minimum.
    min_balance_usd: Option<f64>,
    /// What it does with an account whose figures are not known: `allow`, `refuse`.
    when_unknown: &'static str,
    /// What its calls may cost from 00:00 to 00:00 UTC, in US dollars at list price, whoever pays.
    daily_usd: Option<f64>,
    /// What they did cost since 00:00 UTC, as the ledger has it.
    used_today_usd: f64,
    /// What its calls may cost in a calendar month, UTC.
    monthly_usd: Option<f64>,
    /// What they did cost since the month began.
    used_this_month_usd: f64,
    /// How many requests it may make from 00:00 to 00:00 UTC.
    daily_requests: Option<u64>,
    /// How many it made since 00:00 UTC.
    requests_today: u64,
    /// How many requests it may make in any 60 seconds.
    requests_per_minute: Option<u32>,
    /// How many of its requests may be under way at once.
    concurrent_requests: Option<u32>,
    /// Patterns of the models it may use; empty for all of them.
    models: Vec<String>,
    /// The highest priority of its requests: `interactive`, `agent`, `batch`.
    highest_priority: &'static str,
    /// When it was made, UTC.
    created_at: String,
    /// When it ends by itself, UTC; null if it does not.
    expires_at: Option<String>,
    /// When it was revoked, UTC; null if it was not.
    revoked_at: Option<String>,
}

impl KeyReport {
    pub(super) fn of(key: &ClientKey, usage: &Usage, now: Wall) -> Self {
        let utc = |micros| moment::utc(Wall::from_unix_micros(micros));
        let usd = |amount: i64| figures::usd(NanoUsd(amount));
        let (paygo, daily) = match key.rules.paygo {
            ClientPaygo::AsAccount => ("as_account", None),
            ClientPaygo::Never => ("never", None),
            ClientPaygo::Allow => ("allow", None),
            ClientPaygo::Daily(bound) => ("daily", Some(usd(bound))),
        };
        let share = &key.rules.share;
        Self {
            name: key.name.to_string(),
            in_force: key.is_in_force(now.as_unix_micros()),
            paygo,
            paygo_daily_usd: daily,
            paid_today_usd: figures::usd(usage.paid_today),
            may_use_reserve: key.rules.may_use_reserve,
            min_balance_usd: key.rules.min_balance_nano_usd.map(usd),
            when_unknown: if key.rules.refuses_unknown { "refuse" } else { "allow" },
            daily_usd: share.daily_nano_usd.map(usd),
            used_today_usd: figures::usd(usage.share.today_usd),
            monthly_usd: share.monthly_nano_usd.map(usd),
            used_this_month_usd: figures::usd(usage.share.month_usd),
            daily_requests: share.daily_requests,
            requests_today: usage.share.today_requests,
            requests_per_minute: share.requests_per_minute,
            concurrent_requests: share.concurrent_requests,
            models: key.rules.models.clone(),
            highest_priority: key.rules.highest_priority.as_str(),
            created_at: utc(key.created_at_unix_us),
            expires_at: key.expires_at_unix_us.map(utc),
            revoked_at: key.revoked_at_unix_us.map(utc),
        }
    }
}
