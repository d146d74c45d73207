//! What the relay has to know of a stream event, found without building anything.

use std::borrow::Cow;
use std::fmt;

use crate::json::{Cursor, Found, JsonProblem, Kind};

/// The few facts of a chunk (or of a whole answer) that decide how its stream goes on.
///
/// Borrows from the event and allocates nothing for an answer of one choice, except for an id,
/// model or finish reason that is written with escapes. Misshapen members read as absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChunkGlance<'a> {
    /// The answer's id. Another one in the same stream means that the server began again.
    pub id: Option<Cow<'a, str>>,
    /// The model that answers.
    pub model: Option<Cow<'a, str>>,
    /// Unix seconds.
    pub created: Option<u64>,
    /// Running totals. The last ones of a stream count.
    pub usage: Option<UsageGlance>,
    /// What makes an error of it, as JSON text: an `error` that is not null, `"object": "error"` or
    /// `"type": "error"`, a choice with an error of its own or with a finish reason that says the
    /// service gave up. [`crate::error::ErrorBody`] reads the whole event.
    pub error: Option<&'a str>,
    first: Option<ChoiceGlance<'a>>,
    more: Vec<ChoiceGlance<'a>>,
}

/// The facts of one choice. Its `Debug` tells the content's size, not the content.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ChoiceGlance<'a> {
    /// Which of the `n` answers.
    pub index: u64,
    /// A role is named. A second time in one stream means that the server began again.
    pub has_role: bool,
    /// Some content, not empty.
    pub has_content: bool,
    /// Some reasoning, not empty.
    pub has_reasoning: bool,
    /// A piece of a tool call.
    pub has_tool_call: bool,
    /// Why this answer ended.
    pub finish_reason: Option<Cow<'a, str>>,
    /// Something that is neither text nor reasoning nor a tool call: log probabilities, audio, a refusal.
    pub has_other: bool,
    /// The content as JSON text with its quotes.
    pub raw_content: Option<&'a str>,
    /// The reasoning under the name that its engine has for it, as JSON text with its quotes.
    pub raw_reasoning: Option<(ReasoningName, &'a str)>,
}

/// What an engine calls the reasoning of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasoningName {
    /// `reasoning_content`, as most do.
    ReasoningContent,
    /// `reasoning`.
    Reasoning,
}

impl ReasoningName {
    /// The name of the member.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReasoningContent => "reasoning_content",
            Self::Reasoning => "reasoning",
        }
    }
}

/// Usage figures, absent where null or missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageGlance {
    /// Prompt tokens, with those found in a cache.
    pub prompt_tokens: Option<u64>,
    /// Generated tokens, with reasoning.
    pub completion_tokens: Option<u64>,
    /// Prompt tokens found in a cache.
    pub cached_tokens: Option<u64>,
    /// Generated tokens spent on reasoning.
    pub reasoning_tokens: Option<u64>,
}

impl<'a> ChunkGlance<'a> {
    /// Looks at the data of one event; `None` if that is no JSON object.
    #[must_use]
    pub fn read(data: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(data).ok()?;
        let mut glance = Self::default();
        let mut cursor = Cursor::new(text);
        cursor.members(|cursor, member| glance.member(cursor, member.key().as_deref())).ok()?;
        cursor.end().ok()?;
        Some(glance)
    }

    /// The choices.
    pub fn choices(&self) -> impl Iterator<Item = &ChoiceGlance<'a>> {
        self.first.iter().chain(&self.more)
    }

    /// Whether some choice says something: content, reasoning or a tool call.
    #[must_use]
    pub fn is_useful(&self) -> bool {
        self.choices().any(ChoiceGlance::is_useful)
    }

    /// Whether some choice names a role.
    #[must_use]
    pub fn has_role(&self) -> bool {
        self.choices().any(|choice| choice.has_role)
    }

    /// The first finish reason.
    #[must_use]
    pub fn finish_reason(&self) -> Option<&str> {
        self.choices().find_map(|choice| choice.finish_reason.as_deref())
    }

    /// Whether this is the event that only carries usage, as `include_usage` adds it.
    #[must_use]
    pub fn is_only_usage(&self) -> bool {
        self.usage.is_some() && self.first.is_none() && self.error.is_none()
    }

    fn member(&mut self, cursor: &mut Cursor<'a>, key: Option<&str>) -> Result<(), JsonProblem> {
        if key == Some("choices") && next_is(cursor, b'[') {
            return cursor.elements(|cursor| self.choice(cursor));
        }
        if key == Some("usage") && next_is(cursor, b'{') {
            self.usage = Some(usage(cursor)?);
            return Ok(());
        }
        let value = cursor.value()?;
        match key {
            Some("id") => self.id = value.text(),
            Some("model") => self.model = value.text(),
            Some("created") => self.created = value.unsigned(),
            Some("error") if value.raw != "null" => self.error = Some(value.raw),
            Some("object" | "type") if value.raw == "\"error\"" => self.error = Some(value.raw),
            _ => {}
        }
        Ok(())
    }

    fn choice(&mut self, cursor: &mut Cursor<'a>) -> Result<(), JsonProblem> {
        if !next_is(cursor, b'{') {
            cursor.value()?;
            return Ok(());
        }
        let mut choice = ChoiceGlance::default();
        let mut error = None;
        cursor.members(|cursor, member| {
            let key = member.key();
            let key = key.as_deref();
            if matches!(key, Some("delta" | "message")) && next_is(cursor, b'{') {
                cursor.members(|cursor, member| {
                    let value = cursor.value()?;
                    choice.delta_member(member.key().as_deref(), &value);
                    Ok(())
                })?;
                return Ok(());
            }
            let value = cursor.value()?;
            match key {
                Some("index") => choice.index = value.unsigned().unwrap_or(0),
                Some("finish_reason") => {
                    choice.finish_reason = value.text();
                    if choice.finish_reason.as_deref().is_some_and(is_failure) {
                        error = Some(value.raw);
                    }
                }
                Some("error") if value.raw != "null" => error = Some(value.raw),
                Some("text") => choice.content(&value),
                Some("logprobs") => choice.has_other |= value.is_something(),
                _ => {}
            }
            Ok(())
        })?;
        self.error = self.error.or(error);
        match &self.first {
            None => self.first = Some(choice),
            Some(_) => self.more.push(choice),
        }
        Ok(())
    }
}

