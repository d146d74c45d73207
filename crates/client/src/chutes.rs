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
use ripcord_wire::chat::ChatCompletion;
use ripcord_wire::chutes::{
    Chute, ChutePage, Discount, Me, ModelAlias, Ping, PriceOverride, QuotaUsage, Quotas,
    SubscriptionUsage, UtilizationList,
};
use ripcord_wire::items::Items;
use ripcord_wire::limits::LimitHeaders;
use ripcord_wire::models::ModelList;

use crate::endpoints::Endpoints;
use crate::error::Error;
use crate::key::Key;
use crate::transport::{Target, Transport, TransportError, TransportLimits};

mod call;
mod path;
mod shape;
mod statistics;
mod stream;

pub use path::ChuteQuery;
pub use statistics::StatisticsQuery;
pub use stream::ChatStream;

use call::Plan;
use path::{chute_path, quota_path};

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
    /// For the head of a plain generation, which comes when the generation is done.
    pub plain_chat_first_byte: Duration,
    /// The limits of every call; `first_byte` of the management calls and the streamed chat.
    pub transport: TransportLimits,
    /// The largest list that is read: the catalogue is a few MiB.
    pub list_limit_bytes: usize,
    /// The largest other answer that is read.
    pub answer_limit_bytes: usize,
    /// The longest line of a stream.
    pub stream_line_limit_bytes: usize,
}

impl Default for ChutesSettings {
    fn default() -> Self {
        Self {
            management_deadline: Duration::from_secs(20),
            plain_chat_first_byte: Duration::from_secs(600),
            transport: TransportLimits::default(),
            list_limit_bytes: 32 << 20,
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

    /// `GET /users/me`: name, id, roles, balance. Many keys may not read it.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn me(&self) -> Result<Reply<Me>, Error> {
        self.read(self.account("/users/me")).await
    }

    /// `GET /users/me/quotas`, in its three shapes.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn quotas(&self) -> Result<Reply<Quotas>, Error> {
        self.read(self.account("/users/me/quotas")).await
    }

    /// `GET /users/me/quota_usage/me`: the day's counter. Never asked as `*`, which always answers 0.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn quota_usage(&self) -> Result<Reply<QuotaUsage>, Error> {
        self.read(self.account("/users/me/quota_usage/me")).await
    }

    /// `GET /users/me/quota_usage/{chute_id}`: the counter of a chute with a quota of its own. For any other chute it
    /// is the counter of [`Chutes::quota_usage`].
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn quota_usage_of(&self, chute_id: &str) -> Result<Reply<QuotaUsage>, Error> {
        let plan = self.account("/users/me/quota_usage/{chute_id}").with_path(quota_path(chute_id));
        self.read(plan).await
    }

    /// `GET /users/me/subscription_usage`: the dollar caps.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn subscription_usage(&self) -> Result<Reply<SubscriptionUsage>, Error> {
        self.read(self.account("/users/me/subscription_usage")).await
    }

    /// `GET /users/me/discounts`: usually none.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn discounts(&self) -> Result<Reply<Items<Discount>>, Error> {
        self.read(self.account("/users/me/discounts")).await
    }

    /// `GET /users/me/price_overrides`: usually none.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn price_overrides(&self) -> Result<Reply<Items<PriceOverride>>, Error> {
        self.read(self.account("/users/me/price_overrides")).await
    }

    /// `GET /model_aliases/`: the account's own names for models.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn model_aliases(&self) -> Result<Reply<Items<ModelAlias>>, Error> {
        self.read(self.account("/model_aliases/")).await
    }

    /// `GET /v1/models`: names, contexts, prices. Sent **without** a key: a bad one, or one without the right scope,
    /// gets 401 where none gets 200.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn models(&self) -> Result<Reply<ModelList>, Error> {
        self.read(self.list(&self.llm, "/v1/models")).await
    }

    /// `GET /v1/models` with the key: whether it is alive and may call models (`chutes:invoke`), without spending.
    ///
    /// # Errors
    /// A 401 with [`Cause::DeadKey`](ripcord_rules::cause::Cause::DeadKey) if it may not; see [`Error`].
    pub async fn models_with_key(&self) -> Result<Reply<ModelList>, Error> {
        let plan = self.list(&self.llm, "/v1/models").with_key();
        self.read(Plan { endpoint: Endpoint::Inference, ..plan }).await
    }

    /// `GET /chutes/`: the catalogue with what runs. Sent without a key: most keys are refused here.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn chutes(&self, query: &ChuteQuery) -> Result<Reply<ChutePage>, Error> {
        self.read(self.list(&self.api, "/chutes/").with_path(query.path())).await
    }

    /// `GET /chutes/{id_or_name}`: one chute. Sent without a key.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn chute(&self, id_or_name: &str) -> Result<Reply<Chute>, Error> {
        self.read(self.list(&self.api, "/chutes/{id_or_name}").with_path(chute_path(id_or_name)))
            .await
    }

    /// `GET /chutes/utilization`: load and refusals of every chute. Sent without a key.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn utilization(&self) -> Result<Reply<UtilizationList>, Error> {
        self.read(self.list(&self.api, "/chutes/utilization")).await
    }

    /// `GET /ping`: whether the management API lives. Sent without a key.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn ping(&self) -> Result<Reply<Ping>, Error> {
        self.read(self.list(&self.api, "/ping")).await
    }

    /// `POST /v1/chat/completions`, answered in one piece. The body is sent as it is: bytes that do not change keep
    /// the price of a repetition and the cached prefix (api.md 5.5).
    ///
    /// Dropping the future cancels the connection, but not the bill: a plain call that is left counts in full.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn chat(&self, body: impl Into<Bytes>) -> Result<Reply<ChatCompletion>, Error> {
        let plan = self.inference(&self.llm, "/v1/chat/completions", body.into());
        let limits =
            TransportLimits { first_byte: self.settings.plain_chat_first_byte, ..plan.limits };
        self.read(Plan { limits, ..plan }).await
    }

    /// `POST /v1/chat/completions` with a body that says `"stream": true`.
    ///
    /// Dropping the stream cancels it at Chutes, and a stream that is left costs nothing.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn chat_stream(&self, body: impl Into<Bytes>) -> Result<ChatStream, Error> {
        let plan = self.inference(&self.llm, "/v1/chat/completions", body.into());
        self.open_stream(plan).await
    }

    /// `POST /v1/embeddings`, kept as JSON: the vectors are the caller's.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn embeddings(
        &self,
        body: impl Into<Bytes>,
    ) -> Result<Reply<ripcord_wire::Value>, Error> {
        let plan = self.inference(&self.embed, "/v1/embeddings", body.into());
        self.read(Plan { limit_bytes: self.settings.list_limit_bytes, ..plan }).await
    }

    fn account(&self, path: &'static str) -> Plan<'_> {
        Plan {
            method: Method::GET,
            target: &self.api,
            template: path,
            path: None,
            body: Bytes::new(),
            needs_key: true,
            endpoint: Endpoint::Account,
            limits: self.settings.transport,
            deadline: Some(self.settings.management_deadline),
            limit_bytes: self.settings.answer_limit_bytes,
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
