//! Directories held open: everything below a service directory is reached from here, one component
//! at a time, so that a link put in its place by somebody else leads nowhere.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::error::{FileKind, FsError, Owner};
use crate::path::AbsPath;

/// Whether a symbolic link as the last component of a path is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Links {
    Refuse,
    Follow,
}

impl Links {
    fn flag(self) -> OFlags {
        match self {
            Self::Refuse => OFlags::NOFOLLOW,
            Self::Follow => OFlags::empty(),
        }
    }
}

/// An open directory and the path by which it was reached.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Only search permission is needed on a directory that is opened like this.
const REACH: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Dir {
    /// Opens a directory for what is below it; its own entries cannot be listed.
    pub(crate) fn reach(path: &AbsPath, links: Links) -> Result<Self, FsError> {
        let path = path.as_path();
        match rustix::fs::openat(CWD, path, REACH | links.flag(), Mode::empty()) {
            Ok(fd) => Ok(Self {
                fd,
                path: path.to_owned(),
            }),
            Err(errno) => Err(explain(
                CWD,
                path,
                path.to_owned(),
                FileKind::Directory,
                "open",
                errno,
            )),
        }
    }

    /// A directory that is open already.
    pub(crate) fn from_fd(fd: OwnedFd, path: PathBuf) -> Self {
        Self { fd, path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        // Joining nothing would leave a slash at the end.
        match name.as_ref().as_os_str().as_encoded_bytes() {
            b"" | b"." => self.path.clone(),
            _ => self.path.join(name),
        }
    }

    /// Opens a subdirectory, as [`Dir::reach`].
    pub(crate) fn below(&self, name: impl AsRef<Path>, links: Links) -> Result<Self, FsError> {
        let name = name.as_ref();
        match rustix::fs::openat(&self.fd, name, REACH | links.flag(), Mode::empty()) {
            Ok(fd) => Ok(Self {
                fd,
                path: self.join(name),
            }),
            Err(errno) => Err(self.fail("open", name, FileKind::Directory, errno)),
        }
    }

    /// Opens a subdirectory so that it can be listed.
    pub(crate) fn list(&self, name: impl AsRef<Path>) -> Result<rustix::fs::Dir, FsError> {
        let name = name.as_ref();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        rustix::fs::openat(&self.fd, name, flags, Mode::empty())
            .and_then(rustix::fs::Dir::new)
            .map_err(|errno| self.fail("list", name, FileKind::Directory, errno))
    }

    /// What is there, without following a link; `None` where nothing is.
    pub(crate) fn stat(&self, name: impl AsRef<Path>) -> Result<Option<Stat>, FsError> {
        let name = name.as_ref();
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.fail("look at", name, FileKind::Unknown, errno)),
        }
    }

    /// Which directory it is, as long as it is there.
    pub(crate) fn inode(&self) -> Result<u64, FsError> {
        rustix::fs::fstat(&self.fd)
            .map(|stat| stat.st_ino)
            .map_err(|errno| self.fail("look at", "", FileKind::Directory, errno))
    }

    /// Opens a regular file to read; anything else is refused, and nothing blocks.
    pub(crate) fn open_regular(&self, name: impl AsRef<Path>) -> Result<OwnedFd, FsError> {
        let name = name.as_ref();
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::empty())
            .map_err(|errno| self.fail("open", name, FileKind::Regular, errno))?;
        self.expect(&fd, name, FileKind::Regular)?;
        Ok(fd)
    }

    /// Reads a regular file, at most `limit` bytes and one more, so that the caller sees that there
    /// are more.
    pub(crate) fn read(&self, name: impl AsRef<Path>, limit: usize) -> Result<Vec<u8>, FsError> {
        let name = name.as_ref();
        let fd = self.open_regular(name)?;
        let mut bytes = vec![0; limit + 1];
        let mut filled = 0;
        while filled < bytes.len() {
            match rustix::io::read(&fd, &mut bytes[filled..]) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(self.fail("read", name, FileKind::Regular, errno)),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// Opens a FIFO to write; `None` where nobody has it open to read.
    pub(crate) fn open_fifo(&self, name: impl AsRef<Path>) -> Result<Option<OwnedFd>, FsError> {
        let name = name.as_ref();
        let flags =
            OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => {
                self.expect(&fd, name, FileKind::Fifo)?;
                Ok(Some(fd))
            }
            // A socket answers like a FIFO without a reader.
            Err(Errno::NXIO) => match self.stat(name)?.map(|stat| kind(&stat)) {
                Some(FileKind::Fifo) | None => Ok(None),
                Some(found) => Err(self.wrong_kind(name, FileKind::Fifo, found)),
            },
            Err(errno) => Err(self.fail("open", name, FileKind::Fifo, errno)),
        }
    }

    /// Checks what an open file is.
    pub(crate) fn expect(
        &self,
        fd: &OwnedFd,
        name: impl AsRef<Path>,
        expected: FileKind,
    ) -> Result<Stat, FsError> {
        let name = name.as_ref();
        let stat =
            rustix::fs::fstat(fd).map_err(|errno| self.fail("look at", name, expected, errno))?;
        let found = kind(&stat);
        if found == expected {
            Ok(stat)
        } else {
            Err(self.wrong_kind(name, expected, found))
        }
    }

    pub(crate) fn wrong_kind(
        &self,
        name: impl AsRef<Path>,
        expected: FileKind,
        found: FileKind,
    ) -> FsError {
        let name = name.as_ref();
        let path = self.join(name);
        match found {
            FileKind::Symlink => FsError::Symlink { path },
            _ => FsError::WrongKind {
                path,
                expected,
                found,
            },
        }
    }

    /// The error for an operation on an entry that did not succeed.
    pub(crate) fn fail(
        &self,
        operation: &'static str,
        name: impl AsRef<Path>,
        expected: FileKind,
        errno: Errno,
    ) -> FsError {
        let mut error = explain(
            self.fd.as_fd(),
            name.as_ref(),
            self.join(name.as_ref()),
            expected,
            operation,
            errno,
        );
        if let FsError::Denied {
            at,
            owner: owner @ None,
            ..
        } = &mut error
        {
            // The entry itself cannot be looked at: it is this directory that bars the way.
            at.clone_from(&self.path);
            *owner = rustix::fs::fstat(&self.fd).ok().map(|stat| owner_of(&stat));
        }
        error
    }
}

