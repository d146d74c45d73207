//! What goes back to the client: whole bytes, or a stream that is relayed.

use crate::admin::events::EventStream;
use crate::pipeline::{early::EarlyStream, relay::Relay};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The body of an answer.
pub(crate) enum AnswerBody {
    Whole(Option<Bytes>),
    Relay(Box<Relay>),
    Early(Box<EarlyStream>),
    Events(Box<EventStream>),
}

impl From<Bytes> for AnswerBody {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take()),
            Self::Relay(relay) => relay.poll_bytes(cx),
            Self::Early(early) => early.poll_bytes(cx),
            Self::Events(events) => events.poll_bytes(cx),
        };
        next.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Relay(_) | Self::Early(_) | Self::Events(_) => SizeHint::default(),
        }
    }
}
