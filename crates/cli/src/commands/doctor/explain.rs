//! `ripcord doctor --explain TEXT`: what an error means, from the page that is inside the program.

use std::io::Read as _;

use ripcord_wire::text::clean;
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::CommandError;
use crate::exit::Exit;
use crate::printer::text::{Text, Tone};
use crate::printer::{Page, Printer};
use crate::troubleshooting::{Entry, Found, find};

/// What of standard input is read: an error is not longer.
const INPUT_LIMIT_BYTES: u64 = 64 * 1024;
const INPUT_LIMIT_CHARS: usize = 64 * 1024;
/// With more entries than this each is named only.
const SHOWN_WHOLE: usize = 2;
/// So many of an entry's texts remind of what it is about.
const SHOWN_TEXTS: usize = 2;

/// What `ripcord doctor --explain TEXT --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ExplainReport {
    #[schemars(extend("const" = "ripcord/doctor-explain/1"))]
    schema: &'static str,
    /// What was asked, shortened.
    asked: String,
    /// The status, where it is all that could be recognised: any of the entries may be meant.
    status: Option<u16>,
    /// What it may be; empty if nothing fits (exit code 1).
    entries: Vec<EntryReport>,
}

/// One entry of the troubleshooting page.
#[derive(Debug, Serialize, JsonSchema)]
struct EntryReport {
    /// Its name, as after `more:`; also the anchor in `docs/TROUBLESHOOTING.md`. It never changes.
    name: &'static str,
    /// What it is about.
    title: &'static str,
    /// How it shows; `…` stands for what differs.
    seen: Vec<SeenReport>,
    /// What it means, in Markdown.
    explanation: String,
    /// What to do, in Markdown.
    next: Vec<&'static str>,
}

/// A text that somebody sees.
#[derive(Debug, Serialize, JsonSchema)]
struct SeenReport {
    /// The text.
    text: &'static str,
    /// The status it comes with.
    status: Option<u16>,
    /// Who says it.
    who: &'static str,
    /// The cause, or the code of the gateway's answer.
    means: Option<&'static str>,
}

/// Looks the text up and says what it means.
pub(crate) fn explain(asked: &str, printer: &Printer) -> Result<Exit, CommandError> {
    let asked = match asked {
        "-" => standard_input()?,
        text => text.to_owned(),
    };
    // Logs are coloured; their escape codes stand inside the words.
    let asked = clean(&asked, INPUT_LIMIT_CHARS);
    if asked.trim().is_empty() {
        return Err(CommandError::usage("there is no text to explain")
            .hint("paste the error: ripcord doctor --explain \"TEXT\""));
    }
    let (status, entries) = match find(&asked) {
        Found::Entries(entries) => (None, entries),
        Found::Status(status, entries) => (Some(status), entries),
        Found::Nothing => (None, Vec::new()),
    };
    let report = ExplainReport {
        schema: "ripcord/doctor-explain/1",
        asked: clean(&asked, 200),
        status,
        entries: entries.iter().map(EntryReport::from).collect(),
    };
    printer.answer(&report, || page(&entries, status))?;
    Ok(if entries.is_empty() { Exit::No } else { Exit::Done })
}

fn standard_input() -> Result<String, CommandError> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(INPUT_LIMIT_BYTES).read_to_end(&mut bytes);
    read.map_err(|problem| CommandError::usage(format!("could not read the text: {problem}")))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl From<&Entry> for EntryReport {
    fn from(entry: &Entry) -> Self {
        let seen = entry.sightings.iter().map(|seen| SeenReport {
            text: seen.text,
            status: seen.status,
            who: seen.speaker,
            means: seen.means,
        });
        Self {
            name: entry.anchor,
            title: entry.title,
            seen: seen.collect(),
            explanation: entry.paragraphs.join("\n\n"),
            next: entry.next.clone(),
        }
    }
}

fn page(entries: &[Entry], status: Option<u16>) -> Page {
    let mut page = Page::new();
    if entries.is_empty() {
        page.line(Text::toned(Tone::Warn, "? ").plain("no entry fits this text"));
        page.paragraph(
            2,
            Text::new().plain("Paste the body of the answer, not only what a client makes of it; or ask for its status, as in `ripcord doctor --explain 429`."),
        );
        return page;
    }
    if entries.len() > SHOWN_WHOLE {
        let what = status.map_or_else(
            || "This can be one of these:".to_owned(),
            |status| format!("The text that comes with the {status} tells which of these it is:"),
        );
        page.paragraph(0, Text::new().plain(what));
        for entry in entries {
            named(&mut page, entry, status);
        }
        return page;
    }
    for entry in entries {
        whole(&mut page, entry);
    }
    page
}

/// What it is about, one of its texts, and how to read on.
fn named(page: &mut Page, entry: &Entry, status: Option<u16>) {
    page.gap().line(Text::toned(Tone::Strong, entry.title));
    let own = |seen: &&crate::troubleshooting::Sighting| {
        !seen.is_of_client() && (status.is_none() || seen.status == status)
    };
    if let Some(seen) = entry.sightings.iter().find(own) {
        page.paragraph_under(2, 2, Text::new().dim(seen.text));
    }
    page.line(
        Text::new()
            .plain("  ")
            .then(Tone::Accent, "→")
            .plain(format!(" ripcord doctor --explain {}", entry.anchor)),
    );
}

fn whole(page: &mut Page, entry: &Entry) {
    page.gap().line(Text::toned(Tone::Strong, entry.title));
    let own = entry.sightings.iter().filter(|seen| !seen.is_of_client());
    for seen in own.take(SHOWN_TEXTS) {
        page.paragraph_under(2, 2, Text::new().dim(seen.text));
    }
    for paragraph in &entry.paragraphs {
        page.paragraph(2, marked(paragraph));
    }
    for step in &entry.next {
        page.paragraph_under(
            2,
            2,
            Text::new().then(Tone::Accent, "→").plain(" ").append(marked(step)),
        );
    }
    page.line(Text::new().dim(format!("  docs/TROUBLESHOOTING.md#{}", entry.anchor)));
}

/// The little Markdown of the page as toned text: **strong**, `code`, [links](#anchor), *emphasis*.
fn marked(markdown: &str) -> Text {
    let mut text = Text::new();
    for (index, part) in markdown.split('`').enumerate() {
        if index % 2 == 1 {
            text = text.then(Tone::Accent, format!("`{part}`"));
            continue;
        }
        for (index, part) in unlinked(part).split("**").enumerate() {
            let tone = if index % 2 == 1 { Tone::Strong } else { Tone::Plain };
            text = text.then(tone, part.replace('*', ""));
        }
    }
    text
}

/// Links are their text alone: a terminal does not jump.
fn unlinked(markdown: &str) -> String {
    let mut plain = String::new();
    let mut rest = markdown;
    while let Some((before, link)) = rest.split_once('[') {
        let Some((shown, after)) = link.split_once("](") else { break };
        plain.push_str(before);
        plain.push_str(shown);
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_plain_words() {
        let text =
            marked("**Not** yours: see [the edge](#rate-limited), `ripcord status` or *so*.");
        assert_eq!(text.render(false), "Not yours: see the edge, `ripcord status` or so.");
    }
}
