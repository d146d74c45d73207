//! What Chutes says to a key.

use ripcord_client::key::Key;
use ripcord_rules::quota::Readable;
use schemars::JsonSchema;
use serde::Serialize;

use crate::accounts::Account;
use crate::context::Context;
use crate::upstream::{Reading, Upstream, explain};

/// How a key fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fared {
    /// It may call models.
    Alive,
    /// It may read the account and not call models.
    AccountOnly,
    /// Chutes refuses it: dead, or without a useful scope.
    Refused,
    /// Chutes could not be asked.
    Untested,
}

/// A key and how it fared.
#[derive(Debug, Clone)]
pub(super) struct Tried {
    pub(super) key: Key,
    pub(super) fared: Fared,
    /// Why, where it is not alive.
    pub(super) why: Option<String>,
}

/// An account with its keys, tried.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) reading: Reading,
    pub(super) keys: Vec<Tried>,
}

// === impl Fared ===

impl Fared {
    /// Whether it is worth keeping.
    pub(super) const fn is_good(self) -> bool {
        matches!(self, Self::Alive | Self::AccountOnly)
    }
}

// === impl Trial ===

impl Trial {
    /// Asks Chutes about every key of the account. Costs no request unit.
    pub(super) async fn run(
        account: &Account,
        upstream: &Upstream,
        context: &Context,
    ) -> Option<Self> {
        let reading = upstream.readings(vec![account.clone()], context).await.pop()?;
        let mut keys = Vec::new();
        for key in &account.keys {
            keys.push(try_key(key, account, upstream, context).await);
        }
        Some(Self { reading, keys })
    }
}

async fn try_key(key: &Key, account: &Account, upstream: &Upstream, context: &Context) -> Tried {
    let tried = |fared, why| Tried { key: key.clone(), fared, why };
    let error = match upstream.public().clone().with_key(key.clone()).models_with_key().await {
        Ok(_) => return tried(Fared::Alive, None),
        Err(error) => error,
    };
    if error.status() != Some(401) {
        return tried(Fared::Untested, Some(explain(&error).message));
    }
    let alone = Account { keys: vec![key.clone()], ..account.clone() };
    let reads = upstream.readings(vec![alone], context).await;
    if reads.iter().any(|reading| reading.snapshot.readable == Readable::Yes) {
        return tried(Fared::AccountOnly, Some("it may not call models".to_owned()));
    }
    tried(Fared::Refused, Some("it is dead, or has no useful scope".to_owned()))
}
