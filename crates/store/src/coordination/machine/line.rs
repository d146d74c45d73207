//! The file `line`: whoever has its lock is first in line.
//!
//! Whoever is first shows that it lives: it counts up in the file. A program that was stopped (Ctrl-Z, a frozen container)
//! keeps its locks, and would hold up everybody; so whoever sees no sign of life for a while deletes the file. Those who
//! wait then stand in a new one, the stopped program, too, when it goes on. At worst somebody who was only slow loses its
//! place: it is the locks of the slots that say how many there are.

use super::super::CoordinationError;
use super::shared_file::{Identity, SharedFile};
use crate::clock;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often whoever is first shows that it lives.
const HEARTBEAT: Duration = Duration::from_millis(100);

/// Whoever is first and shows no life for this long is passed. Measured by whoever waits, on a clock that nobody sets.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many heads of a line in turn are looked at before the answer is "not now".
const TRIES: usize = 3;

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Ours: we have the lock.
    Ours,
    /// Somebody else's, who can use the slots below this number. Others can be taken.
    After(usize),
}

/// The line, as somebody has it open.
#[derive(Debug)]
pub(super) struct LineFile {
    file: SharedFile,
    watch: Watch,
    /// What we counted up to when we last showed that we live, as the first in line.
    shown: Option<(u64, Instant)>,
}

/// How long the first in line has shown no life.
#[derive(Debug, Default)]
struct Watch {
    last: Option<(Sign, Instant)>,
}

/// What changes while the first in line lives.
type Sign = (Identity, u64);

/// What stands in the file: two numbers of fixed width, so that it can be written over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Note {
    /// Goes up while the first in line lives, and when the next one takes its place.
    count: u64,
    /// How many slots the first in line knows. It waits for one of those.
    slots: usize,
}

// === impl LineFile ===

impl LineFile {
    pub(super) fn open(path: PathBuf) -> Result<Self, CoordinationError> {
        Ok(Self { file: SharedFile::open(path)?, watch: Watch::default(), shown: None })
    }

    /// Becomes the first in line, if nobody is.
    pub(super) fn try_lock(&mut self) -> Result<Turn, CoordinationError> {
        for _ in 0..TRIES {
            if self.file.try_lock()? {
                self.watch = Watch::default();
                self.shown = None;
                return Ok(Turn::Ours);
            }
            if !self.file.is_current()? {
                self.file.reopen()?;
                continue;
            }
            let note = self.file.note(Note::parse);
            let count = note.map_or(0, |note| note.count);
            if !self.watch.is_lifeless((self.file.identity(), count), clock::now()) {
                return Ok(Turn::After(note.map_or(usize::MAX, |note| note.slots)));
            }
            tracing::debug!("the first in line shows no life, and is passed");
            self.file.replace()?;
        }
        Ok(Turn::After(usize::MAX))
    }

    /// Whether we, who have the lock, are still first: others may have passed us.
    pub(super) fn is_current(&self) -> Result<bool, CoordinationError> {
        self.file.is_current()
    }

    /// Shows that we live, and how many slots we know.
    pub(super) fn show_life(&mut self, slots: usize) {
        let now = clock::now();
        let count = match self.shown {
            Some((_, at)) if now.saturating_duration_since(at) < HEARTBEAT => return,
            Some((count, _)) => count,
            None => self.file.note(Note::parse).map_or(0, |note| note.count),
        };
        let note = Note { count: count.wrapping_add(1), slots };
        if let Err(error) = self.file.overwrite_note(note.text().as_bytes()) {
            // Others may pass us. That is all.
            tracing::debug!(%error, "note of the line");
        }
        self.shown = Some((note.count, now));
    }

    pub(super) fn unlock(&mut self) {
        self.file.unlock();
    }
}

// === impl Watch ===

impl Watch {
    fn is_lifeless(&mut self, sign: Sign, now: Instant) -> bool {
        match self.last {
            Some((last, since)) if last == sign => now.saturating_duration_since(since) >= PATIENCE,
            _ => {
                self.last = Some((sign, now));
                false
            }
        }
    }
}

// === impl Note ===

impl Note {
    fn text(self) -> String {
        format!("{:020} {:020}\n", self.count, self.slots)
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(text).ok()?.split_whitespace();
        Some(Self { count: words.next()?.parse().ok()?, slots: words.next()?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_shows_no_life_for_a_second_is_given_up() {
        let start = clock::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut watch = Watch::default();
        let (file, other_file) = ((1, 1), (1, 2));
        // Nobody is given up at first sight, whenever that is.
        assert!(!watch.is_lifeless((file, 7), at(5_000)));
        assert!(!watch.is_lifeless((file, 7), at(5_999)));
        assert!(!watch.is_lifeless((file, 8), at(6_100)), "it lives");
        assert!(!watch.is_lifeless((file, 8), at(7_099)));
        assert!(!watch.is_lifeless((other_file, 8), at(7_100)), "somebody else");
        assert!(watch.is_lifeless((other_file, 8), at(8_100)));
    }

    #[test]
    fn a_note_can_be_read_and_written_over() {
        let short = Note { count: 9, slots: 1 };
        let long = Note { count: u64::MAX, slots: usize::MAX };
        assert_eq!(short.text().len(), long.text().len());
        for note in [short, long] {
            assert_eq!(Note::parse(note.text().as_bytes()), Some(note));
        }
        assert_eq!(Note::parse(b""), None);
        assert_eq!(Note::parse(b"{\"pid\":1}\n"), None);
        assert_eq!(Note::parse(b"\xff\xff"), None);
    }
}
