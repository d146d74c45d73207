//! What `/v1/quota-stats` answers, field by field as the viewer reads it.

use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// What `GET /v1/quota-stats` and `POST /v1/quota-stats` answer.
#[derive(Debug, Serialize, JsonSchema)]
pub struct QuotaStats {
    /// Each provider by its name: `chutes`.
    pub(super) providers: BTreeMap<&'static str, Provider>,
    /// Everything together, of today.
    pub(super) summary: Summary,
    /// Everything together, of the last 30 days.
    pub(super) global_summary: Summary,
    /// `cache`, or `refreshed` after a POST.
    pub(super) data_source: &'static str,
    /// When the report was made, in seconds since the Unix epoch.
    pub(super) timestamp: f64,
    /// What a POST did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refresh_result: Option<RefreshResult>,
}

/// Sums.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct Summary {
    pub(super) total_providers: usize,
    pub(super) total_credentials: usize,
    pub(super) active_credentials: usize,
    pub(super) exhausted_credentials: usize,
    pub(super) total_requests: u64,
    pub(super) tokens: TokenSums,
    /// US dollars at list price; null if nothing was used.
    pub(super) approx_total_cost: Option<f64>,
}

/// Tokens of several calls.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
pub(super) struct TokenSums {
    pub(super) input_cached: u64,
    pub(super) input_uncached: u64,
    /// The share of cached tokens in percent.
    pub(super) input_cache_pct: f64,
    pub(super) output: u64,
}

/// One provider.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Provider {
    pub(super) provider: &'static str,
    pub(super) credential_count: usize,
    pub(super) active_count: usize,
    pub(super) on_cooldown_count: usize,
    pub(super) exhausted_count: usize,
    /// Calls of today.
    pub(super) total_requests: u64,
    pub(super) tokens: TokenSums,
    /// US dollars at list price; null if nothing was used.
    pub(super) approx_cost: Option<f64>,
    /// The same, of the last 30 days.
    pub(super) global: Sums,
    /// `chutes_global` (request units of the day), `chutes_4h_usd`, `chutes_month` (US dollars at list price).
    pub(super) quota_groups: BTreeMap<&'static str, QuotaGroup>,
    /// The accounts, in the order of the configuration.
    pub(super) credentials: Vec<Credential>,
}

/// Sums of a provider.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Sums {
    pub(super) total_requests: u64,
    pub(super) tokens: TokenSums,
    pub(super) approx_cost: Option<f64>,
}

/// A window over all accounts.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct QuotaGroup {
    pub(super) tiers: BTreeMap<&'static str, Tier>,
    pub(super) windows: BTreeMap<&'static str, GroupWindow>,
    pub(super) fair_cycle_summary: FairCycleSummary,
}

/// How many accounts have a plan.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct Tier {
    pub(super) priority: u8,
    pub(super) total: usize,
}

/// Sums of a window over all accounts whose figures are known.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct GroupWindow {
    pub(super) total_used: f64,
    pub(super) total_remaining: f64,
    pub(super) total_max: f64,
    /// What is left in percent; null without a limit.
    pub(super) remaining_pct: Option<f64>,
    pub(super) tier_availability: BTreeMap<&'static str, TierAvailability>,
}

/// Of the accounts of a plan, those with something left in the window.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct TierAvailability {
    pub(super) total: usize,
    pub(super) available: usize,
}

/// Always zero: Ripcord has no such thing.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct FairCycleSummary {
    pub(super) exhausted_count: usize,
    pub(super) total_count: usize,
}

