//! Opening the ledger's file: permissions, settings, format.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{OpenError, problem};

/// Each entry takes the file from the format before it to the next. Never change one that was released: add another.
const MIGRATIONS: [&str; 1] = [include_str!("../../../../../migrations/sqlite/0001_ledger.sql")];

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
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        create_directory(directory)
            .map_err(|reason| OpenError::Directory { path: directory.to_owned(), reason })?;
    }
    create_file(path).map_err(|reason| OpenError::File { path: path.to_owned(), reason })?;
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

fn create_directory(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Makes the file before SQLite would, for nobody else to read. SQLite gives its side files the same mode.
fn create_file(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    tighten(&file)
}

/// A file that was made with wider permissions, for instance by a copy, is made private again.
#[cfg(unix)]
fn tighten(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let mut permissions = file.metadata()?.permissions();
    if permissions.mode() & 0o077 != 0 {
        permissions.set_mode(0o600);
        file.set_permissions(permissions)?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn tighten(_file: &File) -> io::Result<()> {
    Ok(())
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
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
    // Two programs may start at once: the format counts only inside the write transaction.
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
