//! Chutes: what is deployed, where it runs, what it costs.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::decimal::Decimal;
use crate::items::Items;
use crate::models::{Amount, PriceTable};
use crate::time::Timestamp;
use crate::tolerant;

/// `GET /chutes/` (api.md 3.2).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ChutePage {
    /// How many there are in all.
    #[serde(deserialize_with = "tolerant::whole")]
    pub total: Option<i64>,
    /// Which page, from 0.
    #[serde(deserialize_with = "tolerant::whole")]
    pub page: Option<i64>,
    /// How many to a page.
    #[serde(deserialize_with = "tolerant::whole")]
    pub limit: Option<i64>,
    /// The chutes that could be read; those without an id could not.
    pub items: Items<Chute>,
    /// Endpoints by `cord_ref_id`, kept as sent.
    #[serde(deserialize_with = "tolerant::object")]
    pub cord_refs: Option<Value>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
/// One deployed model, in a list or alone (api.md 3.3).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Chute {
    /// Its id.
    pub chute_id: String,
    /// The name to send as `model`; `[private chute]` for those of others.
    #[serde(default, deserialize_with = "tolerant::text")]
    pub name: Option<String>,
    /// A line about it.
    #[serde(default, deserialize_with = "tolerant::text")]
    pub tagline: Option<String>,
    /// Whether everybody may use it.
    #[serde(default, deserialize_with = "tolerant::flag")]
    pub public: Option<bool>,
    /// The operator's switch: calls get 503. Missing on older servers.
    #[serde(default, deserialize_with = "tolerant::flag")]
    pub disabled: Option<bool>,
    /// Whether some instance is active and verified; on older servers also true for a disabled chute.
    #[serde(default, deserialize_with = "tolerant::flag")]
    pub hot: Option<bool>,
    /// Its own host name before `.chutes.ai`.
    #[serde(default, deserialize_with = "tolerant::text")]
    pub slug: Option<String>,
    /// `vllm`, `diffusion`, `embedding`, `tei`.
    #[serde(default, deserialize_with = "tolerant::text")]
    pub standard_template: Option<String>,
    /// Whether it runs in a trusted execution environment.
    #[serde(default, deserialize_with = "tolerant::flag")]
    pub tee: Option<bool>,
    /// `hosted`, or `external` for services of others.
    #[serde(default, deserialize_with = "tolerant::text")]
    pub execution_backend: Option<String>,
    /// Requests at once for each instance.
    #[serde(default, deserialize_with = "tolerant::whole")]
    pub concurrency: Option<i64>,
    /// The most instances.
    #[serde(default, deserialize_with = "tolerant::whole")]
    pub max_instances: Option<i64>,
    /// How much miners are paid more.
    #[serde(default, deserialize_with = "tolerant::float")]
    pub boost: Option<f64>,
    /// Load from which more instances are wished for.
    #[serde(default, deserialize_with = "tolerant::float")]
    pub scaling_threshold: Option<f64>,
    /// Idle time after which an instance ends.
    #[serde(default, deserialize_with = "tolerant::whole")]
    pub shutdown_after_seconds: Option<i64>,
    /// The library it was built with.
    #[serde(default, deserialize_with = "tolerant::text")]
    pub chutes_version: Option<String>,
    /// Its revision.
    #[serde(default, deserialize_with = "tolerant::text")]
    pub revision: Option<String>,
    /// Its version.
    #[serde(default, deserialize_with = "tolerant::text")]
    pub version: Option<String>,
    /// Calls so far.
    #[serde(default, deserialize_with = "tolerant::whole")]
    pub invocation_count: Option<i64>,
    /// When it was made.
    #[serde(default, deserialize_with = "tolerant::object")]
    pub created_at: Option<Timestamp>,
    /// When it was changed.
    #[serde(default, deserialize_with = "tolerant::object")]
    pub updated_at: Option<Timestamp>,
    /// Whether `OpenRouter` lists it.
    #[serde(default, deserialize_with = "tolerant::flag")]
    pub openrouter: Option<bool>,
    /// Fraction taken off; 1 makes it free.
    #[serde(default, deserialize_with = "tolerant::object")]
    pub discount: Option<Decimal>,
    /// The machines it wants, kept as sent.
    #[serde(default, deserialize_with = "tolerant::object")]
    pub node_selector: Option<Value>,
    /// GPUs it can run on.
    #[serde(default, deserialize_with = "tolerant::texts")]
    pub supported_gpus: Option<Vec<String>>,
    /// What its compute costs, relative.
    #[serde(default, deserialize_with = "tolerant::float")]
    pub effective_compute_multiplier: Option<f64>,
    /// Reward while no instance runs: a number, an object or null.
    #[serde(default, deserialize_with = "tolerant::object")]
    pub bounty: Option<Value>,
    /// Its list price.
    #[serde(default, deserialize_with = "tolerant::object")]
    pub current_estimated_price: Option<EstimatedPrice>,
    /// Where it runs.
    #[serde(default)]
    pub instances: Items<Instance>,
    /// What it was built from, kept as sent.
    #[serde(default, deserialize_with = "tolerant::object")]
    pub image: Option<Value>,
    /// Who made it.
    #[serde(default, deserialize_with = "tolerant::object")]
    pub user: Option<Owner>,
    /// Its endpoints; null in lists.
    #[serde(default)]
    pub cords: Items<Cord>,
    /// Where in `cord_refs` its endpoints are.
    #[serde(default, deserialize_with = "tolerant::text")]
    pub cord_ref_id: Option<String>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
