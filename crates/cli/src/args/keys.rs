//! Arguments of `ripcord keys`.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use ripcord_rules::clients::{ModelPatterns, PatternProblem};
use ripcord_rules::quota::Paygo;
use ripcord_rules::time::Wall;
use ripcord_rules::units::NanoUsd;

use super::priority::Priority;
use super::{LONGEST_NAME, number};
use crate::settings::document::read::usd_text;
use crate::settings::spending;

/// A faster pace bounds nothing.
const MOST_A_MINUTE: u64 = 10_000;

#[derive(Args, Debug)]
pub(crate) struct KeysArguments {
    #[command(subcommand)]
    pub(crate) command: KeysCommand,
}

/// What to do with the client keys.
#[derive(Subcommand, Debug)]
pub(crate) enum KeysCommand {
    /// Make a key for a client and print it, once. From the first one on, a running gateway too wants a key of everybody
    #[command(after_help = super::examples::KEYS_ADD)]
    Add(KeysAddArguments),
    /// The client keys with what each may spend; never the keys themselves
    List,
    /// Take a key out of force, in a running gateway within seconds. It stays on the list, so that its name stays its own
    Revoke(KeyName),
    /// Forget a revoked key. With the last one gone the gateway asks nobody for a key any more
    Remove(KeyName),
}

#[derive(Args, Debug)]
pub(crate) struct KeysAddArguments {
    /// What the key is called, in records too
    #[arg(value_parser = key_name)]
    pub(crate) name: String,

    /// Whether the balance may pay for its calls: `never`, `allow`, or `daily:X` for at most X US dollars from 00:00 to
    /// 00:00 UTC. Never more than the account's own rule allows; without this as on the account
    #[arg(long, value_name = "RULE", value_parser = paygo)]
    pub(crate) paygo: Option<Paygo>,

    /// Whether its interactive requests may use what `reserve` keeps for interactive work
    #[arg(long, value_name = "YES|NO", default_value = "yes")]
    pub(crate) reserve: YesNo,

    /// The balance is not drawn below this for its calls, in US dollars, nor below the account's own minimum
    #[arg(long, value_name = "USD", allow_negative_numbers = true, value_parser = usd_text)]
    pub(crate) min_balance: Option<NanoUsd>,

    /// What to do with an account whose figures are not known: `allow` leaves that to the account's own rule
    #[arg(long, value_name = "WHAT", default_value = "allow")]
    pub(crate) when_unknown: Unknown,

    /// What its calls may cost from 00:00 to 00:00 UTC, in US dollars at list price, whoever pays
    #[arg(long, value_name = "USD", allow_negative_numbers = true, value_parser = budget)]
    pub(crate) daily_usd: Option<NanoUsd>,

    /// What its calls may cost in a calendar month, UTC, in US dollars at list price, whoever pays
    #[arg(long, value_name = "USD", allow_negative_numbers = true, value_parser = budget)]
    pub(crate) monthly_usd: Option<NanoUsd>,

    /// How many requests it may make from 00:00 to 00:00 UTC
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = number::<1, 1_000_000_000>)]
    pub(crate) daily_requests: Option<u64>,

    /// How many requests it may make in any 60 seconds
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = number::<1, MOST_A_MINUTE>)]
    pub(crate) requests_per_minute: Option<u64>,

    /// How many of its requests may be under way at once, those that wait for a slot included
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = number::<1, 10_000>)]
    pub(crate) concurrent: Option<u64>,

    /// The models it may use, with `*` for any text, such as `zai-org/*,*-TEE`; without this all of them. A list or a name of
    /// your own is taken for what it stands for
    #[arg(long, value_name = "PATTERN", value_delimiter = ',', value_parser = model_pattern)]
    pub(crate) models: Vec<String>,

    /// The highest priority of its requests, whatever their `x-ripcord-priority` asks for
    #[arg(long, value_name = "PRIORITY", default_value = "interactive")]
    pub(crate) highest_priority: Priority,

    /// When it ends by itself: after `30d`, `12h` or `90m`, or at a date (00:00 UTC) or a moment (RFC 3339)
    #[arg(long, value_name = "WHEN", value_parser = expiry)]
    pub(crate) expires: Option<Expiry>,
}

/// When a key ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    At(Wall),
    After(Duration),
}

