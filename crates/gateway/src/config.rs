//! What the gateway is told before it starts.

use crate::health::RecoveryLimits;
use ripcord_client::endpoints::{BaseUrl, Endpoints};
use ripcord_client::key::Key;
use ripcord_rules::admit::PaceRule;
use ripcord_rules::events::WatchSettings;
use ripcord_rules::quota::{BookSettings, ModelPrices, Paygo, SpendingPolicy, WhenUnknown};
use ripcord_rules::route::{Place, RoutePolicy};
use ripcord_rules::units::NanoUsd;
use ripcord_store::AccountTag;
use ripcord_wire::trim::Share;
use std::net::SocketAddr;
use std::time::Duration;

/// Everything the gateway is told. Checked by [`crate::Gateway::start`].
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen. Beyond this machine only with client keys and an admin token.
    pub listen: SocketAddr,
    /// What opens the routes of those who run the gateway, from elsewhere than this machine.
    pub admin_token: Option<AdminToken>,
    /// Where Chutes is.
    pub endpoints: Endpoints,
    /// The accounts, in order of preference.
    pub accounts: Vec<AccountConfig>,
    /// Bounds.
    pub limits: Limits,
    /// Names under which clients may call, besides this machine's own (`localhost`, `127.0.0.1`, `[::1]`).
    pub allowed_hosts: Vec<String>,
    /// Web origins whose pages may call, such as `https://chat.example`.
    pub allowed_origins: Vec<String>,
    /// How often the accounts' figures are read.
    pub quota_refresh_interval: Duration,
    /// How far the figures may lag, and what is kept free for others.
    pub book: BookSettings,
    /// What is watched for changes.
    pub watch: WatchConfig,
    /// Where requests may go, and what may be done to get them there.
    pub routing: RoutingConfig,
}

/// Whether a request may be sent without a part of its context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trim {
    /// Never.
    #[default]
    Off,
    /// This much of it, about.
    Share(Share),
}

/// Where requests may go, and what may be done to get them there.
#[derive(Clone, Debug, Default)]
pub struct RoutingConfig {
    /// For requests without a chain.
    pub policy: RoutePolicy,
    /// Whether a request may be sent without a part of its context, where nothing else helps.
    pub trim: Trim,
    /// Names that stand for several models, or models with others behind them.
    pub chains: Vec<ChainConfig>,
    /// Services other than Chutes.
    pub providers: Vec<ProviderConfig>,
}

/// A name, and the models that may serve it.
#[derive(Clone, Debug)]
pub struct ChainConfig {
    /// What clients ask for. One with an owner before a slash is a model, which the chain begins with; any other is
    /// virtual.
    pub name: String,
    /// Best first; `provider:model` for one of a provider.
    pub models: Vec<String>,
    /// For its requests.
    pub policy: RoutePolicy,
    /// As for all others.
    pub trim: Trim,
}

/// An OpenAI-compatible service other than Chutes.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// Its name in output, headers and records, and in `provider:model`.
    pub name: String,
    /// Where it is, the version of its API included.
    pub base_url: BaseUrl,
    /// Its key; none for a service that asks for none.
    pub key: Option<Key>,
    /// Before Chutes or behind it.
    pub place: Place,
    /// Chutes' names and its own for the same models.
    pub models: Vec<(String, String)>,
    /// Whether its models run in a trusted execution environment, by the word of whoever wrote the configuration.
    pub tee: bool,
    /// Attempts under way at once; `None` for as many as on an account.
    pub slots: Option<u32>,
    /// By its own names.
    pub prices: Vec<(String, ModelPrices)>,
    /// What it may cost a day at most, from 00:00 to 00:00 UTC.
    pub daily_usd: Option<NanoUsd>,
    /// Whether its streams tell what was used only if they are asked to.
    pub include_usage: bool,
    /// Whether its models go on with a last message of the assistant that they are given with `continue_final_message`.
    pub prefill: bool,
}

/// The token of those who run the gateway: what is kept of it is its SHA-256.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminToken([u8; 32]);

/// Why a text is no admin token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminTokenError {
    /// It could be guessed.
    #[error("an admin token has at least {SHORTEST_TOKEN} characters")]
    TooShort,
    /// It could not be sent in a header.
    #[error("an admin token has no spaces and no characters beyond ASCII")]
    NotPlain,
}

/// As many as 96 random bits have in Base64.
const SHORTEST_TOKEN: usize = 16;

/// What is told at `/-/events`, and when.
#[derive(Clone, Debug)]
pub struct WatchConfig {
    /// What is news.
    pub settings: WatchSettings,
    /// Models whose state is looked at without being asked for.
    pub models: Vec<String>,
    /// How often it is.
    pub models_refresh_interval: Duration,
}

