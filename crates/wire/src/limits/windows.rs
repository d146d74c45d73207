//! The `x-ratelimit-*` family: one reader for all the names in use.

use std::time::Duration;

use super::{MAX_WINDOWS, RetryAfter, bounded, number, whole};
use crate::time;

/// What a window counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    /// Requests.
    Requests,
    /// Tokens of any kind.
    Tokens,
    /// Prompt tokens.
    InputTokens,
    /// Generated tokens.
    OutputTokens,
    /// Not said; requests, as a rule.
    Unnamed,
}

/// How long a window lasts, where its headers' names say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A month.
    Month,
}

/// When a window starts anew: in a while or at a moment, read like [`RetryAfter`].
pub type Reset = RetryAfter;

/// One limit of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitWindow {
    /// What it counts.
    pub resource: Resource,
    /// How long it lasts, if named.
    pub period: Option<Period>,
    /// The limit.
    pub limit: Option<u64>,
    /// What is left.
    pub remaining: Option<u64>,
    /// When it starts anew.
    pub reset: Option<Reset>,
}

/// Which figure of a window a header gives.
#[derive(Clone, Copy, PartialEq)]
enum Figure {
    Limit,
    Remaining,
    Reset,
    /// How long the window lasts: its end is no later, where nothing better is said.
    Renewal,
}

/// The starts of such names. Longer ones stand before their own beginnings.
const PREFIXES: [&str; 8] = [
    "x-tokenlimit-",
    "anthropic-ratelimit-",
    "x-ratelimitbysize-",
    "ratelimitbysize-",
    "x-ratelimit-",
    "x-rate-limit-",
    "ratelimit-",
    "rate-limit-",
];

/// Reads one header (its name in lower case), if it is of the family.
pub(super) fn header(name: &str, value: &str, windows: &mut Vec<LimitWindow>) {
    let Some((prefix, words)) =
        PREFIXES.iter().find_map(|prefix| Some((*prefix, name.strip_prefix(prefix)?)))
    else {
        return;
    };
    let mut figure = None;
    let mut resource = None;
    let mut period = None;
    for word in words.split('-') {
        match word {
            "limit" => figure = Some(Figure::Limit),
            "remaining" => figure = Some(Figure::Remaining),
            "reset" => figure = Some(Figure::Reset),
            "renewalperiod" | "timeremaining" => figure = Some(Figure::Renewal),
            "request" | "requests" | "req" => resource = Some(Resource::Requests),
            "input" | "prompt" => resource = Some(Resource::InputTokens),
            "output" | "generated" | "completion" => resource = Some(Resource::OutputTokens),
            "token" | "tokens" => {
                resource = resource.or(Some(Resource::Tokens));
            }
            "second" | "1s" => period = Some(Period::Second),
            "minute" | "1m" => period = Some(Period::Minute),
            "hour" | "1h" => period = Some(Period::Hour),
            "day" | "1d" => period = Some(Period::Day),
            "month" => period = Some(Period::Month),
            // `x-ratelimit-reset-after`: what `-reset` alone means mostly anyway.
            "after" if figure == Some(Figure::Reset) => {}
            // Not one of the three figures.
            "used" | "policy" | "after" | "type" | "over" => return,
            _ => {}
        }
    }
    let Some(figure) = figure else { return };
    // Two names that mean tokens without saying so.
    let tokens = prefix.ends_with("bysize-") || prefix == "x-tokenlimit-";
    let unnamed = if tokens { Resource::Tokens } else { Resource::Unnamed };
    let resource = resource.unwrap_or(unnamed);
    set(windows, resource, period, figure, value);
}

/// `RateLimit: limit=100, remaining=50, reset=30` and `RateLimit: "name";r=50;t=30`.
pub(super) fn structured(value: &str, windows: &mut Vec<LimitWindow>) {
    for part in value.split([',', ';']) {
        let Some((key, value)) = part.split_once('=') else { continue };
        let figure = match key.trim() {
            "limit" | "q" => Figure::Limit,
            "remaining" | "r" => Figure::Remaining,
            "reset" | "t" => Figure::Reset,
            _ => continue,
        };
        set(windows, Resource::Unnamed, None, figure, value.trim());
    }
}

fn set(
    windows: &mut Vec<LimitWindow>,
    resource: Resource,
    period: Option<Period>,
    figure: Figure,
    value: &str,
) {
    let same = |window: &LimitWindow| window.resource == resource && window.period == period;
    let index = match windows.iter().position(same) {
        Some(index) => index,
        None if windows.len() < MAX_WINDOWS => {
            let (limit, remaining, reset) = (None, None, None);
            windows.push(LimitWindow { resource, period, limit, remaining, reset });
            windows.len() - 1
        }
        None => return,
    };
    let Some(window) = windows.get_mut(index) else { return };
    // `100, 100;w=60`: the first figure is the one in force.
    let first = value.split([',', ';']).next().unwrap_or(value).trim();
    match figure {
        Figure::Limit => window.limit = whole(first),
        Figure::Remaining => window.remaining = whole(first),
        Figure::Reset => window.reset = reset(value),
        Figure::Renewal => window.reset = window.reset.or_else(|| reset(value)),
    }
}

/// A reset in any of its forms: seconds, `1m30s`, `250ms`, Unix seconds or milliseconds, ISO time,
/// HTTP date.
fn reset(value: &str) -> Option<Reset> {
    if let Some(figure) = number(value) {
        return Some(match moment(figure) {
            Some(moment) => RetryAfter::At(moment),
            None => RetryAfter::After(bounded(figure)),
        });
    }
    if let Some(wait) = duration(value) {
        return Some(RetryAfter::After(wait));
    }
    time::parse_timestamp(value).or_else(|| time::parse_http_date(value)).map(RetryAfter::At)
}

/// A number too large to be a wait, as Unix microseconds.
///
/// From a thousand million on (2001 in seconds, or 31 years of waiting) it is a moment; its size
/// tells seconds, milliseconds, microseconds and nanoseconds apart.
pub(super) fn moment(figure: f64) -> Option<i64> {
    let micros_per_unit = match figure {
        1e9..1e11 => 1e6,
        1e11..1e14 => 1e3,
        1e14..1e17 => 1.0,
        1e17..1e20 => 1e-3,
        _ => return None,
    };
    // Below 1e17 in every branch, so the cast is exact enough and cannot overflow.
    Some((figure * micros_per_unit) as i64)
}

/// `1m30s`, `6m0s`, `20ms`, `1h2m3.5s`, `2d`.
pub(super) fn duration(value: &str) -> Option<Duration> {
    let mut rest = value.trim();
    if rest.is_empty() {
        return None;
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits =
            rest.find(|character: char| !(character.is_ascii_digit() || character == '.'))?;
        let figure = number(&rest[..digits])?;
        rest = &rest[digits..];
        let letters =
            rest.find(|character: char| !character.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit_seconds = match &rest[..letters] {
            "d" => 86_400.0,
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        seconds += figure * unit_seconds;
        rest = &rest[letters..];
    }
    Some(bounded(seconds))
}
