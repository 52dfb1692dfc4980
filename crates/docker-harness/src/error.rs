//! What can go wrong between a test and the engine.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// A conversation with the engine that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No engine answers.
    #[error("no container engine answers")]
    Unreachable {
        /// What the client met.
        source: bollard::errors::Error,
    },
    /// The engine refused or broke off a request.
    #[error("cannot {doing}")]
    Request {
        /// The request in words, for example `start container talaria-test-1-2`.
        doing: String,
        /// What the engine answered.
        source: bollard::errors::Error,
    },
    /// The fixture library could not create or start a container.
    #[error("cannot start container {name}")]
    Start {
        /// The container's name.
        name: String,
        /// What the fixture library met; boxed, as it is large.
        source: Box<testcontainers::TestcontainersError>,
    },
    /// A stream to a program in a container broke.
    #[error("cannot write to container {name}")]
    Stream {
        /// The container's name.
        name: String,
        /// What the connection met.
        source: std::io::Error,
    },
    /// The archive of files for a container could not be written.
    #[error("cannot pack the files for container {name}")]
    Pack {
        /// The container's name.
        name: String,
        /// What the archiver met.
        source: std::io::Error,
    },
    /// The engine did not finish within the bound.
    #[error("{doing}: not done within {within:?}; last seen: {last}")]
    TimedOut {
        /// The request in words.
        doing: String,
        /// The bound.
        within: Duration,
        /// What was known when the bound was reached.
        last: String,
    },
    /// The engine's answer lacks a field that it always has.
    #[error("the engine's answer to `{request}` holds no {field}")]
    Incomplete {
        /// The request in words.
        request: String,
        /// The missing field.
        field: &'static str,
    },
    /// A directory of this machine could not be made for a container.
    #[error("cannot prepare {}", path.display())]
    Scratch {
        /// The directory or file.
        path: PathBuf,
        /// What the system answered.
        source: std::io::Error,
    },
    /// A line of the process table did not read as one.
    #[error("cannot read the process table of container {name}: {line}")]
    ProcessTable {
        /// The container's name.
        name: String,
        /// The line that is no line of `/proc/PID/status`.
        line: String,
    },
}

/// An image that could not be had.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The build could not be started.
    #[error("cannot run `{command}`: {reason}")]
    Spawn {
        /// The command line.
        command: String,
        /// The system's answer, as text because the result is kept for every later test.
        reason: String,
    },
    /// The build ended badly; what it said is on this process's stderr.
    #[error("`{command}` ended with {status}")]
    Build {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
}

/// A condition that did not come to hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The bound was reached.
    #[error("{what}: not so within {within:?}; last seen: {last}")]
    TimedOut {
        /// The condition in words.
        what: String,
        /// The bound.
        within: Duration,
        /// The last state seen.
        last: String,
    },
    /// The condition could not be looked at.
    #[error("{what}: cannot be looked at")]
    Look {
        /// The condition in words.
        what: String,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
