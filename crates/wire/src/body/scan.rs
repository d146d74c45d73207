//! The walk over a body's top level.

use bytes::Bytes;

use super::{BodyProblem, NullMember, Presence, RequestBody, StreamField, StreamOptionsField};
use crate::json::{Cursor, Found, JsonProblem, Kind, Member};

/// The keys that decide about a request and therefore must be there once and plainly.
const STRICT_KEYS: [&str; 3] = ["model", "stream", "stream_options"];

/// The types of message parts that are pictures. In a text the quotes around them would be escaped.
const IMAGE_PARTS: [&str; 2] = ["\"image_url\"", "\"input_image\""];
/// The types of `response_format` that are JSON.
const JSON_FORMATS: [&str; 2] = ["\"json_schema\"", "\"json_object\""];
/// So much of a `prompt` tells one conversation from another.
const PROMPT_BEGINNING: usize = 1_024;

/// What has been seen so far.
#[derive(Default)]
pub(super) struct Scan<'a> {
    index: usize,
    model: Option<Found<'a>>,
    stream: Option<Found<'a>>,
    options: Option<Found<'a>>,
    options_field: StreamOptionsField,
    usage_span: Option<std::ops::Range<usize>>,
    null_members: Vec<NullMember>,
    presence: Presence,
    max_tokens: Option<u64>,
    choice_count: Option<u64>,
    best_of: Option<u64>,
    prompt_count: u64,
    prompt_bytes: usize,
    beginning: std::ops::Range<usize>,
    /// The first problem that is not one of grammar. Those come first: a body that is no JSON is
    /// told so, whatever else is wrong with it.
    problem: Option<BodyProblem>,
}

impl<'a> Scan<'a> {
    /// Reads one member of the top level.
    pub(super) fn member(
        &mut self,
        cursor: &mut Cursor<'a>,
        member: &Member<'a>,
    ) -> Result<(), JsonProblem> {
        // A comma that follows a null member is the one before its successor.
        if let Some(last) = self.null_members.last_mut()
            && last.index + 1 == self.index
        {
            last.comma_after = member.comma_before;
        }
        if member.is_escaped() {
            let value = cursor.value()?;
            self.escaped_member(member, value);
        } else if member.raw_key == "\"stream_options\"" {
            self.options_member(cursor, member)?;
        } else {
            let value = cursor.value()?;
            self.plain_member(member, value);
        }
        self.index += 1;
        Ok(())
    }

    /// Spelled another way, it means the same: what a call may cost hangs on some of them.
    fn escaped_member(&mut self, member: &Member<'a>, value: Found<'a>) {
        let Some(key) = member.key() else { return };
        match STRICT_KEYS.into_iter().find(|strict| *strict == key) {
            Some(key) => self.note(BodyProblem::EscapedKey { key }),
            None => self.named_member(&key, member, value),
        }
    }

    fn plain_member(&mut self, member: &Member<'a>, value: Found<'a>) {
        self.named_member(&member.raw_key[1..member.raw_key.len() - 1], member, value);
    }

    fn named_member(&mut self, key: &str, member: &Member<'a>, value: Found<'a>) {
        match key {
            "model" => {
                let before = self.model.replace(value);
                self.once("model", before.is_some());
            }
            "stream" => {
                if value.kind == Kind::Null {
                    self.null_member(member, &value, false);
                }
                let before = self.stream.replace(value);
                self.once("stream", before.is_some());
            }
            "max_tokens" | "max_completion_tokens" => {
                self.max_tokens = self.max_tokens.max(value.unsigned());
            }
            "n" => self.choice_count = value.unsigned(),
            "best_of" => self.best_of = value.unsigned(),
            "messages" => {
                self.presence.messages = self.prompt_part(&value);
                self.presence.images = IMAGE_PARTS.iter().any(|part| value.raw.contains(part));
                self.beginning = of_conversation(&value);
            }
            "prompt" => {
                self.presence.prompt = self.prompt_part(&value);
                self.prompt_count = count_of_prompts(&value);
                let start = value.span.start;
                let is_long = value.raw.len() > PROMPT_BEGINNING;
                self.beginning = if is_long { start..start + PROMPT_BEGINNING } else { 0..0 };
            }
            "input" => self.presence.input = self.prompt_part(&value),
            "tools" | "functions" => self.presence.tools |= self.prompt_part(&value),
            "response_format" => {
                self.presence.response_format = value.is_something();
                self.presence.json_schema =
                    JSON_FORMATS.iter().any(|format| value.raw.contains(format));
            }
            "logprobs" | "top_logprobs" => {
                self.presence.logprobs |= value.is_something() && value.kind != Kind::False;
            }
            "stop" => self.presence.stop = value.is_something(),
            "seed" => self.presence.seed = value.is_something(),
            _ => {}
        }
    }

    fn prompt_part(&mut self, value: &Found<'a>) -> bool {
        let there = value.is_something();
        if there {
            self.prompt_bytes += value.raw.len();
        }
        there
    }

    fn options_member(
        &mut self,
        cursor: &mut Cursor<'a>,
        member: &Member<'a>,
    ) -> Result<(), JsonProblem> {
        let value = cursor.value()?;
        self.options_field = match value.kind {
            Kind::Null => {
                self.null_member(member, &value, true);
                StreamOptionsField::Null
            }
            Kind::Object => StreamOptionsField::Object { include_usage: self.usage_of(&value)? },
            _ => StreamOptionsField::Other,
        };
        let before = self.options.replace(value);
        self.once("stream_options", before.is_some());
        Ok(())
    }

