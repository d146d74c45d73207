//! A streamed generation: chunks until the end, and never an end that is none.

use std::collections::VecDeque;
use std::fmt;

use http_body_util::BodyExt as _;
use ripcord_rules::cause::Phase;
use ripcord_wire::chat::ChatCompletionChunk;
use ripcord_wire::completions::Completion;
use ripcord_wire::error::{ErrorBody, ErrorShape};
use ripcord_wire::limits::LimitHeaders;
use ripcord_wire::sse::{DONE, Event, EventReader};
use ripcord_wire::text;
use serde::de::DeserializeOwned;

use super::answer::{EXCERPT_CHARS, beginning, refuse_page};
use super::call::Opened;
use super::secrets::Secrets;
use crate::classify;
use crate::clock;
use crate::error::{Call, Error, ErrorKind, Unreadable};
use crate::transport::Body;

/// What is read of a page that came in place of a stream.
const PAGE_LIMIT_BYTES: usize = 64 * 1024;

/// A streamed chat.
pub type ChatStream = ChunkStream<ChatCompletionChunk>;

/// A streamed text completion.
pub type CompletionStream = ChunkStream<Completion>;

/// What a streamed generation consists of: [`ChatCompletionChunk`] or [`Completion`].
pub trait Chunk: DeserializeOwned + sealed::Sealed {
    /// The id of the answer it belongs to.
    fn id(&self) -> Option<&str>;

    /// Whether it says why the text ends.
    fn is_finished(&self) -> bool;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::ChatCompletionChunk {}
    impl Sealed for super::Completion {}
}

impl Chunk for ChatCompletionChunk {
    fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    fn is_finished(&self) -> bool {
        self.choices.iter().any(|choice| choice.finish_reason.is_some())
    }
}

impl Chunk for Completion {
    fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    fn is_finished(&self) -> bool {
        self.choices.iter().any(|choice| choice.finish_reason.is_some())
    }
}

/// The chunks of a streamed generation. Dropping it closes the connection, which cancels the generation.
///
/// The end ([`ChunkStream::next`] gives `None`) comes only after `[DONE]`, or after a finish reason where the server
/// left `[DONE]` away. Everything else is an error: an error event, a bare error line, an answer that begins
/// again, a connection that closes early (api.md 4.5; recordings, D37 and D38).
pub struct ChunkStream<C> {
    body: Body,
    reader: EventReader,
    seen: VecDeque<Result<C, ErrorKind>>,
    call: Call,
    secrets: Secrets,
    limits: LimitHeaders,
    line_limit_bytes: usize,
    /// The answer's id. Another one means that the server began the answer again.
    id: Option<String>,
    useful: bool,
    finished: bool,
    ended: bool,
}

