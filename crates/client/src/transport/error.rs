//! What can go wrong below HTTP, told apart as far as the machine can tell.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

/// How far an exchange had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransportPhase {
    /// Finding the host's address.
    Resolve,
    /// Opening the TCP connection.
    Connect,
    /// The TLS handshake.
    Tls,
    /// Writing the request.
    Send,
    /// The request is out; waiting for the head of the answer.
    FirstByte,
    /// Reading the body of the answer.
    Body,
}

impl fmt::Display for TransportPhase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Resolve => "resolving the host name",
            Self::Connect => "connecting",
            Self::Tls => "the TLS handshake",
            Self::Send => "sending the request",
            Self::FirstByte => "waiting for the answer",
            Self::Body => "reading the answer",
        })
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// A limit of [`TransportLimits`](super::TransportLimits) passed.
    Timeout,
    /// The host name is not known, or no name server answered.
    NameNotFound,
    /// Nothing listens there.
    Refused,
    /// There is no way to the host.
    Unreachable,
    /// The peer reset the connection.
    Reset,
    /// The peer closed the connection before the answer was complete.
    Closed,
    /// The certificate is not valid for this host, or not trusted.
    Certificate,
    /// TLS failed otherwise; often a peer that does not speak it.
    Tls,
    /// What came is not HTTP/1.1.
    NotHttp,
    /// The head of the answer is larger than allowed.
    HeadTooLarge,
    /// The transport is shutting down, or its runtime is.
    ShuttingDown,
    /// The request or the address cannot be sent as it is.
    InvalidRequest,
    /// Anything else the operating system reported.
    Other,
}

impl fmt::Display for TransportErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Timeout => "timed out",
            Self::NameNotFound => "the name could not be resolved",
            Self::Refused => "the connection was refused",
            Self::Unreachable => "the host cannot be reached",
            Self::Reset => "the connection was reset",
            Self::Closed => "the connection was closed before the answer was complete",
            Self::Certificate => "the certificate is not trusted for this host",
            Self::Tls => "the TLS handshake failed",
            Self::NotHttp => "the peer does not speak HTTP/1.1",
            Self::HeadTooLarge => "the head of the answer is too large",
            Self::ShuttingDown => "the transport is shutting down",
            Self::InvalidRequest => "the request cannot be sent as it is",
            Self::Other => "the connection failed",
        })
    }
}

/// An exchange that failed below HTTP. Contains no header and no body, so no key.
#[derive(Debug)]
pub struct TransportError {
    phase: TransportPhase,
    kind: TransportErrorKind,
    request_sent: bool,
    connection_was_reused: bool,
    peer: Arc<str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl TransportError {
    pub(crate) fn new(phase: TransportPhase, kind: TransportErrorKind, peer: &Arc<str>) -> Self {
        let request_sent = phase == TransportPhase::Body;
        Self {
            phase,
            kind,
            request_sent,
            connection_was_reused: false,
            peer: Arc::clone(peer),
            source: None,
        }
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn request_was_sent(mut self, sent: bool) -> Self {
        self.request_sent = sent;
        self
    }

    pub(super) fn over_reused_connection(mut self, reused: bool) -> Self {
        self.connection_was_reused = reused;
        self
    }

    /// Whether the peer ended a connection that had carried an exchange before, without a word of an answer. It may have
    /// closed it before it saw the request: Chutes closes unannounced after some answers (recordings, D6), and what
    /// changes nothing can be asked again at once (RFC 9110, 9.2.2).
    #[must_use]
    pub fn is_of_a_connection_gone_stale(&self) -> bool {
        self.connection_was_reused
            && self.phase == TransportPhase::FirstByte
            && matches!(self.kind, TransportErrorKind::Closed | TransportErrorKind::Reset)
    }

    pub(super) fn from_hyper(phase: TransportPhase, peer: &Arc<str>, error: hyper::Error) -> Self {
        Self::new(phase, kind_of_hyper(&error), peer).with_source(error)
    }

    pub(super) fn from_io(phase: TransportPhase, peer: &Arc<str>, error: io::Error) -> Self {
        Self::new(phase, kind_of_io(&error), peer).with_source(error)
    }

    /// How far the exchange had come.
    #[must_use]
    pub fn phase(&self) -> TransportPhase {
        self.phase
    }

    /// What happened.
    #[must_use]
    pub fn kind(&self) -> TransportErrorKind {
        self.kind
    }

    /// Whether every byte of the request had been handed to the network. If not, the server cannot have begun
    /// to work on it, and sending it again cannot do it twice.
    #[must_use]
    pub fn request_sent(&self) -> bool {
        self.request_sent
    }

    /// Whether a limit of this side passed, as opposed to a failure the network reported.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.kind == TransportErrorKind::Timeout
    }

    /// Host and port of the peer.
    #[must_use]
    pub fn peer(&self) -> &str {
        &self.peer
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} while {} ({})", self.kind, Doing(self.phase), self.peer)
    }
}

/// The phase in a form that fits after "while".
struct Doing(TransportPhase);

impl fmt::Display for Doing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            TransportPhase::Tls => formatter.write_str("setting up TLS"),
            phase => phase.fmt(formatter),
        }
    }
}

impl StdError for TransportError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

fn kind_of_hyper(error: &hyper::Error) -> TransportErrorKind {
    if error.is_parse_too_large() {
        return TransportErrorKind::HeadTooLarge;
    }
    if error.is_parse() {
        return TransportErrorKind::NotHttp;
    }
    if error.is_incomplete_message() {
        return TransportErrorKind::Closed;
    }
    if error.is_user() {
        return TransportErrorKind::InvalidRequest;
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<io::Error>() {
            return kind_of_io(cause);
        }
        source = cause.source();
    }
    if error.is_canceled() || error.is_closed() {
        TransportErrorKind::Closed
    } else {
        TransportErrorKind::Other
    }
}

fn kind_of_io(error: &io::Error) -> TransportErrorKind {
    use io::ErrorKind;
    match error.kind() {
        ErrorKind::ConnectionRefused => TransportErrorKind::Refused,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            TransportErrorKind::Reset
        }
        ErrorKind::UnexpectedEof | ErrorKind::NotConnected => TransportErrorKind::Closed,
        ErrorKind::TimedOut => TransportErrorKind::Timeout,
        ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::AddrNotAvailable => TransportErrorKind::Unreachable,
        // hyper reports chunk sizes and body lengths that are no numbers so.
        ErrorKind::InvalidData | ErrorKind::InvalidInput => TransportErrorKind::NotHttp,
        _ => TransportErrorKind::Other,
    }
}
