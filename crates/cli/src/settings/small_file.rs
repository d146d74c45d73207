//! Files that a person writes: read only where they are files, and only as far as a person writes.

use std::fs::{self, File, FileType};
use std::io::{self, Read as _};
use std::path::Path;

/// More than this nobody has written.
const LARGEST_MIB: u64 = 1;
const LARGEST_BYTES: u64 = LARGEST_MIB * 1024 * 1024;

/// The text of a file. A device may never end, and a named pipe may never begin: neither is read. What a shell hands
/// over as `<(command)` is.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    let kind = fs::metadata(path)?.file_type();
    if kind.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
    }
    if !kind.is_file() && !is_handed_over(path, kind) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_BYTES {
        let message = format!("it is larger than {LARGEST_MIB} MiB");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    String::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

#[cfg(unix)]
fn is_handed_over(path: &Path, kind: FileType) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    let descriptors = ["/dev/fd", "/proc/self/fd", "/dev/stdin"];
    kind.is_fifo() && descriptors.iter().any(|descriptors| path.starts_with(descriptors))
}

#[cfg(not(unix))]
fn is_handed_over(_: &Path, _: FileType) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        for (length, is_read) in [(0, true), (LARGEST_BYTES, true), (LARGEST_BYTES + 1, false)] {
            fs::write(&path, vec![b' '; usize::try_from(length).unwrap()]).unwrap();
            assert_eq!(read(&path).is_ok(), is_read, "{length}");
        }
        fs::write(&path, b"\xff").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("UTF-8"));
        assert_eq!(
            read(&directory.path().join("none")).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }

    #[test]
    fn what_never_ends_or_begins_is_not_read() {
        assert!(read(Path::new("/dev/zero")).unwrap_err().to_string().contains("no regular file"));
        assert!(read(Path::new("/")).unwrap_err().to_string().contains("directory"));
    }
}
