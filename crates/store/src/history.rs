//! What Chutes said an account used, by the hour, kept so that hours that are over need not be asked for again.
//!
//! One file per account, in `usage/` below the state directory, readable by its owner alone, named by the account's tag: no
//! key, no name. It is a cache and nothing more: whatever is wrong with it, it can be thrown away and read again. So it is
//! written whole, beside the old one, and moved into its place; a sum over its rows tells one that is damaged.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::AccountTag;
use crate::directory;

/// Older hours are dropped: a year and a month, so that a month can be compared with that of the year before.
const MOST_SECONDS: i64 = 400 * 86_400;

/// With more rows the oldest hours are dropped: a file stays below some 10 MB.
pub const MOST_ROWS: usize = 100_000;

/// A larger file is not ours.
const LARGEST_BYTES: u64 = 64 * 1024 * 1024;

/// The first line: what it is, and in which form.
const TITLE: &str = "ripcord usage history 1";

const HOUR_SECONDS: i64 = 3_600;

/// What an account used of one chute in one hour. What Chutes did not say is `None`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageHour {
    /// When the hour began, in Unix seconds: a multiple of 3600.
    pub hour_unix_seconds: i64,
    /// The chute.
    pub chute_id: Option<String>,
    /// Requests.
    pub requests: Option<u64>,
    /// Prompt tokens.
    pub prompt_tokens: Option<u64>,
    /// Completion tokens.
    pub completion_tokens: Option<u64>,
    /// Nano-dollars taken from the balance.
    pub charged_nano_usd: Option<i64>,
}

/// The hours of a span without a gap: an hour of it without a row had no use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HourlyUsage {
    /// The first hour, in Unix seconds.
    pub from_unix_seconds: i64,
    /// The hour after the last one.
    pub until_unix_seconds: i64,
    /// When the newest hours were read, in Unix seconds. Those shortly before it may have changed since.
    pub read_at_unix_seconds: i64,
    /// The rows, oldest first.
    pub rows: Vec<UsageHour>,
}

/// One account's file.
#[derive(Clone, Debug)]
pub struct HistoryFile {
    directory: PathBuf,
    path: PathBuf,
}

/// Why the file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// It, or its directory, cannot be read or written.
    #[error("cannot use {}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// It is not what was written.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// The second line.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    from: i64,
    until: i64,
    read_at: i64,
    rows: usize,
    sha256: String,
}

/// A row, short.
type Line = (i64, Option<String>, Option<u64>, Option<u64>, Option<u64>, Option<i64>);

// === impl HourlyUsage ===

impl HourlyUsage {
    /// Both together. Where both know an hour the one that was read later counts; two spans with a gap between them are
    /// not one, and the later read one stays.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        let (older, newer) = if self.read_at_unix_seconds <= other.read_at_unix_seconds {
            (self, other)
        } else {
            (other, self)
        };
        let apart = older.until_unix_seconds < newer.from_unix_seconds
            || newer.until_unix_seconds < older.from_unix_seconds;
        if apart {
            return newer;
        }
        let span = newer.from_unix_seconds..newer.until_unix_seconds;
        let mut rows: Vec<UsageHour> =
            older.rows.into_iter().filter(|row| !span.contains(&row.hour_unix_seconds)).collect();
        rows.extend(newer.rows);
        rows.sort_by(|one, other| {
            let hours = one.hour_unix_seconds.cmp(&other.hour_unix_seconds);
            hours.then_with(|| one.chute_id.cmp(&other.chute_id))
        });
        Self {
            from_unix_seconds: older.from_unix_seconds.min(newer.from_unix_seconds),
            until_unix_seconds: older.until_unix_seconds.max(newer.until_unix_seconds),
            read_at_unix_seconds: newer.read_at_unix_seconds,
            rows,
        }
        .bounded()
    }

    /// Without its oldest hours where it is too long.
    fn bounded(mut self) -> Self {
        let mut first = self.until_unix_seconds.saturating_sub(MOST_SECONDS);
        if let Some(over) = self.rows.len().checked_sub(MOST_ROWS + 1) {
            // The rows that stay begin with a whole hour.
            let last_dropped = self.rows.get(over).map_or(first, |row| row.hour_unix_seconds);
            first = first.max(last_dropped.saturating_add(HOUR_SECONDS));
        }
        if first > self.from_unix_seconds {
            self.from_unix_seconds = first;
            self.rows.retain(|row| row.hour_unix_seconds >= first);
        }
        self
    }
}

