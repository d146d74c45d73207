//! The request for the rest of an answer.
//!
//! Engines that continue a message (vLLM, sglang) take its beginning as a last message of the assistant, with
//! `continue_final_message`; vLLM wants `add_generation_prompt: false` with it. A text completion is continued by a
//! longer prompt.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use crate::chat::ReasoningName;
use crate::edit::{self, Edit};
use crate::json::{Cursor, Found, JsonProblem, Kind, Member};

/// What a request asks for, as far as it decides whether its answer can be continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asks {
    /// More than one answer, or the best of several.
    pub several_choices: bool,
    /// An answer of a form that is kept token by token: `response_format`, a grammar, a forced tool.
    pub structured: bool,
    /// Log probabilities, token numbers or hidden states.
    pub logprobs: bool,
    /// Texts or tokens that end the answer.
    pub stop: bool,
    /// The same answer every time.
    pub seed: bool,
    /// The prompt again, or a text to fill in before another.
    pub echo: bool,
    /// A least length.
    pub min_tokens: bool,
    /// Something to hear or see.
    pub audio: bool,
    /// Something that this reader does not understand or that stands there twice.
    pub unclear: bool,
}

/// The beginning of an answer, as it goes into the request for the rest.
#[derive(Clone, Copy)]
pub struct Begun<'a> {
    /// What was said, without white space at its end.
    pub text: &'a str,
    /// What was thought before.
    pub reasoning: Option<(ReasoningName, &'a str)>,
    /// How many tokens that was.
    pub tokens: u64,
}

/// Why the rest cannot be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CannotAsk {
    /// The answer is as long as it may be.
    #[error("nothing is left of `max_tokens`")]
    NothingLeft,
    /// How long a text completion may be is not said, and the engine's default would begin again.
    #[error("the request does not say how long its answer may be")]
    NoLimit,
    /// The end of the conversation cannot be added to.
    #[error("the end of the conversation is none to which the answer can be added")]
    Unclear,
}

/// A request whose answer broke off. Its `Debug` tells sizes, never what was said.
pub struct Original {
    bytes: Bytes,
    asks: Asks,
    messages: Option<Messages>,
    /// Where a text prompt stands, with its quotes.
    prompt: Option<Range<usize>>,
    /// The members that bound the length of the answer.
    limits: Vec<(Range<usize>, u64)>,
    /// Whether the client itself has its last message continued.
    continues_last: bool,
    continue_span: Option<Range<usize>>,
    generation_span: Option<Range<usize>>,
}

/// The conversation.
struct Messages {
    span: Range<usize>,
    is_empty: bool,
    last_is_assistant: bool,
    /// Where the text of the last message stands, with its quotes.
    last_text: Option<Range<usize>>,
}

impl Original {
    /// Reads the body of a request, as it was sent; `None` if it is no JSON object.
    #[must_use]
    pub fn read(bytes: Bytes) -> Option<Self> {
        let mut scan = Scan::default();
        let text = std::str::from_utf8(&bytes).ok()?;
        let mut cursor = Cursor::new(text);
        cursor.members(|cursor, member| scan.member(cursor, &member)).ok()?;
        cursor.end().ok()?;
        let Scan { found, .. } = scan;
        Some(Self { bytes, ..found })
    }

    /// What it asks for.
    #[must_use]
    pub fn asks(&self) -> Asks {
        self.asks
    }

    /// Whether the text that is to be continued is the client's own beginning, too.
    #[must_use]
    pub fn continues_last_message(&self) -> bool {
        self.continues_last
    }

