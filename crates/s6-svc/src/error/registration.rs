//! What a registration or an unregistration can end with.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::{ControlError, FsError, Owner, WaitError};
use crate::skeleton::Refusal;
use crate::status::Phase;

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
    /// How a work ended, and how clearing up after it did.
    pub(crate) fn both<T>(
        work: Result<T, Self>,
        cleared: Result<(), impl Into<Self>>,
    ) -> Result<T, Self> {
        match (work, cleared) {
            (result, Ok(())) => result,
            (Ok(_), Err(error)) => Err(error.into()),
            (Err(cause), Err(error)) => Err(Self::undo(cause, error.into())),
        }
    }

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
