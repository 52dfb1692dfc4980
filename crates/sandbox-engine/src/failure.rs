//! Any of the errors, for callers that treat them alike.

use crate::connect::ConnectError;
use crate::copy::CopyError;
use crate::error::{RequestError, Retry};
use crate::exec::ExecError;
use crate::sandbox::SandboxError;

/// Anything that can go wrong between a caller and a sandbox.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No engine was found.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The sandbox cannot be had.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The command came to no result.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// The copy was not made.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The engine refused something else.
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl Error {
    /// Whether asking again can help.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Connect(error) => error.retry(),
            Self::Sandbox(error) => error.retry(),
            Self::Exec(error) => error.retry(),
            Self::Copy(error) => error.retry(),
            Self::Request(error) => error.retry(),
        }
    }

    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Connect(error) => Some(error.hint()),
            Self::Sandbox(error) => error.hint(),
            Self::Exec(error) => error.hint(),
            Self::Copy(error) => error.hint(),
            Self::Request(error) => error.hint(),
        }
    }
}
