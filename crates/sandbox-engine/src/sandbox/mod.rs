//! A sandbox: got, used, looked at, and ended.

mod ask;
mod attach;
mod copy;
mod create;
mod error;
mod facts;
mod list;
mod look;
mod plan;
mod reap;
mod running;
mod start;
mod verify;

use std::time::Duration;

use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::StopContainerOptionsBuilder;
use sandbox_client::Client;
use sandbox_core::inspect::ContainerState;
use sandbox_core::reuse::Busy;
use sandbox_core::{Difference, SandboxSpec};

use crate::agent::Agent;
use crate::connect::Engine;
use crate::error::{Doing as _, RequestError, gone_is_done};
use crate::exec::{Channel, Exec, ExecError, Ran, exec};
use crate::image::Pull;
use crate::inside::{AgentError, Doorway, Line};

use start::{First, Started};

pub use ask::{Ask, Attached, Why};
pub use error::SandboxError;
pub use list::Listed;
pub(crate) use look::inspected;
pub use reap::{Reaped, Reaping};
pub use verify::Verified;

/// A sandbox that was there when it was last spoken to.
#[derive(Debug, Clone)]
pub struct Sandbox {
    engine: Engine,
    id: String,
    name: String,
    /// What it was asked to be; none where it was found by its name.
    asked: Option<(SandboxSpec, Agent)>,
    attached: Attached,
    differences: Vec<Difference>,
    /// The beginning of the SHA-256 of its agent; nothing where it has none.
    agent: Option<String>,
    line: Line,
}

/// What came of [`Sandbox::run`].
#[derive(Debug)]
pub struct Run {
    /// The command's result.
    pub ran: Ran,
    /// How the sandbox had to be got again before the command was run, if it had to.
    pub revived: Option<Attached>,
}

impl Sandbox {
    /// The id of its container.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The name of its container.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it was got.
    #[must_use]
    pub fn attached(&self) -> &Attached {
        &self.attached
    }

    /// In what it differs from what was asked, where it is used all the same.
    #[must_use]
    pub fn differences(&self) -> &[Difference] {
        &self.differences
    }

    /// Runs a command. Its output is also given to `on_output` as it comes.
    ///
    /// Dropping the future leaves the command running.
    ///
    /// # Errors
    ///
    /// [`ExecError`] says whether the command may have run. It is never run twice.
    pub async fn exec(
        &self,
        command: Exec,
        on_output: &mut (dyn FnMut(Channel, &[u8]) + Send),
    ) -> Result<Ran, ExecError> {
        if self.agent.is_none() {
            return exec(&self.engine, &self.id, &self.name, command, on_output).await;
        }
        let client = match self.agent_client().await {
            Ok(client) => client,
            Err(AgentError::Request(RequestError { fault, .. }))
                if fault.is_not_found() || fault.is_conflict() =>
            {
                let name = self.name.clone();
                return Err(ExecError::Gone { name, fault });
            }
            Err(error) => return Err(ExecError::Unreached(Box::new(error))),
        };
        crate::inside::exec_over(&client, &self.name, command, on_output).await
    }

    /// Runs a command through the engine's own exec API, whether or not there is an agent.
    ///
    /// # Errors
    ///
    /// As for [`Sandbox::exec`].
    pub async fn exec_by_engine(
        &self,
        command: Exec,
        on_output: &mut (dyn FnMut(Channel, &[u8]) + Send),
    ) -> Result<Ran, ExecError> {
        exec(&self.engine, &self.id, &self.name, command, on_output).await
    }

    /// How the SHA-256 of the agent that the sandbox was given begins, as far as that is known;
    /// nothing where it has none.
    #[must_use]
    pub fn agent_hash(&self) -> Option<Vec<u8>> {
        Some(crate::kill::from_hex(self.agent.as_ref()?))
    }

    /// Where its agent waits for a first client, which is the caller's to be now: a broker's for
    /// example. Nothing where that is told already, or long ago, or was never said.
    pub async fn doorway(&self) -> Option<Doorway> {
        self.line.take_doorway().await
    }

    /// Uses a connection to its agent that is there already, a broker's for example.
    #[must_use]
    pub fn with_client(mut self, client: Client) -> Self {
        self.line = Line::of(client);
        self
    }

    /// The connection to its agent, which all clones of this share: sessions, jobs, files,
    /// terminals, and commands that are streamed.
    ///
    /// # Errors
    ///
    /// [`AgentError`]
    pub async fn agent_client(&self) -> Result<Client, AgentError> {
        let hash = self.agent.as_deref();
        self.line
            .client(&self.engine, &self.id, &self.name, hash)
            .await
    }

