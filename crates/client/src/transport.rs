//! Raw HTTP/1.1 to a few origins, as the gateway's hot path needs it.
//!
//! * One small pool of connections per origin; one task per connection, owned by the [`Transport`]; no task per
//!   request.
//! * **No retries.** The one exception is invisible: a connection from the pool that turns out to have been closed
//!   before a byte of the request was written is replaced, once, by a new one.
//! * **Dropping cancels.** Dropping the future of [`Transport::send`] or an unread [`Body`] closes the connection at
//!   once, so that the server stops generating.
//! * Every failure names its [phase](TransportPhase) and says whether the request had gone out whole.
//!
//! ```no_run
//! use bytes::Bytes;
//! use http::Request;
//! use http_body_util::BodyExt as _;
//! use ripcord_client::endpoints::Endpoints;
//! use ripcord_client::transport::{Transport, TransportSettings};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let transport = Transport::new(TransportSettings::default());
//! let target = transport.target(&Endpoints::official().llm)?;
//! let request = Request::get("/v1/models").body(Bytes::new())?;
//! let answer = transport.send(&target, request).await?;
//! let body = answer.into_body().collect().await?.to_bytes();
//! # Ok(())
//! # }
//! ```

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING};
use http::uri::{PathAndQuery, Uri};
use http::{Request, Response, Version};
use parking_lot::Mutex;
use tokio::time::{Sleep, sleep_until};
use tokio_rustls::TlsConnector;
use tokio_util::task::TaskTracker;

use crate::clock;
use crate::endpoints::BaseUrl;

mod body;
mod connect;
mod error;
mod pool;
mod stream;
mod tls;

pub use body::Body;
pub use error::{TransportError, TransportErrorKind, TransportPhase};
pub use pool::Target;
pub use tls::{ExtraRoots, NoCertificate};

use body::RequestBody;
use connect::Connector;
use pool::{Connection, Lease, Origin};
use stream::Progress;

/// The largest head of an answer that is read.
const HEAD_LIMIT_BYTES: usize = 64 * 1024;
/// What one connection buffers at most while reading.
const READ_BUFFER_LIMIT_BYTES: usize = 128 * 1024;

/// How long each part of an exchange may take. Set for all requests in [`TransportSettings`] and for one in
/// [`Transport::send_with`]. `Duration::MAX` means no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportLimits {
    /// Name, TCP and TLS together.
    pub connect: Duration,
    /// While the request is being written: the longest time without progress.
    pub send_stall: Duration,
    /// From the last byte of the request to the head of the answer. A plain (not streamed) generation answers only
    /// when it is done, so it needs a longer one.
    pub first_byte: Duration,
    /// The longest wait for the next part of the body. Time the reader takes for itself does not count.
    pub idle: Duration,
    /// Over a connection of its own, whatever rests in the pool: for a retry after a failure that may be one of the
    /// connection.
    pub fresh_connection: bool,
}

impl Default for TransportLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            send_stall: Duration::from_secs(30),
            first_byte: Duration::from_secs(60),
            idle: Duration::from_secs(30),
            fresh_connection: false,
        }
    }
}

/// How a [`Transport`] is set up.
#[derive(Clone, Debug)]
pub struct TransportSettings {
    /// The limits of requests that bring none of their own.
    pub limits: TransportLimits,
    /// How many unused connections are kept per origin.
    pub max_resting_connections: usize,
    /// How long an unused connection is kept. Below the 75 s after which nginx closes one by default, so that a
    /// request rarely meets a closing connection.
    pub rest_limit: Duration,
    /// Certificates trusted in addition to the machine's.
    pub extra_roots: ExtraRoots,
}

impl Default for TransportSettings {
    fn default() -> Self {
        Self {
            limits: TransportLimits::default(),
            max_resting_connections: 64,
            rest_limit: Duration::from_secs(60),
            extra_roots: ExtraRoots::default(),
        }
    }
}

/// A pool of HTTP/1.1 connections. Cheap to clone; all clones share the pool.
#[derive(Clone)]
pub struct Transport(Arc<Shared>);

struct Shared {
    settings: TransportSettings,
    tracker: TaskTracker,
    /// A handful of entries, searched only when a target is made.
    origins: Mutex<Vec<Arc<Origin>>>,
    /// Made with the first secure target: reading the machine's certificates takes a while.
    tls: Mutex<Option<TlsConnector>>,
}