/// One account.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Credential {
    /// The account's label.
    pub(super) stable_id: String,
    /// The account's label.
    pub(super) identifier: String,
    /// The account's label: the viewer shows this, and would show an address if there were one.
    pub(super) email: String,
    /// The plan: `base`, `plus`, `pro` …; null if not known.
    pub(super) tier: Option<&'static str>,
    pub(super) priority: u8,
    /// Calls under way.
    pub(super) active_requests: u32,
    /// `active`, `cooldown` (it rests, or no key of it works), `exhausted` (no budget).
    pub(super) status: &'static str,
    /// Today.
    pub(super) totals: Totals,
    /// Of the last 30 days.
    pub(super) global: Totals,
    /// By model, today.
    pub(super) model_usage: BTreeMap<String, ModelUsage>,
    /// By group.
    pub(super) group_usage: BTreeMap<&'static str, GroupUsage>,
    /// Rests under way: `_global_` for the account.
    pub(super) cooldowns: BTreeMap<&'static str, Cooldown>,
    /// Always empty: Ripcord has no such thing.
    pub(super) fair_cycle: BTreeMap<&'static str, ()>,
}

/// Sums of some calls.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
pub(super) struct Totals {
    pub(super) request_count: u64,
    pub(super) success_count: u64,
    pub(super) failure_count: u64,
    /// Those that did not come from a cache.
    pub(super) prompt_tokens: u64,
    pub(super) prompt_tokens_cache_read: u64,
    pub(super) prompt_tokens_cache_write: u64,
    pub(super) completion_tokens: u64,
    pub(super) thinking_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) total_tokens: u64,
    /// US dollars at list price.
    pub(super) approx_cost: f64,
    /// In seconds since the Unix epoch; null if not known.
    pub(super) first_used_at: Option<f64>,
    /// In seconds since the Unix epoch; null if not known.
    pub(super) last_used_at: Option<f64>,
}

/// A model's use.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ModelUsage {
    /// Always empty: windows belong to accounts.
    pub(super) windows: BTreeMap<&'static str, ()>,
    pub(super) totals: Totals,
}

/// A group's windows on one account.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct GroupUsage {
    pub(super) windows: BTreeMap<&'static str, CredentialWindow>,
    pub(super) totals: Totals,
    pub(super) fair_cycle_exhausted: bool,
    pub(super) fair_cycle_reason: Option<String>,
    /// Seconds until the window turns, if it is used up.
    pub(super) cooldown_remaining: Option<u64>,
    pub(super) cooldown_source: Option<&'static str>,
    pub(super) custom_cap: Option<()>,
    /// The models that share it: the virtual model `chutes/_quota`.
    pub(super) models: [&'static str; 1],
}

/// A window on one account.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CredentialWindow {
    /// Used: request units, or US dollars at list price.
    pub(super) request_count: f64,
    /// Null without a limit, or where the plan includes nothing.
    pub(super) limit: Option<f64>,
    pub(super) remaining: Option<f64>,
    /// In seconds since the Unix epoch; null if not known.
    pub(super) reset_at: Option<f64>,
    pub(super) max_recorded_requests: Option<u64>,
    pub(super) max_recorded_at: Option<f64>,
    /// `requests` or `usd`.
    pub(super) unit: &'static str,
    /// `server`, `header`, or `estimate` where own calls are counted on top.
    pub(super) source: &'static str,
    /// When the figure was true, in seconds since the Unix epoch.
    pub(super) as_of: f64,
}

/// A rest.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Cooldown {
    pub(super) reason: &'static str,
    pub(super) remaining_seconds: f64,
    pub(super) source: &'static str,
}

/// What a POST did.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RefreshResult {
    /// `reload` or `force_refresh`.
    pub(super) action: &'static str,
    /// `all`, `provider` or `credential`.
    pub(super) scope: &'static str,
    pub(super) provider: Option<String>,
    pub(super) credential: Option<String>,
    /// Whether nothing failed.
    pub(super) success: bool,
    /// In words.
    pub(super) message: String,
    /// Accounts whose figures are fresh now.
    pub(super) credentials_refreshed: usize,
    pub(super) success_count: usize,
    pub(super) failed_count: usize,
    pub(super) duration_ms: u64,
    /// One line for each that failed.
    pub(super) errors: Vec<String>,
}
