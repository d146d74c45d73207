//! `POST /tokenize` and `POST /detokenize`, which chutes of the `vllm` template answer (api.md 4.1).

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::tolerant;

/// What `/tokenize` answers. The tokens are the text in another form, so its `Debug` tells their number.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tokenized {
    /// How many tokens the text has.
    #[serde(deserialize_with = "tolerant::whole")]
    pub count: Option<i64>,
    /// The model's context in tokens.
    #[serde(deserialize_with = "tolerant::whole")]
    pub max_model_len: Option<i64>,
    /// The tokens' numbers.
    #[serde(deserialize_with = "tolerant::or_default")]
    pub tokens: Vec<i64>,
    /// The tokens' texts, where asked for.
    #[serde(deserialize_with = "tolerant::texts")]
    pub token_strs: Option<Vec<String>>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl fmt::Debug for Tokenized {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tokenized")
            .field("count", &self.count)
            .field("max_model_len", &self.max_model_len)
            .finish_non_exhaustive()
    }
}

/// What `/detokenize` answers. Its `Debug` tells the size, not the text.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Detokenized {
    /// The text.
    #[serde(deserialize_with = "tolerant::text")]
    pub prompt: Option<String>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl fmt::Debug for Detokenized {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Detokenized")
            .field("prompt_bytes", &self.prompt.as_ref().map(String::len))
            .finish_non_exhaustive()
    }
}
