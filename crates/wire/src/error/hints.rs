//! When to come back, as the bodies of failed answers say it. Headers say it better, but many services send none.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::limits::{LimitHeaders, RetryAfter};

/// How many details or headers of a body are looked at.
const MAX_ITEMS: usize = 32;
/// How much of a message is looked at.
const MAX_SPOKEN_BYTES: usize = 4096;

/// Fields of an error object that hold a wait, and what one of their units is worth in milliseconds.
const FIELDS: [(&str, u32); 7] = [
    ("retry_after", 1_000),
    ("retry_after_seconds", 1_000),
    ("retryAfter", 1_000),
    ("retry_after_ms", 1),
    // Hugging Face: until the model is loaded.
    ("estimated_time", 1_000),
    ("wait_seconds", 1_000),
    ("retryDelay", 1_000),
];

/// The wait that an error object holds in a field.
pub(super) fn of_fields(object: &Map<String, Value>) -> Option<RetryAfter> {
    let own = FIELDS.iter().find_map(|(key, unit_millis)| {
        let seconds = match object.get(*key)? {
            Value::Number(number) => number.as_f64()? * f64::from(*unit_millis) / 1_000.0,
            Value::String(text) if *unit_millis == 1_000 => return RetryAfter::read(text),
            _ => return None,
        };
        RetryAfter::read(&format!("{seconds}"))
    });
    // Google's `RetryInfo`.
    own.or_else(|| {
        let details = object.get("details")?.as_array()?;
        details
            .iter()
            .take(MAX_ITEMS)
            .find_map(|detail| RetryAfter::read(detail.as_object()?.get("retryDelay")?.as_str()?))
    })
}

/// OpenRouter's `metadata`: limit headers as members.
pub(super) fn of_metadata(metadata: &Map<String, Value>) -> Option<RetryAfter> {
    let headers = metadata.get("headers").and_then(Value::as_object);
    let texts = headers
        .into_iter()
        .flatten()
        .take(MAX_ITEMS)
        .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?.as_bytes())));
    let limits = LimitHeaders::read(texts);
    let reset = limits.spent().find_map(|window| window.reset);
    limits.retry_after.or(reset).or_else(|| of_fields(metadata))
}

/// What comes before a wait that is told in words.
const PHRASES: [&str; 6] =
    ["try again in ", "retry in ", "retry after ", "try again after ", "please wait ", "wait for "];

/// A wait in the words of a message: `Please try again in 6.78s.`, `Please retry after 13 seconds.`
pub(super) fn spoken(message: &str) -> Option<RetryAfter> {
    let lower = message.get(..MAX_SPOKEN_BYTES).unwrap_or(message).to_ascii_lowercase();
    PHRASES.iter().find_map(|phrase| {
        let said = &lower[lower.find(phrase)? + phrase.len()..];
        let mut words = said.split_whitespace();
        let first = words.next()?.trim_end_matches(['.', ',', ';', ')', '`', '"']);
        let unit = words.next().unwrap_or_default();
        let unit = unit.trim_end_matches(['.', ',', ';', ')']);
        let unit = match unit.strip_suffix('s').unwrap_or(unit) {
            "second" | "sec" => "s",
            "minute" | "min" => "m",
            "hour" => "h",
            "day" => "d",
            "millisecond" | "m" => "ms",
            _ => "",
        };
        let is_number = first.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if is_number && unit.is_empty() {
            return None;
        }
        let told = if is_number { format!("{first}{unit}") } else { first.to_owned() };
        match RetryAfter::read(&told)? {
            wait @ RetryAfter::After(length) if length > Duration::ZERO => Some(wait),
            _ => None,
        }
    })
}
