//! A stream on its way through: bytes as they came, whole events only, and an honest end.
//!
//! Bytes are watched, not parsed and written again. An event is held back until it is complete, so that one that
//! turns out to be an error can be kept from the client: it gets an error event instead, and never the `[DONE]`
//! or finish reason of an answer that broke.

use super::watch::{Break, Sight, StreamWatch};
use crate::driver::gate::Permit;
use crate::refusal::Refusal;
use crate::shared::Shared;
use crate::story::Story;
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use ripcord_client::transport::{Body, TransportError};
use ripcord_rules::time::Mono;
use ripcord_store::Outcome;
use ripcord_wire::error::ErrorBody;
use ripcord_wire::sse::{Event, EventReader};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;
use tokio_util::sync::WaitForCancellationFutureOwned;

/// A comment that clients skip.
pub(crate) const HEARTBEAT: &[u8] = b": ripcord is waiting for the model\n\n";

/// The longest line or event of a stream. One event of a model is a few kilobytes; an image in base64 is a few
/// megabytes.
const MAX_EVENT_BYTES: usize = 16 << 20;
/// What may come before the first useful event: a role, comments, running totals.
const MAX_PREAMBLE_BYTES: usize = 256 << 10;

/// A stream from upstream to a client.
pub(crate) struct Relay {
    shared: Arc<Shared>,
    upstream: Body,
    reader: EventReader,
    watch: StreamWatch,
    /// The beginning of an event that is not complete yet.
    held: BytesMut,
    /// How many bytes of the stream came before `held`.
    released: u64,
    ready: VecDeque<Bytes>,
    /// Since when the next part is awaited; not while the client takes its time with the last one.
    waiting_since: Option<Mono>,
    last_sent: Mono,
    timer: Pin<Box<Sleep>>,
    heartbeat: Duration,
    stall: Duration,
    ended: bool,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    model: Arc<str>,
    // Dropped in this order: the connection above, then the slot, then the record.
    permit: Option<Permit>,
    story: Option<Story>,
}

/// What the beginning of a stream showed.
pub(crate) enum Opening {
    /// Part of an answer came.
    Useful,
    /// It broke before anything useful came.
    Broken(Break),
    /// The connection failed before anything useful came.
    Failed(TransportError),
}

impl Relay {
    pub(crate) fn new(shared: &Arc<Shared>, upstream: Body, model: Arc<str>, choices: u64) -> Self {
        let now = shared.clock.mono();
        Self {
            shared: Arc::clone(shared),
            upstream,
            reader: EventReader::new(MAX_EVENT_BYTES),
            watch: StreamWatch::new(choices),
            held: BytesMut::new(),
            released: 0,
            ready: VecDeque::new(),
            waiting_since: None,
            last_sent: now,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            heartbeat: shared.limits.heartbeat,
            stall: shared.limits.stall,
            ended: false,
            closing: Box::pin(shared.closing.clone().cancelled_owned()),
            model,
            permit: None,
            story: None,
        }
    }

    /// Reads until part of an answer is in hand. Nothing has gone to the client yet, so whatever goes wrong can
    /// still be tried elsewhere.
    pub(crate) async fn open(&mut self) -> Opening {
        std::future::poll_fn(|cx| {
            loop {
                let frame = match Pin::new(&mut self.upstream).poll_frame(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(frame) => frame,
                };
                let broken = match frame {
                    Some(Ok(frame)) => frame.into_data().ok().and_then(|data| self.take_in(data)),
                    Some(Err(error)) => return Poll::Ready(Opening::Failed(error)),
                    None => self.last_words().or_else(|| self.watch.ended().err()),
                };
                match broken {
                    _ if self.watch.is_useful() => {
                        if let Some(broken) = broken {
                            self.break_off(&broken);
                        }
                        return Poll::Ready(Opening::Useful);
                    }
                    Some(broken) => return Poll::Ready(Opening::Broken(broken)),
                    // Whatever it is that comes before the answer, it is not kept without end.
                    None if self.ready.iter().map(Bytes::len).sum::<usize>()
                        > MAX_PREAMBLE_BYTES =>
                    {
                        return Poll::Ready(Opening::Broken(Break::Malformed));
                    }
                    None => {}
                }
            }
        })
        .await
    }

    /// Takes over the slot and the record: from here on the stream answers for them.
    pub(crate) fn carry(&mut self, permit: Permit, story: Story) {
        self.last_sent = self.shared.clock.mono();
        self.permit = Some(permit);
        self.story = Some(story);
        if self.ended {
            self.settle_broken("broken_stream");
        }
    }

    pub(crate) fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                self.last_sent = self.shared.clock.mono();
                self.waiting_since = None;
                return Poll::Ready(Some(bytes));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            if self.closing.as_mut().poll(cx).is_ready() {
                self.end_with(&Refusal::shutting_down());
                self.settle_broken("shutting_down");
                continue;
            }
            match Pin::new(&mut self.upstream).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.waiting_since = None;
                    let Ok(data) = frame.into_data() else { continue };
                    if let Some(broken) = self.take_in(data) {
                        self.break_off(&broken);
                        self.settle_broken("broken_stream");
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(%error, model = %self.model, "stream broke");
                    self.break_off(&Break::EndedEarly);
                    self.settle_broken("broken_stream");
                }
                Poll::Ready(None) => self.conclude(),
                Poll::Pending => match self.poll_silence(cx) {
                    Poll::Ready(Some(comment)) => {
                        self.last_sent = self.shared.clock.mono();
                        return Poll::Ready(Some(comment));
                    }
                    Poll::Ready(None) => {}
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    }

