//! s6 spoken natively.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod command;
mod control;
mod dir;
mod error;
mod name;
mod path;
mod scandir;
mod servicedir;
mod status;
mod supervisor;
mod tai;
mod tally;

pub use command::{Command, ScandirCommand, UnknownCommand};
pub use error::{
    ControlError, DecodeError, FileKind, FsError, NameError, Owner, PathError, StatusError,
};
pub use name::ServiceName;
pub use path::AbsPath;
pub use scandir::{Entry, Scandir};
pub use servicedir::ServiceDir;
pub use status::{Exit, Phase, RawStatus, Status, Want};
pub use supervisor::Supervisor;
pub use tai::Tai64n;
pub use tally::{Death, DeathTally};
