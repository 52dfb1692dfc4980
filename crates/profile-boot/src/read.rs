//! Small files that somebody else may have replaced by anything.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags};

/// What stands in a file's place and is not read: a FIFO, a link, something huge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: passed over: {reason}", path = .path.display())]
pub struct Odd {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub reason: String,
}

/// The most that is read of one, in bytes.
pub(crate) const MAX_BYTES: u64 = 1 << 20;

/// The whole of a small regular file; `None` where there is nothing. A FIFO, a
/// device, a link or a huge file in its place is an error, and blocks nobody.
pub(crate) fn small_file(path: &Path) -> Result<Option<Vec<u8>>, String> {
    small_file_at(CWD, path)
}

/// The same, with a path that may be relative to an open directory.
pub(crate) fn small_file_at(
    directory: impl AsFd,
    path: impl AsRef<Path>,
) -> Result<Option<Vec<u8>>, String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(directory, path.as_ref(), flags, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(rustix::io::Errno::LOOP) => return Err("a symbolic link".to_owned()),
        Err(error) => return Err(error.to_string()),
    };
    let stat = rustix::fs::fstat(&file).map_err(|error| error.to_string())?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err("not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("larger than {MAX_BYTES} bytes"));
    }
    Ok(Some(bytes))
}