// === impl HistoryFile ===

impl HistoryFile {
    /// The file of an account below a state directory. Nothing is made or opened yet.
    #[must_use]
    pub fn of(state_directory: &Path, account: &AccountTag) -> Self {
        let directory = state_directory.join("usage");
        let path = directory.join(format!("{}.history", account.as_str()));
        Self { directory, path }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it holds; `None` if there is none.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn load(&self) -> Result<Option<HourlyUsage>, HistoryError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.unusable(error)),
        };
        let metadata = file.metadata().map_err(|error| self.unusable(error))?;
        if !metadata.is_file() || metadata.len() > LARGEST_BYTES {
            return Err(self.damaged("it is no file that this program wrote"));
        }
        let mut text = String::new();
        match file.take(LARGEST_BYTES).read_to_string(&mut text) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(self.damaged("it is no text"));
            }
            read => read.map_err(|error| self.unusable(error))?,
        };
        read(&text).map(Some).map_err(|what| self.damaged(what))
    }

    /// Adds hours to the file, which is made where it is missing and written anew where it is damaged; what it holds then.
    /// Programs that do this at once wait for each other.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&self, hours: HourlyUsage) -> Result<HourlyUsage, HistoryError> {
        let unusable = |error| self.unusable(error);
        directory::create(&self.directory).map_err(unusable)?;
        let _only_here = directory::lock(&self.directory).map_err(unusable)?;
        let all = match self.load() {
            Ok(Some(kept)) => kept.merged(hours),
            Ok(None) | Err(HistoryError::Damaged { .. }) => hours.bounded(),
            Err(error) => return Err(error),
        };
        self.replace(&write(&all)).map_err(unusable)?;
        Ok(all)
    }

    /// Throws the file away.
    ///
    /// # Errors
    /// When it is there and cannot be deleted.
    pub fn forget(&self) -> Result<(), HistoryError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.unusable(error)),
            _ => Ok(()),
        }
    }

    fn replace(&self, text: &str) -> io::Result<()> {
        let new = self.path.with_extension(format!("{}.new", std::process::id()));
        // What a killed program of the same number left behind; never one that somebody else put there.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(&new).and_then(|mut file| file.write_all(text.as_bytes()));
        let moved = written.and_then(|()| fs::rename(&new, &self.path));
        if moved.is_err() {
            let _ = fs::remove_file(&new);
        }
        moved
    }

    fn unusable(&self, error: io::Error) -> HistoryError {
        HistoryError::File { path: self.path.clone(), error }
    }

    fn damaged(&self, what: &'static str) -> HistoryError {
        HistoryError::Damaged { path: self.path.clone(), what }
    }
}

fn write(usage: &HourlyUsage) -> String {
    let mut body = String::new();
    for row in &usage.rows {
        let line: Line = (
            row.hour_unix_seconds,
            row.chute_id.clone(),
            row.requests,
            row.prompt_tokens,
            row.completion_tokens,
            row.charged_nano_usd,
        );
        // Texts and numbers always become JSON.
        body.push_str(&serde_json::to_string(&line).unwrap_or_default());
        body.push('\n');
    }
    let header = Header {
        from: usage.from_unix_seconds,
        until: usage.until_unix_seconds,
        read_at: usage.read_at_unix_seconds,
        rows: usage.rows.len(),
        sha256: String::new(),
    };
    let sum = sum(&header, &body);
    let header = serde_json::to_string(&Header { sha256: sum, ..header }).unwrap_or_default();
    format!("{TITLE}\n{header}\n{body}")
}

fn read(text: &str) -> Result<HourlyUsage, &'static str> {
    let (title, rest) = text.split_once('\n').ok_or("it has no first line")?;
    if title != TITLE {
        return Err("its first line is not ours");
    }
    let (header, body) = rest.split_once('\n').ok_or("it ends too early")?;
    let header: Header = serde_json::from_str(header).map_err(|_| "its second line is not ours")?;
    if sum(&header, body) != header.sha256 {
        return Err("its sum does not fit");
    }
    let mut rows = Vec::new();
    for line in body.lines() {
        let line: Line = serde_json::from_str(line).map_err(|_| "a row cannot be read")?;
        rows.push(UsageHour {
            hour_unix_seconds: line.0,
            chute_id: line.1,
            requests: line.2,
            prompt_tokens: line.3,
            completion_tokens: line.4,
            charged_nano_usd: line.5,
        });
    }
    if rows.len() != header.rows {
        return Err("rows are missing");
    }
    Ok(HourlyUsage {
        from_unix_seconds: header.from,
        until_unix_seconds: header.until,
        read_at_unix_seconds: header.read_at,
        rows,
    })
}

