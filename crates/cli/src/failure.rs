//! What went wrong, how the program ends for it, and what can be done about it.

use std::error::Error;
use std::fmt::Write;
use std::io;
use std::path::PathBuf;

use profile_boot::agent::AgentError;
use profile_boot::identity::IdentityError;
use profile_boot::lifecycle::LifecycleError;
use profile_boot::port::PortError;
use profile_boot::profile::ProfileName;
use s6_svc::{ControlError, FsError, PathError, RegistrationError, StatusError, WaitError};
use thiserror::Error;

use crate::exit::Outcome;

/// What a shell makes of a program that ends because nobody reads what it prints.
pub(crate) const SIGPIPE: u8 = 128 + 13;

/// For whoever is neither root nor the agent's user.
const AS_AGENT: &str = "it is the agent's user's: docker exec -u hermes, or as root; \
                        talaria doctor tells whose the home is";

/// For where there is no s6-svscan.
const NO_INIT: &str = "this is for inside an agent container whose entrypoint is /init";

/// For a home that has no more room.
const FULL: &str = "the home's file system is full: talaria doctor tells what takes it";

/// What a command came to: everything that failed.
pub(crate) type Result = std::result::Result<(), Vec<Failure>>;

#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Lifecycle(#[from] LifecycleError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Fs(#[from] FsError),
    #[error(transparent)]
    Wait(#[from] WaitError),
    #[error("{path}", path = .path.display())]
    Agent { path: PathBuf, source: AgentError },
    #[error("the agent {agent:?} of this image has no gateway")]
    NoGateway { agent: String },
    #[error("nothing supervises gateways here: PID 1 is not s6-svscan")]
    NotSupervised,
    #[error("gateway of profile {profile}: {why}")]
    Unwell { profile: ProfileName, why: String },
    #[error("dashboard: {why}")]
    DashboardUnwell { why: String },
    #[error("dashboard: nobody answers on {host}, port {port}")]
    DashboardSilent {
        host: String,
        port: String,
        source: io::Error,
    },
    #[error("{bad} findings are bad")]
    Diagnosed { bad: usize },
    #[error("gateway of profile {profile}: it has no log yet")]
    NoLog { profile: ProfileName, path: PathBuf },
    #[error("gateway of profile {profile}: runs already, supervised, as process {pid}")]
    Runs { profile: ProfileName, pid: u32 },
    #[error("gateway of profile {profile}: parked, it exited with {code}")]
    Parked { profile: ProfileName, code: u8 },
    #[error("gateway of profile {profile}: its supervisor has ended")]
    SupervisorGone { profile: ProfileName },
    #[error("{program}: cannot be executed", program = .program.display())]
    Execute { program: PathBuf, source: io::Error },
    #[error("there is nothing to {verb}: s6 supervises every gateway of this container")]
    NothingToInstall { verb: &'static str },
    #[error("{path}: cannot {action}", path = .path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("cannot print")]
    Print {
        #[from]
        source: io::Error,
    },
    #[error("cannot print JSON")]
    Json {
        #[from]
        source: serde_json::Error,
    },
}

impl Failure {
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Lifecycle(error) => lifecycle_outcome(error),
            Self::Identity(IdentityError::Drop { .. }) => Outcome::NotPermitted,
            Self::Path(_) => Outcome::Usage,
            Self::Fs(error) => fs_outcome(error),
            Self::NoLog { .. } => Outcome::NotFound,
            Self::Parked { code, .. } => Outcome::Own(*code),
            Self::Execute { source, .. } => Outcome::Own(match source.kind() {
                io::ErrorKind::NotFound => 127,
                _ => 126,
            }),
            Self::File { source, .. } => io_outcome(source),
            Self::Print { source } if source.kind() == io::ErrorKind::BrokenPipe => {
                Outcome::Own(SIGPIPE)
            }
            Self::Identity(_)
            | Self::Wait(_)
            | Self::Agent { .. }
            | Self::NoGateway { .. }
            | Self::NotSupervised
            | Self::Unwell { .. }
            | Self::DashboardUnwell { .. }
            | Self::Diagnosed { .. }
            | Self::DashboardSilent { .. }
            | Self::Runs { .. }
            | Self::SupervisorGone { .. }
            | Self::NothingToInstall { .. }
            | Self::Print { .. }
            | Self::Json { .. } => Outcome::Failed,
        }
    }

    /// What can be done about it.
    fn hint(&self) -> Option<String> {
        let not_permitted = self.outcome() == Outcome::NotPermitted;
        self.own_hint()
            .or_else(|| not_permitted.then(|| AS_AGENT.to_owned()))
    }

    fn own_hint(&self) -> Option<String> {
        Some(match self {
            Self::Lifecycle(error) => return lifecycle_hint(error),
            Self::NotSupervised => NO_INIT.to_owned(),
            Self::NoGateway { .. } => {
                "/etc/talaria/agent.toml says how one is run, in a [gateway] table".to_owned()
            }
            Self::Unwell { profile, .. } | Self::Parked { profile, .. } => format!(
                "talaria gateway logs -p {profile}; then talaria gateway start -p {profile}"
            ),
            Self::DashboardUnwell { .. } => {
                "the container's log says why, in the lines that begin with [dashboard]; \
                 talaria svc control dashboard up tries it again"
                    .to_owned()
            }
            Self::DashboardSilent { .. } => {
                "the container's log says why; it may still be starting".to_owned()
            }
            Self::NoLog { path, .. } => format!(
                "what it says will be in {}; talaria gateway status tells whether it runs",
                path.display()
            ),
            Self::Runs { profile, .. } => format!("talaria gateway stop -p {profile} --wait"),
            Self::NothingToInstall { verb: "install" } => {
                "talaria gateway start; it comes back with the container until it is stopped"
                    .to_owned()
            }
            Self::NothingToInstall { .. } => {
                "talaria gateway stop; talaria profile delete removes a whole profile".to_owned()
            }
            Self::Identity(IdentityError::Drop { .. }) => {
                "docker exec -u hermes needs no capability".to_owned()
            }
            Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                FULL.to_owned()
            }
            _ => return None,
        })
    }

    /// It and what caused it, in one line.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            // Writing to a string does not fail.
            write!(text, ": {error}").ok();
            source = error.source();
        }
        text
    }

    pub(crate) fn print(&self) {
        if matches!(self, Self::Diagnosed { .. }) || self.outcome() == Outcome::Own(SIGPIPE) {
            // All of it has been said, or whoever read has read enough.
            return;
        }
        anstream::eprintln!("talaria: {}", self.chain());
        if let Some(hint) = self.hint() {
            anstream::eprintln!("hint: {hint}");
        }
    }
}

