//! Opening a connection: name, TCP, TLS, HTTP, all within one limit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_util::task::TaskTracker;

use super::pool::{Connection, Origin};
use super::stream::{Inner, Progress, Socket};
use super::{
    HEAD_LIMIT_BYTES, READ_BUFFER_LIMIT_BYTES, TransportError, TransportErrorKind, TransportPhase,
};
use crate::clock;

/// What one address of several gets at least, however many there are.
const SHORTEST_TRY: Duration = Duration::from_millis(250);

pub(super) struct Connector {
    pub(super) tracker: TaskTracker,
    pub(super) tls: Option<TlsConnector>,
}

impl Connector {
    pub(super) async fn open(
        self,
        origin: Arc<Origin>,
        limit: Duration,
    ) -> Result<Connection, TransportError> {
        let deadline = clock::deadline(clock::now(), limit);
        let addresses = resolve(&origin, deadline).await?;
        let stream = connect(&origin, &addresses, deadline).await?;
        let inner = match self.tls {
            None => Inner::Plain(stream),
            Some(connector) => {
                Inner::Tls(Box::new(handshake(&origin, connector, stream, deadline).await?))
            }
        };
        let progress = Arc::new(Progress::new());
        let socket = TokioIo::new(Socket { inner, progress: Arc::clone(&progress) });
        let (sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_buf_size(READ_BUFFER_LIMIT_BYTES)
            .max_header_size(HEAD_LIMIT_BYTES)
            .handshake(socket)
            .await
            .map_err(|error| {
                TransportError::from_hyper(TransportPhase::Connect, &origin.peer, error)
            })?;
        let task = self.tracker.spawn(async move {
            // The exchange gets the same error through its own channel.
            let _ = connection.await;
        });
        Ok(Connection { sender, progress, driver: task.abort_handle(), reused: false })
    }
}

fn timed_out(phase: TransportPhase, origin: &Origin) -> TransportError {
    TransportError::new(phase, TransportErrorKind::Timeout, &origin.peer)
}

async fn resolve(origin: &Origin, deadline: Instant) -> Result<Vec<SocketAddr>, TransportError> {
    let host = origin.base.host().trim_start_matches('[').trim_end_matches(']');
    let fail = |kind| TransportError::new(TransportPhase::Resolve, kind, &origin.peer);
    let found = timeout_at(deadline, tokio::net::lookup_host((host, origin.base.port())))
        .await
        .map_err(|_| timed_out(TransportPhase::Resolve, origin))?
        .map_err(|error| fail(TransportErrorKind::NameNotFound).with_source(error))?;
    let addresses: Vec<SocketAddr> = found.collect();
    if addresses.is_empty() { Err(fail(TransportErrorKind::NameNotFound)) } else { Ok(addresses) }
}

/// Tries the addresses in their order, each with its share of the time, so that one that swallows packets (a
/// broken IPv6 route, say) does not use up the others' chance.
async fn connect(
    origin: &Origin,
    addresses: &[SocketAddr],
    deadline: Instant,
) -> Result<TcpStream, TransportError> {
    let mut last = timed_out(TransportPhase::Connect, origin);
    for (index, address) in addresses.iter().enumerate() {
        let now = clock::now();
        let left = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let share = (deadline.saturating_duration_since(now) / left).max(SHORTEST_TRY);
        let until = clock::deadline(now, share).min(deadline);
        match timeout_at(until, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Events are small; waiting to fill a segment would delay each of them.
                stream.set_nodelay(true).map_err(|error| {
                    TransportError::from_io(TransportPhase::Connect, &origin.peer, error)
                })?;
                return Ok(stream);
            }
            Ok(Err(error)) => {
                last = TransportError::from_io(TransportPhase::Connect, &origin.peer, error)
            }
            Err(_) => last = timed_out(TransportPhase::Connect, origin),
        }
    }
    Err(last)
}

async fn handshake(
    origin: &Origin,
    connector: TlsConnector,
    stream: TcpStream,
    deadline: Instant,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, TransportError> {
    let fail = |kind| TransportError::new(TransportPhase::Tls, kind, &origin.peer);
    let host = origin.base.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host)
        .map_err(|error| fail(TransportErrorKind::InvalidRequest).with_source(error))?;
    let shaken = timeout_at(deadline, connector.connect(name, stream)).await;
    shaken.map_err(|_| timed_out(TransportPhase::Tls, origin))?.map_err(|error| {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
        match cause {
            Some(rustls::Error::InvalidCertificate(_)) => {
                fail(TransportErrorKind::Certificate).with_source(error)
            }
            Some(_) => fail(TransportErrorKind::Tls).with_source(error),
            None => TransportError::from_io(TransportPhase::Tls, &origin.peer, error),
        }
    })
}
