//! What went wrong with a call: which one, whose fault, and what to do next. Never a key, never a prompt.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ripcord_rules::cause::{Cause, Endpoint, Failure, classify};

use crate::oauth::OAuthFault;
use crate::transport::{TransportError, TransportErrorKind};

mod advice;

use advice::{blame_for, hint_for_answer, hint_for_transport};

/// Who has to do something about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The caller: a key, an address, a request.
    You,
    /// The account: its plan, its windows, its balance, what its key may do.
    Account,
    /// Chutes.
    Chutes,
    /// What lies between.
    Network,
    /// This crate, or the version of Chutes that it was written for.
    Ripcord,
}

/// One endpoint as errors name it. Holds a template, never an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) peer: Arc<str>,
    pub(crate) endpoint: Endpoint,
    /// Whether its path or body holds what the caller gave.
    pub(crate) is_callers: bool,
}

impl fmt::Display for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} at {}", self.method, self.path, self.peer)
    }
}

/// A call that failed.
///
/// `Display` names the endpoint and what happened, in lower case and without advice; the advice is
/// [`Error::hint`]. Neither it nor `Debug` contains a key.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    call: Call,
    kind: ErrorKind,
}

/// What happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The call needs a key and the client has none.
    NoKey,
    /// It failed below HTTP.
    Transport(TransportError),
    /// The whole call took longer than it may.
    Deadline {
        /// The limit.
        after: Duration,
    },
    /// The API answered that it failed.
    Answered {
        /// The status.
        status: u16,
        /// What the body says, on one line.
        message: String,
        /// The facts.
        failure: Failure,
    },
    /// A web page answered: a proxy, a captive portal, or the load balancers.
    WebPage {
        /// The status.
        status: u16,
        /// What the page says, on one line.
        summary: String,
        /// The facts.
        failure: Failure,
    },
    /// The address redirects, and redirects are not followed: a key would go along.
    Redirected {
        /// The status.
        status: u16,
        /// The host it points to, where it names one.
        to_host: Option<String>,
    },
    /// The answer is not what this endpoint answers.
    Unreadable {
        /// In which way.
        fault: Unreadable,
        /// A few cleaned characters from around the place.
        excerpt: String,
    },
    /// The answer is larger than is read.
    TooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// The identity provider refuses.
    OAuthRefused {
        /// The status.
        status: u16,
        /// Why.
        fault: OAuthFault,
    },
    /// The server said inside a stream that it failed, or the stream ended without its end.
    BrokenStream {
        /// What was said, on one line.
        message: String,
        /// The facts.
        failure: Failure,
    },
}

/// In which way an answer is unreadable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreadable {
    /// It is not JSON.
    NotJson {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// It is JSON that stops in the middle.
    EndsEarly,
    /// It is JSON of another shape.
    OtherShape,
    /// It is compressed, though that was not asked for.
    Compressed,
    /// A line of the stream is too long.
    LineTooLong,
}

impl Error {
    pub(crate) fn new(call: Call, kind: ErrorKind) -> Self {
        Self(Box::new(Inner { call, kind }))
    }

    /// The same call with another account of what happened.
    pub(crate) fn with_kind(&self, kind: ErrorKind) -> Self {
        Self::new(self.0.call.clone(), kind)
    }

    /// What happened.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// The endpoint, such as `GET /users/me at api.chutes.ai:443`.
    #[must_use]
    pub fn call(&self) -> String {
        self.0.call.to_string()
    }

