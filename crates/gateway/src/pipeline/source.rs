//! A stream as it comes in: whole events, watched, and how it ended.
//!
//! Bytes are watched, not parsed and written again. An event is held back until it is complete, so that one that
//! turns out to be an error can be kept from the client. Only a stream that continues another is changed on its way.

use super::call::Call;
use super::itinerary::Link;
use super::watch::{Break, Sight, StreamWatch};
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use ripcord_client::transport::{Body, TransportError};
use ripcord_rules::continuation::Way;
use ripcord_rules::route::Continuation;
use ripcord_wire::continuation::{Begins, Splicer, Transcript};
use ripcord_wire::sse::{Event, EventReader};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The longest line or event of a stream. One event of a model is a few kilobytes; an image in base64 is a few
/// megabytes.
const MAX_EVENT_BYTES: usize = 16 << 20;
/// What may come before the first useful event: a role, comments, running totals.
const MAX_PREAMBLE_BYTES: usize = 256 << 10;

/// A stream from upstream.
pub(super) struct Source {
    upstream: Body,
    reader: EventReader,
    watch: StreamWatch,
    call: Arc<Call>,
    /// Makes it the rest of an answer.
    splicing: Option<Splicing>,
    /// The beginning of an event that is not complete yet.
    held: BytesMut,
    /// How many bytes of the stream came before `held`.
    released: u64,
    ready: VecDeque<Bytes>,
    /// It broke, with or after the first part of the answer.
    broke: Option<Break>,
    /// The answer is whole, and what came behind it was wrong: nothing more is read.
    is_over: bool,
}

/// A stream that is made the rest of an answer.
struct Splicing {
    splicer: Splicer,
    part: Part,
}

/// Which part of an answer a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The first.
    Beginning,
    /// The server has begun again by itself.
    ToldAgain,
    /// It was asked for the rest.
    Rest(Way),
}

/// What changes in the middle of what came.
enum Turn {
    /// The answer is told again after this much of it was sent.
    ToldAgain(Option<Box<Transcript>>),
    /// An event that ends there is not for the client.
    Hidden(u64),
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

/// What came next.
pub(super) enum Arrival {
    /// Something, whole events of which are ready.
    Some,
    /// The end of a whole answer.
    End,
    /// The end of a broken one.
    Broken(Break),
}

impl Source {
    pub(super) fn new(upstream: Body, call: &Arc<Call>, link: &Link) -> Self {
        let mut watch = StreamWatch::new(call.choices);
        if link.service.include_usage && !call.request.wants_usage() {
            watch.hide_figures();
        }
        if call.continuation == Continuation::Off {
            watch.take_transcript();
        }
        Self {
            upstream,
            reader: EventReader::new(MAX_EVENT_BYTES),
            watch,
            call: Arc::clone(call),
            splicing: None,
            held: BytesMut::new(),
            released: 0,
            ready: VecDeque::new(),
            broke: None,
            is_over: false,
        }
    }

    /// Reads until part of an answer is in hand. Nothing has gone to the client yet, so whatever goes wrong can
    /// still be tried elsewhere.
    pub(super) fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Opening> {
        loop {
            let frame = ready!(Pin::new(&mut self.upstream).poll_frame(cx));
            let broken = match frame {
                Some(Ok(frame)) => frame.into_data().ok().and_then(|data| self.take_in(data)),
                Some(Err(error)) => return Poll::Ready(Opening::Failed(error)),
                None => self.last_words().or_else(|| self.watch.ended().err()),
            };
            let preamble = || self.ready.iter().map(Bytes::len).sum::<usize>();
            match broken {
                // The answer has begun; that it broke is for whoever reads on.
                broken if self.watch.is_useful() => {
                    self.broke = broken;
                    return Poll::Ready(Opening::Useful);
                }
                Some(broken) => return Poll::Ready(Opening::Broken(broken)),
                // Whatever it is that comes before the answer, it is not kept without end.
                None if preamble() > MAX_PREAMBLE_BYTES => {
                    return Poll::Ready(Opening::Broken(Break::Malformed));
                }
                None => {}
            }
        }
    }

    /// Reads on.
    pub(super) fn poll_arrival(&mut self, cx: &mut Context<'_>) -> Poll<Arrival> {
        if let Some(broken) = self.broke.take() {
            return Poll::Ready(Arrival::Broken(broken));
        }
        if self.is_over {
            return Poll::Ready(Arrival::End);
        }
        Poll::Ready(match ready!(Pin::new(&mut self.upstream).poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_data().ok().and_then(|data| self.take_in(data)) {
                Some(broken) => Arrival::Broken(broken),
                None => Arrival::Some,
            },
            // What is whole is not less so because the connection fails afterwards.
            Some(Err(_)) if self.watch.is_finished() => self.conclude(),
            Some(Err(error)) => {
                tracing::debug!(%error, "a stream broke");
                Arrival::Broken(Break::EndedEarly)
            }
            None => self.conclude(),
        })
    }

