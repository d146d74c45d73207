//! Arguments of `ripcord keys`.

use clap::{Args, Subcommand, ValueEnum};
use ripcord_rules::quota::Paygo;
use ripcord_rules::units::NanoUsd;

use super::LONGEST_NAME;
use crate::settings::document::read::usd_text;
use crate::settings::spending;

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
    fn a_name_is_no_key_and_can_stand_anywhere() {
        assert_eq!(key_name(" ci-bot.2 ").as_deref(), Ok("ci-bot.2"));
        for wrong in ["", " ", "a b", "é", "a\nb", "cpk_x", "rip_0a", "a/b", &"x".repeat(65)] {
            assert!(key_name(wrong).is_err(), "{wrong}");
        }
    }
}
