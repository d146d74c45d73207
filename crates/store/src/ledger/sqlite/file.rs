//! Opening the ledger's file: permissions, settings, format.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{OpenError, problem};
use crate::directory;

/// Each entry takes the file from the format before it to the next. Never change one that was released: add another.
const MIGRATIONS: [&str; 4] = [
    include_str!("../../../../../migrations/sqlite/0001_ledger.sql"),
    include_str!("../../../../../migrations/sqlite/0002_client_keys.sql"),
    include_str!("../../../../../migrations/sqlite/0003_client_shares.sql"),
    include_str!("../../../../../migrations/sqlite/0004_story.sql"),
];

/// How long opening and reading wait for another program's lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// How long one write waits for it. Short, because the writer tries again and meanwhile says what is wrong.
const WRITER_LOCK_PATIENCE: Duration = Duration::from_millis(250);

/// One to write with and one to read with; in WAL mode neither waits for the other.
pub(super) struct Connections {
    pub(super) writer: Connection,
    pub(super) reader: Connection,
}

pub(super) fn open(path: &Path) -> Result<Connections, OpenError> {
    let directory = match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    };
    // SQLite does not wait for another program that makes the same file; so whoever opens one locks its directory.
    let _only_here = directory::create(directory)
        .and_then(|()| directory::lock(directory))
        .map_err(|reason| OpenError::Directory { path: directory.to_owned(), reason })?;
    prepare_file(path).map_err(|reason| OpenError::File { path: path.to_owned(), reason })?;
    let unusable = |error| OpenError::Unusable { path: path.to_owned(), problem: problem(&error) };
    let mut writer = connect(path).map_err(unusable)?;
    if let Some(found) = migrate(&mut writer).map_err(unusable)? {
        let known = MIGRATIONS.len() as u32;
        return Err(OpenError::Newer { path: path.to_owned(), found, known });
    }
    writer.busy_timeout(WRITER_LOCK_PATIENCE).map_err(unusable)?;
    let reader = connect(path).map_err(unusable)?;
    reader.pragma_update(None, "query_only", true).map_err(unusable)?;
    Ok(Connections { writer, reader })
}

/// Makes the file before SQLite would, for nobody else to read; SQLite gives its side files the same mode. A file that is
/// there is never opened: closing it would undo the locks of every connection that this process has to it.
fn prepare_file(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => tighten(path),
        made => made.map(|_| ()),
    }
}

/// A file that was made with wider permissions, for instance by a copy, is made private again.
fn tighten(path: &Path) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a file"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;

        let mut permissions = metadata.permissions();
        if permissions.mode() & 0o077 != 0 {
            permissions.set_mode(0o600);
            fs::set_permissions(path, permissions)?;
        }
    }
    Ok(())
}

pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // Without SQLITE_OPEN_URI: a path is a path, whatever characters it has.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(LOCK_PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "normal")?;
    Ok(connection)
}

/// Brings the file to the newest format. Returns the file's format if that is one this program does not know.
fn migrate(connection: &mut Connection) -> rusqlite::Result<Option<u32>> {
    if format(connection)? == MIGRATIONS.len() as u32 {
        return Ok(None);
    }
    // Where directories cannot be locked, two programs may get here at once: what counts is the format inside.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = format(&transaction)?;
    if found as usize > MIGRATIONS.len() {
        return Ok(Some(found));
    }
    for migration in &MIGRATIONS[found as usize..] {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as u32)?;
    transaction.commit()?;
    Ok(None)
}

fn format(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}
