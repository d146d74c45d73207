//! Files that several programs lock.
//!
//! A lock means something only on the file that everybody else opens, too. A file may be deleted, or renamed together with
//! its directory, while we have it open; so each lock is followed by a look at what stands at the path now. And nothing is
//! locked or written that somebody else put there.

use super::super::CoordinationError;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::fs::{DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How often a file that others delete all the time is opened anew before it counts as taken.
const TRIES: usize = 4;

/// The longest note that is read.
const NOTE_LIMIT_BYTES: usize = 512;

/// Tells files apart, whatever they are called: device and inode.
pub(super) type Identity = (u64, u64);

/// A file with a lock and a note.
#[derive(Debug)]
pub(super) struct SharedFile {
    path: PathBuf,
    file: File,
    identity: Identity,
}

// === impl SharedFile ===

impl SharedFile {
    /// Opens the file, which is made if it is missing, and its directory, too.
    pub(super) fn open(path: PathBuf) -> Result<Self, CoordinationError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let (file, metadata) = match open_own(&path, &mut options) {
            Err(CoordinationError::File { error, .. }) if error.kind() == ErrorKind::NotFound => {
                if let Some(directory) = path.parent() {
                    make_directory(directory)?;
                }
                open_own(&path, &mut options)?
            }
            opened => opened?,
        };
        Ok(Self { path, file, identity: identity(&metadata) })
    }

    pub(super) const fn identity(&self) -> Identity {
        self.identity
    }

    /// Locks the file if nobody else has it locked. One that others do not see any more is opened anew.
    pub(super) fn try_lock(&mut self) -> Result<bool, CoordinationError> {
        for _ in 0..TRIES {
            match self.file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(false),
                Err(TryLockError::Error(error)) => return Err(problem(&self.path, error)),
            }
            match self.is_current() {
                Ok(true) => return Ok(true),
                Ok(false) => self.reopen()?,
                Err(error) => {
                    self.unlock();
                    return Err(error);
                }
            }
        }
        Ok(false)
    }

    /// Whether this is still the file that others open.
    pub(super) fn is_current(&self) -> Result<bool, CoordinationError> {
        match std::fs::symlink_metadata(&self.path) {
            Ok(metadata) => Ok(identity(&metadata) == self.identity),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(problem(&self.path, error)),
        }
    }

    /// Opens what stands at the path now. A lock is lost.
    pub(super) fn reopen(&mut self) -> Result<(), CoordinationError> {
        // Told, not closed: a program that is just being started has a copy of the descriptor for a moment.
        let _ = self.file.unlock();
        *self = Self::open(self.path.clone())?;
        Ok(())
    }

    /// Deletes the file for everybody, unless others did so before, and opens the next one.
    pub(super) fn replace(&mut self) -> Result<(), CoordinationError> {
        if self.is_current()? {
            match std::fs::remove_file(&self.path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(problem(&self.path, error));
                }
                _ => {}
            }
        }
        self.reopen()
    }

    pub(super) fn unlock(&mut self) {
        if let Err(error) = self.file.unlock() {
            // The descriptor is ours and open; this cannot be, and closing it frees the lock all the same.
            tracing::warn!(%error, "a lock could not be given back");
            if let Err(error) = self.reopen() {
                tracing::warn!(%error, "nor its file opened anew");
            }
        }
    }

    /// Writes down who holds it, unless that stands there already. That nobody can write costs only the note.
    pub(super) fn leave_note(&self, note: &[u8]) {
        if read_note(&self.file, |found| found == note) {
            return;
        }
        let written = self.file.metadata().and_then(|metadata| {
            // Under another name it may be something that somebody wants to keep.
            if metadata.nlink() > 1 {
                return Ok(());
            }
            self.file.set_len(0)?;
            self.file.write_all_at(note, 0)
        });
        if let Err(error) = written {
            tracing::debug!(%error, "note of a slot");
        }
    }

    /// Writes over the beginning of the note, which keeps its length.
    pub(super) fn overwrite_note(&self, note: &[u8]) -> std::io::Result<()> {
        self.file.write_all_at(note, 0)
    }

    pub(super) fn note<T>(&self, read: impl FnOnce(&[u8]) -> T) -> T {
        read_note(&self.file, read)
    }
}

/// What stands in a file.
pub(super) fn read_note<T>(file: &File, read: impl FnOnce(&[u8]) -> T) -> T {
    let mut note = [0; NOTE_LIMIT_BYTES];
    let length = file.read_at(&mut note, 0).unwrap_or(0);
    read(&note[..length])
}

/// Opens a file to look at it; `None` if there is none.
pub(super) fn look_at(path: &Path) -> Result<Option<File>, CoordinationError> {
    match open_own(path, OpenOptions::new().read(true)) {
        Ok((file, _)) => Ok(Some(file)),
        Err(CoordinationError::File { error, .. }) if error.kind() == ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Makes a directory for ourselves alone, or sees that it is one.
pub(super) fn make_directory(directory: &Path) -> Result<(), CoordinationError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    let metadata = made.and_then(|()| std::fs::metadata(directory));
    let metadata = metadata.map_err(|error| problem(directory, error))?;
    if !is_ours(&metadata) {
        return Err(refused(directory, "it belongs to another user"));
    }
    if metadata.mode() & 0o022 != 0 {
        let reason = "others can write there, and slots must be out of their reach; `chmod go-w` takes that from them";
        return Err(refused(directory, reason));
    }
    Ok(())
}

pub(super) fn problem(path: &Path, error: Error) -> CoordinationError {
    CoordinationError::File { path: path.to_owned(), error }
}

fn refused(path: &Path, reason: &str) -> CoordinationError {
    problem(path, Error::new(ErrorKind::PermissionDenied, reason))
}

/// Opens a plain file of our own: no link to another, no pipe that would keep us waiting.
fn open_own(path: &Path, options: &mut OpenOptions) -> Result<(File, Metadata), CoordinationError> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file =
        options.custom_flags(flags.bits().cast_signed()).open(path).map_err(|error| match error
            .raw_os_error()
        {
            Some(code) if code == Errno::LOOP.raw_os_error() => {
                refused(path, "it is a symbolic link")
            }
            _ => problem(path, error),
        })?;
    let metadata = file.metadata().map_err(|error| problem(path, error))?;
    if !metadata.is_file() {
        return Err(refused(path, "it is not a plain file"));
    }
    if !is_ours(&metadata) {
        return Err(refused(path, "it belongs to another user"));
    }
    Ok((file, metadata))
}

fn is_ours(metadata: &Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw()
}

fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}
