//! The second stream of an answer, made the end of the first.

use std::fmt;

use super::chunk::{Change, Parts};
use super::matcher::{Beginning, Diverged, Matcher};
use super::transcript::Transcript;
use crate::chat::ChunkGlance;
use crate::sse::{self, DONE, Event, EventReader};

/// How the second stream is expected to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// With everything that was sent: it is another answer to the same request.
    Again,
    /// Behind what was sent, less the white space at its end: that was given to it. One that begins again instead is
    /// recognised.
    Onward,
}

/// Changes the events of the second stream so that they continue the first. Its `Debug` tells no content.
pub struct Splicer {
    passing: Passing,
    reader: EventReader,
}

struct Passing {
    sent: Transcript,
    matcher: Matcher,
    begins: Begins,
    /// The last event whose text is held back.
    held: Option<Box<[u8]>>,
}

impl Splicer {
    /// Continues what was sent. Events of at most so many bytes are read.
    #[must_use]
    pub fn new(mut sent: Transcript, begins: Begins, max_event_bytes: usize) -> Self {
        sent.turns_over();
        let matcher = match begins {
            Begins::Again => {
                sent.is_told_anew();
                Matcher::again(sent.text())
            }
            Begins::Onward => Matcher::onward(sent.text()),
        };
        let passing = Passing { sent, matcher, begins, held: None };
        Self { passing, reader: EventReader::new(max_event_bytes) }
    }

    /// Changes the next events of the second stream and appends what the client gets of them. Whole events only.
    ///
    /// # Errors
    /// When the stream turns out not to continue what was sent. What `out` holds may still be sent.
    pub fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Diverged> {
        let passing = &mut self.passing;
        let mut outcome = Ok(());
        let fed = self.reader.feed(bytes, |event| {
            if outcome.is_err() {
                return;
            }
            match event {
                Event::Data(data) if data.trim_ascii() == DONE => sse::write_data(out, data),
                Event::Data(data) => outcome = passing.chunk(data, out),
                Event::Comment(text) => {
                    sse::write_comment(out, &String::from_utf8_lossy(text));
                }
                Event::Stray(_) | Event::Field { .. } => {}
            }
        });
        outcome.and(fed.map_err(|_| Diverged))
    }

    /// What has been sent of the answer by both streams.
    #[must_use]
    pub fn into_transcript(self) -> Transcript {
        self.passing.sent
    }
}

impl Passing {
    fn chunk(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Diverged> {
        let chunk = ChunkGlance::read(data).ok_or(Diverged)?;
        if chunk.choices().count() > 1 {
            return Err(Diverged);
        }
        let was_decided = self.matcher.beginning().is_some();
        let mut content = None;
        let mut says_more = was_decided && chunk.choices().any(|choice| choice.has_reasoning);
        for choice in chunk.choices() {
            if choice.index != 0 {
                return Err(Diverged);
            }
            if choice.has_reasoning {
                self.matcher.thinks()?;
            }
            if choice.has_content {
                let text = choice.content_text().ok_or(Diverged)?;
                let new = self.matcher.take(&text)?.unwrap_or_default().to_owned();
                says_more |= !new.is_empty();
                // What is all new goes on as it is.
                content = (new != *text).then_some(new);
            }
            let finishes = choice.finish_reason.as_deref().is_some_and(|reason| !reason.is_empty());
            if choice.has_other && !finishes && self.matcher.beginning().is_none() {
                // Whatever it is, it says nothing about where the text goes on.
                return Err(Diverged);
            }
            if finishes || choice.has_tool_call || choice.has_other {
                // Nothing of that kind was sent, so it stands behind what was.
                let left = self.matcher.finish(finishes && !choice.has_tool_call)?.to_owned();
                says_more = true;
                match self.held.take() {
                    _ if left.is_empty() => {}
                    _ if choice.has_content => content = Some(left),
                    Some(held) => self.write(&held, Some(&left), false, out)?,
                    None => return Err(Diverged),
                }
            }
        }
        let beginning = self.matcher.beginning();
        if beginning == Some(Beginning::Again) && !was_decided {
            self.sent.is_told_anew();
        }
        if says_more || chunk.is_only_usage() && beginning.is_some() {
            self.held = None;
            return self.write(data, content.as_deref(), was_decided, out);
        }
        if content.is_some() {
            self.held = Some(data.into());
        }
        self.sent.count(&chunk);
        Ok(())
    }

    /// Writes an event for the client, with this to say in place of what it says.
    fn write(
        &mut self,
        data: &[u8],
        content: Option<&str>,
        with_reasoning: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Diverged> {
        let parts = Parts::find(data).ok_or(Diverged)?;
        let change = Change {
            id: self.sent.id.as_deref(),
            model: self.sent.model.as_deref(),
            created: self.sent.created,
            content,
            // What is thought before the answer goes on was thought before.
            without_reasoning: !with_reasoning,
            // Another answer to the same request counts itself as a whole.
            usage: (self.begins == Begins::Onward).then(|| self.sent.whole_usage()),
        };
        let changed = parts.changed(data, &change);
        sse::write_data(out, &changed);
        // What is written down is what the client gets, and the figures of this stream.
        if let (Some(mut passed), Some(told)) =
            (ChunkGlance::read(&changed), ChunkGlance::read(data))
        {
            passed.usage = told.usage;
            self.sent.observe(&passed);
        }
        Ok(())
    }
}

impl fmt::Debug for Splicer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Splicer")
            .field("sent", &self.passing.sent)
            .field("begins", &self.passing.begins)
            .field("beginning", &self.passing.matcher.beginning())
            .finish_non_exhaustive()
    }
}