    /// Shows new bytes to the watch, and releases those of complete events.
    fn take_in(&mut self, data: Bytes) -> Option<Break> {
        let mut complete = self.released;
        let mut broken = None;
        let watch = &mut self.watch;
        let fed = self.reader.feed_located(&data, |event, place| {
            if broken.is_some() {
                return;
            }
            let is_data = matches!(event, Event::Data(_));
            let is_comment = matches!(event, Event::Comment(_));
            match watch.observe(event) {
                Sight::Broken(how) => {
                    complete = complete.max(place.start);
                    broken = Some(how);
                }
                // Other lines may stand inside of an event and wait for its end. A comment does not if between it and
                // the last complete event there is at most a blank line.
                _ if !(is_data || is_comment && place.start.saturating_sub(complete) <= 2) => {}
                Sight::Useful | Sight::Done | Sight::Passing => complete = complete.max(place.end),
            }
        });
        if fed.is_err() {
            broken.get_or_insert(Break::Malformed);
        }
        self.release(data, complete);
        if self.held.len() > MAX_EVENT_BYTES {
            broken.get_or_insert(Break::Malformed);
        }
        broken
    }

    /// Hands on the bytes before `complete` (a place in the stream) and holds the rest back.
    fn release(&mut self, mut data: Bytes, complete: u64) {
        let count = usize::try_from(complete.saturating_sub(self.released)).unwrap_or(usize::MAX);
        // The usual piece is whole events and is handed on without a copy.
        if !self.held.is_empty() {
            self.held.extend_from_slice(&data);
            if count == 0 {
                return;
            }
            data = self.held.split().freeze();
        }
        let rest = data.split_off(count.min(data.len()));
        self.released += data.len() as u64;
        if !data.is_empty() {
            self.ready.push_back(data);
        }
        self.held.extend_from_slice(&rest);
    }

    /// The stream has ended; whether what is left of it is an error.
    fn last_words(&mut self) -> Option<Break> {
        let mut broken = None;
        let watch = &mut self.watch;
        let finished = self.reader.finish(|event| {
            if let Sight::Broken(how) = watch.observe(event) {
                broken.get_or_insert(how);
            }
        });
        if finished.is_err() {
            broken.get_or_insert(Break::Malformed);
        }
        broken
    }

    fn conclude(&mut self) {
        match self.last_words().or_else(|| self.watch.ended().err()) {
            Some(broken) => {
                self.break_off(&broken);
                self.settle_broken("broken_stream");
            }
            None => {
                if !self.held.is_empty() {
                    // A last event without its blank line is one that many clients would drop.
                    self.held.extend_from_slice(b"\n\n");
                    self.ready.push_back(self.held.split().freeze());
                }
                self.ended = true;
                self.settle(Outcome::Completed, None);
            }
        }
    }

    /// Replaces the rest of the stream by an error event. What was held back never reaches the client.
    fn break_off(&mut self, broken: &Break) {
        let message = match broken {
            Break::Error(data) => {
                format!("the answer broke off: {}", ErrorBody::read(200, None, data).message)
            }
            Break::BeganAgain => {
                "the answer broke off: Chutes began it again from the start on another instance"
                    .to_owned()
            }
            Break::Malformed => {
                "the answer broke off: Chutes sent an event that cannot be read".to_owned()
            }
            Break::EndedEarly => "the answer broke off before its end".to_owned(),
        };
        let refusal = Refusal::upstream_failed(&message)
            .with_reply(|reply| reply.with_code(Some("stream_broken".to_owned())));
        self.end_with(&refusal);
    }

    fn end_with(&mut self, refusal: &Refusal) {
        self.held.clear();
        self.ended = true;
        self.ready.push_back(refusal.event().into());
    }

    fn settle_broken(&mut self, cause: &'static str) {
        self.settle(Outcome::Broken, Some(cause));
    }

    fn settle(&mut self, outcome: Outcome, cause: Option<&'static str>) {
        self.permit = None;
        if let Some(mut story) = self.story.take() {
            tell(&self.watch, &mut story);
            story.end(outcome, cause);
        }
    }

    /// Nothing came: a comment when it is time for one, the end when it is too long. `None` when there is something
    /// else to hand on.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let now = self.shared.clock.mono();
        let stalls_at = self.waiting_since.get_or_insert(now).after(self.stall);
        let comment_at = self.last_sent.after(self.heartbeat);
        if now >= stalls_at {
            self.break_off(&Break::EndedEarly);
            self.settle_broken("silent");
            return Poll::Ready(None);
        }
        if now >= comment_at {
            // Whatever was sent ends with a whole event, so a comment may follow.
            return Poll::Ready(Some(Bytes::from_static(HEARTBEAT)));
        }
        // The timer is moved when it rings, not with every event.
        let due = self.shared.clock.instant(stalls_at.min(comment_at));
        if self.timer.is_elapsed() || self.timer.deadline() > due {
            self.timer.as_mut().reset(due);
        }
        self.timer.as_mut().poll(cx).map(|()| None)
    }
}

/// What the stream said of itself goes into the record.
fn tell(watch: &StreamWatch, story: &mut Story) {
    if let Some(model) = watch.model() {
        story.answered_by(model);
    }
    if let Some(usage) = watch.usage() {
        story.used(usage);
    }
}

impl Drop for Relay {
    /// The client has left, or has what it wanted: some hang up at the last event instead of at the end of the body.
    fn drop(&mut self) {
        let Some(story) = &mut self.story else { return };
        tell(&self.watch, story);
        let has_all = self.watch.ended().is_ok() && self.ready.is_empty() && self.held.is_empty();
        story.end(if has_all { Outcome::Completed } else { Outcome::Cancelled }, None);
    }
}
