//! What a client was sent of an answer.

use std::fmt;

use super::chunk::WholeUsage;
use crate::chat::{ChunkGlance, ReasoningName, UsageGlance};

/// The longest text that is kept, in bytes. A longer answer is not continued.
const MAX_TEXT_BYTES: usize = 512 << 10;

/// What was sent of an answer. Its `Debug` tells sizes, never what was said.
#[derive(Clone, Default)]
pub struct Transcript {
    text: String,
    reasoning: String,
    reasoning_name: Option<ReasoningName>,
    pub(super) id: Option<Box<str>>,
    pub(super) model: Option<Box<str>>,
    pub(super) created: Option<u64>,
    is_thinking: bool,
    calls_tools: bool,
    is_finished: bool,
    is_unclear: bool,
    /// Chunks with text or reasoning, since the last usage.
    pieces: u64,
    usage: Option<UsageGlance>,
    /// What earlier streams of the answer count for.
    before: UsageGlance,
    /// So many tokens were sent before, however this stream counts.
    least_tokens: u64,
}

/// What was sent, in facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Produced {
    /// How long the text is.
    pub text_bytes: usize,
    /// The last thing that came was thought and not said.
    pub is_thinking: bool,
    /// A call of a tool was begun.
    pub calls_tools: bool,
    /// A finish reason came.
    pub is_finished: bool,
    /// Something came that is no text, or the text cannot be known exactly.
    pub is_unclear: bool,
    /// About how many tokens were generated: as the engine said, and a token for every chunk after that.
    pub tokens: u64,
}

impl Transcript {
    /// Writes down a chunk that goes to the client.
    pub fn observe(&mut self, chunk: &ChunkGlance<'_>) {
        self.note_head(chunk);
        let mut choices = 0;
        for choice in chunk.choices() {
            choices += 1;
            self.is_unclear |= choice.index != 0 || choices > 1 || choice.has_other;
            self.calls_tools |= choice.has_tool_call;
            self.is_finished |=
                choice.finish_reason.as_deref().is_some_and(|reason| !reason.is_empty());
            if choice.has_reasoning {
                match choice.reasoning_text() {
                    Some((name, text)) => self.think(name, &text),
                    None => self.is_unclear = true,
                }
            }
            if choice.has_content {
                match choice.content_text() {
                    Some(text) => self.say(&text),
                    // Half of a character, or no text.
                    None => self.is_unclear = true,
                }
            }
        }
        self.count(chunk);
    }

    /// Counts a chunk that does not go to the client.
    pub(super) fn count(&mut self, chunk: &ChunkGlance<'_>) {
        self.pieces += u64::from(chunk.choices().any(|one| one.has_content || one.has_reasoning));
        self.note_usage(chunk.usage);
    }

    /// The text that was sent.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What was thought, and under which name.
    #[must_use]
    pub fn reasoning(&self) -> Option<(ReasoningName, &str)> {
        Some((self.reasoning_name?, &self.reasoning))
    }

    /// What was sent, in facts.
    #[must_use]
    pub fn produced(&self) -> Produced {
        Produced {
            text_bytes: self.text.len(),
            is_thinking: self.is_thinking || thinks_aloud(&self.text),
            calls_tools: self.calls_tools,
            is_finished: self.is_finished,
            // The engine gave out half of a character.
            is_unclear: self.is_unclear || self.text.ends_with(char::REPLACEMENT_CHARACTER),
            tokens: self.tokens(),
        }
    }

    fn note_head(&mut self, chunk: &ChunkGlance<'_>) {
        if self.id.is_none() {
            self.id = chunk.id.as_deref().filter(|id| !id.is_empty()).map(Box::from);
        }
        if self.model.is_none() {
            self.model = chunk.model.as_deref().filter(|model| !model.is_empty()).map(Box::from);
        }
        self.created = self.created.or(chunk.created);
    }

    /// Running totals: the last ones count.
    fn note_usage(&mut self, usage: Option<UsageGlance>) {
        let counts = |tokens: Option<u64>| tokens.is_some_and(|tokens| tokens > 0);
        let Some(usage) =
            usage.filter(|usage| counts(usage.prompt_tokens) || counts(usage.completion_tokens))
        else {
            return;
        };
        if usage.completion_tokens.is_some() {
            self.pieces = 0;
        }
        self.usage = Some(usage);
    }

    fn say(&mut self, text: &str) {
        self.is_thinking = false;
        if self.text.len() + self.reasoning.len() + text.len() > MAX_TEXT_BYTES {
            self.is_unclear = true;
            return;
        }
        self.text.push_str(text);
    }

    fn think(&mut self, name: ReasoningName, text: &str) {
        self.is_thinking = true;
        self.reasoning_name.get_or_insert(name);
        if self.text.len() + self.reasoning.len() + text.len() > MAX_TEXT_BYTES {
            self.is_unclear = true;
            return;
        }
        self.reasoning.push_str(text);
    }

    fn tokens(&self) -> u64 {
        let told = self.usage.and_then(|usage| usage.completion_tokens).unwrap_or(0);
        let before = self.before.completion_tokens.unwrap_or(0);
        // Whatever an engine says of itself.
        let counted = before.saturating_add(told).saturating_add(self.pieces);
        counted.max(self.least_tokens)
    }

    /// The prompt's tokens, where a stream has said them.
    fn prompt_tokens(&self) -> Option<u64> {
        self.before.prompt_tokens.or_else(|| self.usage.and_then(|usage| usage.prompt_tokens))
    }

    /// What is known of the reasoning's tokens.
    fn reasoning_tokens(&self) -> Option<u64> {
        let now = self.usage.and_then(|usage| usage.reasoning_tokens);
        match (self.before.reasoning_tokens, now) {
            (Some(before), Some(now)) => Some(before.saturating_add(now)),
            (before, now) => before.or(now),
        }
    }

    /// Another stream goes on with the answer, and counts from nothing.
    pub(super) fn turns_over(&mut self) {
        self.least_tokens = self.tokens();
        self.before = UsageGlance {
            prompt_tokens: self.prompt_tokens(),
            completion_tokens: Some(self.least_tokens),
            cached_tokens: None,
            reasoning_tokens: self.reasoning_tokens(),
        };
        self.usage = None;
        self.pieces = 0;
    }

    /// That stream tells the answer from its start, so it counts all of it.
    pub(super) fn is_told_anew(&mut self) {
        self.before.completion_tokens = None;
        self.before.reasoning_tokens = None;
    }

    /// How the figures of the stream become those of one answer.
    pub(super) fn whole_usage(&self) -> WholeUsage {
        WholeUsage {
            prompt_tokens: self.before.prompt_tokens,
            begun_tokens: self.least_tokens,
            before: self.before.completion_tokens.unwrap_or(0),
            reasoning_before: self.before.reasoning_tokens.unwrap_or(0),
        }
    }
}

/// How models begin and end a thought that their engines leave in the text.
const THOUGHTS: [(&str, &str); 8] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|channel|>analysis", "<|channel|>final"),
];

/// Some engines leave the thinking in the text. A text that is half of such a mark may be one.
fn thinks_aloud(text: &str) -> bool {
    let beginning = text.trim();
    THOUGHTS.iter().any(|(begins, ends)| match (text.rfind(begins), text.rfind(ends)) {
        (Some(begun), Some(ended)) => begun > ended,
        (Some(_), None) => true,
        (None, _) => !beginning.is_empty() && begins.starts_with(beginning),
    })
}

impl fmt::Debug for Transcript {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Transcript")
            .field("produced", &self.produced())
            .finish_non_exhaustive()
    }
}
