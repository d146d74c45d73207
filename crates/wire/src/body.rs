//! A client's request body: found in it what the gateway has to know, and changed in place only
//! what has to change.
//!
//! Chutes prices repeated bodies and routes by prompt prefix **on the raw bytes**, so a body is
//! never parsed and written again. It is scanned once; [`RequestBody::rewrite`] then cuts and
//! pastes between the bytes that stay.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use crate::edit::{self, Edit};
use crate::json::Cursor;

mod problem;
mod scan;

pub use problem::BodyProblem;
use scan::{Scan, not_an_object};

/// What `stream` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StreamField {
    /// Not there.
    #[default]
    Absent,
    /// `null`. Chutes answers 404 to it, so [`RequestBody::rewrite`] removes it.
    Null,
    /// A proper boolean.
    Bool(bool),
    /// Something else. Chutes takes `1` for true and answers 404 to `"true"`.
    Other,
}

/// What `stream_options` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StreamOptionsField {
    /// Not there.
    #[default]
    Absent,
    /// `null`. Chutes answers 500 to it on streams, so [`RequestBody::rewrite`] removes it.
    Null,
    /// An object.
    Object {
        /// Whether it has `include_usage: true`.
        include_usage: bool,
    },
    /// Something else.
    Other,
}

/// Which optional members a request has, not null and not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Presence {
    /// `messages` (chat).
    pub messages: bool,
    /// `prompt` (completions).
    pub prompt: bool,
    /// `input` (embeddings).
    pub input: bool,
    /// `tools` or the older `functions`.
    pub tools: bool,
    /// `response_format`.
    pub response_format: bool,
    /// `logprobs` that is not false, or `top_logprobs`.
    pub logprobs: bool,
    /// `stop`.
    pub stop: bool,
    /// `seed`.
    pub seed: bool,
    /// Pictures in `messages`.
    pub images: bool,
    /// A `response_format` that is JSON, with a schema or without.
    pub json_schema: bool,
}

/// What to change in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rewrite<'a> {
    /// The model to name instead.
    pub model: Option<&'a str>,
    /// Ask for usage on the stream, for services that do not send it by themselves.
    pub include_usage: bool,
}

/// A scanned request body. Its `Debug` tells sizes, never what was said.
#[derive(Clone)]
pub struct RequestBody {
    bytes: Bytes,
    model: String,
    model_span: Range<usize>,
    stream: StreamField,
    stream_options: StreamOptionsField,
    /// Where the value of `stream_options` stands, if it is there.
    options_span: Option<Range<usize>>,
    /// Where the last value of `include_usage` stands, if it is there.
    usage_span: Option<Range<usize>>,
    /// The members to leave out, in order.
    null_members: Vec<NullMember>,
    presence: Presence,
    max_tokens: Option<u64>,
    choice_count: Option<u64>,
    best_of: Option<u64>,
    prompt_count: u64,
    prompt_bytes: usize,
    /// Where the beginning stands, see [`Self::beginning`].
    beginning: Range<usize>,
}

/// A member whose value is null and which is not to be sent.
#[derive(Debug, Clone)]
struct NullMember {
    is_options: bool,
    /// How many members stand before it.
    index: usize,
    key_start: usize,
    value_end: usize,
    comma_before: Option<usize>,
    comma_after: Option<usize>,
}

impl RequestBody {
    /// Scans a body once, from start to end.
    ///
    /// # Errors
    /// When the body is no JSON object with one plain `model`, or says something that decides
    /// about the request twice or in a hidden way.
    pub fn scan(bytes: Bytes) -> Result<Self, BodyProblem> {
        let text = std::str::from_utf8(&bytes)
            .map_err(|problem| BodyProblem::InvalidUtf8 { at: problem.valid_up_to() })?;
        let mut cursor = Cursor::new(text);
        cursor.skip_space();
        match cursor.peek() {
            None => return Err(BodyProblem::Empty),
            Some(b'{') => {}
            Some(_) => return Err(not_an_object(cursor)),
        }
        let mut scan = Scan::default();
        cursor.members(|cursor, member| scan.member(cursor, &member))?;
        cursor.skip_space();
        if cursor.peek().is_some() {
            return Err(BodyProblem::TrailingBytes { at: cursor.position() });
        }
        let found = scan.conclude()?;
        Ok(Self { bytes, ..found })
    }

    /// The bytes as they came.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The requested model.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Where the value of `model` stands, with its quotes.
    #[must_use]
    pub fn model_span(&self) -> Range<usize> {
        self.model_span.clone()
    }

    /// What `stream` says.
    #[must_use]
    pub fn stream(&self) -> StreamField {
        self.stream
    }

    /// Whether a stream is asked for with a plain `true`.
    #[must_use]
    pub fn wants_stream(&self) -> bool {
        self.stream == StreamField::Bool(true)
    }

    /// What `stream_options` says.
    #[must_use]
    pub fn stream_options(&self) -> StreamOptionsField {
        self.stream_options
    }

