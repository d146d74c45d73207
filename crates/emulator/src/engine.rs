//! The engine behind a model: deterministic text, tool calls and JSON that fits a schema.

use serde_json::{Map, Value, json};

use crate::{
    ids, prefill,
    quota::Tokens,
    specs::{ModelSpec, Prefill},
};

const WORDS: [&str; 48] = [
    "the", "harbour", "light", "turns", "slowly", "over", "quiet", "water", "and", "every", "boat",
    "keeps", "its", "own", "small", "lamp", "while", "rain", "walks", "along", "stone", "steps",
    "toward", "morning", "a", "clear", "answer", "needs", "few", "words", "but", "good", "work",
    "takes", "time", "so", "count", "what", "you", "have", "then", "spend", "it", "with", "care",
    "each", "day", "again",
];

/// What one choice holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Choice {
    /// The text, one token a piece.
    pub(crate) pieces: Vec<String>,
    pub(crate) tool_calls: Vec<ToolCall>,
    pub(crate) finish: &'static str,
    /// The stop text that ended it.
    pub(crate) matched_stop: Option<String>,
}

impl Choice {
    pub(crate) fn text(&self) -> String {
        self.pieces.concat()
    }

    fn tokens(&self) -> usize {
        self.pieces.len()
            + self.tool_calls.iter().map(|call| 1 + call.argument_pieces().len()).sum::<usize>()
    }
}

/// A call of one of the request's functions.
#[derive(Debug, Clone)]
pub(crate) struct ToolCall {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
}

impl ToolCall {
    pub(crate) fn argument_pieces(&self) -> Vec<String> {
        split(&self.arguments)
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) choices: Vec<Choice>,
    pub(crate) tokens: Tokens,
}

/// Answers a chat or text completion.
pub(crate) fn answer(model: &ModelSpec, body: &Map<String, Value>, body_sha256: &str) -> Answer {
    // What is begun already is no part of what is asked.
    let begun = prefill::beginning(body);
    let prompt = match &begun {
        Some((asked, _)) => prompt_text(asked),
        None => prompt_text(body),
    };
    let begun = begun.filter(|_| model.prefill == Prefill::Continues);
    let count = body.get("n").and_then(Value::as_u64).unwrap_or(1).clamp(1, 16);
    let limit = ["max_completion_tokens", "max_tokens"]
        .iter()
        .find_map(|name| body.get(*name).and_then(Value::as_u64))
        .filter(|limit| *limit > 0)
        .and_then(|limit| usize::try_from(limit).ok());
    let choices: Vec<Choice> = (0..count)
        .map(|index| {
            let mut choice = one_choice(model, body, &prompt, body_sha256, index);
            match &begun {
                Some((_, text)) => prefill::skip(&mut choice.pieces, text),
                None => prefill::skip_numbers(model, body, &mut choice.pieces),
            }
            apply_stops(&mut choice, body.get("stop"));
            if let Some(limit) = limit
                && choice.tool_calls.is_empty()
                && choice.pieces.len() > limit
            {
                choice.pieces.truncate(limit);
                choice.finish = "length";
                choice.matched_stop = None;
            }
            choice
        })
        .collect();
    let prompt_tokens = model.prompt_tokens.unwrap_or_else(|| estimate(&prompt));
    let completion = choices.iter().map(Choice::tokens).sum::<usize>() as u64;
    let cached = (prompt_tokens as f64 * model.cached_share).round() as u64;
    Answer { choices, tokens: Tokens { prompt: prompt_tokens, cached, completion, flat_pico: 0 } }
}

/// Tokens of the prompt or the messages of a body.
pub(crate) fn prompt_length(body: &Map<String, Value>) -> u64 {
    estimate(&prompt_text(body))
}

/// Tokens of a text, about four characters each.
pub(crate) fn estimate(text: &str) -> u64 {
    (text.chars().count() as u64).div_ceil(4) + 4
}

/// A deterministic unit vector.
pub(crate) fn embedding(text: &str, dimensions: usize) -> Vec<f64> {
    let raw: Vec<f64> = (0..dimensions)
        .map(|index| {
            let digest = ids::digest(&["embedding", text, &index.to_string()]);
            f64::from(i16::from_be_bytes([digest[0], digest[1]]))
        })
        .collect();
    let length = raw.iter().map(|value| value * value).sum::<f64>().sqrt().max(1.0);
    raw.iter().map(|value| value / length).collect()
}

