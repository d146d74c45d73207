//! What can be changed in a running emulator, and what it knows of a model.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{faults::Fault, specs::StateSpec};

/// Changes to an account; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountChange {
    /// Balance in dollars.
    pub balance_usd: Option<f64>,
    /// Quota of the `*` row.
    pub quota: Option<u64>,
    /// Quotas of single models, by name.
    pub chute_quotas: BTreeMap<String, u64>,
    /// Request units used today against the `*` row.
    pub used_units: Option<f64>,
    /// Dollars used in the running four hours.
    pub four_hour_used_usd: Option<f64>,
    /// Dollars used in the running month.
    pub month_used_usd: Option<f64>,
    /// A new billing anchor: the month starts over at 0.
    pub anchor: Option<String>,
    /// More calls at once than this get the edge's 429; 0 lifts the limit.
    pub max_at_once: Option<u32>,
    /// Deletes this key.
    pub delete_key: Option<usize>,
    /// Forgets every fault before adding others.
    pub clear_faults: bool,
    /// Adds faults.
    pub faults: Vec<Fault>,
}

/// Changes to a model; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelChange {
    /// Its state.
    pub state: Option<StateSpec>,
    /// The share of requests it refuses while busy.
    pub busy_share: Option<f64>,
    /// Milliseconds before the first token.
    pub first_token_ms: Option<u64>,
    /// Tokens a second; 0 sends without delay.
    pub tokens_per_second: Option<f64>,
    /// Length of an ordinary answer.
    pub answer_tokens: Option<u64>,
    /// Seconds to the first token in the platform's statistics.
    pub average_ttft_seconds: Option<f64>,
    /// Tokens a second in the platform's statistics.
    pub average_tokens_per_second: Option<f64>,
    /// Busy share in `/chutes/utilization`, 0 to 1.
    pub utilization: Option<f64>,
    /// Share of refused requests in `/chutes/utilization`, 0 to 1.
    pub rate_limit_ratio: Option<f64>,
    /// Active instances.
    pub instances: Option<u32>,
    /// More calls at once than this get the capacity 429; 0 lifts the limit.
    pub max_at_once: Option<u32>,
    /// Forgets every fault before adding others.
    pub clear_faults: bool,
    /// Adds faults.
    pub faults: Vec<Fault>,
}

/// Changes to the clock, in this order.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClockChange {
    /// Moves to this moment, an ISO timestamp.
    pub now: Option<String>,
    /// Moves forwards by seconds.
    pub advance_seconds: Option<f64>,
    /// Emulated seconds per real second; 0 stops the clock.
    pub speed: Option<f64>,
}

/// What the emulator knows to be true of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelTruth {
    /// Its name.
    pub name: String,
    /// Its chute id.
    pub chute_id: String,
    /// Its state.
    pub state: StateSpec,
    /// Calls running now.
    pub in_flight: u32,
    /// The most calls that ever ran at once.
    pub max_in_flight: u32,
    /// Calls that counted.
    pub served: u64,
    /// Calls refused for capacity.
    pub refused: u64,
    /// Faults in force.
    pub faults: Vec<Fault>,
}
