//! Every header of an answer, with what it means where that is known.

use http::{HeaderName, HeaderValue};
use ripcord_rules::time::Wall;
use ripcord_wire::limits::{LimitHeaders, RetryAfter};
use ripcord_wire::text::{clean, clean_bytes};
use schemars::JsonSchema;
use serde::Serialize;

use crate::printer::moment::{self, Moments};

/// More than this is no header that speaks of limits.
const VALUE_CHARS: usize = 200;
const NAME_CHARS: usize = 80;
/// More headers than this are not shown.
const MOST: usize = 100;

/// A header with what it means.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct HeaderReport {
    /// Its name, in lower case.
    pub(super) name: String,
    /// Its value, cleaned and shortened.
    pub(super) value: String,
    /// What it speaks of.
    pub(super) about: About,
    /// What it means; null where that is not known.
    pub(super) meaning: Option<String>,
}

/// What a header speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum About {
    /// What is left, and when to come back.
    Limits,
    /// This one request.
    Request,
    /// Who answered, and what lies in between.
    Way,
    /// Anything else.
    Other,
}

// === impl About ===

impl About {
    pub(super) const ALL: [Self; 4] = [Self::Limits, Self::Request, Self::Way, Self::Other];

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Limits => "Limits",
            Self::Request => "The request",
            Self::Way => "The way",
            Self::Other => "Other headers, as they came",
        }
    }
}

/// The headers in their order, each explained.
pub(super) fn explained<'h>(
    headers: impl Iterator<Item = (&'h HeaderName, &'h HeaderValue)>,
    now: Wall,
    moments: &Moments,
) -> Vec<HeaderReport> {
    let explained = headers.take(MOST).map(|(name, value)| {
        let shown = clean_bytes(value.as_bytes(), VALUE_CHARS);
        let (about, meaning) = meaning(name.as_str(), &shown, now, moments);
        HeaderReport { name: clean(name.as_str(), NAME_CHARS), value: shown, about, meaning }
    });
    explained.collect()
}

fn meaning(name: &str, value: &str, now: Wall, moments: &Moments) -> (About, Option<String>) {
    let told = |about, text: &str| (about, Some(text.to_owned()));
    match name {
        "x-chutes-quota-total" if value == "0" => told(
            About::Limits,
            "the plan includes no requests: every call is paid from the balance",
        ),
        "x-chutes-quota-total" => {
            told(About::Limits, "request units a day; the plan is known by this number")
        }
        "x-chutes-quota-used" => told(
            About::Limits,
            "units used today before this request, cut to a whole number; it turns at 00:00 UTC",
        ),
        "x-chutes-quota-remaining" => told(
            About::Limits,
            "units left before this request, cut as well, so that used and remaining can add up to one less than total",
        ),
        "x-chutes-rl-user" if value.eq_ignore_ascii_case("inf") => {
            told(About::Limits, "no rate limit: a private model")
        }
        "x-chutes-rl-user" => told(
            About::Limits,
            "requests a minute for this account. Chutes only prints it; the load balancers have a limit of their own",
        ),
        "x-chutes-rl-chute" => told(About::Limits, "requests a minute for this model"),
        "x-chutes-invoice-billing" => {
            told(About::Limits, "this account pays by invoice: no quota applies")
        }
        "x-chutes-invocationid" => told(
            About::Request,
            "the id of this request at Chutes; name it when you ask for support",
        ),
        "retry-after" | "retry-after-ms" | "x-retry-after" => {
            (About::Limits, comes_back(name, value, now, moments))
        }
        "x-should-retry" => {
            told(About::Limits, "tells the OpenAI clients whether to try again; not from Chutes")
        }
        "date" => (About::Way, clock(value, now)),
        "server" => told(
            About::Way,
            match value {
                "nginx" => "the load balancer of Chutes passed it on",
                "uvicorn" => "the program of Chutes itself, with no load balancer before it",
                "cloudflare" => "Cloudflare stands in between; Chutes does not use it",
                _ => "who says that it answered; Chutes shows nginx here",
            },
        ),
        "via" if value.contains("google") => {
            told(About::Way, "it came through Google's load balancer, as answers of Chutes do")
        }
        "via" => told(About::Way, "a proxy stands in between"),
        "alt-svc" if value == "clear" => told(About::Way, "no HTTP/3 here, as is usual for Chutes"),
        "content-type" if value.starts_with("text/html") => told(
            About::Way,
            "a web page: the program of Chutes answers in JSON, so something before it spoke",
        ),
        _ if name.starts_with("x-ripcord-") => told(
            About::Way,
            "a Ripcord gateway answered: the inference address is not that of Chutes",
        ),
        _ if is_rate_limit(name, value) => told(
            About::Limits,
            "a rate limit of something in between: Chutes itself never sends this. Ripcord reads it, and pauses the account when nothing is left",
        ),
        _ if name.starts_with("x-chutes-") => (About::Limits, None),
        _ => (About::Other, None),
    }
}

