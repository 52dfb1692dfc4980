//! What a wait can end with.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::{ControlError, FsError, StatusError};
use crate::status::Phase;
use crate::watch::Goal;

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