impl Chute {
    /// How many instances are active and verified.
    #[must_use]
    pub fn ready_instances(&self) -> usize {
        self.instances.iter().filter(|instance| instance.is_ready()).count()
    }
}

/// One running copy of a chute.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Instance {
    /// Its id.
    #[serde(deserialize_with = "tolerant::text")]
    pub instance_id: Option<String>,
    /// Where it runs.
    #[serde(deserialize_with = "tolerant::text")]
    pub region: Option<String>,
    /// Whether it takes calls.
    #[serde(deserialize_with = "tolerant::flag")]
    pub active: Option<bool>,
    /// Whether it was checked.
    #[serde(deserialize_with = "tolerant::flag")]
    pub verified: Option<bool>,
    /// When it was checked.
    #[serde(deserialize_with = "tolerant::object")]
    pub last_verified_at: Option<Timestamp>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
impl Instance {
    /// Whether it is active and verified.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.active == Some(true) && self.verified == Some(true)
    }
}

/// Who made a chute.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Owner {
    /// The account.
    #[serde(deserialize_with = "tolerant::text")]
    pub user_id: Option<String>,
    /// Its name.
    #[serde(deserialize_with = "tolerant::text")]
    pub username: Option<String>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
/// One endpoint of a chute.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Cord {
    /// Its verb inside.
    #[serde(deserialize_with = "tolerant::text")]
    pub method: Option<String>,
    /// Its path inside.
    #[serde(deserialize_with = "tolerant::text")]
    pub path: Option<String>,
    /// Its path outside.
    #[serde(deserialize_with = "tolerant::text")]
    pub public_api_path: Option<String>,
    /// Its verb outside.
    #[serde(deserialize_with = "tolerant::text")]
    pub public_api_method: Option<String>,
    /// What it runs.
    #[serde(deserialize_with = "tolerant::text")]
    pub function: Option<String>,
    /// Whether it streams.
    #[serde(deserialize_with = "tolerant::flag")]
    pub stream: Option<bool>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
/// A list price; which part there is depends on the kind of chute.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EstimatedPrice {
    /// Language models: per million tokens.
    #[serde(deserialize_with = "tolerant::object")]
    pub per_million_tokens: Option<PriceTable>,
    /// Diffusion: per step.
    #[serde(deserialize_with = "tolerant::object")]
    pub per_step: Option<Amount>,
    /// Per request.
    #[serde(deserialize_with = "tolerant::object")]
    pub per_request: Option<Amount>,
    /// By time, in US dollars.
    #[serde(deserialize_with = "tolerant::object")]
    pub usd: Option<TimePrice>,
    /// By time, in TAO.
    #[serde(deserialize_with = "tolerant::object")]
    pub tao: Option<TimePrice>,
    /// Private chutes, kept as sent.
    #[serde(deserialize_with = "tolerant::object")]
    pub hourly_price_range: Option<Value>,
    /// Services of others, kept as sent.
    #[serde(deserialize_with = "tolerant::object")]
    pub rules: Option<Value>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
/// A price by time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TimePrice {
    /// Per hour.
    #[serde(deserialize_with = "tolerant::object")]
    pub hour: Option<Decimal>,
    /// Per second.
    #[serde(deserialize_with = "tolerant::object")]
    pub second: Option<Decimal>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