impl Transport {
    /// A transport without connections. Opens nothing and reads nothing yet.
    #[must_use]
    pub fn new(settings: TransportSettings) -> Self {
        let tracker = TaskTracker::new();
        Self(Arc::new(Shared {
            settings,
            tracker,
            origins: Mutex::default(),
            tls: Mutex::default(),
        }))
    }

    /// The target for an address. Two targets for the same address share their connections; make them once, not per
    /// request.
    ///
    /// # Errors
    /// If the host cannot stand in a header, or TLS cannot be set up.
    pub fn target(&self, base: &BaseUrl) -> Result<Target, TransportError> {
        let mut origins = self.0.origins.lock();
        if let Some(known) = origins.iter().find(|origin| origin.base == *base) {
            return Ok(Target(Arc::clone(known)));
        }
        let peer: Arc<str> = base.authority().into();
        let host_header = HeaderValue::try_from(&*peer).map_err(|error| {
            TransportError::new(TransportPhase::Resolve, TransportErrorKind::InvalidRequest, &peer)
                .with_source(error)
        })?;
        if base.is_secure() {
            let mut tls = self.0.tls.lock();
            if tls.is_none() {
                *tls = Some(tls::connector(&self.0.settings.extra_roots).map_err(|error| {
                    TransportError::new(TransportPhase::Tls, TransportErrorKind::Tls, &peer)
                        .with_source(error)
                })?);
            }
        }
        let settings = &self.0.settings;
        let origin = Origin::new(
            base.clone(),
            host_header,
            settings.max_resting_connections,
            settings.rest_limit,
        );
        let origin = Arc::new(origin);
        origins.push(Arc::clone(&origin));
        Ok(Target(origin))
    }

    /// Sends one request under the limits of the settings; see [`Transport::send_with`].
    ///
    /// # Errors
    /// As [`Transport::send_with`].
    pub async fn send(
        &self,
        target: &Target,
        request: Request<Bytes>,
    ) -> Result<Response<Body>, TransportError> {
        self.send_with(target, request, self.0.settings.limits).await
    }

    /// Sends one request and gives the answer as soon as its head is there, whatever its status.
    ///
    /// The path is sent as it is, without the target's [prefix](BaseUrl::prefix). `Host` is added where it is
    /// missing; `Content-Length` is always this side's own. Dropping the future closes the connection.
    ///
    /// # Errors
    /// Everything that kept the head of an answer from arriving.
    pub async fn send_with(
        &self,
        target: &Target,
        request: Request<Bytes>,
        limits: TransportLimits,
    ) -> Result<Response<Body>, TransportError> {
        let origin = &target.0;
        let mut request = prepare(origin, request);
        if limits.fresh_connection {
            return self.send_anew(origin, request, limits).await;
        }
        if let Some(lease) = self.rested(origin, limits).await {
            match exchange(lease, request, limits).await {
                Ok(answer) => return Ok(answer),
                // Closed while it rested. The request comes back untouched, so nothing is sent twice.
                Err(Failed::BeforeFirstByte(returned, _)) => request = *returned,
                Err(Failed::Later(error)) => return Err(error),
            }
        }
        self.send_anew(origin, request, limits).await
    }

    async fn send_anew(
        &self,
        origin: &Arc<Origin>,
        request: Request<RequestBody>,
        limits: TransportLimits,
    ) -> Result<Response<Body>, TransportError> {
        // Rare and large: kept out of the future of every request.
        let connection =
            Box::pin(self.connector(origin)?.open(Arc::clone(origin), limits.connect)).await?;
        match exchange(Lease::new(connection, origin), request, limits).await {
            Ok(answer) => Ok(answer),
            Err(Failed::BeforeFirstByte(_, error) | Failed::Later(error)) => Err(error),
        }
    }

    /// Closes connections at rest, takes no new ones, and waits until those in use are done.
    pub async fn shutdown(&self) {
        self.0.tracker.close();
        for origin in self.0.origins.lock().iter() {
            origin.close();
        }
        self.0.tracker.wait().await;
    }

