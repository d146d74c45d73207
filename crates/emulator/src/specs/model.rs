//! What a scenario says of a model: its state, prices, load and pace.

use serde::{Deserialize, Serialize};

use crate::{faults::Fault, ids};

/// What serves a model, as the service names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Template {
    /// Chat and text completions.
    #[default]
    Vllm,
    /// Embeddings.
    Embedding,
    /// Pictures.
    Diffusion,
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

/// What the engine makes of a request whose last message is the beginning of its own answer
/// (`continue_final_message`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prefill {
    /// It goes on where the message ends.
    #[default]
    Continues,
    /// It refuses such requests with its 400.
    Refuses,
    /// It answers from the start, as if nothing had been said.
    BeginsAgain,
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
    /// Whether the words of its answers are `1 2 3 …`, so that a missing or repeated one shows.
    pub numbered: bool,
    /// What it makes of the beginning of an answer.
    pub prefill: Prefill,
    /// Prompt tokens to count instead of the estimate from the messages.
    pub prompt_tokens: Option<u64>,
    /// The share of the prompt that counts as cached.
    pub cached_share: f64,
    /// More calls at once than this get the capacity 429.
    pub max_at_once: Option<u32>,
    /// Seconds to the first token as the platform's statistics and `:latency` see them; without it
    /// `first_token_ms`, and when that is 0, a plausible figure drawn from the seed.
    pub average_ttft_seconds: Option<f64>,
    /// Tokens a second as the platform's statistics and `:throughput` see them; without it
    /// `tokens_per_second`, and when that is 0, a plausible figure drawn from the seed.
    pub average_tokens_per_second: Option<f64>,
    /// Busy share of its slots, 0 to 1, as `/chutes/utilization` shows it; without it, what the state says.
    pub utilization: Option<f64>,
    /// Share of requests refused for capacity, 0 to 1, as `/chutes/utilization` shows it; without
    /// it, what the state says.
    pub rate_limit_ratio: Option<f64>,
    /// Emulated seconds from the first request for a cold model to its first instance; without it a
    /// cold model stays cold.
    pub warms_up_after_seconds: Option<f64>,
    /// Whether its instances run without having been verified, which makes it cold.
    pub unverified: bool,
    /// Whether `/v1/models?or=true` lists it.
    pub openrouter: bool,
    /// The version of the instances' software; evidence needs 0.6.
    pub chutes_version: String,
    /// Whether its instances fail to give evidence.
    pub evidence_fails: bool,
    /// Whether its instances take encrypted calls.
    pub end_to_end: bool,
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
            numbered: false,
            prefill: Prefill::Continues,
            prompt_tokens: None,
            cached_share: 0.0,
            max_at_once: None,
            average_ttft_seconds: None,
            average_tokens_per_second: None,
            utilization: None,
            rate_limit_ratio: None,
            warms_up_after_seconds: None,
            unverified: false,
            openrouter: true,
            chutes_version: "0.6.1".to_owned(),
            evidence_fails: false,
            end_to_end: true,
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

    /// With these figures in the platform's statistics: seconds to the first token, tokens a second.
    #[must_use]
    pub fn measured(mut self, ttft_seconds: f64, tokens_per_second: f64) -> Self {
        self.average_ttft_seconds = Some(ttft_seconds);
        self.average_tokens_per_second = Some(tokens_per_second);
        self
    }

    /// With this load in `/chutes/utilization`: busy share and share of refused requests, 0 to 1.
    #[must_use]
    pub fn load(mut self, utilization: f64, rate_limit_ratio: f64) -> Self {
        (self.utilization, self.rate_limit_ratio) = (Some(utilization), Some(rate_limit_ratio));
        self
    }

    /// With token counts that do not depend on the texts: prompt and answer.
    #[must_use]
    pub fn tokens(mut self, prompt: u64, answer: u64) -> Self {
        (self.prompt_tokens, self.answer_tokens) = (Some(prompt), answer);
        self
    }

    /// With numbered words for answers: `1 2 3 …`.
    #[must_use]
    pub fn numbered(mut self) -> Self {
        self.numbered = true;
        self
    }

    /// With another way to take the beginning of an answer.
    #[must_use]
    pub fn prefill(mut self, prefill: Prefill) -> Self {
        self.prefill = prefill;
        self
    }

    /// With a fault from the start.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// Seconds to the first token, as the platform measures them.
    pub(crate) fn measured_ttft_seconds(&self, seed: u64) -> f64 {
        self.average_ttft_seconds.unwrap_or_else(|| {
            if self.first_token_ms > 0 {
                return self.first_token_ms as f64 / 1000.0;
            }
            // From 0.15 to 3 seconds, most of them short.
            0.15 * 20f64.powf(ids::share(seed, &format!("{}/ttft", self.name)))
        })
    }

    /// Tokens a second, as the platform measures them.
    pub(crate) fn measured_tokens_per_second(&self, seed: u64) -> f64 {
        self.average_tokens_per_second.unwrap_or_else(|| {
            if self.tokens_per_second > 0.0 {
                return self.tokens_per_second;
            }
            // From 15 to 180 tokens.
            15.0 * 12f64.powf(ids::share(seed, &format!("{}/tps", self.name)))
        })
    }
}