impl<C: Chunk> ChunkStream<C> {
    /// A page in place of a stream is the answer of something in between; no event will come of it.
    pub(super) async fn begin(opened: Opened, line_limit_bytes: usize) -> Result<Self, Error> {
        let headers = opened.answer.headers();
        let kind = classify::content_type(headers).unwrap_or_default().trim_start();
        if !kind.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("text/html")) {
            return Ok(Self::new(opened, line_limit_bytes));
        }
        let Opened { answer, call, secrets } = opened;
        let (head, body) = answer.into_parts();
        let bytes = beginning(body, PAGE_LIMIT_BYTES).await.unwrap_or_default();
        let shown = secrets.hide(&bytes);
        refuse_page(&shown, &call, &head.headers)?;
        let excerpt = text::clean_bytes(&shown, EXCERPT_CHARS);
        Err(Error::new(call, ErrorKind::Unreadable { fault: Unreadable::OtherShape, excerpt }))
    }

    fn new(opened: Opened, line_limit_bytes: usize) -> Self {
        let Opened { answer, call, secrets } = opened;
        let (head, body) = answer.into_parts();
        Self {
            body,
            reader: EventReader::new(line_limit_bytes),
            seen: VecDeque::new(),
            call,
            secrets,
            limits: classify::limits(&head.headers),
            line_limit_bytes,
            id: None,
            useful: false,
            finished: false,
            ended: false,
        }
    }

    /// What the headers of the answer say.
    #[must_use]
    pub fn limits(&self) -> &LimitHeaders {
        &self.limits
    }

    /// The next chunk; `None` once the answer is whole.
    ///
    /// Safe to cancel: a call that is dropped loses nothing.
    ///
    /// # Errors
    /// Whatever broke the stream. After an error comes the end.
    pub async fn next(&mut self) -> Option<Result<C, Error>> {
        loop {
            if let Some(seen) = self.seen.pop_front() {
                if seen.is_err() {
                    self.ended = true;
                    self.seen.clear();
                }
                return Some(seen.map_err(|kind| Error::new(self.call.clone(), kind)));
            }
            if self.ended {
                return None;
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.feed(&data);
                    }
                }
                // What the reader still holds is half an event, and not the server's last word.
                Some(Err(error)) => self.seen.push_back(Err(ErrorKind::Transport(error))),
                None => {
                    self.finish();
                    if !self.ended && !self.finished && !self.seen.iter().any(Result::is_err) {
                        self.seen.push_back(Err(self.cut_short()));
                    }
                    self.ended = true;
                }
            }
        }
    }

    fn feed(&mut self, data: &[u8]) {
        let mut events = Vec::new();
        let fed = self.reader.feed(data, |event| collect(&mut events, event));
        self.take(events, fed.is_err());
    }

    fn finish(&mut self) {
        let mut events = Vec::new();
        let fed = self.reader.finish(|event| collect(&mut events, event));
        self.take(events, fed.is_err());
    }

    fn take(&mut self, events: Vec<Seen>, too_long: bool) {
        for event in events {
            if self.ended {
                return;
            }
            match event {
                Seen::Done => self.ended = true,
                Seen::Data(data) => self.data(&data),
                Seen::Stray(line) => self.stray(&line),
            }
        }
        if too_long && !self.ended {
            tracing::debug!(limit_bytes = self.line_limit_bytes, "a line of a stream is too long");
            let fault = Unreadable::LineTooLong;
            self.seen.push_back(Err(ErrorKind::Unreadable { fault, excerpt: String::new() }));
        }
    }

    fn data(&mut self, data: &[u8]) {
        let Ok(value) = serde_json::from_slice::<ripcord_wire::Value>(data) else {
            self.seen.push_back(Err(self.broken(data)));
            return;
        };
        if value.get("error").is_some_and(|error| !error.is_null())
            || value.get("choices").is_none()
        {
            self.seen.push_back(Err(self.broken(data)));
            return;
        }
        match serde_json::from_value::<C>(value) {
            Ok(chunk) if self.is_begun_again(&chunk) => {
                let message = "the server began the answer again".to_owned();
                let failure = classify::stream_cut_short(self.phase());
                self.seen.push_back(Err(ErrorKind::BrokenStream { message, failure }));
            }
            Ok(chunk) => {
                self.useful = true;
                self.finished |= chunk.is_finished();
                self.seen.push_back(Ok(chunk));
            }
            Err(_) => self.seen.push_back(Err(self.broken(data))),
        }
    }

    /// After a failure behind the first chunk the server repeats the text from its start, with a new id, in the same
    /// stream (recordings, D37).
    fn is_begun_again(&mut self, chunk: &C) -> bool {
        match (&self.id, chunk.id()) {
            (Some(known), Some(id)) => known != id,
            (None, Some(id)) => {
                self.id = Some(id.to_owned());
                false
            }
            (_, None) => false,
        }
    }

    /// A line outside the format: an error if it is JSON, else nothing that matters.
    fn stray(&mut self, line: &[u8]) {
        if line.trim_ascii_start().starts_with(b"{") {
            self.seen.push_back(Err(self.broken(line)));
        }
    }

    fn phase(&self) -> Phase {
        if self.useful { Phase::Stream } else { Phase::FirstEvent }
    }

    fn broken(&self, data: &[u8]) -> ErrorKind {
        let data = self.secrets.hide(data);
        let failure =
            classify::stream_error(self.call.endpoint, &data, self.phase(), clock::wall());
        let read = ErrorBody::read(200, None, &data);
        // Not an error's words but something else, perhaps a piece of the answer: a glimpse has to do.
        let message = match read.shape {
            ErrorShape::Text | ErrorShape::OtherJson => {
                format!(
                    "an event cannot be read, it begins with `{}`",
                    text::clean(&read.message, EXCERPT_CHARS)
                )
            }
            _ => read.message,
        };
        ErrorKind::BrokenStream { message, failure }
    }

    fn cut_short(&self) -> ErrorKind {
        let message = "it ended without its end".to_owned();
        ErrorKind::BrokenStream { message, failure: classify::stream_cut_short(self.phase()) }
    }
}

/// An event that outlives the reader's buffer.
enum Seen {
    Done,
    Data(Vec<u8>),
    Stray(Vec<u8>),
}

fn collect(events: &mut Vec<Seen>, event: Event<'_>) {
    match event {
        Event::Data(data) if data == DONE => events.push(Seen::Done),
        Event::Data(data) => events.push(Seen::Data(data.to_vec())),
        Event::Stray(line) => events.push(Seen::Stray(line.to_vec())),
        Event::Comment(_) | Event::Field { .. } => {}
    }
}

impl<C> fmt::Debug for ChunkStream<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ChunkStream")
            .field("call", &self.call)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
