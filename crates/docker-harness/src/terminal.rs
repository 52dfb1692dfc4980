//! A container on a terminal: what a person at `docker run -it` would type and see.

use std::time::{Duration, Instant};

use bollard::query_parameters::ResizeContainerTTYOptionsBuilder;
use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout_at;

use crate::attach::{Input, Pieces};
use crate::container::Container;
use crate::engine::Doing as _;
use crate::error::EngineError;
use crate::spec::Size;

/// The other side of a container's terminal.
pub struct Terminal {
    container: Container,
    input: Input,
    pieces: Pieces,
    screen: String,
    /// How much of the screen earlier reads have dealt with.
    seen: usize,
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terminal")
            .field("container", &self.container)
            .field("screen", &self.screen)
            .finish_non_exhaustive()
    }
}

impl Terminal {
    pub(crate) fn new(container: Container, (input, pieces): (Input, Pieces)) -> Self {
        Self {
            container,
            input,
            pieces,
            screen: String::new(),
            seen: 0,
        }
    }

    /// The container.
    #[must_use]
    pub fn container(&self) -> &Container {
        &self.container
    }

    /// Everything written to the terminal and read so far.
    #[must_use]
    pub fn screen(&self) -> &str {
        &self.screen
    }

    /// Types `keys`; control characters as they are, ^C is `\x03`.
    ///
    /// # Errors
    ///
    /// When the terminal is closed.
    pub async fn write(&mut self, keys: &str) -> Result<(), EngineError> {
        let name = self.container.name().to_owned();
        let written = async {
            self.input.write_all(keys.as_bytes()).await?;
            self.input.flush().await
        };
        written
            .await
            .map_err(|source| EngineError::Stream { name, source })
    }

    /// Gives the terminal a new size; the program gets SIGWINCH.
    ///
    /// # Errors
    ///
    /// When the container does not run.
    pub async fn resize(&self, size: Size) -> Result<(), EngineError> {
        let how = ResizeContainerTTYOptionsBuilder::new();
        let how = how.h(size.rows.into()).w(size.columns.into()).build();
        let resized = self
            .container
            .engine
            .docker()
            .resize_container_tty(self.container.name(), how);
        resized.await.doing(format_args!(
            "resize the terminal of {}",
            self.container.name()
        ))
    }

    /// Reads until `text` has been written since the last read, and gives what came before it.
    ///
    /// # Errors
    ///
    /// [`EngineError::TimedOut`] with the screen so far, also when the terminal is closed first.
    pub async fn read_until(
        &mut self,
        text: &str,
        within: Duration,
    ) -> Result<String, EngineError> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(at) = self.screen[self.seen..].find(text) {
                let before = self.screen[self.seen..self.seen + at].to_owned();
                self.seen += at + text.len();
                return Ok(before);
            }
            if !self.read_more(deadline).await? {
                return Err(EngineError::TimedOut {
                    doing: format!("see {text:?} on the terminal of {}", self.container.name()),
                    within,
                    last: format!("{:?}", self.screen),
                });
            }
        }
    }

    /// Reads what comes until the terminal is closed.
    ///
    /// # Errors
    ///
    /// [`EngineError::TimedOut`] with the screen so far.
    pub async fn read_to_end(&mut self, within: Duration) -> Result<String, EngineError> {
        let deadline = Instant::now() + within;
        while self.read_more(deadline).await? {}
        if Instant::now() >= deadline {
            return Err(EngineError::TimedOut {
                doing: format!("see the end of the terminal of {}", self.container.name()),
                within,
                last: format!("{:?}", self.screen),
            });
        }
        let rest = self.screen[self.seen..].to_owned();
        self.seen = self.screen.len();
        Ok(rest)
    }

    /// Reads a piece; false at the deadline or the end.
    async fn read_more(&mut self, deadline: Instant) -> Result<bool, EngineError> {
        match timeout_at(deadline.into(), self.pieces.next()).await {
            Err(_) | Ok(None) => Ok(false),
            Ok(Some(piece)) => {
                let piece = piece.doing(format_args!("read from {}", self.container.name()))?;
                self.screen
                    .push_str(&String::from_utf8_lossy(piece.as_ref()));
                Ok(true)
            }
        }
    }
}
