//! Headers that say how much is left and when to come back.
//!
//! Chutes itself sends `X-Chutes-*` on some successes and never `Retry-After` or
//! `x-ratelimit-*`; its edge and other services send those in many spellings. Values are taken
//! as they are meant where that is clear, bounded where they are absurd, and left out where they
//! cannot be read. Nothing here knows the time: [`RetryAfter::wait`] takes it.

use std::time::Duration;

use crate::time;

mod windows;
pub use windows::{LimitWindow, Period, Reset, Resource};

/// The longest wait that a header can ask for: a month and a day, since no window of any known
/// service is longer.
pub const MAX_WAIT: Duration = Duration::from_secs(32 * 24 * 60 * 60);

/// How many windows of one answer are kept.
const MAX_WINDOWS: usize = 16;
/// Longer values are no numbers, dates or ids.
const MAX_VALUE_BYTES: usize = 256;

/// When the service asks to be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// After this time, at most [`MAX_WAIT`].
    After(Duration),
    /// At this moment (Unix microseconds).
    At(i64),
}

impl RetryAfter {
    /// Reads a wait in any of its forms: seconds, also with a fraction, `1m30s`, a moment in Unix time, an HTTP date,
    /// an ISO time.
    #[must_use]
    pub fn read(value: &str) -> Option<Self> {
        let value = value.trim();
        if value.len() > MAX_VALUE_BYTES {
            return None;
        }
        if let Some(seconds) = number(value) {
            // Nobody waits decades: so many seconds are a moment.
            return Some(match windows::moment(seconds) {
                Some(moment) => Self::At(moment),
                None => after_seconds(seconds),
            });
        }
        if let Some(wait) = windows::duration(value) {
            return Some(Self::After(wait));
        }
        let moment = time::parse_http_date(value).or_else(|| time::parse_timestamp(value))?;
        Some(Self::At(moment))
    }

    /// How long that is from `now` (Unix microseconds), at most [`MAX_WAIT`]. Zero for the past.
    #[must_use]
    pub fn wait(self, now_unix_micros: i64) -> Duration {
        match self {
            Self::After(wait) => wait.min(MAX_WAIT),
            Self::At(moment) => {
                let micros = moment.saturating_sub(now_unix_micros);
                Duration::from_micros(u64::try_from(micros).unwrap_or(0)).min(MAX_WAIT)
            }
        }
    }
}

/// `X-Chutes-Quota-*`: the day quota as it was *before* the request, in whole units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChutesQuota {
    /// Units per day. 0 means that nothing is included.
    pub total: Option<u64>,
    /// Units used, cut to whole ones.
    pub used: Option<u64>,
    /// Units left, cut to whole ones.
    pub remaining: Option<u64>,
}

/// `X-Chutes-RL-*`: a rate that may be without limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// Requests per minute.
    PerMinute(u64),
    /// `inf`, as private chutes have it.
    Unlimited,
}

/// Everything that the headers of one answer say about limits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LimitHeaders {
    /// `Retry-After`, `retry-after-ms` and their like; the longest where there are several.
    pub retry_after: Option<RetryAfter>,
    /// `x-should-retry`, as OpenAI's clients read it.
    pub should_retry: Option<bool>,
    /// Every `x-ratelimit-*` and its like, in the order of their first headers.
    pub windows: Vec<LimitWindow>,
    /// `X-Chutes-Quota-*`.
    pub chutes_quota: Option<ChutesQuota>,
    /// `X-Chutes-RL-User`. Only printed by Chutes, not enforced by it.
    pub rl_user: Option<Rate>,
    /// `X-Chutes-RL-Chute`.
    pub rl_chute: Option<Rate>,
    /// `X-Chutes-Invoice-Billing`.
    pub invoice_billing: bool,
    /// `X-Chutes-InvocationID`.
    pub invocation_id: Option<String>,
    /// `Date` (Unix microseconds), to learn how far the clocks differ.
    pub date: Option<i64>,
}

