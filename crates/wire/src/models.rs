//! `GET /v1/models`.
//!
//! Prices are USD per **million** tokens, where `OpenRouter` writes them per token. A model in the
//! list may be cold, and one that another service hosts has no price and no context length.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::decimal::Decimal;
use crate::items::Items;
use crate::tolerant;

/// The list of models.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelList {
    /// `list`.
    #[serde(deserialize_with = "tolerant::text")]
    pub object: Option<String>,
    /// The models that could be read; those without an `id` could not.
    pub data: Items<Model>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Model {
    /// The exact name to send as `model`.
    pub id: String,
    /// The engine's own path, which differs from `id`.
    #[serde(default, deserialize_with = "tolerant::text")]
    pub root: Option<String>,
    /// `model`.
    #[serde(default, deserialize_with = "tolerant::text")]
    pub object: Option<String>,
    /// Unix seconds; on Chutes about when the server last asked an instance, no release date.
    #[serde(default, deserialize_with = "tolerant::whole")]
    pub created: Option<i64>,
    /// `sglang`, `vllm`, or `chutes` for models hosted elsewhere.
    #[serde(default, deserialize_with = "tolerant::text")]
    pub owned_by: Option<String>,
    /// The chute behind it.
    #[serde(default, deserialize_with = "tolerant::text")]
    pub chute_id: Option<String>,
    /// Whether it runs in a trusted execution environment.
    #[serde(default, deserialize_with = "tolerant::flag")]
    pub confidential_compute: Option<bool>,
    /// Such as `fp8`.
    #[serde(default, deserialize_with = "tolerant::text")]
    pub quantization: Option<String>,
    /// The engine's context, in tokens.
    #[serde(default, deserialize_with = "tolerant::whole")]
    pub max_model_len: Option<i64>,
    /// The offered context, in tokens.
    #[serde(default, deserialize_with = "tolerant::whole")]
    pub context_length: Option<i64>,
    /// The longest answer, in tokens.
    #[serde(default, deserialize_with = "tolerant::whole")]
    pub max_output_length: Option<i64>,
    /// Such as `text`, `image`.
    #[serde(default, deserialize_with = "tolerant::texts")]
    pub input_modalities: Option<Vec<String>>,
    /// Such as `text`.
    #[serde(default, deserialize_with = "tolerant::texts")]
    pub output_modalities: Option<Vec<String>>,
    /// Such as `tools`, `reasoning`, `json_mode`.
    #[serde(default, deserialize_with = "tolerant::texts")]
    pub supported_features: Option<Vec<String>>,
    /// Such as `temperature`. A short list does not mean that others are refused.
    #[serde(default, deserialize_with = "tolerant::texts")]
    pub supported_sampling_parameters: Option<Vec<String>>,
    /// Prices per million tokens in USD.
    #[serde(default, deserialize_with = "tolerant::object")]
    pub pricing: Option<Pricing>,
    /// The same prices, also in TAO.
    #[serde(default, deserialize_with = "tolerant::object")]
    pub price: Option<PriceTable>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Model {
    /// USD per million prompt tokens, from whichever field has it.
    #[must_use]
    pub fn prompt_price(&self) -> Option<&Decimal> {
        let pricing = self.pricing.as_ref().and_then(|pricing| pricing.prompt.as_ref());
        pricing.or_else(|| self.price.as_ref()?.input.as_ref()?.usd.as_ref())
    }

    /// USD per million generated tokens, from whichever field has it.
    #[must_use]
    pub fn completion_price(&self) -> Option<&Decimal> {
        let pricing = self.pricing.as_ref().and_then(|pricing| pricing.completion.as_ref());
        pricing.or_else(|| self.price.as_ref()?.output.as_ref()?.usd.as_ref())
    }

    /// USD per million prompt tokens found in a cache, from whichever field has it.
    #[must_use]
    pub fn cache_read_price(&self) -> Option<&Decimal> {
        let pricing = self.pricing.as_ref().and_then(|pricing| pricing.input_cache_read.as_ref());
        pricing.or_else(|| self.price.as_ref()?.input_cache_read.as_ref()?.usd.as_ref())
    }

    /// The context to count with: the offered one, else the engine's.
    #[must_use]
    pub fn context_tokens(&self) -> Option<i64> {
        self.context_length.or(self.max_model_len)
    }

    /// Whether `supported_features` has this one.
    #[must_use]
    pub fn has_feature(&self, feature: &str) -> bool {
        self.supported_features.iter().flatten().any(|one| one == feature)
    }
}

/// Prices in USD per million tokens.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Pricing {
    /// Prompt tokens.
    #[serde(deserialize_with = "tolerant::object")]
    pub prompt: Option<Decimal>,
    /// Generated tokens.
    #[serde(deserialize_with = "tolerant::object")]
    pub completion: Option<Decimal>,
    /// Prompt tokens found in a cache.
    #[serde(deserialize_with = "tolerant::object")]
    pub input_cache_read: Option<Decimal>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Prices per million tokens in two currencies.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PriceTable {
    /// Prompt tokens.
    #[serde(deserialize_with = "tolerant::object")]
    pub input: Option<Amount>,
    /// Generated tokens.
    #[serde(deserialize_with = "tolerant::object")]
    pub output: Option<Amount>,
    /// Prompt tokens found in a cache.
    #[serde(deserialize_with = "tolerant::object")]
    pub input_cache_read: Option<Amount>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An amount in two currencies.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Amount {
    /// US dollars.
    #[serde(deserialize_with = "tolerant::object")]
    pub usd: Option<Decimal>,
    /// TAO.
    #[serde(deserialize_with = "tolerant::object")]
    pub tao: Option<Decimal>,
}
