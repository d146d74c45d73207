//! The ledger as the commands open it.

use std::path::PathBuf;

use ripcord_store::{OpenError, SqliteLedger};

use crate::error::CommandError;
use crate::settings::Settings;
use crate::settings::environment::variables;
use crate::slots;

/// Where it is.
pub(crate) fn path(settings: &Settings) -> Result<PathBuf, CommandError> {
    Ok(slots::directory(settings)?.join("ledger.sqlite"))
}

/// Opens it, and makes one where there is none.
pub(crate) fn open(settings: &Settings) -> Result<SqliteLedger, CommandError> {
    SqliteLedger::open(&path(settings)?).map_err(|error| unusable(&error))
}

fn unusable(error: &OpenError) -> CommandError {
    CommandError::usage(error.to_string()).hint(format!(
        "the ledger is kept in `gateway.state_directory`, by default below {}",
        variables::XDG_STATE_HOME
    ))
}