    /// Looks for `include_usage` inside `stream_options`, in any spelling; the last one counts.
    fn usage_of(&mut self, options: &Found<'a>) -> Result<bool, JsonProblem> {
        let mut include_usage = false;
        Cursor::new(options.raw).members(|cursor, member| {
            let value = cursor.value()?;
            if member.key().as_deref() == Some("include_usage") {
                include_usage = value.kind == Kind::True;
                let start = options.span.start;
                self.usage_span = Some(start + value.span.start..start + value.span.end);
            }
            Ok(())
        })?;
        Ok(include_usage)
    }

    fn null_member(&mut self, member: &Member<'a>, value: &Found<'a>, is_options: bool) {
        self.null_members.push(NullMember {
            is_options,
            index: self.index,
            key_start: member.key_start,
            value_end: value.span.end,
            comma_before: member.comma_before,
            comma_after: None,
        });
    }

    fn once(&mut self, key: &'static str, seen_before: bool) {
        if seen_before {
            self.note(BodyProblem::DuplicateKey { key });
        }
    }

    fn note(&mut self, problem: BodyProblem) {
        self.problem.get_or_insert(problem);
    }

    /// What the walk found, without the bytes.
    pub(super) fn conclude(self) -> Result<RequestBody, BodyProblem> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let model = self.model.ok_or(BodyProblem::MissingModel)?;
        if model.kind != Kind::Text {
            return Err(BodyProblem::ModelNotText { found: describe(model.kind) });
        }
        let name = model
            .text()
            .ok_or(BodyProblem::ModelNotText { found: "text with half a surrogate pair" })?;
        if name.trim().is_empty() {
            return Err(BodyProblem::EmptyModel);
        }
        let stream = match self.stream.map(|value| value.kind) {
            None => StreamField::Absent,
            Some(Kind::Null) => StreamField::Null,
            Some(Kind::True) => StreamField::Bool(true),
            Some(Kind::False) => StreamField::Bool(false),
            Some(Kind::Number | Kind::Text | Kind::Array | Kind::Object) => StreamField::Other,
        };
        Ok(RequestBody {
            bytes: Bytes::new(),
            model: name.into_owned(),
            model_span: model.span,
            stream,
            stream_options: self.options_field,
            options_span: self.options.map(|value| value.span),
            usage_span: self.usage_span,
            null_members: self.null_members,
            presence: self.presence,
            max_tokens: self.max_tokens,
            choice_count: self.choice_count,
            best_of: self.best_of,
            prompt_count: self.prompt_count.max(1),
            prompt_bytes: self.prompt_bytes,
            beginning: self.beginning,
        })
    }
}

/// Why a body that does not start like an object is refused: broken first, wrong kind second.
pub(super) fn not_an_object(mut cursor: Cursor<'_>) -> BodyProblem {
    match cursor.value().and_then(|value| cursor.end().map(|()| value)) {
        Ok(value) => BodyProblem::NotAnObject { found: describe(value.kind) },
        Err(problem) => problem.into(),
    }
}

/// The messages to the end of the first that is not the system's.
fn of_conversation(messages: &Found<'_>) -> std::ops::Range<usize> {
    let mut cursor = Cursor::new(messages.raw);
    let mut end = None;
    // An error stops the walk: the rest may be long. What is no list has no beginning.
    let _ = cursor.elements(|cursor| {
        let message = cursor.value()?;
        if role(&message).is_some_and(|role| role != "system" && role != "developer") {
            end = Some(message.span.end);
            return Err(JsonProblem::Syntax { at: message.span.end, expected: "no more" });
        }
        Ok(())
    });
    end.map_or(0..0, |end| messages.span.start..messages.span.start + end)
}

/// A list of texts, or of lists of tokens, is several prompts; a text or a list of tokens is one.
fn count_of_prompts(prompt: &Found<'_>) -> u64 {
    if prompt.kind != Kind::Array {
        return 1;
    }
    let mut count = 0;
    let mut cursor = Cursor::new(prompt.raw);
    // An error stops the walk: tokens are many.
    let walked = cursor.elements(|cursor| {
        let one = cursor.value()?;
        count += 1;
        match one.kind {
            Kind::Text | Kind::Array | Kind::Object => Ok(()),
            _ => Err(JsonProblem::Syntax { at: one.span.end, expected: "no more" }),
        }
    });
    if walked.is_ok() { count } else { 1 }
}

fn role<'a>(message: &Found<'a>) -> Option<std::borrow::Cow<'a, str>> {
    if message.kind != Kind::Object {
        return None;
    }
    let mut role = None;
    let walked = Cursor::new(message.raw).members(|cursor, member| {
        let value = cursor.value()?;
        if member.key().as_deref() == Some("role") {
            role = value.text();
        }
        Ok(())
    });
    walked.ok().and(role)
}

fn describe(kind: Kind) -> &'static str {
    match kind {
        Kind::Null => "null",
        Kind::True | Kind::False => "a boolean",
        Kind::Number => "a number",
        Kind::Text => "a string",
        Kind::Array => "a list",
        Kind::Object => "an object",
    }
}