/// One Chutes account.
#[derive(Clone, Debug)]
pub struct AccountConfig {
    /// Its name in output, headers and records.
    pub label: String,
    /// Its keys; they share its windows and slots.
    pub keys: Vec<Key>,
    /// Whether its balance may pay.
    pub paygo: Paygo,
    /// What to do while its figures are not known.
    pub when_unknown: WhenUnknown,
    /// The policy's other numbers.
    pub spending: SpendingPolicy,
}

/// Bounds of the gateway. The defaults are the product's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Attempts under way at once on each account.
    pub slots_per_account: u32,
    /// How fast attempts may start on each account.
    pub pace: PaceRule,
    /// Requests waiting for a slot. The last tenth of the places is for interactive work, the one before it not for batches.
    pub queue: usize,
    /// The largest request body, in bytes.
    pub body_bytes: usize,
    /// All buffered bodies together, in bytes.
    pub buffered_bytes: usize,
    /// Connections at once; fewer where the limit of open files has no room for two descriptors each. When all places
    /// are taken, the connection that has been idle longest leaves for a newcomer.
    pub connections: usize,
    /// For the head of a request, and for a connection between requests.
    pub header_timeout: Duration,
    /// The longest pause while a request body arrives.
    pub body_timeout: Duration,
    /// Until a request body is complete.
    pub body_total_timeout: Duration,
    /// The longest pause while a client takes nothing of its answer.
    pub write_timeout: Duration,
    /// Until the first byte of an answer, for callers that say nothing.
    pub interactive_deadline: Duration,
    /// Until the first byte of an answer, for agents.
    pub agent_deadline: Duration,
    /// Until the first useful event of a stream.
    pub first_token: Duration,
    /// Until a plain answer, which comes only when all of it has been generated.
    pub plain_answer: Duration,
    /// Between parts of an answer.
    pub stall: Duration,
    /// To connect upstream.
    pub connect: Duration,
    /// A stream that is silent this long gets a comment, so that nothing between takes it for dead.
    pub heartbeat: Duration,
    /// What is done after failures.
    pub recovery: RecoveryLimits,
    /// For requests under way at shutdown. What is left then ends with an error `shutting_down`.
    pub drain: Duration,
}

impl Config {
    /// Whether others than the programs of this machine can reach it.
    pub(crate) fn is_reachable(&self) -> bool {
        !self.listen.ip().to_canonical().is_loopback()
    }
}

impl AdminToken {
    /// Reads a token as somebody wrote it.
    ///
    /// # Errors
    /// When it is too short, or cannot be sent.
    pub fn parse(text: &str) -> Result<Self, AdminTokenError> {
        let text = text.trim();
        if text.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err(AdminTokenError::NotPlain);
        }
        if text.len() < SHORTEST_TOKEN {
            return Err(AdminTokenError::TooShort);
        }
        Ok(Self(ripcord_store::ClientKey::digest(text)))
    }

    pub(crate) const fn digest(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminToken(…)")
    }
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self {
            settings: WatchSettings::default(),
            models: Vec::new(),
            models_refresh_interval: Duration::from_secs(300),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            slots_per_account: 5,
            pace: PaceRule::default(),
            queue: 1_000,
            body_bytes: 32 << 20,
            buffered_bytes: 512 << 20,
            connections: 2_048,
            header_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(30),
            body_total_timeout: Duration::from_secs(300),
            write_timeout: Duration::from_secs(120),
            interactive_deadline: Duration::from_secs(120),
            agent_deadline: Duration::from_secs(600),
            first_token: Duration::from_secs(60),
            plain_answer: Duration::from_secs(600),
            stall: Duration::from_secs(30),
            connect: Duration::from_secs(5),
            heartbeat: Duration::from_secs(10),
            recovery: RecoveryLimits::default(),
            drain: Duration::from_secs(30),
        }
    }
}

impl AccountConfig {
    /// The policy that decides whether the account takes a request.
    pub(crate) fn policy(&self) -> SpendingPolicy {
        SpendingPolicy { paygo: self.paygo, require_balance: false, ..self.spending }
    }
}

/// The same for a provider: its key, or its address where it has none.
pub(crate) fn provider_tag(provider: &ProviderConfig) -> AccountTag {
    let address = provider.base_url.to_string();
    AccountTag::of(provider.key.as_ref().map_or(address.as_str(), Key::expose))
}

/// By which the programs of a machine know that they use one account. Keys of one account give one tag; a token that
/// names no account has a tag of its own.
#[must_use]
pub fn slot_tag(keys: &[Key]) -> AccountTag {
    let id = keys.iter().find_map(Key::account_id);
    let identity = id.as_ref().map(ripcord_client::key::AccountId::as_str);
    AccountTag::of(identity.or_else(|| keys.first().map(Key::expose)).unwrap_or_default())
}
