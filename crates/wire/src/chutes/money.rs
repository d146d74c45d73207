//! The platform's public figures: payments, revenue, growth, bounties, the price of TAO.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::decimal::Decimal;
use crate::time::Timestamp;
use crate::tolerant;

/// An item of `GET /payments` (api.md 2.8): what somebody paid in. Everybody may read it, so it is no secret of the payer's.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Payment {
    /// Its id.
    #[serde(deserialize_with = "tolerant::text")]
    pub payment_id: Option<String>,
    /// Where it was sent to, a Bittensor address.
    #[serde(deserialize_with = "tolerant::text")]
    pub ss58_address: Option<String>,
    /// The block of the chain.
    #[serde(deserialize_with = "tolerant::whole")]
    pub block: Option<i64>,
    /// The amount in rao, a thousand-millionth of a TAO.
    #[serde(deserialize_with = "tolerant::whole")]
    pub rao_amount: Option<i64>,
    /// US dollars for one TAO at the time.
    #[serde(deserialize_with = "tolerant::object")]
    pub fmv: Option<Decimal>,
    /// The amount in US dollars.
    #[serde(deserialize_with = "tolerant::object")]
    pub usd_amount: Option<Decimal>,
    /// The transaction.
    #[serde(deserialize_with = "tolerant::text")]
    pub transaction_hash: Option<String>,
    /// When (UTC).
    #[serde(deserialize_with = "tolerant::object")]
    pub timestamp: Option<Timestamp>,
    /// A page that shows the transaction.
    #[serde(deserialize_with = "tolerant::text")]
    pub tx_link: Option<String>,
    /// A page that shows all transactions of the address.
    #[serde(deserialize_with = "tolerant::text")]
    pub transactions_link: Option<String>,
    /// Whether it was paid back; missing if not.
    #[serde(deserialize_with = "tolerant::flag")]
    pub refunded: Option<bool>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// `GET /payments/summary/tao` (api.md 2.8): what was paid in TAO, in US dollars.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TaoPayments {
    /// Today (UTC).
    #[serde(deserialize_with = "tolerant::object")]
    pub today: Option<Decimal>,
    /// This calendar month.
    #[serde(deserialize_with = "tolerant::object")]
    pub this_month: Option<Decimal>,
    /// Ever.
    #[serde(deserialize_with = "tolerant::object")]
    pub total: Option<Decimal>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An item of `GET /daily_revenue_summary` (api.md 2.8), in US dollars.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DailyRevenue {
    /// The day.
    #[serde(deserialize_with = "tolerant::object")]
    pub date: Option<Timestamp>,
    /// New subscribers.
    #[serde(deserialize_with = "tolerant::whole")]
    pub new_subscriber_count: Option<i64>,
    /// What they paid.
    #[serde(deserialize_with = "tolerant::object")]
    pub new_subscriber_revenue: Option<Decimal>,
    /// Paid as you go.
    #[serde(deserialize_with = "tolerant::object")]
    pub paygo_revenue: Option<Decimal>,
    /// Of private instances, not yet charged.
    #[serde(deserialize_with = "tolerant::object")]
    pub pending_instance_revenue: Option<Decimal>,
    /// Inference that somebody else paid for. Missing on older servers.
    #[serde(deserialize_with = "tolerant::object")]
    pub sponsored_inference: Option<Decimal>,
    /// All of it.
    #[serde(deserialize_with = "tolerant::object")]
    pub total_revenue: Option<Decimal>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An item of `GET /users/growth` (api.md 2.8).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UserGrowth {
    /// The day.
    #[serde(deserialize_with = "tolerant::object")]
    pub date: Option<Timestamp>,
    /// Accounts made on it.
    #[serde(deserialize_with = "tolerant::whole")]
    pub daily_count: Option<i64>,
    /// Accounts made until then.
    #[serde(deserialize_with = "tolerant::whole")]
    pub cumulative_count: Option<i64>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An item of `GET /bounties/` (api.md 2.8; recording 269): what miners get for starting a chute of which nothing runs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Bounty {
    /// The chute.
    #[serde(deserialize_with = "tolerant::text")]
    pub chute_id: Option<String>,
    /// The reward, which grows with time; no currency.
    #[serde(deserialize_with = "tolerant::whole")]
    pub bounty_amount: Option<i64>,
    /// Seconds since somebody asked.
    #[serde(deserialize_with = "tolerant::whole")]
    pub seconds_elapsed: Option<i64>,
    /// Seconds until it ends.
    #[serde(deserialize_with = "tolerant::whole")]
    pub time_remaining: Option<i64>,
    /// When somebody asked, in unix seconds with a fraction.
    #[serde(deserialize_with = "tolerant::float")]
    pub created_at: Option<f64>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// `GET /fmv` (api.md 2.8): US dollars for one unit of each currency, by its name in lower case. So far only `tao`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CurrencyPrices {
    /// The prices.
    #[serde(deserialize_with = "tolerant::map")]
    pub prices: BTreeMap<String, Decimal>,
}

impl CurrencyPrices {
    /// US dollars for one TAO.
    #[must_use]
    pub fn tao(&self) -> Option<&Decimal> {
        self.prices.get("tao")
    }
}
