//! What a stream has said so far: whether it has begun, whether it has ended well, or how it broke.
//!
//! Pure. The relay shows it every event before the event goes on to the client.

use crate::catalogue::LONGEST_MODEL_NAME;
use ripcord_wire::chat::{ChunkGlance, UsageGlance};
use ripcord_wire::continuation::Transcript;
use ripcord_wire::sse::{DONE, Event};

/// What one event means for the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Goes on to the client; says nothing yet (a role, a comment, running totals).
    Passing,
    /// The figures that were asked for here and not by the client. They do not go on.
    Figures,
    /// Goes on to the client; part of the answer.
    Useful,
    /// The `[DONE]` of a whole answer.
    Done,
    /// Must not reach the client: the answer is broken from here on.
    Broken(Break),
}

/// How a stream broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// An error as an event, or as a bare line: its JSON as it came.
    Error(Box<[u8]>),
    /// The server began again, on another instance: a new id in the same stream (recordings, D37).
    BeganAgain,
    /// It was to continue an answer, and says something else.
    Diverged,
    /// An event that is no JSON.
    Malformed,
    /// The stream ended before the answer did.
    EndedEarly,
}

/// What is known of a stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamWatch {
    id: Option<Box<str>>,
    model: Option<Box<str>>,
    usage: Option<UsageGlance>,
    is_useful: bool,
    /// How many answers were asked for. All of them have to end.
    choices: u64,
    /// Choices seen, and choices with a finish reason, as bits. Choices past the 64th share the last bit.
    seen: u64,
    finished: u64,
    /// The event under way is named an error, whatever its data look like.
    is_named_error: bool,
    /// Whether an event that tells nothing but what was used is kept from the client.
    hides_figures: bool,
    /// What went on to the client. An answer of several choices is not continued.
    transcript: Option<Transcript>,
}

impl StreamWatch {
    /// Watches a stream of so many answers.
    pub(crate) fn new(choices: u64) -> Self {
        let transcript = (choices == 1).then(Transcript::default);
        Self { choices: choices.clamp(1, 64), transcript, ..Self::default() }
    }

    /// Keeps to itself what the client did not ask for.
    pub(crate) const fn hide_figures(&mut self) {
        self.hides_figures = true;
    }

    /// From here on what goes to the client is written down elsewhere, or not at all. What it was so far.
    pub(crate) fn take_transcript(&mut self) -> Option<Transcript> {
        self.transcript.take()
    }

    /// It is written down here after all.
    pub(crate) fn put_back(&mut self, transcript: Transcript) {
        self.transcript = Some(transcript);
    }

    /// The server tells the answer from its start.
    pub(crate) fn begin_again(&mut self) {
        self.id = None;
        self.seen = 0;
        self.finished = 0;
    }

    pub(crate) fn observe(&mut self, event: Event<'_>) -> Sight {
        match event {
            Event::Field { name: "event", value } => {
                self.is_named_error = value == b"error";
                Sight::Passing
            }
            Event::Comment(_) | Event::Field { .. } => Sight::Passing,
            Event::Data(data) if std::mem::take(&mut self.is_named_error) => {
                Sight::Broken(Break::Error(data.into()))
            }
            // Chutes sends it after an engine error, too. An answer without a finish reason is not finished.
            Event::Data(data) if data.trim_ascii() == DONE => {
                if self.is_finished() {
                    Sight::Done
                } else {
                    Sight::Broken(Break::EndedEarly)
                }
            }
            Event::Data(b"") => Sight::Passing,
            Event::Data(data) => self.chunk(data),
            // A blank or unknown field is no harm; a bare JSON line is how Chutes ends a broken stream.
            Event::Stray(line) if line.first() == Some(&b'{') => {
                Sight::Broken(Break::Error(line.into()))
            }
            Event::Stray(_) => Sight::Passing,
        }
    }

    /// The stream has ended by itself.
    pub(crate) const fn ended(&self) -> Result<(), Break> {
        if self.is_finished() { Ok(()) } else { Err(Break::EndedEarly) }
    }

    /// Whether part of the answer has come.
    pub(crate) const fn is_useful(&self) -> bool {
        self.is_useful
    }

    /// The model that the first chunk with a name names.
    pub(crate) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// The last running totals.
    pub(crate) const fn usage(&self) -> Option<UsageGlance> {
        self.usage
    }

    /// Whether every answer has its end.
    pub(crate) const fn is_finished(&self) -> bool {
        self.finished == self.seen && self.finished.count_ones() as u64 >= self.choices
    }