    /// Whether the client itself asks for usage on its stream.
    #[must_use]
    pub fn wants_usage(&self) -> bool {
        self.stream_options == StreamOptionsField::Object { include_usage: true }
    }

    /// Which optional members there are.
    #[must_use]
    pub fn presence(&self) -> Presence {
        self.presence
    }

    /// The larger of `max_completion_tokens` and `max_tokens`.
    #[must_use]
    pub fn max_tokens(&self) -> Option<u64> {
        self.max_tokens
    }

    /// `n`: how many choices are asked for.
    #[must_use]
    pub fn choice_count(&self) -> Option<u64> {
        self.choice_count
    }

    /// How many answers are generated, shown or not, and paid for: `n` or `best_of` for each prompt. At least 1.
    #[must_use]
    pub fn answer_count(&self) -> u64 {
        let of_each = self.choice_count.max(self.best_of).unwrap_or(1).max(1);
        of_each.saturating_mul(self.prompt_count)
    }

    /// How many prompts `prompt` holds: a list of texts, or of lists of tokens, is several. At least 1.
    #[must_use]
    pub fn prompt_count(&self) -> u64 {
        self.prompt_count
    }

    /// About how large the prompt is: the bytes of `messages`, `prompt`, `input` and `tools`.
    #[must_use]
    pub fn prompt_bytes(&self) -> usize {
        self.prompt_bytes
    }

    /// What all requests of one conversation begin with: its messages to the end of the first that is
    /// not the system's, or the first kilobyte of a longer `prompt`. `None` where nothing tells one
    /// conversation from another.
    #[must_use]
    pub fn beginning(&self) -> Option<&[u8]> {
        self.bytes.get(self.beginning.clone()).filter(|beginning| !beginning.is_empty())
    }

    /// The body to send: nulls that break Chutes removed, and what `rewrite` asks for.
    ///
    /// Every other byte stays as it is. If nothing changes these are the bytes that came, not a
    /// copy of them.
    #[must_use]
    pub fn rewrite(&self, rewrite: &Rewrite<'_>) -> Bytes {
        let mut edits = Vec::new();
        let mut added_after_model = false;
        if rewrite.include_usage {
            added_after_model = self.edit_usage(&mut edits);
        }
        let new_model = rewrite.model.filter(|model| *model != self.model);
        let addition =
            if added_after_model { ",\"stream_options\":{\"include_usage\":true}" } else { "" };
        match new_model {
            Some(model) => {
                let quoted = serde_json::Value::from(model).to_string();
                edits.push(Edit::new(self.model_span(), quoted + addition));
            }
            None if added_after_model => {
                let end = self.model_span.end;
                edits.push(Edit::new(end..end, addition.to_owned()));
            }
            None => {}
        }
        self.edit_nulls(rewrite.include_usage, &mut edits);
        edit::apply(&self.bytes, edits)
    }

    /// Asks for usage; answers whether `stream_options` has to be added as a new member.
    fn edit_usage(&self, edits: &mut Vec<Edit>) -> bool {
        let asked = "{\"include_usage\":true}";
        match (self.stream_options, &self.options_span) {
            (StreamOptionsField::Absent, _) => return true,
            (StreamOptionsField::Null, Some(span)) => {
                edits.push(Edit::new(span.clone(), asked.to_owned()));
            }
            (StreamOptionsField::Object { include_usage: false }, Some(span)) => {
                if let Some(usage) = &self.usage_span {
                    edits.push(Edit::new(usage.clone(), "true".to_owned()));
                } else {
                    let inside = span.start + 1;
                    let members = &self.bytes[inside..span.end - 1];
                    let empty = members.iter().all(u8::is_ascii_whitespace);
                    let text = format!("\"include_usage\":true{}", if empty { "" } else { "," });
                    edits.push(Edit::new(inside..inside, text));
                }
            }
            (StreamOptionsField::Object { .. } | StreamOptionsField::Other, _)
            | (StreamOptionsField::Null, None) => {}
        }
        false
    }

    /// Removes members with exactly one comma each: the one before, or, where no member that
    /// stays stands before, the one after.
    fn edit_nulls(&self, keep_options: bool, edits: &mut Vec<Edit>) {
        let mut removed = 0;
        for member in &self.null_members {
            if keep_options && member.is_options {
                continue;
            }
            let kept_before = member.index > removed;
            let span = match (kept_before, member.comma_before, member.comma_after) {
                (true, Some(comma), _) => comma..member.value_end,
                (_, _, Some(comma)) => member.key_start..comma + 1,
                (_, _, None) => member.key_start..member.value_end,
            };
            removed += 1;
            edits.push(Edit::cut(span));
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RequestBody")
            .field("bytes", &self.bytes.len())
            .field("model", &self.model)
            .field("stream", &self.stream)
            .field("stream_options", &self.stream_options)
            .field("presence", &self.presence)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
