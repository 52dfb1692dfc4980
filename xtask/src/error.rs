//! Every way for xtask to fail, and its exit code.

use std::error::Error as StdError;
use std::process::ExitCode;

use crate::bench::BenchError;
use crate::engine::EngineError;
use crate::image::ImageError;
use crate::process::ProcessError;
use crate::up::UpError;

/// What a command ends with when it fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// `image` and `lock`, or an image that another command needs.
    #[error(transparent)]
    Image(Box<ImageError>),
    /// `up` and `down`.
    #[error(transparent)]
    Up(Box<UpError>),
    /// `bench`.
    #[error(transparent)]
    Bench(Box<BenchError>),
    /// A step of `test` or `ci`.
    #[error("{step} failed")]
    Step {
        /// Its name.
        step: String,
        /// How.
        source: ProcessError,
    },
    /// The plan cannot be shown.
    #[error("cannot print the plan")]
    Print(#[from] serde_json::Error),
}

impl From<ImageError> for Error {
    fn from(error: ImageError) -> Self {
        Self::Image(Box::new(error))
    }
}

impl From<UpError> for Error {
    fn from(error: UpError) -> Self {
        Self::Up(Box::new(error))
    }
}

impl From<BenchError> for Error {
    fn from(error: BenchError) -> Self {
        Self::Bench(Box::new(error))
    }
}

impl Error {
    fn engine(&self) -> Option<&EngineError> {
        // A transparent variant is not in its own chain of sources, so the outer two are opened.
        let inner: &(dyn StdError + 'static) = match self {
            Self::Image(error) => match &**error {
                ImageError::Engine(engine) => return Some(engine),
                other => other,
            },
            Self::Up(error) => match &**error {
                UpError::Engine(engine) | UpError::Image(ImageError::Engine(engine)) => {
                    return Some(engine);
                }
                other => other,
            },
            Self::Bench(error) => match &**error {
                BenchError::Engine(engine) | BenchError::Image(ImageError::Engine(engine)) => {
                    return Some(engine);
                }
                other => other,
            },
            Self::Step { .. } | Self::Print(_) => return None,
        };
        let mut cause = inner.source();
        while let Some(error) = cause {
            if let Some(engine) = error.downcast_ref() {
                return Some(engine);
            }
            cause = error.source();
        }
        None
    }

    /// What a person can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        if let Some(EngineError::Unreachable { .. }) = self.engine() {
            let hint = "start Docker or Podman's socket, or set DOCKER_HOST; on Debian: apt-get install docker.io";
            return Some(hint.to_owned());
        }
        match self {
            Self::Image(error) => error.hint(),
            Self::Up(error) => error.hint(),
            Self::Bench(error) => error.hint(),
            Self::Step { .. } | Self::Print(_) => None,
        }
    }

    /// 5 where no engine answers, 1 otherwise.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self.engine() {
            Some(EngineError::Unreachable { .. }) => ExitCode::from(5),
            _ => ExitCode::from(1),
        }
    }

    /// What, where and why, on one line.
    pub(crate) fn report(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_does_not_answer_is_told_from_other_failures() {
        let tried = vec!["unix:///nowhere".to_owned()];
        let error = Error::from(ImageError::from(EngineError::Unreachable {
            tried,
            source: None,
        }));
        assert_eq!(error.exit_code(), ExitCode::from(5));
        assert_eq!(
            error.report(),
            "no container engine answers at unix:///nowhere"
        );
        assert!(error.hint().is_some());
    }

    #[test]
    fn an_engine_error_deep_in_the_chain_still_decides_the_code() {
        let engine = EngineError::Unreachable {
            tried: Vec::new(),
            source: None,
        };
        let error = Error::from(ImageError::Base(engine.into()));
        assert_eq!(error.exit_code(), ExitCode::from(5));
    }
}
