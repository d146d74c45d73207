//! Directories that belong to their owner alone, and whose lock keeps other programs out for a moment.

use std::fs::{DirBuilder, File};
use std::io;
use std::path::Path;

/// Makes the directory (mode 0700) with those above it, where missing.
pub(crate) fn create(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// The lock goes with the value. A file system without locks is no reason to refuse.
pub(crate) fn lock(directory: &Path) -> io::Result<File> {
    let directory = File::open(directory)?;
    match directory.lock() {
        Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
        _ => Ok(directory),
    }
}
