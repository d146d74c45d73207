//! Connections: those at rest, and the one lent to an exchange.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::HeaderValue;
use hyper::client::conn::http1::SendRequest;
use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::body::RequestBody;
use super::stream::Progress;
use crate::clock;
use crate::endpoints::BaseUrl;

/// One HTTP/1.1 connection and the task that drives it.
pub(super) struct Connection {
    pub(super) sender: SendRequest<RequestBody>,
    pub(super) progress: Arc<Progress>,
    pub(super) driver: AbortHandle,
    pub(super) reused: bool,
}

struct Resting {
    connection: Connection,
    since: Instant,
}

/// An origin and its connections at rest. Cheap to clone; made by [`Transport::target`](super::Transport::target).
#[derive(Clone)]
pub struct Target(pub(super) Arc<Origin>);

pub(super) struct Origin {
    pub(super) base: BaseUrl,
    /// Host and port as errors show them.
    pub(super) peer: Arc<str>,
    pub(super) host_header: HeaderValue,
    /// Oldest in front. Lent from the back: the warmest connection is the least likely to have been closed.
    resting: Mutex<VecDeque<Resting>>,
    /// Set when the transport shuts down: nothing comes to rest any more.
    closed: AtomicBool,
    max_resting: usize,
    rest_limit: Duration,
}

impl Origin {
    pub(super) fn new(
        base: BaseUrl,
        host_header: HeaderValue,
        max_resting: usize,
        rest_limit: Duration,
    ) -> Self {
        let peer = format!("{}:{}", base.host(), base.port()).into();
        Self {
            base,
            peer,
            host_header,
            resting: Mutex::default(),
            closed: AtomicBool::new(false),
            max_resting,
            rest_limit,
        }
    }

    pub(super) fn take(&self, now: Instant) -> Option<Connection> {
        let mut resting = self.resting.lock();
        while let Some(Resting { connection, since }) = resting.pop_back() {
            if now.saturating_duration_since(since) > self.rest_limit {
                // All others have rested longer.
                resting.clear();
                return None;
            }
            if !connection.sender.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    fn put(&self, connection: Connection) {
        let now = clock::now();
        let mut resting = self.resting.lock();
        while resting.front().is_some_and(|oldest| {
            now.saturating_duration_since(oldest.since) > self.rest_limit
                || oldest.connection.sender.is_closed()
        }) {
            resting.pop_front();
        }
        if resting.len() < self.max_resting && !self.closed.load(Ordering::Relaxed) {
            resting.push_back(Resting { connection, since: now });
        }
    }

    pub(super) fn close(&self) {
        let mut resting = self.resting.lock();
        self.closed.store(true, Ordering::Relaxed);
        // Dropping a sender lets hyper close the connection in order.
        resting.clear();
    }

    fn resting(&self) -> usize {
        self.resting.lock().iter().filter(|resting| !resting.connection.sender.is_closed()).count()
    }
}

impl Target {
    /// The address this target was made from.
    #[must_use]
    pub fn base(&self) -> &BaseUrl {
        &self.0.base
    }

    /// How many open connections wait for a request.
    #[must_use]
    pub fn resting_connections(&self) -> usize {
        self.0.resting()
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Target").field(&self.0.peer).finish()
    }
}

/// A connection lent to one exchange. Dropped without [`Lease::give_back`] it is closed at once, which is how
/// cancelling reaches the server.
pub(super) struct Lease {
    connection: Option<Connection>,
    origin: Arc<Origin>,
}

impl Lease {
    pub(super) fn new(connection: Connection, origin: &Arc<Origin>) -> Self {
        Self { connection: Some(connection), origin: Arc::clone(origin) }
    }

    /// The connection. `None` only after it was given back, which consumes the lease.
    pub(super) fn connection(&mut self) -> Option<&mut Connection> {
        self.connection.as_mut()
    }

    pub(super) fn peer(&self) -> &Arc<str> {
        &self.origin.peer
    }

    pub(super) fn is_reused(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.reused)
    }

    /// The answer was read to its end.
    pub(super) fn give_back(mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        // Answered before the request was out: the rest of it is still in the way.
        if !connection.progress.is_sent() {
            connection.driver.abort();
        } else if !connection.sender.is_closed() {
            connection.reused = true;
            self.origin.put(connection);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            connection.driver.abort();
        }
    }
}