/// Turns an error number into what it means here; the entry is looked at again for what is there
/// instead.
fn explain(
    dir: BorrowedFd<'_>,
    name: &Path,
    path: PathBuf,
    expected: FileKind,
    operation: &'static str,
    errno: Errno,
) -> FsError {
    let found = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).ok();
    match errno {
        Errno::NOENT => FsError::Missing { path },
        Errno::ACCESS | Errno::PERM => {
            let owner = found.map(|stat| owner_of(&stat));
            FsError::Denied {
                at: path.clone(),
                path,
                owner,
                source: errno.into(),
            }
        }
        Errno::LOOP | Errno::NOTDIR | Errno::ISDIR | Errno::NXIO => {
            match found.map(|stat| kind(&stat)) {
                Some(FileKind::Symlink) => FsError::Symlink { path },
                Some(found) if found != expected => FsError::WrongKind {
                    path,
                    expected,
                    found,
                },
                _ => os(operation, path, errno),
            }
        }
        _ => os(operation, path, errno),
    }
}

pub(crate) fn os(operation: &'static str, path: PathBuf, errno: Errno) -> FsError {
    FsError::Os {
        operation,
        path,
        source: io::Error::from(errno),
    }
}

pub(crate) fn kind(stat: &Stat) -> FileKind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => FileKind::Regular,
        FileType::Directory => FileKind::Directory,
        FileType::Fifo => FileKind::Fifo,
        FileType::Symlink => FileKind::Symlink,
        FileType::Socket => FileKind::Socket,
        FileType::CharacterDevice | FileType::BlockDevice => FileKind::Device,
        FileType::Unknown => FileKind::Unknown,
    }
}

pub(crate) fn owner_of(stat: &Stat) -> Owner {
    Owner {
        uid: stat.st_uid,
        gid: stat.st_gid,
        mode: stat.st_mode & 0o7777,
    }
}
