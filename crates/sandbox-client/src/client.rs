//! What can be asked of an agent.

use std::sync::Arc;
use std::time::Duration;

use sandbox_agent::wire::{
    AgentHello, Follow, Get, JobInfo, Metrics, Put, RunSpec, SessionInfo, SessionSpec, Status,
    ToAgent, ToClient,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::call::Call;
use crate::connection::{self, Patience, Shared};
use crate::error::{CallError, ConnectError, Lost};
use crate::file::{Receiving, Sending};
use crate::running::{MARGIN, Running};

/// How long the posture probes may take.
const PROBES: Duration = Duration::from_secs(30);

/// A connection to an agent. Clones share it; with the last one, and the last request that was
/// made through it, it is closed.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

impl Client {
    /// Speaks to the agent at the other end of a stream.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] where it does not answer, or not in this protocol.
    pub async fn over<R, W>(reader: R, writer: W, patience: Patience) -> Result<Self, ConnectError>
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let shared = connection::begin(reader, writer, patience).await?;
        Ok(Self { shared })
    }

    /// Who the agent says it is.
    #[must_use]
    pub fn agent(&self) -> &AgentHello {
        &self.shared.hello
    }

    /// Why the connection is over, once it is.
    #[must_use]
    pub fn lost(&self) -> Option<Lost> {
        self.shared.lost()
    }

    /// Waits until the connection is over.
    pub async fn until_lost(&self) -> Lost {
        let mut watch = self.shared.watch();
        match watch.wait_for(Option::is_some).await {
            Ok(lost) => lost.clone().unwrap_or(Lost::Closed),
            Err(_) => Lost::Closed,
        }
    }

    fn call(&self, frame: &ToAgent) -> Result<Call, CallError> {
        Call::open(&self.shared, frame)
    }

    /// How long a question that needs no work may take.
    fn soon(&self) -> Duration {
        3 * self.shared.patience.silence
    }

    async fn ask(&self, frame: &ToAgent) -> Result<ToClient, CallError> {
        self.call(frame)?.within(self.soon()).answer().await
    }

    async fn done(&self, frame: &ToAgent, within: Duration) -> Result<u64, CallError> {
        match self.call(frame)?.within(within).answer().await? {
            ToClient::Done(value) => Ok(value),
            _ => Err(CallError::Unexpected),
        }
    }

    async fn number(&self, frame: &ToAgent) -> Result<u32, CallError> {
        let value = self.done(frame, self.soon() + MARGIN).await?;
        u32::try_from(value).map_err(|_| CallError::Unexpected)
    }

    /// How long the way to the agent and back takes.
    ///
    /// # Errors
    ///
    /// [`CallError`]
    pub async fn ping(&self) -> Result<Duration, CallError> {
        let begun = Instant::now();
        match self.ask(&ToAgent::Ping).await? {
            ToClient::Pong => Ok(begun.elapsed()),
            _ => Err(CallError::Unexpected),
        }
    }

    /// Starts a command.
    ///
    /// # Errors
    ///
    /// [`CallError`]; what the agent itself has against it comes from [`Running::next`].
    pub fn run(&self, spec: &RunSpec) -> Result<Running, CallError> {
        let call = self.call(&ToAgent::Run(spec.clone()))?;
        Ok(Running::new(call, spec))
    }

    /// Opens a session: its number, for [`RunSpec::session`].
    ///
    /// # Errors
    ///
    /// [`CallError`]
    pub async fn open_session(&self, spec: &SessionSpec) -> Result<u32, CallError> {
        self.number(&ToAgent::SessionOpen(spec.clone())).await
    }

    /// Closes a session and kills what it runs.
    ///
    /// # Errors
    ///
    /// [`CallError`]
    pub async fn close_session(&self, session: u32) -> Result<(), CallError> {
        self.number(&ToAgent::SessionClose(session)).await?;
        Ok(())
    }

    /// All sessions of the sandbox.
    ///
    /// # Errors
    ///
    /// [`CallError`]
    pub async fn sessions(&self) -> Result<Vec<SessionInfo>, CallError> {
        match self.ask(&ToAgent::SessionList).await? {
            ToClient::Sessions(sessions) => Ok(sessions),
            _ => Err(CallError::Unexpected),
        }
    }

    /// Starts a command as a job, which outlives this client: its number. `kept` is how many bytes
    /// of each of its output streams the agent keeps, 64 MiB at most.
    ///
    /// # Errors
    ///
    /// [`CallError`]
    pub async fn start_job(&self, spec: &RunSpec, kept: u32) -> Result<u32, CallError> {
        self.number(&ToAgent::JobStart(spec.clone(), kept)).await
    }

    /// All jobs of the sandbox.
    ///
    /// # Errors
    ///
    /// [`CallError`]
    pub async fn jobs(&self) -> Result<Vec<JobInfo>, CallError> {
        match self.ask(&ToAgent::JobList).await? {
            ToClient::Jobs(jobs) => Ok(jobs),
            _ => Err(CallError::Unexpected),
        }
    }

    /// Follows a job's output. Dropping what this gives leaves the job alone. Where it runs on and
    /// was not to be waited for, no [`Event::Ended`](crate::Event::Ended) comes.
    ///
    /// # Errors
    ///
    /// [`CallError`]
    pub fn follow_job(&self, follow: Follow) -> Result<Running, CallError> {
        Ok(Running::unlimited(self.call(&ToAgent::JobFollow(follow))?))
    }

    /// Sends a signal, by number, to a job's process group.
    ///
    /// # Errors
    ///
    /// [`CallError`]
    pub async fn signal_job(&self, job: u32, signal: u8) -> Result<(), CallError> {
        self.number(&ToAgent::JobSignal(job, signal)).await?;
        Ok(())
    }

    /// Kills all of a job's processes: how many they were.
    ///
    /// # Errors
    ///
    /// [`CallError`]
    pub async fn kill_job(&self, job: u32) -> Result<u32, CallError> {
        self.number(&ToAgent::JobKill(job)).await
    }

    /// Forgets a job that has ended.
    ///
    /// # Errors
    ///
    /// [`CallError`]
    pub async fn remove_job(&self, job: u32) -> Result<(), CallError> {
        self.number(&ToAgent::JobRemove(job)).await?;
        Ok(())
    }

    /// Begins to put a file or a tree.
    ///
    /// # Errors
    ///
    /// [`CallError`]
    pub fn put(&self, put: &Put) -> Result<Sending, CallError> {
        Ok(Sending::new(self.call(&ToAgent::Put(put.clone()))?))
    }

    /// Begins to get a file or a tree.
    ///
    /// # Errors
    ///
    /// [`CallError`]
    pub fn get(&self, get: &Get) -> Result<Receiving, CallError> {
        Ok(Receiving::new(self.call(&ToAgent::Get(get.clone()))?))
    }

    /// How the agent is.
    ///
    /// # Errors
    ///
    /// [`CallError`]
    pub async fn status(&self) -> Result<Status, CallError> {
        match self.ask(&ToAgent::Status).await? {
            ToClient::Status(status) => Ok(status),
            _ => Err(CallError::Unexpected),
        }
    }

    /// What the sandbox uses, as far as it can tell from inside.
    ///
    /// # Errors
    ///
    /// [`CallError`]
    pub async fn metrics(&self) -> Result<Metrics, CallError> {
        match self.ask(&ToAgent::Metrics).await? {
            ToClient::Metrics(metrics) => Ok(metrics),
            _ => Err(CallError::Unexpected),
        }
    }

    /// What the posture probes found, as JSON that is a claim of the sandbox.
    ///
    /// # Errors
    ///
    /// [`CallError`]
    pub async fn probe(&self) -> Result<Vec<u8>, CallError> {
        let call = self.call(&ToAgent::Probe)?.within(PROBES);
        match call.answer().await? {
            ToClient::Probes(json) => Ok(json.0),
            _ => Err(CallError::Unexpected),
        }
    }
}