    /// The next bytes for the client: whole events.
    pub(super) fn next_ready(&mut self) -> Option<Bytes> {
        self.ready.pop_front()
    }

    /// Everything that may still go to the client.
    pub(super) fn take_ready(&mut self) -> VecDeque<Bytes> {
        std::mem::take(&mut self.ready)
    }

    pub(super) const fn watch(&self) -> &StreamWatch {
        &self.watch
    }

    /// Whether the client has all of it, once what is ready is sent.
    pub(super) fn is_whole(&self) -> bool {
        self.watch.ended().is_ok() && self.ready.is_empty() && is_blank(&self.held)
    }

    /// Which part of the answer it is.
    pub(super) fn part(&self) -> Part {
        self.splicing.as_ref().map_or(Part::Beginning, |splicing| splicing.part)
    }

    /// What of the answer was or will be sent, whichever streams it came from.
    pub(super) fn take_transcript(&mut self) -> Option<Transcript> {
        match self.splicing.take() {
            Some(splicing) => Some(splicing.splicer.into_transcript()),
            None => self.watch.take_transcript(),
        }
    }

    /// Makes it the rest of an answer of which this was sent.
    pub(super) fn goes_on(&mut self, sent: Transcript, way: Way) {
        // It was begun again before it was known of what it is the rest. What is ready was said once; how much of what
        // follows was said before, only the splicer knew that goes now.
        if self.splicing.is_some() {
            self.broke.get_or_insert(Break::BeganAgain);
        }
        let begins = match way {
            Way::Prefill => Begins::Onward,
            Way::Restart => Begins::Again,
        };
        let splicer = Splicer::new(sent, begins, MAX_EVENT_BYTES);
        self.splicing = Some(Splicing { splicer, part: Part::Rest(way) });
        // It is written down by the splicer from here on.
        self.watch.take_transcript();
        for bytes in self.take_ready() {
            if let Some(broken) = self.hand_on(bytes) {
                self.broke = Some(broken);
                return;
            }
        }
    }

    /// The stream has ended, or will say nothing more.
    pub(super) fn conclude(&mut self) -> Arrival {
        let was_finished = self.watch.is_finished();
        match self.last_words().or_else(|| self.watch.ended().err()) {
            // What is whole is not less so for half an event behind it.
            Some(_) if was_finished => self.held.clear(),
            Some(broken) => return Arrival::Broken(broken),
            None => {}
        }
        if !self.held.is_empty() {
            // A last event without its blank line is one that many clients would drop.
            if !is_blank(&self.held) {
                self.held.extend_from_slice(b"\n\n");
            }
            let last = self.held.split().freeze();
            if let Some(broken) = self.hand_on(last) {
                return Arrival::Broken(broken);
            }
        }
        Arrival::End
    }

    /// Shows new bytes to the watch, and releases those of complete events.
    fn take_in(&mut self, data: Bytes) -> Option<Break> {
        let mut complete = self.released;
        let mut broken = None;
        let mut turns = Vec::new();
        let mut is_told_again = false;
        let mut is_over = self.is_over;
        let watch = &mut self.watch;
        let fed = self.reader.feed_located(&data, |event, place| {
            if broken.is_some() || is_over {
                return;
            }
            let was_finished = watch.is_finished();
            let is_data = matches!(event, Event::Data(_));
            let is_comment = matches!(event, Event::Comment(_));
            let mut sight = watch.observe(event);
            // What comes before a line inside of an event is no whole event.
            let whole_before = if is_data { place.start } else { complete };
            if was_finished && matches!(sight, Sight::Broken(_)) {
                complete = complete.max(whole_before);
                is_over = true;
                return;
            }
            if sight == Sight::Broken(Break::BeganAgain) && !is_told_again {
                is_told_again = true;
                complete = complete.max(place.start);
                turns.push((complete, Turn::ToldAgain(watch.take_transcript().map(Box::new))));
                watch.begin_again();
                sight = watch.observe(event);
            }
            match sight {
                Sight::Broken(how) => {
                    complete = complete.max(whole_before);
                    broken = Some(how);
                }
                // Other lines may stand inside of an event and wait for its end. A comment does not if between it and
                // the last complete event there is at most the end of a line and a blank line.
                _ if !(is_data || is_comment && place.start.saturating_sub(complete) <= 3) => {}
                Sight::Figures => {
                    turns.push((place.start.max(complete), Turn::Hidden(place.end)));
                    complete = complete.max(place.end);
                }
                Sight::Useful | Sight::Done | Sight::Passing => complete = complete.max(place.end),
            }
        });
        if fed.is_err() {
            is_over |= broken.is_none() && watch.is_finished();
            if !is_over {
                broken.get_or_insert(Break::Malformed);
            }
        }
        self.is_over = is_over;
        let mut data = data;
        for (place, turn) in turns {
            if let Some(broken) = self.release(std::mem::take(&mut data), place) {
                return Some(broken);
            }
            match turn {
                Turn::Hidden(end) => self.drop_until(end),
                Turn::ToldAgain(sent) => {
                    if let Err(broken) = self.tell_again(sent.map(|sent| *sent)) {
                        return Some(broken);
                    }
                }
            }
        }
        if let Some(diverged) = self.release(data, complete) {
            return Some(diverged);
        }
        if self.held.len() > MAX_EVENT_BYTES {
            broken.get_or_insert(Break::Malformed);
        }
        broken
    }