fn one_choice(
    model: &ModelSpec,
    body: &Map<String, Value>,
    prompt: &str,
    body_sha256: &str,
    index: u64,
) -> Choice {
    if let Some(call) = tool_call(body, body_sha256, index) {
        return Choice { tool_calls: vec![call], finish: "tool_calls", ..Choice::default() };
    }
    if let Some(instance) = structured(body) {
        return Choice {
            pieces: split(&instance.to_string()),
            finish: "stop",
            ..Choice::default()
        };
    }
    let seed = ids::digest(&["text", prompt, &index.to_string()]);
    let length = usize::try_from(model.answer_tokens).unwrap_or(usize::MAX).max(1);
    let pieces = (0..length)
        .map(|at| if model.numbered { prefill::number(at) } else { word(&seed, at, length) })
        .collect();
    Choice { pieces, finish: "stop", ..Choice::default() }
}

fn word(seed: &[u8; 32], at: usize, length: usize) -> String {
    let draw = usize::from(seed[at % 32]) + at * 7 + usize::from(seed[(at / 32) % 32]);
    let mut word = WORDS[draw % WORDS.len()].to_owned();
    if at == 0 {
        if let Some(first) = word.get_mut(..1) {
            first.make_ascii_uppercase();
        }
    } else {
        word.insert(0, ' ');
    }
    if at + 1 == length {
        word.push('.');
    }
    word
}

fn apply_stops(choice: &mut Choice, stop: Option<&Value>) {
    let stops: Vec<&str> = match stop {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(texts)) => texts.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
    let text = choice.text();
    let first = stops
        .iter()
        .filter(|stop| !stop.is_empty())
        .filter_map(|stop| text.find(stop).map(|at| (at, *stop)))
        .min();
    let Some((at, stop)) = first else { return };
    let mut kept = 0;
    choice.pieces.retain_mut(|piece| {
        let room = at.saturating_sub(kept);
        kept += piece.len();
        piece.truncate(room);
        !piece.is_empty()
    });
    choice.matched_stop = Some(stop.to_owned());
}

/// Every text of the request's messages or prompt.
fn prompt_text(body: &Map<String, Value>) -> String {
    let mut text = String::new();
    if let Some(messages) = body.get("messages") {
        collect_text(messages, &mut text);
    }
    if let Some(prompt) = body.get("prompt") {
        collect_text(prompt, &mut text);
    }
    text
}

fn collect_text(value: &Value, text: &mut String) {
    match value {
        Value::String(part) => {
            text.push_str(part);
            text.push('\n');
        }
        Value::Array(parts) => parts.iter().for_each(|part| collect_text(part, text)),
        Value::Object(part) => {
            for name in ["content", "text"] {
                if let Some(inner) = part.get(name) {
                    collect_text(inner, text);
                }
            }
        }
        _ => {}
    }
}

fn last_message(body: &Map<String, Value>) -> Option<&Map<String, Value>> {
    body.get("messages")?.as_array()?.last()?.as_object()
}

/// A tool call, when the request demands one or its last message speaks of a function's subject.
fn tool_call(body: &Map<String, Value>, body_sha256: &str, index: u64) -> Option<ToolCall> {
    let tools = body.get("tools")?.as_array()?;
    let choice = body.get("tool_choice");
    let last = last_message(body)?;
    let named = choice.and_then(|c| c.pointer("/function/name")).and_then(Value::as_str);
    let required = choice.and_then(Value::as_str) == Some("required");
    if choice.and_then(Value::as_str) == Some("none")
        || last.get("role").and_then(Value::as_str) == Some("tool")
    {
        return None;
    }
    let mut text = String::new();
    if let Some(content) = last.get("content") {
        collect_text(content, &mut text);
    }
    let text = text.to_lowercase();
    let function = tools.iter().filter_map(|tool| tool.get("function")).find(|function| {
        let name = function.get("name").and_then(Value::as_str).unwrap_or_default();
        match named {
            Some(named) => named == name,
            None => required || speaks_of(&text, name),
        }
    })?;
    let schema = function.get("parameters").cloned().unwrap_or_else(|| json!({"type": "object"}));
    let id = ids::hex32("call", &format!("{body_sha256}/{index}"));
    Some(ToolCall {
        id: format!("call_{}", &id[..24]),
        name: function.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
        arguments: instance(&schema, &schema, 0).to_string(),
    })
}

