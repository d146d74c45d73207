//! What the user typed, and nothing else: no files, no environment, no defaults that are settings.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Keeps work running on Chutes.ai: what is left, what is up, can this batch finish, when may it go on.
#[derive(Parser, Debug)]
#[command(
    name = "ripcord",
    version,
    about,
    after_help = "Alone, `ripcord` shows usage and the next step.\n\
        Exit codes: 0 yes or done, 1 the verdict is no, 2 wrong usage, 3 it could not be found out."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: GlobalArguments,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Flags that every command takes.
#[derive(Args, Debug, Clone, Default)]
pub(crate) struct GlobalArguments {
    /// Print one JSON document with a documented, stable schema
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Read this configuration file instead of $XDG_CONFIG_HOME/ripcord/config.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Show times in this zone: `local`, `UTC`, `Europe/Berlin`, `+02:00`
    #[arg(long, global = true, value_name = "ZONE")]
    pub(crate) tz: Option<String>,

    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN")]
    pub(crate) color: Option<ColorChoice>,

    /// Only this account: its configured name, its user name, or the beginning of a key
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) account: Vec<String>,
}

/// When to use colour.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColorChoice {
    /// On a terminal only, and not if `NO_COLOR` is set
    Auto,
    Always,
    Never,
}

/// One variant per command, in the order in which a user meets them.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Write the reference documentation
    #[command(hide = true)]
    Reference(ReferenceArguments),
}

#[derive(Args, Debug)]
pub(crate) struct ReferenceArguments {
    /// Which part
    pub(crate) part: ReferencePart,
    /// The directory to write into
    pub(crate) directory: PathBuf,
}

/// A part of the reference documentation.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReferencePart {
    Schemas,
    Commands,
    Config,
    All,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }
}
