//! What an account may use: quotas, and what is used of them.

use std::collections::BTreeMap;

use serde::de::Deserializer;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::decimal::Decimal;
use crate::items::Items;
use crate::time::Timestamp;
use crate::tolerant;

/// The chute id of the quota that counts for every chute without one of its own.
pub const WILDCARD: &str = "*";

/// A daily quota in request units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QuotaAmount {
    /// So many a day. 0 means that nothing is included: pure pay-as-you-go.
    PerDay(u64),
    /// The word `unlimited` in the number's place.
    Unlimited,
}

impl QuotaAmount {
    fn of(value: &Value) -> Option<Self> {
        if value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("unlimited")) {
            return Some(Self::Unlimited);
        }
        tolerant::as_whole(value).and_then(|units| u64::try_from(units).ok()).map(Self::PerDay)
    }
}

impl<'de> Deserialize<'de> for QuotaAmount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::of(&value).ok_or_else(|| serde::de::Error::custom("neither a number nor `unlimited`"))
    }
}

impl Serialize for QuotaAmount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::PerDay(units) => serializer.serialize_u64(*units),
            Self::Unlimited => serializer.serialize_str("unlimited"),
        }
    }
}

/// `GET /users/me/quotas` (api.md 2.2), in its three shapes.
#[derive(Debug, Clone, PartialEq)]
pub enum Quotas {
    /// A list of rows: a normal account.
    Rows(Items<QuotaRow>),
    /// `{}`: a role without quotas (free account or invoice billing).
    NoLimits,
    /// A map from chute id to quota: an account without rows, which has these defaults.
    Defaults(BTreeMap<String, QuotaAmount>),
}

impl Quotas {
    /// The quota for every chute without one of its own; `None` if it is not said.
    #[must_use]
    pub fn wildcard(&self) -> Option<QuotaAmount> {
        self.for_chute(WILDCARD)
    }

    /// The row for every chute without one of its own.
    #[must_use]
    pub fn wildcard_row(&self) -> Option<&QuotaRow> {
        match self {
            Self::Rows(rows) => rows.iter().find(|row| row.chute_id == WILDCARD),
            Self::NoLimits | Self::Defaults(_) => None,
        }
    }

    /// A chute's own quota; `None` if it has none.
    #[must_use]
    pub fn for_chute(&self, chute_id: &str) -> Option<QuotaAmount> {
        match self {
            Self::Rows(rows) => rows.iter().find(|row| row.chute_id == chute_id)?.quota,
            Self::NoLimits => Some(QuotaAmount::Unlimited),
            Self::Defaults(map) => map.get(chute_id).copied(),
        }
    }

    /// Chutes that have a quota of their own, which has a counter of its own.
    pub fn own_quotas(&self) -> impl Iterator<Item = (&str, QuotaAmount)> {
        let (rows, map) = match self {
            Self::Rows(rows) => (Some(rows), None),
            Self::NoLimits => (None, None),
            Self::Defaults(map) => (None, Some(map)),
        };
        let rows = rows.into_iter().flatten();
        let rows = rows.filter_map(|row| Some((row.chute_id.as_str(), row.quota?)));
        let defaults = map.into_iter().flatten().map(|(id, quota)| (id.as_str(), *quota));
        rows.chain(defaults).filter(|(chute_id, _)| *chute_id != WILDCARD)
    }
}

impl<'de> Deserialize<'de> for Quotas {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Array(list) => Ok(Self::Rows(Items::from_list(list))),
            Value::Object(map) if map.is_empty() => Ok(Self::NoLimits),
            // An error document or the like must not read as "no quota for anything".
            Value::Object(map) => {
                let quotas: BTreeMap<String, QuotaAmount> = map
                    .iter()
                    .filter_map(|(id, quota)| Some((id.clone(), QuotaAmount::of(quota)?)))
                    .collect();
                if quotas.is_empty() {
                    return Err(serde::de::Error::custom("an object without quotas"));
                }
                Ok(Self::Defaults(quotas))
            }
            _ => Err(serde::de::Error::custom("neither a list nor an object of quotas")),
        }
    }
}

