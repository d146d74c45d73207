//! Who an account is, what it pays, what it used.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::decimal::Decimal;
use crate::time::Timestamp;
use crate::tolerant;

/// `GET /users/me` (api.md 2.1).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Me {
    /// The account's name.
    #[serde(deserialize_with = "tolerant::text")]
    pub username: Option<String>,
    /// The account's id.
    #[serde(deserialize_with = "tolerant::text")]
    pub user_id: Option<String>,
    /// When it was made.
    #[serde(deserialize_with = "tolerant::object")]
    pub created_at: Option<Timestamp>,
    /// Public half of its Bittensor hotkey.
    #[serde(deserialize_with = "tolerant::text")]
    pub hotkey: Option<String>,
    /// Public half of its Bittensor coldkey.
    #[serde(deserialize_with = "tolerant::text")]
    pub coldkey: Option<String>,
    /// Where to send TAO.
    #[serde(deserialize_with = "tolerant::text")]
    pub payment_address: Option<String>,
    /// Role bits; see [`Me::has_role`].
    #[serde(deserialize_with = "tolerant::whole")]
    pub permissions_bitmask: Option<i64>,
    /// The roles in words.
    #[serde(deserialize_with = "tolerant::texts")]
    pub permissions: Option<Vec<String>>,
    /// US dollars, already lowered by what private instances cost; may be negative.
    #[serde(deserialize_with = "tolerant::object")]
    pub balance: Option<Decimal>,
    /// Subnet roles; null, or a list of numbers.
    #[serde(deserialize_with = "tolerant::object")]
    pub netuids: Option<Value>,
    /// Always null; see [`super::Quotas`].
    #[serde(deserialize_with = "tolerant::object")]
    pub quotas: Option<Value>,
    /// Its picture.
    #[serde(deserialize_with = "tolerant::text")]
    pub logo_id: Option<String>,
    /// URL of its picture.
    #[serde(deserialize_with = "tolerant::text")]
    pub logo: Option<String>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The role whose accounts have no quota and no balance checks.
pub const ROLE_FREE_ACCOUNT: i64 = 16;
/// The role whose accounts are billed later and have no quota.
pub const ROLE_INVOICE_BILLING: i64 = 256;

impl Me {
    /// Whether the account has this role bit; `None` if its roles are not known.
    #[must_use]
    pub fn has_role(&self, bit: i64) -> Option<bool> {
        self.permissions_bitmask.map(|bits| bits & bit != 0)
    }
}

/// An item of `GET /users/me/discounts` (api.md 2.5).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Discount {
    /// The account.
    #[serde(deserialize_with = "tolerant::text")]
    pub user_id: Option<String>,
    /// A chute, or `*`.
    #[serde(deserialize_with = "tolerant::text")]
    pub chute_id: Option<String>,
    /// Fraction from 0 to 1.
    #[serde(deserialize_with = "tolerant::object")]
    pub discount: Option<Decimal>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An item of `GET /users/me/price_overrides` (api.md 2.5), in US dollars. Later servers add `cache_discount` and
/// `pricing_rules`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PriceOverride {
    /// The account.
    #[serde(deserialize_with = "tolerant::text")]
    pub user_id: Option<String>,
    /// A chute, or `*`.
    #[serde(deserialize_with = "tolerant::text")]
    pub chute_id: Option<String>,
    /// Per request.
    #[serde(deserialize_with = "tolerant::object")]
    pub per_request: Option<Decimal>,
    /// Per million prompt tokens.
    #[serde(deserialize_with = "tolerant::object")]
    pub per_million_in: Option<Decimal>,
    /// Per million generated tokens.
    #[serde(deserialize_with = "tolerant::object")]
    pub per_million_out: Option<Decimal>,
    /// Per diffusion step.
    #[serde(deserialize_with = "tolerant::object")]
    pub per_step: Option<Decimal>,
    /// Fraction taken off for prompt tokens found in a cache.
    #[serde(deserialize_with = "tolerant::object")]
    pub cache_discount: Option<Decimal>,
    /// Rules that come before all these; their form is not known.
    #[serde(deserialize_with = "tolerant::object")]
    pub pricing_rules: Option<Value>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// `GET /users/me/usage` (api.md 2.6): hours, newest first. `total` counts hours, or rows when asked per chute.
pub type UsagePage = super::Page<UsageBucket>;

/// One hour of use.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UsageBucket {
    /// When the hour began (UTC).
    #[serde(deserialize_with = "tolerant::object")]
    pub bucket: Option<Timestamp>,
    /// US dollars charged to the balance: 0 for what a subscription covered.
    #[serde(deserialize_with = "tolerant::object")]
    pub amount: Option<Decimal>,
    /// Requests.
    #[serde(deserialize_with = "tolerant::whole")]
    pub count: Option<i64>,
    /// Prompt tokens.
    #[serde(deserialize_with = "tolerant::whole")]
    pub input_tokens: Option<i64>,
    /// Generated tokens.
    #[serde(deserialize_with = "tolerant::whole")]
    pub output_tokens: Option<i64>,
    /// The chute, when asked per chute.
    #[serde(deserialize_with = "tolerant::text")]
    pub chute_id: Option<String>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// `GET /users/name_check` (api.md 2.8; recording 274).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NameCheck {
    /// Whether the name has the right form.
    #[serde(deserialize_with = "tolerant::flag")]
    pub valid: Option<bool>,
    /// Whether nobody has it.
    #[serde(deserialize_with = "tolerant::flag")]
    pub available: Option<bool>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// `GET /users/login/nonce` (api.md 2.8): what a wallet signs to log in.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LoginNonce {
    /// To be signed.
    #[serde(deserialize_with = "tolerant::text")]
    pub nonce: Option<String>,
    /// Seconds it lasts.
    #[serde(deserialize_with = "tolerant::whole")]
    pub expires_in: Option<i64>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