    fn chunk(&mut self, data: &[u8]) -> Sight {
        let Some(chunk) = ChunkGlance::read(data) else { return Sight::Broken(Break::Malformed) };
        if chunk.error.is_some() {
            return Sight::Broken(Break::Error(data.into()));
        }
        match (&self.id, chunk.id.as_deref().filter(|id| !id.is_empty())) {
            (Some(known), Some(id)) if **known != *id && self.is_useful => {
                return Sight::Broken(Break::BeganAgain);
            }
            (Some(known), Some(id)) if **known == *id => {}
            (_, Some(id)) => self.id = Some(id.into()),
            (_, None) => {}
        }
        if self.model.is_none() {
            let named = chunk.model.as_deref().filter(|name| name.len() <= LONGEST_MODEL_NAME);
            self.model = named.map(Box::from);
        }
        // Running totals: the last ones count, they are never added (chutes/api.md 4.5).
        // Some engines end with a usage that says nothing.
        let counts = |tokens: Option<u64>| tokens.is_some_and(|tokens| tokens > 0);
        let told = chunk
            .usage
            .filter(|usage| counts(usage.prompt_tokens) || counts(usage.completion_tokens));
        self.usage = told.or(self.usage);
        let mut says_something = false;
        for choice in chunk.choices() {
            let bit = 1 << choice.index.min(63);
            self.seen |= bit;
            if choice.finish_reason.as_deref().is_some_and(|reason| !reason.is_empty()) {
                self.finished |= bit;
                says_something = true;
            }
            says_something |= choice.is_useful();
        }
        self.is_useful |= says_something;
        if let Some(transcript) = &mut self.transcript {
            transcript.observe(&chunk);
        }
        if self.hides_figures && chunk.is_only_usage() {
            return Sight::Figures;
        }
        if says_something { Sight::Useful } else { Sight::Passing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str =
        r#"{"id":"a","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#;
    const TEXT: &str = r#"{"id":"a","choices":[{"index":0,"delta":{"content":"hi"}}],"usage":{"completion_tokens":1}}"#;
    const STOP: &str = r#"{"id":"a","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"completion_tokens":2}}"#;

    fn watch(events: &[&str]) -> (StreamWatch, Vec<Sight>) {
        let mut watch = StreamWatch::new(1);
        let sights =
            events.iter().map(|data| watch.observe(Event::Data(data.as_bytes()))).collect();
        (watch, sights)
    }

    #[test]
    fn a_whole_answer() {
        let (watch, sights) = watch(&[ROLE, TEXT, STOP, "[DONE]"]);
        assert_eq!(sights, [Sight::Passing, Sight::Useful, Sight::Useful, Sight::Done]);
        assert_eq!(watch.ended(), Ok(()));
        assert_eq!(watch.usage().unwrap().completion_tokens, Some(2));
    }

    #[test]
    fn a_finish_reason_without_done_is_an_end_and_nothing_else_is() {
        assert_eq!(watch(&[ROLE, TEXT, STOP]).0.ended(), Ok(()));
        assert_eq!(watch(&[ROLE, TEXT]).0.ended(), Err(Break::EndedEarly));
        assert_eq!(watch(&[]).0.ended(), Err(Break::EndedEarly));
        assert_eq!(watch(&[ROLE, TEXT, "[DONE]"]).1[2], Sight::Broken(Break::EndedEarly));
        assert_eq!(watch(&["[DONE]"]).1[0], Sight::Broken(Break::EndedEarly));
    }

    #[test]
    fn every_choice_has_to_finish() {
        let second = r#"{"id":"a","choices":[{"index":1,"delta":{"content":"x"}}]}"#;
        assert_eq!(watch(&[TEXT, second, STOP]).0.ended(), Err(Break::EndedEarly));
        // Also one that never begins.
        let mut two = StreamWatch::new(2);
        two.observe(Event::Data(STOP.as_bytes()));
        assert_eq!(two.observe(Event::Data(b"[DONE]")), Sight::Broken(Break::EndedEarly));
        // An empty reason is none.
        let empty = STOP.replace("stop", "");
        assert_eq!(watch(&[TEXT, &empty]).0.ended(), Err(Break::EndedEarly));
        assert_eq!(watch(&[TEXT, STOP, "[DONE] "]).1[2], Sight::Done);
    }

    #[test]
    fn errors_inside_a_200_are_seen() {
        let error = r#"{"error":{"message":"boom","code":500}}"#;
        assert!(matches!(&watch(&[error]).1[0], Sight::Broken(Break::Error(_))));
        let mut bare = StreamWatch::new(1);
        let line = br#"{"error":"Unhandled exception during response stream: infra_overload"}"#;
        assert!(matches!(bare.observe(Event::Stray(line)), Sight::Broken(Break::Error(_))));
        assert_eq!(watch(&[TEXT, "{oops"]).1[1], Sight::Broken(Break::Malformed));
    }

    #[test]
    fn an_event_that_is_named_an_error_is_one() {
        let mut watch = StreamWatch::new(1);
        let named = |value| Event::Field { name: "event", value };
        assert_eq!(watch.observe(named(b"message")), Sight::Passing);
        assert_eq!(watch.observe(Event::Data(TEXT.as_bytes())), Sight::Useful);
        assert_eq!(watch.observe(named(b"error")), Sight::Passing);
        let overloaded = watch.observe(Event::Data(br#"{"message":"overloaded"}"#));
        assert!(matches!(overloaded, Sight::Broken(Break::Error(_))));
        assert_eq!(watch.observe(Event::Data(STOP.as_bytes())), Sight::Useful);
    }

    #[test]
    fn a_new_id_after_text_is_a_second_beginning() {
        let again = ROLE.replace("\"a\"", "\"b\"");
        assert_eq!(watch(&[ROLE, TEXT, &again]).1[2], Sight::Broken(Break::BeganAgain));
        // Before any text nothing has been said twice.
        assert_eq!(watch(&[ROLE, &again]).1[1], Sight::Passing);
        // Some engines name the role in every chunk.
        assert_eq!(watch(&[ROLE, TEXT, ROLE]).1[2], Sight::Passing);
    }
}
