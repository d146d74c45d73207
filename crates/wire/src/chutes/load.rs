//! How busy chutes are, and how fast they were.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::decimal::Decimal;
use crate::time::Timestamp;
use crate::tolerant;

/// `GET /chutes/utilization` (api.md 3.4): a bare list, one row per hosted chute.
pub type UtilizationList = crate::items::Items<Utilization>;

/// How busy one chute is. Null ratios mean no traffic, not health.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Utilization {
    /// The chute.
    #[serde(deserialize_with = "tolerant::text")]
    pub chute_id: Option<String>,
    /// Its name; `[private chute]` for those of others.
    #[serde(deserialize_with = "tolerant::text")]
    pub name: Option<String>,
    /// When it was measured (UTC).
    #[serde(deserialize_with = "tolerant::object")]
    pub timestamp: Option<Timestamp>,
    /// Busy share of its slots now, 0 to 1.
    #[serde(deserialize_with = "tolerant::float")]
    pub utilization_current: Option<f64>,
    /// Busy share of its slots over 5 minutes, 0 to 1.
    #[serde(deserialize_with = "tolerant::float")]
    pub utilization_5m: Option<f64>,
    /// Busy share of its slots over 15 minutes, 0 to 1.
    #[serde(deserialize_with = "tolerant::float")]
    pub utilization_15m: Option<f64>,
    /// Busy share of its slots over an hour, 0 to 1.
    #[serde(deserialize_with = "tolerant::float")]
    pub utilization_1h: Option<f64>,
    /// Share of requests refused for capacity over 5 minutes.
    #[serde(deserialize_with = "tolerant::float")]
    pub rate_limit_ratio_5m: Option<f64>,
    /// Share of requests refused for capacity over 15 minutes.
    #[serde(deserialize_with = "tolerant::float")]
    pub rate_limit_ratio_15m: Option<f64>,
    /// Share of requests refused for capacity over an hour.
    #[serde(deserialize_with = "tolerant::float")]
    pub rate_limit_ratio_1h: Option<f64>,
    /// Requests over 5 minutes.
    #[serde(deserialize_with = "tolerant::float")]
    pub total_requests_5m: Option<f64>,
    /// Requests over 15 minutes.
    #[serde(deserialize_with = "tolerant::float")]
    pub total_requests_15m: Option<f64>,
    /// Requests over an hour.
    #[serde(deserialize_with = "tolerant::float")]
    pub total_requests_1h: Option<f64>,
    /// Requests answered over 5 minutes.
    #[serde(deserialize_with = "tolerant::float")]
    pub completed_requests_5m: Option<f64>,
    /// Requests answered over 15 minutes.
    #[serde(deserialize_with = "tolerant::float")]
    pub completed_requests_15m: Option<f64>,
    /// Requests answered over an hour.
    #[serde(deserialize_with = "tolerant::float")]
    pub completed_requests_1h: Option<f64>,
    /// Requests refused for capacity over 5 minutes.
    #[serde(deserialize_with = "tolerant::float")]
    pub rate_limited_requests_5m: Option<f64>,
    /// Requests refused for capacity over 15 minutes.
    #[serde(deserialize_with = "tolerant::float")]
    pub rate_limited_requests_15m: Option<f64>,
    /// Requests refused for capacity over an hour.
    #[serde(deserialize_with = "tolerant::float")]
    pub rate_limited_requests_1h: Option<f64>,
    /// Instances that the autoscaler sees.
    #[serde(deserialize_with = "tolerant::whole")]
    pub instance_count: Option<i64>,
    /// All instances.
    #[serde(deserialize_with = "tolerant::whole")]
    pub total_instance_count: Option<i64>,
    /// Instances that take calls now.
    #[serde(deserialize_with = "tolerant::whole")]
    pub active_instance_count: Option<i64>,
    /// Instances that the autoscaler wishes for.
    #[serde(deserialize_with = "tolerant::whole")]
    pub target_count: Option<i64>,
    /// Whether more instances are wished for than there are.
    #[serde(deserialize_with = "tolerant::flag")]
    pub scalable: Option<bool>,
    /// How many more.
    #[serde(deserialize_with = "tolerant::whole")]
    pub scale_allowance: Option<i64>,
    /// What the autoscaler did; free text.
    #[serde(deserialize_with = "tolerant::text")]
    pub action_taken: Option<String>,
    /// How much miners are paid more.
    #[serde(deserialize_with = "tolerant::float")]
    pub effective_multiplier: Option<f64>,
    /// Older name of `utilization_1h`.
    #[serde(deserialize_with = "tolerant::float")]
    pub avg_busy_ratio: Option<f64>,
    /// Older name of `total_requests_1h`.
    #[serde(deserialize_with = "tolerant::float")]
    pub total_invocations: Option<f64>,
    /// Older name of `rate_limited_requests_1h`.
    #[serde(deserialize_with = "tolerant::float")]
    pub total_rate_limit_errors: Option<f64>,
    /// 2025 only.
    #[serde(deserialize_with = "tolerant::flag")]
    pub update_in_progress: Option<bool>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// `GET /invocations/stats/llm` (api.md 3.5): platform-wide, per chute and day.