    /// The request for the rest of its answer.
    ///
    /// # Errors
    /// When nothing may be added to the answer, or the beginning cannot be added to the request.
    pub fn for_the_rest(&self, begun: Begun<'_>) -> Result<Bytes, CannotAsk> {
        let mut edits = Vec::new();
        for (span, limit) in &self.limits {
            let left = limit.saturating_sub(begun.tokens);
            if left == 0 {
                return Err(CannotAsk::NothingLeft);
            }
            edits.push(Edit::new(span.clone(), left.to_string()));
        }
        match (&self.messages, &self.prompt) {
            (Some(messages), None) => self.add_to_messages(messages, begun, &mut edits)?,
            // Engines stop after 16 tokens if nobody says anything.
            (None, Some(_)) if self.limits.is_empty() => return Err(CannotAsk::NoLimit),
            (None, Some(prompt)) => {
                edits.push(Edit::insert(prompt.end - 1, inside_quotes(begun.text)));
            }
            _ => return Err(CannotAsk::Unclear),
        }
        Ok(edit::apply(&self.bytes, edits))
    }

    fn add_to_messages(
        &self,
        messages: &Messages,
        begun: Begun<'_>,
        edits: &mut Vec<Edit>,
    ) -> Result<(), CannotAsk> {
        if messages.is_empty {
            return Err(CannotAsk::Unclear);
        }
        if self.continues_last {
            let text = messages.last_text.as_ref().filter(|_| messages.last_is_assistant);
            let end = text.ok_or(CannotAsk::Unclear)?.end - 1;
            edits.push(Edit::insert(end, inside_quotes(begun.text)));
            return Ok(());
        }
        let mut message = format!(",{{\"role\":\"assistant\",\"content\":{}", quoted(begun.text));
        if let Some((name, reasoning)) = begun.reasoning.filter(|(_, text)| !text.is_empty()) {
            message.push_str(&format!(",\"{}\":{}", name.as_str(), quoted(reasoning)));
        }
        message.push('}');
        edits.push(Edit::insert(messages.span.end - 1, message));
        let flags = [
            ("continue_final_message", "true", &self.continue_span),
            ("add_generation_prompt", "false", &self.generation_span),
        ];
        for (name, value, span) in flags {
            edits.push(match span {
                Some(span) => Edit::new(span.clone(), value.to_owned()),
                None => Edit::insert(messages.span.end, format!(",\"{name}\":{value}")),
            });
        }
        Ok(())
    }
}

impl fmt::Debug for Original {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Original")
            .field("bytes", &self.bytes.len())
            .field("asks", &self.asks)
            .field("is_chat", &self.messages.is_some())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Begun<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Begun")
            .field("text_bytes", &self.text.len())
            .field("reasoning_bytes", &self.reasoning.map(|(_, text)| text.len()))
            .field("tokens", &self.tokens)
            .finish()
    }
}

/// What has been seen of the top level.
struct Scan {
    found: Original,
    seen: Vec<&'static str>,
}

impl Default for Scan {
    fn default() -> Self {
        let found = Original {
            bytes: Bytes::new(),
            asks: Asks::default(),
            messages: None,
            prompt: None,
            limits: Vec::new(),
            continues_last: false,
            continue_span: None,
            generation_span: None,
        };
        Self { found, seen: Vec::new() }
    }
}

/// The members that decide. Any of them twice is unclear: engines differ about which one counts.
const DECIDING: [&str; 8] = [
    "messages",
    "prompt",
    "n",
    "max_tokens",
    "max_completion_tokens",
    "continue_final_message",
    "add_generation_prompt",
    "stream",
];

impl Scan {
    fn member(&mut self, cursor: &mut Cursor<'_>, member: &Member<'_>) -> Result<(), JsonProblem> {
        let value = cursor.value()?;
        // A simple reader would miss it.
        if member.is_escaped() {
            self.found.asks.unclear = true;
            return Ok(());
        }
        let key = &member.raw_key[1..member.raw_key.len() - 1];
        if let Some(name) = DECIDING.iter().find(|name| **name == key) {
            self.found.asks.unclear |= self.seen.contains(name);
            self.seen.push(name);
        }
        self.deciding(key, &value)?;
        self.hindering(key, &value);
        Ok(())
    }