/// Whether the header makes a window of the usual kinds.
fn is_rate_limit(name: &str, value: &str) -> bool {
    let read = LimitHeaders::read([(name, value.as_bytes())]);
    !read.windows.is_empty() || name.contains("ratelimit")
}

fn comes_back(name: &str, value: &str, now: Wall, moments: &Moments) -> Option<String> {
    let hint = LimitHeaders::read([(name, value.as_bytes())]).retry_after?;
    let moment = match hint {
        RetryAfter::After(wait) => now.after(wait),
        RetryAfter::At(micros) => Wall::from_unix_micros(micros),
    };
    Some(format!(
        "come back {}, at {}. Chutes itself never sends this, so it is from something in between",
        moment::until(moment, now),
        moments.at(moment, now)
    ))
}

fn clock(value: &str, now: Wall) -> Option<String> {
    let date = LimitHeaders::read([("date", value.as_bytes())]).date?;
    let ahead = super::ahead_seconds(now, date);
    Some(match ahead {
        -1..=1 => "the clocks agree".to_owned(),
        2.. => format!("this machine's clock is {ahead} s ahead"),
        _ => format!("this machine's clock is {} s behind", ahead.unsigned_abs()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(name: &str, value: &str) -> (About, Option<String>) {
        meaning(name, value, Wall::from_unix_seconds(1_790_507_580), &Moments::utc())
    }

    #[test]
    fn every_header_of_chutes_is_explained() {
        let table = [
            ("x-chutes-quota-total", "5000", "the plan is known"),
            ("x-chutes-quota-total", "0", "paid from the balance"),
            ("x-chutes-quota-used", "12", "before this request"),
            ("x-chutes-quota-remaining", "4987", "one less than total"),
            ("x-chutes-rl-user", "60", "requests a minute"),
            ("x-chutes-rl-user", "inf", "private"),
            ("x-chutes-rl-chute", "30", "this model"),
            ("x-chutes-invoice-billing", "true", "by invoice"),
            ("retry-after", "90", "come back in 1 min 30 s"),
            ("retry-after-ms", "1500", "come back in"),
            ("x-ratelimit-remaining-requests", "0", "something in between"),
            ("ratelimit", "limit=60, remaining=0, reset=20", "something in between"),
        ];
        for (name, value, part) in table {
            let (about, meaning) = about(name, value);
            assert_eq!(about, About::Limits, "{name}");
            assert!(
                meaning.as_ref().is_some_and(|text| text.contains(part)),
                "{name}: {meaning:?}"
            );
        }
    }

    #[test]
    fn the_way_and_what_is_unknown() {
        assert_eq!(about("via", "1.1 google").0, About::Way);
        assert_eq!(about("server", "nginx").0, About::Way);
        assert_eq!(about("x-ripcord-request-id", "req_1").0, About::Way);
        let (way, text) = about("date", "Sun, 27 Sep 2026 11:11:00 GMT");
        assert_eq!(
            (way, text.as_deref()),
            (About::Way, Some("this machine's clock is 120 s ahead"))
        );
        assert_eq!(about("date", "soon"), (About::Way, None));
        assert_eq!(about("retry-after", "soon"), (About::Limits, None));
        assert_eq!(about("x-chutes-new", "1"), (About::Limits, None));
        assert_eq!(about("content-length", "12"), (About::Other, None));
    }
}
