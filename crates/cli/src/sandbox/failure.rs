//! What went wrong with a sandbox, how the program ends for it, and what can be done about it.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use sandbox_core::{Problems, text};
use sandbox_engine::client::CallError;
use sandbox_engine::client::broker::{BrokerError, OpenFailure};
use sandbox_engine::client::wire::{Failed, Failure as AgentFailure};
use sandbox_engine::copy::CopyError;
use sandbox_engine::{
    AgentError, ConnectError, ExecError, Fault, ImageError, RequestError, SandboxError,
};
use thiserror::Error;

use crate::exit::Outcome;

pub(crate) type Result<T> = std::result::Result<T, Failure>;

#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Engine(#[from] sandbox_engine::Error),
    #[error("the spec is wrong: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Spec(Problems),
    #[error("there is no sandbox {name}")]
    NoSandbox { name: String },
    #[error("{name} is more than one sandbox: {}", .found.join(", "))]
    Ambiguous { name: String, found: Vec<String> },
    #[error("sandbox {name} is running a command")]
    Busy { name: String },
    #[error("sandbox {name} is not as it is to be: {differences}")]
    NotAsPlanned { name: String, differences: String },
    #[error("{why}")]
    Usage {
        why: &'static str,
        hint: &'static str,
    },
    #[error("no variable {name} is set here")]
    NoVariable { name: String },
    #[error("{path}", path = .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the home directory is not known")]
    NoHome,
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error("sandbox {name} has no agent inside")]
    NoAgent { name: String },
    #[error(transparent)]
    Call(CallError),
    #[error("cannot use this terminal")]
    Terminal(#[source] io::Error),
    #[error("cannot print")]
    Print(#[from] io::Error),
    #[error("cannot print JSON")]
    Json(#[from] serde_json::Error),
    #[error("cannot make a runtime")]
    Runtime(#[source] io::Error),
    #[cfg(feature = "mcp")]
    #[error(transparent)]
    Serve(#[from] sandbox_mcp::ServeError),
    /// Told already, in a table.
    #[error("not everything was done")]
    Partly,
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self::Engine(error.into())
    }
}

impl From<SandboxError> for Failure {
    fn from(error: SandboxError) -> Self {
        Self::Engine(error.into())
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        Self::Engine(error.into())
    }
}

impl From<AgentError> for Failure {
    fn from(error: AgentError) -> Self {
        Self::from(ExecError::Unreached(Box::new(error)))
    }
}

impl From<ExecError> for Failure {
    fn from(error: ExecError) -> Self {
        Self::Engine(error.into())
    }
}

impl Failure {
    pub(crate) fn outcome(&self) -> Outcome {
        use sandbox_engine::Error as E;
        match self {
            Self::Engine(error) => match error {
                E::Connect(_) => Outcome::Unreachable,
                E::Sandbox(error) => sandbox(error),
                E::Exec(ExecError::Empty) | E::Copy(CopyError::Path { .. }) => Outcome::Usage,
                E::Exec(ExecError::NoProgram { code, .. }) => Outcome::Own(*code),
                E::Exec(
                    ExecError::Refused { fault: cause, .. } | ExecError::Lost { fault: cause, .. },
                )
                | E::Copy(CopyError::Request { fault: cause, .. }) => fault(cause),
                E::Exec(ExecError::Gone { .. })
                | E::Copy(CopyError::NotFound { .. } | CopyError::NoDirectory { .. }) => {
                    Outcome::NotFound
                }
                E::Copy(CopyError::Host { source, .. }) => host(source),
                E::Request(error) => fault(&error.fault),
                _ => Outcome::Failed,
            },
            Self::Spec(_)
            | Self::Usage { .. }
            | Self::NoVariable { .. }
            | Self::Ambiguous { .. } => Outcome::Usage,
            Self::NoSandbox { .. } => Outcome::NotFound,
            Self::File { source, .. } => host(source),
            Self::Broker(error) => broker(error),
            Self::Call(CallError::Failed(failed)) => call(failed),
            Self::Print(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                Outcome::Own(128 + 13)
            }
            _ => Outcome::Failed,
        }
    }

    pub(super) fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::Engine(error) => return error.hint(),
                Self::Spec(problems) => {
                    return problems.iter().find_map(|problem| problem.hint.clone());
                }
                Self::NoSandbox { .. } => "talaria sandbox ls --all shows them",
                Self::Ambiguous { .. } => "give more of its name",
                Self::Busy { .. } => "--force removes it all the same",
                Self::NotAsPlanned { .. } => {
                    "each that does not hold says what to do; run --on-drift recreate mends fields \
                     that differ"
                }
                Self::Usage { hint, .. } => hint,
                Self::NoVariable { .. } => "give its value: NAME=VALUE",
                Self::Broker(BrokerError::Place(error)) => return Some(error.hint()),
                Self::Broker(BrokerError::Open { failure, .. }) => match failure {
                    OpenFailure::NotFound => "talaria sandbox ls --all shows those there are",
                    OpenFailure::NotRunning => "talaria sandbox run starts it again",
                    _ => "talaria sandbox doctor tells how the engine is",
                },
                Self::Broker(_) => "--no-broker goes without it",
                Self::NoAgent { .. } => "exec runs commands without one; run --on-drift recreate gives it one",
                Self::Call(CallError::Failed(failed)) => match failed.failure {
                    AgentFailure::NotFound => "talaria sandbox jobs and session ls show what there is",
                    AgentFailure::Busy => "wait for its command, or open another session",
                    AgentFailure::NoShell => "the image has no bash, which sessions need",
                    AgentFailure::NoProcessLeft => "the sandbox is full of processes: end some",
                    _ => return None,
                },
                Self::Call(_) => "it is not run again by itself; talaria sandbox inspect tells how the sandbox is",
                Self::NoHome => "set HOME, or TALARIA_OWNER to a text that is yours alone",
                _ => return None,
            }
            .to_owned(),
        )
    }

    /// All of it on one line, causes after what they caused.
    pub(super) fn chain(&self) -> String {
        let mut message = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            // Writing to a string does not fail.
            write!(message, ": {error}").ok();
            source = error.source();
        }
        message
    }

    pub(crate) fn print(&self) {
        if self.outcome() == Outcome::Own(128 + 13) || matches!(self, Self::Partly) {
            return;
        }
        let message = self.chain();
        // An engine's words can hold what a sandbox wrote.
        anstream::eprintln!("talaria: {}", text::line(message.as_bytes()));
        if let Some(hint) = self.hint() {
            anstream::eprintln!("hint: {}", text::line(hint.as_bytes()));
        }
    }
}

