//! One event of the second stream, changed in place into one of the first.

use std::ops::Range;

use bytes::Bytes;

use super::request::quoted;
use crate::edit::{self, Edit};
use crate::json::{Cursor, Found, JsonProblem, Kind};

/// Where in an event the parts stand that may have to change.
#[derive(Debug, Default)]
pub(super) struct Parts {
    id: Option<Range<usize>>,
    created: Option<Range<usize>>,
    model: Option<Range<usize>>,
    /// With the one comma that goes with it.
    role: Option<Range<usize>>,
    /// Some services say it twice, as a message and as a text.
    content: Vec<Range<usize>>,
    reasoning: Vec<Range<usize>>,
    prompt_tokens: Option<Figure>,
    completion_tokens: Option<Figure>,
    total_tokens: Option<Figure>,
    cached_tokens: Option<Figure>,
    reasoning_tokens: Option<Figure>,
}

/// A number and where it stands.
#[derive(Debug)]
struct Figure {
    span: Range<usize>,
    value: u64,
}

/// What to change in an event.
#[derive(Debug, Default)]
pub(super) struct Change<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) model: Option<&'a str>,
    pub(super) created: Option<u64>,
    /// Says this instead.
    pub(super) content: Option<&'a str>,
    pub(super) without_reasoning: bool,
    pub(super) usage: Option<WholeUsage>,
}

/// How the figures of the second stream become those of one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WholeUsage {
    /// The prompt's tokens, where the first stream has said them.
    pub(super) prompt_tokens: Option<u64>,
    /// Of the second stream's prompt, this much was the beginning of the answer.
    pub(super) begun_tokens: u64,
    /// To be added to the answer's tokens.
    pub(super) before: u64,
    pub(super) reasoning_before: u64,
}

impl Parts {
    /// Finds the parts of an event; `None` if it is no JSON object.
    pub(super) fn find(data: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(data).ok()?;
        let mut parts = Self::default();
        let mut cursor = Cursor::new(text);
        cursor
            .members(|cursor, member| {
                let value = cursor.value()?;
                match member.key().as_deref() {
                    Some("id") => parts.id = Some(value.span),
                    Some("created") => parts.created = Some(value.span),
                    Some("model") => parts.model = Some(value.span),
                    Some("choices") if value.kind == Kind::Array => parts.choices(&value)?,
                    Some("usage") if value.kind == Kind::Object => parts.usage(&value)?,
                    _ => {}
                }
                Ok(())
            })
            .ok()?;
        Some(parts)
    }

    /// The event with the changes made.
    pub(super) fn changed(&self, data: &[u8], change: &Change<'_>) -> Bytes {
        let mut edits = Vec::new();
        let mut put = |span: &Option<Range<usize>>, text: Option<String>| {
            if let (Some(span), Some(text)) = (span, text) {
                edits.push(Edit::new(span.clone(), text));
            }
        };
        put(&self.id, change.id.map(quoted));
        put(&self.model, change.model.map(quoted));
        put(&self.created, change.created.map(|created| created.to_string()));
        put(&self.role, Some(String::new()));
        for span in &self.content {
            put(&Some(span.clone()), change.content.map(quoted));
        }
        for span in self.reasoning.iter().filter(|_| change.without_reasoning) {
            edits.push(Edit::new(span.clone(), "null".to_owned()));
        }
        if let Some(usage) = change.usage {
            self.edit_usage(usage, &mut edits);
        }
        edit::apply(&Bytes::copy_from_slice(data), edits)
    }

