//! The client keys of the gateway, and what the balance paid for whom.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::LedgerError;
use super::row::{AttemptRow, Coverage};

/// A client key as it is kept: never the key itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKey {
    /// What it is called, in records too.
    pub name: Arc<str>,
    /// The SHA-256 of the key: [`ClientKey::digest`].
    pub digest: [u8; 32],
    /// What its bearer may do.
    pub rules: ClientRules,
    /// When it was made, Unix time in microseconds.
    pub created_at_unix_us: i64,
    /// When it ends by itself, if it does.
    pub expires_at_unix_us: Option<i64>,
    /// When it was revoked, if it was.
    pub revoked_at_unix_us: Option<i64>,
}

/// What the bearer of a key may do, within what the account allows. By default all of that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRules {
    /// Whether the balance may pay.
    pub paygo: ClientPaygo,
    /// Whether it may use what is kept for interactive work.
    pub may_use_reserve: bool,
    /// The balance is not drawn below this, in nano-dollars; `None` for the account's own minimum.
    pub min_balance_nano_usd: Option<i64>,
    /// Whether an account is not used while its figures are not known.
    pub refuses_unknown: bool,
    /// How much of everything.
    pub share: ClientShare,
    /// Patterns of the models it may use; empty for all of them.
    pub models: Vec<String>,
    /// The highest priority of its requests.
    pub highest_priority: ClientPriority,
}

/// How much the bearer of a key may use. What is `None` is not bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientShare {
    /// Nano-dollars at list price from 00:00 to 00:00 UTC, whoever pays.
    pub daily_nano_usd: Option<i64>,
    /// The same for a calendar month, UTC.
    pub monthly_nano_usd: Option<i64>,
    /// Requests from 00:00 to 00:00 UTC.
    pub daily_requests: Option<u64>,
    /// Requests in any 60 seconds.
    pub requests_per_minute: Option<u32>,
    /// Requests at once.
    pub concurrent_requests: Option<u32>,
}

/// How soon a request wants to be served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClientPriority {
    /// Last.
    Batch,
    /// Before batches.
    Agent,
    /// First.
    #[default]
    Interactive,
}

/// Whether the balance may pay for a key's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientPaygo {
    /// As on the account.
    AsAccount,
    /// Never.
    Never,
    /// As far as the account lets it.
    Allow,
    /// As far as the account lets it, and at most so many nano-dollars a day.
    Daily(i64),
}

/// Why a key was not added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddKeyError {
    /// There is one of that name, or was.
    #[error("there is a client key `{0}` already")]
    NameTaken(Arc<str>),
    /// There are as many as there may be.
    #[error("there are {MOST_CLIENT_KEYS} client keys already, which is as many as there may be")]
    TooMany,
    /// The storage failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Client keys that may be kept, revoked ones included.
pub const MOST_CLIENT_KEYS: usize = 200;

/// What the balance paid, or may have paid, in one minute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Paid {
    /// When the minute began, Unix time in microseconds. An attempt counts in the minute in which it ended.
    pub from_unix_us: i64,
    /// The account's label.
    pub account: Option<Arc<str>>,
    /// The name of the client key.
    pub client_key: Option<Arc<str>>,
    /// Nano-dollars, those of attempts of which nobody knows who paid included.
    pub nano_usd: i64,
}

/// What the bearer of a client key has used. A call counts at list price in the day and the month in which it ended, a
/// request in the day in which it began, once anything was sent for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientUse {
    /// The name of the client key.
    pub client_key: Arc<str>,
    /// Nano-dollars of the day.
    pub day_nano_usd: i64,
    /// Nano-dollars of the month.
    pub month_nano_usd: i64,
    /// Requests of the day.
    pub day_requests: u64,
}

/// The client keys of a ledger. They are few, and read as a whole.
pub trait ClientKeys {
    /// All keys, revoked ones included, by name.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn client_keys(&self) -> Result<Vec<ClientKey>, LedgerError>;

    /// Adds a key.
    ///
    /// # Errors
    /// When its name is taken, or the storage cannot be written.
    fn add_client_key(&self, key: ClientKey) -> Result<(), AddKeyError>;

    /// Revokes the key of that name; false if there is none that is not revoked.
    ///
    /// # Errors
    /// When the storage cannot be written.
    fn revoke_client_key(&self, name: &str, at_unix_us: i64) -> Result<bool, LedgerError>;

    /// Forgets a key that was revoked; false if there is none.
    ///
    /// # Errors
    /// When the storage cannot be written.
    fn remove_client_key(&self, name: &str) -> Result<bool, LedgerError>;

    /// What the balance paid since a time (inclusive), by minute, account and client key, ordered by them.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn paid_since(&self, since_unix_us: i64) -> Result<Vec<Paid>, LedgerError>;

    /// What the bearers of client keys used since the day and the month began (inclusive), by name. Who used nothing is
    /// not among them.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn client_use(
        &self,
        day_since_unix_us: i64,
        month_since_unix_us: i64,
    ) -> Result<Vec<ClientUse>, LedgerError>;
}

pub(super) const MINUTE_US: i64 = 60_000_000;

// === impl ClientRules ===

impl Default for ClientRules {
    fn default() -> Self {
        Self {
            paygo: ClientPaygo::AsAccount,
            may_use_reserve: true,
            min_balance_nano_usd: None,
            refuses_unknown: false,
            share: ClientShare::default(),
            models: Vec::new(),
            highest_priority: ClientPriority::default(),
        }
    }
}

// === impl ClientPriority ===

impl ClientPriority {
    /// Every priority, the highest first.
    pub const ALL: [Self; 3] = [Self::Interactive, Self::Agent, Self::Batch];

    /// The word used in the ledger and in output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Agent => "agent",
            Self::Batch => "batch",
        }
    }
}

// === impl ClientKey ===

impl ClientKey {
    /// A key in force that does not end by itself. `secret` is the key itself, which is not kept.
    #[must_use]
    pub fn new(name: &str, secret: &str, rules: ClientRules, created_at_unix_us: i64) -> Self {
        Self {
            name: name.into(),
            digest: Self::digest(secret),
            rules,
            created_at_unix_us,
            expires_at_unix_us: None,
            revoked_at_unix_us: None,
        }
    }

    /// Whether it may be used at this time.
    #[must_use]
    pub fn is_in_force(&self, now_unix_us: i64) -> bool {
        self.revoked_at_unix_us.is_none()
            && self.expires_at_unix_us.is_none_or(|end| end > now_unix_us)
    }

    /// By which a key is known.
    #[must_use]
    pub fn digest(key: &str) -> [u8; 32] {
        Sha256::digest(key.as_bytes()).into()
    }
}

impl AttemptRow {
    /// When it ended, if the balance may have paid for it.
    pub(super) fn paid_at(&self) -> Option<i64> {
        (self.cost.coverage != Some(Coverage::Covered)).then_some(self.ended_at())
    }

    pub(super) fn ended_at(&self) -> i64 {
        let total = i64::try_from(self.timing.total_us).unwrap_or(i64::MAX);
        self.timing.started_at_unix_us.saturating_add(total)
    }
}