    fn deciding(&mut self, key: &str, value: &Found<'_>) -> Result<(), JsonProblem> {
        let found = &mut self.found;
        match key {
            "messages" if value.kind == Kind::Array => found.messages = Some(messages(value)?),
            "prompt" if value.kind == Kind::Text => found.prompt = Some(value.span.clone()),
            // A list of prompts, or of tokens.
            "messages" | "prompt" => found.asks.unclear |= value.is_something(),
            "max_tokens" | "max_completion_tokens" => match value.unsigned() {
                Some(limit) => found.limits.push((value.span.clone(), limit)),
                None => found.asks.unclear |= value.kind != Kind::Null,
            },
            "continue_final_message" => {
                found.continues_last = value.kind == Kind::True;
                found.continue_span = Some(value.span.clone());
            }
            "add_generation_prompt" => found.generation_span = Some(value.span.clone()),
            _ => {}
        }
        Ok(())
    }

    fn hindering(&mut self, key: &str, value: &Found<'_>) {
        let asks = &mut self.found.asks;
        let is_on = value.is_something() && value.kind != Kind::False;
        match key {
            "n" | "best_of" => {
                asks.several_choices |= is_on && value.unsigned() != Some(1);
            }
            "use_beam_search" => asks.several_choices |= is_on,
            "response_format" => asks.structured |= is_on && !is_plain_text(value),
            "structured_outputs" | "regex" | "ebnf" | "json_schema" | "grammar"
            | "structural_tag" => asks.structured |= is_on,
            "tool_choice" | "function_call" => {
                asks.structured |= is_on && !matches!(value.raw, "\"auto\"" | "\"none\"");
            }
            "logprobs"
            | "top_logprobs"
            | "prompt_logprobs"
            | "return_token_ids"
            | "return_tokens_as_token_ids"
            | "return_hidden_states" => asks.logprobs |= is_on,
            "stop" | "stop_token_ids" | "stop_regex" => asks.stop |= is_on,
            "seed" => asks.seed |= is_on,
            "echo" | "suffix" => asks.echo |= is_on,
            "min_tokens" | "min_new_tokens" => {
                asks.min_tokens |= is_on && value.unsigned() != Some(0);
            }
            "audio" => asks.audio |= is_on,
            "modalities" => asks.audio |= is_on && !is_only_text(value),
            // What is cut off at the front of a prompt would move with its end.
            "truncate_prompt_tokens" => asks.unclear |= is_on,
            _ if key.starts_with("guided_") => asks.structured |= is_on,
            _ => {}
        }
    }
}

/// Looks at the last message.
fn messages(value: &Found<'_>) -> Result<Messages, JsonProblem> {
    let start = value.span.start;
    let mut last: Option<Found<'_>> = None;
    let mut cursor = Cursor::new(value.raw);
    cursor.elements(|cursor| {
        last = Some(cursor.value()?);
        Ok(())
    })?;
    let mut messages = Messages {
        span: value.span.clone(),
        is_empty: last.is_none(),
        last_is_assistant: false,
        last_text: None,
    };
    let Some(last) = last.filter(|last| last.kind == Kind::Object) else { return Ok(messages) };
    let start = start + last.span.start;
    Cursor::new(last.raw).members(|cursor, member| {
        let value = cursor.value()?;
        match member.key().as_deref() {
            Some("role") => {
                messages.last_is_assistant = value.text().as_deref() == Some("assistant");
            }
            Some("content") => {
                let span = start + value.span.start..start + value.span.end;
                messages.last_text = (value.kind == Kind::Text).then_some(span);
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(messages)
}

/// `{"type":"text"}` asks for what comes anyway.
fn is_plain_text(value: &Found<'_>) -> bool {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Format<'a> {
        r#type: &'a str,
    }
    serde_json::from_str::<Format<'_>>(value.raw).is_ok_and(|format| format.r#type == "text")
}

fn is_only_text(value: &Found<'_>) -> bool {
    serde_json::from_str::<Vec<&str>>(value.raw)
        .is_ok_and(|kinds| kinds.iter().all(|kind| *kind == "text"))
}

pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn inside_quotes(text: &str) -> String {
    let quoted = quoted(text);
    quoted[1..quoted.len() - 1].to_owned()
}
