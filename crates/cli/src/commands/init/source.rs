//! Where the keys come from: a file, what is piped in, the environment, or the keyboard. Never an argument, which every
//! program of the machine could read.

use std::io::{self, IsTerminal as _, Read as _};
use std::path::Path;

use super::ask::{self, Typed};
use crate::accounts::Roster;
use crate::args::InitArguments;
use crate::context::Context;
use crate::error::CommandError;
use crate::printer::number;
use crate::printer::text::Text;
use crate::settings::environment::variables;
use crate::settings::keys::{self, RawKey};
use crate::settings::origin::Origin;
use crate::settings::small_file;

/// More than this is no list of keys.
const LONGEST: u64 = 64 * 1024;
/// How often a key may be mistyped.
const TRIES: u32 = 3;

/// The accounts of the keys that the user gave, read but not tested.
pub(super) async fn roster(
    arguments: &InitArguments,
    asks: bool,
    context: &Context,
) -> Result<Roster, CommandError> {
    let given = match &arguments.key_file {
        Some(path) if path == Path::new("-") => piped()?,
        Some(path) => of_file(path)?,
        None if !io::stdin().is_terminal() => piped()?,
        None => Vec::new(),
    };
    if arguments.key_file.is_some() && given.is_empty() {
        return Err(CommandError::usage("there is no key in the file that --key-file names"));
    }
    let given = if given.is_empty() { of_environment(asks, context).await? } else { given };
    if given.is_empty() {
        return typed(asks, context).await;
    }
    let roster = told(Roster::of_keys(&context.settings, &given), context);
    if roster.unusable.is_empty() { Ok(roster) } else { Err(unusable(&roster)) }
}

fn unusable(roster: &Roster) -> CommandError {
    CommandError::usage(roster.unusable.join("\n"))
        .hint("copy the key again from https://chutes.ai/app/api; nothing was written")
}

fn told(roster: Roster, context: &Context) -> Roster {
    for repair in &roster.repairs {
        context.printer.warn(repair);
    }
    roster
}

fn piped() -> Result<Vec<RawKey>, CommandError> {
    let mut text = String::new();
    io::stdin().lock().take(LONGEST).read_to_string(&mut text).map_err(|problem| {
        CommandError::usage(format!("could not read a key from stdin: {problem}"))
    })?;
    Ok(keys::split(&text, &Origin::Flag("stdin")))
}

fn of_file(path: &Path) -> Result<Vec<RawKey>, CommandError> {
    let text = small_file::read(path).map_err(|problem| {
        CommandError::usage(format!("could not read {}: {problem}", path.display()))
            .hint("`--key-file -` reads what is piped in")
    })?;
    Ok(keys::split(&text, &Origin::File { path: path.display().to_string(), line: 1 }))
}

/// The keys that are in the environment already: a file keeps them for cron, services and other shells.
async fn of_environment(asks: bool, context: &Context) -> Result<Vec<RawKey>, CommandError> {
    let found = context.settings.environment_keys.clone();
    if found.is_empty() || !asks {
        return Ok(found);
    }
    let count = number::counted(found.len() as u64, "key", "keys");
    let question = format!("The environment holds {count}. Write it into the configuration?");
    Ok(if agreed(&question, true).await? { found } else { Vec::new() })
}

async fn typed(asks: bool, context: &Context) -> Result<Roster, CommandError> {
    if !asks {
        return Err(CommandError::usage("there is no key to write")
            .hint("pipe it in, name a file with --key-file, or set CHUTES_API_KEY; an argument would show it to every program")
            .hint("create a key at https://chutes.ai/app/api"));
    }
    context.printer.talk(
        Text::new()
            .dim("Create a key at https://chutes.ai/app/api. It is not shown while you paste it."),
    );
    for _ in 0..TRIES {
        let Typed::Text(text) = ask::secret("Chutes API key: ").await.map_err(unheard)? else {
            return Err(left());
        };
        let given = keys::split(&text, &Origin::Flag("the prompt"));
        let roster = told(Roster::of_keys(&context.settings, &given), context);
        if !roster.accounts.is_empty() && roster.unusable.is_empty() {
            return Ok(roster);
        }
        for problem in &roster.unusable {
            context.printer.warn(problem);
        }
        if given.is_empty() {
            context.printer.talk(
                Text::new().plain("Nothing came; paste the key and press Enter (Ctrl-C leaves)."),
            );
        }
    }
    Err(CommandError::usage("no usable key was given; nothing was written").hint(format!(
        "copy it again from https://chutes.ai/app/api, or set {}",
        variables::CHUTES_API_KEY
    )))
}

/// Whether somebody says yes to the question.
pub(super) async fn agreed(question: &str, usual: bool) -> Result<bool, CommandError> {
    ask::yes(question, usual).await.map_err(unheard)?.ok_or_else(left)
}

/// Somebody left before anything was written.
pub(super) fn left() -> CommandError {
    CommandError::refused("left; nothing was written")
}

pub(super) fn unheard(problem: io::Error) -> CommandError {
    CommandError::usage(format!("could not ask: {problem}"))
        .hint("without a terminal: pipe the key in and use --yes")
}