/// Whether the text holds one of the longer words of a function's name.
fn speaks_of(text: &str, name: &str) -> bool {
    name.to_lowercase()
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.len() > 3)
        .any(|word| text.contains(word))
}

/// The JSON an answer has to be, when the request asks for JSON.
fn structured(body: &Map<String, Value>) -> Option<Value> {
    let format = body.get("response_format")?;
    match format.get("type")?.as_str()? {
        "json_object" => Some(json!({ "answer": "the harbour light turns slowly" })),
        "json_schema" => {
            let schema = format.pointer("/json_schema/schema")?;
            Some(instance(schema, schema, 0))
        }
        _ => None,
    }
}

/// A value that fits a JSON schema: every property present, the shortest lists allowed but not
/// empty unless the schema says so.
fn instance(schema: &Value, root: &Value, depth: usize) -> Value {
    if depth > 12 {
        return Value::Null;
    }
    if let Some(fixed) = schema.get("const").or_else(|| schema.get("enum").and_then(|e| e.get(0))) {
        return fixed.clone();
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let pointer = target.strip_prefix('#').unwrap_or(target);
        return root.pointer(pointer).map_or(Value::Null, |found| instance(found, root, depth + 1));
    }
    for name in ["anyOf", "oneOf"] {
        if let Some(first) = schema.get(name).and_then(|list| list.get(0)) {
            return instance(first, root, depth + 1);
        }
    }
    if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
        let mut merged = Map::new();
        for part in parts {
            match instance(part, root, depth + 1) {
                Value::Object(part) => merged.extend(part),
                other => return other,
            }
        }
        return Value::Object(merged);
    }
    let kind = match schema.get("type") {
        Some(Value::String(kind)) => kind.as_str(),
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str).unwrap_or("null"),
        _ if schema.get("properties").is_some() => "object",
        _ if schema.get("items").is_some() => "array",
        _ => "string",
    };
    match kind {
        "object" => object_instance(schema, root, depth),
        "array" => array_instance(schema, root, depth),
        "integer" => json!(number(schema).ceil() as i64),
        "number" => json!(number(schema)),
        "boolean" => Value::Bool(true),
        "null" => Value::Null,
        _ => Value::String(text_instance(schema)),
    }
}

fn object_instance(schema: &Value, root: &Value, depth: usize) -> Value {
    let mut object = Map::new();
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        for (name, property) in properties {
            object.insert(name.clone(), instance(property, root, depth + 1));
        }
    }
    Value::Object(object)
}

fn array_instance(schema: &Value, root: &Value, depth: usize) -> Value {
    let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
    let count = bound("minItems").unwrap_or(1).min(bound("maxItems").unwrap_or(u64::MAX)).min(64);
    let item = schema.get("items").cloned().unwrap_or_else(|| json!({"type": "string"}));
    Value::Array((0..count).map(|_| instance(&item, root, depth + 1)).collect())
}

fn number(schema: &Value) -> f64 {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let low = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|low| low + 1.0));
    let high = bound("maximum").or_else(|| bound("exclusiveMaximum").map(|high| high - 1.0));
    let value = low.unwrap_or(7.0).max(if low.is_some() { f64::MIN } else { 7.0 });
    let value = high.map_or(value, |high| value.min(high));
    match bound("multipleOf") {
        Some(step) if step > 0.0 => (value / step).ceil() * step,
        _ => value,
    }
}

fn text_instance(schema: &Value) -> String {
    let text = match schema.get("format").and_then(Value::as_str) {
        Some("date-time") => "2026-11-20T12:00:00Z",
        Some("date") => "2026-11-20",
        Some("time") => "12:00:00Z",
        Some("email") => "someone@example.com",
        Some("uri") => "https://example.com/",
        Some("uuid") => "6f0c0c1e-0000-4000-8000-000000000001",
        _ => "harbour",
    };
    let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
    let mut text = text.to_owned();
    while (text.len() as u64) < bound("minLength").unwrap_or(0).min(4096) {
        text.push('r');
    }
    if let Some(longest) = bound("maxLength") {
        text.truncate(usize::try_from(longest).unwrap_or(usize::MAX));
    }
    text
}

/// Cuts a text into pieces of at most eight characters.
fn split(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(8).map(|piece| piece.iter().collect()).collect()
}