/// Finish reasons of an answer that is none: those of OpenRouter, of the engines, of others.
pub(crate) fn is_failure(reason: &str) -> bool {
    ["error", "abort", "aborted", "insufficient_system_resource", "network_error"].contains(&reason)
}

impl<'a> ChoiceGlance<'a> {
    /// Whether it says something.
    #[must_use]
    pub fn is_useful(&self) -> bool {
        self.has_content || self.has_reasoning || self.has_tool_call
    }

    /// The content, decoded; `None` if there is none.
    #[must_use]
    pub fn content_text(&self) -> Option<Cow<'a, str>> {
        crate::json::decode(self.raw_content?)
    }

    /// The reasoning, decoded, and its name; `None` if there is none.
    #[must_use]
    pub fn reasoning_text(&self) -> Option<(ReasoningName, Cow<'a, str>)> {
        let (name, raw) = self.raw_reasoning?;
        Some((name, crate::json::decode(raw)?))
    }

    fn delta_member(&mut self, key: Option<&str>, value: &Found<'a>) {
        match key {
            Some("role") => self.has_role = value.is_something(),
            Some("content") => self.content(value),
            Some("reasoning_content") => self.reasoning(ReasoningName::ReasoningContent, value),
            Some("reasoning") => self.reasoning(ReasoningName::Reasoning, value),
            Some("tool_calls" | "function_call") => self.has_tool_call |= value.is_something(),
            _ => self.has_other |= value.is_something(),
        }
    }

    /// Some services say it twice, as a message and as a text.
    fn content(&mut self, value: &Found<'a>) {
        self.has_content |= value.is_something();
        match value.kind {
            Kind::Text if value.is_something() => {
                let before = self.raw_content.replace(value.raw).filter(|before| before.len() > 2);
                self.has_other |= before.is_some_and(|before| before != value.raw);
            }
            Kind::Text => _ = self.raw_content.get_or_insert(value.raw),
            _ => self.has_other |= value.is_something(),
        }
    }

    /// Some engines send it under both names.
    fn reasoning(&mut self, name: ReasoningName, value: &Found<'a>) {
        self.has_reasoning |= value.is_something();
        match value.kind {
            Kind::Text if value.is_something() => {
                self.raw_reasoning.get_or_insert((name, value.raw));
            }
            _ => {}
        }
    }
}

impl fmt::Debug for ChoiceGlance<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ChoiceGlance")
            .field("index", &self.index)
            .field("has_role", &self.has_role)
            .field("has_content", &self.has_content)
            .field("has_reasoning", &self.has_reasoning)
            .field("has_tool_call", &self.has_tool_call)
            .field("has_other", &self.has_other)
            .field("finish_reason", &self.finish_reason)
            .field("raw_content_bytes", &self.raw_content.map(str::len))
            .finish()
    }
}

fn next_is(cursor: &mut Cursor<'_>, byte: u8) -> bool {
    cursor.skip_space();
    cursor.peek() == Some(byte)
}

fn usage(cursor: &mut Cursor<'_>) -> Result<UsageGlance, JsonProblem> {
    let mut usage = UsageGlance::default();
    cursor.members(|cursor, member| {
        let key = member.key();
        let key = key.as_deref();
        if matches!(key, Some("prompt_tokens_details" | "completion_tokens_details"))
            && next_is(cursor, b'{')
        {
            cursor.members(|cursor, member| {
                let value = cursor.value()?;
                match member.key().as_deref() {
                    Some("cached_tokens") => usage.cached_tokens = value.unsigned(),
                    Some("reasoning_tokens") => usage.reasoning_tokens = value.unsigned(),
                    _ => {}
                }
                Ok(())
            })?;
            return Ok(());
        }
        let value = cursor.value()?;
        match key {
            Some("prompt_tokens") => usage.prompt_tokens = value.unsigned(),
            Some("completion_tokens") => usage.completion_tokens = value.unsigned(),
            Some("reasoning_tokens") => usage.reasoning_tokens = value.unsigned(),
            _ => {}
        }
        Ok(())
    })?;
    Ok(usage)
}
