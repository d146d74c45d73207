//! What each client key has used, for `/-/status`.

use super::figures::{format_time, usd};
use crate::bearers::{Bearer, Share};
use ripcord_rules::time::Wall;
use serde::Serialize;

/// One client key in force. Bounds that it does not have are null.
#[derive(Serialize)]
pub(super) struct ClientStatus {
    client_key: String,
    /// Requests under way, those that wait for a slot included.
    requests_under_way: u32,
    concurrent_requests: Option<u32>,
    requests_today: u64,
    daily_requests: Option<u64>,
    requests_per_minute: Option<u32>,
    /// At list price, whoever pays; without what is under way.
    used_today_usd: f64,
    daily_usd: Option<f64>,
    used_this_month_usd: f64,
    monthly_usd: Option<f64>,
    /// What calls under way are likely to cost.
    reserved_usd: f64,
    expires_at: Option<String>,
}

impl ClientStatus {
    pub(super) fn of(bearer: &Bearer, now: Wall) -> Self {
        let Share { used, reserved, under_way } = bearer.share(now);
        let limits = &bearer.rights.limits;
        Self {
            client_key: bearer.label.as_deref().unwrap_or_default().to_owned(),
            requests_under_way: under_way,
            concurrent_requests: limits.concurrent_requests,
            requests_today: used.today_requests,
            daily_requests: limits.daily_requests,
            requests_per_minute: limits.requests_per_minute,
            used_today_usd: usd(used.today_usd),
            daily_usd: limits.daily_usd.map(usd),
            used_this_month_usd: usd(used.month_usd),
            monthly_usd: limits.monthly_usd.map(usd),
            reserved_usd: usd(reserved),
            expires_at: bearer.rights.expires_at.map(format_time),
        }
    }
}
