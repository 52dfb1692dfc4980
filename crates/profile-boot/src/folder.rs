//! An open directory, and what is in it by names relative to it.
//!
//! A look at a thousand profiles is some ten thousand lookups. By absolute paths each of them
//! walks through `/`, which storage drivers in user space answer with a round trip every time.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, fsync, linkat, mkdirat, openat};
use rustix::fs::{readlinkat, renameat, statat, symlinkat, unlinkat};
use rustix::io::Errno;

/// The mode of a file that is its owner's alone.
pub(crate) const CLOSED: u32 = 0o600;

/// How much of a directory is listed at a time, in bytes.
const LISTED: usize = 8 << 10;

/// An open directory.
#[derive(Debug)]
pub(crate) struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens it; a link in its place is followed.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            fd: rustix::fs::open(path, flags, Mode::empty())?,
            path: path.to_owned(),
        })
    }

    /// A directory in it; a link is refused.
    pub(crate) fn at(&self, name: &str) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self {
            fd: openat(&self.fd, name, flags, Mode::empty())?,
            path: self.path.join(name),
        })
    }

    /// Those names in a directory below it that are `wanted`.
    pub(crate) fn names(
        &self,
        directory: &Path,
        wanted: impl Fn(&str) -> bool,
    ) -> io::Result<Vec<String>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(&self.fd, directory, flags, Mode::empty())?;
        let mut buffer = [MaybeUninit::uninit(); LISTED];
        let mut entries = RawDir::new(directory, &mut buffer);
        let mut names = Vec::new();
        while let Some(entry) = entries.next() {
            let entry = entry?;
            names.extend(
                entry
                    .file_name()
                    .to_str()
                    .ok()
                    .filter(|name| wanted(name))
                    .map(str::to_owned),
            );
        }
        Ok(names)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What kind of file `name` is, a link being one; `None` where nothing is there.
    pub(crate) fn kind(&self, name: impl AsRef<Path>) -> io::Result<Option<FileType>> {
        match statat(&self.fd, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether `name` leads to a directory, links followed.
    pub(crate) fn leads_to_directory(&self, name: impl AsRef<Path>) -> bool {
        statat(&self.fd, name.as_ref(), AtFlags::empty())
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir())
    }

    /// Whether `name` leads to something, links followed.
    pub(crate) fn leads_somewhere(&self, name: impl AsRef<Path>) -> bool {
        statat(&self.fd, name.as_ref(), AtFlags::empty()).is_ok()
    }

    /// Whether `name` is a link to `target`.
    pub(crate) fn is_link_to(&self, name: &str, target: &Path) -> bool {
        let found: Result<CString, _> = readlinkat(&self.fd, name, Vec::new());
        found.is_ok_and(|found| found.as_bytes() == target.as_os_str().as_encoded_bytes())
    }

    /// Makes a directory. Whether it did: `false` where something is there.
    pub(crate) fn make_directory(&self, name: &str) -> io::Result<bool> {
        self.make_directory_of(name, 0o777)
    }

    /// The same with another mode.
    pub(crate) fn make_directory_of(&self, name: &str, mode: u32) -> io::Result<bool> {
        match mkdirat(&self.fd, name, Mode::from_bits_retain(mode)) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a file where nothing is.
    pub(crate) fn make_file(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_bits_retain(0o666);
        File::from(openat(&self.fd, name, flags, mode)?).write_all(bytes)
    }

    /// Makes a link where nothing is.
    pub(crate) fn make_link(&self, name: &str, target: &Path) -> io::Result<()> {
        Ok(symlinkat(target, &self.fd, name)?)
    }

    /// Makes a file where nothing is that is its owner's alone from its first moment.
    /// A wider mode comes later, before anything is in it.
    pub(crate) fn make_closed_file(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_bits_retain(CLOSED);
        Ok(File::from(openat(&self.fd, name, flags, mode)?))
    }

    /// Gives a file another name as well, where nothing is.
    pub(crate) fn link(&self, old: &str, new: &str) -> io::Result<()> {
        Ok(linkat(&self.fd, old, &self.fd, new, AtFlags::empty())?)
    }

    /// Brings to the disk which files it has.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(fsync(openat(&self.fd, ".", flags, Mode::empty())?)?)
    }

    /// Brings a file to the disk.
    pub(crate) fn sync_file(&self, name: &str) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(fsync(openat(&self.fd, name, flags, Mode::empty())?)?)
    }

    pub(crate) fn rename(&self, old: &str, new: &str) -> io::Result<()> {
        Ok(renameat(&self.fd, old, &self.fd, new)?)
    }

    /// Removes whatever `name` is, a link and not what it leads to. Nothing there is fine.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        let removed = match self.kind(name)? {
            None => return Ok(()),
            Some(FileType::Directory) => fs::remove_dir_all(self.path.join(name)),
            Some(_) => unlinkat(&self.fd, name, AtFlags::empty()).map_err(io::Error::from),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