    /// The HTTP status, if one came.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self.kind() {
            ErrorKind::Answered { status, .. }
            | ErrorKind::WebPage { status, .. }
            | ErrorKind::OAuthRefused { status, .. }
            | ErrorKind::Redirected { status, .. } => Some(*status),
            ErrorKind::BrokenStream { .. }
            | ErrorKind::Unreadable { .. }
            | ErrorKind::TooLarge { .. } => Some(200),
            ErrorKind::NoKey | ErrorKind::Transport(_) | ErrorKind::Deadline { .. } => None,
        }
    }

    /// The facts for [`ripcord_rules::cause::classify`], where there was an answer.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match self.kind() {
            ErrorKind::Answered { failure, .. }
            | ErrorKind::WebPage { failure, .. }
            | ErrorKind::BrokenStream { failure, .. } => Some(failure),
            ErrorKind::NoKey
            | ErrorKind::Transport(_)
            | ErrorKind::Deadline { .. }
            | ErrorKind::Redirected { .. }
            | ErrorKind::OAuthRefused { .. }
            | ErrorKind::Unreadable { .. }
            | ErrorKind::TooLarge { .. } => None,
        }
    }

    /// What the answer means.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        self.failure().map(classify)
    }

    /// Whether the account endpoint refused the key: its figures cannot be read with it. It may still call models.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.cause() == Some(Cause::AccountUnreadable)
    }

    /// Whether the same call may work a little later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self.kind() {
            ErrorKind::Transport(error) => !matches!(
                error.kind(),
                TransportErrorKind::Certificate
                    | TransportErrorKind::InvalidRequest
                    | TransportErrorKind::ShuttingDown
            ),
            ErrorKind::Deadline { .. } | ErrorKind::BrokenStream { .. } => true,
            ErrorKind::Unreadable { fault, .. } => *fault == Unreadable::EndsEarly,
            ErrorKind::NoKey
            | ErrorKind::Redirected { .. }
            | ErrorKind::OAuthRefused { .. }
            | ErrorKind::TooLarge { .. } => false,
            ErrorKind::Answered { .. } | ErrorKind::WebPage { .. } => matches!(
                self.cause(),
                Some(
                    Cause::Capacity
                        | Cause::EdgeRateLimit
                        | Cause::Cold
                        | Cause::Transient
                        | Cause::Silent
                        | Cause::EdgeBlock
                )
            ),
        }
    }

    /// Who has to do something about it.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self.kind() {
            ErrorKind::NoKey | ErrorKind::Redirected { .. } | ErrorKind::OAuthRefused { .. } => {
                Blame::You
            }
            ErrorKind::Transport(error) if error.kind() == TransportErrorKind::InvalidRequest => {
                Blame::Ripcord
            }
            ErrorKind::Transport(_) | ErrorKind::Deadline { .. } => Blame::Network,
            ErrorKind::Unreadable { fault: Unreadable::OtherShape, .. }
            | ErrorKind::TooLarge { .. } => Blame::Ripcord,
            ErrorKind::Unreadable { .. } | ErrorKind::BrokenStream { .. } => Blame::Chutes,
            ErrorKind::WebPage { .. } => Blame::Network,
            ErrorKind::Answered { failure, .. } => blame_for(classify(failure), &self.0.call),
        }
    }

    /// What to do next, as a sentence without a period.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self.kind() {
            ErrorKind::NoKey => "set CHUTES_API_KEY, or add the key to the configuration",
            ErrorKind::Transport(error) => hint_for_transport(error),
            ErrorKind::Deadline { .. } => {
                "the service is slow or the connection is; try again in a minute"
            }
            ErrorKind::WebPage { failure, .. } if classify(failure) == Cause::EdgeRateLimit => {
                "the load balancers of Chutes limit this account or address; wait a few minutes and send less"
            }
            ErrorKind::WebPage { failure, .. } if classify(failure) == Cause::EdgeBlock => {
                "something in front of the API refused the connection, not the key: Google's load balancer, a proxy or a captive portal; try again, then from another network"
            }
            ErrorKind::WebPage { .. } => {
                "a proxy or captive portal answered instead of the API; open a page in a browser, and check the proxy and the address"
            }
            ErrorKind::Redirected { .. } => {
                "check the address; with the right one the API never redirects"
            }
            ErrorKind::Unreadable { fault: Unreadable::OtherShape, .. }
            | ErrorKind::TooLarge { .. } => {
                "the API may have changed; look for a newer version, or report this"
            }
            ErrorKind::Unreadable { .. } => {
                "check that the address is that of Chutes, then try again"
            }
            ErrorKind::BrokenStream { .. } => "the answer is not whole; ask again",
            ErrorKind::OAuthRefused { fault, .. } => fault.hint(),
            ErrorKind::Answered { failure, .. } => hint_for_answer(failure, &self.0.call),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let call = &self.0.call;
        match self.kind() {
            ErrorKind::NoKey => write!(formatter, "{call} needs a key"),
            ErrorKind::Transport(error) => write!(formatter, "{call} failed: {error}"),
            ErrorKind::Deadline { after } => write!(formatter, "{call} took longer than {after:?}"),
            ErrorKind::Answered { status, message, .. } => {
                write!(formatter, "{call} answered {status}: {message}")
            }
            ErrorKind::WebPage { status, summary, .. } => {
                write!(formatter, "{call} answered {status} with a web page: {summary}")
            }
            ErrorKind::Redirected { status, to_host: Some(host) } => {
                write!(formatter, "{call} answered {status}, a redirect to {host}")
            }
            ErrorKind::Redirected { status, to_host: None } => {
                write!(formatter, "{call} answered {status}, a redirect")
            }
            ErrorKind::Unreadable { fault, excerpt } => {
                write!(formatter, "the answer of {call} {fault}")?;
                if excerpt.is_empty() { Ok(()) } else { write!(formatter, ", near `{excerpt}`") }
            }
            ErrorKind::TooLarge { limit_bytes } => {
                write!(
                    formatter,
                    "the answer of {call} is larger than {} MiB",
                    limit_bytes.div_ceil(1 << 20)
                )
            }
            ErrorKind::OAuthRefused { status, fault } => {
                write!(formatter, "{call} answered {status}: {fault}")
            }
            ErrorKind::BrokenStream { message, .. } => {
                write!(formatter, "the stream of {call} broke: {message}")
            }
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self.kind() {
            ErrorKind::Transport(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson { line, column } => {
                write!(formatter, "is not JSON (line {line}, column {column})")
            }
            Self::EndsEarly => formatter.write_str("is JSON that ends early"),
            Self::OtherShape => formatter.write_str("is JSON of another shape than expected"),
            Self::Compressed => formatter.write_str("is compressed, though that was not asked for"),
            Self::LineTooLong => formatter.write_str("has a line that is too long"),
        }
    }
}
