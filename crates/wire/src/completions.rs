//! `POST /v1/completions`.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::chat::Usage;
use crate::items::Items;
use crate::tolerant;

/// A finished completion, or one chunk of a streamed one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Completion {
    /// Its id.
    #[serde(deserialize_with = "tolerant::text")]
    pub id: Option<String>,
    /// `text_completion`.
    #[serde(deserialize_with = "tolerant::text")]
    pub object: Option<String>,
    /// Unix seconds.
    #[serde(deserialize_with = "tolerant::whole")]
    pub created: Option<i64>,
    /// The model that answered.
    #[serde(deserialize_with = "tolerant::text")]
    pub model: Option<String>,
    /// The texts.
    pub choices: Items<TextChoice>,
    /// What it cost in tokens.
    #[serde(deserialize_with = "tolerant::object")]
    pub usage: Option<Usage>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One text. Its `Debug` tells the size, not the text.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TextChoice {
    /// Which of the `n` texts.
    #[serde(deserialize_with = "tolerant::whole")]
    pub index: Option<i64>,
    /// The text, or the next piece of it.
    #[serde(deserialize_with = "tolerant::text")]
    pub text: Option<String>,
    /// Why it ended.
    #[serde(deserialize_with = "tolerant::text")]
    pub finish_reason: Option<String>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl fmt::Debug for TextChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TextChoice")
            .field("index", &self.index)
            .field("text_bytes", &self.text.as_ref().map(String::len))
            .field("finish_reason", &self.finish_reason)
            .finish_non_exhaustive()
    }
}
