//! Accounts: what they have, what inference may believe about it, and how a call is paid for.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    aliases::Alias,
    catalogue::{micros, pico},
    clock,
    credentials::Key,
    faults::FaultList,
    ids,
    quota::{self, Booking, Meters, Payer, Prices, Short, Tokens, UNIT},
    scenario::{Lag, Scenario},
    specs::{AccountSpec, ModelSpec, PlanSpec},
    usage,
};

/// The row that stands for every chute without one of its own.
pub(crate) const ANY: &str = "*";
/// The quota of an account without rows.
const DEFAULT_QUOTA: u64 = 200;
/// Calls to free models per day without money or a larger plan.
const FREE_CALLS: u32 = 100;

/// An account as it is.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) spec: AccountSpec,
    pub(crate) user_id: String,
    pub(crate) keys: Vec<Key>,
    pub(crate) aliases: Vec<Alias>,
    /// Quota rows; none at all means the default.
    pub(crate) quotas: BTreeMap<String, u64>,
    pub(crate) anchor: Option<i64>,
    pub(crate) updated_at: i64,
    pub(crate) balance_pico: i64,
    pub(crate) meters: Meters,
    pub(crate) covered_pico: i64,
    pub(crate) paid_pico: i64,
    pub(crate) invoiced_pico: i64,
    pub(crate) milli_units_ever: i64,
    pub(crate) calls_counted: u64,
    pub(crate) in_flight: u32,
    pub(crate) max_in_flight: u32,
    pub(crate) faults: FaultList,
    pub(crate) max_at_once: Option<u32>,
    pub(crate) usage: BTreeMap<(i64, String), UsageRow>,
    seen_balance: Option<(i64, i64)>,
    seen_quotas: Option<(i64, BTreeMap<String, u64>)>,
}

/// One hour of one chute.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct UsageRow {
    pub(crate) amount_pico: i64,
    pub(crate) count: u64,
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
}

/// Who pays for a call; decided when it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Coverage {
    /// The subscription: units against this quota row, value against the caps.
    Subscription {
        /// `*` or a chute id.
        row: String,
    },
    /// The balance.
    Balance,
    /// Nobody: the model is free.
    FreeModel,
    /// Nobody: the account has the role `free_account`.
    FreeRole,
    /// An invoice.
    Invoice,
    /// The model's owner.
    Owner,
}

/// The headers of a success, as they were before the call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LimitHeaders {
    /// Total, used, remaining.
    pub(crate) quota: Option<(u64, u64, u64)>,
    pub(crate) rate: String,
    pub(crate) invoiced: bool,
}

/// Why an account may not call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    FreeModelLimit,
    TeeNeedsSubscription,
    QuotaExceeded { balance_pico: i64, has_quota: bool },
    CapExceeded,
}

/// What a finished call came to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Charge {
    pub(crate) milli_units: i64,
    /// Counted against the caps.
    pub(crate) covered_pico: i64,
    pub(crate) cost_pico: i64,
}

impl Account {
    pub(crate) fn new(scenario: &Scenario, spec: &AccountSpec, now: i64) -> Self {
        let mut quotas = BTreeMap::new();
        if let Some(quota) = spec.quota.or_else(|| spec.plan.quota()) {
            quotas.insert(ANY.to_owned(), quota);
        }
        for (model, quota) in &spec.chute_quotas {
            quotas.insert(ids::chute_id(model), *quota);
        }
        let moment = |text: &str| clock::parse_timestamp(text).map(|(at, _)| at);
        let mut meters = Meters::default();
        meters.set_units(ANY, (spec.used_units * UNIT as f64).round() as i64, now);
        meters.set_caps(Some(pico(spec.four_hour_used_usd)), Some(pico(spec.month_used_usd)), now);
        meters.set_free_calls(spec.free_calls, now);
        Self {
            user_id: ids::user_id(&spec.name),
            keys: (0..)
                .zip(&spec.keys)
                .map(|(index, &kind)| Key::of_kind(scenario, kind, index))
                .collect(),
            aliases: spec
                .aliases
                .iter()
                .map(|(alias, members)| Alias::new(alias, members, now))
                .collect(),
            quotas,
            anchor: spec.anchor.as_deref().and_then(moment),
            updated_at: moment(&spec.updated_at).unwrap_or(now),
            balance_pico: pico(spec.balance_usd),
            meters,
            covered_pico: 0,
            paid_pico: 0,
            invoiced_pico: 0,
            milli_units_ever: 0,
            calls_counted: 0,
            in_flight: 0,
            max_in_flight: 0,
            faults: FaultList::new(&spec.faults, now),
            max_at_once: spec.max_at_once,
            usage: usage::before_start(scenario, spec, now),
            seen_balance: None,
            seen_quotas: None,
            spec: spec.clone(),
        }
    }

