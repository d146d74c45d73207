//! `ripcord explain`: the story of one request, from the ledger of this machine. Nothing is asked of Chutes, and it does
//! not matter whether the gateway runs.

mod page;
mod report;
mod words;

use std::sync::Arc;
use std::time::Duration;

use ripcord_store::ledger::sqlite::LONGEST_DELAY;
use ripcord_store::{Ledger as _, LedgerError, RequestStory, SqliteLedger};

pub(crate) use report::ExplainReport;

use crate::args::ExplainArguments;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ledger;

/// How many are listed where nobody says which.
const LISTED: usize = 10;
/// How many of those that begin alike are named.
const NAMED: usize = 5;
/// What begins every id.
const PREFIX: &str = "req_";
/// A row is written a moment after its request ended; so often and so long it is waited for.
const LOOKS: usize = 8;
const LOOK_EVERY: Duration = Duration::from_millis(40);

/// A request by its id, and everything that is known of it.
pub(crate) struct Told {
    id: Arc<str>,
    story: RequestStory,
}

/// Tells what was asked for.
pub(crate) async fn run(
    arguments: &ExplainArguments,
    context: &Context,
) -> Result<Exit, CommandError> {
    // To look is no reason to make a ledger.
    let path = ledger::path(&context.settings)?;
    let ledger = path.exists().then(|| ledger::open(&context.settings)).transpose()?;
    let wanted = arguments.request_id.as_deref().map(bare_id).transpose()?;
    match (ledger, wanted) {
        (Some(ledger), Some(wanted)) => {
            let told = find(&ledger, &wanted).await?;
            let report = ExplainReport::new(std::slice::from_ref(&told), context);
            context.printer.answer(&report, || page::stories(&[told], context))?;
        }
        (None, Some(wanted)) => {
            let place = path.display();
            return Err(CommandError::refused(format!(
                "there is no request `{wanted}`: no gateway has run here yet"
            ))
            .hint(format!(
                "its ledger would be {place}; `gateway.state_directory` says where it is kept"
            )));
        }
        (ledger, None) => {
            // What ended just now is about to be written.
            if arguments.last.is_some() && ledger.is_some() {
                tokio::time::sleep(LONGEST_DELAY + LOOK_EVERY).await;
            }
            let count =
                arguments.last.map_or(LISTED, |last| usize::try_from(last).unwrap_or(LISTED));
            let told = newest(ledger.as_ref(), count)?;
            let report = ExplainReport::new(&told, context);
            context.printer.answer(&report, || match arguments.last {
                Some(_) => page::stories(&told, context),
                None => page::list(&told, context),
            })?;
        }
    }
    Ok(Exit::Done)
}

/// The id without what was copied with it.
fn bare_id(text: &str) -> Result<String, CommandError> {
    let text = text.trim();
    let text = text.rsplit_once(':').map_or(text, |(_, id)| id);
    let text = text.trim().trim_matches(['"', '\'', '`', ',', ';']);
    let is_id = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
    if text.is_empty() || text.len() > 64 || !text.chars().all(is_id) {
        return Err(CommandError::usage("this is no id of a request").hint(
            "ids look like req_01a2…; the gateway sends one with every answer, as `x-ripcord-request-id`. `ripcord explain` lists \
             the newest",
        ));
    }
    Ok(text.to_owned())
}

/// The one request whose id begins so.
async fn find(ledger: &SqliteLedger, wanted: &str) -> Result<Told, CommandError> {
    let mut found = None;
    for look in 0..LOOKS {
        if look > 0 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        found = look_up(ledger, wanted)?;
        // One that has not ended may be about to be written.
        if found.as_ref().is_some_and(|told| told.story.request.is_some()) {
            break;
        }
    }
    found.ok_or_else(|| {
        CommandError::refused(format!("there is no request `{wanted}` in the ledger of this machine"))
            .hint("`ripcord explain` lists the newest requests with their ids")
            .hint("a request shows here once it waited, was tried or ended; the ledger of another machine, or of another `gateway.state_directory`, has its own")
    })
}

fn look_up(ledger: &SqliteLedger, wanted: &str) -> Result<Option<Told>, CommandError> {
    let with_prefix = format!("{PREFIX}{wanted}");
    for prefix in [wanted, &with_prefix] {
        let ids = ledger.requests_beginning(prefix, NAMED + 1).map_err(unreadable)?;
        let id = match &ids[..] {
            [] => continue,
            [only] => Arc::clone(only),
            many => match many.iter().find(|id| ***id == *prefix) {
                Some(exact) => Arc::clone(exact),
                None => return Err(ambiguous(prefix, many)),
            },
        };
        if let Some(story) = ledger.request(&id).map_err(unreadable)? {
            return Ok(Some(Told { id, story }));
        }
    }
    Ok(None)
}

fn ambiguous(prefix: &str, ids: &[Arc<str>]) -> CommandError {
    let named: Vec<&str> = ids.iter().take(NAMED).map(|id| &**id).collect();
    let more = if ids.len() > NAMED { " and more" } else { "" };
    CommandError::usage(format!("several requests begin with `{prefix}`"))
        .hint(format!("write more of the id; the newest are {}{more}", named.join(", ")))
}

fn newest(ledger: Option<&SqliteLedger>, count: usize) -> Result<Vec<Told>, CommandError> {
    let Some(ledger) = ledger else { return Ok(Vec::new()) };
    let recent = ledger.recent_requests(count).map_err(unreadable)?;
    let mut told = Vec::with_capacity(recent.len());
    for row in recent {
        if let Some(story) = ledger.request(&row.request_id).map_err(unreadable)? {
            told.push(Told { id: row.request_id, story });
        }
    }
    Ok(told)
}

fn unreadable(error: LedgerError) -> CommandError {
    CommandError::unknown(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_as_it_is_copied() {
        for text in [
            "req_01a2",
            " req_01a2\n",
            "x-ripcord-request-id: req_01a2",
            "\"req_01a2\",",
            "`req_01a2`",
        ] {
            assert_eq!(bare_id(text).unwrap(), "req_01a2", "{text}");
        }
        let long = "a".repeat(65);
        for text in ["", ":", "req 1", "req_%", "%", "req_\u{1b}[2J", long.as_str()] {
            assert!(bare_id(text).is_err(), "{text}");
        }
    }
}
