//! Answers of `api.chutes.ai`.
//!
//! Every field stands for itself: missing, null and misshapen ones are `None`, fields that are not
//! known yet are kept in `extra`, and a list keeps its good items ([`Items`]). Money and quota stay
//! decimal text ([`crate::decimal::Decimal`]); prices of tokens are US dollars per **million**.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::items::Items;
use crate::tolerant;

mod account;
mod catalogue;
mod keys;
mod load;
mod money;
mod platform;
mod quota;

pub use account::{
    Discount, LoginNonce, Me, NameCheck, PriceOverride, ROLE_FREE_ACCOUNT, ROLE_INVOICE_BILLING,
    UsageBucket, UsagePage,
};
pub use catalogue::{Chute, ChutePage, Cord, EstimatedPrice, Instance, Owner, TimePrice};
pub use keys::{
    ApiKey, CreatedApiKey, DeletedApiKey, KeyScope, ModelAlias, NewApiKey, NewKeyScope,
    NewModelAlias,
};
pub use load::{
    DiffusionStats, LlmStats, LlmStatsList, PlatformUsage, Utilization, UtilizationList,
};
pub use money::{Bounty, CurrencyPrices, DailyRevenue, Payment, TaoPayments, UserGrowth};
pub use platform::{
    Evidence, EvidenceList, ExchangeInstance, GpuPrice, KeyExchange, Ping, PlatformPricing,
    QuickWarmup, WarmInstance, WarmupEvent,
};
pub use quota::{
    CapWindow, QuotaAmount, QuotaRow, QuotaUsage, Quotas, SubscriptionUsage, WILDCARD,
};

/// A page of a long answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: DeserializeOwned"))]
pub struct Page<T> {
    /// How many items there are in all.
    #[serde(default, deserialize_with = "tolerant::whole")]
    pub total: Option<i64>,
    /// Which page, from 0.
    #[serde(default, deserialize_with = "tolerant::whole")]
    pub page: Option<i64>,
    /// How many to a page.
    #[serde(default, deserialize_with = "tolerant::whole")]
    pub limit: Option<i64>,
    /// The items that could be read.
    #[serde(default)]
    pub items: Items<T>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