fn lifecycle_hint(error: &LifecycleError) -> Option<String> {
    Some(match error {
        LifecycleError::NoSuchProfile { profile } => {
            format!("talaria profile list names them; talaria profile create {profile} makes it")
        }
        LifecycleError::NotScanned { .. } => NO_INIT.to_owned(),
        LifecycleError::Registration {
            source: RegistrationError::Fs(error),
            ..
        } if error.is_missing() => NO_INIT.to_owned(),
        LifecycleError::Port(PortError::Record { source, .. })
            if source.kind() == io::ErrorKind::StorageFull =>
        {
            FULL.to_owned()
        }
        LifecycleError::Exists { profile } => {
            format!("talaria profile show {profile} tells what it is")
        }
        LifecycleError::Reserved => {
            "its gateway is controlled like any other: talaria gateway start".to_owned()
        }
        LifecycleError::Parked { profile } => {
            format!("talaria gateway logs -p {profile} says why")
        }
        LifecycleError::TimedOut { profile, .. } => {
            format!("talaria gateway status -p {profile}")
        }
        LifecycleError::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
            FULL.to_owned()
        }
        LifecycleError::Registration {
            source: RegistrationError::NotStarted { .. },
            ..
        } => "s6-svscan may be at its limit of services".to_owned(),
        _ => return None,
    })
}

fn lifecycle_outcome(error: &LifecycleError) -> Outcome {
    match error {
        LifecycleError::Reserved => Outcome::Usage,
        LifecycleError::NoSuchProfile { .. } => Outcome::NotFound,
        LifecycleError::TimedOut { .. } => Outcome::TimedOut,
        LifecycleError::File { source, .. } => io_outcome(source),
        LifecycleError::Registration { source, .. } => match source {
            RegistrationError::Fs(error) => fs_outcome(error),
            RegistrationError::NotStarted { .. }
            | RegistrationError::Busy { .. }
            | RegistrationError::StillUp { .. }
            | RegistrationError::Lingers { .. } => Outcome::TimedOut,
            _ => Outcome::Failed,
        },
        LifecycleError::Control {
            source: ControlError::Fs(error),
            ..
        }
        | LifecycleError::Wait {
            source: WaitError::Fs(error),
            ..
        }
        | LifecycleError::Status {
            source: StatusError::Fs(error),
            ..
        } => fs_outcome(error),
        _ => Outcome::Failed,
    }
}

fn fs_outcome(error: &FsError) -> Outcome {
    if error.is_denied() {
        Outcome::NotPermitted
    } else {
        Outcome::Failed
    }
}

fn io_outcome(error: &io::Error) -> Outcome {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Outcome::NotPermitted
        }
        _ => Outcome::Failed,
    }
}

/// Nothing failed, or these.
pub(crate) fn all(failures: Vec<Failure>) -> Result {
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures)
    }
}
