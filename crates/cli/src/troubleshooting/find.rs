//! From what a user pasted to the entries that explain it.

use ripcord_wire::error::ErrorBody;

use super::{Entry, Sighting, entries};

/// Shorter texts say too little to be looked for inside others.
const SHORTEST_PART: usize = 6;

/// How entries were found, the surest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// Its text was recognised, or it was called by its name.
    Entries(Vec<Entry>),
    /// Only the status is known, and this is all that comes with it.
    Status(u16, Vec<Entry>),
    /// Nothing fits.
    Nothing,
}

/// Looks up an error text, as it is or somewhere inside a log line, JSON or HTML; a `code`, a cause, a status, or the
/// name of an entry.
pub(crate) fn find(asked: &str) -> Found {
    let entries = entries();
    let name = asked.trim().trim_start_matches('#');
    if let Some(entry) = entries.iter().find(|entry| entry.anchor == name) {
        return Found::Entries(vec![entry.clone()]);
    }
    // The message inside a JSON or HTML body, and the whole as it was pasted: logs wrap bodies in all ways.
    let body = ErrorBody::read(0, None, asked.as_bytes());
    let texts = [plain(&body.message), plain(asked)];
    let best = |wanted: fn(&Sighting) -> bool| {
        let scores = entries.iter().flat_map(|entry| &entry.sightings).filter(|seen| wanted(seen));
        scores.filter_map(|seen| score(&texts, seen.text)).max().map(|best| (best, wanted))
    };
    if let Some((best, wanted)) =
        best(|seen| !seen.is_of_client()).or_else(|| best(Sighting::is_of_client))
    {
        // A text that is a client's as well, word for word, may be either's.
        let fits = |seen: &Sighting| {
            score(&texts, seen.text) == Some(best)
                && (wanted(seen) || texts.contains(&plain(seen.text)))
        };
        let found = with(&entries, fits);
        // What a client says for every error of a status explains none of them.
        let only_clients =
            found.iter().flat_map(|entry| &entry.sightings).filter(|seen| fits(seen));
        let status = only_clients.clone().find(|seen| seen.is_of_client());
        let status = status.filter(|_| only_clients.clone().all(Sighting::is_of_client));
        return match status.and_then(|seen| seen.status) {
            Some(status) => of_status(&entries, status),
            None => Found::Entries(found),
        };
    }
    let words: Vec<&str> = asked
        .split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'))
        .collect();
    let named = with(&entries, |seen| seen.means.is_some_and(|means| words.contains(&means)));
    if !named.is_empty() {
        return Found::Entries(named);
    }
    let statuses = words.iter().filter_map(|word| word.parse().ok());
    statuses
        .map(|status| of_status(&entries, status))
        .find(|found| *found != Found::Nothing)
        .unwrap_or_else(|| by_part(&entries, &plain(asked)))
}

/// The entries one of whose texts has this part: somebody typed only the beginning.
fn by_part(entries: &[Entry], part: &str) -> Found {
    if part.len() < SHORTEST_PART {
        return Found::Nothing;
    }
    let has_it = |seen: &Sighting| plain(seen.text).contains(part);
    let own = with(entries, |seen| !seen.is_of_client() && has_it(seen));
    let found = if own.is_empty() { with(entries, has_it) } else { own };
    if found.is_empty() { Found::Nothing } else { Found::Entries(found) }
}

/// The entry that has this text for this cause.
pub(super) fn by_text_and_cause(message: &str, cause: &str) -> Option<&'static str> {
    let texts = [plain(message), String::new()];
    let entries = entries();
    let seen = entries.iter().flat_map(|entry| {
        entry
            .sightings
            .iter()
            .filter(|seen| seen.means == Some(cause))
            .map(move |seen| (entry, seen))
    });
    seen.filter_map(|(entry, seen)| Some((score(&texts, seen.text)?, entry.anchor)))
        .max_by_key(|(score, _)| *score)
        .map(|(_, anchor)| anchor)
}

fn of_status(entries: &[Entry], status: u16) -> Found {
    match with(entries, |seen| seen.status == Some(status)) {
        found if found.is_empty() => Found::Nothing,
        found => Found::Status(status, found),
    }
}

fn with(entries: &[Entry], fits: impl Fn(&Sighting) -> bool) -> Vec<Entry> {
    entries.iter().filter(|entry| entry.sightings.iter().any(&fits)).cloned().collect()
}

/// How much of a known text stands in one of the pasted ones, in its order; `None` if not all of it does.
fn score(pasted: &[String; 2], known: &str) -> Option<usize> {
    let known = plain(known);
    let parts: Vec<&str> =
        known.split('…').map(str::trim).filter(|part| !part.is_empty()).collect();
    let length = parts.iter().map(|part| part.len()).sum();
    let stands_in = |text: &String| {
        let mut rest = text.as_str();
        parts.iter().all(|part| match rest.find(part) {
            Some(at) => {
                rest = &rest[at + part.len()..];
                true
            }
            None => false,
        })
    };
    let is_telling = length >= SHORTEST_PART || pasted.contains(&known);
    (is_telling && pasted.iter().any(stands_in)).then_some(length)
}

/// Without what copying changes: case, white space, and the quotation marks around names.
fn plain(text: &str) -> String {
    let kept: String =
        text.chars().filter(|character| !matches!(character, '`' | '\\' | '"')).collect();
    kept.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}
