//! What calls cost an account: at the list price, unless it has prices or discounts of its own.

use ripcord_client::chutes::Chutes;
use ripcord_client::key::Key;
use ripcord_client::terms::read_terms;
use ripcord_rules::quota::{AccountPrices, CallCost, CallSize, ModelPrices};
use ripcord_rules::units::{MilliUnits, NanoUsd};

use crate::accounts::Account;
use crate::catalogue::Entry;

/// A call to a model before it is known who pays for it.
#[derive(Debug, Clone)]
pub(crate) struct PricedCall {
    chute_id: Option<String>,
    listed: Option<ModelPrices>,
    tokens: CallSize,
    cached_tokens: u64,
}

/// What an account pays otherwise than the list says, with the first of its keys that may read it.
pub(crate) async fn own(public: &Chutes, keys: &[Key]) -> AccountPrices {
    let mut prices = AccountPrices::default();
    for key in keys {
        let newer = read_terms(&public.clone().with_key(key.clone())).await.prices;
        prices = prices.followed_by(newer);
        if prices.own_count().is_some() {
            break;
        }
    }
    prices
}

// === impl PricedCall ===

impl PricedCall {
    /// A call of this size, of whose prompt so many tokens are found in a cache.
    pub(crate) fn new(entry: &Entry, tokens: CallSize, cached_tokens: u64) -> Self {
        let (chute_id, listed) = (entry.chute_id.clone(), entry.list_prices());
        Self { chute_id, listed, tokens, cached_tokens }
    }

    /// At the list price, as far as it is known.
    pub(crate) fn listed(&self) -> Option<NanoUsd> {
        self.listed.map(|prices| prices.cost(self.tokens, self.cached_tokens))
    }

    /// What it costs this account, as far as its prices were read.
    pub(crate) fn cost_for(&self, account: &Account) -> CallCost {
        let of_nobody = AccountPrices::default();
        let own = account.prices.as_ref().unwrap_or(&of_nobody);
        let prices = own.of(self.chute_id.as_deref(), self.listed);
        CallCost {
            units: MilliUnits::ONE,
            usd: prices.map(|prices| prices.cost(self.tokens, self.cached_tokens)),
        }
    }
}
