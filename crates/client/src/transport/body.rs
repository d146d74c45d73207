//! The two bodies: what goes out in one piece, and what comes back under an idle limit.

use std::convert::Infallible;
use std::fmt;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::pool::Lease;
use super::stream::Progress;
use super::{TransportError, TransportErrorKind, TransportPhase};
use crate::clock;

/// A request body in one piece that notes when hyper has taken it.
pub(super) struct RequestBody {
    data: Option<Bytes>,
    progress: Option<Arc<Progress>>,
}

impl RequestBody {
    pub(super) fn new(data: Bytes) -> Self {
        Self { data: (!data.is_empty()).then_some(data), progress: None }
    }

    /// Binds the body to the connection it is about to be sent on.
    pub(super) fn begin(&mut self, progress: &Arc<Progress>) {
        progress.begin(self.data.is_none());
        self.progress = Some(Arc::clone(progress));
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.data.take();
        if let Some(progress) = &self.progress {
            progress.body_taken();
        }
        Poll::Ready(data.map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.as_ref().map_or(0, |data| data.len() as u64))
    }
}

/// The body of an answer.
///
/// Read to its end, its connection goes back to the pool within the same poll. Dropped before that, the
/// connection is closed at once, so that the server stops generating. The end is the `None` after the last frame,
/// or the last frame itself where the length was announced ([`is_end_stream`](http_body::Body::is_end_stream)). A body that ends early is an error, never
/// an end; after an error comes the end.
pub struct Body {
    incoming: Incoming,
    /// `None` once the body has ended, one way or the other.
    lease: Option<Lease>,
    peer: Arc<str>,
    idle_limit: Duration,
    /// Reused from the wait for the head. Armed lazily: it may ring early and is then set to the true deadline.
    timer: Pin<Box<Sleep>>,
    /// Since when a frame is awaited. The time the reader takes for itself does not count against the server.
    waiting_since: Option<Instant>,
    reused_connection: bool,
}

impl Body {
    pub(super) fn new(
        incoming: Incoming,
        lease: Lease,
        timer: Pin<Box<Sleep>>,
        idle_limit: Duration,
    ) -> Self {
        let peer = Arc::clone(lease.peer());
        let reused_connection = lease.is_reused();
        let mut body = Self {
            incoming,
            lease: Some(lease),
            peer,
            idle_limit,
            timer,
            waiting_since: None,
            reused_connection,
        };
        body.release_if_complete();
        body
    }

    /// Whether the answer came over a connection that had served a request before.
    #[must_use]
    pub fn came_over_reused_connection(&self) -> bool {
        self.reused_connection
    }

    fn release_if_complete(&mut self) {
        if http_body::Body::is_end_stream(&self.incoming)
            && let Some(lease) = self.lease.take()
        {
            lease.give_back();
        }
    }

    fn fail(
        &mut self,
        error: TransportError,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        // Dropping the lease closes the connection.
        self.lease = None;
        Poll::Ready(Some(Err(error)))
    }

    fn poll_idle_limit(&mut self, cx: &mut Context<'_>) -> Poll<TransportError> {
        let since = *self.waiting_since.get_or_insert_with(clock::now);
        let due = clock::deadline(since, self.idle_limit);
        if self.timer.deadline() > due {
            self.timer.as_mut().reset(due);
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if self.timer.deadline() >= due {
                return Poll::Ready(TransportError::new(
                    TransportPhase::Body,
                    TransportErrorKind::Timeout,
                    &self.peer,
                ));
            }
            self.timer.as_mut().reset(due);
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        let this = &mut *self;
        if this.lease.is_none() {
            return Poll::Ready(None);
        }
        match Pin::new(&mut this.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.waiting_since = None;
                this.release_if_complete();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                let error = TransportError::from_hyper(TransportPhase::Body, &this.peer, error);
                this.fail(error)
            }
            Poll::Ready(None) => {
                if let Some(lease) = this.lease.take() {
                    lease.give_back();
                }
                Poll::Ready(None)
            }
            Poll::Pending => {
                let error = ready!(this.poll_idle_limit(cx));
                this.fail(error)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.lease.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Body")
            .field("peer", &self.peer)
            .field("ended", &self.lease.is_none())
            .finish()
    }
}
