//! The platform: reachability, hardware prices, attestation, warm-up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::TimePrice;
use crate::decimal::Decimal;
use crate::items::Items;
use crate::models::Amount;
use crate::tolerant;

/// `GET /ping` (api.md 0.4).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Ping {
    /// `pong`.
    #[serde(deserialize_with = "tolerant::text")]
    pub message: Option<String>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Ping {
    /// Whether the service answered as it should.
    #[must_use]
    pub fn is_pong(&self) -> bool {
        self.message.as_deref() == Some("pong")
    }
}

/// `GET /pricing` (api.md 3.5).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PlatformPricing {
    /// US dollars for one TAO.
    #[serde(deserialize_with = "tolerant::object")]
    pub tao_usd: Option<Decimal>,
    /// One unit of compute.
    #[serde(deserialize_with = "tolerant::object")]
    pub compute_unit_estimate: Option<Amount>,
    /// By GPU name.
    #[serde(deserialize_with = "tolerant::map")]
    pub gpu_price_estimates: BTreeMap<String, GpuPrice>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What a GPU costs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GpuPrice {
    /// In US dollars.
    #[serde(deserialize_with = "tolerant::object")]
    pub usd: Option<TimePrice>,
    /// In TAO.
    #[serde(deserialize_with = "tolerant::object")]
    pub tao: Option<TimePrice>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// `GET /chutes/{id}/evidence` (api.md 3.8).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EvidenceList {
    /// One for each instance that answered.
    pub evidence: Items<Evidence>,
    /// Instances that did not.
    #[serde(deserialize_with = "tolerant::texts")]
    pub failed_instance_ids: Option<Vec<String>>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What an instance shows to prove where it runs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Evidence {
    /// The instance.
    #[serde(deserialize_with = "tolerant::text")]
    pub instance_id: Option<String>,
    /// Intel TDX quote, base64.
    #[serde(deserialize_with = "tolerant::text")]
    pub quote: Option<String>,
    /// What its GPUs show, kept as sent.
    #[serde(deserialize_with = "tolerant::object")]
    pub gpu_evidence: Option<Value>,
    /// DER certificate, base64.
    #[serde(deserialize_with = "tolerant::text")]
    pub certificate: Option<String>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The data of an event of `GET /chutes/warmup/{id}` (api.md 3.7).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WarmupEvent {
    /// `cold` or `hot`.
    #[serde(deserialize_with = "tolerant::text")]
    pub status: Option<String>,
    /// What goes on.
    #[serde(deserialize_with = "tolerant::text")]
    pub log: Option<String>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// `GET /e2e/instances/{chute_id}` (api.md 3.9): what end-to-end encryption starts from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyExchange {
    /// Up to five instances.
    pub instances: Items<ExchangeInstance>,
    /// Seconds that the nonces last.
    #[serde(deserialize_with = "tolerant::whole")]
    pub nonce_expires_in: Option<i64>,
    /// Unix seconds at which they end.
    #[serde(deserialize_with = "tolerant::whole")]
    pub nonce_expires_at: Option<i64>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An instance that can be spoken to in secret.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExchangeInstance {
    /// The instance.
    #[serde(deserialize_with = "tolerant::text")]
    pub instance_id: Option<String>,
    /// Its public ML-KEM-768 key, base64.
    #[serde(deserialize_with = "tolerant::text")]
    pub e2e_pubkey: Option<String>,
    /// Single-use tickets.
    #[serde(deserialize_with = "tolerant::texts")]
    pub nonces: Option<Vec<String>>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The answer of `GET /chutes/warmup/{id}?quick=true` (api.md 3.7).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct QuickWarmup {
    /// The chute.
    #[serde(deserialize_with = "tolerant::text")]
    pub chute_id: Option<String>,
    /// `cold` or `hot`.
    #[serde(deserialize_with = "tolerant::text")]
    pub status: Option<String>,
    /// Instances that run.
    #[serde(deserialize_with = "tolerant::whole")]
    pub instance_count: Option<i64>,
    /// The bounty that stands on it now, null without one.
    #[serde(deserialize_with = "tolerant::object")]
    pub bounty: Option<Value>,
    /// The instances.
    pub instances: Items<WarmInstance>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An instance in [`QuickWarmup`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WarmInstance {
    /// The instance.
    #[serde(deserialize_with = "tolerant::text")]
    pub instance_id: Option<String>,
    /// Whether it takes calls.
    #[serde(deserialize_with = "tolerant::flag")]
    pub active: Option<bool>,
    /// How many GPUs it has.
    #[serde(deserialize_with = "tolerant::whole")]
    pub gpu_count: Option<i64>,
    /// Which GPUs.
    #[serde(deserialize_with = "tolerant::text")]
    pub gpu_model_name: Option<String>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