fn sum(header: &Header, body: &str) -> String {
    let digest = Sha256::new()
        .chain_update(format!(
            "{} {} {} {}\n",
            header.from, header.until, header.read_at, header.rows
        ))
        .chain_update(body)
        .finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(number: i64, requests: u64) -> UsageHour {
        UsageHour {
            hour_unix_seconds: number * HOUR_SECONDS,
            chute_id: Some("c1".to_owned()),
            requests: Some(requests),
            prompt_tokens: Some(100),
            completion_tokens: None,
            charged_nano_usd: Some(-1),
        }
    }

    fn usage(from: i64, until: i64, read_at: i64, hours: &[(i64, u64)]) -> HourlyUsage {
        HourlyUsage {
            from_unix_seconds: from * HOUR_SECONDS,
            until_unix_seconds: until * HOUR_SECONDS,
            read_at_unix_seconds: read_at * HOUR_SECONDS,
            rows: hours.iter().map(|(number, requests)| hour(*number, *requests)).collect(),
        }
    }

    fn requests(usage: &HourlyUsage) -> Vec<(i64, u64)> {
        let of = |row: &UsageHour| (row.hour_unix_seconds / HOUR_SECONDS, row.requests.unwrap());
        usage.rows.iter().map(of).collect()
    }

    #[test]
    fn hours_read_again_replace_those_read_before() {
        let old = usage(10, 14, 14, &[(10, 1), (12, 2), (13, 3)]);
        let new = usage(13, 16, 16, &[(13, 5), (15, 6)]);
        let expected = [(10, 1), (12, 2), (13, 5), (15, 6)];
        for merged in [old.clone().merged(new.clone()), new.merged(old)] {
            assert_eq!(requests(&merged), expected, "whichever comes first");
            assert_eq!((merged.from_unix_seconds, merged.until_unix_seconds), (36_000, 57_600));
            assert_eq!(merged.read_at_unix_seconds, 16 * HOUR_SECONDS);
        }
    }

    #[test]
    fn an_hour_without_a_row_had_no_use_also_where_it_had_some_before() {
        let merged = usage(10, 14, 14, &[(13, 3)]).merged(usage(12, 16, 16, &[]));
        assert_eq!(requests(&merged), []);
    }

    #[test]
    fn spans_with_a_gap_are_not_one() {
        let merged = usage(10, 12, 12, &[(10, 1)]).merged(usage(13, 16, 16, &[(15, 6)]));
        assert_eq!(merged, usage(13, 16, 16, &[(15, 6)]));
        let touching = usage(10, 13, 13, &[(10, 1)]).merged(usage(13, 16, 16, &[(15, 6)]));
        assert_eq!(requests(&touching), [(10, 1), (15, 6)]);
    }

    #[test]
    fn the_oldest_hours_are_dropped_whole() {
        let many = (MOST_ROWS as i64 + 1) / 2 + 10;
        let mut long = usage(0, many, many, &[]);
        // Two rows an hour; the bound falls into the middle of one.
        long.rows = (0..many).flat_map(|number| [hour(number, 1), hour(number, 2)]).collect();
        let mut young = long.clone();
        young.until_unix_seconds = long.rows.last().unwrap().hour_unix_seconds + HOUR_SECONDS;
        let kept = young.bounded();
        assert!(kept.rows.len() <= MOST_ROWS && kept.rows.len().is_multiple_of(2));
        assert_eq!(kept.rows[0].hour_unix_seconds, kept.from_unix_seconds.max(0));
        assert!(kept.from_unix_seconds >= kept.until_unix_seconds - MOST_SECONDS);
    }

    #[test]
    fn what_is_written_is_read_back_and_every_change_is_noticed() {
        let mut odd = usage(10, 14, 14, &[(10, 1), (12, 2)]);
        odd.rows[0].chute_id = None;
        odd.rows[1].chute_id = Some("a\"b\n\u{1b}".to_owned());
        let text = write(&odd);
        assert_eq!(read(&text), Ok(odd));
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1;
            if let Ok(changed) = String::from_utf8(changed) {
                assert!(read(&changed).is_err(), "byte {at}");
            }
            assert!(!text.is_char_boundary(at) || read(&text[..at]).is_err(), "cut at {at}");
        }
    }
}
