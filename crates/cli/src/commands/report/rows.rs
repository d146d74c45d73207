//! A row of a report as JSON.

use ripcord_rules::history::Drift;
use schemars::JsonSchema;
use serde::Serialize;

use super::sums::{Difference, OwnSum, Row, ServerSum};
use crate::figures::usd;
use crate::printer::moment;

/// Some hours.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RowReport {
    /// It holds every hour that begins from here on, UTC …
    from: String,
    /// … and before this.
    until: String,
    /// What Chutes counted; null if not all of it is known, or the row has not begun.
    server: Option<ServerReport>,
    /// What went through the gateway of this machine; null without a ledger, or where it began later.
    gateway: Option<GatewayReport>,
    /// How the two differ, as far as the figures have settled: `none`; `elsewhere` (so many of the server's requests did
    /// not go through this gateway, at the least); `missing` (so many completed calls of the gateway are not in the server's
    /// record); `not_yet` (too young to be compared); `unknown`.
    drift: &'static str,
    /// How many requests, for `elsewhere` and `missing`.
    drift_requests: Option<u64>,
}

/// What Chutes counted.
#[derive(Debug, Serialize, JsonSchema)]
struct ServerReport {
    /// Requests.
    requests: u64,
    /// Prompt tokens.
    prompt_tokens: u64,
    /// Completion tokens.
    completion_tokens: u64,
    /// What was taken from the balance, in US dollars: 0 for what a subscription covered.
    charged_usd: f64,
    /// What the tokens are worth at today's list prices if every prompt came from a cache, in US dollars; never less than
    /// what was charged.
    value_usd_least: f64,
    /// And if none did.
    value_usd_most: f64,
    /// Requests of models whose price is not known: they are in the value as what was charged for them.
    unpriced_requests: u64,
    /// Whether the server left out a figure, so that a sum may be too low.
    incomplete: bool,
}

/// What went through the gateway.
#[derive(Debug, Serialize, JsonSchema)]
struct GatewayReport {
    /// Calls upstream that completed.
    completed: u64,
    /// Calls that Chutes may have counted or not: broken off, left, or without an answer.
    uncertain: u64,
    /// Prompt tokens of completed calls.
    prompt_tokens: u64,
    /// Completion tokens of completed calls.
    completion_tokens: u64,
    /// What all of them cost at the list price of their time, in US dollars.
    list_price_usd: f64,
    /// Calls without a price.
    unpriced: u64,
}

impl From<&Row> for RowReport {
    fn from(row: &Row) -> Self {
        let (drift, drift_requests) = match row.difference {
            Difference::NotYet => ("not_yet", None),
            Difference::Settled(Drift::Unknown) => ("unknown", None),
            Difference::Settled(Drift::None) => ("none", None),
            Difference::Settled(Drift::Elsewhere(count)) => ("elsewhere", Some(count)),
            Difference::Settled(Drift::Missing(count)) => ("missing", Some(count)),
        };
        Self {
            from: moment::utc(row.period.from),
            until: moment::utc(row.period.until),
            server: row.server.map(ServerReport::from),
            gateway: row.own.map(GatewayReport::from),
            drift,
            drift_requests,
        }
    }
}

impl From<ServerSum> for ServerReport {
    fn from(sum: ServerSum) -> Self {
        Self {
            requests: sum.requests,
            prompt_tokens: sum.prompt_tokens,
            completion_tokens: sum.completion_tokens,
            charged_usd: usd(sum.charged),
            value_usd_least: usd(sum.worth.least),
            value_usd_most: usd(sum.worth.most),
            unpriced_requests: sum.unpriced,
            incomplete: sum.incomplete,
        }
    }
}

impl From<OwnSum> for GatewayReport {
    fn from(sum: OwnSum) -> Self {
        Self {
            completed: sum.calls.completed,
            uncertain: sum.calls.uncertain,
            prompt_tokens: sum.prompt_tokens,
            completion_tokens: sum.completion_tokens,
            list_price_usd: usd(sum.list_price),
            unpriced: sum.unpriced,
        }
    }
}
