//! What running a command can end in.

use sandbox_client::wire::Failure;

use crate::error::{Fault, Retry};
use crate::inside::AgentError;

/// A command that did not come to a result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecError {
    /// There is nothing to run.
    #[error("the command is empty")]
    Empty,
    /// The sandbox is gone or down. The command has not been started.
    #[error("sandbox {name} is not running")]
    Gone {
        /// The container.
        name: String,
        /// The engine's answer.
        #[source]
        fault: Box<Fault>,
    },
    /// The image has no such program, or it cannot be executed. It has not been started.
    #[error("cannot execute {program:?} in sandbox {name}: {why}")]
    NoProgram {
        /// The container.
        name: String,
        /// The program.
        program: String,
        /// The engine's words.
        why: String,
        /// What a shell would make of it: 127 not found, 126 not executable.
        code: u8,
    },
    /// The engine refused before the command was started.
    #[error("cannot run the command in sandbox {name}; it has not been started")]
    Refused {
        /// The container.
        name: String,
        /// What became of the request.
        #[source]
        fault: Box<Fault>,
    },
    /// The connection was lost after the command may have been started.
    #[error("lost the command in sandbox {name}: it may have run, or still run")]
    Lost {
        /// The container.
        name: String,
        /// What became of the request.
        #[source]
        fault: Box<Fault>,
    },
    /// The agent in the sandbox cannot be reached. The command has not been started.
    #[error(transparent)]
    Unreached(Box<AgentError>),
    /// The agent in the sandbox refused before the command was started.
    #[error("cannot run the command in sandbox {name}: {message}")]
    Agent {
        /// The container.
        name: String,
        /// Of what kind.
        failure: Failure,
        /// The agent's words.
        message: String,
    },
    /// The connection to the agent was lost after the command may have been started.
    #[error("lost the command in sandbox {name}: it may have run, or still run")]
    Line {
        /// The container.
        name: String,
        /// What became of the connection.
        #[source]
        source: Box<sandbox_client::CallError>,
    },
    /// Output could not be written to the spill file.
    #[error("cannot keep the output of a command in sandbox {name}")]
    Spill {
        /// The container.
        name: String,
        /// The system's answer.
        source: std::io::Error,
    },
}

impl ExecError {
    /// Whether asking again can help. Never "yes" where the command may have run.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Gone { .. } => Retry::Yes,
            Self::Refused { fault, .. } => fault.retry(),
            Self::Unreached(error) => match &**error {
                AgentError::Request(error) => error.retry(),
                _ => Retry::No,
            },
            Self::Agent { failure, .. } => match failure {
                Failure::NoProcessLeft | Failure::TooMany | Failure::Busy => Retry::Yes,
                _ => Retry::No,
            },
            Self::Empty
            | Self::NoProgram { .. }
            | Self::Lost { .. }
            | Self::Line { .. }
            | Self::Spill { .. } => Retry::No,
        }
    }

    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Empty => "name it after --".to_owned(),
            Self::Gone { name, .. } => {
                format!("talaria sandbox run starts it again; talaria sandbox inspect {name}")
            }
            Self::NoProgram { code: 127, .. } => {
                "the image lacks it, or it is not on the sandbox's PATH".to_owned()
            }
            Self::NoProgram { .. } => "it is no program, or on a noexec mount".to_owned(),
            Self::Refused { fault, .. } => return fault.hint(),
            Self::Unreached(error) => return error.hint(),
            Self::Agent { failure, .. } => return agents_hint(*failure).map(str::to_owned),
            Self::Lost { name, .. } | Self::Line { name, .. } => format!(
                "it is not run again by itself; talaria sandbox inspect {name} tells whether a \
                 command still runs"
            ),
            Self::Spill { .. } => "is there room in the directory for spilled output?".to_owned(),
        })
    }
}

fn agents_hint(failure: Failure) -> Option<&'static str> {
    Some(match failure {
        Failure::NoProcessLeft => {
            "the sandbox is full of processes: end some, or give it more with --pids"
        }
        Failure::NoShell => "the image has no shell: give a program and its arguments",
        Failure::Directory => "create it first, or give another with --workdir",
        Failure::User => {
            "a user of the image's by name or number; others only where it runs as root"
        }
        Failure::Ending => "talaria sandbox run starts it again",
        _ => return None,
    })
}
