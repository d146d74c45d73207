//! What a scenario says of an account and of a model.

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
