//! A container that exists.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::models::ContainerStateStatusEnum as Status;
use bollard::query_parameters::{
    KillContainerOptionsBuilder, LogsOptionsBuilder, RestartContainerOptionsBuilder,
    StartContainerOptions, StopContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures_util::{Stream, StreamExt as _};
use tokio::time::timeout;

use crate::engine::{Doing as _, Engine};
use crate::error::EngineError;

/// A container of a [`crate::Lab`], which also removes it.
#[derive(Debug, Clone)]
pub struct Container {
    pub(crate) engine: Engine,
    name: String,
}

/// What a program wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// Bytes of its stdout; with a terminal, everything.
    pub stdout: Vec<u8>,
    /// Bytes of its stderr.
    pub stderr: Vec<u8>,
}

/// How a container ended, and what it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The exit code that `docker run` would give.
    pub code: i64,
    /// What it wrote.
    pub output: Output,
}

/// What the engine knows of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct State {
    /// Whether it runs.
    pub running: bool,
    /// `created`, `running`, `exited`, …
    pub status: Status,
    /// The exit code of its last life.
    pub exit_code: i64,
    /// PID 1's number on this machine, 0 when down.
    pub pid: i64,
    /// How often the restart policy has started it.
    pub restarts: i64,
    /// What its health check came to: `starting`, `healthy`, `unhealthy`; nothing without one.
    pub health: Option<String>,
}

impl Output {
    /// Stdout as text, what is no UTF-8 replaced.
    #[must_use]
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Stderr as text, what is no UTF-8 replaced.
    #[must_use]
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    pub(crate) fn push(&mut self, piece: LogOutput) {
        match piece {
            LogOutput::StdErr { message } => self.stderr.extend_from_slice(&message),
            LogOutput::StdOut { message }
            | LogOutput::Console { message }
            | LogOutput::StdIn { message } => self.stdout.extend_from_slice(&message),
        }
    }

    /// Reads a stream of the engine's to its end.
    pub(crate) async fn collect(
        &mut self,
        mut pieces: impl Stream<Item = Result<LogOutput, Error>> + Unpin,
    ) -> Result<(), Error> {
        while let Some(piece) = pieces.next().await {
            self.push(piece?);
        }
        Ok(())
    }
}

