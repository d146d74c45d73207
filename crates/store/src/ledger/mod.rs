//! The ledger's contract: what every back end promises.

pub mod client_keys;
pub mod memory;
pub mod row;
pub mod spent;
pub mod sqlite;
pub mod step;

use std::sync::Arc;
use std::time::Duration;

use client_keys::ClientKeys;
use row::{RequestRow, RequestStory, Row, Totals};
use spent::Spent;

/// A durable record of requests, their attempts and their steps.
///
/// * [`append`](Self::append) is the only method for a hot path: it never waits for a disk or another program.
/// * A row is known by its id (the request's id, for an attempt or a step also its number). Appending it again changes nothing, so
///   a writer that is not sure may simply write again.
/// * Ids that begin with the time they were made at keep writing cheap: with random ones each row dirties a page of its own
///   (5 against 17 µs of processor time for a request and its attempt, measured with SQLite).
/// * Nothing is lost silently: rows that could not be kept are counted in [`Health::rows_lost`].
///
/// All other methods may block for a while; asynchronous callers use a blocking thread for them.
pub trait Ledger: ClientKeys + Send + Sync + std::fmt::Debug {
    /// Hands a row over. It can be read back a moment later, see [`flush`](Self::flush).
    fn append(&self, row: Row);

    /// Waits until every row appended before this call is kept.
    ///
    /// # Errors
    /// When that is not so after `patience`. The rows stay queued and are tried again.
    fn flush(&self, patience: Duration) -> Result<(), LedgerError>;

    /// How the ledger fares, without blocking on its storage.
    fn health(&self) -> Health;

    /// One request with its attempts and steps in order; `None` if none of them is known.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn request(&self, request_id: &str) -> Result<Option<RequestStory>, LedgerError>;

    /// The ids of requests that begin with these characters, highest first, which is newest first where ids begin with the
    /// time they were made at.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn requests_beginning(&self, prefix: &str, limit: usize) -> Result<Vec<Arc<str>>, LedgerError>;

    /// The newest requests, newest first.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn recent_requests(&self, limit: usize) -> Result<Vec<RequestRow>, LedgerError>;

    /// What was attempted since a time (inclusive), summed for each account and model and ordered by them.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn totals_since(&self, since_unix_us: i64) -> Result<Vec<Totals>, LedgerError>;

    /// What was spent by attempts that ended since a time (inclusive), summed for each stretch of time, account and model
    /// and ordered by them. Stretches begin at multiples of their length, counted from 1970; they last from a
    /// second to thirty years.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn spent_since(&self, since_unix_us: i64, stretch: Duration)
    -> Result<Vec<Spent>, LedgerError>;

    /// When the first attempt that it knows began; `None` without any. What was before, nobody knows.
    ///
    /// # Errors
    /// When the storage cannot be read.
    fn begins_at(&self) -> Result<Option<i64>, LedgerError>;
}

/// The state of a ledger at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Rows taken over and not yet kept.
    pub rows_queued: u64,
    /// Rows kept since the ledger was opened (a row written twice counts twice here).
    pub rows_kept: u64,
    /// Rows lost since the ledger was opened, because there was no room for them any more.
    pub rows_lost: u64,
    /// Why the last write failed; `None` as soon as one succeeded again.
    pub problem: Option<Problem>,
}

impl Health {
    /// Whether rows are being kept: no write is failing. Earlier losses do not count.
    #[must_use]
    pub fn is_writing(&self) -> bool {
        self.problem.is_none()
    }
}

/// What is wrong with the storage, in a form that may be shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {detail}")]
pub struct Problem {
    /// The kind, to decide by.
    pub kind: ProblemKind,
    /// The storage's own words.
    pub detail: String,
}

/// The kinds of [`Problem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// Another program holds the ledger.
    Locked,
    /// The disk, or the quota on it, is full.
    DiskFull,
    /// The file cannot be opened or written.
    NotWritable,
    /// The file is damaged.
    Damaged,
    /// Anything else.
    Other,
}

impl std::fmt::Display for ProblemKind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Locked => "the ledger is locked by another program",
            Self::DiskFull => "the disk of the ledger is full",
            Self::NotWritable => "the ledger's file cannot be written",
            Self::Damaged => "the ledger's file is damaged",
            Self::Other => "the ledger's storage failed",
        })
    }
}

/// Why a ledger could not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Rows are still queued after the caller's patience.
    #[error("{rows_queued} ledger rows are not written yet{}", because(.problem.as_ref()))]
    NotFlushed {
        /// How many.
        rows_queued: u64,
        /// What stands in the way, if the last write failed.
        problem: Option<Problem>,
    },
    /// The storage could not be read.
    #[error("cannot read the ledger: {0}")]
    Unreadable(Problem),
    /// The storage could not be written.
    #[error("cannot write the ledger: {0}")]
    Unwritable(Problem),
}

fn because(problem: Option<&Problem>) -> String {
    problem.map(|problem| format!(": {problem}")).unwrap_or_default()
}

/// The length of a stretch in microseconds, from a second to thirty years.
fn stretch_us(stretch: Duration) -> i64 {
    i64::try_from(stretch.as_micros()).unwrap_or(i64::MAX).clamp(1_000_000, 1_000_000_000_000_000)
}
