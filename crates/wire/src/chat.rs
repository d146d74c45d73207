//! `POST /v1/chat/completions`: whole types for those who read answers, a glance for the relay.
//!
//! `Debug` of what holds a prompt or an answer tells sizes, never what was said.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::items::Items;
use crate::tolerant;

mod glance;
mod hidden;
pub(crate) use glance::is_failure;
pub use glance::{ChoiceGlance, ChunkGlance, ReasoningName, UsageGlance};

/// A request, for those who make one. Requests of clients are not parsed but scanned, see
/// [`crate::body`].
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ChatRequest {
    /// The model.
    pub model: String,
    /// The conversation.
    pub messages: Vec<Message>,
    /// Whether to stream. Never sent as null: Chutes answers 404 to that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// The longest answer, in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// The sampling temperature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A message of a conversation, or the next piece of one.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Message {
    /// `system`, `user`, `assistant`, `tool`.
    #[serde(deserialize_with = "tolerant::text", skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What is said.
    #[serde(deserialize_with = "tolerant::object")]
    pub content: Option<Content>,
    /// What is thought, under its usual name.
    #[serde(deserialize_with = "tolerant::text", skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// What is thought, under the name that some engines use.
    #[serde(deserialize_with = "tolerant::text", skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// Calls of tools, or the next pieces of them.
    #[serde(deserialize_with = "tolerant::object", skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<Items<ToolCall>>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Message {
    /// A message of plain text.
    #[must_use]
    pub fn new(role: &str, text: &str) -> Self {
        Self {
            role: Some(role.to_owned()),
            content: Some(Content::Text(text.to_owned())),
            ..Self::default()
        }
    }

    /// The text of the content; parts that are no text are left out.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match self.content.as_ref()? {
            Content::Text(text) => Some(text.clone()),
            Content::Parts(parts) => {
                Some(parts.iter().filter_map(|part| part.get("text")?.as_str()).collect())
            }
        }
    }
}

/// What a message says.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// Plain text.
    Text(String),
    /// Parts: text, images, files.
    Parts(Vec<Value>),
}

/// A call of a tool, or the next piece of one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ToolCall {
    /// Which call the piece belongs to.
    #[serde(deserialize_with = "tolerant::whole", skip_serializing_if = "Option::is_none")]
    pub index: Option<i64>,
    /// Its id, in the first piece.
    #[serde(deserialize_with = "tolerant::text", skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `function`.
    #[serde(rename = "type")]
    #[serde(deserialize_with = "tolerant::text", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The function.
    #[serde(deserialize_with = "tolerant::object", skip_serializing_if = "Option::is_none")]
    pub function: Option<FunctionCall>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A function and its arguments.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FunctionCall {
    /// Its name, in the first piece.
    #[serde(deserialize_with = "tolerant::text", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// JSON text, or the next piece of it.
    #[serde(deserialize_with = "tolerant::text", skip_serializing_if = "Option::is_none")]
    pub arguments: Option<String>,
}

/// A finished answer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ChatCompletion {
    /// Its id.
    #[serde(deserialize_with = "tolerant::text")]
    pub id: Option<String>,
    /// `chat.completion`.
    #[serde(deserialize_with = "tolerant::text")]
    pub object: Option<String>,
    /// Unix seconds.
    #[serde(deserialize_with = "tolerant::whole")]
    pub created: Option<i64>,
    /// The model that answered, which may differ from the one asked for.
    #[serde(deserialize_with = "tolerant::text")]
    pub model: Option<String>,
    /// The answers.
    pub choices: Items<Choice>,
    /// What it cost in tokens.
    #[serde(deserialize_with = "tolerant::object")]
    pub usage: Option<Usage>,
    /// Other fields, such as `chutes_verification`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One answer.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Choice {
    /// Which of the `n` answers.
    #[serde(deserialize_with = "tolerant::whole")]
    pub index: Option<i64>,
    /// The message.
    #[serde(deserialize_with = "tolerant::or_default")]
    pub message: Message,
    /// Why it ended.
    #[serde(deserialize_with = "tolerant::text")]
    pub finish_reason: Option<String>,
    /// Other fields, such as `logprobs` and `matched_stop`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One event of a streamed answer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ChatCompletionChunk {
    /// The answer's id. Another id in the same stream means that Chutes began again.
    #[serde(deserialize_with = "tolerant::text")]
    pub id: Option<String>,
    /// `chat.completion.chunk`.
    #[serde(deserialize_with = "tolerant::text")]
    pub object: Option<String>,
    /// Unix seconds.
    #[serde(deserialize_with = "tolerant::whole")]
    pub created: Option<i64>,
    /// The model that answers.
    #[serde(deserialize_with = "tolerant::text")]
    pub model: Option<String>,
    /// The pieces; empty in the event that carries the last usage.
    pub choices: Items<ChunkChoice>,
    /// A running total, in many events: the last one counts, they are never added up.
    #[serde(deserialize_with = "tolerant::object", skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Other fields, such as `chutes_verification`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A piece of one answer.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ChunkChoice {
    /// Which of the `n` answers.
    #[serde(deserialize_with = "tolerant::whole")]
    pub index: Option<i64>,
    /// What is new.
    #[serde(deserialize_with = "tolerant::or_default")]
    pub delta: Delta,
    /// Why it ended, in its last piece.
    #[serde(deserialize_with = "tolerant::text")]
    pub finish_reason: Option<String>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The next piece of a message.
pub type Delta = Message;

/// What a request cost in tokens.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Prompt tokens, with those found in a cache.
    #[serde(deserialize_with = "tolerant::whole")]
    pub prompt_tokens: Option<i64>,
    /// Generated tokens, with reasoning.
    #[serde(deserialize_with = "tolerant::whole")]
    pub completion_tokens: Option<i64>,
    /// Both.
    #[serde(deserialize_with = "tolerant::whole")]
    pub total_tokens: Option<i64>,
    /// Null on some engines.
    #[serde(deserialize_with = "tolerant::object", skip_serializing_if = "Option::is_none")]
    pub prompt_tokens_details: Option<PromptTokensDetails>,
    /// Null on some engines.
    #[serde(deserialize_with = "tolerant::object", skip_serializing_if = "Option::is_none")]
    pub completion_tokens_details: Option<CompletionTokensDetails>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Usage {
    /// Prompt tokens that were found in a cache.
    #[must_use]
    pub fn cached_tokens(&self) -> Option<i64> {
        self.prompt_tokens_details.as_ref()?.cached_tokens
    }
}

/// Of the prompt tokens.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PromptTokensDetails {
    /// Found in a cache.
    #[serde(deserialize_with = "tolerant::whole")]
    pub cached_tokens: Option<i64>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Of the generated tokens.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CompletionTokensDetails {
    /// Spent on reasoning.
    #[serde(deserialize_with = "tolerant::whole")]
    pub reasoning_tokens: Option<i64>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
