//! The typed endpoints.
//!
//! ```no_run
//! use ripcord_client::chutes::Chutes;
//! use ripcord_client::endpoints::Endpoints;
//! use ripcord_client::key::Key;
//! use ripcord_client::transport::{Transport, TransportSettings};
//!
//! # async fn example(pasted: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let transport = Transport::new(TransportSettings::default());
//! let (key, warnings) = Key::parse(pasted)?;
//! let chutes = Chutes::new(&Endpoints::official(), transport)?.with_key(key);
//! let used = chutes.quota_usage().await?;
//! println!("{:?} of {:?}", used.value.used, used.value.quota);
//! # Ok(())
//! # }
//! ```

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use ripcord_rules::cause::Endpoint;
use ripcord_wire::limits::LimitHeaders;

use crate::endpoints::Endpoints;
use crate::key::Key;
use crate::transport::{Target, Transport, TransportError, TransportLimits};

mod account;
mod answer;
mod attestation;
mod call;
mod catalogue;
mod exports;
mod inference;
mod keys;
mod oauth;
mod path;
mod secrets;
mod shape;
mod standing;
mod statistics;
mod stream;
mod warmup;

pub use account::{UsageHistory, UsageQuery};
pub use attestation::{Nonce, NonceProblem};
pub use exports::{Export, ExportHour, ExportKind, RecentQuery};
pub use path::{ChuteQuery, PageQuery};
pub use standing::KeyStanding;
pub use statistics::StatisticsQuery;
pub use stream::{ChatStream, Chunk, ChunkStream, CompletionStream};
pub use warmup::WarmupStream;

use call::{JSON, JSON_OR_EVENTS, Plan};

/// A client of the Chutes API. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Chutes {
    transport: Transport,
    api: Target,
    llm: Target,
    embed: Target,
    key: Option<Key>,
    settings: ChutesSettings,
}

/// How long and how large answers may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChutesSettings {
    /// For a whole management call, from connecting to the last byte.
    pub management_deadline: Duration,
    /// For a whole export or attestation, which are large or slow.
    pub slow_deadline: Duration,
    /// For the head of a plain generation, which comes when the generation is done.
    pub plain_chat_first_byte: Duration,
    /// The limits of every call; `first_byte` of the management calls and the streamed chat.
    pub transport: TransportLimits,
    /// The largest list that is read: the catalogue is a few MiB.
    pub list_limit_bytes: usize,
    /// The largest export that is read. An hour of the whole platform is large.
    pub export_limit_bytes: usize,
    /// The largest other answer that is read.
    pub answer_limit_bytes: usize,
    /// The longest line of a stream.
    pub stream_line_limit_bytes: usize,
}

impl Default for ChutesSettings {
    fn default() -> Self {
        Self {
            management_deadline: Duration::from_secs(20),
            slow_deadline: Duration::from_secs(120),
            plain_chat_first_byte: Duration::from_secs(600),
            transport: TransportLimits::default(),
            list_limit_bytes: 32 << 20,
            export_limit_bytes: 256 << 20,
            answer_limit_bytes: 8 << 20,
            stream_line_limit_bytes: 4 << 20,
        }
    }
}

/// A successful answer.
#[derive(Clone, Debug)]
pub struct Reply<T> {
    /// What the body says.
    pub value: T,
    /// What the headers say: quota, rate, and the server's `Date`.
    pub limits: LimitHeaders,
}

impl<T> Reply<T> {
    /// The same answer with another value.
    pub fn map<Other>(self, map: impl FnOnce(T) -> Other) -> Reply<Other> {
        Reply { value: map(self.value), limits: self.limits }
    }
}

impl Chutes {
    /// A client without a key.
    ///
    /// # Errors
    /// If TLS cannot be set up or a host cannot stand in a header.
    pub fn new(endpoints: &Endpoints, transport: Transport) -> Result<Self, TransportError> {
        Ok(Self {
            api: transport.target(&endpoints.api)?,
            llm: transport.target(&endpoints.llm)?,
            embed: transport.target(&endpoints.embed)?,
            transport,
            key: None,
            settings: ChutesSettings::default(),
        })
    }

    /// The same client with this key.
    #[must_use]
    pub fn with_key(mut self, key: Key) -> Self {
        self.key = Some(key);
        self
    }

    /// The same client with other limits.
    #[must_use]
    pub fn with_settings(mut self, settings: ChutesSettings) -> Self {
        self.settings = settings;
        self
    }

    /// The key, if there is one.
    #[must_use]
    pub fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    fn account(&self, path: &'static str) -> Plan<'_> {
        Plan {
            method: Method::GET,
            target: &self.api,
            template: path,
            path: None,
            body: Bytes::new(),
            content_type: JSON,
            accept: JSON_OR_EVENTS,
            needs_key: true,
            endpoint: Endpoint::Account,
            limits: self.settings.transport,
            deadline: Some(self.settings.management_deadline),
            limit_bytes: self.settings.answer_limit_bytes,
            secrets: Vec::new(),
        }
    }

    fn list<'a>(&'a self, target: &'a Target, path: &'static str) -> Plan<'a> {
        Plan {
            target,
            needs_key: false,
            endpoint: Endpoint::Public,
            limit_bytes: self.settings.list_limit_bytes,
            ..self.account(path)
        }
    }

    fn inference<'a>(&'a self, target: &'a Target, path: &'static str, body: Bytes) -> Plan<'a> {
        Plan {
            method: Method::POST,
            target,
            body,
            endpoint: Endpoint::Inference,
            // Generations take as long as they take; the transport's limits watch over them.
            deadline: None,
            ..self.account(path)
        }
    }
}
