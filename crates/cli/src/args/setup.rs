//! Arguments of the commands that set things up.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::examples;

/// A longer name of an account is cut.
pub(crate) const LONGEST_NAME: usize = 64;

#[derive(Args, Debug, Default)]
pub(crate) struct InitArguments {
    /// Read the keys from this file, one a line or separated by commas; `-` is stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,

    /// What a new account is called; by default as at Chutes
    #[arg(long, value_name = "NAME", value_parser = account_name)]
    pub(crate) name: Option<String>,

    /// Ask nothing
    #[arg(long, short)]
    pub(crate) yes: bool,

    /// Start the configuration anew instead of adding to it; asks first
    #[arg(long)]
    pub(crate) replace: bool,

    /// Write also a key that Chutes refuses or that could not be tested, and replace without asking
    #[arg(long)]
    pub(crate) force: bool,
}

fn account_name(text: &str) -> Result<String, String> {
    let name = ripcord_wire::text::clean(text.trim(), LONGEST_NAME);
    if name.is_empty() {
        Err("an account needs a name that can be read".to_owned())
    } else {
        Ok(name)
    }
}

#[derive(Args, Debug)]
pub(crate) struct ConfigArguments {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

/// What to do with the configuration.
#[derive(Subcommand, Debug)]
pub(crate) enum ConfigCommand {
    /// Every value with its origin: default, line of the file, environment variable, flag
    Show,
    /// Read the whole configuration and name everything that is wrong with it; exit 2 if anything is
    Check,
    /// Ready settings for a client: what to write where, and what goes wrong
    #[command(after_help = examples::CLIENT)]
    Client(ClientArguments),
}

#[derive(Args, Debug, Default)]
pub(crate) struct ClientArguments {
    /// The client; without one, the list
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// The model to write into the settings; by default the first one below `models.watch`
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,

    /// Settings for Chutes itself, without the gateway
    #[arg(long)]
    pub(crate) direct: bool,
}

#[derive(Args, Debug)]
pub(crate) struct CompletionsArguments {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Args, Debug)]
pub(crate) struct ManArguments {
    /// The command whose page to print; without one, that of `ripcord` itself
    #[arg(value_name = "COMMAND", conflicts_with = "directory")]
    pub(crate) command: Vec<String>,

    /// Write every page into this directory
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) directory: Option<PathBuf>,
}