impl Serialize for Quotas {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Rows(rows) => rows.serialize(serializer),
            Self::NoLimits => Map::new().serialize(serializer),
            Self::Defaults(map) => map.serialize(serializer),
        }
    }
}

/// One quota.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct QuotaRow {
    /// A chute, or `*` for all others.
    pub chute_id: String,
    /// Request units per day. For `*` also the only sign of the plan.
    #[serde(default, deserialize_with = "tolerant::object")]
    pub quota: Option<QuotaAmount>,
    /// The account.
    #[serde(default, deserialize_with = "tolerant::text")]
    pub user_id: Option<String>,
    /// Whether nobody set it.
    #[serde(default, deserialize_with = "tolerant::flag")]
    pub is_default: Option<bool>,
    /// Where the billing month is anchored, since 2026.
    #[serde(default, deserialize_with = "tolerant::object")]
    pub effective_date: Option<Timestamp>,
    /// When it was set; the anchor where there is no `effective_date`.
    #[serde(default, deserialize_with = "tolerant::object")]
    pub updated_at: Option<Timestamp>,
    /// Always null by now.
    #[serde(default, deserialize_with = "tolerant::object")]
    pub payment_refresh_date: Option<Timestamp>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
/// `GET /users/me/quota_usage/me` (api.md 2.3). Ask for `me`: with `*` the server always says 0.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct QuotaUsage {
    /// Request units per day.
    #[serde(deserialize_with = "tolerant::object")]
    pub quota: Option<QuotaAmount>,
    /// Units used since 00:00 UTC, with fractions.
    #[serde(deserialize_with = "tolerant::object")]
    pub used: Option<Decimal>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
/// `GET /users/me/subscription_usage` (api.md 2.4): the dollar caps.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SubscriptionUsage {
    /// Whether there is one. `None` if that could not be read.
    #[serde(deserialize_with = "tolerant::flag")]
    pub subscription: Option<bool>,
    /// Whether its month is without cap.
    #[serde(deserialize_with = "tolerant::flag")]
    pub custom: Option<bool>,
    /// US dollars.
    #[serde(deserialize_with = "tolerant::object")]
    pub monthly_price: Option<Decimal>,
    /// Where the billing month is anchored.
    #[serde(deserialize_with = "tolerant::object")]
    pub anchor_date: Option<Timestamp>,
    /// As in the quota row.
    #[serde(deserialize_with = "tolerant::object")]
    pub effective_date: Option<Timestamp>,
    /// As in the quota row.
    #[serde(deserialize_with = "tolerant::object")]
    pub updated_at: Option<Timestamp>,
    /// The fixed bucket of four hours.
    #[serde(deserialize_with = "tolerant::object")]
    pub four_hour: Option<CapWindow>,
    /// The anchored month.
    #[serde(deserialize_with = "tolerant::object")]
    pub monthly: Option<CapWindow>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
/// A dollar cap and what is used of it, at list price.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CapWindow {
    /// Used.
    #[serde(deserialize_with = "tolerant::object")]
    pub usage: Option<Decimal>,
    /// The cap.
    #[serde(deserialize_with = "tolerant::object")]
    pub cap: Option<Decimal>,
    /// Left, never below 0.
    #[serde(deserialize_with = "tolerant::object")]
    pub remaining: Option<Decimal>,
    /// When it starts anew; missing on older servers, and in the past while a renewal is not booked.
    #[serde(deserialize_with = "tolerant::object")]
    pub reset_at: Option<Timestamp>,
    /// True, and nothing else, where there is no cap.
    #[serde(deserialize_with = "tolerant::flag")]
    pub uncapped: Option<bool>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
