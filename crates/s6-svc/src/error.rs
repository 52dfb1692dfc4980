//! What can go wrong, by family. Every error names the path or the name that it is about.

mod fs;
mod registration;
mod wait;

use std::path::PathBuf;

use thiserror::Error;

pub use fs::{FileKind, FsError, Owner};
pub use registration::RegistrationError;
pub use wait::{Loss, WaitError};

/// Bytes or text that are not in the format they should be in.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A status file is 35 or 43 bytes.
    #[error("a status file is 35 or 43 bytes, this one has {found}")]
    StatusLength {
        /// The length found; one more than the longest form where there is more than that.
        found: usize,
    },
    /// A process id beyond what the kernel gives.
    #[error("{value} is not a process id")]
    ProcessId {
        /// The value found.
        value: u64,
    },
    /// A death tally is a sequence of 14-byte records.
    #[error("a death tally is a multiple of 14 bytes, this one has {found}")]
    TallyLength {
        /// The length found.
        found: usize,
    },
    /// A time stamp whose nanoseconds make a second or more.
    #[error("{nanos} nanoseconds in a time stamp")]
    Nanoseconds {
        /// The value found.
        nanos: u32,
    },
    /// A time stamp in text is `@` and 24 hexadecimal digits.
    #[error("a time stamp is @ and 24 hexadecimal digits, this text has {length} bytes")]
    TimeStampText {
        /// The length of the text.
        length: usize,
    },
}

/// Why a text is no [`ServiceName`](crate::ServiceName).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NameError {
    /// The name has no characters.
    #[error("a service name cannot be empty")]
    Empty,
    /// s6-svscan refuses longer names.
    #[error("a service name has at most 251 characters, this one has {length}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The first character is a letter or a digit.
    #[error("a service name begins with a lower-case letter or a digit: {name:?}")]
    FirstCharacter {
        /// The name, lossily.
        name: String,
    },
    /// The others are letters, digits, `_` and `-`.
    #[error("a service name holds lower-case letters, digits, _ and -: {name:?} has {character:?}")]
    Character {
        /// The name, lossily.
        name: String,
        /// The first character that does not belong.
        character: char,
    },
}

/// Why a path is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PathError {
    /// Relative paths mean something else in each process.
    #[error("{}: the path must be absolute", path.display())]
    NotAbsolute {
        /// The path.
        path: PathBuf,
    },
    /// A path with `..` can be read in two ways once links are involved.
    #[error("{}: the path must not hold ..", path.display())]
    Parent {
        /// The path.
        path: PathBuf,
    },
    /// No path on a Unix system holds a NUL byte.
    #[error("{path:?}: the path holds a NUL byte")]
    Nul {
        /// The path.
        path: PathBuf,
    },
}

/// Reading a service's state.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StatusError {
    /// No `s6-supervise` runs on this directory.
    #[error("{}: s6-supervise is not running", path.display())]
    NotSupervised {
        /// The service directory.
        path: PathBuf,
    },
    /// The file is there and is not what s6 writes.
    #[error("{}: malformed", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// The file could not be read.
    #[error(transparent)]
    Fs(#[from] FsError),
}

/// Sending commands to a supervisor.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ControlError {
    /// Nobody reads the control FIFO: no supervisor runs.
    #[error("{}: no supervisor is listening", path.display())]
    NotSupervised {
        /// The service directory or scandir.
        path: PathBuf,
    },
    /// The FIFO is full: a supervisor has it open and does not read.
    #[error("{}: the supervisor does not read its control FIFO", path.display())]
    Stuck {
        /// The FIFO.
        path: PathBuf,
    },
    /// The FIFO could not be opened or written.
    #[error(transparent)]
    Fs(#[from] FsError),
}
