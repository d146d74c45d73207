//! The socket of one connection, and what is known about the request that is being written to it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

use crate::clock;

/// How much of the current request has left, shared by the socket, the request body and the waiting caller.
///
/// Relaxed ordering is enough: the figures decide about limits and go into errors, and the caller reads them
/// after hyper's own channel has ordered the two tasks.
#[derive(Debug)]
pub(super) struct Progress {
    opened: Instant,
    written: AtomicU64,
    body_taken: AtomicBool,
    /// Microseconds from `opened` to the flush of the last byte, plus 1; 0 while bytes are still to be written.
    sent_at: AtomicU64,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            opened: clock::now(),
            written: AtomicU64::new(0),
            body_taken: AtomicBool::new(false),
            sent_at: AtomicU64::new(0),
        }
    }

    /// A new request begins.
    pub(super) fn begin(&self, body_is_empty: bool) {
        self.sent_at.store(0, Ordering::Relaxed);
        self.body_taken.store(body_is_empty, Ordering::Relaxed);
        self.written.store(0, Ordering::Relaxed);
    }

    pub(super) fn body_taken(&self) {
        self.body_taken.store(true, Ordering::Relaxed);
    }

    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// When the last byte of the request was handed to the network, if it was.
    pub(super) fn sent_at(&self) -> Option<Instant> {
        let micros = self.sent_at.load(Ordering::Relaxed).checked_sub(1)?;
        self.opened.checked_add(Duration::from_micros(micros))
    }

    pub(super) fn is_sent(&self) -> bool {
        self.sent_at.load(Ordering::Relaxed) != 0
    }

    fn flushed(&self) {
        // A flush before the first byte of a request belongs to the one before it.
        if self.body_taken.load(Ordering::Relaxed) && self.written() > 0 && !self.is_sent() {
            let micros = clock::now().saturating_duration_since(self.opened).as_micros();
            self.sent_at
                .store(u64::try_from(micros).unwrap_or(u64::MAX - 1) + 1, Ordering::Relaxed);
        }
    }
}

/// A plain or TLS connection that keeps [`Progress`].
pub(super) struct Socket {
    pub(super) inner: Inner,
    pub(super) progress: std::sync::Arc<Progress>,
}

pub(super) enum Inner {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

macro_rules! with_inner {
    ($self:ident, $stream:ident => $call:expr) => {
        match &mut $self.get_mut().inner {
            Inner::Plain($stream) => $call,
            Inner::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        with_inner!(self, stream => Pin::new(stream).poll_read(cx, buffer))
    }
}

impl Socket {
    fn count(&self, written: &io::Result<usize>) {
        if let Ok(bytes) = written {
            self.progress.written.fetch_add(*bytes as u64, Ordering::Relaxed);
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.as_mut();
        let written = ready!(with_inner!(this, stream => Pin::new(stream).poll_write(cx, data)));
        self.count(&written);
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.as_mut();
        let written =
            ready!(with_inner!(this, stream => Pin::new(stream).poll_write_vectored(cx, slices)));
        self.count(&written);
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.inner {
            Inner::Plain(stream) => stream.is_write_vectored(),
            Inner::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.as_mut();
        let flushed = ready!(with_inner!(this, stream => Pin::new(stream).poll_flush(cx)));
        if flushed.is_ok() {
            self.progress.flushed();
        }
        Poll::Ready(flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with_inner!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
