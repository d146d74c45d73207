//! `Debug` for what holds prompts and answers: sizes and names only, since logs and panics print it.

use std::fmt;

use super::{ChatRequest, Choice, ChunkChoice, Content, FunctionCall, Message};

impl fmt::Debug for ChatRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ChatRequest")
            .field("model", &self.model)
            .field("messages", &self.messages)
            .field("stream", &self.stream)
            .field("max_tokens", &self.max_tokens)
            .field("extra_keys", &self.extra.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasoning = self.reasoning_content.as_ref().or(self.reasoning.as_ref());
        formatter
            .debug_struct("Message")
            .field("role", &self.role)
            .field("content", &self.content)
            .field("reasoning_bytes", &reasoning.map(String::len))
            .field("tool_calls", &self.tool_calls.as_ref().map(|calls| calls.len()))
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(formatter, "Text({} bytes)", text.len()),
            Self::Parts(parts) => write!(formatter, "Parts({})", parts.len()),
        }
    }
}

impl fmt::Debug for FunctionCall {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FunctionCall")
            .field("name", &self.name)
            .field("arguments_bytes", &self.arguments.as_ref().map(String::len))
            .finish()
    }
}

// Their other fields may hold log probabilities, which spell the answer out.
impl fmt::Debug for Choice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Choice")
            .field("index", &self.index)
            .field("message", &self.message)
            .field("finish_reason", &self.finish_reason)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ChunkChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ChunkChoice")
            .field("index", &self.index)
            .field("delta", &self.delta)
            .field("finish_reason", &self.finish_reason)
            .finish_non_exhaustive()
    }
}