    pub(crate) fn is_unlimited(&self) -> bool {
        matches!(self.spec.plan, PlanSpec::Free | PlanSpec::Invoiced)
    }

    pub(crate) fn permissions_bitmask(&self) -> u32 {
        match self.spec.plan {
            PlanSpec::Free => 16,
            PlanSpec::Invoiced => 256,
            _ => 0,
        }
    }

    pub(crate) fn payment_address(&self) -> String {
        address(&self.spec.name, "Pay")
    }

    /// Where the running month starts.
    pub(crate) fn month_anchor(&self) -> i64 {
        self.anchor.unwrap_or(self.updated_at)
    }

    /// The row that counts for a chute, its quota, as inference sees it.
    pub(crate) fn quota_row(&mut self, chute: &str, now: i64, lag: Lag) -> (String, u64) {
        let fresh = match &self.seen_quotas {
            Some((at, _)) => now - at >= micros(lag.quota_seconds) || now < *at,
            None => true,
        };
        if fresh {
            self.seen_quotas = Some((now, self.quotas.clone()));
        }
        let rows = self.seen_quotas.as_ref().map_or(&self.quotas, |(_, rows)| rows);
        if let Some(quota) = rows.get(chute) {
            return (chute.to_owned(), *quota);
        }
        (ANY.to_owned(), rows.get(ANY).copied().unwrap_or(DEFAULT_QUOTA))
    }

    fn seen_balance(&mut self, now: i64, lag: Lag) -> i64 {
        match self.seen_balance {
            Some((at, balance)) if now >= at && now - at < micros(lag.balance_seconds) => balance,
            _ => {
                self.seen_balance = Some((now, self.balance_pico));
                self.balance_pico
            }
        }
    }

    /// Decides who pays, in the order the server checks.
    pub(crate) fn admit(
        &mut self,
        model: &ModelSpec,
        now: i64,
        lag: Lag,
    ) -> Result<(Coverage, LimitHeaders), Refusal> {
        let chute = ids::chute_id(&model.name);
        let rate = self.spec.rate_limit.to_string();
        if model.private_to.is_some() {
            let rate = "inf".to_owned();
            return Ok((Coverage::Owner, LimitHeaders { rate, ..LimitHeaders::default() }));
        }
        let plain = LimitHeaders { rate, ..LimitHeaders::default() };
        let (row, quota) = self.quota_row(&chute, now, lag);
        let balance_pico = self.seen_balance(now, lag);
        if model.discount >= 1.0 {
            let calls = self.meters.free_calls(now);
            let limited =
                self.permissions_bitmask() == 0 && balance_pico < pico(10.0) && quota <= 2000;
            if limited && calls >= FREE_CALLS {
                return Err(Refusal::FreeModelLimit);
            }
            self.meters.set_free_calls(calls + 1, now);
            return Ok((Coverage::FreeModel, plain));
        }
        match self.spec.plan {
            PlanSpec::Free => return Ok((Coverage::FreeRole, plain)),
            PlanSpec::Invoiced => {
                return Ok((Coverage::Invoice, LimitHeaders { invoiced: true, ..plain }));
            }
            _ => {}
        }
        let used = self.meters.used_units(&row, now);
        let headers = LimitHeaders { quota: Some(quota_header(quota, used)), ..plain };
        if quota == DEFAULT_QUOTA && model.tee && balance_pico <= 0 {
            return Err(Refusal::TeeNeedsSubscription);
        }
        let (_, plan_quota) = self.quota_row(ANY, now, lag);
        match self.meters.payer(&row, quota, plan_quota, balance_pico, now) {
            Payer::Subscription => Ok((Coverage::Subscription { row }, headers)),
            Payer::Balance => Ok((Coverage::Balance, headers)),
            Payer::Nobody(Short::Caps) => Err(Refusal::CapExceeded),
            Payer::Nobody(Short::Units) => {
                Err(Refusal::QuotaExceeded { balance_pico, has_quota: quota > 0 })
            }
        }
    }