impl LimitHeaders {
    /// Reads the headers of an answer. Names may be in any case, values any bytes.
    #[must_use]
    pub fn read<'a>(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut read = Self::default();
        for (name, value) in headers {
            let mut lower = [0_u8; 64];
            let Some(lower) = lower.get_mut(..name.len()) else { continue };
            lower.copy_from_slice(name.as_bytes());
            lower.make_ascii_lowercase();
            let Ok(name) = std::str::from_utf8(lower) else { continue };
            if value.len() <= MAX_VALUE_BYTES
                && let Ok(value) = std::str::from_utf8(value)
            {
                read.header(name, value.trim());
            }
        }
        read
    }

    /// The window that counts requests, the most used up one where there are several.
    #[must_use]
    pub fn requests(&self) -> Option<&LimitWindow> {
        self.tightest(|resource| matches!(resource, Resource::Requests | Resource::Unnamed))
    }

    /// The window that counts tokens, the most used up one where there are several.
    #[must_use]
    pub fn tokens(&self) -> Option<&LimitWindow> {
        self.tightest(|resource| {
            matches!(resource, Resource::Tokens | Resource::InputTokens | Resource::OutputTokens)
        })
    }

    /// Whether some window has nothing left.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.spent().next().is_some()
    }

    /// The windows with nothing left.
    pub fn spent(&self) -> impl Iterator<Item = &LimitWindow> {
        self.windows.iter().filter(|window| window.remaining == Some(0))
    }

    /// How long the answer asks to wait from `now` (Unix microseconds): in so many words, else until the last of the
    /// windows with nothing left starts anew.
    #[must_use]
    pub fn wait(&self, now_unix_micros: i64) -> Option<Duration> {
        let turn = |window: &LimitWindow| window.reset;
        let turns = self.spent().filter_map(turn).map(|reset| reset.wait(now_unix_micros));
        self.retry_after.map(|hint| hint.wait(now_unix_micros)).or_else(|| turns.max())
    }

    fn tightest(&self, wanted: impl Fn(Resource) -> bool) -> Option<&LimitWindow> {
        self.windows
            .iter()
            .filter(|window| wanted(window.resource))
            .min_by_key(|window| window.remaining.unwrap_or(u64::MAX))
    }

    fn header(&mut self, name: &str, value: &str) {
        match name {
            "retry-after" | "x-retry-after" | "retry-after-seconds" | "x-ratelimit-retry-after" => {
                self.retry(RetryAfter::read(value));
            }
            "retry-after-ms" | "x-ms-retry-after-ms" | "x-retry-after-ms" => {
                self.retry(number(value).map(|millis| after_seconds(millis / 1000.0)));
            }
            "x-should-retry" => self.should_retry = boolean(value),
            "date" => self.date = time::parse_http_date(value),
            "ratelimit" => windows::structured(value, &mut self.windows),
            _ => {
                if let Some(name) = name.strip_prefix("x-chutes-") {
                    self.chutes_header(name, value);
                } else if self.windows.len() < MAX_WINDOWS {
                    windows::header(name, value, &mut self.windows);
                }
            }
        }
    }

    /// A shorter hint never shortens a longer one; a date never replaces a duration.
    fn retry(&mut self, hint: Option<RetryAfter>) {
        self.retry_after = match (self.retry_after, hint) {
            (Some(RetryAfter::After(one)), Some(RetryAfter::After(other))) => {
                Some(RetryAfter::After(one.max(other)))
            }
            (Some(RetryAfter::At(one)), Some(RetryAfter::At(other))) => {
                Some(RetryAfter::At(one.max(other)))
            }
            (Some(RetryAfter::At(_)), Some(after @ RetryAfter::After(_))) => Some(after),
            (one, other) => one.or(other),
        };
    }

    fn chutes_header(&mut self, name: &str, value: &str) {
        let quota = self.chutes_quota.unwrap_or_default();
        let quota = match name {
            "quota-total" => ChutesQuota { total: whole(value), ..quota },
            "quota-used" => ChutesQuota { used: whole(value), ..quota },
            "quota-remaining" => ChutesQuota { remaining: whole(value), ..quota },
            "rl-user" => {
                self.rl_user = rate(value);
                return;
            }
            "rl-chute" => {
                self.rl_chute = rate(value);
                return;
            }
            "invoice-billing" => {
                self.invoice_billing = boolean(value).unwrap_or(false);
                return;
            }
            "invocationid" => {
                self.invocation_id = identifier(value);
                return;
            }
            _ => return,
        };
        self.chutes_quota = Some(quota);
    }
}

fn after_seconds(seconds: f64) -> RetryAfter {
    RetryAfter::After(bounded(seconds))
}

/// Seconds as a duration between zero and [`MAX_WAIT`].
fn bounded(seconds: f64) -> Duration {
    let seconds = seconds.clamp(0.0, MAX_WAIT.as_secs_f64());
    Duration::try_from_secs_f64(seconds).unwrap_or(MAX_WAIT)
}

/// A finite decimal number. Words that Rust takes for numbers (`inf`, `nan`) are none here.
fn number(value: &str) -> Option<f64> {
    let plain =
        value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'));
    if !plain {
        return None;
    }
    value.parse().ok().filter(|number: &f64| number.is_finite())
}

/// A count; fractions are cut, negative ones are zero.
fn whole(value: &str) -> Option<u64> {
    if let Ok(count) = value.parse() {
        return Some(count);
    }
    let count = number(&value.replace(',', ""))?;
    // The cast saturates, which bounds absurd values.
    Some(count.max(0.0) as u64)
}

fn rate(value: &str) -> Option<Rate> {
    let unlimited = ["inf", "infinity", "unlimited"];
    if unlimited.iter().any(|word| value.eq_ignore_ascii_case(word)) {
        return Some(Rate::Unlimited);
    }
    whole(value).map(Rate::PerMinute)
}

fn boolean(value: &str) -> Option<bool> {
    match value {
        "true" | "True" | "1" => Some(true),
        "false" | "False" | "0" => Some(false),
        _ => None,
    }
}

/// An id that is fit for logs.
fn identifier(value: &str) -> Option<String> {
    let plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
    (plain && !value.is_empty() && value.len() <= 128).then(|| value.to_owned())
}

#[cfg(test)]
mod tests;
