//! What a scenario says of an account: its plan, its keys, what it has used.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::faults::Fault;

/// What an account has bought. The service tells plans apart by the quota of the `*` row alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanSpec {
    /// Quota 0.
    #[default]
    Paygo,
    /// Quota 200, no caps, no TEE models without balance.
    Legacy,
    /// Quota 300, 3 dollars.
    Base,
    /// Quota 2000, 10 dollars.
    Plus,
    /// Quota 5000, 20 dollars.
    Pro,
    /// Quota 301: base without the monthly cap.
    CustomBase,
    /// Quota 2001: plus without the monthly cap.
    CustomPlus,
    /// Quota 5001: pro without the monthly cap.
    CustomPro,
    /// The role `free_account`: no quota, never charged.
    Free,
    /// The role `invoice_billing`: no quota, charged by invoice.
    Invoiced,
    /// No quota rows at all: the default of 200 applies.
    NoRows,
}

impl PlanSpec {
    pub(crate) fn quota(self) -> Option<u64> {
        match self {
            Self::Paygo => Some(0),
            Self::Legacy => Some(200),
            Self::Base => Some(300),
            Self::Plus => Some(2000),
            Self::Pro => Some(5000),
            Self::CustomBase => Some(301),
            Self::CustomPlus => Some(2001),
            Self::CustomPro => Some(5001),
            Self::Free | Self::Invoiced => Some(0),
            Self::NoRows => None,
        }
    }
}

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// Reads the account and invokes.
    Admin,
    /// Invokes; 401 on `/users/me*`.
    Invoke,
    /// No scope at all: it opens nothing.
    NoScope,
    /// `chutes:invoke` for the first model of the catalogue; on the shared hosts it calls every one.
    OneChute,
    /// `chutes:read`, which opens nothing.
    ChutesRead,
    /// `chutes` with every action: it invokes, and reads no list.
    ChutesAll,
    /// `invocations:read`, which opens nothing here.
    InvocationsRead,
}

/// An OAuth token of an account.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenSpec {
    /// Its scopes, such as `profile` or `chutes:invoke`.
    pub scopes: Vec<String>,
    /// Whether it is good.
    pub state: TokenState,
}

impl TokenSpec {
    /// A valid token with these scopes.
    #[must_use]
    pub fn new(scopes: &[&str]) -> Self {
        let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
        Self { scopes, state: TokenState::Valid }
    }
}

/// Whether an OAuth token is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// Good for an hour from the start.
    #[default]
    Valid,
    /// Its hour is over.
    Expired,
    /// Given back.
    Revoked,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountSpec {
    /// Its user name; keys and ids derive from it.
    pub name: String,
    /// Its plan.
    pub plan: PlanSpec,
    /// Another quota for the `*` row than the plan's.
    pub quota: Option<u64>,
    /// Balance in dollars.
    pub balance_usd: f64,
    /// Its keys, in order.
    pub keys: Vec<KeyKind>,
    /// Its OAuth tokens, in order.
    pub tokens: Vec<TokenSpec>,
    /// Its own names for lists of models: alias to names or chute ids.
    pub aliases: BTreeMap<String, Vec<String>>,
    /// Quotas of single models: name to requests a day.
    pub chute_quotas: BTreeMap<String, u64>,
    /// Billing anchor (`effective_date`); null in the answers when absent, and `updated_at` counts.
    pub anchor: Option<String>,
    /// When the quota row was written.
    pub updated_at: String,
    /// Request units already used today.
    pub used_units: f64,
    /// Dollars already used in the running four hours.
    pub four_hour_used_usd: f64,
    /// Dollars already used in the running month.
    pub month_used_usd: f64,
    /// Calls to free models already made today.
    pub free_calls: u32,
    /// Discounts: model name or `*` to a share of the price.
    pub discounts: BTreeMap<String, f64>,
    /// Prices of its own.
    pub price_overrides: Vec<PriceOverride>,
    /// The number in `X-Chutes-RL-User`.
    pub rate_limit: u32,
    /// More calls at once than this get the edge's 429.
    pub max_at_once: Option<u32>,
    /// Usage drawn from the seed, for the hours before the start.
    pub usage_history: Option<UsageHistory>,
    /// Usage rows given one by one.
    pub usage_rows: Vec<UsageRowSpec>,
    /// Faults from the start.
    pub faults: Vec<Fault>,
}

