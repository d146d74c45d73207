//! `POST /v1/embeddings`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::chat::Usage;
use crate::items::Items;
use crate::tolerant;

/// The answer to an embedding request.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EmbeddingList {
    /// `list`.
    #[serde(deserialize_with = "tolerant::text")]
    pub object: Option<String>,
    /// One per input.
    pub data: Items<Embedding>,
    /// The model that answered.
    #[serde(deserialize_with = "tolerant::text")]
    pub model: Option<String>,
    /// What it cost in tokens.
    #[serde(deserialize_with = "tolerant::object")]
    pub usage: Option<Usage>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One vector.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Embedding {
    /// Which input it is of.
    #[serde(deserialize_with = "tolerant::whole")]
    pub index: Option<i64>,
    /// The vector.
    #[serde(deserialize_with = "tolerant::object")]
    pub embedding: Option<Vector>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A vector in either encoding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Vector {
    /// `encoding_format: float`.
    Numbers(Vec<f32>),
    /// `encoding_format: base64`, little-endian 32-bit floats.
    Base64(String),
}