    fn edit_usage(&self, usage: WholeUsage, edits: &mut Vec<Edit>) {
        let told = |figure: &Option<Figure>| figure.as_ref().map(|figure| figure.value);
        let prompt = told(&self.prompt_tokens).map(|prompt| {
            usage.prompt_tokens.unwrap_or_else(|| prompt.saturating_sub(usage.begun_tokens))
        });
        let completion =
            told(&self.completion_tokens).map(|tokens| tokens.saturating_add(usage.before));
        let cached = told(&self.cached_tokens).map(|cached| cached.min(prompt.unwrap_or(cached)));
        let reasoning = told(&self.reasoning_tokens)
            .map(|tokens| tokens.saturating_add(usage.reasoning_before));
        let total = prompt.unwrap_or(0).saturating_add(completion.unwrap_or(0));
        for (figure, value) in [
            (&self.prompt_tokens, prompt),
            (&self.completion_tokens, completion),
            (&self.total_tokens, Some(total)),
            (&self.cached_tokens, cached),
            (&self.reasoning_tokens, reasoning),
        ] {
            if let (Some(figure), Some(value)) = (figure, value) {
                edits.push(Edit::new(figure.span.clone(), value.to_string()));
            }
        }
    }

    fn choices(&mut self, choices: &Found<'_>) -> Result<(), JsonProblem> {
        let start = choices.span.start;
        let mut cursor = Cursor::new(choices.raw);
        cursor.elements(|cursor| {
            let choice = cursor.value()?;
            if choice.kind == Kind::Object {
                self.choice(choice.raw, start + choice.span.start)?;
            }
            Ok(())
        })
    }

    fn choice(&mut self, raw: &str, start: usize) -> Result<(), JsonProblem> {
        Cursor::new(raw).members(|cursor, member| {
            let value = cursor.value()?;
            let key = member.key();
            match key.as_deref() {
                Some("delta" | "message") if value.kind == Kind::Object => {
                    self.delta(value.raw, start + value.span.start)?;
                }
                Some("text") => self.says(&value, start),
                _ => {}
            }
            Ok(())
        })?;
        Ok(())
    }

    fn delta(&mut self, raw: &str, start: usize) -> Result<(), JsonProblem> {
        // The comma after a member stands before the next one.
        let mut wants_comma_after = false;
        Cursor::new(raw).members(|cursor, member| {
            if std::mem::take(&mut wants_comma_after)
                && let (Some(role), Some(comma)) = (&mut self.role, member.comma_before)
            {
                role.end = start + comma + 1;
            }
            let value = cursor.value()?;
            match member.key().as_deref() {
                Some("role") => {
                    let from = member.comma_before.unwrap_or(member.key_start);
                    self.role = Some(shifted(&(from..value.span.end), start));
                    wants_comma_after = member.comma_before.is_none();
                }
                Some("content") => self.says(&value, start),
                Some("reasoning_content" | "reasoning") => {
                    self.reasoning.push(shifted(&value.span, start));
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(())
    }

    fn says(&mut self, value: &Found<'_>, start: usize) {
        if value.is_something() {
            self.content.push(shifted(&value.span, start));
        }
    }

    fn usage(&mut self, usage: &Found<'_>) -> Result<(), JsonProblem> {
        let start = usage.span.start;
        Cursor::new(usage.raw).members(|cursor, member| {
            let value = cursor.value()?;
            let figure = Figure::of(&value, start);
            match member.key().as_deref() {
                Some("prompt_tokens") => self.prompt_tokens = figure,
                Some("completion_tokens") => self.completion_tokens = figure,
                Some("total_tokens") => self.total_tokens = figure,
                Some("reasoning_tokens") => self.reasoning_tokens = figure,
                Some("prompt_tokens_details" | "completion_tokens_details")
                    if value.kind == Kind::Object =>
                {
                    self.details(value.raw, start + value.span.start)?;
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(())
    }

    fn details(&mut self, raw: &str, start: usize) -> Result<(), JsonProblem> {
        Cursor::new(raw).members(|cursor, member| {
            let value = cursor.value()?;
            let figure = Figure::of(&value, start);
            match member.key().as_deref() {
                Some("cached_tokens") => self.cached_tokens = figure,
                Some("reasoning_tokens") => self.reasoning_tokens = figure,
                _ => {}
            }
            Ok(())
        })?;
        Ok(())
    }
}

impl Figure {
    fn of(value: &Found<'_>, start: usize) -> Option<Self> {
        Some(Self { span: shifted(&value.span, start), value: value.unsigned()? })
    }
}

fn shifted(span: &Range<usize>, by: usize) -> Range<usize> {
    span.start + by..span.end + by
}
