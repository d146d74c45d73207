//! What of the body speaks of limits, usage and identity.

use ripcord_wire::text::clean;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

/// Longer values are none of these.
const VALUE_CHARS: usize = 200;
/// More fields than this are not shown.
const MOST: usize = 40;

/// A field of the body.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FieldReport {
    /// Its place, such as `usage.prompt_tokens`.
    pub(super) name: String,
    /// Its value, cleaned and shortened.
    pub(super) value: String,
    /// What it means; null where that is not known.
    pub(super) meaning: Option<&'static str>,
}

/// The fields that matter, of an answer or of an error. Never the answer's text.
pub(super) fn explained(body: &[u8]) -> Vec<FieldReport> {
    let Ok(Value::Object(body)) = serde_json::from_slice(body) else { return Vec::new() };
    let mut fields = Vec::new();
    for (name, value) in &body {
        match (name.as_str(), value) {
            // What was said, and what belongs to it.
            ("choices" | "object" | "created", _) => {}
            ("usage", Value::Object(usage)) => gather("usage", usage, 2, &mut fields),
            // An error of Chutes, or one in OpenAI's shape.
            ("detail" | "error", Value::Object(inner)) => gather(name, inner, 1, &mut fields),
            ("detail" | "error", _) => {}
            (_, value) => add(name, value, &mut fields),
        }
    }
    fields.truncate(MOST);
    fields
}

fn gather(place: &str, object: &Map<String, Value>, depth: u8, fields: &mut Vec<FieldReport>) {
    for (name, value) in object {
        let place = format!("{place}.{name}");
        match value {
            Value::Object(inner) if depth > 0 => gather(&place, inner, depth - 1, fields),
            value => add(&place, value, fields),
        }
    }
}

fn add(place: &str, value: &Value, fields: &mut Vec<FieldReport>) {
    let value = match value {
        Value::String(text) => clean(text, VALUE_CHARS),
        Value::Object(_) | Value::Array(_) => return,
        other => clean(&other.to_string(), VALUE_CHARS),
    };
    fields.push(FieldReport { name: clean(place, 80), value, meaning: meaning(place) });
}

fn meaning(place: &str) -> Option<&'static str> {
    Some(match place {
        "id" => "the id of the answer, given by the engine",
        "model" => "the model that answered; Chutes rewrites some names",
        "usage.prompt_tokens" => {
            "tokens of the question as the engine counts them; this is what is priced"
        }
        "usage.completion_tokens" => "tokens of the answer, thinking included",
        "usage.total_tokens" => "both together",
        "usage.prompt_tokens_details.cached_tokens" => "of the question, found in a cache: cheaper",
        "usage.completion_tokens_details.reasoning_tokens" | "usage.reasoning_tokens" => {
            "of the answer, thinking"
        }
        "chutes_verification" => {
            "a token with which Chutes checks the instance; of no use to a caller"
        }
        "detail.quota_reset_timestamp" => "when the day quota turns",
        "error.reset_at" => "when the window turns",
        "error.window" => "the window that is used up",
        "error.code" => "the gateway's word for it: see docs/ERRORS.md",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_the_answer_is_not_among_them() {
        let body = br#"{"id":"chatcmpl-1","object":"chat.completion","choices":[{"message":{"content":"secret"}}],
            "usage":{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":4},"odd":[1]},"metadata":{"a":1},"new":"\u001b[2Jx"}"#;
        let fields = explained(body);
        let shown: Vec<_> =
            fields.iter().map(|field| (field.name.as_str(), field.value.as_str())).collect();
        assert_eq!(
            shown,
            [
                ("id", "chatcmpl-1"),
                ("new", "x"),
                ("usage.prompt_tokens", "9"),
                ("usage.prompt_tokens_details.cached_tokens", "4"),
            ]
        );
        assert!(explained(b"<html>").is_empty());
        assert!(explained(b"[1]").is_empty());
    }
}
