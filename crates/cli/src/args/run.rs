//! Arguments of `ripcord run`.

use clap::Args;
use ripcord_rules::schedule::Expression;
use ripcord_rules::units::{NanoUsd, Rounding};
use rustix::process::Signal;

use super::can_complete::TokensArguments;
use super::{MOST, Priority, number};
use crate::child::paused::How;

#[derive(Args, Debug)]
pub(crate) struct RunArguments {
    /// Start when so many calls fit on one of the accounts at once; at once say so if they never can
    #[arg(long, value_name = "CALLS", conflicts_with = "usd", allow_negative_numbers = true,
        value_parser = number::<1, 1_000_000_000>)]
    pub(crate) needs: Option<u64>,

    /// The model the calls go to; with the token counts it prices them against the dollar windows
    #[arg(long, requires = "needs")]
    pub(crate) model: Option<String>,

    #[command(flatten)]
    pub(crate) tokens: TokensArguments,

    /// Start when so many dollars at list price fit in every window that is counted in dollars, or are on the balance where
    /// that pays
    #[arg(long, value_name = "USD", allow_negative_numbers = true, value_parser = dollars)]
    pub(crate) usd: Option<NanoUsd>,

    /// Start only while this holds, such as `day>20% and before=16:00`; see below
    #[arg(long, value_name = "EXPRESSION", value_parser = expression)]
    pub(crate) when: Option<Expression>,

    /// For whom the command works: work that is not interactive has to leave alone what `reserve` keeps, also with `--pause`
    #[arg(long, value_name = "PRIORITY", default_value = "batch")]
    pub(crate) priority: Priority,

    /// Hold one of the account's slots, which all programs of this machine share, while the command runs
    #[arg(long)]
    pub(crate) slot: bool,

    /// Stop the command while the account's budget is used up, and let it go on when there is some; or send it a signal then, on
    /// which it ends by itself: `--pause=signal:TERM`
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "stop", value_parser = pause)]
    pub(crate) pause: Option<How>,

    /// Do not start the command, and exit with 75, if it could not be started within this many seconds
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = number::<0, MOST>)]
    pub(crate) timeout: Option<u64>,

    /// The command with its arguments. `RIPCORD_ACCOUNT` tells it which account has the budget
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub(crate) command: Vec<std::ffi::OsString>,
}

fn dollars(text: &str) -> Result<NanoUsd, String> {
    let number = text.trim().trim_start_matches('$');
    NanoUsd::from_decimal(number, Rounding::Up)
        .filter(|amount| amount.0 > 0)
        .ok_or_else(|| "write dollars, more than 0, such as `1.50`".to_owned())
}

fn pause(text: &str) -> Result<How, String> {
    if text == "stop" {
        return Ok(How::Stop);
    }
    let name = text.strip_prefix("signal:").map(str::to_ascii_uppercase).unwrap_or_default();
    let known = [
        ("TERM", Signal::TERM),
        ("INT", Signal::INT),
        ("HUP", Signal::HUP),
        ("QUIT", Signal::QUIT),
        ("USR1", Signal::USR1),
        ("USR2", Signal::USR2),
    ];
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    known
        .into_iter()
        .find(|(known, _)| *known == name)
        .map(|(_, signal)| How::Signal(signal))
        .ok_or_else(|| {
            "write `stop`, or `signal:TERM`, with one of TERM, INT, HUP, QUIT, USR1, USR2"
                .to_owned()
        })
}

fn expression(text: &str) -> Result<Expression, String> {
    text.parse().map_err(|problem: ripcord_rules::schedule::ParseError| problem.to_string())
}
