//! The body of a failed answer, whatever it looks like.
//!
//! Chutes writes `{"detail": …}` with a string, an object or a list, JSON as text inside a string
//! (an engine's 400), a bare `{"error": "…"}` line at the end of a stream, and plain text; the
//! edge before it writes HTML; other services write OpenAI's shape. [`ErrorBody::read`] takes any
//! bytes and always answers with a message that may be shown.

use serde_json::{Map, Value};

use crate::limits::RetryAfter;
use crate::{chat, html, text, time};

mod hints;

/// The longest message kept, in characters.
pub const MAX_MESSAGE_CHARS: usize = 1000;
/// The longest code, kind or parameter kept, in characters.
const MAX_WORD_CHARS: usize = 120;
/// Larger bodies are not parsed but shown by their start.
const MAX_PARSED_BYTES: usize = 4 * 1024 * 1024;
/// How many errors, nested in one another, are looked into.
const MAX_NESTING: u8 = 6;
/// How many items of a validation list are told.
const MAX_LIST_ITEMS: usize = 5;

/// The form that an error came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorShape {
    /// `{"detail": "…"}`.
    DetailText,
    /// `{"detail": {…}}`, for instance a 402 with `quota_reset_timestamp`.
    DetailObject,
    /// `{"detail": [{"loc": …, "msg": …}]}`, a 422.
    DetailList,
    /// JSON written as text inside a string: an engine's error, passed on by Chutes.
    NestedText,
    /// OpenAI's `{"error": {"message": …}}`, and its flat form `{"object": "error", …}`.
    OpenAi,
    /// `{"error": "…"}`, as Chutes ends a broken stream.
    ErrorText,
    /// Other JSON.
    OtherJson,
    /// A page, so an answer of something in front of the service.
    Html,
    /// Plain text.
    Text,
    /// Nothing, or only white space.
    Empty,
}

/// What the body of a failed answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorBody {
    /// The form it came in.
    pub shape: ErrorShape,
    /// The innermost message, on one line, without control characters or keys, never empty.
    pub message: String,
    /// `code`, where it is a word.
    pub code: Option<String>,
    /// `type`.
    pub kind: Option<String>,
    /// `param`.
    pub param: Option<String>,
    /// When it may work again (Unix microseconds), from `quota_reset_timestamp` or `reset_at`.
    pub reset_at: Option<i64>,
    /// The wait that the body asks for, in a field of its own or in its words.
    pub retry_after: Option<RetryAfter>,
    /// The status that the error itself claims (`code` or `status` as a number), which may differ
    /// from that of the answer.
    pub inner_status: Option<u16>,
}

