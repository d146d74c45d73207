//! Server-sent events: an incremental reader that watches a stream go by, and small writers.
//!
//! The reader is a *tee*. The relay passes the bytes on unchanged and shows them to the reader,
//! which reports what they mean; a problem in the reader never has to stop the relay.
//!
//! It keeps to the WHATWG format (BOM, CR, LF and CRLF, several `data:` lines joined by a line
//! feed) with two differences, both because a lost event would be a lost error or a lost usage:
//!
//! * an event without its closing blank line is reported at [`EventReader::finish`];
//! * a line that is no field of the format is reported as [`Event::Stray`]. Chutes ends a stream
//!   that broke with a bare `{"error":"…"}`, without `data:` and without a newline.

use std::fmt;
use std::ops::Range;

use crate::find;

/// The data of the event that ends an OpenAI stream.
pub const DONE: &[u8] = b"[DONE]";

/// How much room a buffer keeps between events.
const KEPT_BYTES: usize = 64 * 1024;

/// What the reader saw. Its `Debug` tells sizes, never what was said.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// The data of one event, its lines joined by `\n`.
    Data(&'a [u8]),
    /// A comment, without the colon and one space after it.
    Comment(&'a [u8]),
    /// A line that is neither a comment nor a known field, whole. Reported when its line ends,
    /// so before the data of an event that it stands inside of.
    Stray(&'a [u8]),
    /// An `event`, `id` or `retry` line, reported when its line ends, so before its event's data.
    Field {
        /// `event`, `id` or `retry`.
        name: &'a str,
        /// The value, without one leading space.
        value: &'a [u8],
    },
}

impl fmt::Debug for Event<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, size_bytes) = match self {
            Self::Data(data) => ("Data", data.len()),
            Self::Comment(text) => ("Comment", text.len()),
            Self::Stray(line) => ("Stray", line.len()),
            Self::Field { name, value } => (*name, value.len()),
        };
        write!(formatter, "{kind}({size_bytes} bytes)")
    }
}

/// Why a stream can no longer be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamProblem {
    /// A line exceeds the limit.
    #[error("a line of the event stream is longer than {limit_bytes} bytes")]
    LineTooLong {
        /// The limit.
        limit_bytes: usize,
    },
    /// The data lines of one event exceed the limit together.
    #[error("an event of the stream is larger than {limit_bytes} bytes")]
    EventTooLarge {
        /// The limit.
        limit_bytes: usize,
    },
}

/// Reads events from bytes that arrive in pieces of any size.
///
/// Its two buffers keep their capacity (up to a bound), so that in the long run no event
/// allocates. A problem is final: from then on every call answers with it.
pub struct EventReader {
    max_line_bytes: usize,
    max_event_bytes: usize,
    /// The beginning of a line that is still incomplete.
    line: Vec<u8>,
    /// The data lines of the event under way.
    data: Vec<u8>,
    has_data: bool,
    /// The last byte was a CR: a LF right after it belongs to it.
    after_carriage_return: bool,
    first_line: bool,
    /// Bytes of the stream seen up to the line being read.
    offset: u64,
    /// Where the block of lines under way began.
    block_start: u64,
    problem: Option<StreamProblem>,
}

impl fmt::Debug for EventReader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EventReader")
            .field("offset", &self.offset)
            .field("line_bytes", &self.line.len())
            .field("data_bytes", &self.data.len())
            .field("problem", &self.problem)
            .finish_non_exhaustive()
    }
}

impl EventReader {
    /// A reader that accepts lines, and data of one event, of at most so many bytes.
    #[must_use]
    pub fn new(max_line_bytes: usize) -> Self {
        Self {
            max_line_bytes,
            max_event_bytes: max_line_bytes,
            line: Vec::new(),
            data: Vec::new(),
            has_data: false,
            after_carriage_return: false,
            first_line: true,
            offset: 0,
            block_start: 0,
            problem: None,
        }
    }

    /// Sets another limit for the joined data of one event.
    #[must_use]
    pub fn with_max_event_bytes(mut self, max_event_bytes: usize) -> Self {
        self.max_event_bytes = max_event_bytes;
        self
    }

    /// Whether something was seen since the last complete event that [`Self::finish`] would
    /// still have to report, or an incomplete line.
    #[must_use]
    pub fn is_inside_event(&self) -> bool {
        self.has_data || !self.line.is_empty()
    }