    /// The server has begun the answer again: from here on only what is new goes on, if that is safe.
    fn tell_again(&mut self, sent: Option<Transcript>) -> Result<(), Break> {
        let sent = match self.splicing.take() {
            Some(splicing) => Some(splicing.splicer.into_transcript()),
            None => sent,
        };
        let sent = sent.ok_or(Break::BeganAgain)?;
        if super::splice::hindrance(&self.call, &sent).is_some() {
            self.watch.put_back(sent);
            return Err(Break::BeganAgain);
        }
        let splicer = Splicer::new(sent, Begins::Again, MAX_EVENT_BYTES);
        self.splicing = Some(Splicing { splicer, part: Part::ToldAgain });
        Ok(())
    }

    /// Hands on the bytes before `complete` (a place in the stream) and holds the rest back.
    fn release(&mut self, mut data: Bytes, complete: u64) -> Option<Break> {
        let count = usize::try_from(complete.saturating_sub(self.released)).unwrap_or(usize::MAX);
        // The usual piece is whole events and is handed on without a copy.
        if !self.held.is_empty() {
            self.held.extend_from_slice(&data);
            if count == 0 {
                return None;
            }
            data = self.held.split().freeze();
        }
        let count = count.min(data.len());
        // The second half of a line end says nothing, but some clients wait for it.
        let is_split = data[..count].ends_with(b"\r") && data[count..].starts_with(b"\n");
        let rest = data.split_off(count + usize::from(is_split));
        self.released += data.len() as u64;
        let broken = if data.is_empty() { None } else { self.hand_on(data) };
        self.held.extend_from_slice(&rest);
        broken
    }

    /// Leaves out what is held back, up to a place in the stream.
    fn drop_until(&mut self, place: u64) {
        let count = usize::try_from(place.saturating_sub(self.released)).unwrap_or(usize::MAX);
        let dropped = self.held.split_to(count.min(self.held.len()));
        self.released += dropped.len() as u64;
    }

    /// Whole events go to the client, as they are or as the rest of an answer.
    fn hand_on(&mut self, events: Bytes) -> Option<Break> {
        let Some(splicing) = &mut self.splicing else {
            self.ready.push_back(events);
            return None;
        };
        let mut out = Vec::with_capacity(events.len());
        let outcome = splicing.splicer.pass(&events, &mut out);
        if !out.is_empty() {
            self.ready.push_back(out.into());
        }
        outcome.err().map(|_| Break::Diverged)
    }

    /// The stream has ended; whether what is left of it is an error. What it says is not written down: it is sent only
    /// if it ends the answer.
    fn last_words(&mut self) -> Option<Break> {
        let mut broken = None;
        let sent = self.watch.take_transcript();
        let watch = &mut self.watch;
        let mut is_hidden = false;
        let finished = self.reader.finish(|event| match watch.observe(event) {
            Sight::Broken(how) => {
                broken.get_or_insert(how);
            }
            Sight::Figures => is_hidden = true,
            Sight::Passing | Sight::Useful | Sight::Done => {}
        });
        if is_hidden {
            self.held.clear();
        }
        if let Some(sent) = sent {
            self.watch.put_back(sent);
        }
        if finished.is_err() {
            broken.get_or_insert(Break::Malformed);
        }
        broken
    }
}

/// Whether nothing is there but ends of lines, such as the second half of the last one.
fn is_blank(held: &[u8]) -> bool {
    held.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
}
