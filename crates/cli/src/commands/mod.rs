//! One file per command. Each reads, decides, and answers with a report that is drawn or printed as JSON.

mod reference;

use crate::args::Command;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;

/// Runs the command.
pub(crate) fn run(command: Option<Command>, context: &Context) -> Result<Exit, CommandError> {
    match command {
        Some(Command::Reference(arguments)) => reference::run(&arguments, context),
        None => Ok(Exit::Done),
    }
}
