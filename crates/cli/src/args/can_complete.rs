//! Arguments of `can-complete`.

use clap::Args;

use super::{MOST, Priority, number};

#[derive(Args, Debug)]
pub(crate) struct CanCompleteArguments {
    /// How many calls
    #[arg(value_name = "CALLS", allow_negative_numbers = true, value_parser = number::<1, 1_000_000_000>)]
    pub(crate) calls: u64,

    /// The model they go to, by which they are priced against the dollar windows; without token counts as large as its
    /// calls through this machine's gateway usually are
    #[arg(long)]
    pub(crate) model: Option<String>,

    #[command(flatten)]
    pub(crate) tokens: TokensArguments,

    /// Show the next N windows, and how many calls fit into each
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = number::<1, 100>)]
    pub(crate) windows: Option<u64>,

    /// For whom: work that is not interactive has to leave alone what `reserve` keeps
    #[arg(long, value_name = "PRIORITY", default_value = "batch")]
    pub(crate) priority: Priority,
}

/// The size of one call, both halves or neither, of a command that has a `model`.
#[derive(Args, Debug, Clone, Copy)]
pub(crate) struct TokensArguments {
    /// Prompt tokens of one call
    #[arg(long, value_name = "TOKENS", requires_all = ["model", "tokens_out"], allow_negative_numbers = true,
        value_parser = number::<0, MOST>)]
    pub(crate) tokens_in: Option<u64>,

    /// Completion tokens of one call
    #[arg(long, value_name = "TOKENS", requires_all = ["model", "tokens_in"], allow_negative_numbers = true,
        value_parser = number::<0, MOST>)]
    pub(crate) tokens_out: Option<u64>,
}
