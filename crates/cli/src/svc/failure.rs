//! What went wrong, how the program ends for it, and what can be done about it.

use std::error::Error;
use std::fmt::Write;
use std::io::ErrorKind;

use s6_svc::{
    ControlError, DefinitionError, FsError, PathError, RegistrationError, StatusError, WaitError,
};
use thiserror::Error;

use crate::exit::Exit;

#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    #[error(transparent)]
    Fs(#[from] FsError),
    #[error(transparent)]
    Status(#[from] StatusError),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Wait(#[from] WaitError),
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    #[error("cannot print")]
    Print {
        #[from]
        source: std::io::Error,
    },
    #[error("cannot print JSON")]
    Json {
        #[from]
        source: serde_json::Error,
    },
}

impl Failure {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Path(_) | Self::Definition(_) => Exit::Usage,
            Self::Fs(error) => fs_exit(error),
            Self::Status(error) => status_exit(error),
            Self::Control(error) => control_exit(error),
            Self::Wait(error) => wait_exit(error),
            Self::Registration(error) => registration_exit(error),
            Self::Print { .. } | Self::Json { .. } => Exit::System,
        }
    }

    /// What can be done about it.
    fn hint(&self) -> Option<&'static str> {
        let registration = match self {
            Self::Registration(error) => Some(error),
            _ => None,
        };
        match registration {
            Some(RegistrationError::NotScanned { .. }) => {
                return Some("is this inside the container? --scandir names another scandir");
            }
            Some(RegistrationError::Different { .. }) => {
                return Some("unregister the service that is there first");
            }
            Some(RegistrationError::NotStarted { .. }) => {
                return Some("s6-svscan may be at its limit of services: see its -C option");
            }
            Some(RegistrationError::Lingers { .. } | RegistrationError::Busy { .. }) => {
                return Some("the same command goes on where this one ended");
            }
            _ => {}
        }
        if self.is_not_supervised() {
            return Some(
                "talaria svc list names what is supervised; --scandir names another scandir",
            );
        }
        match self.fs()? {
            FsError::Denied { .. } => {
                Some("the service was registered by another user, or without a supervise skeleton")
            }
            FsError::Missing { .. } => Some("--scandir names another scandir"),
            _ => None,
        }
    }

    fn is_not_supervised(&self) -> bool {
        matches!(
            self,
            Self::Status(StatusError::NotSupervised { .. })
                | Self::Control(ControlError::NotSupervised { .. })
                | Self::Wait(
                    WaitError::Status(StatusError::NotSupervised { .. })
                        | WaitError::Control(ControlError::NotSupervised { .. })
                )
        )
    }

    fn fs(&self) -> Option<&FsError> {
        match self {
            Self::Fs(error)
            | Self::Status(StatusError::Fs(error))
            | Self::Control(ControlError::Fs(error))
            | Self::Wait(
                WaitError::Fs(error)
                | WaitError::Status(StatusError::Fs(error))
                | WaitError::Control(ControlError::Fs(error)),
            )
            | Self::Registration(RegistrationError::Fs(error)) => Some(error),
            _ => None,
        }
    }

    pub(crate) fn print(&self) {
        if matches!(self, Self::Print { source } if source.kind() == ErrorKind::BrokenPipe) {
            // Whoever read has seen enough.
            return;
        }
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            // Writing to a string does not fail.
            write!(text, ": {error}").ok();
            source = error.source();
        }
        anstream::eprintln!("talaria: {text}");
        if let Some(hint) = self.hint() {
            anstream::eprintln!("hint: {hint}");
        }
    }
}

fn fs_exit(error: &FsError) -> Exit {
    match error {
        FsError::Symlink { .. } | FsError::WrongKind { .. } => Exit::Usage,
        _ => Exit::System,
    }
}

fn status_exit(error: &StatusError) -> Exit {
    match error {
        StatusError::NotSupervised { .. } => Exit::Failed,
        StatusError::Fs(error) => fs_exit(error),
        _ => Exit::System,
    }
}

fn control_exit(error: &ControlError) -> Exit {
    match error {
        ControlError::NotSupervised { .. } => Exit::NotSupervised,
        ControlError::Fs(error) => fs_exit(error),
        _ => Exit::System,
    }
}

fn wait_exit(error: &WaitError) -> Exit {
    match error {
        WaitError::TimedOut { .. } => Exit::TimedOut,
        WaitError::Lost { .. } => Exit::Failed,
        WaitError::Status(error) => status_exit(error),
        WaitError::Control(error) => control_exit(error),
        WaitError::Fs(error) => fs_exit(error),
        _ => Exit::System,
    }
}

fn registration_exit(error: &RegistrationError) -> Exit {
    match error {
        RegistrationError::NotScanned { .. } => Exit::NotSupervised,
        RegistrationError::Different { .. } => Exit::Failed,
        RegistrationError::NotStarted { .. }
        | RegistrationError::Busy { .. }
        | RegistrationError::StillUp { .. }
        | RegistrationError::Lingers { .. } => Exit::TimedOut,
        RegistrationError::Undo { source, .. } => registration_exit(source),
        RegistrationError::Control(error) => control_exit(error),
        RegistrationError::Wait(error) => wait_exit(error),
        RegistrationError::Fs(error) => fs_exit(error),
        _ => Exit::System,
    }
}
