//! The engine, found and asked.

use std::fmt::Display;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use bollard::Docker;
use bollard::errors::Error;

use crate::error::EngineError;

/// A connection to the engine; clones share it.
///
/// The engine is the one that `DOCKER_HOST` names, or the one behind the usual socket.
#[derive(Debug, Clone)]
pub struct Engine {
    docker: Docker,
}

impl Engine {
    /// Connects, and agrees on an API version that both sides speak.
    ///
    /// # Errors
    ///
    /// [`EngineError::Unreachable`] where no engine answers.
    pub async fn connect() -> Result<Self, EngineError> {
        let unreachable = |source| EngineError::Unreachable { source };
        let docker = Docker::connect_with_defaults().map_err(unreachable)?;
        let docker = docker.negotiate_version().await.map_err(unreachable)?;
        docker.ping().await.map_err(unreachable)?;
        Ok(Self { docker })
    }

    /// The client underneath, for what the fixtures do not offer.
    #[must_use]
    pub fn docker(&self) -> &Docker {
        &self.docker
    }
}

/// Says what was being done when a request failed.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl Display) -> Result<T, EngineError>;
}

impl<T> Doing<T> for Result<T, Error> {
    fn doing(self, what: impl Display) -> Result<T, EngineError> {
        self.map_err(|source| EngineError::Request {
            doing: what.to_string(),
            source,
        })
    }
}

/// Whether the engine said that there is no such thing, or that it is being removed already.
pub(crate) fn is_gone(error: &Error) -> bool {
    matches!(
        error,
        Error::DockerResponseServerError {
            status_code: 404 | 409,
            ..
        }
    )
}

/// Whether tests fail rather than skip where no engine answers.
#[must_use]
pub fn is_required() -> bool {
    std::env::var_os("TALARIA_REQUIRE_ENGINE").is_some_and(|value| value == "1")
}

/// Tells on the real stderr, past the test runner's capture, that `test` did not run and why,
/// and counts it.
///
/// # Panics
///
/// When it cannot be told: a test never passes by skipping in silence.
pub fn skip(test: &str, why: &str) {
    static SKIPPED: AtomicUsize = AtomicUsize::new(0);

    let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    let line = format!("SKIPPED ({why}): {test} [{count} so far]\n");
    if let Err(error) = std::io::stderr().write_all(line.as_bytes()) {
        panic!("cannot tell that {test} was skipped: {error}");
    }
}
