//! The ledger of one machine: an SQLite file in the state directory.
//!
//! [`append`](Ledger::append) puts a row into a bounded queue. One writer thread takes what has gathered there, at most
//! every [`LONGEST_DELAY`], and writes it in one transaction. When a write fails its rows stay queued and are tried
//! again, while [`Health::problem`] says why; only when the queue is full are new rows lost, and counted.
//!
//! `kill -9` loses at most the last [`LONGEST_DELAY`]; a power cut may lose a little more, but never damages the file.

mod client_keys;
mod file;
mod queries;
mod queue;
mod spent;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode};

use self::client_keys::Added;
use self::queue::Queue;
use super::client_keys::{AddKeyError, ClientKey, ClientKeys, ClientUse, MOST_CLIENT_KEYS, Paid};
use super::row::{RequestRow, RequestStory, Row, Totals};
use super::spent::Spent;
use super::{Health, Ledger, LedgerError, Problem, ProblemKind, stretch_us};

/// A row is written at the latest this long after it was appended, if the disk allows.
pub const LONGEST_DELAY: Duration = Duration::from_millis(100);

/// Rows that wait while nothing can be written: minutes of heavy traffic, some 50 MB.
const QUEUE_CAPACITY_ROWS: usize = 100_000;

/// See the [module](self).
#[derive(Debug)]
pub struct SqliteLedger {
    path: PathBuf,
    queue: Arc<Queue>,
    reader: Mutex<Connection>,
    writer: Option<JoinHandle<()>>,
}

/// Why a ledger file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its directory cannot be made or opened.
    #[error("cannot use the state directory `{}`: {reason}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        reason: std::io::Error,
    },
    /// The file cannot be created or opened for writing.
    #[error("cannot write the ledger `{}`: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: std::io::Error,
    },
    /// A newer Ripcord wrote the file.
    #[error(
        "the ledger `{}` was written by a newer ripcord (format {found}, this one knows {known}): \
         upgrade ripcord, or name another state directory",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The file's format.
        found: u32,
        /// The newest format this program knows.
        known: u32,
    },
    /// SQLite refused the file.
    #[error("cannot use the ledger `{}`: {problem}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: Problem,
    },
    /// The system gave no thread to write with.
    #[error("cannot start the ledger's writer: {reason}")]
    Thread {
        /// What the system said.
        reason: std::io::Error,
    },
}

impl SqliteLedger {
    /// Opens a ledger file, creating it (mode 0600) and its directory (mode 0700) where missing, and brings it to this
    /// program's format.
    ///
    /// # Errors
    /// When the place cannot be written, or the file is not one that this program can use.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let connections = file::open(path)?;
        Self::start(path, connections, QUEUE_CAPACITY_ROWS)
    }

    /// Like [`open`](Self::open), with room for another number of waiting rows.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with_capacity(path: &Path, capacity_rows: usize) -> Result<Self, OpenError> {
        let connections = file::open(path)?;
        Self::start(path, connections, capacity_rows)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn start(
        path: &Path,
        connections: file::Connections,
        capacity_rows: usize,
    ) -> Result<Self, OpenError> {
        let queue = Arc::new(Queue::new(capacity_rows));
        let file::Connections { writer: connection, reader } = connections;
        let thread = {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new()
                .name("ledger".to_owned())
                .spawn(move || writer::run(&queue, connection))
                .map_err(|reason| OpenError::Thread { reason })?
        };
        Ok(Self { path: path.to_owned(), queue, reader: Mutex::new(reader), writer: Some(thread) })
    }

    fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, LedgerError> {
        query(&self.reader.lock()).map_err(|error| LedgerError::Unreadable(problem(&error)))
    }
}

impl SqliteLedger {
    /// For what is written seldom, past the queue.
    fn write<T>(
        &self,
        change: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, LedgerError> {
        let written = file::connect(&self.path).and_then(|mut connection| change(&mut connection));
        written.map_err(|error| LedgerError::Unwritable(problem(&error)))
    }
}

impl Ledger for SqliteLedger {
    fn append(&self, row: Row) {
        self.queue.append(row.bounded());
    }

    fn flush(&self, patience: Duration) -> Result<(), LedgerError> {
        self.queue.flush(patience)
    }

    fn health(&self) -> Health {
        self.queue.health()
    }

    fn request(&self, request_id: &str) -> Result<Option<RequestStory>, LedgerError> {
        self.read(|connection| queries::request(connection, request_id))
    }

    fn requests_beginning(&self, prefix: &str, limit: usize) -> Result<Vec<Arc<str>>, LedgerError> {
        self.read(|connection| queries::requests_beginning(connection, prefix, limit))
    }