impl ErrorBody {
    /// Reads a body. `status` only fills in a message where the body has none.
    #[must_use]
    pub fn read(status: u16, content_type: Option<&str>, body: &[u8]) -> Self {
        let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body).trim_ascii();
        let mut read = if body.is_empty() {
            Self::bare(ErrorShape::Empty, String::new())
        } else if let Some(value) = parse(body) {
            Self::of_json(&value)
        } else {
            Self::of_text(content_type, body)
        };
        read.retry_after = read.retry_after.or_else(|| hints::spoken(&read.message));
        if read.message.is_empty() {
            read.message = match read.shape {
                ErrorShape::Empty => format!("status {status} with an empty body"),
                _ => format!("status {status} without a message"),
            };
        }
        read
    }

    /// Reads a JSON value that says it is an error, such as the data of a stream event.
    #[must_use]
    pub fn of_json(value: &Value) -> Self {
        let mut read = Self::bare(ErrorShape::OtherJson, String::new());
        read.shape = read.outermost(value);
        // Rather the raw JSON than nothing, unless it is known to hold no words.
        let wordless =
            matches!(read.shape, ErrorShape::DetailText | ErrorShape::ErrorText | ErrorShape::Text);
        if read.message.is_empty() && !wordless {
            read.message = text::clean(&value.to_string(), MAX_MESSAGE_CHARS);
        }
        read.retry_after = read.retry_after.or_else(|| hints::spoken(&read.message));
        read
    }

    fn bare(shape: ErrorShape, message: String) -> Self {
        Self {
            shape,
            message,
            code: None,
            kind: None,
            param: None,
            reset_at: None,
            retry_after: None,
            inner_status: None,
        }
    }

    fn of_text(content_type: Option<&str>, body: &[u8]) -> Self {
        // The first event of a stream that never began: `data: {"error": …}`.
        if let Some(data) = body.strip_prefix(b"data:")
            && let Some(value) =
                parse(data.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or(data))
        {
            return Self::of_json(&value);
        }
        let start = String::from_utf8_lossy(&body[..body.len().min(256 * 1024)]);
        let says_html = content_type.is_some_and(|kind| kind.to_ascii_lowercase().contains("html"));
        if html::looks_like_html(&start) || (says_html && start.contains('<')) {
            let summary = html::summary(&start);
            return Self::bare(ErrorShape::Html, text::clean(&summary, MAX_MESSAGE_CHARS));
        }
        Self::bare(ErrorShape::Text, text::clean(&start, MAX_MESSAGE_CHARS))
    }

    fn outermost(&mut self, value: &Value) -> ErrorShape {
        match value {
            Value::Object(object) => self.outer_object(object),
            // Google's API wraps its error in a list of one.
            Value::Array(list) => match list.first() {
                Some(Value::Object(object)) => self.outer_object(object),
                _ => ErrorShape::OtherJson,
            },
            Value::String(inner) => {
                if self.text(inner, MAX_NESTING) {
                    ErrorShape::NestedText
                } else {
                    ErrorShape::Text
                }
            }
            _ => ErrorShape::OtherJson,
        }
    }

    fn outer_object(&mut self, object: &Map<String, Value>) -> ErrorShape {
        match (object.get("detail"), object.get("error")) {
            (Some(Value::String(detail)), error) => {
                // Trace mode: `{"error":"infra_overload","detail":"…"}`.
                if let Some(Value::String(code)) = error {
                    self.code = word(code);
                }
                self.facts(object);
                if self.text(detail, MAX_NESTING) {
                    ErrorShape::NestedText
                } else {
                    ErrorShape::DetailText
                }
            }
            (Some(Value::Object(detail)), _) => {
                self.object(detail, MAX_NESTING);
                ErrorShape::DetailObject
            }
            (Some(Value::Array(list)), _) => {
                self.message = validation_message(list);
                ErrorShape::DetailList
            }
            (_, Some(Value::Object(_))) => {
                self.object(object, MAX_NESTING);
                ErrorShape::OpenAi
            }
            (_, Some(Value::String(error))) => {
                self.facts(object);
                if self.text(error, MAX_NESTING) {
                    return ErrorShape::NestedText;
                }
                // `{"error":"Bad Request","message":"what was bad"}`.
                if let Some(Value::String(message)) = object.get("message") {
                    self.text(message, MAX_NESTING);
                    self.code = self.code.take().or_else(|| word(error));
                }
                ErrorShape::ErrorText
            }
            _ if self.given_up(object) => ErrorShape::OpenAi,
            _ => {
                let flat = object.get("message").is_some_and(|message| !message.is_null());
                self.object(object, MAX_NESTING);
                if flat { ErrorShape::OpenAi } else { ErrorShape::OtherJson }
            }
        }
    }

    /// An answer that says in its first choice that it is none. Its text is the model's, and is not told.
    fn given_up(&mut self, answer: &Map<String, Value>) -> bool {
        let Some(choice) = list_of(answer, "choices").and_then(|list| list.first()) else {
            return false;
        };
        if let Some(Value::Object(error)) = choice.get("error") {
            self.object(error, MAX_NESTING);
        }
        let reason = choice.get("finish_reason").and_then(Value::as_str);
        if let Some(reason) = reason.filter(|reason| chat::is_failure(reason))
            && self.message.is_empty()
        {
            self.message = format!("the service ended the answer with `{reason}`");
        }
        !self.message.is_empty()
    }

    /// Takes a text for the message; answers whether it held an error as JSON text.
    fn text(&mut self, outer: &str, depth: u8) -> bool {
        let nested = depth.checked_sub(1).and_then(|depth| Some((depth, nested_json(outer)?)));
        if let Some((depth, Value::Object(object))) = &nested {
            let before = std::mem::take(&mut self.message);
            self.object(object, *depth);
            if !self.message.is_empty() {
                return true;
            }
            self.message = before;
        }
        self.message = text::clean(outer, MAX_MESSAGE_CHARS);
        false
    }

    /// Takes what an error object says, inner objects first in rank.
    fn object(&mut self, object: &Map<String, Value>, depth: u8) {
        self.facts(object);
        let Some(depth) = depth.checked_sub(1) else { return };
        self.inner_message(object, depth);
        if let Some(Value::Object(metadata)) = object.get("metadata") {
            self.metadata(metadata, depth);
        }
    }

    /// OpenRouter's: what the service behind it said, and with which limit headers.
    fn metadata(&mut self, metadata: &Map<String, Value>, depth: u8) {
        self.retry_after = self.retry_after.or_else(|| hints::of_metadata(metadata));
        self.kind = self.kind.take().or_else(|| word(metadata.get("error_type")?.as_str()?));
        let raw = match metadata.get("raw") {
            Some(Value::String(raw)) => {
                let mut inner = Self::bare(ErrorShape::OtherJson, String::new());
                inner.text(raw, depth);
                inner
            }
            Some(Value::Object(raw)) => {
                let mut inner = Self::bare(ErrorShape::OtherJson, String::new());
                inner.object(raw, depth);
                inner
            }
            _ => return,
        };
        if !raw.message.is_empty() {
            let both = format!("{}: {}", self.message, raw.message);
            self.message = text::clean(&both, MAX_MESSAGE_CHARS);
        }
        self.code = self.code.take().or(raw.code);
        self.kind = self.kind.take().or(raw.kind);
        self.retry_after = self.retry_after.or(raw.retry_after);
    }

    fn inner_message(&mut self, object: &Map<String, Value>, depth: u8) {
        for key in ["error", "detail"] {
            match object.get(key) {
                Some(Value::Object(inner)) => self.object(inner, depth),
                Some(Value::String(inner)) if self.message.is_empty() => {
                    self.text(inner, depth);
                }
                Some(Value::Array(list)) if self.message.is_empty() => {
                    self.message = validation_message(list);
                }
                _ => {}
            }
            if !self.message.is_empty() {
                return;
            }
        }
        // Cloudflare's list.
        if let Some(Value::Object(first)) = list_of(object, "errors").and_then(|list| list.first())
        {
            self.object(first, depth);
            if !self.message.is_empty() {
                return;
            }
        }
        for key in ["message", "msg", "error_message", "title", "reason"] {
            match object.get(key) {
                Some(Value::String(message)) => {
                    self.text(message, depth);
                }
                Some(Value::Object(inner)) => self.object(inner, depth),
                _ => {}
            }
            if !self.message.is_empty() {
                return;
            }
        }
    }

    /// Takes the plain members; the innermost object has the last word.
    fn facts(&mut self, object: &Map<String, Value>) {
        for key in ["code", "status", "status_code"] {
            match object.get(key) {
                Some(Value::String(code)) if key == "code" => match code.parse::<u16>() {
                    Ok(status @ 100..=599) => self.inner_status = Some(status),
                    _ => self.code = word(code),
                },
                Some(Value::Number(number)) => {
                    let status = number.as_u64().and_then(|status| u16::try_from(status).ok());
                    match status {
                        Some(status @ 100..=599) => self.inner_status = Some(status),
                        _ if key == "code" => self.code = word(&number.to_string()),
                        _ => {}
                    }
                }
                // Google's `"status": "RESOURCE_EXHAUSTED"`.
                Some(Value::String(status)) if self.kind.is_none() => self.kind = word(status),
                _ => {}
            }
        }
        if let Some(Value::String(kind)) = object.get("type") {
            self.kind = word(kind);
        }
        // What others call it: Hugging Face, Novita, Azure.
        let inner = object.get("innererror").and_then(|inner| inner.get("code"));
        for other in [object.get("error_type"), object.get("reason"), inner] {
            if self.kind.is_none() {
                self.kind = other.and_then(Value::as_str).and_then(word);
            }
        }
        if let Some(Value::String(param)) = object.get("param") {
            self.param = word(param);
        }
        self.retry_after = hints::of_fields(object).or(self.retry_after);
        for key in ["quota_reset_timestamp", "reset_at"] {
            if let Some(Value::String(moment)) = object.get(key)
                && let Some(moment) = time::parse_timestamp(moment)
            {
                self.reset_at = Some(moment);
                break;
            }
        }
    }
}

