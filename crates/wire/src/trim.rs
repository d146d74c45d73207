//! A shorter request: for a context that does not fit, or a model that refuses long ones first.
//!
//! The context is what is read and what may be written: the bytes of the prompt, and `max_tokens`, each counted as
//! [`BYTES_PER_TOKEN`]. Of it a share is cut: first from `max_tokens`, down to half, then whole turns, oldest first. A turn
//! is what a user says with all that follows, so an assistant's tool calls and their results go together or stay together.
//! The system's messages stay, wherever they stand, and so does the last turn. No word is added, and every byte outside of
//! the cut stays as it was.
//!
//! Turns are coarse, so the share is not always met: it is never less than 30 and never more than 50 percent. Where that
//! cannot be, nothing is cut, and the caller gets the refusal that he would have got.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use crate::edit::{self, Edit};
use crate::json::{Cursor, Found, JsonProblem, Kind};

/// What a token is counted as, in bytes.
pub const BYTES_PER_TOKEN: u64 = 4;

/// `max_tokens` is never cut below this.
pub const LEAST_ANSWER_TOKENS: u64 = 256;

/// What is cut at least, and at the most, in percent.
const LEAST_PERCENT: u64 = 30;
const MOST_PERCENT: u64 = 50;

/// How much of a context to cut, from 30 to 50 percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u64);

/// A request that was cut. Its `Debug` tells sizes, never what was said.
#[derive(Clone, PartialEq, Eq)]
pub struct Trimmed {
    /// What to send.
    pub body: Bytes,
    /// What is missing.
    pub cut: Cut,
}

/// What was cut from a request. As text it is `38%; max_tokens=4096->2048; messages=41->17`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// How much of the context, in percent, rounded down.
    pub percent: u64,
    /// `max_tokens` before and after, if it was cut.
    pub max_tokens: Option<(u64, u64)>,
    /// How many messages there were.
    pub messages_before: u64,
    /// How many there are.
    pub messages_after: u64,
    /// The size of the body before.
    pub bytes_before: u64,
    /// And after.
    pub bytes_after: u64,
}

/// Cuts about this share from the context of a request; `None` where nothing between 30 and 50 percent can go.
#[must_use]
pub fn trim(body: &Bytes, share: Share) -> Option<Trimmed> {
    let request = Request::read(std::str::from_utf8(body).ok()?)?;
    let whole = request.prompt_bytes + request.max_tokens.unwrap_or(0) * BYTES_PER_TOKEN;
    let at_least = |percent: u64| (whole * percent).div_ceil(100);
    let (wanted, most) = (at_least(share.0), whole * MOST_PERCENT / 100);
    let spare = request.spare_tokens();
    let (kept_from, bytes) =
        request.turns_for(wanted.saturating_sub(spare * BYTES_PER_TOKEN), most);
    let missing = wanted.saturating_sub(bytes).div_ceil(BYTES_PER_TOKEN);
    let tokens = spare.min(missing).min((most - bytes) / BYTES_PER_TOKEN);
    let cut = bytes + tokens * BYTES_PER_TOKEN;
    if cut == 0 || cut < at_least(LEAST_PERCENT) {
        return None;
    }
    let dropped: Vec<&Message> =
        request.messages[..kept_from].iter().filter(|message| message.may_go()).collect();
    let mut edits: Vec<Edit> =
        dropped.iter().map(|message| Edit::cut(message.start..message.next)).collect();
    let max_tokens =
        request.max_tokens.filter(|_| tokens > 0).map(|before| (before, before - tokens));
    if let Some((_, after)) = max_tokens {
        let larger = request.token_limits.iter().filter(|(_, value)| *value > after);
        edits.extend(larger.map(|(span, _)| Edit::new(span.clone(), after.to_string())));
    }
    let (before, gone) = (request.messages.len() as u64, dropped.len() as u64);
    let trimmed = edit::apply(body, edits);
    let cut = Cut {
        percent: cut * 100 / whole,
        max_tokens,
        messages_before: before,
        messages_after: before - gone,
        bytes_before: body.len() as u64,
        bytes_after: trimmed.len() as u64,
    };
    Some(Trimmed { body: trimmed, cut })
}