fn sandbox(error: &SandboxError) -> Outcome {
    match error {
        SandboxError::Image(ImageError::Name { .. }) | SandboxError::Problems(_) => Outcome::Usage,
        SandboxError::Image(ImageError::Missing { .. } | ImageError::Pull { .. })
        | SandboxError::NoNetwork { .. } => Outcome::NotFound,
        SandboxError::Request(error) | SandboxError::Image(ImageError::Request(error)) => {
            fault(&error.fault)
        }
        SandboxError::Create { fault: cause, .. } | SandboxError::Start { fault: cause, .. } => {
            fault(cause)
        }
        SandboxError::Unsettled { .. } => Outcome::TimedOut,
        _ => Outcome::Failed,
    }
}

fn fault(fault: &Fault) -> Outcome {
    match fault {
        Fault::Refused { status: 403, .. } => Outcome::NotPermitted,
        Fault::Refused { status: 404, .. } => Outcome::NotFound,
        Fault::Silent { .. } | Fault::Connection { .. } => Outcome::Unreachable,
        _ => Outcome::Failed,
    }
}

fn host(error: &io::Error) -> Outcome {
    match error.kind() {
        io::ErrorKind::NotFound => Outcome::NotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Outcome::NotPermitted
        }
        _ => Outcome::Failed,
    }
}

fn broker(error: &BrokerError) -> Outcome {
    match error {
        BrokerError::Open { failure, .. } => match failure {
            OpenFailure::NotFound | OpenFailure::NotRunning => Outcome::NotFound,
            OpenFailure::Engine => Outcome::Unreachable,
            _ => Outcome::Failed,
        },
        BrokerError::Place(_) | BrokerError::NotOurs(_) => Outcome::NotPermitted,
        _ => Outcome::Failed,
    }
}

/// As a shell has it, where a program cannot be run.
fn call(failed: &Failed) -> Outcome {
    match failed.failure {
        // ENOENT and ENOTDIR.
        AgentFailure::CannotRun if matches!(failed.errno, 2 | 20) => Outcome::Own(127),
        AgentFailure::CannotRun | AgentFailure::NoShell => Outcome::Own(126),
        AgentFailure::NotFound | AgentFailure::Directory => Outcome::NotFound,
        AgentFailure::Denied | AgentFailure::User => Outcome::NotPermitted,
        AgentFailure::Invalid => Outcome::Usage,
        _ => Outcome::Failed,
    }
}
