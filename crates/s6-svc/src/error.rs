//! What can go wrong, by family. Every error names the path or the name that it is about.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::skeleton::Refusal;
use crate::status::Phase;
use crate::watch::Goal;

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

fn barrier(path: &std::path::Path, at: &std::path::Path, owner: Option<&Owner>) -> String {
    match owner {
        Some(owner) if at == path => format!(" ({owner})"),
        Some(owner) => format!(" ({}: {owner})", at.display()),
        None => String::new(),
    }
}

impl FsError {
    /// The path that the error is about.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
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

/// Registering, unregistering and sweeping.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RegistrationError {
    /// No `s6-svscan` runs on the scandir.
    #[error("{}: s6-svscan is not running", path.display())]
    NotScanned {
        /// The scandir.
        path: PathBuf,
    },
    /// Another service has the name.
    #[error("{}: is there already, and differs from what was to be registered", path.display())]
    Different {
        /// The first file that differs.
        path: PathBuf,
    },
    /// Somebody else registers or unregisters the same service, and did not end in time.
    #[error("{}: another process works on this service", path.display())]
    Busy {
        /// Where it works.
        path: PathBuf,
    },
    /// What was left by another user, who must remove it.
    #[error("{}: belongs to somebody else ({owner})", path.display())]
    Foreign {
        /// What was left.
        path: PathBuf,
        /// Who left it.
        owner: Owner,
    },
    /// The supervise skeleton cannot be made.
    #[error("{}: cannot make the supervise skeleton", path.display())]
    Refused {
        /// The service directory.
        path: PathBuf,
        /// Why.
        source: Refusal,
    },
    /// `s6-svscan` did not start a supervisor in time; it may be at its limit.
    #[error("{}: s6-svscan started no supervisor in time", path.display())]
    NotStarted {
        /// The service directory.
        path: PathBuf,
    },
    /// The service did not end, although it was killed.
    #[error("{}: did not stop in time{}", path.display(), last_seen(phase.as_ref()))]
    StillUp {
        /// The service directory.
        path: PathBuf,
        /// The state that it was last seen in.
        phase: Option<Phase>,
    },
    /// A supervisor did not exit in time; the same call made again goes on.
    #[error("{}: its supervisor did not exit in time", path.display())]
    Lingers {
        /// The service directory.
        path: PathBuf,
    },
    /// It failed, and what was done until then could not be undone.
    #[error("{undo}, while undoing what failed")]
    Undo {
        /// Why undoing failed.
        undo: Box<Self>,
        /// What failed first.
        source: Box<Self>,
    },
    /// A command could not be sent.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The service could not be waited for.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// The file system did not allow it.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The system could not wait.
    #[error("cannot wait")]
    Poll {
        /// What the system said.
        source: io::Error,
    },
}

impl RegistrationError {
    pub(crate) fn undo(cause: Self, undo: Self) -> Self {
        Self::Undo {
            undo: Box::new(undo),
            source: Box::new(cause),
        }
    }
}

fn last_seen(phase: Option<&Phase>) -> String {
    phase.map_or_else(String::new, |phase| format!(", last seen {phase}"))
}

/// Waiting for services to come into a state.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The deadline passed.
    #[error("timed out before {}{}", wanted(*goal), stragglers(waiting))]
    TimedOut {
        /// What was waited for.
        goal: Option<Goal>,
        /// The services that were not there yet, and the state each was last seen in.
        waiting: Vec<(PathBuf, Option<Phase>)>,
    },
    /// Services that will not come into the state that was waited for.
    #[error("{}", losses(lost))]
    Lost {
        /// Each of them, and why.
        lost: Vec<(PathBuf, Loss)>,
    },
    /// A service's state could not be read.
    #[error(transparent)]
    Status(#[from] StatusError),
    /// A command could not be sent.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A service's events could not be listened to.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The system could not wait.
    #[error("cannot wait for events")]
    Poll {
        /// What the system said.
        source: io::Error,
    },
}

/// Why a service will not come into a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Loss {
    /// Its `finish` said that it failed for good.
    PermanentFailure,
    /// Its supervisor exited.
    SupervisorExit,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PermanentFailure => "failed for good",
            Self::SupervisorExit => "its supervisor exited",
        })
    }
}

fn wanted(goal: Option<Goal>) -> String {
    goal.map_or_else(
        || "anything happened".to_owned(),
        |goal| format!("being {goal}"),
    )
}

fn stragglers(waiting: &[(PathBuf, Option<Phase>)]) -> String {
    let state =
        |phase: &Option<Phase>| phase.map_or("unknown".to_owned(), |phase| phase.to_string());
    let each = waiting.iter().take(3);
    let mut parts: Vec<_> = each
        .map(|(path, phase)| format!("; {}: {}", path.display(), state(phase)))
        .collect();
    if waiting.len() > 3 {
        parts.push(format!("; and {} more", waiting.len() - 3));
    }
    parts.concat()
}

fn losses(lost: &[(PathBuf, Loss)]) -> String {
    let each = lost
        .iter()
        .map(|(path, loss)| format!("{}: {loss}", path.display()));
    each.collect::<Vec<_>>().join("; ")
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