pub type LlmStatsList = crate::items::Items<LlmStats>;

/// One chute on one day, for everybody's requests.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LlmStats {
    /// The chute.
    #[serde(deserialize_with = "tolerant::text")]
    pub chute_id: Option<String>,
    /// Its name; `[private]` for those of others.
    #[serde(deserialize_with = "tolerant::text")]
    pub name: Option<String>,
    /// The day.
    #[serde(deserialize_with = "tolerant::object")]
    pub date: Option<Timestamp>,
    /// Requests.
    #[serde(deserialize_with = "tolerant::whole")]
    pub total_requests: Option<i64>,
    /// Prompt tokens.
    #[serde(deserialize_with = "tolerant::whole")]
    pub total_input_tokens: Option<i64>,
    /// Generated tokens.
    #[serde(deserialize_with = "tolerant::whole")]
    pub total_output_tokens: Option<i64>,
    /// Generated tokens per second.
    #[serde(deserialize_with = "tolerant::float")]
    pub average_tps: Option<f64>,
    /// Seconds to the first token.
    #[serde(deserialize_with = "tolerant::float")]
    pub average_ttft: Option<f64>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An item of `GET /invocations/stats/diffusion` (api.md 3.5): one chute on one day, for everybody's requests.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DiffusionStats {
    /// The chute.
    #[serde(deserialize_with = "tolerant::text")]
    pub chute_id: Option<String>,
    /// Its name.
    #[serde(deserialize_with = "tolerant::text")]
    pub name: Option<String>,
    /// The day.
    #[serde(deserialize_with = "tolerant::object")]
    pub date: Option<Timestamp>,
    /// Requests.
    #[serde(deserialize_with = "tolerant::whole")]
    pub total_requests: Option<i64>,
    /// Diffusion steps.
    #[serde(deserialize_with = "tolerant::whole")]
    pub total_steps: Option<i64>,
    /// Steps per second; 0 where there were none.
    #[serde(deserialize_with = "tolerant::float")]
    pub average_sps: Option<f64>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An item of `GET /invocations/usage` (api.md 3.5): platform-wide, 11 days.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PlatformUsage {
    /// The chute.
    #[serde(deserialize_with = "tolerant::text")]
    pub chute_id: Option<String>,
    /// The day.
    #[serde(deserialize_with = "tolerant::object")]
    pub date: Option<Timestamp>,
    /// US dollars.
    #[serde(deserialize_with = "tolerant::object")]
    pub usd_amount: Option<Decimal>,
    /// Calls.
    #[serde(deserialize_with = "tolerant::whole")]
    pub invocation_count: Option<i64>,
    /// Other fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
