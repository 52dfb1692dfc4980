//! s6 spoken natively.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod command;
mod control;
mod deadline;
mod dir;
mod error;
mod fifodir;
mod name;
mod path;
mod scandir;
mod servicedir;
mod status;
mod supervisor;
mod tai;
mod tally;
mod watch;

pub use command::{Command, ScandirCommand, UnknownCommand};
pub use deadline::Deadline;
pub use error::{
    ControlError, DecodeError, FileKind, FsError, Loss, NameError, Owner, PathError, StatusError,
    WaitError,
};
pub use fifodir::{Event, FifoDir, Subscription};
pub use name::ServiceName;
pub use path::AbsPath;
pub use scandir::{Entry, Scandir};
pub use servicedir::ServiceDir;
pub use status::{Exit, Phase, RawStatus, Status, Want};
pub use supervisor::Supervisor;
pub use tai::Tai64n;
pub use tally::{Death, DeathTally};
pub use watch::{Goal, Watch};
