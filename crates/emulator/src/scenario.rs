//! Scenarios: the accounts, models, lags and faults of an emulated service, from code or from TOML.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{clock, faults::Fault, ids};

/// Why a scenario cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file is no TOML, or has unknown keys or wrong types.
    #[error("scenario: {0}")]
    Toml(#[from] toml::de::Error),
    /// A value that cannot be meant.
    #[error("scenario: {0}")]
    Value(String),
}

/// Everything the emulator starts from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// Seed of everything drawn by chance.
    pub seed: u64,
    /// Where the clock starts, as an ISO timestamp; without it, at the real time.
    pub starts_at: Option<String>,
    /// Emulated seconds per real second; 0 is a stopped clock.
    pub clock_speed: f64,
    /// Whether successful inference carries the quota and rate headers.
    pub quota_headers: bool,
    /// Whether streams carry running usage totals on their content events.
    pub running_usage: bool,
    /// How many requests the log keeps.
    pub log_entries: usize,
    /// How late changes show.
    pub lag: Lag,
    /// The accounts.
    pub accounts: Vec<AccountSpec>,
    /// The catalogue, most used first.
    pub models: Vec<ModelSpec>,
}

/// How late changes show, in emulated seconds. 0 shows them at once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lag {
    /// The figures of `subscription_usage` behind the truth.
    pub cap_figures_seconds: f64,
    /// The balance inference sees behind the truth.
    pub balance_seconds: f64,
    /// The quota rows inference and `quota_usage` see behind the truth.
    pub quota_seconds: f64,
}

impl Default for Lag {
    fn default() -> Self {
        Self { cap_figures_seconds: 60.0, balance_seconds: 60.0, quota_seconds: 60.0 }
    }
}

impl Lag {
    /// Everything shows at once.
    #[must_use]
    pub fn none() -> Self {
        Self { cap_figures_seconds: 0.0, balance_seconds: 0.0, quota_seconds: 0.0 }
    }
}

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
    /// A scope that opens nothing here.
    NoScope,
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
    /// Faults from the start.
    pub faults: Vec<Fault>,
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

    /// With a quota for one model.
    #[must_use]
    pub fn chute_quota(mut self, model: &str, quota: u64) -> Self {
        self.chute_quotas.insert(model.to_owned(), quota);
        self
    }

    /// With a fault from the start.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }
}

/// What serves a model, as the service names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Template {
    /// Chat and text completions.
    #[default]
    Vllm,
    /// Embeddings.
    Embedding,
}

/// The state of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateSpec {
    /// It answers.
    #[default]
    Hot,
    /// It answers, but refuses a share of the requests with the capacity 429.
    Busy,
    /// No instance: 503.
    Cold,
    /// Switched off by its operator: 503.
    Disabled,
}

/// A model of the catalogue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelSpec {
    /// The exact name.
    pub name: String,
    /// What serves it.
    pub template: Template,
    /// Whether it runs in confidential machines.
    pub tee: bool,
    /// Its state.
    pub state: StateSpec,
    /// The share of requests a busy model refuses.
    pub busy_share: f64,
    /// Dollars per million input tokens.
    pub price_in: f64,
    /// Dollars per million output tokens.
    pub price_out: f64,
    /// Dollars per million cached input tokens.
    pub price_cached: f64,
    /// The chute's own discount; 1 makes it a free model.
    pub discount: f64,
    /// Context length in tokens.
    pub context_length: u64,
    /// The longest answer in tokens.
    pub max_output_length: u64,
    /// Weights, for instance `fp8`; missing in the answers when empty.
    pub quantization: String,
    /// `supported_features`.
    pub features: Vec<String>,
    /// `input_modalities`.
    pub input_modalities: Vec<String>,
    /// Active instances.
    pub instances: u32,
    /// Requests at once per instance, as shown.
    pub concurrency: u32,
    /// Owner's account when the model is private.
    pub private_to: Option<String>,
    /// Real milliseconds before the first token.
    pub first_token_ms: u64,
    /// Tokens a second of a stream; 0 sends them without delay.
    pub tokens_per_second: f64,
    /// Length of an ordinary answer in tokens.
    pub answer_tokens: u64,
    /// Prompt tokens to count instead of the estimate from the messages.
    pub prompt_tokens: Option<u64>,
    /// The share of the prompt that counts as cached.
    pub cached_share: f64,
    /// More calls at once than this get the capacity 429.
    pub max_at_once: Option<u32>,
    /// Faults from the start.
    pub faults: Vec<Fault>,
}

impl Default for ModelSpec {
    fn default() -> Self {
        Self {
            name: String::new(),
            template: Template::Vllm,
            tee: false,
            state: StateSpec::Hot,
            busy_share: 0.5,
            price_in: 0.1,
            price_out: 0.4,
            price_cached: 0.05,
            discount: 0.0,
            context_length: 131_072,
            max_output_length: 65_536,
            quantization: "fp8".to_owned(),
            features: ["json_mode", "tools", "structured_outputs"].map(str::to_owned).to_vec(),
            input_modalities: vec!["text".to_owned()],
            instances: 2,
            concurrency: 40,
            private_to: None,
            first_token_ms: 0,
            tokens_per_second: 0.0,
            answer_tokens: 24,
            prompt_tokens: None,
            cached_share: 0.0,
            max_at_once: None,
            faults: Vec::new(),
        }
    }
}