// === impl Share ===

impl Share {
    /// The smallest.
    pub const LEAST: Self = Self(LEAST_PERCENT);

    /// So many percent, if that is from 30 to 50.
    #[must_use]
    pub fn percent(percent: u64) -> Option<Self> {
        (LEAST_PERCENT..=MOST_PERCENT).contains(&percent).then_some(Self(percent))
    }

    /// A percentage as people write it: `30%` to `50%`.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let number = text.trim().strip_suffix('%')?.trim_end();
        let is_plain = number.bytes().all(|byte| byte.is_ascii_digit());
        Self::percent(number.parse().ok().filter(|_| is_plain)?)
    }

    /// In percent.
    #[must_use]
    pub fn as_percent(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Share {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}%", self.0)
    }
}

// === impl Cut ===

impl fmt::Display for Cut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}%", self.percent)?;
        if let Some((before, after)) = self.max_tokens {
            write!(formatter, "; max_tokens={before}->{after}")?;
        }
        if self.messages_before != self.messages_after {
            write!(formatter, "; messages={}->{}", self.messages_before, self.messages_after)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Trimmed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Trimmed")
            .field("body", &self.body.len())
            .field("cut", &self.cut)
            .finish()
    }
}

/// A request as far as it matters here.
#[derive(Default)]
struct Request {
    messages: Vec<Message>,
    /// The larger of the two limits.
    max_tokens: Option<u64>,
    /// Where each limit stands.
    token_limits: Vec<(Range<usize>, u64)>,
    prompt_bytes: u64,
}

/// Who speaks, as far as it matters here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// `system` or `developer`: stays.
    System,
    /// `user`: begins a turn.
    User,
    /// Belongs to the turn.
    Other,
}

/// One message.
struct Message {
    role: Role,
    start: usize,
    /// Where the next one begins; for the last, where it ends.
    next: usize,
    /// Whether a turn may begin here: no tool call before it is answered after it.
    parts_turns: bool,
}

impl Message {
    fn takes(&self) -> u64 {
        (self.next - self.start) as u64
    }

    fn may_go(&self) -> bool {
        self.role != Role::System
    }
}

// === impl Request ===

impl Request {
    /// `None` for what is no JSON object or has its messages twice.
    fn read(text: &str) -> Option<Self> {
        let mut request = Self::default();
        let mut lists = 0;
        let mut cursor = Cursor::new(text);
        let read = cursor.members(|cursor, member| {
            let key = member.key().unwrap_or_default();
            if key == "messages" {
                lists += 1;
                return request.read_messages(cursor);
            }
            let value = cursor.value()?;
            match &*key {
                "max_tokens" | "max_completion_tokens" => request.read_limit(&value),
                "prompt" | "input" | "tools" | "functions" => {
                    request.prompt_bytes += value.raw.len() as u64;
                }
                _ => {}
            }
            Ok(())
        });
        (read.is_ok() && lists <= 1).then_some(request)
    }

    fn read_limit(&mut self, value: &Found<'_>) {
        // What is not below this is no limit, and cannot be counted in bytes.
        if let Some(limit) = value.unsigned().filter(|&limit| limit < 1 << 40) {
            self.max_tokens = self.max_tokens.max(Some(limit));
            self.token_limits.push((value.span.clone(), limit));
        }
    }

    fn read_messages(&mut self, cursor: &mut Cursor<'_>) -> Result<(), JsonProblem> {
        cursor.skip_space();
        if cursor.peek() != Some(b'[') {
            return cursor.value().map(drop);
        }
        let start = cursor.position();
        let mut pairs = Pairs::default();
        let messages = &mut self.messages;
        cursor.elements(|cursor| {
            let value = cursor.value()?;
            if let Some(last) = messages.last_mut() {
                last.next = value.span.start;
            }
            let role = pairs.read(messages.len(), &value);
            let Range { start, end } = value.span;
            messages.push(Message { role, start, next: end, parts_turns: false });
            Ok(())
        })?;
        self.prompt_bytes += (cursor.position() - start) as u64;
        pairs.mark(&mut self.messages);
        Ok(())
    }

