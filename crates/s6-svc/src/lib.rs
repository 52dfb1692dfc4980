//! s6 spoken natively.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod command;
mod control;
mod deadline;
mod definition;
pub mod detect;
mod dir;
mod error;
mod fifodir;
mod name;
mod path;
mod poll;
mod registration;
pub mod repair;
mod report;
mod scandir;
mod seed;
mod servicedir;
pub mod skeleton;
mod slot;
mod staging;
mod status;
mod step;
mod supervisor;
mod sweep;
mod tai;
mod tally;
mod tree;
mod unregistration;
mod watch;

pub use command::{Command, ScandirCommand, UnknownCommand};
pub use deadline::Deadline;
pub use definition::{Definition, DefinitionError, Program};
pub use error::{
    ControlError, DecodeError, FileKind, FsError, Loss, NameError, Owner, PathError,
    RegistrationError, StatusError, WaitError,
};
pub use fifodir::{Event, FifoDir, Subscription};
pub use name::ServiceName;
pub use path::AbsPath;
pub use registration::{Registered, Registration};
pub use report::{Field, Report, Signal, UnknownField};
pub use scandir::{Entry, Scandir};
pub use servicedir::ServiceDir;
pub use status::{Exit, Phase, RawStatus, Status, Want};
pub use step::{Action, Step};
pub use supervisor::Supervisor;
pub use sweep::Swept;
pub use tai::Tai64n;
pub use tally::{Death, DeathTally};
pub use unregistration::{Unregistered, Unregistration};
pub use watch::{Goal, Watch};
