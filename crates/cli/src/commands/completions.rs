//! `ripcord completions`: a script that teaches a shell the commands and their flags.

use crate::args::{CompletionsArguments, visible_commands};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::printer::Printer;

/// Prints the script for one shell.
pub(crate) fn run(
    arguments: &CompletionsArguments,
    printer: &Printer,
) -> Result<Exit, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut visible_commands(), "ripcord", &mut script);
    printer.write(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