    /// How many tokens `max_tokens` may lose.
    fn spare_tokens(&self) -> u64 {
        let limit = self.max_tokens.unwrap_or(0);
        limit.saturating_sub(limit.div_ceil(2).max(LEAST_ANSWER_TOKENS))
    }

    /// How far the oldest turns go that have this many bytes together, but not more than `most`: the message that is kept
    /// first, but for the system's, and the bytes before it. Where no turns have as many, those that come closest.
    fn turns_for(&self, wanted: u64, most: u64) -> (usize, u64) {
        let mut found = (0, 0);
        let mut taken = 0;
        for (index, message) in self.messages.iter().enumerate() {
            if message.parts_turns && taken <= most {
                found = (index, taken);
            }
            if found.1 >= wanted || taken > most {
                break;
            }
            if message.may_go() {
                taken += message.takes();
            }
        }
        found
    }
}

/// Which messages belong together.
#[derive(Default)]
struct Pairs<'a> {
    /// Where each call was made.
    calls: HashMap<Cow<'a, str>, usize>,
    /// The last message that made one.
    last_call: Option<usize>,
    /// Where a stretch that may not be parted begins, and where it ends.
    stretches: Vec<(usize, usize)>,
}

impl<'a> Pairs<'a> {
    /// Reads one message and says who speaks.
    fn read(&mut self, index: usize, message: &Found<'a>) -> Role {
        let (mut role, mut answers, mut calls) = (None, None, false);
        if message.kind != Kind::Object {
            return Role::Other;
        }
        // The text was read before, so it reads again.
        let _ = Cursor::new(message.raw).members(|cursor, member| {
            let value = cursor.value()?;
            match member.key().as_deref() {
                Some("role") => role = value.text(),
                Some("tool_call_id") => answers = value.text(),
                Some("tool_calls" | "function_call") if value.is_something() => {
                    calls = true;
                    for id in ids(&value) {
                        self.calls.insert(id, index);
                    }
                }
                _ => {}
            }
            Ok(())
        });
        if calls {
            self.last_call = Some(index);
        }
        match role.as_deref() {
            Some("system" | "developer") => Role::System,
            Some("user") => Role::User,
            Some("tool" | "function") => {
                let made = answers.and_then(|id| self.calls.get(&id).copied()).or(self.last_call);
                self.stretches.extend(made.map(|made| (made, index)));
                Role::Other
            }
            _ => Role::Other,
        }
    }

    /// Marks where turns begin.
    fn mark(self, messages: &mut [Message]) {
        let mut opened = vec![0_i64; messages.len() + 2];
        for (from, to) in self.stretches {
            opened[from + 1] += 1;
            opened[to + 1] -= 1;
        }
        let mut open = 0;
        let mut before = None;
        for (message, change) in messages.iter_mut().zip(opened) {
            open += change;
            // Several messages of a user in a row are one turn.
            message.parts_turns =
                open == 0 && message.role == Role::User && before != Some(Role::User);
            if message.may_go() {
                before = Some(message.role);
            }
        }
    }
}

/// The ids of tool calls.
fn ids<'a>(calls: &Found<'a>) -> Vec<Cow<'a, str>> {
    let mut ids = Vec::new();
    if calls.kind != Kind::Array {
        return ids;
    }
    let _ = Cursor::new(calls.raw).elements(|cursor| {
        let call = cursor.value()?;
        if call.kind == Kind::Object {
            Cursor::new(call.raw).members(|cursor, member| {
                let value = cursor.value()?;
                if member.key().as_deref() == Some("id") {
                    ids.extend(value.text());
                }
                Ok(())
            })?;
        }
        Ok(())
    });
    ids
}

#[cfg(test)]
mod tests;