#[derive(Args, Debug)]
pub(crate) struct KeyName {
    /// The name of the key
    #[arg(value_parser = key_name)]
    pub(crate) name: String,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum YesNo {
    Yes,
    No,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    Allow,
    Refuse,
}

/// A name that can stand in a header, a record and a table.
fn key_name(text: &str) -> Result<String, String> {
    let name = text.trim();
    if name.starts_with("cpk_") || name.starts_with("rip_") {
        return Err("this is the place of a name, not of a key".to_owned());
    }
    let is_plain =
        |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.' | '@');
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(is_plain) {
        return Err(format!("write 1 to {LONGEST_NAME} letters, digits, `-`, `_`, `.` or `@`"));
    }
    Ok(name.to_owned())
}

fn paygo(text: &str) -> Result<Paygo, String> {
    match text.trim() {
        "never" => Ok(Paygo::Never),
        "allow" => Ok(Paygo::Allow),
        other => match other.strip_prefix("daily:") {
            Some(amount) => spending::daily(usd_text(amount)?),
            None => Err("write `never`, `allow` or `daily:X` with X in US dollars".to_owned()),
        },
    }
}

fn budget(text: &str) -> Result<NanoUsd, String> {
    match usd_text(text)? {
        NanoUsd::ZERO => {
            Err("a budget must be above 0; a key that may do nothing is revoked".to_owned())
        }
        amount => Ok(amount),
    }
}

fn model_pattern(text: &str) -> Result<String, String> {
    match ModelPatterns::read([text]) {
        Ok(_) => Ok(text.trim().to_owned()),
        Err(PatternProblem::TooLong) => Err("no model has so long a name".to_owned()),
        Err(PatternProblem::NotAName | PatternProblem::TooMany) => {
            Err("expected the name of a model, with `*` for any text".to_owned())
        }
    }
}

fn expiry(text: &str) -> Result<Expiry, String> {
    let text = text.trim();
    let wrong = || {
        "expected 30d, 12h or 90m, a date such as 2027-01-31, or a moment such as 2027-01-31T12:00:00Z".to_owned()
    };
    if let Ok(date) = text.parse::<jiff::civil::Date>()
        && let Ok(midnight) = date.to_zoned(jiff::tz::TimeZone::UTC)
        && text.len() == "2027-01-31".len()
    {
        return Ok(Expiry::At(Wall::from_unix_micros(midnight.timestamp().as_microsecond())));
    }
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Ok(Expiry::At(Wall::from_unix_micros(moment.as_microsecond())));
    }
    let unit_at =
        text.len().checked_sub(1).filter(|at| text.is_char_boundary(*at)).ok_or_else(wrong)?;
    let (count, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "d" => 86_400,
        "h" => 3_600,
        "m" => 60,
        _ => return Err(wrong()),
    };
    let count = count.parse::<u64>().ok().filter(|count| (1..=100_000).contains(count));
    count.map(|count| Expiry::After(Duration::from_secs(count * seconds))).ok_or_else(wrong)
}

// === impl Expiry ===

impl Expiry {
    /// The moment, for a key that is made now.
    pub(crate) fn moment(self, now: Wall) -> Wall {
        match self {
            Self::At(moment) => moment,
            Self::After(duration) => now.after(duration),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_a_word_or_an_amount_for_a_day() {
        assert_eq!(paygo("never"), Ok(Paygo::Never));
        assert_eq!(paygo("daily:0.50"), Ok(Paygo::Daily(NanoUsd::from_cents(50))));
        assert_eq!(paygo("daily:$2"), Ok(Paygo::Daily(NanoUsd::from_cents(200))));
        for wrong in ["", "daily", "daily:", "daily:0", "daily:-1", "2", "by_plan"] {
            assert!(paygo(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_ends_after_a_while_or_at_a_moment() {
        let at = |text: &str| {
            Ok(Expiry::At(Wall::from_unix_micros(
                text.parse::<jiff::Timestamp>().unwrap().as_microsecond(),
            )))
        };
        assert_eq!(expiry("30d"), Ok(Expiry::After(Duration::from_secs(30 * 86_400))));
        assert_eq!(expiry(" 12h "), Ok(Expiry::After(Duration::from_secs(43_200))));
        assert_eq!(expiry("2027-01-31"), at("2027-01-31T00:00:00Z"));
        assert_eq!(expiry("2027-01-31T12:00:00+01:00"), at("2027-01-31T11:00:00Z"));
        for wrong in ["", "d", "0d", "-1d", "1w", "30", "2027-02-30", "tomorrow", "1é"] {
            assert!(expiry(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_budget_is_above_nothing_and_a_pattern_is_a_name() {
        assert_eq!(budget("$1.50"), Ok(NanoUsd::from_cents(150)));
        assert!(budget("0").is_err() && budget("-1").is_err());
        assert_eq!(model_pattern(" acme/* ").as_deref(), Ok("acme/*"));
        assert!(model_pattern("a b").is_err() && model_pattern("").is_err());
    }

    #[test]
    fn a_name_is_no_key_and_can_stand_anywhere() {
        assert_eq!(key_name(" ci-bot.2 ").as_deref(), Ok("ci-bot.2"));
        for wrong in ["", " ", "a b", "é", "a\nb", "cpk_x", "rip_0a", "a/b", &"x".repeat(65)] {
            assert!(key_name(wrong).is_err(), "{wrong}");
        }
    }
}
