//! A container in the foreground: its streams are the test's.

use std::pin::Pin;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::query_parameters::AttachContainerOptionsBuilder;
use futures_util::Stream;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::container::{Container, Ended, Output};
use crate::engine::Doing as _;
use crate::error::EngineError;

pub(crate) type Pieces = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;
pub(crate) type Input = Pin<Box<dyn AsyncWrite + Send>>;

/// A container whose stdin and output are held, as `docker run -i` holds them.
pub struct Attached {
    container: Container,
    input: Input,
    pieces: Pieces,
    output: Output,
}

impl std::fmt::Debug for Attached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attached")
            .field("container", &self.container)
            .finish_non_exhaustive()
    }
}

/// Takes hold of the streams of a container that has not been started yet.
pub(crate) async fn streams(
    container: &Container,
    stdin: bool,
) -> Result<(Input, Pieces), EngineError> {
    let how = AttachContainerOptionsBuilder::new();
    let how = how
        .stream(true)
        .stdin(stdin)
        .stdout(true)
        .stderr(true)
        .build();
    let attached = container
        .engine
        .docker()
        .attach_container(container.name(), Some(how))
        .await;
    let attached = attached.doing(format_args!("attach to container {}", container.name()))?;
    Ok((attached.input, attached.output))
}

impl Attached {
    pub(crate) fn new(container: Container, (input, pieces): (Input, Pieces)) -> Self {
        Self {
            container,
            input,
            pieces,
            output: Output::default(),
        }
    }

    /// The container.
    #[must_use]
    pub fn container(&self) -> &Container {
        &self.container
    }

    /// Writes to the program's stdin.
    ///
    /// # Errors
    ///
    /// When the stream is closed on the other side.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), EngineError> {
        let name = self.container.name().to_owned();
        let written = async {
            self.input.write_all(bytes).await?;
            self.input.flush().await
        };
        written
            .await
            .map_err(|source| EngineError::Stream { name, source })
    }

    /// Closes the program's stdin.
    ///
    /// # Errors
    ///
    /// When the stream is closed on the other side.
    pub async fn close_stdin(&mut self) -> Result<(), EngineError> {
        let name = self.container.name().to_owned();
        self.input
            .shutdown()
            .await
            .map_err(|source| EngineError::Stream { name, source })
    }

    /// Reads to the end of the output, then waits for the end of the container.
    ///
    /// # Errors
    ///
    /// [`EngineError::TimedOut`] with what was written so far, and as for [`Container::wait`].
    pub async fn ended(mut self, within: Duration) -> Result<Ended, EngineError> {
        let doing = format!("read the output of container {}", self.container.name());
        let Ok(read) = timeout(within, self.output.collect(self.pieces)).await else {
            let last = self.container.story().await;
            return Err(EngineError::TimedOut {
                doing,
                within,
                last,
            });
        };
        read.doing(doing)?;
        Ok(Ended {
            code: self.container.wait(within).await?,
            output: self.output,
        })
    }
}
