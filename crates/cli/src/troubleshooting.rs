//! `docs/TROUBLESHOOTING.md` inside the program: the page is read here, so that what a user looks up in a browser and
//! what `ripcord doctor --explain` says are the same text.

mod find;

pub(crate) use find::{Found, find};

use ripcord_client::error::{Error, ErrorKind, Unreadable};
use ripcord_client::transport::TransportErrorKind;
use ripcord_rules::cause::Cause;
use ripcord_rules::quota::WindowKind;

/// The page; read only when somebody asks.
const PAGE: &str = include_str!("../../../docs/TROUBLESHOOTING.md");

/// One entry of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its name in links, which never changes.
    pub(crate) anchor: &'static str,
    pub(crate) title: &'static str,
    /// How it shows.
    pub(crate) sightings: Vec<Sighting>,
    /// What it means, one string for each paragraph.
    pub(crate) paragraphs: Vec<&'static str>,
    /// What to do, one sentence or two each.
    pub(crate) next: Vec<&'static str>,
}

/// A text that somebody sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sighting {
    /// The text; `…` stands for what differs.
    pub(crate) text: &'static str,
    /// The status it comes with.
    pub(crate) status: Option<u16>,
    /// Who says it.
    pub(crate) speaker: &'static str,
    /// The cause, or the code of the gateway's answer.
    pub(crate) means: Option<&'static str>,
}

// === impl Sighting ===

impl Sighting {
    /// `| text | status | who says it | means |`
    fn read(row: &'static str) -> Option<Self> {
        let mut cells = row.strip_prefix("| `")?.strip_suffix('|')?.split(" | ").map(str::trim);
        let text = cells.next()?.strip_suffix('`')?;
        let status = cells.next()?.parse().ok();
        let speaker = cells.next()?;
        let means = cells.next()?.strip_prefix('`').and_then(|means| means.strip_suffix('`'));
        Some(Self { text, status, speaker, means })
    }

    /// Whether a client says it: in its own words, so that it says little about the cause.
    pub(crate) fn is_of_client(&self) -> bool {
        self.speaker.starts_with("client")
    }
}

/// Every entry of the page, in its order.
pub(crate) fn entries() -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut inside = false;
    for line in PAGE.lines() {
        if let Some(heading) = line.strip_prefix("### <a id=\"") {
            inside = true;
            let (anchor, title) = heading.split_once("\"></a>").unwrap_or((heading, heading));
            entries.push(Entry {
                anchor,
                title,
                sightings: Vec::new(),
                paragraphs: Vec::new(),
                next: Vec::new(),
            });
            continue;
        }
        inside &= !line.starts_with('#');
        let Some(entry) = entries.last_mut().filter(|_| inside) else { continue };
        if let Some(sighting) = Sighting::read(line) {
            entry.sightings.push(sighting);
        } else if let Some(step) = line.strip_prefix("* ") {
            entry.next.push(step);
        } else if !line.is_empty() && !line.starts_with('|') {
            entry.paragraphs.push(line);
        }
    }
    entries
}

/// The entry for a cause, where the text tells nothing more exact.
pub(crate) const fn anchor_of(cause: Cause) -> &'static str {
    match cause {
        Cause::Capacity => "model-full",
        Cause::EdgeRateLimit => "rate-limited",
        Cause::RateLimited => "provider-limit",
        Cause::OutOfCredit => "provider-credit",
        Cause::WindowUsedUp(Some(WindowKind::Day | WindowKind::Chute)) => "quota-used-up",
        Cause::WindowUsedUp(_) => "cap-used-up",
        Cause::NotEntitled => "plan-tier",
        Cause::FreeModelLimit => "free-models",
        Cause::Cold => "model-cold",
        Cause::Disabled => "model-off",
        Cause::ModelNotFound => "model-not-found",
        Cause::DeadKey => "key-refused",
        Cause::AccountUnreadable => "account-unreadable",
        Cause::EdgeBlock => "edge-block",
        Cause::ContextTooLong => "context-too-long",
        Cause::ContentFilter => "content-filter",
        Cause::BadRequest => "bad-parameter",
        Cause::Transient => "server-error",
        Cause::Silent => "no-answer",
        Cause::BrokenStream => "stream-broken",
        Cause::Unreachable => "unreachable",
    }
}

/// The entry for an answer that failed: by its text among those of this cause, else by the cause.
pub(crate) fn anchor_of_answer(cause: Cause, message: &str) -> &'static str {
    find::by_text_and_cause(message, cause.name()).unwrap_or_else(|| anchor_of(cause))
}

/// The entry for a failure below HTTP.
pub(crate) const fn anchor_of_transport(kind: TransportErrorKind) -> &'static str {
    match kind {
        TransportErrorKind::Timeout => "no-answer",
        TransportErrorKind::Certificate => "clock",
        _ => "unreachable",
    }
}

/// The entry for a failed call.
pub(crate) fn anchor_of_error(error: &Error) -> Option<&'static str> {
    Some(match error.kind() {
        ErrorKind::NoKey => "key-missing",
        ErrorKind::Transport(failed) => anchor_of_transport(failed.kind()),
        ErrorKind::Deadline { .. } => "no-answer",
        ErrorKind::Answered { message, .. } => anchor_of_answer(error.cause()?, message),
        ErrorKind::WebPage { .. } => match error.cause()? {
            cause @ (Cause::EdgeBlock | Cause::EdgeRateLimit) => anchor_of(cause),
            _ => "web-page",
        },
        ErrorKind::Redirected { .. } => "web-page",
        ErrorKind::BrokenStream { message, .. } => anchor_of_answer(error.cause()?, message),
        ErrorKind::Unreadable { fault: Unreadable::EndsEarly, .. } => "stream-broken",
        ErrorKind::Unreadable { .. } => "web-page",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
