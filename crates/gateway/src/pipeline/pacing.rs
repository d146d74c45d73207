//! What the headers of an answer say about how fast attempts may start.

use super::attempt::Order;
use crate::shared::Shared;
use http::HeaderMap;
use ripcord_rules::admit::Allowance;
use ripcord_rules::time::Now;
use ripcord_wire::limits::{LimitHeaders, LimitWindow, Period, Rate, Resource};
use std::time::Duration;

/// Takes over what an answer says.
pub(super) fn hear(shared: &Shared, order: &Order<'_>, headers: &HeaderMap) {
    let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let told = LimitHeaders::read(headers);
    if order.link.service.is_chutes() {
        // Chutes prints a number and says no more; what its load balancers bear is learned (`chutes/api.md` 5.4).
        if let Some(Rate::PerMinute(number)) = told.rl_user {
            shared.gate.hear_printed_pace(order.permit.grant.account, number);
        }
        return;
    }
    let now = shared.clock.now();
    let allowances: Vec<Allowance> =
        told.windows.iter().filter_map(|window| allowance(window, now)).collect();
    // An answer without a word about it takes nothing back.
    if !allowances.is_empty() {
        order.permit.hear_allowances(allowances);
    }
}

/// What a window leaves, if it says so and says until when.
fn allowance(window: &LimitWindow, now: Now) -> Option<Allowance> {
    let left = window.remaining?;
    let counts_requests = match window.resource {
        Resource::Requests | Resource::Unnamed => true,
        Resource::Tokens | Resource::InputTokens | Resource::OutputTokens => false,
    };
    // How many tokens the next request takes is not known, but none are too few.
    let left = if counts_requests || left == 0 { left } else { return None };
    let wait = match window.reset {
        Some(reset) => reset.wait(now.wall.as_unix_micros()),
        None => length(window.period?),
    };
    Some(Allowance { left, until: now.mono.after(wait) })
}

const fn length(period: Period) -> Duration {
    match period {
        Period::Second => Duration::from_secs(1),
        Period::Minute => Duration::from_secs(60),
        Period::Hour => Duration::from_secs(3_600),
        Period::Day => Duration::from_secs(86_400),
        Period::Month => Duration::from_secs(30 * 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ripcord_rules::time::{Mono, Wall};

    fn told(headers: &[(&str, &str)]) -> Vec<(u64, u64)> {
        let now = Now { mono: Mono::from_micros(0), wall: Wall::from_unix_seconds(1_000) };
        let headers = headers.iter().map(|&(name, value)| (name, value.as_bytes()));
        let windows = LimitHeaders::read(headers).windows;
        let told = windows.iter().filter_map(|window| allowance(window, now));
        told.map(|one| (one.left, one.until.as_micros() / 1_000_000)).collect()
    }

    #[test]
    fn requests_that_are_left_count_and_tokens_only_when_none_are() {
        let headers = [
            ("x-ratelimit-remaining-requests", "7"),
            ("x-ratelimit-reset-requests", "30s"),
            ("x-ratelimit-remaining-tokens", "9000"),
            ("x-ratelimit-reset-tokens", "2s"),
        ];
        assert_eq!(told(&headers), [(7, 30)]);
        let spent = [("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "2s")];
        assert_eq!(told(&spent), [(0, 2)]);
    }

    #[test]
    fn a_window_without_an_end_lasts_as_long_as_its_name_says() {
        assert_eq!(told(&[("ratelimit-remaining-minute", "3")]), [(3, 60)]);
        assert_eq!(told(&[("x-ratelimit-remaining", "3")]), []);
        assert_eq!(told(&[("x-ratelimit-limit", "3"), ("x-ratelimit-reset", "9")]), []);
    }
}