impl ModelSpec {
    /// A hot model that answers at once; names ending in `-TEE` are confidential.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), tee: name.ends_with("-TEE"), ..Self::default() }
    }

    /// In another state.
    #[must_use]
    pub fn state(mut self, state: StateSpec) -> Self {
        self.state = state;
        self
    }

    /// With prices in dollars per million tokens: input, output, cached input.
    #[must_use]
    pub fn price(mut self, input: f64, output: f64, cached: f64) -> Self {
        (self.price_in, self.price_out, self.price_cached) = (input, output, cached);
        self
    }

    /// With a delay before the first token and a pace behind it.
    #[must_use]
    pub fn pace(mut self, first_token_ms: u64, tokens_per_second: f64) -> Self {
        (self.first_token_ms, self.tokens_per_second) = (first_token_ms, tokens_per_second);
        self
    }

    /// With token counts that do not depend on the texts: prompt and answer.
    #[must_use]
    pub fn tokens(mut self, prompt: u64, answer: u64) -> Self {
        (self.prompt_tokens, self.answer_tokens) = (Some(prompt), answer);
        self
    }

    /// With a fault from the start.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }
}

impl Default for Scenario {
    fn default() -> Self {
        Self::demo()
    }
}

impl Scenario {
    /// No accounts, no models.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            seed: 1,
            starts_at: None,
            clock_speed: 1.0,
            quota_headers: true,
            running_usage: false,
            log_entries: 10_000,
            lag: Lag::default(),
            accounts: Vec::new(),
            models: Vec::new(),
        }
    }

    /// The demonstration: four accounts and a dozen models, one of them cold and one busy.
    #[must_use]
    pub fn demo() -> Self {
        crate::catalogue::demo()
    }

    /// For tests: an account on every plan, a small catalogue, no lag, no delays.
    ///
    /// Accounts: `paygo`, `paygo-rich` (5 dollars), `legacy`, `base`, `plus`, `pro`, `custom301`,
    /// `custom2001`, `custom5001`, `other1000`, `free`, `invoiced`, `norows`; each with an admin key
    /// (0), an invoke-only key (1) and a key without scope (2).
    #[must_use]
    pub fn every_plan() -> Self {
        crate::catalogue::every_plan()
    }

    /// Adds an account.
    #[must_use]
    pub fn account(mut self, account: AccountSpec) -> Self {
        self.accounts.push(account);
        self
    }

    /// Adds a model.
    #[must_use]
    pub fn model(mut self, model: ModelSpec) -> Self {
        self.models.push(model);
        self
    }

    /// With another lag.
    #[must_use]
    pub fn lag(mut self, lag: Lag) -> Self {
        self.lag = lag;
        self
    }

    /// With a clock that stands still at this moment until it is moved.
    #[must_use]
    pub fn stopped_at(mut self, timestamp: &str) -> Self {
        self.starts_at = Some(timestamp.to_owned());
        self.clock_speed = 0.0;
        self
    }

    /// The key of an account, whether or not a scenario has it: keys derive from names.
    #[must_use]
    pub fn key(account: &str, index: usize) -> String {
        ids::api_key(account, index)
    }

    /// The user id of an account.
    #[must_use]
    pub fn user_id(account: &str) -> String {
        ids::user_id(account)
    }

    /// The chute id of a model.
    #[must_use]
    pub fn chute_id(model: &str) -> String {
        ids::chute_id(model)
    }

    /// Reads a scenario. What the text leaves out is as in [`Scenario::demo`]; unknown keys are
    /// errors.
    ///
    /// # Errors
    /// When the text is no TOML, holds unknown keys, or values that cannot be meant.
    pub fn from_toml(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = toml::from_str(text)?;
        scenario.check()?;
        Ok(scenario)
    }

    /// Whether every value can be meant.
    pub(crate) fn check(&self) -> Result<(), ScenarioError> {
        let wrong = |text: String| Err(ScenarioError::Value(text));
        let timestamps = self.starts_at.iter().chain(
            self.accounts
                .iter()
                .flat_map(|a| a.anchor.iter().chain(std::iter::once(&a.updated_at))),
        );
        for text in timestamps {
            if clock::parse_timestamp(text).is_none() {
                return wrong(format!("`{text}` is not a timestamp"));
            }
        }
        let mut names = std::collections::BTreeSet::new();
        for account in &self.accounts {
            if account.name.is_empty() || !names.insert(account.name.as_str()) {
                return wrong(format!("account name `{}` is empty or taken", account.name));
            }
        }
        names.clear();
        for model in &self.models {
            if model.name.is_empty() || !names.insert(model.name.as_str()) {
                return wrong(format!("model name `{}` is empty or taken", model.name));
            }
        }
        Ok(())
    }
}