    /// What this account pays for the model's tokens.
    fn prices(&self, model: &ModelSpec) -> Prices {
        let own = self
            .spec
            .price_overrides
            .iter()
            .find(|o| o.model == model.name)
            .or_else(|| self.spec.price_overrides.iter().find(|o| o.model == ANY));
        if let Some(own) = own {
            let cached = own.per_million_in * (1.0 - own.cache_discount);
            return Prices::per_million(own.per_million_in, own.per_million_out, cached);
        }
        let discount =
            self.spec.discounts.get(&model.name).or_else(|| self.spec.discounts.get(ANY));
        list_price(model).times(1.0 - discount.copied().unwrap_or(0.0))
    }

    /// Books a call that succeeded, in the windows of this moment.
    pub(crate) fn settle(
        &mut self,
        model: &ModelSpec,
        coverage: &Coverage,
        body_sha256: &str,
        tokens: Tokens,
        now: i64,
        lag: Lag,
    ) -> Charge {
        let chute = ids::chute_id(&model.name);
        // One price for the windows and the balance: the account's own, if it has one (recordings, "user override").
        let price_pico = self.prices(model).cost(tokens);
        let mut charge = Charge::default();
        match coverage {
            Coverage::Subscription { row } => {
                let booking = Booking { row, chute: &chute, body_sha256, value_pico: price_pico };
                let lag_micros = micros(lag.cap_figures_seconds);
                charge.milli_units = self.meters.book(&booking, lag_micros, now);
                // A repeat counts a tenth of its unit and of its value.
                charge.covered_pico = booking.value_pico * charge.milli_units / UNIT;
                self.milli_units_ever += charge.milli_units;
                self.covered_pico += price_pico;
            }
            Coverage::Balance => {
                charge.cost_pico = price_pico;
                self.balance_pico -= price_pico;
                self.paid_pico += price_pico;
            }
            Coverage::Invoice => {
                charge.cost_pico = price_pico;
                self.invoiced_pico += price_pico;
            }
            Coverage::FreeModel | Coverage::FreeRole | Coverage::Owner => {}
        }
        self.calls_counted += 1;
        let row = self.usage.entry((usage::hour_of(now), chute)).or_default();
        row.amount_pico += charge.cost_pico;
        row.count += 1;
        row.input_tokens += tokens.prompt;
        row.output_tokens += tokens.completion;
        charge
    }
}

/// The list price with the chute's own discount.
pub(crate) fn list_price(model: &ModelSpec) -> Prices {
    Prices::per_million(model.price_in, model.price_out, model.price_cached)
        .times(1.0 - model.discount)
}

fn to_milli(quota: u64) -> i64 {
    i64::try_from(quota).unwrap_or(i64::MAX).saturating_mul(UNIT)
}

fn quota_header(quota: u64, used_milli: i64) -> (u64, u64, u64) {
    let used = u64::try_from(used_milli / UNIT).unwrap_or(0);
    let remaining = u64::try_from((to_milli(quota) - used_milli).max(0) / UNIT).unwrap_or(0);
    (quota, used, remaining)
}

/// Pico-dollars to whole nano-dollars, rounded to nearest.
pub(crate) fn nano(pico: i64) -> i64 {
    (pico + 500).div_euclid(1000)
}

/// A made-up address of 48 characters.
pub(crate) fn address(name: &str, kind: &str) -> String {
    let mut text = format!("5{name}{kind}");
    while text.len() < 48 {
        text.push('x');
    }
    text
}

/// The text a Python float prints as.
pub(crate) fn python_float(value: f64) -> String {
    let mut text = format!("{value:?}");
    if let Some((mantissa, exponent)) = text.split_once('e') {
        let digits = exponent.trim_start_matches('-');
        let sign = if exponent.starts_with('-') { "-" } else { "+" };
        text = format!("{mantissa}e{sign}{digits:0>2}");
    }
    text
}

/// When the day's quota comes back, as the 402 names it.
pub(crate) fn quota_reset(now: i64) -> String {
    clock::iso_aware(quota::next_day(now))
}
