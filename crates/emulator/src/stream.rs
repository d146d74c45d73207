//! Bodies as a list of steps: every line its own HTTP chunk, with waits and faults between them.

use std::{
    collections::VecDeque,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use crate::{
    calls::{CallGuard, LogTicket},
    connection::ConnectionControl,
    log::Ended,
    quota::Tokens,
    render::{Event, Identity},
    trace, warmup,
};

/// One step of a body.
#[derive(Debug)]
pub(crate) enum Step {
    /// Bytes in an HTTP chunk of their own.
    Bytes(Bytes),
    /// Bytes that trace mode does not wrap.
    Raw(Bytes),
    /// An event: its line and the blank line, each in a chunk of its own.
    Event(Event),
    /// From here the parts carry another id.
    Become(Box<Identity>),
    Wait(Duration),
    /// Says every while whether a model has instances, until it has.
    AwaitInstances {
        model: usize,
        left: u32,
    },
    /// Nothing more until the client leaves.
    Stall,
    /// Let everything so far out to the network.
    Flush,
    /// An event of which only these bytes go out before the FIN; half of it if unsaid.
    CutEvent(Event, Option<usize>),
    /// Bytes of a body of known length of which only this many go out before the FIN.
    CutBytes(Bytes, usize),
    Reset,
    /// The call counts from here.
    Book(Tokens),
    End(Ended),
}

/// A body that walks through its steps.
#[derive(Debug)]
pub(crate) struct StepBody {
    steps: VecDeque<Step>,
    identity: Identity,
    owes_blank_line: bool,
    /// Whether trace mode wraps every line.
    wrapped: bool,
    flushing: bool,
    sleep: Option<Pin<Box<Sleep>>>,
    connection: Arc<ConnectionControl>,
    call: Option<CallGuard>,
    ticket: LogTicket,
}

impl StepBody {
    pub(crate) fn new(
        steps: Vec<Step>,
        identity: Identity,
        connection: Arc<ConnectionControl>,
        call: Option<CallGuard>,
        ticket: LogTicket,
    ) -> Self {
        Self {
            steps: steps.into(),
            identity,
            owes_blank_line: false,
            wrapped: false,
            flushing: false,
            sleep: None,
            connection,
            call,
            ticket,
        }
    }

    /// Has every line wrapped, between what comes before all and behind it.
    pub(crate) fn wrap(&mut self, before: Bytes, after: Option<Bytes>) {
        self.wrapped = true;
        self.steps.push_front(Step::Raw(before));
        self.steps.extend(after.map(Step::Raw));
    }

    fn line(&self, bytes: Bytes) -> Poll<Option<io::Result<Bytes>>> {
        let bytes = if self.wrapped { trace::wrapped(&bytes) } else { bytes };
        Poll::Ready(Some(Ok(bytes)))
    }

    pub(crate) fn note_status(&self, status: u16) {
        self.ticket.note(|entry| entry.status = Some(status));
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            if std::mem::take(&mut self.owes_blank_line) {
                return self.line(Bytes::from_static(b"\n"));
            }
            if let Some(sleep) = &mut self.sleep {
                if sleep.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                self.sleep = None;
            }
            let Some(step) = self.steps.pop_front() else { return Poll::Ready(None) };
            match step {
                Step::Raw(bytes) => return Poll::Ready(Some(Ok(bytes))),
                Step::Bytes(bytes) => return self.line(bytes),
                Step::Event(event) => {
                    self.owes_blank_line = true;
                    return self.line(self.identity.line(&event));
                }
                Step::Become(identity) => self.identity = *identity,
                Step::Wait(time) => self.sleep = Some(Box::pin(tokio::time::sleep(time))),
                Step::AwaitInstances { left: 0, .. } => {}
                Step::AwaitInstances { model, left } => {
                    let (line, is_last) = warmup::event(self.ticket.world(), model);
                    if !is_last {
                        self.steps.push_front(Step::AwaitInstances { model, left: left - 1 });
                        self.steps.push_front(Step::Wait(warmup::pause()));
                    }
                    return Poll::Ready(Some(Ok(line)));
                }
                Step::Stall => {
                    // Nobody wakes this body: the connection's reader does when the client leaves.
                    self.steps.push_front(Step::Stall);
                    return Poll::Pending;
                }
                Step::Flush => {
                    if !std::mem::replace(&mut self.flushing, true) {
                        self.steps.push_front(Step::Flush);
                        context.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    self.flushing = false;
                }
                Step::CutEvent(event, keep) => {
                    let line = self.identity.line(&event);
                    let framing = format!("{:X}\r\n", line.len()).len();
                    self.connection.cut_after(framing + keep.unwrap_or(line.len() / 2));
                    self.ticket.end(Ended::Cut);
                    return Poll::Ready(Some(Ok(line)));
                }
                Step::CutBytes(bytes, keep) => {
                    self.connection.cut_after(keep);
                    self.ticket.end(Ended::Cut);
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Step::Reset => {
                    self.connection.reset();
                    self.ticket.end(Ended::Reset);
                    return Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())));
                }
                Step::Book(tokens) => {
                    if let Some(call) = &mut self.call {
                        call.book(tokens, self.ticket.reference());
                    }
                }
                Step::End(ended) => {
                    self.ticket.end(ended);
                    self.call = None;
                }
            }
        }
    }
}

/// The body of any answer.
#[derive(Debug)]
pub(crate) enum ReplyBody {
    /// Known as a whole.
    Whole { bytes: Option<Bytes>, closes: Option<Arc<ConnectionControl>> },
    /// Step by step.
    Steps(Box<StepBody>),
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Whole { bytes, closes } => {
                if let Some(connection) = closes.take() {
                    connection.close_when_flushed();
                }
                Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))))
            }
            Self::Steps(steps) => {
                steps.poll_next(context).map(|next| next.map(|next| next.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole { bytes: None, .. })
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole { bytes, .. } => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Steps(_) => SizeHint::default(),
        }
    }
}
