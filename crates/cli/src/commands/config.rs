//! `ripcord config`: what is configured and by whom, whether it is right, and how clients are set up.

pub(crate) mod check;
pub(crate) mod client;
pub(crate) mod show;

use schemars::JsonSchema;
use serde::Serialize;

use crate::args::{ConfigArguments, ConfigCommand};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::session::Session;
use crate::settings::origin::Origin;

/// Where a value comes from.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct OriginReport {
    /// `default`, `file`, `environment`, `flag`.
    kind: &'static str,
    /// The file, for `file`.
    file: Option<String>,
    /// Its line, from 1, for `file`.
    line: Option<usize>,
    /// The variable or the flag, for `environment` and `flag`.
    name: Option<String>,
}

// === impl OriginReport ===

impl From<&Origin> for OriginReport {
    fn from(origin: &Origin) -> Self {
        let blank = Self { kind: "default", file: None, line: None, name: None };
        match origin {
            Origin::Default => blank,
            Origin::File { path, line } => {
                Self { kind: "file", file: Some(path.clone()), line: Some(*line), ..blank }
            }
            Origin::Environment(name) => {
                Self { kind: "environment", name: Some(name.clone()), ..blank }
            }
            Origin::Flag(name) => Self { kind: "flag", name: Some((*name).to_owned()), ..blank },
        }
    }
}

/// Runs one of the three.
pub(crate) fn run(
    arguments: &ConfigArguments,
    session: &Session<'_>,
) -> Result<Exit, CommandError> {
    match &arguments.command {
        ConfigCommand::Show => show::run(&session.prepare()?),
        ConfigCommand::Check => check::run(session),
        ConfigCommand::Client(arguments) => client::run(arguments, &session.prepare()?),
    }
}