/// Usage of the hours before the start, drawn from the seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UsageHistory {
    /// How many hours back.
    pub hours: u32,
    /// Calls in an ordinary hour; a quarter of the hours has none.
    pub calls_per_hour: u64,
    /// The models called, by name; the first public ones of the catalogue when empty.
    pub models: Vec<String>,
    /// Whether the balance paid for it; without it, as the plan says.
    pub paid: Option<bool>,
}

impl Default for UsageHistory {
    fn default() -> Self {
        Self { hours: 72, calls_per_hour: 40, models: Vec::new(), paid: None }
    }
}

/// One hour's use of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsageRowSpec {
    /// A moment within the hour, as an ISO timestamp.
    pub at: String,
    /// The model's name.
    pub model: String,
    /// Calls.
    pub count: u64,
    /// Input tokens.
    #[serde(default)]
    pub input_tokens: u64,
    /// Output tokens.
    #[serde(default)]
    pub output_tokens: u64,
    /// Dollars charged to the balance.
    #[serde(default)]
    pub amount_usd: f64,
}

/// A price of an account's own, in dollars per million tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceOverride {
    /// Model name or `*`.
    pub model: String,
    /// Input.
    pub per_million_in: f64,
    /// Output.
    pub per_million_out: f64,
    /// The share by which cached input is cheaper.
    #[serde(default)]
    pub cache_discount: f64,
}

impl Default for AccountSpec {
    fn default() -> Self {
        Self {
            name: String::new(),
            plan: PlanSpec::default(),
            quota: None,
            balance_usd: 0.0,
            keys: vec![KeyKind::Admin, KeyKind::Invoke],
            tokens: Vec::new(),
            aliases: BTreeMap::new(),
            chute_quotas: BTreeMap::new(),
            anchor: None,
            updated_at: "2026-11-03T08:12:45.123456".to_owned(),
            used_units: 0.0,
            four_hour_used_usd: 0.0,
            month_used_usd: 0.0,
            free_calls: 0,
            discounts: BTreeMap::new(),
            price_overrides: Vec::new(),
            rate_limit: 60,
            max_at_once: None,
            usage_history: None,
            usage_rows: Vec::new(),
            faults: Vec::new(),
        }
    }
}

impl AccountSpec {
    /// An account with an admin key (index 0) and an invoke-only key (index 1) and no balance.
    #[must_use]
    pub fn new(name: &str, plan: PlanSpec) -> Self {
        Self { name: name.to_owned(), plan, ..Self::default() }
    }

    /// With a balance in dollars.
    #[must_use]
    pub fn balance_usd(mut self, dollars: f64) -> Self {
        self.balance_usd = dollars;
        self
    }

    /// With another quota for the `*` row than the plan's.
    #[must_use]
    pub fn quota(mut self, quota: u64) -> Self {
        self.quota = Some(quota);
        self
    }

    /// With request units used today.
    #[must_use]
    pub fn used_units(mut self, units: f64) -> Self {
        self.used_units = units;
        self
    }

    /// With dollars used in the running four hours and the running month.
    #[must_use]
    pub fn used_usd(mut self, four_hour: f64, month: f64) -> Self {
        self.four_hour_used_usd = four_hour;
        self.month_used_usd = month;
        self
    }

    /// With a billing anchor, as an ISO timestamp.
    #[must_use]
    pub fn anchor(mut self, timestamp: &str) -> Self {
        self.anchor = Some(timestamp.to_owned());
        self
    }

    /// With these keys instead.
    #[must_use]
    pub fn keys(mut self, keys: &[KeyKind]) -> Self {
        self.keys = keys.to_vec();
        self
    }

    /// With another OAuth token of these scopes.
    #[must_use]
    pub fn token(mut self, scopes: &[&str]) -> Self {
        self.tokens.push(TokenSpec::new(scopes));
        self
    }

    /// With a quota for one model.
    #[must_use]
    pub fn chute_quota(mut self, model: &str, quota: u64) -> Self {
        self.chute_quotas.insert(model.to_owned(), quota);
        self
    }

    /// With usage of this many hours before the start, drawn from the seed.
    #[must_use]
    pub fn used_for_hours(mut self, hours: u32) -> Self {
        self.usage_history = Some(UsageHistory { hours, ..UsageHistory::default() });
        self
    }

    /// With a fault from the start.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }
}
