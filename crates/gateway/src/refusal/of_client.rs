//! What the bearers of client keys are refused for reasons of their own.

use super::Refusal;
use crate::bearers::{Bearer, Ended};
use http::StatusCode;
use ripcord_rules::clients::{Bound, Full};
use ripcord_rules::quota::WindowKind;
use ripcord_rules::time::Wall;
use ripcord_rules::units::NanoUsd;
use std::time::Duration;

/// Nobody knows when one of the requests under way is over.
const ONE_ENDS_SOON: Duration = Duration::from_secs(2);
/// Patterns that a message names.
const NAMED_PATTERNS: usize = 5;

impl Refusal {
    pub(crate) fn key_ended(why: Ended) -> Self {
        let message = match why {
            Ended::Revoked => "the client key was revoked",
            Ended::Expired => "the client key has expired",
        };
        let message =
            format!("{message}; whoever runs the gateway makes another with `ripcord keys add`");
        Self::of_request(StatusCode::UNAUTHORIZED, "invalid_api_key", &message)
    }

    /// The bearer's share does not allow the request now. `likely` is what the call may cost, where that is known.
    pub(crate) fn of_share(bearer: &Bearer, full: &Full, likely: NanoUsd, now: Wall) -> Self {
        let name = bearer.label.as_deref().unwrap_or_default();
        let (window, message) = match full.bound {
            Bound::DailyUsd(bound) => {
                (WindowKind::Day, of_dollars(name, "day", bound, full, likely))
            }
            Bound::MonthlyUsd(bound) => {
                (WindowKind::Month, of_dollars(name, "month", bound, full, likely))
            }
            Bound::DailyRequests(most) => {
                let message = format!(
                    "client key `{name}` has made the {} that it may make a day{}",
                    requests(most),
                    super::until(full.turns_at, now)
                );
                (WindowKind::Day, message)
            }
            Bound::Pace(most) => {
                let message =
                    format!("client key `{name}` may make {} a minute", requests(most.into()));
                return Self::too_fast(&message, full.wait);
            }
            Bound::Concurrent(most) => {
                let message = format!(
                    "client key `{name}` has {} under way, which is as many as it may at once",
                    requests(most.into())
                );
                return Self::too_fast(&message, Some(ONE_ENDS_SOON));
            }
        };
        Self {
            retry_after: full.turns_at.map(|turns| turns.since(now)),
            ..Self::of_request(StatusCode::PAYMENT_REQUIRED, "budget_exhausted", &message)
        }
        .with_window(Some(window), full.turns_at)
    }

    /// Calls under way may need all that is left of the bearer's budget, and the deadline came before they were over.
    pub(crate) fn share_is_taken(bearer: &Bearer) -> Self {
        let name = bearer.label.as_deref().unwrap_or_default();
        let why = format!(
            "calls under way may need all that is left of the budget of client key `{name}`"
        );
        Self::deadline(&why, Some(ONE_ENDS_SOON))
    }

    fn too_fast(message: &str, wait: Option<Duration>) -> Self {
        Self::waiting(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", message, wait)
    }

    /// The bearer may not use what the request names.
    pub(crate) fn model_not_allowed(bearer: &Bearer, model: &str) -> Self {
        let name = bearer.label.as_deref().unwrap_or_default();
        let patterns: Vec<&str> = bearer.rights.models.iter().collect();
        let named = patterns.iter().take(NAMED_PATTERNS).map(|one| format!("`{one}`"));
        let mut allowed = named.collect::<Vec<_>>().join(", ");
        if patterns.len() > NAMED_PATTERNS {
            allowed.push_str(" and others");
        }
        let message = format!(
            "client key `{name}` may not use `{model}`, or something that this name may stand for; it may use {allowed}"
        );
        Self::of_request(StatusCode::FORBIDDEN, "not_allowed", &message)
            .with_reply(|reply| reply.with_param("model"))
    }
}

fn requests(number: u64) -> String {
    if number == 1 { "1 request".to_owned() } else { format!("{number} requests") }
}

fn of_dollars(name: &str, span: &str, bound: NanoUsd, full: &Full, likely: NanoUsd) -> String {
    let left = full.left;
    if left == NanoUsd::ZERO {
        return format!("client key `{name}` has used up its budget of {bound} a {span}");
    }
    format!(
        "of the budget of client key `{name}`, {bound} a {span}, {left} is left, and this call may cost {likely}; with a \
         smaller `max_tokens` it may cost less"
    )
}