    fn recent_requests(&self, limit: usize) -> Result<Vec<RequestRow>, LedgerError> {
        self.read(|connection| queries::recent_requests(connection, limit))
    }

    fn totals_since(&self, since_unix_us: i64) -> Result<Vec<Totals>, LedgerError> {
        self.read(|connection| queries::totals_since(connection, since_unix_us))
    }

    fn spent_since(
        &self,
        since_unix_us: i64,
        stretch: Duration,
    ) -> Result<Vec<Spent>, LedgerError> {
        self.read(|connection| spent::spent_since(connection, since_unix_us, stretch_us(stretch)))
    }

    fn begins_at(&self) -> Result<Option<i64>, LedgerError> {
        self.read(spent::begins_at)
    }
}

impl ClientKeys for SqliteLedger {
    fn client_keys(&self) -> Result<Vec<ClientKey>, LedgerError> {
        self.read(client_keys::all)
    }

    fn add_client_key(&self, key: ClientKey) -> Result<(), AddKeyError> {
        let added = self.write(|connection| client_keys::add(connection, &key, MOST_CLIENT_KEYS));
        match added? {
            Added::Yes => Ok(()),
            Added::NameTaken => Err(AddKeyError::NameTaken(key.name)),
            Added::TooMany => Err(AddKeyError::TooMany),
        }
    }

    fn revoke_client_key(&self, name: &str, at_unix_us: i64) -> Result<bool, LedgerError> {
        self.write(|connection| client_keys::revoke(connection, name, at_unix_us))
    }

    fn remove_client_key(&self, name: &str) -> Result<bool, LedgerError> {
        self.write(|connection| client_keys::remove(connection, name))
    }

    fn paid_since(&self, since_unix_us: i64) -> Result<Vec<Paid>, LedgerError> {
        self.read(|connection| client_keys::paid_since(connection, since_unix_us))
    }

    fn client_use(
        &self,
        day_since_unix_us: i64,
        month_since_unix_us: i64,
    ) -> Result<Vec<ClientUse>, LedgerError> {
        self.read(|connection| {
            client_keys::used(connection, day_since_unix_us, month_since_unix_us)
        })
    }
}

/// Writes what is queued, giving up after a few tries, and then waits for the writer to end.
impl Drop for SqliteLedger {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the ledger's writer ended in a panic");
        }
    }
}

fn problem(error: &rusqlite::Error) -> Problem {
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ProblemKind::Locked,
        Some(ErrorCode::DiskFull) => ProblemKind::DiskFull,
        Some(
            ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::SystemIoFailure,
        ) => ProblemKind::NotWritable,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => ProblemKind::Damaged,
        _ => ProblemKind::Other,
    };
    Problem { kind, detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cost, Outcome, ServedBy, Timing, Tokens};

    fn row(number: u32) -> Row {
        Row::Request(RequestRow {
            request_id: format!("{number:0>200}").into(),
            client_key: None,
            route: "chat/completions".into(),
            requested_model: None,
            served_by: ServedBy::default(),
            is_stream: false,
            priority: None,
            deadline_us: None,
            status: None,
            outcome: Outcome::Cancelled,
            cause: None,
            attempt_count: 0,
            tokens: Tokens::default(),
            cost: Cost::default(),
            timing: Timing::default(),
        })
    }

    /// The disk is played by SQLite's own limit on the file's pages; a table of ballast is what someone deletes later.
    #[test]
    fn a_full_disk_is_reported_and_rows_wait_for_room() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.sqlite");
        let connections = file::open(&path).unwrap();
        let other_program = Connection::open(&path).unwrap();
        other_program
            .execute_batch(
                "CREATE TABLE ballast (bytes); INSERT INTO ballast VALUES (zeroblob(2000000))",
            )
            .unwrap();
        let pages: u32 =
            connections.writer.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        connections
            .writer
            .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
            .unwrap();
        let ledger = SqliteLedger::start(&path, connections, 1_000).unwrap();
        (0..500).for_each(|number| ledger.append(row(number)));

        let full = loop {
            match ledger.flush(Duration::from_millis(20)) {
                Err(LedgerError::NotFlushed { problem: Some(problem), .. }) => break problem,
                Err(LedgerError::NotFlushed { .. }) => {}
                unexpected => panic!("{unexpected:?}"),
            }
        };
        assert_eq!(full.kind, ProblemKind::DiskFull);
        assert_eq!(ledger.health().rows_queued, 500);

        other_program.execute_batch("DROP TABLE ballast").unwrap();
        ledger.flush(Duration::from_secs(30)).unwrap();
        let health = ledger.health();
        assert_eq!((health.rows_kept, health.rows_lost, health.problem), (500, 0, None));
        assert_eq!(ledger.recent_requests(usize::MAX).unwrap().len(), 500);
    }
}