    /// Makes sure that the sandbox runs, getting it again as it was asked for where it does not,
    /// then runs a command as [`Sandbox::exec`] does.
    ///
    /// # Errors
    ///
    /// As [`Sandbox::exec`], and [`SandboxError`] where it cannot be got again. A sandbox that
    /// goes down between the two is an [`ExecError::Gone`]: nothing has run.
    pub async fn run(
        &mut self,
        command: Exec,
        on_output: &mut (dyn FnMut(Channel, &[u8]) + Send),
    ) -> Result<Run, crate::Error> {
        let revived = self.revive().await?;
        let ran = self.exec(command, on_output).await?;
        Ok(Run { ran, revived })
    }

    /// Gets the sandbox again where it is gone, down or frozen, and tells how.
    ///
    /// # Errors
    ///
    /// As for [`Engine::sandbox`].
    pub async fn revive(&mut self) -> Result<Option<Attached>, SandboxError> {
        let running = match self.look().await {
            Ok(found) => found
                .state
                .and_then(|state| state.status)
                .is_some_and(|status| status == bollard::models::ContainerStateStatusEnum::RUNNING),
            Err(error) if error.fault.is_not_found() => false,
            Err(error) => return Err(error.into()),
        };
        let Some((spec, agent)) = self.asked.clone().filter(|_| !running) else {
            return Ok(None);
        };
        let ask = Ask {
            pull: Pull::Missing,
            agent,
            progress: &mut |_| {},
        };
        // It is large, and seldom needed.
        let mut again = Box::pin(self.engine.sandbox(&spec, ask)).await?;
        if again.id != self.id && again.attached == Attached::Created {
            let why = Why::Vanished;
            again.attached = Attached::Recreated { why };
        }
        let attached = again.attached.clone();
        *self = again;
        Ok(Some(attached))
    }

    async fn look(&self) -> Result<ContainerInspectResponse, RequestError> {
        self.engine.look(&self.id).await
    }

    /// What the engine says of it.
    ///
    /// # Errors
    ///
    /// When the engine does not answer, or it is gone.
    pub async fn inspect(&self) -> Result<ContainerInspectResponse, RequestError> {
        self.look().await
    }

    /// Whether a command runs in it.
    ///
    /// # Errors
    ///
    /// When the engine does not answer, or it is gone.
    pub async fn is_busy(&self) -> Result<bool, RequestError> {
        let seen = inspected(&self.look().await?)?;
        let agent = self.agent.as_deref();
        let busy = crate::inside::busy(&self.engine, &seen, &self.name, agent).await?;
        Ok(busy != Busy::Idle)
    }

    /// Stops it: SIGTERM, and SIGKILL when `grace` is over. One that is down or gone is no error.
    ///
    /// # Errors
    ///
    /// When the engine refuses.
    pub async fn stop(&self, grace: Duration) -> Result<(), RequestError> {
        let grace = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(grace).build();
        let stopped = self
            .engine
            .docker
            .stop_container(&self.id, Some(options))
            .await;
        gone_is_done(stopped.doing(|| format!("stop sandbox {}", self.name)))?;
        Ok(())
    }

    /// Starts it as it is where it is down, or thaws it where it is frozen. Gives whether it is
    /// there still.
    ///
    /// # Errors
    ///
    /// [`SandboxError`]; one that cannot be started, or ends at once, is removed.
    pub async fn start(&self) -> Result<bool, SandboxError> {
        let seen = match self.look().await {
            Ok(found) => inspected(&found)?,
            Err(error) if error.fault.is_not_found() => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        match ContainerState::from(seen.state.status.as_str()) {
            ContainerState::Running | ContainerState::Restarting => Ok(true),
            ContainerState::Paused => {
                let thawed = self.engine.docker.unpause_container(&self.id).await;
                let thawed = thawed.doing(|| format!("unpause sandbox {}", self.name));
                Ok(gone_is_done(thawed)?)
            }
            _ => {
                let started = self.engine.start(&self.id, &self.name, First::Other);
                Ok(matches!(started.await?, Started::Runs(_)))
            }
        }
    }

    /// Removes it, running or not, with its anonymous volumes. One that is gone is no error.
    ///
    /// # Errors
    ///
    /// When the engine refuses.
    pub async fn remove(self) -> Result<(), RequestError> {
        self.engine.remove(&self.id, &self.name).await?;
        Ok(())
    }
}
