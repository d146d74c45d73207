//! One connection: its requests one after the other, and a limit for a client that does not read.

use crate::body::AnswerBody;
use crate::callers::Callers;
use crate::config::Limits;
use crate::places::{Busy, Place};
use crate::router::handle;
use crate::shared::Shared;
use crate::under_way::Entered;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;

/// The largest head of a request.
const HEAD_BYTES: usize = 64 << 10;

/// Serves one connection until either side has had enough. Returning drops all that is under way on it.
pub(crate) async fn serve(
    stream: TcpStream,
    place: Arc<Place>,
    shared: Arc<Shared>,
    callers: Arc<Callers>,
    stop: CancellationToken,
    abort: CancellationToken,
) {
    // Without it, small events wait for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let peer = stream.peer_addr().ok();
    let Limits { header_timeout, write_timeout, .. } = shared.limits;
    let seat = Arc::clone(&place);
    let service = service_fn(move |request| {
        let (shared, callers, seat) =
            (Arc::clone(&shared), Arc::clone(&callers), Arc::clone(&seat));
        async move {
            let Some(busy) = seat.busy() else {
                // Told to leave at this very moment: the connection ends before anything is done.
                return std::future::pending().await;
            };
            // Whoever only asks how things stand is not counted.
            let calls = request.uri().path().starts_with("/v1/");
            let entered = peer.filter(|_| calls).map(|peer| shared.under_way.enter(peer.port()));
            let response = handle(shared, callers, peer, request).await;
            Ok::<_, Infallible>(response.map(|body| Attended {
                body,
                _busy: busy,
                _entered: entered,
            }))
        }
    });
    let io = ImpatientWriter::new(stream, write_timeout, Some(Arc::clone(&place)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(io), service);
    let mut connection = pin!(connection);
    let mut draining = false;
    loop {
        tokio::select! {
            biased;
            () = abort.cancelled() => return,
            () = place.wanted() => return,
            () = stop.cancelled(), if !draining => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    // Clients leave; that is no error of ours.
                    tracing::trace!(%error, "connection ended");
                }
                return;
            }
        }
    }
}

/// The body of an answer, which keeps its connection's place.
struct Attended {
    body: AnswerBody,
    _busy: Busy,
    _entered: Option<Entered>,
}

impl http_body::Body for Attended {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Fails a write that makes no progress for too long: whoever does not read must not hold a slot.
struct ImpatientWriter<Stream> {
    stream: Stream,
    patience: Duration,
    place: Option<Arc<Place>>,
    /// There only while a write or flush waits.
    waiting: Option<Waiting>,
}

struct Waiting {
    timer: Pin<Box<Sleep>>,
    _busy: Option<Busy>,
}

impl<Stream> ImpatientWriter<Stream> {
    const fn new(stream: Stream, patience: Duration, place: Option<Arc<Place>>) -> Self {
        Self { stream, patience, place, waiting: None }
    }

    /// What a write or flush gave, unless it has waited for too long.
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let (patience, place) = (self.patience, &self.place);
        let waiting = self.waiting.get_or_insert_with(|| Waiting {
            timer: Box::pin(tokio::time::sleep(patience)),
            _busy: place.as_ref().and_then(Place::busy),
        });
        if waiting.timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

impl<Stream: AsyncRead + Unpin> AsyncRead for ImpatientWriter<Stream> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<Stream: AsyncWrite + Unpin> AsyncWrite for ImpatientWriter<Stream> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const PATIENCE: Duration = Duration::from_secs(120);

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_reads_is_given_up() {
        let (near, _far) = tokio::io::duplex(8);
        let mut writer = ImpatientWriter::new(near, PATIENCE, None);
        let written = tokio::time::timeout(PATIENCE * 2, writer.write_all(&[0; 64])).await;
        assert_eq!(written.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_may_take_its_time() {
        let (near, mut far) = tokio::io::duplex(8);
        let mut writer = ImpatientWriter::new(near, PATIENCE, None);
        let reading = async {
            for _ in 0..8 {
                tokio::time::sleep(PATIENCE.mul_f32(0.9)).await;
                far.read_exact(&mut [0; 8]).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(writer.write_all(&[0; 64]), reading);
        written.unwrap();
        assert!(writer.waiting.is_none(), "no timer while nothing waits");
        // A connection on which nothing has to be written may be silent for as long as it likes.
        tokio::time::sleep(PATIENCE * 2).await;
        writer.write_all(&[0; 8]).await.unwrap();
    }
}
