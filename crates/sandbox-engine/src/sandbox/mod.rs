//! A sandbox: got, used, looked at, and ended.

mod attach;
mod create;
mod error;
mod facts;
mod list;
mod plan;
mod reap;
mod running;
mod start;
mod verify;

use std::path::Path;
use std::time::Duration;

use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{
    InspectContainerOptions, RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
};
use sandbox_client::Client;
use sandbox_core::inspect::{ContainerState, Inspected};
use sandbox_core::reuse::Busy;
use sandbox_core::{Difference, SandboxSpec};

use crate::agent::Agent;
use crate::connect::Engine;
use crate::copy::{Bounds, CopiedOut, Place};
use crate::error::{Doing as _, Fault, RequestError, ask, gone_is_done};
use crate::exec::{Channel, Exec, ExecError, Ran, exec};
use crate::image::{Progress, Pull};
use crate::inside::{AgentError, Line};

use start::First;

pub use error::SandboxError;
pub use list::Listed;
pub use reap::{Reaped, Reaping};
pub use verify::Verified;

/// How a sandbox was got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attached {
    /// There was none.
    Created,
    /// It was running.
    Reused,
    /// It was there and did not run. What ran in it is gone, and so is what its tmpfs held.
    Started,
    /// There was one, and it was made anew.
    Recreated {
        /// Why.
        why: Why,
    },
}

/// Why a sandbox was made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It was not what was asked for.
    Differs(Vec<Difference>),
    /// The engine had lost it, or somebody had removed it.
    Vanished,
    /// The engine could do nothing more with it.
    Broken,
}

impl Attached {
    /// Whether what was in the sandbox before, outside of persistent directories, is gone.
    #[must_use]
    pub fn lost_state(&self) -> bool {
        matches!(self, Self::Started | Self::Recreated { .. })
    }
}

/// How a sandbox is to be got.
pub struct Ask<'a> {
    /// Whether its image may be fetched.
    pub pull: Pull,
    /// The program to bring along.
    pub agent: Agent,
    /// Told how far things have come.
    pub progress: &'a mut (dyn FnMut(Progress) + Send),
}

impl std::fmt::Debug for Ask<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ask")
            .field("pull", &self.pull)
            .finish_non_exhaustive()
    }
}

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
        let digits = self.agent.as_ref()?.as_bytes().chunks_exact(2);
        let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        Some(digits.map_while(byte).collect())
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

    async fn place(&self) -> Result<Place<'_>, RequestError> {
        let found = self.look().await?;
        let host = found.host_config.unwrap_or_default();
        let is_tmpfs =
            |mount: &bollard::models::Mount| mount.typ == Some(bollard::models::MountType::TMPFS);
        let mounts = host.mounts.into_iter().flatten();
        let tmpfs = mounts.filter(is_tmpfs).filter_map(|mount| mount.target);
        let tmpfs = host
            .tmpfs
            .into_iter()
            .flatten()
            .map(|(path, _)| path)
            .chain(tmpfs)
            // The engine's own, with /dev/shm in it: in no list of its own.
            .chain(["/dev".to_owned()]);
        let user = found
            .config
            .and_then(|config| config.user)
            .unwrap_or_default();
        let (uid, gid) = user.split_once(':').unwrap_or((&user, ""));
        // A user by name is known to the image alone: its files are root's then.
        let uid = uid.parse().unwrap_or(0);
        Ok(Place {
            engine: &self.engine,
            id: &self.id,
            name: &self.name,
            tmpfs: tmpfs.collect(),
            owner: (uid, gid.parse().unwrap_or(uid)),
        })
    }

    /// Copies a file or directory of this machine into the sandbox: to the path `to`, or into it
    /// where that is a directory. Gives the path where it is then.
    ///
    /// # Errors
    ///
    /// [`CopyError`](crate::copy::CopyError); a part may be there then.
    pub async fn copy_in(&self, from: &Path, to: &str) -> Result<String, crate::Error> {
        Ok(self.place().await?.copy_in(from, to).await?)
    }

    /// Copies a file or directory of the sandbox to `to` of this machine, or into it where that
    /// is a directory. What comes out is not trusted: no links, no devices, no special bits,
    /// nothing outside of the destination, and not more than `bounds`.
    ///
    /// # Errors
    ///
    /// [`CopyError`](crate::copy::CopyError); nothing is at the destination then.
    pub async fn copy_out(
        &self,
        from: &str,
        to: &Path,
        bounds: Bounds,
    ) -> Result<CopiedOut, crate::Error> {
        Ok(self.place().await?.copy_out(from, to, bounds).await?)
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
            _ => self.engine.start(&self.id, &self.name, First::Other).await,
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

impl Engine {
    pub(crate) async fn look(&self, id: &str) -> Result<ContainerInspectResponse, RequestError> {
        let none = None::<InspectContainerOptions>;
        let found = ask(self.docker.inspect_container(id, none)).await;
        found.doing(|| format!("inspect container {id}"))
    }

    /// Whether there is a container, a sandbox or not, with that name or id.
    ///
    /// # Errors
    ///
    /// When the engine does not answer.
    pub async fn has_container(&self, name: &str) -> Result<bool, RequestError> {
        match self.look(name).await {
            Ok(_) => Ok(true),
            Err(error) if error.fault.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether it was there.
    pub(crate) async fn remove(&self, id: &str, name: &str) -> Result<bool, RequestError> {
        let options = RemoveContainerOptionsBuilder::new()
            .force(true)
            .v(true)
            .build();
        let removed = self.docker.remove_container(id, Some(options)).await;
        gone_is_done(removed.doing(|| format!("remove sandbox {name}")))
    }
}

/// The parts of an answer that decisions are made from.
pub(crate) fn inspected(found: &ContainerInspectResponse) -> Result<Inspected, RequestError> {
    let value = serde_json::to_value(found).and_then(serde_json::from_value);
    value.map_err(|error| {
        let source = bollard::errors::Error::JsonSerdeError { err: error };
        RequestError::new("inspect a container", Fault::Garbled { source })
    })
}
