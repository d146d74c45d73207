//! A TCP connection that can be made to fail: cut inside a chunk, reset, or closed unannounced.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// What the answer in progress may order of its connection.
#[derive(Debug, Default)]
pub(crate) struct ConnectionControl {
    /// Bytes that may still be written; below zero there is no limit.
    limit: AtomicI64,
    limited: AtomicBool,
    resets: AtomicBool,
    closes_when_flushed: AtomicBool,
    at_end: AtomicBool,
    reader: Mutex<Option<Waker>>,
}

impl ConnectionControl {
    /// Lets this many more bytes out, then ends the connection with a FIN.
    pub(crate) fn cut_after(&self, bytes: usize) {
        self.limit.store(i64::try_from(bytes).unwrap_or(i64::MAX), Ordering::Release);
        self.limited.store(true, Ordering::Release);
    }

    /// Ends the connection with an RST when it is dropped.
    pub(crate) fn reset(&self) {
        self.resets.store(true, Ordering::Release);
    }

    /// Closes the connection once the answer is out, without a word in its headers.
    pub(crate) fn close_when_flushed(&self) {
        self.closes_when_flushed.store(true, Ordering::Release);
    }

    fn flushed(&self) {
        if self.closes_when_flushed.load(Ordering::Acquire) {
            self.at_end.store(true, Ordering::Release);
            if let Some(waker) = self.reader.lock().take() {
                waker.wake();
            }
        }
    }
}

/// The stream under the HTTP server.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    control: Arc<ConnectionControl>,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, control: Arc<ConnectionControl>) -> Self {
        Self { stream, control }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.control.resets.load(Ordering::Acquire) {
            // With a linger of zero the kernel answers with an RST instead of a FIN.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.control.at_end.load(Ordering::Acquire) {
            return Poll::Ready(Ok(()));
        }
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        if outcome.is_pending() {
            *self.control.reader.lock() = Some(context.waker().clone());
        }
        outcome
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !self.control.limited.load(Ordering::Acquire) {
            return Pin::new(&mut self.stream).poll_write(context, bytes);
        }
        let left = usize::try_from(self.control.limit.load(Ordering::Acquire)).unwrap_or(0);
        if left == 0 {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let slice = &bytes[..bytes.len().min(left)];
        let outcome = Pin::new(&mut self.stream).poll_write(context, slice);
        if let Poll::Ready(Ok(written)) = &outcome {
            let written = i64::try_from(*written).unwrap_or(i64::MAX);
            self.control.limit.fetch_sub(written, Ordering::AcqRel);
        }
        outcome
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(context);
        if let Poll::Ready(Ok(())) = &outcome {
            self.control.flushed();
        }
        outcome
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.control.resets.load(Ordering::Acquire) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