    /// Shows the reader the next bytes of the stream.
    ///
    /// # Errors
    /// When a line or an event exceeds its limit, now or before.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        mut on_event: impl FnMut(Event<'_>),
    ) -> Result<(), StreamProblem> {
        self.feed_located(bytes, |event, _| on_event(event))
    }

    /// [`Self::feed`] that also says where in the stream each event stood, counted from its first
    /// byte.
    ///
    /// The range of [`Event::Data`] reaches from the first line after the previous event to the
    /// end of its blank line; that of others is their line. With CRLF the last LF is outside: it
    /// may not have arrived yet, and alone it means nothing.
    ///
    /// # Errors
    /// When a line or an event exceeds its limit, now or before.
    pub fn feed_located(
        &mut self,
        bytes: &[u8],
        mut on_event: impl FnMut(Event<'_>, Range<u64>),
    ) -> Result<(), StreamProblem> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let outcome = self.read(bytes, &mut on_event);
        if let Err(problem) = outcome {
            self.fail(problem);
        }
        outcome
    }

    /// Says that the stream has ended: reports what was left without a line end or blank line.
    ///
    /// # Errors
    /// When a line or an event exceeds its limit, now or before.
    pub fn finish(&mut self, mut on_event: impl FnMut(Event<'_>)) -> Result<(), StreamProblem> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let mut report = |event: Event<'_>, _: Range<u64>| on_event(event);
        if !self.line.is_empty() {
            let line = std::mem::take(&mut self.line);
            let end = self.offset + line.len() as u64;
            if let Err(problem) = self.line_ended(&line, end, &mut report) {
                self.fail(problem);
                return Err(problem);
            }
            self.offset = end;
        }
        self.block_ended(self.offset, &mut report);
        Ok(())
    }

    fn fail(&mut self, problem: StreamProblem) {
        self.problem = Some(problem);
        self.line = Vec::new();
        self.data = Vec::new();
        self.has_data = false;
    }

    fn read(
        &mut self,
        bytes: &[u8],
        on_event: &mut impl FnMut(Event<'_>, Range<u64>),
    ) -> Result<(), StreamProblem> {
        let mut rest = bytes;
        if self.after_carriage_return && !rest.is_empty() {
            self.after_carriage_return = false;
            if rest[0] == b'\n' {
                rest = &rest[1..];
                self.skip_line_feed();
            }
        }
        while let Some(end) = find::position(rest, |byte| byte == b'\n' || byte == b'\r') {
            self.check_line(end)?;
            let (line, ended_by) = (&rest[..end], rest[end]);
            let end_offset = self.offset + (self.line.len() + end + 1) as u64;
            if self.line.is_empty() {
                self.line_ended(line, end_offset, on_event)?;
            } else {
                self.line.extend_from_slice(line);
                let mut whole = std::mem::take(&mut self.line);
                self.line_ended(&whole, end_offset, on_event)?;
                if whole.capacity() <= KEPT_BYTES {
                    whole.clear();
                    self.line = whole;
                }
            }
            self.offset = end_offset;
            rest = &rest[end + 1..];
            if ended_by == b'\r' {
                match rest.first() {
                    Some(b'\n') => {
                        rest = &rest[1..];
                        self.skip_line_feed();
                    }
                    Some(_) => {}
                    None => self.after_carriage_return = true,
                }
            }
        }
        self.check_line(rest.len())?;
        self.line.extend_from_slice(rest);
        Ok(())
    }

    /// Passes the LF of a CRLF.
    fn skip_line_feed(&mut self) {
        if self.block_start == self.offset {
            self.block_start += 1;
        }
        self.offset += 1;
    }

    fn check_line(&self, more: usize) -> Result<(), StreamProblem> {
        if self.line.len() + more > self.max_line_bytes {
            return Err(StreamProblem::LineTooLong { limit_bytes: self.max_line_bytes });
        }
        Ok(())
    }

    fn line_ended(
        &mut self,
        line: &[u8],
        end_offset: u64,
        on_event: &mut impl FnMut(Event<'_>, Range<u64>),
    ) -> Result<(), StreamProblem> {
        let line = if std::mem::take(&mut self.first_line) {
            line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line)
        } else {
            line
        };
        let span = self.offset..end_offset;
        if line.is_empty() {
            self.block_ended(end_offset, on_event);
            return Ok(());
        }
        let colon = line.iter().take(8).position(|&byte| byte == b':');
        let (name, value) = match colon {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            // A field name alone is a field with an empty value.
            None => (line, &line[line.len()..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => return self.data_line(value),
            b"" => on_event(Event::Comment(value), span),
            b"event" => on_event(Event::Field { name: "event", value }, span),
            b"id" => on_event(Event::Field { name: "id", value }, span),
            b"retry" => on_event(Event::Field { name: "retry", value }, span),
            _ => on_event(Event::Stray(line), span),
        }
        Ok(())
    }

    fn data_line(&mut self, value: &[u8]) -> Result<(), StreamProblem> {
        let joined = self.data.len() + usize::from(self.has_data) + value.len();
        if joined > self.max_event_bytes {
            return Err(StreamProblem::EventTooLarge { limit_bytes: self.max_event_bytes });
        }
        if self.has_data {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
        self.has_data = true;
        Ok(())
    }

    fn block_ended(&mut self, end: u64, on_event: &mut impl FnMut(Event<'_>, Range<u64>)) {
        if std::mem::take(&mut self.has_data) {
            on_event(Event::Data(&self.data), self.block_start..end);
            if self.data.capacity() <= KEPT_BYTES {
                self.data.clear();
            } else {
                self.data = Vec::new();
            }
        }
        self.block_start = end;
    }
}

/// Appends an event with this data. Line breaks in it become further `data:` lines.
pub fn write_data(out: &mut Vec<u8>, data: &[u8]) {
    for line in lines(data) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
}

/// Appends an event with a name (`event:`) and data. Line breaks in the name are left out.
pub fn write_named(out: &mut Vec<u8>, name: &str, data: &[u8]) {
    out.extend_from_slice(b"event: ");
    out.extend(name.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')));
    out.push(b'\n');
    write_data(out, data);
}

/// Appends a comment, such as a heartbeat. Line breaks in it become further comment lines.
pub fn write_comment(out: &mut Vec<u8>, text: &str) {
    for line in lines(text.as_bytes()) {
        out.extend_from_slice(b": ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
}

/// Appends the event that ends an OpenAI stream.
pub fn write_done(out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: [DONE]\n\n");
}

/// The lines of `bytes`, whichever way they end.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let current = rest?;
        let end = find::position(current, |byte| byte == b'\n' || byte == b'\r');
        let Some(end) = end else {
            rest = None;
            return Some(current);
        };
        let after = &current[end + 1..];
        let crlf = current[end] == b'\r' && after.first() == Some(&b'\n');
        rest = Some(if crlf { &after[1..] } else { after });
        Some(&current[..end])
    })
}

#[cfg(test)]
mod tests;
