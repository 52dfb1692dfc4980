//! Commands inside a running container.

use std::time::Duration;

use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::container::{Container, Output};
use crate::engine::Doing as _;
use crate::error::EngineError;
use crate::wait::{Level, wait_for};

/// Who runs a command inside a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// The unprivileged user of the image, 10000:10000. By number, so that it works in any image.
    Hermes,
    /// Root, the exception: an explicit choice.
    Root,
    /// Whom the container runs as (its `--user`, or root).
    Container,
    /// Any other uid and gid.
    Ids(u32, u32),
}

impl Identity {
    fn user(self) -> Option<String> {
        match self {
            Self::Hermes => Some("10000:10000".to_owned()),
            Self::Root => Some("0:0".to_owned()),
            Self::Container => None,
            Self::Ids(uid, gid) => Some(format!("{uid}:{gid}")),
        }
    }
}

/// How a command inside a container ended, and what it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// Its exit code; 128+n for a death by signal n.
    pub code: i64,
    /// Its stdout as text, what is no UTF-8 replaced.
    pub stdout: String,
    /// Its stderr as text, what is no UTF-8 replaced.
    pub stderr: String,
    /// Its stdout as bytes.
    pub bytes: Vec<u8>,
}

/// A bound for commands that a test expects to end at once.
const BOUND: Duration = Duration::from_mins(1);

impl Container {
    /// Runs a command as `hermes`, with no stdin, and waits for its end.
    ///
    /// # Errors
    ///
    /// When the engine cannot run it, or it does not end within a minute. A code other than 0
    /// is a result, not an error.
    pub async fn exec<S: Into<String>>(
        &self,
        command: impl IntoIterator<Item = S>,
    ) -> Result<Executed, EngineError> {
        self.exec_as(Identity::Hermes, command, None).await
    }

    /// Runs a command as root, for what `hermes` may not see or do.
    ///
    /// # Errors
    ///
    /// As for [`Container::exec`].
    pub async fn exec_root<S: Into<String>>(
        &self,
        command: impl IntoIterator<Item = S>,
    ) -> Result<Executed, EngineError> {
        self.exec_as(Identity::Root, command, None).await
    }

    /// Runs `sh -c SCRIPT` as `hermes`.
    ///
    /// # Errors
    ///
    /// As for [`Container::exec`].
    pub async fn shell(&self, script: &str) -> Result<Executed, EngineError> {
        self.exec(["sh", "-c", script]).await
    }

    /// Runs a command as anyone, with `stdin` fed to it and then closed, or with none.
    ///
    /// # Errors
    ///
    /// As for [`Container::exec`].
    pub async fn exec_as<S: Into<String>>(
        &self,
        who: Identity,
        command: impl IntoIterator<Item = S>,
        stdin: Option<&[u8]>,
    ) -> Result<Executed, EngineError> {
        let command: Vec<String> = command.into_iter().map(Into::into).collect();
        let docker = self.engine.docker();
        let doing = format!("run {command:?} in container {}", self.name());
        let created = CreateExecOptions {
            attach_stdin: Some(stdin.is_some()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command),
            user: who.user(),
            ..CreateExecOptions::default()
        };
        let id = docker
            .create_exec(self.name(), created)
            .await
            .doing(&doing)?
            .id;
        let started = docker
            .start_exec(&id, None::<StartExecOptions>)
            .await
            .doing(&doing)?;
        let StartExecResults::Attached {
            output: pieces,
            mut input,
        } = started
        else {
            return Err(EngineError::Incomplete {
                request: doing,
                field: "stream",
            });
        };
        let mut output = Output::default();
        let fed = async {
            if let Some(bytes) = stdin {
                input.write_all(bytes).await?;
                input.shutdown().await?;
            }
            Ok::<_, std::io::Error>(())
        };
        let both = async { futures_util::join!(fed, output.collect(pieces)) };
        let Ok((fed, read)) = timeout(BOUND, both).await else {
            let last = format!("{}{}", output.out(), output.err());
            return Err(EngineError::TimedOut {
                doing,
                within: BOUND,
                last,
            });
        };
        read.doing(&doing)?;
        fed.map_err(|source| EngineError::Stream {
            name: self.name().to_owned(),
            source,
        })?;
        let code = self.exec_code(&id, &doing).await?;
        let (stdout, stderr) = (output.out(), output.err());
        Ok(Executed {
            code,
            stdout,
            stderr,
            bytes: output.stdout,
        })
    }

    /// The engine closes the stream a little before it knows the code.
    async fn exec_code(&self, id: &str, doing: &str) -> Result<i64, EngineError> {
        let code = wait_for(doing, BOUND, async || {
            let inspected = self.engine.docker().inspect_exec(id).await?;
            let code = inspected
                .exit_code
                .filter(|_| inspected.running == Some(false));
            Ok::<_, bollard::errors::Error>(match code {
                Some(code) => Level::Holds(code),
                None => Level::Not(format!("{inspected:?}")),
            })
        });
        code.await.map_err(|error| EngineError::TimedOut {
            doing: doing.to_owned(),
            within: BOUND,
            last: crate::lab::chain(&error),
        })
    }
}