    /// How many connections are open, in use or at rest.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.0.tracker.len()
    }

    /// A connection from the pool that hyper says can take a request.
    async fn rested(&self, origin: &Arc<Origin>, limits: TransportLimits) -> Option<Lease> {
        while let Some(connection) = origin.take(clock::now()) {
            let mut lease = Lease::new(connection, origin);
            let sender = &mut lease.connection()?.sender;
            // Ready at once, or within the turn its task needs to notice that the last answer has been read.
            if sender.is_ready()
                || tokio::time::timeout(limits.connect, sender.ready())
                    .await
                    .is_ok_and(|ready| ready.is_ok())
            {
                return Some(lease);
            }
        }
        None
    }

    fn connector(&self, origin: &Origin) -> Result<Connector, TransportError> {
        if self.0.tracker.is_closed() {
            let kind = TransportErrorKind::ShuttingDown;
            return Err(TransportError::new(TransportPhase::Connect, kind, &origin.peer));
        }
        let tls = if origin.base.is_secure() { self.0.tls.lock().clone() } else { None };
        Ok(Connector { tracker: self.0.tracker.clone(), tls })
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Transport")
            .field("open_connections", &self.open_connections())
            .finish()
    }
}

/// Makes the request one that goes to an origin: path only, `Host` set, no length but the true one.
fn prepare(origin: &Origin, request: Request<Bytes>) -> Request<RequestBody> {
    let (mut parts, body) = request.into_parts();
    if parts.uri.scheme().is_some() || parts.uri.authority().is_some() {
        let path = parts.uri.path_and_query().cloned();
        parts.uri = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    }
    parts.version = Version::HTTP_11;
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.remove(TRANSFER_ENCODING);
    if !parts.headers.contains_key(HOST) {
        parts.headers.insert(HOST, origin.host_header.clone());
    }
    Request::from_parts(parts, RequestBody::new(body))
}

/// An exchange that brought no answer.
enum Failed {
    /// Nothing was written: the request is here again, whole.
    BeforeFirstByte(Box<Request<RequestBody>>, TransportError),
    Later(TransportError),
}

async fn exchange(
    mut lease: Lease,
    mut request: Request<RequestBody>,
    limits: TransportLimits,
) -> Result<Response<Body>, Failed> {
    let peer = Arc::clone(lease.peer());
    let reused = lease.is_reused();
    let Some(Connection { sender, progress, .. }) = lease.connection() else {
        let kind = TransportErrorKind::ShuttingDown;
        return Err(Failed::Later(TransportError::new(TransportPhase::Send, kind, &peer)));
    };
    let progress = Arc::clone(progress);
    request.body_mut().begin(&progress);
    let mut wait = HeadWait::new(&progress, limits);
    let answer = {
        let mut answer = pin!(sender.try_send_request(request));
        poll_fn(|cx| match answer.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Ok(answer)),
            Poll::Pending => wait.poll(cx).map(Err),
        })
        .await
    };
    match answer {
        Ok(Ok(answer)) => {
            let timer = wait.timer;
            Ok(answer.map(|incoming| Body::new(incoming, lease, timer, limits.idle)))
        }
        Ok(Err(mut failed)) => {
            let returned = failed.take_message();
            let sent = progress.is_sent();
            let phase = if sent { TransportPhase::FirstByte } else { TransportPhase::Send };
            let error = TransportError::from_hyper(phase, &peer, failed.into_error())
                .request_was_sent(sent)
                .over_reused_connection(reused);
            Err(match returned {
                Some(request) => Failed::BeforeFirstByte(Box::new(request), error),
                None => Failed::Later(error),
            })
        }
        Err(phase) => {
            let error = TransportError::new(phase, TransportErrorKind::Timeout, &peer);
            Err(Failed::Later(error.request_was_sent(progress.is_sent())))
        }
    }
}

/// The limits on writing a request and on waiting for the head of its answer, in one timer that is armed once and
/// looks at the facts when it rings.
struct HeadWait<'a> {
    progress: &'a Progress,
    limits: TransportLimits,
    timer: Pin<Box<Sleep>>,
    written: u64,
}

impl<'a> HeadWait<'a> {
    fn new(progress: &'a Progress, limits: TransportLimits) -> Self {
        let first = limits.first_byte.min(limits.send_stall);
        let timer = Box::pin(sleep_until(clock::deadline(clock::now(), first)));
        Self { progress, limits, timer, written: 0 }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<TransportPhase> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let rang_at = self.timer.deadline();
            let due = match self.progress.sent_at() {
                Some(sent_at) => {
                    let due = clock::deadline(sent_at, self.limits.first_byte);
                    if rang_at >= due {
                        return Poll::Ready(TransportPhase::FirstByte);
                    }
                    due
                }
                None => {
                    let written = self.progress.written();
                    if written == self.written {
                        return Poll::Ready(TransportPhase::Send);
                    }
                    self.written = written;
                    clock::deadline(rang_at, self.limits.send_stall)
                }
            };
            self.timer.as_mut().reset(due);
        }
    }
}