impl Container {
    pub(crate) fn new(engine: Engine, name: String) -> Self {
        Self { engine, name }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Starts it (again).
    ///
    /// # Errors
    ///
    /// When the engine cannot start it.
    pub async fn start(&self) -> Result<(), EngineError> {
        let started = self
            .engine
            .docker()
            .start_container(&self.name, None::<StartContainerOptions>);
        started
            .await
            .doing(format_args!("start container {}", self.name))
    }

    /// `docker stop -t GRACE`: SIGTERM, then SIGKILL; comes back when it is down.
    ///
    /// # Errors
    ///
    /// When the engine refuses.
    pub async fn stop(&self, grace: Duration) -> Result<(), EngineError> {
        let how = StopContainerOptionsBuilder::new().t(seconds(grace)).build();
        let stopped = self
            .engine
            .docker()
            .stop_container(&self.name, Some(how))
            .await;
        stopped.doing(format_args!("stop container {}", self.name))
    }

    /// `docker restart -t GRACE`.
    ///
    /// # Errors
    ///
    /// When the engine refuses.
    pub async fn restart(&self, grace: Duration) -> Result<(), EngineError> {
        let how = RestartContainerOptionsBuilder::new()
            .t(seconds(grace))
            .build();
        let restarted = self
            .engine
            .docker()
            .restart_container(&self.name, Some(how))
            .await;
        restarted.doing(format_args!("restart container {}", self.name))
    }

    /// `docker kill -s SIGNAL`, for example `SIGTERM`.
    ///
    /// # Errors
    ///
    /// When the engine refuses, also because it does not run.
    pub async fn kill(&self, signal: &str) -> Result<(), EngineError> {
        let how = KillContainerOptionsBuilder::new().signal(signal).build();
        let killed = self
            .engine
            .docker()
            .kill_container(&self.name, Some(how))
            .await;
        killed.doing(format_args!("send {signal} to container {}", self.name))
    }

    /// Waits until it does not run, and gives its exit code.
    ///
    /// # Errors
    ///
    /// [`EngineError::TimedOut`] with the last state and the end of the log.
    pub async fn wait(&self, within: Duration) -> Result<i64, EngineError> {
        let how = WaitContainerOptionsBuilder::new()
            .condition("not-running")
            .build();
        let mut ends = Box::pin(self.engine.docker().wait_container(&self.name, Some(how)));
        let doing = format!("wait for the end of container {}", self.name);
        match timeout(within, ends.next()).await {
            Ok(Some(Ok(end))) => Ok(end.status_code),
            // The client makes an error of every code but 0.
            Ok(Some(Err(Error::DockerContainerWaitError { code, .. }))) => Ok(code),
            Ok(Some(Err(source))) => Err(EngineError::Request { doing, source }),
            Ok(None) => Err(EngineError::Incomplete {
                request: doing,
                field: "StatusCode",
            }),
            Err(_) => Err(EngineError::TimedOut {
                doing,
                within,
                last: self.story().await,
            }),
        }
    }

    /// Waits until it does not run, and gives code and output.
    ///
    /// # Errors
    ///
    /// As for [`Container::wait`] and [`Container::output`].
    pub async fn ended(&self, within: Duration) -> Result<Ended, EngineError> {
        let code = self.wait(within).await?;
        Ok(Ended {
            code,
            output: self.output().await?,
        })
    }

    /// All that it has written so far.
    ///
    /// # Errors
    ///
    /// When the engine does not tell.
    pub async fn output(&self) -> Result<Output, EngineError> {
        let how = LogsOptionsBuilder::new().stdout(true).stderr(true).build();
        let mut output = Output::default();
        let pieces = self.engine.docker().logs(&self.name, Some(how));
        let read = output.collect(Box::pin(pieces)).await;
        read.doing(format_args!("read the log of container {}", self.name))?;
        Ok(output)
    }

    /// Follows what it writes until a whole line of either stream is `line`.
    ///
    /// # Errors
    ///
    /// [`EngineError::TimedOut`] with state and log, also when it ends without having written it.
    pub async fn says(&self, line: &str, within: Duration) -> Result<(), EngineError> {
        let doing = format!("hear {line:?} from container {}", self.name);
        let how = LogsOptionsBuilder::new()
            .follow(true)
            .stdout(true)
            .stderr(true);
        let mut pieces = Box::pin(self.engine.docker().logs(&self.name, Some(how.build())));
        let mut output = Output::default();
        let heard = timeout(within, async {
            while let Some(piece) = pieces.next().await {
                output.push(piece.doing(&doing)?);
                let said = |stream: &[u8]| {
                    stream
                        .split(|byte| *byte == b'\n')
                        .any(|said| said == line.as_bytes())
                };
                if said(&output.stdout) || said(&output.stderr) {
                    return Ok(true);
                }
            }
            Ok(false)
        });
        match heard.await {
            Ok(Ok(true)) => Ok(()),
            Ok(Err(error)) => Err(error),
            Ok(Ok(false)) | Err(_) => Err(EngineError::TimedOut {
                doing,
                within,
                last: self.story().await,
            }),
        }
    }

    /// What the engine knows of it now.
    ///
    /// # Errors
    ///
    /// When the engine does not tell.
    pub async fn state(&self) -> Result<State, EngineError> {
        let request = format!("inspect container {}", self.name);
        let inspected = self
            .engine
            .docker()
            .inspect_container(&self.name, None)
            .await;
        let inspected = inspected.doing(&request)?;
        let restarts = inspected.restart_count.unwrap_or_default();
        let state = inspected.state.ok_or(EngineError::Incomplete {
            request,
            field: "State",
        })?;
        Ok(State {
            running: state.running == Some(true),
            status: state.status.unwrap_or(Status::EMPTY),
            exit_code: state.exit_code.unwrap_or_default(),
            pid: state.pid.unwrap_or_default(),
            restarts,
            health: state
                .health
                .and_then(|health| health.status)
                .map(|status| status.to_string()),
        })
    }

    /// State and log in words, for a failure's message: says so where it cannot be had.
    pub async fn story(&self) -> String {
        let state = match self.state().await {
            Ok(state) => format!("{state:?}"),
            Err(error) => format!("no state: {}", crate::lab::chain(&error)),
        };
        let log = match self.output().await {
            Ok(output) => format!("stdout:\n{}\nstderr:\n{}", output.out(), output.err()),
            Err(error) => format!("no log: {}", crate::lab::chain(&error)),
        };
        format!("container {}: {state}\n{log}", self.name)
    }
}

/// Whole seconds, as the engine counts.
fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}
