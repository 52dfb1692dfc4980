//! What the file system does not allow.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// What a path turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
    /// A symbolic link.
    Symlink,
    /// A socket.
    Socket,
    /// A character or block device.
    Device,
    /// Anything else.
    Unknown,
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Regular => "a regular file",
            Self::Directory => "a directory",
            Self::Fifo => "a FIFO",
            Self::Symlink => "a symbolic link",
            Self::Socket => "a socket",
            Self::Device => "a device",
            Self::Unknown => "of an unknown kind",
        })
    }
}

/// Who owns a file, and its permission bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Permission bits, set-id and sticky bits included.
    pub mode: u32,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "owner {}:{}, mode {:04o}", self.uid, self.gid, self.mode)
    }
}

/// A file system operation that did not succeed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FsError {
    /// Nothing is there.
    #[error("{}: does not exist", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// A link where none is followed.
    #[error("{}: is a symbolic link, which is not followed", path.display())]
    Symlink {
        /// The path.
        path: PathBuf,
    },
    /// Something else is there.
    #[error("{}: is {found}, not {expected}", path.display())]
    WrongKind {
        /// The path.
        path: PathBuf,
        /// What should be there.
        expected: FileKind,
        /// What is there.
        found: FileKind,
    },
    /// A file that has a second name, which somebody may have made to have it given to them.
    #[error("{}: has more than one name", path.display())]
    Linked {
        /// The path.
        path: PathBuf,
    },
    /// The permissions do not allow it.
    #[error("{}: not permitted{}", path.display(), barrier(path, at, owner.as_ref()))]
    Denied {
        /// The path that was asked for.
        path: PathBuf,
        /// The innermost path whose owner could be read: `path` itself, or the directory that bars
        /// the way to it.
        at: PathBuf,
        /// The owner of `at`.
        owner: Option<Owner>,
        /// What the system said.
        source: io::Error,
    },
    /// Any other error of the system.
    #[error("{}: cannot {operation}", path.display())]
    Os {
        /// What was being done: a verb.
        operation: &'static str,
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn barrier(path: &Path, at: &Path, owner: Option<&Owner>) -> String {
    match owner {
        Some(owner) if at == path => format!(" ({owner})"),
        Some(owner) => format!(" ({}: {owner})", at.display()),
        None => String::new(),
    }
}

impl FsError {
    /// The path that the error is about.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Missing { path }
            | Self::Symlink { path }
            | Self::Linked { path }
            | Self::WrongKind { path, .. }
            | Self::Denied { path, .. }
            | Self::Os { path, .. } => path,
        }
    }

    /// Whether nothing is there.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }

    /// Whether the permissions do not allow it.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Denied { .. })
    }
}