fn list_of<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a Vec<Value>> {
    object.get(key)?.as_array()
}

fn parse(body: &[u8]) -> Option<Value> {
    if body.len() > MAX_PARSED_BYTES {
        return None;
    }
    serde_json::from_slice(body).ok()
}

fn word(text: &str) -> Option<String> {
    Some(text::clean(text, MAX_WORD_CHARS)).filter(|word| !word.is_empty())
}

/// The JSON object that a text holds from some `{` to its end, such as
/// `Invalid request: {"detail": …}`.
fn nested_json(text: &str) -> Option<Value> {
    let text = text.trim();
    if !text.ends_with('}') || text.len() > MAX_PARSED_BYTES {
        return None;
    }
    // A prefix may itself hold a brace; a few tries find the object without going quadratic.
    text.match_indices('{').take(4).find_map(|(at, _)| {
        let value: Value = serde_json::from_str(&text[at..]).ok()?;
        value.is_object().then_some(value)
    })
}

/// `body.name: Field required; query.page: …` from a list of validation errors.
fn validation_message(list: &[Value]) -> String {
    let mut told = Vec::new();
    for item in list.iter().take(MAX_LIST_ITEMS) {
        let message = match item {
            Value::String(message) => message.clone(),
            Value::Object(object) => {
                let message = ["msg", "message", "detail"]
                    .iter()
                    .find_map(|key| object.get(*key).and_then(Value::as_str))
                    .unwrap_or("not valid");
                match object.get("loc").map(location).filter(|place| !place.is_empty()) {
                    Some(place) => format!("{place}: {message}"),
                    None => message.to_owned(),
                }
            }
            other => other.to_string(),
        };
        told.push(message);
    }
    if list.len() > MAX_LIST_ITEMS {
        told.push(format!("and {} more", list.len() - MAX_LIST_ITEMS));
    }
    text::clean(&told.join("; "), MAX_MESSAGE_CHARS)
}

fn location(place: &Value) -> String {
    match place {
        Value::Array(parts) => {
            let parts: Vec<String> = parts.iter().take(16).map(location).collect();
            parts.join(".")
        }
        Value::String(part) => part.clone(),
        Value::Number(part) => part.to_string(),
        Value::Null | Value::Bool(_) | Value::Object(_) => String::new(),
    }
}

#[cfg(test)]
mod tests;
